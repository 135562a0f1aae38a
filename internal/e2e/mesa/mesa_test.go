// Package mesa runs the official Mesa SDK, unmodified, against a server.
package mesa

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cairn-storage/cairn/client"
	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/server"
)

// TestOfficialSDK runs the stories of run.mjs. `make test` installs Node.js and
// the SDK.
func TestOfficialSDK(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("node_modules/@mesadev/sdk"); err != nil {
		t.Fatal("the SDK is not installed: run `make test-deps`")
	}
	c := config.Default()
	c.Data, c.Listen, c.OpsListen = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", ""
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} // where the receiver of webhooks is
	s, err := server.Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	operator, err := client.NewOperator(s.URL(), s.AdminToken(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator.CreateOrganization(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	key, err := operator.CreateAPIKey(t.Context(), "acme", client.NewAPIKey{Name: "test", Scopes: []string{"admin"}})
	if err != nil {
		t.Fatal(err)
	}
	upstream := gittest.ServeHTTP(t, t.TempDir())
	upstream.Host(t, "upstream").Commit("main", "first", gittest.Files{"a": "1"})
	out, err := exec.CommandContext(t.Context(), "node", "run.mjs", s.URL(), key.Key, upstream.URL+"/upstream.git", privateKey(t, operator)).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// privateKey makes a private key for acme, registers its public half and returns
// the text that newer SDKs take.
func privateKey(t *testing.T, operator *client.Operator) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator.AddKey(t.Context(), "acme", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))); err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return "mesa_private_key_acme_" + base64.RawURLEncoding.EncodeToString(secret)
}
