package server

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/storage/sqldb"
)

func testConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.Listen, c.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	return c
}

func start(t *testing.T, c config.Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url) //nolint:noctx // the server ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestHealthReadinessMetricsAndOpenAPI(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	for _, c := range []struct{ url, want string }{
		{s.URL() + "/healthz", "ok\n"},
		{s.URL() + "/readyz", "ready\n"},
		{s.OpsURL() + "/healthz", "ok\n"},
		{s.OpsURL() + "/readyz", "ready\n"},
		{s.URL() + "/openapi.json", `"/admin/v1/organizations"`},
		{s.OpsURL() + "/metrics", `cairn_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"} 1`},
		{s.OpsURL() + "/debug/pprof/", "goroutine"},
	} {
		if status, body := get(t, c.url); status != http.StatusOK || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %.300s, want %q", c.url, status, body, c.want)
		}
	}
	s.draining.Store(true)
	if status, body := get(t, s.URL()+"/readyz"); status != http.StatusServiceUnavailable || body != "stopping\n" {
		t.Errorf("while stopping: %d %q", status, body)
	}
}

// TestSlashAtTheEndOfABaseAddress: some SDKs put the path right behind it, and
// a redirect would lose the body of a stream.
func TestSlashAtTheEndOfABaseAddress(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	if status, body := get(t, s.URL()+"//api/v1/repo"); status != http.StatusUnauthorized {
		t.Errorf("got %d %s, want 401", status, body)
	}
}

// TestOpsAreNotOnTheMainListener is item 67 of what attackers try.
func TestOpsAreNotOnTheMainListener(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline"} {
		if status, _ := get(t, s.URL()+path); status != http.StatusNotFound {
			t.Errorf("%s: got %d on the main listener, want 404", path, status)
		}
	}
}

func TestAdminTokenIsMadeOnceAndPrivate(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	first, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, c)
	if first.AdminToken() != second.AdminToken() || len(first.AdminToken()) < 40 {
		t.Errorf("got the admin tokens %q and %q, want one long one", first.AdminToken(), second.AdminToken())
	}
	info, err := os.Stat(filepath.Join(c.Data, adminTokenName))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the file has mode %o, want 600", got)
	}
}

func TestDataDirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	start(t, c)
	_, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if err == nil || !strings.Contains(err.Error(), "in use by another cairn (process ") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, addressName)); err != nil {
		t.Errorf("the refused start removed the first one's address: %v", err)
	}
}

func TestUnknownStoresAreRefused(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*config.Config){
		func(c *config.Config) { c.Metadata = "postgres://localhost/cairn" },
		func(c *config.Config) { c.Bucket = "s3://bucket" },
	} {
		c := testConfig(t)
		change(&c)
		if _, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test"); err == nil || !strings.Contains(err.Error(), "this version knows") {
			t.Errorf("got %v", err)
		}
	}
}

func TestOpsPortTakenIsOnlyAWarning(t *testing.T) {
	t.Parallel()
	first := start(t, testConfig(t))
	c := testConfig(t)
	c.OpsListen = strings.TrimPrefix(first.OpsURL(), "http://")
	second := start(t, c)
	if second.OpsURL() != "" {
		t.Errorf("got the address %s", second.OpsURL())
	}
	if status, _ := get(t, second.URL()+"/healthz"); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
}

func TestDataOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	first, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(c.Data, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "INSERT INTO schema_versions (version_id, is_applied) VALUES (99999, 1)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if !errors.Is(err, sqldb.ErrNewerSchema) || !strings.Contains(err.Error(), databaseName) {
		t.Errorf("got %v", err)
	}
}

func TestSelfSignedCertificateFitsItsHosts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	now := time.Now()
	first, authority, err := selfSigned(dir, []string{"localhost", "127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := selfSigned(dir, []string{"localhost", "127.0.0.1"}, now)
	if err != nil || !again.Leaf.Equal(first.Leaf) {
		t.Errorf("a certificate that fits was replaced (%v)", err)
	}
	more, _, err := selfSigned(dir, []string{"localhost", "127.0.0.1", "git.example.com"}, now)
	if err != nil || more.Leaf.VerifyHostname("git.example.com") != nil {
		t.Errorf("the certificate is not for a new host (%v)", err)
	}
	late, _, err := selfSigned(dir, []string{"localhost"}, now.Add(leafLife-leafRenewal/2))
	if err != nil || late.Leaf.Equal(more.Leaf) {
		t.Errorf("a certificate in its last month was kept (%v)", err)
	}
	after, err := os.ReadFile(authority)
	if err != nil || string(before) != string(after) {
		t.Errorf("the authority changed (%v)", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, authorityKey), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := selfSigned(dir, []string{"localhost"}, now); err == nil {
		t.Error("a broken authority was replaced without a word: clients would stop trusting the server")
	}
}

func TestRequestsBeyondMaxRequestsAreRefused(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.MaxRequests = 1
	s := start(t, c)
	read, write := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/admin/v1/organizations", read)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.AdminToken())
	request.Header.Set("Expect", "100-continue")
	answered := make(chan error, 1)
	go func() {
		response, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}).Do(request)
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				err = errors.New(response.Status)
			}
		}
		answered <- err
	}()
	if _, err := write.Write([]byte(`{`)); err != nil { // returns when the request is being carried out
		t.Fatal(err)
	}
	if status, body := get(t, s.URL()+"/openapi.json"); status != http.StatusServiceUnavailable || !strings.Contains(body, "max-requests") {
		t.Errorf("got %d %s", status, body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, s.URL()+path); status != http.StatusOK {
			t.Errorf("%s of a busy server: got %d %s", path, status, body)
		}
	}
	if _, err := write.Write([]byte(`"name":"acme"}`)); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if status, _ := get(t, s.URL()+"/openapi.json"); status != http.StatusOK {
		t.Errorf("afterwards: got %d", status)
	}
}
