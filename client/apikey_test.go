package client_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/client"
)

func TestAPIKeysOfAnOrganization(t *testing.T) {
	t.Parallel()
	made, err := operator.CreateAPIKey(t.Context(), "acme", client.NewAPIKey{Name: "ci", Scopes: []string{"read"}, Life: 3600, Labels: map[string]string{"env": "prod"}})
	if err != nil || !strings.HasPrefix(made.Key, "mesa_") || made.ExpiresAt == nil || made.Labels["env"] != "prod" {
		t.Fatalf("got %+v, %v", made, err)
	}
	find := func() (found client.APIKey) {
		t.Helper()
		for k, err := range operator.APIKeys(t.Context(), "acme") {
			if err != nil {
				t.Fatal(err)
			}
			if k.ID == made.ID {
				found = k
			}
		}
		return found
	}
	if k := find(); k.Name != "ci" || k.Key != "" || len(k.Scopes) != 1 || k.RevokedAt != nil {
		t.Errorf("listed as %+v", k)
	}
	if err := operator.RevokeAPIKey(t.Context(), "acme", made.ID); err != nil {
		t.Fatal(err)
	}
	if k := find(); k.RevokedAt == nil {
		t.Errorf("after it was revoked: %+v", k)
	}
	if _, err := operator.CreateAPIKey(t.Context(), "acme", client.NewAPIKey{Scopes: []string{"root"}}); err == nil {
		t.Error("an unknown scope is taken")
	}
}

func TestMesaKeyIsAPair(t *testing.T) {
	t.Parallel()
	private, public, err := client.GenerateMesaKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(private, "mesa_private_key_acme_")
	der, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(der) != 48 {
		t.Fatalf("the private key is %d bytes, %v", len(der), err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(public)
	half, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !half.(ed25519.PublicKey).Equal(key.(ed25519.PrivateKey).Public()) {
		t.Errorf("the halves do not belong together: %v", err)
	}
}
