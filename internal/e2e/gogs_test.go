package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestOfficialGogsClient runs the official Go client of Gogs, unmodified,
// against a server; see gogs/main.go.
func TestOfficialGogsClient(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	create := exec.CommandContext(t.Context(), binary, "user", "create", "root", "--admin", "--email", "root@example.com", "--password-stdin", "--data", s.data, "--server", s.url(""))
	create.Stdin = strings.NewReader("pass of root\n")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", s.url(""), "root", "pass of root")
	cmd.Dir = "gogs"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, s.log)
	}
}
