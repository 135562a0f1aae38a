package server

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/config"
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
