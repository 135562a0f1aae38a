package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestSignedTokenSaysWhatWasAsked(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey, "EdDSA": edKey} {
		text, err := SignToken(key, Claims{
			Organization: "acme", Repository: "team/app", Subject: "ci", TTL: time.Hour, Scopes: []string{"git:read"},
			Policy: []RefRule{{Pattern: "agents/*"}, {Pattern: "*", Operations: []string{"no-push"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithValidMethods([]string{want}), jwt.WithExpirationRequired()); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		got, err := json.Marshal([]any{claims["iss"], claims["repo"], claims["sub"], claims["scopes"], claims["refs"], claims["exp"].(float64) - claims["iat"].(float64)})
		if err != nil {
			t.Fatal(err)
		}
		if want := `["acme","team/app","ci",["git:read"],[["agents/*",[]],["*",["no-push"]]],3600]`; string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SignToken(p384, Claims{}); err == nil {
		t.Error("a P-384 key signs")
	}
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for _, good := range []string{
		block("PRIVATE KEY", pkcs8), block("EC PRIVATE KEY", sec1), block("EC PARAMETERS", []byte{6, 0}) + block("EC PRIVATE KEY", sec1),
		"a comment\n" + block("PRIVATE KEY", pkcs8),
	} {
		if got, err := ParsePrivateKey([]byte(good)); err != nil || !key.Equal(got) {
			t.Errorf("got %v for\n%s", err, good)
		}
	}
	for _, bad := range []string{
		"", "nonsense", block("PUBLIC KEY", []byte("x")), block("PRIVATE KEY", []byte("x")), block("ENCRYPTED PRIVATE KEY", pkcs8), block("CERTIFICATE", nil),
	} {
		if _, err := ParsePrivateKey([]byte(bad)); err == nil {
			t.Errorf("this is taken:\n%s", bad)
		}
	}
}

func TestErrorsOfOtherServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"no JSON":         {404, "<html>", "the server answers 404"},
		"a good page":     {200, "<html>", "does not answer like a cairn server"},
		"a fault":         {500, `{"error":"internal error"}`, "internal error (request r1)"},
		"a refusal":       {409, `{"error":"taken"}`, "taken"},
		"an endless body": {500, strings.Repeat("x", 1<<20), "the server answers 500"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "r1")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		client, err := NewOperator(server.URL, "x", server.Client())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.CreateOrganization(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		server.Close()
	}
	if _, err := NewOperator("127.0.0.1:8080", "x", nil); err == nil {
		t.Error("an address without a scheme is taken")
	}
}

func TestLongOperationThatBreaksOff(t *testing.T) {
	t.Parallel()
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	defer server.Close()
	client, err := NewOperator(server.URL, "x", server.Client())
	if err != nil {
		t.Fatal(err)
	}
	answer = "{\"objects_done\":1,\"objects\":2}\n"
	var done []int
	if _, err := client.CheckRepository(t.Context(), "a", "b", func(d, all int) { done = append(done, d, all) }); err == nil || len(done) != 2 {
		t.Errorf("half an answer gives %v after %v", err, done)
	}
	answer += "{\"error\":\"disk\",\"status\":503}\n"
	var refused *Error
	if _, err := client.CheckRepository(t.Context(), "a", "b", nil); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("got %v", err)
	}
	answer = "{\"result\":{\"packs\":1,\"objects\":2,\"problems\":[\"p\"]}}\n"
	if result, err := client.CheckRepository(t.Context(), "a", "b", nil); err != nil || result.Objects != 2 || len(result.Problems) != 1 {
		t.Errorf("got %+v, %v", result, err)
	}
}

func ExampleSignToken() {
	private, _, err := GenerateKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := ParsePrivateKey(private)
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := SignToken(key, Claims{Organization: "acme", Repository: "team/app", Scopes: []string{"git:read"}, TTL: time.Hour})
	fmt.Println(strings.Count(token, "."), err)
	// Output: 2 <nil>
}
