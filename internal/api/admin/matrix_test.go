package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

const adminToken = "an-admin-token"

// newService returns a service with the organization acme, its repository app,
// and a token of it with every scope.
func newService(t *testing.T) (*service.Service, string) {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	bucket, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := odb.Open(odb.Options{Metadata: metadata, Bucket: bucket, ScratchDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	svc := service.New(service.Options{Store: store})
	operator := cairn.Actor{Admin: true, Name: "admin"}
	if _, err := svc.CreateOrganization(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.AddKey(t.Context(), operator, "acme", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "acme", "repo": "app", "scopes": []string{"git:read", "git:write", "repo:write", "org:read", "admin"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	who, err := svc.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateRepository(t.Context(), who, service.NewRepository{Name: "app"}); err != nil {
		t.Fatal(err)
	}
	return svc, token
}

// TestEveryRouteAsksForTheAdminToken calls each route without the admin token:
// all refuse alike, whether what they are about is there or not, and change
// nothing.
func TestEveryRouteAsksForTheAdminToken(t *testing.T) {
	t.Parallel()
	svc, organizations := newService(t)
	faces := map[string]http.Handler{
		"a server":                        New(svc, api.NewAuth(svc, adminToken)),
		"a server without an admin token": New(svc, api.NewAuth(svc, "")),
	}
	for pattern := range (&face{}).routes() {
		method, path, _ := strings.Cut(pattern, " ")
		there := strings.NewReplacer("{organization}", "acme", "{name}", "app", "{key}", "x", "{id}", "x", "{user}", "ada", "{token}", "x", "{project}", "x").Replace(path)
		absent := strings.NewReplacer("{organization}", "nobody", "{name}", "nothing", "{key}", "x", "{id}", "x", "{user}", "ada", "{token}", "x", "{project}", "y").Replace(path)
		if strings.Contains(there, "{") {
			t.Errorf("%s: the test has no value for a name of the path", pattern)
		}
		for name, face := range faces {
			for what, credential := range map[string]string{
				"nothing": "", "an empty token": "Bearer ", "garbage": "Bearer garbage", "a longer one": "Bearer " + adminToken + "x",
				"a part": "Bearer " + adminToken[:5], "the token of an organization": "Bearer " + organizations, "another scheme": "Digest " + adminToken,
			} {
				for _, path := range []string{there, absent} {
					r := httptest.NewRequest(method, path, strings.NewReader(`{"name":"made"}`))
					r.Header.Set("Authorization", credential)
					w := httptest.NewRecorder()
					face.ServeHTTP(w, r)
					if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"status":401`) {
						t.Errorf("%s, %s: %s answers %d %s", name, what, pattern, w.Code, w.Body)
					}
				}
			}
		}
	}
	operator := cairn.Actor{Admin: true, Name: "admin"}
	orgs, err := svc.ListOrganizations(t.Context(), operator, "", 0)
	if err != nil || len(orgs.Organizations) != 1 {
		t.Errorf("organizations are %v, %v", orgs, err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/admin/v1/organizations/acme/repositories/app", nil)
	r.Header.Set("Authorization", "Bearer "+adminToken)
	if faces["a server"].ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("the admin token does not open the repository: %d %s", w.Code, w.Body)
	}
}
