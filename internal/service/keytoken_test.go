package service

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// acme returns the operator in the organization acme.
func (f *tenants) acme(t testing.TB) cairn.Actor {
	t.Helper()
	who, err := f.Operator(t.Context(), operator, "acme")
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func (f *tenants) newKey(t testing.TB, in NewAPIKey) APIKeyWithText {
	t.Helper()
	key, err := f.CreateAPIKey(t.Context(), f.acme(t), in)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (f *tenants) newRepository(t testing.TB, name cairn.RepositoryName) cairn.Repository {
	t.Helper()
	made, err := f.CreateRepository(t.Context(), f.acme(t), NewRepository{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func publicID(k APIKeyWithText) string { return PublicAPIKeyID(k.Organization, k.ID) }

// minted makes a token from an API key as the SDK does, with claims over those
// of a good one; null takes one away.
func (f *tenants) minted(t testing.TB, key APIKeyWithText, claims string) string {
	t.Helper()
	return hmacToken(fmt.Sprintf(`{"alg":"HS256","typ":"mesa-at+jwt","kid":"%s.v1"}`, publicID(key)), f.mintedClaims(t, publicID(key), claims), string(signingKey(key.Text)))
}

func (f *tenants) mintedClaims(t testing.TB, issuer, claims string) string {
	t.Helper()
	set := map[string]any{
		"iss": issuer, "aud": "mesa-api", "scopes": []string{"read", "write", "admin"}, "repos": nil,
		"iat": f.clock().Unix(), "exp": f.clock().Add(time.Hour).Unix(), "jti": "x",
	}
	if claims != "" {
		if err := json.Unmarshal([]byte("{"+claims+"}"), &set); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hmacToken(header, payload, key string) string {
	signed := b64(header) + "." + b64(payload)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (f *tenants) acceptKey(t *testing.T, name, credential string) cairn.Actor {
	t.Helper()
	who, err := f.AuthenticateKey(t.Context(), credential)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return who
}

func (f *tenants) refuseKey(t *testing.T, name, credential string) {
	t.Helper()
	who, err := f.AuthenticateKey(t.Context(), credential)
	if cairn.KindOf(err) != cairn.Unauthenticated || who.Organization.ID != "" {
		t.Errorf("%s: got %+v and the error %v, want Unauthenticated", name, who, err)
	}
}

// TestMintedTokenVector holds the digest and the signature to a token that the
// published SDK made.
func TestMintedTokenVector(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6Im1lc2EtYXQrand0Iiwia2lkIjoia2V5XzEudjEifQ.eyJpc3MiOiJrZXlfMSIsImF1ZCI6Im1lc2EtYXBpIiwic2NvcGVzIjpbInJlYWQiLCJ3cml0ZSJdLCJyZXBvcyI6WyJhY21lL2FwcCJdLCJpYXQiOjE3OTUyMTk4MDIsImV4cCI6MTc5NTIxOTg2MiwianRpIjoiYTFkNGE4YmUtZTM1Zi00M2E1LWE4YjMtZWRjNjhlOWZhY2MyIn0.iFSlu1PNMeb0cMnVQ-D9dq8vb3yPidGYlkJkzqMJ2gM"
	key := signingKey("mesa_testkey")
	if string(key) != "YWODnAI5JKJ0KolN_wnpIEXayRS1NOD7hb0s0hDbvFU" {
		t.Errorf("the signing key is %s", key)
	}
	parts, header, err := cutToken(token, "jwk")
	if err != nil {
		t.Fatal(err)
	}
	if !isHMAC(key, parts) || isHMAC(signingKey("mesa_other"), parts) || isHMAC(nil, parts) {
		t.Error("the signature is not told from another's")
	}
	if kid, _ := header.text("kid"); kid != "key_1.v1" || !IsKeyCredential(token) {
		t.Errorf("kid is %q", kid)
	}
	lifetime, err := parseLifetime(parts.payload, maxMintedLife, time.Unix(1795219803, 0))
	if err != nil || lifetime.Unix() != 1795219862 {
		t.Errorf("it ends at %v, %v", lifetime, err)
	}
}

// TestPrivateKeyVector verifies a token whose key is the published one.
func TestPrivateKeyVector(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("\x01", 32)))
	const x = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w"
	if public := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)); public != x {
		t.Fatalf("the public key is %s", public)
	}
	token := f.private(t, key, `"admin":true`)
	f.refuseKey(t, "before it is registered", token)
	f.register(t, "acme", key)
	if who := f.acceptKey(t, "registered", token); !who.Has(cairn.OrgAdmin) || !who.Has(cairn.KeyCreate) || !who.Reach.All() || who.Organization.Name != "acme" {
		t.Errorf("got %+v", who)
	}
	f.refuseKey(t, "the private key itself", "mesa_private_key_acme_MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB")
}

// private makes a token from an Ed25519 key as the newer SDKs do.
func (f *tenants) private(t testing.TB, key ed25519.PrivateKey, claims string) string {
	t.Helper()
	set := f.mintedClaims(t, "acme", "")
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(set), &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "scopes")
	delete(members, "repos")
	if err := json.Unmarshal([]byte("{"+claims+"}"), &members); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	header := `{"alg":"EdDSA","typ":"mesa-at+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"` +
		base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) + `"}}`
	return sign(t, header, string(text), key)
}

func TestAPIKeyAuthenticates(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	app := f.newRepository(t, "app")
	all := f.newKey(t, NewAPIKey{Name: "ci"})
	if !strings.HasPrefix(all.Text, "mesa_") || !IsKeyCredential(all.Text) {
		t.Errorf("the key is %q", all.Text)
	}
	who := f.acceptKey(t, "read and write", all.Text)
	if !who.Has(cairn.GitWrite) || !who.Has(cairn.RepoWrite) || !who.Has(cairn.OrgRead) || who.Has(cairn.OrgAdmin) || who.Has(cairn.KeyCreate) ||
		!who.Reach.All() || who.Name != "ci" || who.APIKey != all.ID || who.Admin {
		t.Errorf("got %+v", who)
	}
	some := f.newKey(t, NewAPIKey{Access: []cairn.Access{cairn.AdminAccess}, Repositories: []cairn.RepositoryID{app.Repository}})
	who = f.acceptKey(t, "for one repository", some.Text)
	if !who.Has(cairn.KeyCreate) || who.Reach.All() {
		t.Errorf("got %+v", who)
	}
	for name, text := range map[string]string{
		"nothing": "", "the prefix": "mesa_", "an end cut off": all.Text[:len(all.Text)-1], "more": all.Text + "x",
		"another's secret": all.Text[:len("mesa_")+32] + some.Text[len("mesa_")+32:], "a name": "mesa_testkey", "too long": "mesa_" + strings.Repeat("a", MaxTokenLength),
		"of no organization": "mesa_" + strings.Repeat("0", 16) + all.Text[len("mesa_")+16:],
	} {
		f.refuseKey(t, name, text)
	}
	f.refuse(t, "it is no token of the organization", all.Text)
}

func TestAPIKeysExpireAndAreRevoked(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	short := f.newKey(t, NewAPIKey{Life: 100 * time.Second})
	token := f.minted(t, short, "")
	f.acceptKey(t, "at first", short.Text)
	f.acceptKey(t, "its token", token)
	f.pass(99 * time.Second)
	f.acceptKey(t, "a second before its end", short.Text)
	f.pass(time.Second)
	f.refuseKey(t, "at its end", short.Text)
	f.refuseKey(t, "its token with it", token)

	key := f.newKey(t, NewAPIKey{})
	token = f.minted(t, key, "")
	fresh := f.minted(t, key, `"jti":"y"`)
	f.acceptKey(t, "key", key.Text)
	f.acceptKey(t, "token", token)
	if err := f.RevokeAPIKey(t.Context(), f.acme(t), publicID(key)); err != nil {
		t.Fatal(err)
	}
	f.refuseKey(t, "a revoked key", key.Text)
	f.refuseKey(t, "a known token of it", token)
	f.refuseKey(t, "a new token of it", fresh)
}

// TestMintedTokensAreClamped gives tokens that ask for more than their key has.
func TestMintedTokensAreClamped(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	app, lib := f.newRepository(t, "app"), f.newRepository(t, "lib")
	f.newRepository(t, "other")
	write := f.newKey(t, NewAPIKey{})
	admin := f.newKey(t, NewAPIKey{Access: []cairn.Access{cairn.AdminAccess}})
	bound := f.newKey(t, NewAPIKey{Repositories: []cairn.RepositoryID{app.Repository, lib.Repository}})
	all := []cairn.RepositoryName{"app", "lib", "other"}
	for _, c := range []struct {
		name   string
		key    APIKeyWithText
		claims string
		scopes []cairn.Scope
		repos  []cairn.RepositoryName
	}{
		{"all that the key has", write, ``, scopesOf([]cairn.Access{cairn.WriteAccess}), all},
		{"admin of a writer", write, `"scopes":["admin"]`, scopesOf([]cairn.Access{cairn.WriteAccess}), all},
		{"less", write, `"scopes":["read"]`, scopesOf([]cairn.Access{cairn.ReadAccess}), all},
		{"write includes read", admin, `"scopes":["write"]`, scopesOf([]cairn.Access{cairn.WriteAccess}), all},
		{"admin makes no keys", admin, ``, scopesOf([]cairn.Access{cairn.AdminAccess}), all},
		{"nothing", admin, `"scopes":[]`, nil, nil},
		{"what is not known", admin, `"scopes":["root"]`, nil, nil},
		{"by name", write, `"repos":["acme/app","acme/nothing","evil/lib","lib"]`, scopesOf([]cairn.Access{cairn.WriteAccess}), []cairn.RepositoryName{"app"}},
		{"none by name", write, `"repos":[]`, scopesOf([]cairn.Access{cairn.WriteAccess}), nil},
		{"by id", write, `"repo_ids":["` + lib.Repository.Public() + `","repo_x"],"repos":null`, scopesOf([]cairn.Access{cairn.WriteAccess}), []cairn.RepositoryName{"lib"}},
		{"a bound key", bound, ``, scopesOf([]cairn.Access{cairn.WriteAccess}), []cairn.RepositoryName{"app", "lib"}},
		{"a bound key by name", bound, `"repos":["acme/app","acme/other"]`, scopesOf([]cairn.Access{cairn.WriteAccess}), []cairn.RepositoryName{"app"}},
		{"a bound key by id", bound, `"repo_ids":["` + lib.Repository.Public() + `"]`, scopesOf([]cairn.Access{cairn.WriteAccess}), []cairn.RepositoryName{"lib"}},
		{"a bound key by ids of none", bound, `"repo_ids":[]`, scopesOf([]cairn.Access{cairn.WriteAccess}), nil},
	} {
		who := f.acceptKey(t, c.name, f.minted(t, c.key, c.claims))
		if !slices.Equal(who.Scopes, c.scopes) {
			t.Errorf("%s: the scopes are %v, want %v", c.name, who.Scopes, c.scopes)
		}
		var repos []cairn.RepositoryName
		for _, name := range all {
			narrow, err := f.For(t.Context(), who, name)
			if err == nil {
				_, err = f.Repository(t.Context(), narrow, name)
			}
			if err == nil {
				repos = append(repos, name)
			} else if cairn.KindOf(err) != cairn.Denied {
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
		}
		if !slices.Equal(repos, c.repos) {
			t.Errorf("%s: it is good for %v, want %v", c.name, repos, c.repos)
		}
		if _, err := f.CreateAPIKey(t.Context(), who, NewAPIKey{}); cairn.KindOf(err) != cairn.Denied {
			t.Errorf("%s: a token made a key: %v", c.name, err)
		}
	}
}

func TestHostileKeyTokens(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	key, other := f.newKey(t, NewAPIKey{}), f.newKey(t, NewAPIKey{})
	id := publicID(key)
	header := fmt.Sprintf(`{"alg":"HS256","typ":"mesa-at+jwt","kid":"%s.v1"}`, id)
	good := f.mintedClaims(t, id, "")
	secret := string(signingKey(key.Text))
	f.acceptKey(t, "good", hmacToken(header, good, secret))
	for name, h := range map[string]string{
		"another version": strings.Replace(header, ".v1", ".v2", 1), "no version": strings.Replace(header, ".v1", "", 1),
		"no kid": `{"alg":"HS256","typ":"mesa-at+jwt"}`, "another kid": strings.Replace(header, id, publicID(other), 1),
		"JWT": strings.Replace(header, "mesa-at+jwt", "JWT", 1), "alg none": strings.Replace(header, "HS256", "none", 1),
		"HS512": strings.Replace(header, "HS256", "HS512", 1), "EdDSA": strings.Replace(header, "HS256", "EdDSA", 1),
		"a jwk": strings.Replace(header, "{", `{"jwk":{"kty":"oct","k":"AA"},`, 1), "crit": strings.Replace(header, "{", `{"crit":["x"],`, 1),
		"twice": strings.Replace(header, "{", `{"alg":"HS256",`, 1),
	} {
		f.refuseKey(t, name, hmacToken(h, good, secret))
	}
	for name, claims := range map[string]string{
		"another issuer": `"iss":"acme"`, "another audience": `"aud":"other"`, "an array": `"aud":["mesa-api"]`, "no audience": `"aud":null`,
		"too long":   fmt.Sprintf(`"exp":%d`, f.clock().Add(24*time.Hour+time.Second).Unix()),
		"expired":    fmt.Sprintf(`"exp":%d`, f.clock().Add(-time.Minute).Unix()),
		"the future": fmt.Sprintf(`"iat":%d`, f.clock().Add(time.Minute).Unix()),
		"no end":     `"exp":null`, "scopes": `"scopes":"admin"`, "repos": `"repos":"acme/app"`, "both": `"repos":["a/b"],"repo_ids":["repo_x"]`,
		"many": `"repo_ids":[` + strings.Repeat(`"x",`, 250) + `"x"]`,
	} {
		f.refuseKey(t, name, hmacToken(header, f.mintedClaims(t, id, claims), secret))
	}
	f.refuseKey(t, "the key as the secret", hmacToken(header, good, key.Text))
	f.refuseKey(t, "no secret", hmacToken(header, good, ""))
	f.refuseKey(t, "another's secret", hmacToken(header, good, string(signingKey(other.Text))))
	f.refuse(t, "it is no token of the organization", hmacToken(header, good, secret))
}

// TestPrivateKeyTokens verifies both forms of what the newer SDKs sign.
func TestPrivateKeyTokens(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.newRepository(t, "app")
	f.newRepository(t, "App")
	f.newRepository(t, "lib")
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		claims string
		write  string // repositories that it may write to, parted by blanks
		read   string // that it may read only
	}{
		"old, admin":           {`"scopes":["admin"]`, "app App lib", ""},
		"old, read":            {`"scopes":["read"],"repos":["acme/app"]`, "", "app"},
		"old, with an author":  {`"scopes":["write"],"author":[["Ada","a@x.dev"],["Bob",null]]`, "app App lib", ""},
		"new, admin":           {`"admin":true,"authors":[{"name":"Ada","email":null}]`, "app App lib", ""},
		"new, some":            {`"access":{"app":"read-repo","LIB":"write-repo"}`, "lib", "app"},
		"new, as pairs":        {`"admin":true,"authors":[["Ada","a@x.dev"]]`, "app App lib", ""},
		"new, of another case": {`"access":{"APP":"read-repo"}`, "", "app App"},
	} {
		who := f.acceptKey(t, name, f.private(t, f.acmeEd, c.claims))
		if strings.Contains(c.claims, "author") && (len(who.Authors) == 0 || who.Authors[0].Name != "Ada" || who.Name != "Ada") {
			t.Errorf("%s: the authors are %+v", name, who.Authors)
		}
		var write, read []string
		for _, repo := range []cairn.RepositoryName{"app", "App", "lib"} {
			narrow, err := f.For(t.Context(), who, repo)
			if err != nil {
				continue
			}
			switch {
			case authorize(narrow, repo, cairn.GitWrite) == nil:
				write = append(write, string(repo))
			case authorize(narrow, repo, cairn.GitRead) == nil:
				read = append(read, string(repo))
			}
		}
		if strings.Join(write, " ") != c.write || strings.Join(read, " ") != c.read {
			t.Errorf("%s: it may write to %v and read %v", name, write, read)
		}
	}
	for name, claims := range map[string]string{
		"both forms": `"admin":true,"access":{"app":"read-repo"}`, "scopes too": `"admin":true,"scopes":["read"]`, "admin is false": `"admin":false`,
		"neither": ``, "no repository": `"access":{}`, "another right": `"access":{"app":"admin"}`, "a list": `"access":["app"]`,
		"an author with a bracket": `"admin":true,"authors":[["A <b>","x"]]`, "a line end": `"admin":true,"authors":[["A\nb","x"]]`, "no authors": `"admin":true,"authors":[]`,
		"no name": `"admin":true,"authors":[["",null]]`, "another issuer": `"admin":true,"iss":"evil"`, "no audience": `"admin":true,"aud":""`,
		"too long": fmt.Sprintf(`"admin":true,"exp":%d`, f.clock().Add(4*time.Hour+time.Second).Unix()),
	} {
		f.refuseKey(t, name, f.private(t, f.acmeEd, claims))
	}
	f.refuseKey(t, "a key of nobody's", f.private(t, foreign, `"admin":true`))
	f.register(t, "evil", foreign)
	f.refuseKey(t, "a key of another organization", f.private(t, foreign, `"admin":true`))
	token := f.private(t, f.acmeEd, `"admin":true`)
	f.acceptKey(t, "before the key is revoked", token)
	if err := f.RevokeKey(t.Context(), operator, "acme", thumbprintOf(t, f.acmeEd)); err != nil {
		t.Fatal(err)
	}
	f.refuseKey(t, "after", token)
}

// TestEmbeddedKeyOfAPrivateToken puts the registered key into the header and
// signs with another, and the other way around.
func TestEmbeddedKeyOfAPrivateToken(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	_, evil, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	x := base64.RawURLEncoding.EncodeToString(f.acmeEd.Public().(ed25519.PublicKey))
	payload := strings.SplitN(f.private(t, f.acmeEd, `"admin":true`), ".", 3)[1]
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	const form = `{"alg":"EdDSA","typ":"mesa-at+jwt","jwk":%s}`
	f.refuseKey(t, "signed by another", sign(t, fmt.Sprintf(form, `{"kty":"OKP","crv":"Ed25519","x":"`+x+`"}`), string(claims), evil))
	for name, jwk := range map[string]string{
		"no key": `{}`, "null": `null`, "text": `"x"`, "a short one": `{"kty":"OKP","crv":"Ed25519","x":"AA"}`, "another curve": `{"kty":"OKP","crv":"X25519","x":"` + x + `"}`,
		"another type": `{"kty":"EC","crv":"Ed25519","x":"` + x + `"}`, "twice": `{"kty":"OKP","crv":"Ed25519","x":"` + x + `","x":"` + x + `"}`,
	} {
		f.refuseKey(t, name, sign(t, fmt.Sprintf(form, jwk), string(claims), f.acmeEd))
	}
}

// TestABoundKeyManagesWhatIsItsOwn has an admin key for one repository try to
// get at more.
func TestABoundKeyManagesWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	app, lib := f.newRepository(t, "app"), f.newRepository(t, "lib")
	only := []cairn.RepositoryID{app.Repository}
	bound := f.acceptKey(t, "bound", f.newKey(t, NewAPIKey{Access: []cairn.Access{cairn.AdminAccess}, Repositories: only}).Text)
	wide := f.newKey(t, NewAPIKey{Name: "wide"})
	for name, ids := range map[string][]cairn.RepositoryID{"all": nil, "another": {lib.Repository}, "both": {app.Repository, lib.Repository}} {
		if _, err := f.CreateAPIKey(t.Context(), bound, NewAPIKey{Repositories: ids}); cairn.KindOf(err) != cairn.Denied {
			t.Errorf("%s: got the error %v", name, err)
		}
	}
	if _, err := f.CreateAPIKey(t.Context(), bound, NewAPIKey{Name: "own", Repositories: only}); err != nil {
		t.Errorf("its own: %v", err)
	}
	page, err := f.ListAPIKeys(t.Context(), bound, APIKeyQuery{})
	if err != nil || len(page.Keys) != 2 || slices.ContainsFunc(page.Keys, func(k cairn.APIKey) bool { return k.Name == "wide" }) {
		t.Errorf("it sees %+v, %v", page.Keys, err)
	}
	if err := f.RevokeAPIKey(t.Context(), bound, publicID(wide)); cairn.KindOf(err) != cairn.NotFound {
		t.Errorf("it revoked another's key: %v", err)
	}
	if _, err := f.ListRepositories(t.Context(), bound, "", "", 0); cairn.KindOf(err) != cairn.Denied {
		t.Errorf("it lists all repositories: %v", err)
	}
	if _, err := f.CreateRepository(t.Context(), bound, NewRepository{Name: "new"}); cairn.KindOf(err) != cairn.Denied {
		t.Errorf("it makes repositories: %v", err)
	}
}

// TestAReusedNameIsAnotherRepository gives the name of a key's repository to
// another one while a request is under way.
func TestAReusedNameIsAnotherRepository(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	app := f.newRepository(t, "app")
	key := f.newKey(t, NewAPIKey{Repositories: []cairn.RepositoryID{app.Repository}})
	who, err := f.For(t.Context(), f.acceptKey(t, "key", key.Text), "app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeleteRepository(t.Context(), f.acme(t), "app"); err != nil {
		t.Fatal(err)
	}
	f.newRepository(t, "app")
	if _, err := f.Repository(t.Context(), who, "app"); cairn.KindOf(err) != cairn.NotFound {
		t.Errorf("the row: %v", err)
	}
	if sn, err := f.open(t.Context(), who, "app", cairn.GitRead); cairn.KindOf(err) != cairn.NotFound {
		sn.Close()
		t.Errorf("the snapshot: %v", err)
	}
	if _, err := f.For(t.Context(), f.acceptKey(t, "key", key.Text), "app"); cairn.KindOf(err) != cairn.Denied {
		t.Errorf("the next request: %v", err)
	}
}

func TestUsesOfAPIKeysAreStoredLater(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	key := f.newKey(t, NewAPIKey{})
	f.pass(time.Minute)
	f.acceptKey(t, "key", f.minted(t, key, ""))
	stored := func() cairn.APIKey {
		t.Helper()
		found, err := f.APIKey(t.Context(), cairn.Actor{Organization: cairn.Organization{ID: key.Organization}, APIKey: key.ID})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if at := stored().UsedAt; !at.IsZero() {
		t.Errorf("a request wrote: used at %v", at)
	}
	page, err := f.ListAPIKeys(t.Context(), f.acme(t), APIKeyQuery{})
	if err != nil || !page.Keys[0].UsedAt.Equal(f.clock()) {
		t.Errorf("the listing has %+v, %v", page.Keys, err)
	}
	if err := f.NoteAPIKeyUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at := stored().UsedAt; !at.Equal(f.clock()) {
		t.Errorf("used at %v", at)
	}
}

// FuzzKeyToken throws text at everything that reads credentials of this kind.
func FuzzKeyToken(f *testing.F) {
	tenants := newTenants(f)
	key := tenants.newKey(f, NewAPIKey{Access: []cairn.Access{cairn.ReadAccess}})
	f.Add(key.Text)
	f.Add(tenants.minted(f, key, `"scopes":["read"],"repos":["acme/app"]`))
	f.Add(tenants.private(f, tenants.acmeEd, `"access":{"app":"read-repo"},"authors":[{"name":"A","email":null}]`))
	f.Add(tenants.private(f, tenants.acmeEd, `"scopes":["read"],"author":[["A",null]]`))
	f.Fuzz(func(t *testing.T, credential string) {
		IsKeyCredential(credential)
		who, err := tenants.AuthenticateKey(t.Context(), credential)
		if err != nil && cairn.KindOf(err) != cairn.Unauthenticated {
			t.Fatalf("%q: %v", credential, err)
		}
		if err == nil && (who.Organization.Name != "acme" || who.Has(cairn.GitWrite) && who.APIKey != "") {
			t.Fatalf("%q is %+v", credential, who)
		}
	})
}

// FuzzKeyClaims throws claims at what reads them, signed as they are.
func FuzzKeyClaims(f *testing.F) {
	for _, seed := range []string{`{"scopes":["read"],"repos":["acme/app"]}`, `{"access":{"app":"write-repo"}}`, `{"admin":true,"authors":[["A",null]]}`, `{"scopes":["admin"],"repo_ids":["repo_x"]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		set, ok := decodeObject(json.RawMessage(claims))
		if !ok {
			return
		}
		who := cairn.Actor{Reach: new(cairn.Reach)}
		_, authorsErr := parseAuthors(set)
		for _, err := range []error{grantClaims(&who, set), authorsErr} {
			if err != nil && cairn.KindOf(err) != cairn.Unauthenticated {
				t.Fatalf("%q: %v", claims, err)
			}
		}
	})
}
