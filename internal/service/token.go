package service

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// MaxTokenLength bounds a token before anything looks into it.
const MaxTokenLength = 8 << 10

// tokenLeeway is how far the clocks of the signer and of this server may
// differ.
const tokenLeeway = 30 * time.Second

// signatures maps the algorithm of a registered key to what verifies with it.
// A token's own header never chooses; it only has to agree.
var signatures = map[string]jwt.SigningMethod{
	es256: jwt.SigningMethodES256,
	rs256: jwt.SigningMethodRS256,
	edDSA: jwt.SigningMethodEdDSA,
}

// errNotVouchedFor is the one answer for an issuer that does not exist and for
// a signature that is not its own, so that nobody learns who is a tenant.
var errNotVouchedFor = cairn.Errorf(cairn.Unauthenticated, "the token is not signed by a known key of its issuer")

// Authenticate returns the actor for whom an organization signed the token, a
// JWT in compact form. Every refusal is Unauthenticated. It sees at once what
// this process changed about keys, and within seconds what another did.
func (s *Service) Authenticate(ctx context.Context, token string) (cairn.Actor, error) {
	if token == "" {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "a token is required")
	}
	if len(token) > MaxTokenLength {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "the token is longer than %d bytes", MaxTokenLength)
	}
	return s.authenticated(ctx, 'o', token, s.verify)
}

// authenticated returns the actor of a token that is of one kind, for which
// verify does the whole work. What it found out is remembered.
func (s *Service) authenticated(ctx context.Context, kind byte, token string, verify func(context.Context, string) (verifiedToken, error)) (cairn.Actor, error) {
	digest := tokenDigest(sha256.Sum256(append([]byte{kind}, token...)))
	if known, ok := s.keys.token(digest); ok {
		if who, counts, err := s.recall(ctx, known); counts || err != nil {
			return who, err
		}
	}
	verified, err := verify(ctx, token)
	if err != nil {
		return cairn.Actor{}, err
	}
	s.keys.keepToken(digest, verified)
	return verified.actor, nil
}

// recall tells whether what was verified before still counts: the key is
// active and the organization is the same one. If so, only time can refuse it.
func (s *Service) recall(ctx context.Context, t verifiedToken) (who cairn.Actor, counts bool, err error) {
	if t.apiKey != (apiKeyRef{}) {
		return s.recallMinted(ctx, t)
	}
	from, err := s.issuer(ctx, t.issuer)
	if err != nil {
		return cairn.Actor{}, false, err
	}
	if _, active := from.key(t.keyID); !active || from.organization.ID != t.actor.Organization.ID {
		return cairn.Actor{}, false, nil
	}
	if err := checkExpiry(t.expires, s.now()); err != nil {
		return cairn.Actor{}, false, err
	}
	return t.actor, true, nil
}

// verify does the whole work: form, issuer, signature, then what the claims say.
func (s *Service) verify(ctx context.Context, token string) (verifiedToken, error) {
	parts, err := splitToken(token)
	if err != nil {
		return verifiedToken{}, err
	}
	name, err := parts.payload.text("iss")
	if err != nil {
		return verifiedToken{}, err
	}
	org, err := cairn.ParseOrganizationName(name)
	if err != nil {
		return verifiedToken{}, errNotVouchedFor
	}
	from, err := s.issuer(ctx, org)
	if err != nil {
		return verifiedToken{}, err
	}
	key, ok := parts.signer(from)
	if !ok {
		return verifiedToken{}, errNotVouchedFor
	}
	claims, err := parseClaims(parts.payload, s.limits, s.now())
	if err != nil {
		return verifiedToken{}, err
	}
	return verifiedToken{
		issuer:  org,
		keyID:   key.id,
		expires: claims.expires,
		actor: cairn.Actor{
			Organization: from.organization,
			Repository:   claims.repository,
			Scopes:       claims.scopes,
			Policy:       claims.policy,
			Name:         claims.subject,
		},
	}, nil
}

// tokenParts is a token taken apart, nothing in it trusted yet.
type tokenParts struct {
	payload   claimSet
	algorithm string
	keyID     string
	signed    string // what the signature is over
	signature []byte
}

// refusedHeaders are the header parameters that would have the verifier fetch
// or believe a key, decompress, decrypt, or understand an extension.
var refusedHeaders = []string{"jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"}

// splitToken reads the compact form of RFC 7515: three parts, not the five of
// an encrypted token. The token is signed by an organization.
func splitToken(token string) (tokenParts, error) {
	parts, header, err := cutToken(token, "")
	if err != nil {
		return tokenParts{}, err
	}
	if signatures[parts.algorithm] == nil {
		return tokenParts{}, cairn.Errorf(cairn.Unauthenticated, "the token's algorithm is not ES256, RS256 or EdDSA")
	}
	if parts.keyID, err = header.text("kid"); err != nil {
		return tokenParts{}, err
	}
	kind, err := header.text("typ")
	if err != nil {
		return tokenParts{}, err
	}
	if kind != "" && !strings.EqualFold(kind, "JWT") {
		return tokenParts{}, cairn.Errorf(cairn.Unauthenticated, "the token's type is %q, not JWT", cairn.Clip(kind))
	}
	return parts, nil
}

// cutToken takes a token apart and decodes it. Its header may have allowed
// although that is among refusedHeaders: then what follows from it is the
// caller's.
func cutToken(token, allowed string) (parts tokenParts, header claimSet, err error) {
	// Go's base64 skips line breaks.
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") {
		return parts, nil, cairn.Errorf(cairn.Unauthenticated, "the token is not a signed JWT")
	}
	head, rest, _ := strings.Cut(token, ".")
	body, tail, _ := strings.Cut(rest, ".")
	if header, err = decodeClaimSet("header", head); err != nil {
		return parts, nil, err
	}
	for _, name := range refusedHeaders {
		if _, present := header[name]; present && name != allowed {
			return parts, nil, cairn.Errorf(cairn.Unauthenticated, "the token's header has %q, which is not accepted", name)
		}
	}
	parts.signed = token[:len(head)+1+len(body)]
	if parts.algorithm, err = header.text("alg"); err != nil {
		return parts, nil, err
	}
	if parts.payload, err = decodeClaimSet("payload", body); err != nil {
		return parts, nil, err
	}
	if parts.signature, err = base64.RawURLEncoding.Strict().DecodeString(tail); err != nil {
		return parts, nil, cairn.Errorf(cairn.Unauthenticated, "the token's signature is not base64url")
	}
	return parts, header, nil
}

// signer returns the issuer's key that made the signature: the one that kid
// names, or if it names none, any.
func (p tokenParts) signer(from issuer) (verifyingKey, bool) {
	candidates := from.keys
	if named, ok := from.key(p.keyID); ok {
		candidates = []verifyingKey{named}
	}
	for _, key := range candidates {
		if key.algorithm == p.algorithm && signatures[key.algorithm].Verify(p.signed, p.signature, key.public) == nil {
			return key, true
		}
	}
	return verifyingKey{}, false
}

// checkExpiry refuses a token whose time is over.
func checkExpiry(expires, now time.Time) error {
	if now.After(expires.Add(tokenLeeway)) {
		return cairn.Errorf(cairn.Unauthenticated, "the token expired at %s", expires.UTC().Format(time.RFC3339))
	}
	return nil
}
