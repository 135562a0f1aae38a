package codearts_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/api/codearts"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// world is the face over the real service and stores, with the organizations
// acme and evil, and a project web of acme.
type world struct {
	service *service.Service
	server  *httptest.Server
	client  *http.Client // that holds every answer to the document
	project string
	key     service.AccessKeyWithSecret // of acme, for everything
	log     *logText
}

// logText is what was logged, for several goroutines.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var operator = cairn.Actor{Admin: true, Name: "admin"}

func newWorld(t *testing.T) *world {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	root := t.TempDir()
	bucket, err := dir.Open(filepath.Join(root, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := odb.Open(odb.Options{Metadata: metadata, Bucket: bucket, ScratchDir: filepath.Join(root, "scratch")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	secrets, err := secret.Parse(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	log := new(logText)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := &world{service: service.New(service.Options{Store: store, Logger: logger, Secrets: secrets}), log: log}
	for _, name := range []cairn.OrganizationName{"acme", "evil"} {
		if _, err := w.service.CreateOrganization(t.Context(), operator, name); err != nil {
			t.Fatal(err)
		}
	}
	w.project = string(w.newProject(t, "acme", "web").ID)
	w.key = w.newKey(t, "acme", service.NewAccessKey{Name: "ada"})
	face := codearts.New(w.service, codearts.Options{ExternalURL: "https://git.example.com/", Scratch: store.Scratch})
	w.server = httptest.NewServer(api.Edge(face, api.EdgeOptions{Logger: logger, Timeout: time.Minute, Gate: admission.New(admission.Options{})}))
	t.Cleanup(w.server.Close)
	w.client = w.server.Client()
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.client.Transport = &apitest.Transport{
		Next:     w.client.Transport,
		Document: document(),
		Mistake:  func(err error) { t.Errorf("not as documented: %v", err) },
		Streams:  func(*http.Request) bool { return false },
	}
	return w
}

// document is what every answer is held to.
var document = sync.OnceValue(func() *apitest.Document {
	d, err := apitest.Parse(codearts.OpenAPI)
	if err != nil {
		panic(err)
	}
	return d
})

func (w *world) newKey(t *testing.T, org cairn.OrganizationName, in service.NewAccessKey) service.AccessKeyWithSecret {
	t.Helper()
	key, err := w.service.CreateAccessKey(t.Context(), operator, org, in)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *world) newProject(t *testing.T, org cairn.OrganizationName, name string) cairn.Project {
	t.Helper()
	who, err := w.service.Operator(t.Context(), operator, org)
	if err != nil {
		t.Fatal(err)
	}
	project, err := w.service.CreateProject(t.Context(), who, name)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func (w *world) newUser(t *testing.T, name string) cairn.User {
	t.Helper()
	user, err := w.service.CreateUser(t.Context(), operator, service.NewUser{Name: name, Email: name + "@example.com", Password: "correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func (w *world) token(t *testing.T, key service.AccessKeyWithSecret) string {
	t.Helper()
	token, _, err := w.service.NewAccessToken(t.Context(), key.ID, key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return token.Text
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	Error  struct{ Code, Message string }
	Result json.RawMessage
	Status string
	Code   string `json:"error_code"`
}

// code is the code of an error in either form.
func (a answer) code() string { return a.Code + a.Error.Code }

// call sends a request with a token; an empty one is none.
func (w *world) call(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	return w.send(t, r)
}

func (w *world) send(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	if bytes.HasPrefix(text, []byte("{")) {
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("%s %s: %v in %s", r.Method, r.URL, err, text)
		}
	}
	if a.header.Get("X-Request-Id") == "" {
		t.Errorf("%s %s: no X-Request-Id", r.Method, r.URL)
	}
	return a
}

// must is call for a request that must go well, with the key of acme. It reads
// the result into a value, unless that is nil.
func (w *world) must(t *testing.T, method, path, body string, result any) answer {
	t.Helper()
	a := w.call(t, w.token(t, w.key), method, path, body)
	if a.status != http.StatusOK || a.Status != "success" {
		t.Fatalf("%s %s: got %d %s", method, path, a.status, a.text)
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// create makes a repository of the project web and returns its uuid.
func (w *world) create(t *testing.T, name string) string {
	t.Helper()
	var made struct {
		UUID string `json:"repository_uuid"`
	}
	w.must(t, "POST", "/v1/repositories", `{"name":"`+name+`","project_uuid":"`+w.project+`","enable_readme":1}`, &made)
	return made.UUID
}
