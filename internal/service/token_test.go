package service

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// operator is who sets the tests up.
var operator = cairn.Actor{Admin: true, Name: "admin"}

const headerES256 = `{"alg":"ES256","typ":"JWT"}`

func TestTokenOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for alg, key := range map[string]crypto.Signer{"ES256": f.acmeEC, "RS256": f.acmeRSA, "EdDSA": f.acmeEd} {
		for range 2 { // the second time from the cache
			who := f.accept(t, alg, sign(t, `{"alg":"`+alg+`"}`, f.claimText(`"refs":[["main",["no-push"]]]`), key))
			if who.Organization.Name != "acme" || who.Repository != "team/app" || who.Name != "ci" || !who.Has(cairn.GitRead) || who.Has(cairn.GitWrite) || who.Admin {
				t.Errorf("%s: got the actor %+v", alg, who)
			}
			if !who.Policy.Forbids(cairn.NoPush, "refs/heads/main") {
				t.Errorf("%s: the policy is %+v", alg, who.Policy)
			}
		}
	}
}

// TestTokenOfTheLibrary takes a token as the SDKs make it: by a library.
func TestTokenOfTheLibrary(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "acme", "sub": "@pierre/storage", "repo": "org", "scopes": []string{"org:read"},
		"iat": f.clock().Unix(), "exp": f.clock().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "key-2024-01" // not one of ours: every key is tried
	text, err := token.SignedString(f.acmeEC)
	if err != nil {
		t.Fatal(err)
	}
	if who := f.accept(t, "library", text); who.Repository != "org" || !who.Has(cairn.OrgRead) {
		t.Errorf("got %+v", who)
	}
}

func TestAlgNone(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", " ES256", "es256", "HS256", "ES384", "PS256", "RS1"} {
		header := `{"alg":"` + alg + `","typ":"JWT"}`
		f.refuse(t, alg, b64(header)+"."+b64(f.claimText(""))+".")
		f.refuse(t, alg+" with a signature", sign(t, header, f.claimText(""), f.acmeEC))
	}
	f.refuse(t, "no alg", sign(t, `{"typ":"JWT"}`, f.claimText(""), f.acmeEC))
	f.refuse(t, "no signature", b64(headerES256)+"."+b64(f.claimText(""))+".")
	f.refuse(t, "alg is no string", sign(t, `{"alg":["ES256"]}`, f.claimText(""), f.acmeEC))
}

func TestHMACConfusion(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for _, public := range []crypto.PublicKey{f.acmeEC.Public(), f.acmeRSA.Public(), f.acmeEd.Public()} {
		text := publicPEM(t, public)
		der, _ := x509.MarshalPKIXPublicKey(public)
		for _, secret := range [][]byte{[]byte(text), []byte(strings.TrimSpace(text)), der} {
			for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
				signed := b64(`{"alg":"`+alg+`"}`) + "." + b64(f.claimText(""))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(signed))
				f.refuse(t, alg, signed+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
			}
		}
	}
}

// TestAlgorithmIsTheKeys signs with one type of key and claims another.
func TestAlgorithmIsTheKeys(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for _, key := range []crypto.Signer{f.acmeEC, f.acmeRSA, f.acmeEd} {
		accepted := 0
		for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
			if _, err := f.Authenticate(t.Context(), sign(t, `{"alg":"`+alg+`"}`, f.claimText(""), key)); err == nil {
				accepted++
			}
		}
		if accepted != 1 {
			t.Errorf("%T passes under %d algorithms, want its own", key, accepted)
		}
	}
}

func TestKidTraversal(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for _, kid := range []string{
		"../../../../dev/null", "/dev/null", "' OR '1'='1", "1; DROP TABLE keys", "http://127.0.0.1:1/key", "\x00", strings.Repeat("k", 4000),
		thumbprintOf(t, f.evilEC), thumbprintOf(t, f.acmeRSA),
	} {
		header, err := json.Marshal(map[string]string{"alg": "ES256", "kid": kid})
		if err != nil {
			t.Fatal(err)
		}
		f.refuse(t, kid, sign(t, string(header), f.claimText(""), f.evilEC))
		// An empty key, as a file that is not there would give.
		signed := b64(string(header)) + "." + b64(f.claimText(""))
		mac := hmac.New(sha256.New, nil)
		mac.Write([]byte(signed))
		f.refuse(t, kid+" with an empty key", signed+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	}
	f.refuse(t, "kid is no string", sign(t, `{"alg":"ES256","kid":{"a":1}}`, f.claimText(""), f.acmeEC))
	// A known kid is the only key that counts.
	f.refuse(t, "kid of another key", sign(t, `{"alg":"ES256","kid":"`+thumbprintOf(t, f.acmeRSA)+`"}`, f.claimText(""), f.acmeEC))
	f.accept(t, "own kid", sign(t, `{"alg":"ES256","kid":"`+thumbprintOf(t, f.acmeEC)+`"}`, f.claimText(""), f.acmeEC))
}

func thumbprintOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	parsed, err := parsePublicKey(publicPEM(t, key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.id
}

func TestEmbeddedKey(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	point, err := f.evilEC.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	for _, extra := range []string{
		`"jwk":{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"}`,
		`"jku":"http://127.0.0.1:1/keys"`,
		`"x5u":"http://127.0.0.1:1/cert"`,
		`"x5c":["AAAA"]`,
		`"crit":["exp"]`,
		`"crit":[]`,
		`"b64":false,"crit":["b64"]`,
		`"zip":"DEF"`,
		`"enc":"A256GCM"`,
	} {
		header := `{"alg":"ES256",` + extra + `}`
		f.refuse(t, extra, sign(t, header, f.claimText(""), f.evilEC))
		f.refuse(t, extra+" signed well", sign(t, header, f.claimText(""), f.acmeEC))
	}
}

func TestThousandsOfDots(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.refuse(t, "dots", strings.Repeat(".", 8000))
	f.refuse(t, "two dots", "..")
	f.refuse(t, "more dots than fit", strings.Repeat(".", 100_000_000))
	f.refuse(t, "giant header", b64(`{"alg":"ES256","x":"`+strings.Repeat("a", 1<<20)+`"}`)+".e30.AA")
	f.refuse(t, "deep header", b64(`{"alg":"ES256","x":`+strings.Repeat("[", 5000)+`}`)+".e30.AA")
	good := sign(t, headerES256, f.claimText(`"x":"`+strings.Repeat("a", 5000)+`"`), f.acmeEC)
	if len(good) > MaxTokenLength {
		t.Fatalf("the token has %d bytes", len(good))
	}
	f.accept(t, "long", good)
	f.refuse(t, "too long", sign(t, headerES256, f.claimText(`"x":"`+strings.Repeat("a", MaxTokenLength)+`"`), f.acmeEC))
}

func TestEncryptedToken(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.refuse(t, "five parts", b64(`{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`)+".AAAA.AAAA.AAAA.AAAA")
	f.refuse(t, "four parts", sign(t, headerES256, f.claimText(""), f.acmeEC)+".AAAA")
	f.refuse(t, "JSON form", `{"payload":"`+b64(f.claimText(""))+`","signatures":[]}`)
}

func TestTokenDates(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	at := func(d time.Duration) string { return fmt.Sprint(f.clock().Add(d).Unix()) }
	payload := func(dates string) string {
		return `{"iss":"acme","repo":"a","scopes":["git:read"]` + dates + `}`
	}
	for _, c := range []struct {
		name, dates string
		ok          bool
	}{
		{"now", `,"iat":` + at(0) + `,"exp":` + at(time.Hour), true},
		{"no iat", `,"exp":` + at(time.Hour), true},
		{"white space", `, "iat": ` + at(0) + ` , "exp" : ` + at(time.Hour) + ` `, true},
		{"just expired", `,"iat":` + at(-time.Hour) + `,"exp":` + at(-10*time.Second), true},
		{"a year", `,"iat":` + at(0) + `,"exp":` + at(365*24*time.Hour), true},
		{"issued a moment ahead", `,"iat":` + at(20*time.Second) + `,"exp":` + at(time.Hour), true},
		{"expired", `,"iat":` + at(-time.Hour) + `,"exp":` + at(-61*time.Second), false},
		{"no exp", `,"iat":` + at(0), false},
		{"nbf in the future", `,"nbf":` + at(5*time.Minute) + `,"exp":` + at(time.Hour), false},
		{"nbf in the past", `,"nbf":` + at(-5*time.Minute) + `,"exp":` + at(time.Hour), true},
		{"iat in the future", `,"iat":` + at(5*time.Minute) + `,"exp":` + at(time.Hour), false},
		{"the year 9999", `,"iat":` + at(0) + `,"exp":253402300799`, false},
		{"beyond the year 9999", `,"iat":` + at(0) + `,"exp":99999999999999`, false},
		{"beyond int64", `,"exp":99999999999999999999999999`, false},
		{"too long without iat", `,"exp":` + at(11*365*24*time.Hour), false},
		{"too long, issued long ago", `,"iat":0,"exp":` + at(time.Hour), false},
		{"float", `,"exp":` + at(time.Hour) + `.5`, false},
		{"whole float", `,"exp":` + at(time.Hour) + `.0`, false},
		{"exponent", `,"exp":2e9`, false},
		{"negative", `,"exp":-1`, false},
		{"negative iat", `,"iat":-1,"exp":` + at(time.Hour), false},
		{"text", `,"exp":"` + at(time.Hour) + `"`, false},
		{"null", `,"exp":null`, false},
		{"nbf null", `,"nbf":null,"exp":` + at(time.Hour), false},
	} {
		token := sign(t, headerES256, payload(c.dates), f.acmeEC)
		if c.ok {
			f.accept(t, c.name, token)
		} else {
			f.refuse(t, c.name, token)
		}
	}
}

func TestExpiryIsSeenInTheCache(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	token := sign(t, headerES256, f.claimText(""), f.acmeEC)
	f.accept(t, "fresh", token)
	f.pass(59 * time.Minute)
	f.accept(t, "nearly over", token)
	f.pass(2 * time.Minute)
	f.refuse(t, "over", token)
}

func TestTokenOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	foreign := sign(t, headerES256, f.claimText(""), f.evilEC)
	unknown := sign(t, headerES256, strings.Replace(f.claimText(""), `"acme"`, `"nobody"`, 1), f.evilEC)
	f.refuse(t, "evil signs for acme", foreign)
	f.refuse(t, "unknown issuer", unknown)
	_, foreignErr := f.Authenticate(t.Context(), foreign)
	_, unknownErr := f.Authenticate(t.Context(), unknown)
	if foreignErr.Error() != unknownErr.Error() {
		t.Errorf("an issuer that exists shows: %q, else %q", foreignErr, unknownErr)
	}
	for _, iss := range []string{`"ACME"`, `"acme "`, `"acme/../evil"`, `""`, `null`, `["acme"]`, `"аcme"`, `"acme\u0000"`} {
		f.refuse(t, "iss "+iss, sign(t, headerES256, strings.Replace(f.claimText(""), `"acme"`, iss, 1), f.acmeEC))
	}
	who := f.accept(t, "evil for itself", sign(t, headerES256, strings.Replace(f.claimText(""), `"acme"`, `"evil"`, 1), f.evilEC))
	if who.Organization.Name != "evil" {
		t.Errorf("got %+v", who)
	}
}

func TestRepositoryClaim(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	with := func(repo string) string {
		return sign(t, headerES256, strings.Replace(f.claimText(""), `"team/app"`, repo, 1), f.acmeEC)
	}
	for _, repo := range []string{
		`"../evil"`, `"team/../app"`, `"/team/app"`, `"team/app/"`, `"team//app"`, `"team%2Fapp"`, `"team\\app"`, `"."`, `".."`,
		`"app.git"`, `"app\u0000"`, `"app\n"`, `"app "`, `"a\u202eb"`, `"app+ephemeral"`, `["app"]`, `null`, `7`, `"` + strings.Repeat("a", 300) + `"`,
	} {
		f.refuse(t, repo, with(repo))
	}
	for repo, want := range map[string]cairn.RepositoryName{`"Team/App"`: "Team/App", `"org"`: "org", `""`: "", `"caf\u00e9"`: "café"} {
		if who := f.accept(t, repo, with(repo)); who.Repository != want {
			t.Errorf("%s: got %q", repo, who.Repository)
		}
	}
}

func TestDuplicateClaims(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for _, more := range []string{`"repo":"other"`, `"scopes":["repo:write"]`, `"iss":"acme"`, `"exp":1`, `"r\u0065po":"other"`, `"x":1,"x":2`} {
		f.refuse(t, more, sign(t, headerES256, f.claimText(more), f.acmeEC))
	}
	f.refuse(t, "alg twice", sign(t, `{"alg":"ES256","alg":"ES256"}`, f.claimText(""), f.acmeEC))
	for _, payload := range []string{`[]`, `"x"`, `null`, `7`, ``, `{`, f.claimText("") + `{}`, f.claimText("") + "x", "\xef\xbb\xbf" + f.claimText("")} {
		f.refuse(t, payload, sign(t, headerES256, payload, f.acmeEC))
	}
	// Names that differ in case are other claims.
	who := f.accept(t, "case", sign(t, headerES256, f.claimText(`"Repo":"other","SCOPES":["repo:write"]`), f.acmeEC))
	if who.Repository != "team/app" || who.Has(cairn.RepoWrite) {
		t.Errorf("got %+v", who)
	}
}

func TestScopesAreAnArray(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	with := func(scopes string) string {
		return sign(t, headerES256, strings.Replace(f.claimText(""), `["git:read"]`, scopes, 1), f.acmeEC)
	}
	for _, scopes := range []string{`"git:read"`, `"git:read git:write"`, `null`, `{}`, `{"0":"git:read"}`, `[null]`, `[1]`, `[["git:read"]]`, `true`,
		`["` + strings.Repeat(`x","`, 100) + `x"]`} {
		f.refuse(t, scopes, with(scopes))
	}
	who := f.accept(t, "unknown scope", with(`["everything","git:*","GIT:WRITE","admin"]`))
	for _, scope := range []cairn.Scope{cairn.GitRead, cairn.GitWrite, cairn.RepoWrite, cairn.OrgRead} {
		if who.Has(scope) {
			t.Errorf("an unknown scope grants %s", scope)
		}
	}
	if who := f.accept(t, "no scopes", with(`[]`)); len(who.Scopes) != 0 {
		t.Errorf("got %+v", who)
	}
}

func TestRefPolicyClaim(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for _, c := range []struct {
		claims string
		want   cairn.RefPolicy
	}{
		{`"refs":[]`, nil},
		{`"refs":[["main",["no-push"]]]`, cairn.RefPolicy{{Pattern: "refs/heads/main", Ops: []cairn.RefOp{cairn.NoPush}}}},
		{`"refs":[["agents/*",[]],["*",["no-push","no-push"]]]`, cairn.RefPolicy{{Pattern: "refs/heads/agents/*"}, {Pattern: "*", Ops: []cairn.RefOp{cairn.NoPush}}}},
		{`"refs":[["HEAD",["no-force-push"]],["refs/tags/*",["no-push"]],["refs/*",[]]]`, cairn.RefPolicy{
			{Pattern: "HEAD", Ops: []cairn.RefOp{cairn.NoForcePush}}, {Pattern: "refs/tags/*", Ops: []cairn.RefOp{cairn.NoPush}}, {Pattern: "refs/*"}}},
		{`"ops":["no-push"]`, cairn.RefPolicy{{Pattern: "*", Ops: []cairn.RefOp{cairn.NoPush}}}},
		{`"ops":[]`, nil},
		{`"refs":[["*",["no-push"]],["x",[]]],"ops":["no-force-push","no-push"]`, cairn.RefPolicy{
			{Pattern: "*", Ops: []cairn.RefOp{cairn.NoPush, cairn.NoForcePush}}, {Pattern: "refs/heads/x"}}},
		{`"refs":[["x",[]]],"ops":["verify-sig"]`, cairn.RefPolicy{{Pattern: "refs/heads/x"}, {Pattern: "*", Ops: []cairn.RefOp{cairn.VerifySig}}}},
	} {
		who := f.accept(t, c.claims, sign(t, headerES256, f.claimText(c.claims), f.acmeEC))
		if !slices.EqualFunc(who.Policy, c.want, func(a, b cairn.RefRule) bool { return a.Pattern == b.Pattern && slices.Equal(a.Ops, b.Ops) }) {
			t.Errorf("%s: got %+v, want %+v", c.claims, who.Policy, c.want)
		}
	}
	for _, claims := range []string{
		`"refs":[["main",["no-pull"]]]`, `"refs":[["main",["No-Push"]]]`, `"refs":[["main"]]`, `"refs":[["main",["no-push"],1]]`, `"refs":[["main",null]]`,
		`"refs":[["main","no-push"]]`, `"refs":[[7,[]]]`, `"refs":["main"]`, `"refs":{"main":["no-push"]}`, `"refs":null`, `"refs":"main"`,
		`"refs":[["feature*",[]]]`, `"refs":[["a*b",[]]]`, `"refs":[["**",[]]]`, `"refs":[["/*",[]]]`, `"refs":[["",["no-push"]]]`, `"refs":[["a..b",[]]]`, `"refs":[["refs/heads/a b",[]]]`,
		`"ops":"no-push"`, `"ops":["everything"]`, `"ops":null`,
		`"refs":[` + strings.Repeat(`["a",[]],`, 300) + `["a",[]]]`,
	} {
		f.refuse(t, claims, sign(t, headerES256, f.claimText(claims), f.acmeEC))
	}
}

func TestZeroSignature(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	signed := b64(headerES256) + "." + b64(f.claimText(""))
	n := elliptic.P256().Params().N
	order := n.FillBytes(make([]byte, 32))
	zero := make([]byte, 32)
	one := big.NewInt(1).FillBytes(make([]byte, 32))
	for name, signature := range map[string][]byte{
		"0,0": slices.Concat(zero, zero), "1,0": slices.Concat(one, zero), "0,1": slices.Concat(zero, one), "n,n": slices.Concat(order, order),
		"empty": {}, "short": zero, "long": make([]byte, 65), "DER": {0x30, 6, 2, 1, 0, 2, 1, 0},
	} {
		f.refuse(t, name, signed+"."+base64.RawURLEncoding.EncodeToString(signature))
	}
	signed = b64(`{"alg":"EdDSA"}`) + "." + b64(f.claimText(""))
	f.refuse(t, "EdDSA zero", signed+"."+base64.RawURLEncoding.EncodeToString(make([]byte, 64)))
	// The signature of other bytes.
	other := sha512.Sum512([]byte("other"))
	signature, err := f.acmeEd.Sign(rand.Reader, other[:], crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	f.refuse(t, "EdDSA of other bytes", signed+"."+base64.RawURLEncoding.EncodeToString(signature))
}

// TestSignatureIsNotMalleable changes a token in ways that a lax decoder would
// not notice, which would make each a new entry in the cache.
func TestSignatureIsNotMalleable(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	good := sign(t, headerES256, f.claimText(""), f.acmeEC)
	f.refuse(t, "padding", good+"=")
	f.refuse(t, "line break", good+"\n")
	f.refuse(t, "inner line break", strings.Replace(good, ".", ".\n", 1))
	f.refuse(t, "space", " "+good)
	last := good[len(good)-1]
	for _, c := range []byte("AQgw") { // of the last character only two bits count
		if c != last {
			f.refuse(t, "last character", good[:len(good)-1]+string(c+1))
		}
	}
	f.accept(t, "itself", good)
}

func FuzzToken(f *testing.F) {
	fixture := newTenants(f)
	header, payload := headerES256, fixture.claimText(`"refs":[["main",["no-push"]]],"ops":["no-force-push"],"nbf":1`)
	f.Add(header, payload)
	f.Add(`{"alg":"RS256","kid":"a"}`, `{"iss":"acme","exp":1e3}`)
	f.Add(`{`, `{"a":{"a":[1,{}]},"a":0}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := b64(header) + "." + b64(payload) + ".AAAA"
		if _, err := fixture.Authenticate(context.Background(), token); err == nil {
			t.Fatal("a token without a signature was accepted")
		}
		set, err := decodeClaimSet("payload", b64(payload))
		if err != nil {
			return
		}
		c, err := parseClaims(set, fixture.limits, fixture.clock())
		if err != nil {
			if cairn.KindOf(err) != cairn.Unauthenticated {
				t.Fatalf("claims fail with %v", err)
			}
			return
		}
		// What was understood is what another reader of JSON understands.
		var plain struct {
			Repo   string   `json:"repo"`
			Scopes []string `json:"scopes"`
		}
		dec := json.NewDecoder(bytes.NewReader([]byte(payload)))
		if err := dec.Decode(&plain); err == nil && set["Repo"] == nil && c.repository != "" && plain.Repo != string(c.repository) && !mixedCase(set) {
			t.Fatalf("repo is %q here and %q there", c.repository, plain.Repo)
		}
	})
}

// mixedCase tells whether encoding/json, which folds case, may see other
// members than the ones that count.
func mixedCase(set claimSet) bool {
	for name := range set {
		if strings.EqualFold(name, "repo") && name != "repo" {
			return true
		}
	}
	return false
}

// FuzzReadObject compares with encoding/json, which keeps the last member of a
// name.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b" : [ 1 , "]" , { "x" : "}\"" } ] } `, `{"\u0061":true,"a":null}`, "{\"\xff\":\"\xfe\",\"b\":-1.5e3}",
		`{"a":[]}`, `{"a":[[],{}],"b":"\\"}`, `[{}]`, `{"a":1}}`, `{"a"`, ``, `null`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, twice, ok := readObject([]byte(text))
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &want); ok != (err == nil && want != nil) {
			t.Fatalf("%q is an object here: %t, there: %v", text, ok, err)
		}
		if !ok || twice != "" {
			return
		}
		if len(set) != len(want) {
			t.Fatalf("%q has %d members here, %d there", text, len(set), len(want))
		}
		for name, raw := range set {
			if !bytes.Equal(raw, want[name]) {
				t.Fatalf("%q: %q is %q here, %q there", text, name, raw, want[name])
			}
			var elements []json.RawMessage
			list, isArray := jsonArray(raw)
			if wantArray := len(raw) > 0 && raw[0] == '[' && json.Unmarshal(raw, &elements) == nil; isArray != wantArray || len(list) != len(elements) {
				t.Fatalf("%q: %q has %d elements here, %d there", text, raw, len(list), len(elements))
			}
			for i := range list {
				if !bytes.Equal(list[i], elements[i]) {
					t.Fatalf("%q: element %d is %q here, %q there", text, i, list[i], elements[i])
				}
			}
			var wantText string
			if got, isText := jsonString(raw); isText && (json.Unmarshal(raw, &wantText) != nil || got != wantText) {
				t.Fatalf("%q: %q is %q here, %q there", text, raw, got, wantText)
			}
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	f := newTenants(b)
	token := sign(b, headerES256, f.claimText(""), f.acmeEC)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Authenticate(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	f := newTenants(b)
	token := sign(b, headerES256, f.claimText(""), f.acmeEC)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}
