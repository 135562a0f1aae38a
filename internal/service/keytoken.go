package service

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Tokens that clients make themselves, without asking the server: from an API
// key, signed with what is stored of it, or from an organization's private key,
// whose public half the organization has registered.
const (
	keyTokenType     = "mesa-at+jwt"
	keyTokenAudience = "mesa-api"
	hs256            = "HS256"
	// keyTokenVersion follows the id of the API key in a token's kid.
	keyTokenVersion = "v1"

	maxMintedLife  = 24 * time.Hour
	maxPrivateLife = 4 * time.Hour
	// maxTokenRepositories is how many repositories one token may name.
	maxTokenRepositories = 250
	maxTokenAuthors      = 100
	maxPersonText        = 1 << 10 // bytes of a name or an email
)

// privateKeyPrefix begins the text of a private key, which stays with its owner.
const privateKeyPrefix = "mesa_private_key_"

// IsKeyCredential tells whether a credential is an API key or a token that its
// holder or the holder of a private key made, by its form alone: what
// AuthenticateKey is for. All others are Authenticate's.
func IsKeyCredential(credential string) bool {
	if strings.HasPrefix(credential, apiKeyPrefix) {
		return true
	}
	head, _, ok := strings.Cut(credential, ".")
	if !ok || len(credential) > MaxTokenLength {
		return false
	}
	var header struct {
		Type string `json:"typ"`
	}
	data, err := base64.RawURLEncoding.DecodeString(head)
	return err == nil && json.Unmarshal(data, &header) == nil && header.Type == keyTokenType
}

// AuthenticateKey returns the actor of an API key, or of a token that was made
// from one or from a private key. Every refusal is Unauthenticated. It sees at
// once what this process changed about keys, and within seconds what another
// did.
func (s *Service) AuthenticateKey(ctx context.Context, credential string) (cairn.Actor, error) {
	switch {
	case credential == "":
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "Bearer token required")
	case len(credential) > MaxTokenLength:
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "the token is longer than %d bytes", MaxTokenLength)
	case strings.HasPrefix(credential, privateKeyPrefix):
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "that is a private key, which signs tokens and must not be sent; replace it")
	case strings.HasPrefix(credential, apiKeyPrefix):
		return s.authenticateAPIKey(ctx, credential)
	}
	return s.authenticated(ctx, 'k', credential, s.verifyKeyToken)
}

// verifyKeyToken does the whole work on a token: form, key, signature, then
// what the claims say.
func (s *Service) verifyKeyToken(ctx context.Context, token string) (verifiedToken, error) {
	parts, header, err := cutToken(token, "jwk")
	if err != nil {
		return verifiedToken{}, err
	}
	kind, err := header.text("typ")
	if err != nil {
		return verifiedToken{}, err
	}
	if kind != keyTokenType {
		return verifiedToken{}, cairn.Errorf(cairn.Unauthenticated, "the token's type is %q, not %s", cairn.Clip(kind), keyTokenType)
	}
	if audience, err := parts.payload.text("aud"); err != nil || audience != keyTokenAudience {
		return verifiedToken{}, badClaim("aud", "is not %s", keyTokenAudience)
	}
	switch parts.algorithm {
	case hs256:
		return s.verifyMinted(ctx, parts, header)
	case edDSA:
		return s.verifyPrivate(ctx, parts, header)
	}
	return verifiedToken{}, cairn.Errorf(cairn.Unauthenticated, "the token's algorithm is neither HS256 nor EdDSA")
}

// verifyMinted verifies a token that was made from an API key. It can do what
// both allow, the key and the token.
func (s *Service) verifyMinted(ctx context.Context, parts tokenParts, header claimSet) (verifiedToken, error) {
	if _, present := header["jwk"]; present {
		return verifiedToken{}, cairn.Errorf(cairn.Unauthenticated, "the token's header has \"jwk\", which is not for HS256")
	}
	kid, err := header.text("kid")
	if err != nil {
		return verifiedToken{}, err
	}
	id, version, _ := cutLast(kid, ".")
	ref, ok := parseAPIKeyRef(id)
	if !ok || version != keyTokenVersion {
		return verifiedToken{}, errNotAKey
	}
	known, err := s.apiKey(ctx, ref)
	if err != nil {
		return verifiedToken{}, err
	}
	if !isHMAC(known.signing, parts) || !known.IsGood(s.now()) {
		return verifiedToken{}, errNotAKey
	}
	if issuer, err := parts.payload.text("iss"); err != nil || issuer != id {
		return verifiedToken{}, badClaim("iss", "is not the API key that kid names")
	}
	s.used.note(ref, s.now())
	expires, err := parseLifetime(parts.payload, maxMintedLife, s.now())
	if err != nil {
		return verifiedToken{}, err
	}
	who := known.actor()
	if err := clampToClaims(&who, parts.payload); err != nil {
		return verifiedToken{}, err
	}
	return verifiedToken{apiKey: ref, actor: who, expires: expires}, nil
}

// isHMAC tells whether a token is signed with a key, which an absent one never
// is.
func isHMAC(key []byte, parts tokenParts) bool {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(parts.signed))
	return len(key) > 0 && hmac.Equal(mac.Sum(nil), parts.signature)
}

// recallMinted is recall for a token that was made from an API key.
func (s *Service) recallMinted(ctx context.Context, t verifiedToken) (who cairn.Actor, counts bool, err error) {
	known, err := s.apiKey(ctx, t.apiKey)
	if err != nil {
		return cairn.Actor{}, false, err
	}
	if !known.IsGood(s.now()) || known.organization.ID != t.actor.Organization.ID {
		return cairn.Actor{}, false, errNotAKey
	}
	s.used.note(t.apiKey, s.now())
	if err := checkExpiry(t.expires, s.now()); err != nil {
		return cairn.Actor{}, false, err
	}
	return t.actor, true, nil
}

// verifyPrivate verifies a token that was made from an organization's private
// key. The public key that it brings along only says which registered one it
// is.
func (s *Service) verifyPrivate(ctx context.Context, parts tokenParts, header claimSet) (verifiedToken, error) {
	public, err := parseJWK(header)
	if err != nil {
		return verifiedToken{}, err
	}
	issuer, err := parts.payload.text("iss")
	if err != nil {
		return verifiedToken{}, err
	}
	org, err := cairn.ParseOrganizationName(issuer)
	if err != nil {
		return verifiedToken{}, errNotVouchedFor
	}
	from, err := s.issuer(ctx, org)
	if err != nil {
		return verifiedToken{}, err
	}
	key, ok := from.key(ed25519Thumbprint(public))
	if !ok || key.algorithm != edDSA || signatures[edDSA].Verify(parts.signed, parts.signature, key.public) != nil {
		return verifiedToken{}, errNotVouchedFor
	}
	expires, err := parseLifetime(parts.payload, maxPrivateLife, s.now())
	if err != nil {
		return verifiedToken{}, err
	}
	who := cairn.Actor{Organization: from.organization, Name: "private key " + key.id, Reach: new(cairn.Reach)}
	if who.Authors, err = parseAuthors(parts.payload); err != nil {
		return verifiedToken{}, err
	}
	if len(who.Authors) > 0 {
		who.Name = who.Authors[0].Name
	}
	if err := grantClaims(&who, parts.payload); err != nil {
		return verifiedToken{}, err
	}
	return verifiedToken{issuer: org, keyID: key.id, actor: who, expires: expires}, nil
}

// parseJWK returns the Ed25519 key of a token's header.
func parseJWK(header claimSet) (ed25519.PublicKey, error) {
	bad := cairn.Errorf(cairn.Unauthenticated, "the token's jwk is not an Ed25519 key")
	set, ok := decodeObject(header["jwk"])
	if !ok {
		return nil, bad
	}
	kind, _ := set.text("kty")
	curve, _ := set.text("crv")
	x, _ := set.text("x")
	public, err := base64.RawURLEncoding.Strict().DecodeString(x)
	if err != nil || kind != "OKP" || curve != "Ed25519" || len(public) != ed25519.PublicKeySize {
		return nil, bad
	}
	return public, nil
}

// grantClaims gives the actor of a private key's token, which may do anything,
// what the token says: in the newer form admin or access, in the older one
// scopes with repositories.
func grantClaims(who *cairn.Actor, set claimSet) error {
	rawAdmin, isAdmin := set["admin"]
	rawAccess, isSome := set["access"]
	_, isOld := set["scopes"]
	switch {
	case isAdmin && (isSome || isOld), isSome && isOld:
		return badClaim("admin", "comes together with access or scopes")
	case isAdmin && string(rawAdmin) != "true":
		return badClaim("admin", "is not true")
	case isAdmin:
		who.Scopes = append(scopesOf([]cairn.Access{cairn.AdminAccess}), cairn.KeyCreate)
		return nil
	case isSome:
		return grantAccess(who, rawAccess)
	}
	who.Scopes = append(scopesOf([]cairn.Access{cairn.AdminAccess}), cairn.KeyCreate)
	return clampToClaims(who, set)
}

// grantAccess reads a right for each of some repositories.
func grantAccess(who *cairn.Actor, raw json.RawMessage) error {
	list, ok := decodeObject(raw)
	if !ok || len(list) == 0 || len(list) > maxTokenRepositories {
		return badClaim("access", "is not an object with 1 to %d repositories", maxTokenRepositories)
	}
	names := make(map[cairn.RepositoryName][]cairn.Scope, len(list))
	for name := range list {
		right, err := list.text(name)
		if err != nil {
			return err
		}
		switch right {
		case "read-repo":
			names[cairn.RepositoryName(name)] = scopesOf([]cairn.Access{cairn.ReadAccess})
		case "write-repo":
			names[cairn.RepositoryName(name)] = scopesOf([]cairn.Access{cairn.WriteAccess})
		default:
			return badClaim("access", "has %q, which is neither read-repo nor write-repo", cairn.Clip(right))
		}
	}
	for _, scopes := range names {
		who.Scopes = union(who.Scopes, scopes)
	}
	who.Reach = &cairn.Reach{Names: names, FoldNames: true}
	return nil
}

func union(a, b []cairn.Scope) []cairn.Scope {
	for _, scope := range b {
		if !slices.Contains(a, scope) {
			a = append(a, scope)
		}
	}
	return a
}

// clampToClaims leaves an actor what the token's scopes, repos and repo_ids
// allow too.
func clampToClaims(who *cairn.Actor, set claimSet) error {
	raw, ok := set["scopes"]
	texts, isList := jsonStrings(raw)
	if !ok || !isList || len(texts) > maxScopes {
		return badClaim("scopes", "is not an array of at most %d strings", maxScopes)
	}
	var wanted []cairn.Access
	for _, text := range texts {
		wanted = append(wanted, cairn.Access(text)) // what is not known gives nothing
	}
	allowed := scopesOf(wanted)
	who.Scopes = slices.DeleteFunc(slices.Clone(who.Scopes), func(scope cairn.Scope) bool {
		return !slices.Contains(allowed, scope) && !(scope == cairn.KeyCreate && slices.Contains(allowed, cairn.OrgAdmin))
	})
	return clampToRepositories(who, set)
}

// clampToRepositories leaves an actor only repositories that the token names:
// by the names that they have when it is used, or by their ids.
func clampToRepositories(who *cairn.Actor, set claimSet) error {
	names, byName, err := parseRepositoryList(set, "repos")
	if err != nil {
		return err
	}
	ids, byID, err := parseRepositoryList(set, "repo_ids")
	if err != nil {
		return err
	}
	reach := *who.Reach
	switch {
	case byName && byID:
		return badClaim("repos", "comes together with repo_ids")
	case byName:
		reach.Names = make(map[cairn.RepositoryName][]cairn.Scope, len(names))
		for _, full := range names {
			if org, name, ok := strings.Cut(full, "/"); ok && org == string(who.Organization.Name) {
				reach.Names[cairn.RepositoryName(name)] = who.Scopes
			}
		}
	case byID:
		named := []cairn.RepositoryID{}
		for _, text := range ids {
			id, ok := cairn.RepositoryName(text).ID()
			if ok && (reach.IDs == nil || slices.Contains(reach.IDs, id)) {
				named = append(named, id)
			}
		}
		reach.IDs = named
	}
	who.Reach = &reach
	return nil
}

// parseRepositoryList reads a claim that is an array of strings, or null as if
// it were not there.
func parseRepositoryList(set claimSet, claim string) (list []string, ok bool, err error) {
	raw, ok := set[claim]
	if !ok || string(raw) == "null" {
		return nil, false, nil
	}
	list, ok = jsonStrings(raw)
	if !ok || len(list) > maxTokenRepositories {
		return nil, false, badClaim(claim, "is not an array of at most %d strings", maxTokenRepositories)
	}
	return list, true, nil
}

// parseAuthors reads who the token acts for: pairs of name and email, or objects
// with these members.
func parseAuthors(set claimSet) ([]cairn.Person, error) {
	claim := "authors"
	raw, ok := set[claim]
	if !ok {
		claim = "author"
		if raw, ok = set[claim]; !ok {
			return nil, nil
		}
	}
	list, ok := jsonArray(raw)
	if !ok || len(list) == 0 || len(list) > maxTokenAuthors {
		return nil, badClaim(claim, "is not an array of 1 to %d authors", maxTokenAuthors)
	}
	authors := make([]cairn.Person, len(list))
	for i, entry := range list {
		if authors[i], ok = parsePerson(entry); !ok {
			return nil, badClaim(claim, "has an entry that is no name with an email or null")
		}
	}
	return authors, nil
}

func parsePerson(raw json.RawMessage) (p cairn.Person, ok bool) {
	var name, email json.RawMessage
	if pair, isPair := jsonArray(raw); isPair && len(pair) == 2 {
		name, email = pair[0], pair[1]
	} else if set, isObject := decodeObject(raw); isObject {
		name, email = set["name"], set["email"]
	}
	if p.Name, ok = jsonString(name); !ok || strings.TrimSpace(p.Name) == "" {
		return p, false
	}
	if len(email) > 0 && string(email) != "null" {
		if p.Email, ok = jsonString(email); !ok {
			return p, false
		}
	}
	for _, text := range []string{p.Name, p.Email} {
		if len(text) > maxPersonText || strings.ContainsAny(text, "<>\r\n\x00") {
			return p, false
		}
	}
	return p, true
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
