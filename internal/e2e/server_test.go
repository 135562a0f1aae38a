package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// binary is the command under test, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "cairn-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "cairn")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/cairn")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// server is a running `cairn serve`.
type server struct {
	t    testing.TB
	data string
	addr string
	args []string
	key  *ecdsa.PrivateKey

	cmd    *exec.Cmd
	exited chan error
	log    *lockedBuffer
}

// newServer starts a server on an empty data directory with the organization
// "acme" and a key for it.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), addr: listener.Addr().String(), args: args}
	listener.Close()
	s.start()
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cairn("org", "create", "acme")
	s.cairn("key", "add", "--org", "acme", "--public", public)
	return s
}

// start starts the server and returns how long it took until it was ready.
func (s *server) start() time.Duration {
	s.t.Helper()
	began := time.Now()
	args := append([]string{"serve", "--data", s.data, "--listen", s.addr, "--ops-listen", "", "--log-format", "json"}, s.args...)
	s.cmd = exec.Command(binary, args...)
	s.log = &lockedBuffer{}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "CAIRN_ADMIN_TOKEN=")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan error, 1)
	s.exited = exited
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(s.cmd)
	deadline := time.Now().Add(30 * time.Second)
	for {
		if resp, err := anyServer.Get(s.url("/readyz")); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began)
			}
		}
		select {
		case err := <-exited:
			s.exited = nil
			s.t.Fatalf("serve ended: %v\n%s", err, s.log)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("serve was not ready in time\n%s", s.log)
		}
	}
}

// stop ends the server with a signal and waits for it.
func (s *server) stop(sig syscall.Signal) error {
	if s.exited == nil {
		return nil
	}
	err := s.cmd.Process.Signal(sig)
	if err == nil {
		err = <-s.exited
	}
	s.exited = nil
	return err
}

func (s *server) url(path string) string {
	if slices.Contains(s.args, "--tls-self-signed") {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

// anyServer trusts every server: it only asks whether one is there.
var anyServer = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // on loopback

// cairn runs an administrative command against the server.
func (s *server) cairn(args ...string) string {
	s.t.Helper()
	out, err := s.tryCairn(args...)
	if err != nil {
		s.t.Fatalf("cairn %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *server) tryCairn(args ...string) (string, error) {
	args = append(args, "--server", s.url(""), "--data", s.data)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "CAIRN_ADMIN_TOKEN=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// collectGarbage makes the server compact every repository and sweep, and
// repacks those that are named, again and again, until stop is called. failed is
// told of what went wrong. At least one time must go well.
func (s *server) collectGarbage(failed func(err error, out string), repos ...string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	good := 0
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			out, err := s.tryCairn("gc")
			if err == nil {
				out, err = s.tryCairn(append([]string{"gc", "--org", "acme"}, repos...)...)
			}
			if err == nil {
				good++
			} else {
				failed(err, out)
			}
		}
	}()
	return func() {
		s.t.Helper()
		close(done)
		<-ended
		if good == 0 {
			s.t.Error("the server did not compact once")
		}
	}
}

// token signs a token for a repository with every scope.
func (s *server) token(repo string) string {
	s.t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "acme", "sub": "e2e", "repo": repo,
		"scopes": []string{"git:read", "git:write", "repo:write", "org:read"},
		"iat":    time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

func (s *server) remote(repo string) string {
	return "http://t:" + s.token(repo) + "@" + s.addr + "/" + repo + ".git"
}

// call makes an API request for a repository and decodes a JSON answer.
func (s *server) call(ctx context.Context, method, path, repo string, body io.Reader, into any) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url(path), body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token(repo))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %d %s: %w", method, path, resp.StatusCode, data, err)
	}
	return resp.StatusCode, err
}

func (s *server) createRepository(name string) {
	s.t.Helper()
	status, err := s.call(s.t.Context(), "POST", "/api/v1/repos", name, strings.NewReader(`{"default_branch":"main"}`), nil)
	if err != nil || status != http.StatusCreated {
		s.t.Fatalf("create %s: %d %v\n%s", name, status, err, s.log)
	}
}

// commitResult is the answer of commit-pack.
type commitResult struct {
	Result struct {
		OldSHA  string `json:"old_sha"`
		NewSHA  string `json:"new_sha"`
		Success bool   `json:"success"`
		Status  string `json:"status"`
		Message string `json:"message"`
	} `json:"result"`
}

var errNoAnswer = errors.New("no answer")

// commit writes one file through commit-pack. An error that matches
// errNoAnswer leaves open whether it happened.
func (s *server) commit(ctx context.Context, repo, branch, guard, path string, content []byte) (commitResult, int, error) {
	metadata := map[string]any{
		"target_branch": branch, "commit_message": "write " + path,
		"author": map[string]string{"name": "E2E", "email": "e2e@example.com"},
		"files":  []map[string]string{{"path": path, "content_id": "c", "operation": "upsert", "mode": "100644"}},
	}
	if guard != "" {
		metadata["expected_head_sha"] = guard
	}
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	if err := lines.Encode(map[string]any{"metadata": metadata}); err != nil {
		return commitResult{}, 0, err
	}
	chunk := map[string]any{"content_id": "c", "data": base64.StdEncoding.EncodeToString(content), "eof": true}
	if err := lines.Encode(map[string]any{"blob_chunk": chunk}); err != nil {
		return commitResult{}, 0, err
	}
	var r commitResult
	status, err := s.call(ctx, "POST", "/api/v1/repos/commit-pack", repo, &body, &r)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return r, status, err
}

// tip returns where a branch is; empty if it does not exist.
func (s *server) tip(ctx context.Context, repo, branch string) (string, error) {
	var r struct {
		Branch struct {
			HeadSHA string `json:"head_sha"`
		} `json:"branch"`
	}
	status, err := s.call(ctx, "GET", "/api/repos/"+repo+"/branch?name="+branch, repo, nil, &r)
	if err == nil && status != http.StatusOK && status != http.StatusNotFound {
		err = fmt.Errorf("branch %s of %s: status %d", branch, repo, status)
	}
	return r.Branch.HeadSHA, err
}
