package mesa_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/api/mesa"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// root is the id of the virtual root.
const root = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

type object = map[string]any

// world is a server with the organizations acme and evil.
type world struct {
	t        testing.TB
	service  *service.Service
	metadata cairn.Metadata
	server   *httptest.Server
	client   *http.Client // that holds every answer to the document
}

var document = sync.OnceValue(func() *apitest.Document {
	d, err := apitest.Parse(mesa.OpenAPI)
	if err != nil {
		panic(err)
	}
	return d
})

func newWorld(t testing.TB, change ...func(*mesa.Options)) *world {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	folder := t.TempDir()
	bucket, err := dir.Open(filepath.Join(folder, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	stock, err := gitexec.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store, err := odb.Open(odb.Options{Metadata: metadata, Bucket: bucket, ScratchDir: filepath.Join(folder, "scratch"), Git: stock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	secrets, err := secret.Parse(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	outside := egress.New(egress.Options{Allow: loopback})
	t.Cleanup(func() { outside.Close() })
	logger := slog.New(slog.DiscardHandler)
	w := &world{t: t, metadata: metadata, service: service.New(service.Options{
		Store: store, Logger: logger, Secrets: secrets, Egress: outside,
		Upstreams: upstream.New(outside.Client(egress.Budget{}), upstream.Options{}), PlainUpstreams: loopback,
	})}
	options := mesa.Options{ExternalURL: "https://git.example.com"}
	for _, c := range change {
		c(&options)
	}
	face := mesa.New(w.service, options)
	w.server = httptest.NewServer(api.Edge(face, api.EdgeOptions{Logger: logger, Timeout: time.Minute, Gate: admission.New(admission.Options{}), Scratch: store.Scratch, Fail: mesa.Fail}))
	t.Cleanup(w.server.Close)
	w.client = w.server.Client()
	w.client.Transport = &apitest.Transport{Next: w.client.Transport, Document: document(), Mistake: func(err error) { t.Errorf("not as documented: %v", err) }}
	for _, name := range []cairn.OrganizationName{"acme", "evil"} {
		if _, err := w.service.CreateOrganization(t.Context(), cairn.Actor{Admin: true}, name); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// operator is the operator in an organization.
func (w *world) operator(org cairn.OrganizationName) cairn.Actor {
	w.t.Helper()
	who, err := w.service.Operator(w.t.Context(), cairn.Actor{Admin: true, Name: "admin"}, org)
	if err != nil {
		w.t.Fatal(err)
	}
	return who
}

// key makes an API key of an organization, for all repositories or some.
func (w *world) key(org cairn.OrganizationName, access cairn.Access, repos ...cairn.RepositoryID) string {
	w.t.Helper()
	made, err := w.service.CreateAPIKey(w.t.Context(), w.operator(org), service.NewAPIKey{Name: "test", Access: []cairn.Access{access}, Repositories: repos})
	if err != nil {
		w.t.Fatal(err)
	}
	return made.Text
}

// repository makes a repository of acme.
func (w *world) repository(name cairn.RepositoryName) cairn.Repository {
	w.t.Helper()
	made, err := w.service.CreateRepository(w.t.Context(), w.operator("acme"), service.NewRepository{Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// file is what commit writes.
type file struct {
	path, content string
	mode          git.FileMode
}

// commit writes files to main.
func (w *world) commit(repo cairn.RepositoryName, files ...file) git.ObjectID {
	w.t.Helper()
	request := service.CommitRequest{
		CommitTarget: service.CommitTarget{Branch: "main"},
		CommitInfo:   service.CommitInfo{Message: "files", Author: service.Identity{Name: "Ann", Email: "ann@example.com"}},
	}
	for _, f := range files {
		mode := f.mode
		if mode == 0 {
			mode = 0o100644
		}
		request.Files = append(request.Files, service.FileChange{Path: f.path, ContentID: f.path, Mode: mode})
	}
	writer, err := w.service.BeginCommit(w.t.Context(), w.operator("acme"), repo, request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer writer.Close()
	for _, f := range files {
		if err := writer.AddChunk(w.t.Context(), f.path, []byte(f.content), true); err != nil {
			w.t.Fatal(err)
		}
	}
	result, err := writer.Commit(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return result.Commit
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   object
}

func (a answer) errorCode() string {
	e, _ := a.json["error"].(object)
	code, _ := e["code"].(string)
	return code
}

// call asks for a path below /v1/.
func (w *world) call(key, method, path string, body any, header ...string) answer {
	w.t.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+"/v1/"+path, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(text)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &a.json); err != nil {
			w.t.Errorf("%s %s: %v in %.200s", method, path, err, text)
		}
	}
	return a
}

// want is call that must have a status.
func (w *world) want(status int, key, method, path string, body any, header ...string) answer {
	w.t.Helper()
	a := w.call(key, method, path, body, header...)
	if a.status != status {
		w.t.Errorf("%s %s: got %d %.300s, want %d", method, path, a.status, a.body, status)
	}
	return a
}
