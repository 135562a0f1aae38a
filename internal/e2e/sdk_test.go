package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOfficialSDK runs the official Code Storage SDK, unmodified, against a
// server over TLS: every method of it. `make test` installs Node.js and the SDK.
func TestOfficialSDK(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("sdk/node_modules/@pierre/storage"); err != nil {
		t.Fatal("the SDK is not installed: run `make test-deps`")
	}
	s := newServer(t, "--tls-self-signed", "--egress-allow", "127.0.0.0/8") // where the receiver of webhooks and the upstream are
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream, _ := newUpstream(t)
	authority := filepath.Join(s.data, "tls", "ca.pem")
	cmd := exec.CommandContext(t.Context(), "node", "run.mjs", s.url(""), key, authority)
	cmd.Dir = "sdk"
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+authority, "UPSTREAM_HOST="+strings.TrimPrefix(upstream.URL, "http://"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, out, s.log)
	}
	t.Logf("%s", out)
}
