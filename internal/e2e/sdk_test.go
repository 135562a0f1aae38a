package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestOfficialSDK runs the official Code Storage SDK, unmodified, against the
// server. `make test` installs Node.js and the SDK.
func TestOfficialSDK(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("sdk/node_modules/@pierre/storage"); err != nil {
		t.Fatal("the SDK is not installed: run `make test-deps`")
	}
	s := newServer(t)
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "core.mjs", s.url(""), key)
	cmd.Dir = "sdk"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, out, s.log)
	}
	t.Logf("%s", out)
}
