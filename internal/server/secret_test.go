package server

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/secret"
)

// logged is what servers wrote into their log, one after the other.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// run starts a server that logs everything.
func (l *logged) run(t *testing.T, c config.Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), c, slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() }) //nolint:errcheck // some end earlier
	return s
}

// TestSecretKey: the file that seals stored secrets is made once and private;
// without it nothing goes out that looks signed, and its owner and the operator
// are told what to restore; with it again the server goes on.
func TestSecretKey(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	path := filepath.Join(c.Data, secretKeyName)
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	t.Cleanup(receiver.Close)
	var log logged

	s := log.run(t, c)
	first := readPrivate(t, path)
	acme := newTenant(t, s, "acme")
	var hook struct{ ID, Secret string }
	status, body := do(t, acme.request(t, "POST", "/api/v1/webhooks", "", strings.NewReader(`{"url":"`+receiver.URL+`","events":["push"]}`)))
	if err := json.Unmarshal([]byte(body), &hook); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	restart := func(key []byte) {
		t.Helper()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		var err error
		if key == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, key, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		s = log.run(t, c)
		acme.server = s
	}
	restart(first)
	if got := readPrivate(t, path); !bytes.Equal(got, first) {
		t.Error("a restart made another key")
	}
	call := func(method, path, body string) {
		t.Helper()
		if status, text := do(t, acme.request(t, method, "/api/v1/webhooks/"+hook.ID+path, "", strings.NewReader(body))); status/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
	}
	deliveries := func(what, has, hasNot string) {
		t.Helper()
		eventually(t, what, func() bool {
			_, body := do(t, acme.request(t, "GET", "/api/v1/webhooks/"+hook.ID+"/deliveries", "", nil))
			return strings.Contains(body, has) && !strings.Contains(body, hasNot)
		})
	}
	call("POST", "/ping", "")
	deliveries("delivered", `"state":"succeeded"`, `"state":"waiting"`)

	const lost = "sealed with the key"
	restart([]byte(secret.NewKey() + "\n"))
	call("POST", "/ping", "")
	deliveries("not delivered", lost, `"state":"failed"`)
	restart(nil) // one is made, but it is not the one
	other := readPrivate(t, path)
	if bytes.Equal(other, first) {
		t.Error("the new key is the old one")
	}
	if got := arrived.Load(); got != 1 {
		t.Errorf("%d requests arrived, want the one before the key was lost", got)
	}
	restart(append(bytes.Clone(other), first...))
	call("PATCH", "", `{"active":true}`) // tries at once
	deliveries("delivered in the end", `"state":"succeeded"`, `"state":"waiting"`)

	text := log.String()
	if !strings.Contains(text, lost) {
		t.Error("the operator was not told")
	}
	for _, secret := range [][]byte{first, other, []byte(hook.Secret)} {
		if word := strings.TrimSpace(string(secret)); len(word) < 20 || strings.Contains(text, word) {
			t.Errorf("the log has the secret %q", word)
		}
	}
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(t *testing.T, path string) []byte {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("%s has mode %o, want 600", filepath.Base(path), got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDamagedSecretKeyEndsTheStart(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "no key": "correct horse battery staple", "half a key": secret.NewKey()[:30]} {
		c := testConfig(t)
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Data, secretKeyName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
		if err == nil || !strings.Contains(err.Error(), secretKeyName) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: got error %v", name, err)
		}
		c = testConfig(t)
		if c.SecretKey = config.Secret(text); text == "" {
			continue // the file's, then
		}
		_, err = Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
		if err == nil || !strings.Contains(err.Error(), "secret-key") || strings.Contains(err.Error(), text) {
			t.Errorf("%s as a setting: got error %v", name, err)
		}
	}
}
