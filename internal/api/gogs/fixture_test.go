package gogs

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

var document = sync.OnceValues(func() (*apitest.Document, error) { return apitest.Parse(OpenAPI) })

// world is a face over real stores with some users: ada owns the repositories
// site, which is private, and open. In both reader, writer and admin have the
// roles of their names. owner owns the organization acme, with the private
// repository tools. stranger has nothing; root administers the server.
type world struct {
	*Face
	t        testing.TB
	service  *service.Service
	metadata cairn.Metadata
	tokens   map[string]string
}

var userNames = []string{"ada", "reader", "writer", "admin-of-it", "owner", "stranger", "root"}

func newWorld(t testing.TB, change ...func(*service.Options)) *world {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	check(t, err)
	t.Cleanup(func() { metadata.Close() })
	bucket, err := dir.Open(t.TempDir())
	check(t, err)
	store, err := odb.Open(odb.Options{Metadata: metadata, Bucket: bucket, ScratchDir: t.TempDir()})
	check(t, err)
	t.Cleanup(func() { store.Close() })
	o := service.Options{Store: store}
	for _, c := range change {
		c(&o)
	}
	svc := service.New(o)
	w := &world{New(svc, Options{ExternalURL: "https://git.example"}), t, svc, metadata, map[string]string{}}
	operator := cairn.Actor{Admin: true, Name: "admin"}
	for _, name := range userNames {
		_, err := svc.CreateUser(t.Context(), operator, service.NewUser{Name: name, Email: name + "@example.com", Admin: name == "root"})
		check(t, err)
		w.tokens[name], _, err = svc.CreateUserToken(t.Context(), operator, name, "test")
		check(t, err)
	}
	for _, body := range []string{`{"name":"site","private":true,"auto_init":true}`, `{"name":"open","auto_init":true}`} {
		w.must("ada", "POST", "user/repos", body, 201)
	}
	w.must("owner", "POST", "user/orgs", `{"username":"acme"}`, 201)
	w.must("owner", "POST", "org/acme/repos", `{"name":"tools","private":true,"auto_init":true}`, 201)
	for _, repo := range []string{"site", "open"} {
		for user, permission := range map[string]string{"reader": "read", "writer": "write", "admin-of-it": "admin"} {
			w.must("ada", "PUT", "repos/ada/"+repo+"/collaborators/"+user, `{"permission":"`+permission+`"}`, 204)
		}
	}
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a request of a user, or of nobody, and holds the answer to the
// document.
func (w *world) call(user, method, path, body string) (int, string) {
	w.t.Helper()
	status, text, _ := w.ask(user, method, path, body)
	return status, text
}

func (w *world) ask(user, method, path, body string) (int, string, http.Header) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, prefix+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		r.Header.Set("Authorization", "token "+w.tokens[user])
	}
	out := httptest.NewRecorder()
	w.ServeHTTP(out, r)
	response := out.Result()
	text, err := io.ReadAll(response.Body)
	check(w.t, err)
	d, err := document()
	check(w.t, err)
	if err := d.Check(r, response, text); err != nil && !bytes.Contains(text, []byte("there is no such route")) && !manySegments(err) {
		w.t.Errorf("%s: %v", user, err)
	}
	return response.StatusCode, string(text), response.Header
}

// manySegments tells the addresses in which a path has slashes: what they answer
// with one segment is held to the document.
func manySegments(err error) bool {
	return strings.Contains(err.Error(), "is not documented and answers 200")
}

func (w *world) must(user, method, path, body string, status int) string {
	w.t.Helper()
	got, text := w.call(user, method, path, body)
	if got != status {
		w.t.Fatalf("%s: %s %s %s: %d %s, want %d", user, method, path, body, got, text, status)
	}
	return text
}

// actor is a user as what they are in a repository, for what is done behind the
// face's back.
func (w *world) actor(user, repo string) cairn.Actor {
	w.t.Helper()
	in, err := w.service.LoginToken(w.t.Context(), w.tokens[user])
	check(w.t, err)
	who, _, err := w.service.ActorIn(w.t.Context(), in, user, repo)
	check(w.t, err)
	return who
}

// owner is a user as the owner of a repository of theirs, which need not exist.
func (w *world) owner(user string, repo cairn.RepositoryName) cairn.Actor {
	w.t.Helper()
	in, err := w.service.LoginToken(w.t.Context(), w.tokens[user])
	check(w.t, err)
	who, err := w.service.OwnerIn(w.t.Context(), in, user, repo)
	check(w.t, err)
	return who
}

// eventually waits for what happens in the background. A test that never sees
// it ends with the time of all tests.
func (w *world) eventually(happened func() bool) {
	w.t.Helper()
	for !happened() {
		time.Sleep(5 * time.Millisecond)
	}
}

// read decodes an answer.
func read[T any](w *world, user, path string) (value T) {
	w.t.Helper()
	text := w.must(user, "GET", path, "", 200)
	check(w.t, json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&value))
	return value
}
