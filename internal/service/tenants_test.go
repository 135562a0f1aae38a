package service

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

// tenants is a service with the organizations acme and evil, each with keys of
// its own, and a clock that the test moves.
type tenants struct {
	*Service
	mu  sync.Mutex
	now time.Time

	acmeEC, evilEC *ecdsa.PrivateKey
	acmeRSA        *rsa.PrivateKey
	acmeEd         ed25519.PrivateKey
}

func (f *tenants) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *tenants) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// testRSA is made once: it takes long.
var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// newTenants returns tenants over a store that runs every function twice, as
// stores may, or over one that is wrapped otherwise.
func newTenants(t testing.TB, wrap ...func(cairn.Metadata) cairn.Metadata) *tenants {
	t.Helper()
	opened, err := sqlite.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var metadata cairn.Metadata = opened
	if _, measured := t.(*testing.B); !measured && len(wrap) == 0 {
		metadata = storagetest.Rerunning{Metadata: opened}
	}
	for _, w := range wrap {
		metadata = w(metadata)
	}
	bucket, err := dir.Open(filepath.Join(t.TempDir(), "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	stock, err := stockGit()
	if err != nil {
		t.Fatal(err)
	}
	store, err := odb.Open(odb.Options{Metadata: metadata, Bucket: bucket, ScratchDir: filepath.Join(t.TempDir(), "scratch"), Git: stock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), bucket.Close(), metadata.Close()); err != nil {
			t.Error(err)
		}
	})
	f := &tenants{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), acmeRSA: testRSA()}
	secrets, err := secret.Parse(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	f.Service = New(Options{Store: store, Now: f.clock, Secrets: secrets})
	f.acmeEC, f.evilEC = newEC(t), newEC(t)
	_, f.acmeEd, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []cairn.OrganizationName{"acme", "evil"} {
		if _, err := f.CreateOrganization(t.Context(), operator, name); err != nil {
			t.Fatal(err)
		}
	}
	f.register(t, "acme", f.acmeEC)
	f.register(t, "acme", f.acmeRSA)
	f.register(t, "acme", f.acmeEd)
	f.register(t, "evil", f.evilEC)
	return f
}

var stockGit = sync.OnceValues(func() (*gitexec.Git, error) { return gitexec.Find(context.Background()) })

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicPEM(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func (f *tenants) register(t testing.TB, org cairn.OrganizationName, key crypto.Signer) cairn.PublicKey {
	t.Helper()
	added, err := f.AddKey(t.Context(), operator, org, publicPEM(t, key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// claimText is a payload that is good but for what the test adds.
func (f *tenants) claimText(more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"iss":"acme","sub":"ci","repo":"team/app","scopes":["git:read"],"iat":%d,"exp":%d%s}`,
		f.clock().Unix(), f.clock().Add(time.Hour).Unix(), more)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token of any header and payload, signed as the key's type does.
func sign(t testing.TB, header, payload string, key crypto.Signer) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	var method jwt.SigningMethod = jwt.SigningMethodES256
	switch key.(type) {
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	}
	signature, err := method.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// refuse wants a token to be refused as Unauthenticated.
func (f *tenants) refuse(t *testing.T, name, token string) {
	t.Helper()
	who, err := f.Authenticate(t.Context(), token)
	if cairn.KindOf(err) != cairn.Unauthenticated {
		t.Errorf("%s: got %+v and the error %v, want Unauthenticated", name, who, err)
	}
	if who.Organization.ID != "" || who.Scopes != nil || who.Admin {
		t.Errorf("%s: the refused token has the actor %+v", name, who)
	}
}

func (f *tenants) accept(t *testing.T, name, token string) cairn.Actor {
	t.Helper()
	who, err := f.Authenticate(t.Context(), token)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return who
}
