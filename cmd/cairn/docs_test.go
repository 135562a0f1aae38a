package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDocumentsRun runs the shell examples of the documents as they are
// written, one after the other, against a new server: the tour, the page about
// the command line, and that about the API.
func TestDocumentsRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("the documents use curl, which is not installed: run `make test-deps`")
	}
	dir := t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "bin"), 0o700),
		os.Symlink(binary, filepath.Join(dir, "bin", "cairn")), // TestMain tells the command by its name
		os.WriteFile(filepath.Join(dir, "README.md"), []byte("# Team\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(), "HOME="+dir, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_GLOBAL="+filepath.Join(dir, "gitconfig"), "CAIRN_DATA="+filepath.Join(dir, "cairn-data"), "TZ=UTC",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	address := strings.TrimPrefix(serveDocuments(t, dir, env), "http://")

	script := "set -euo pipefail\n"
	for _, page := range []struct{ path, from, to string }{
		{"../../README.md", "## Five-minute tour", "## Configuration"},
		{"../../docs/cli.md", "# The command line", ""},
		{"../../docs/api/code-storage.md", "# Code Storage API", "## The TypeScript SDK"},
	} {
		text, err := os.ReadFile(page.path)
		if err != nil {
			t.Fatal(err)
		}
		_, part, found := strings.Cut(string(text), page.from+"\n")
		if page.to != "" {
			part, _, found = strings.Cut(part, page.to+"\n")
		}
		blocks := shellBlock.FindAllStringSubmatch(part, -1)
		if !found || len(blocks) < 4 {
			t.Fatalf("%s has %d examples: the test has lost its way", page.path, len(blocks))
		}
		script += "echo '# " + page.path + "'; cd " + dir + "\n"
		if page.path == "../../docs/api/code-storage.md" {
			script += "unset CAIRN_KEY_FILE TOKEN; cairn repo delete acme/team/app; cairn repo delete acme/team/fork; rm -rf app app2\n" // its own beginning
		}
		for _, b := range blocks {
			if !strings.Contains(b[1], "make build") {
				script += b[1]
			}
		}
	}
	script = strings.ReplaceAll(script, "127.0.0.1:8080", address)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-x", "-c", script)
	cmd.Dir, cmd.Env = dir, env
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out[max(0, len(out)-4000):])
	}
}

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// serveDocuments starts a server and returns its address.
func serveDocuments(t *testing.T, dir string, env []string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "bin", "cairn"), "serve", "--listen", "127.0.0.1:0", "--ops-listen", "")
	cmd.Dir, cmd.Env = dir, env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(filepath.Join(dir, "cairn-data", "address")); err == nil && len(text) > 0 {
			return strings.TrimSpace(string(text))
		}
	}
	t.Fatal("the server is not ready")
	return ""
}
