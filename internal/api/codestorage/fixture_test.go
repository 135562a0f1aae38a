package codestorage_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

// world is a server with one organization, over the real service and stores.
type world struct {
	store   *odb.Store
	bucket  *dir.Bucket
	service *service.Service
	server  *httptest.Server
	client  *http.Client // that holds every answer to the document
	key     *ecdsa.PrivateKey
	org     string
	asked   chan struct{} // a request is answered, for who waits for that
}

func newWorld(t testing.TB, change ...func(*service.Options)) *world {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOver(t, metadata, change...)
}

// newWorldOver returns a world with that store, which it closes. Every function
// that is given to the store runs twice, as it may.
func newWorldOver(t testing.TB, metadata *sqlite.Metadata, change ...func(*service.Options)) *world {
	t.Helper()
	var err error
	t.Cleanup(func() { metadata.Close() })
	root := t.TempDir()
	bucket, err := dir.Open(filepath.Join(root, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{org: "acme", bucket: bucket, asked: make(chan struct{})}
	stockGit, err := gitexec.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.store, err = odb.Open(odb.Options{Metadata: storagetest.Rerunning{Metadata: metadata}, Bucket: bucket, ScratchDir: filepath.Join(root, "scratch"), Git: stockGit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	logger := slog.New(slog.DiscardHandler)
	secrets, err := secret.Parse(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	outside := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(func() { outside.Close() })
	o := service.Options{Store: w.store, Logger: logger, Secrets: secrets, Egress: outside}
	for _, c := range change {
		c(&o)
	}
	w.service = service.New(o)
	w.key = w.addOrganization(t, w.org)
	face := codestorage.New(w.service, codestorage.Options{ExternalURL: "https://git.example.com/"})
	w.server = httptest.NewServer(api.Edge(face, api.EdgeOptions{Logger: logger, Timeout: time.Minute, Gate: admission.New(admission.Options{})}))
	t.Cleanup(w.server.Close)
	w.client = w.server.Client()
	w.client.Transport = &apitest.Transport{
		Next:     w.client.Transport,
		Document: document(),
		Mistake:  func(err error) { t.Errorf("not as documented: %v", err) },
		Streams:  func(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/event-stream") },
	}
	return w
}

// document is what every answer is held to.
var document = sync.OnceValue(func() *apitest.Document {
	d, err := apitest.Parse(codestorage.OpenAPI)
	if err != nil {
		panic(err)
	}
	return d
})

func (w *world) addOrganization(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	operator := cairn.Actor{Admin: true, Name: "admin"}
	if _, err := w.service.CreateOrganization(t.Context(), operator, cairn.OrganizationName(name)); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if _, err := w.service.AddKey(t.Context(), operator, cairn.OrganizationName(name), string(public)); err != nil {
		t.Fatal(err)
	}
	return key
}

// claims are a token's claims that differ from those of an ordinary one.
type claims map[string]any

// token signs a token for a repository with all scopes.
func (w *world) token(t testing.TB, repo string, change claims) string {
	t.Helper()
	return sign(t, w.key, w.org, repo, change)
}

func sign(t testing.TB, key *ecdsa.PrivateKey, org, repo string, change claims) string {
	t.Helper()
	all := jwt.MapClaims{
		"iss": org, "sub": "tester", "repo": repo,
		"scopes": []string{"git:read", "git:write", "repo:write", "org:read"},
		"iat":    time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for k, v := range change {
		if v == nil {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, all).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request. A body that is not a string or bytes is sent as JSON.
func (w *world) call(t testing.TB, token, method, path string, body any, headers ...string) answer {
	t.Helper()
	defer func() {
		select {
		case w.asked <- struct{}{}:
		default:
		}
	}()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	case []byte:
		content = bytes.NewReader(b)
	case io.Reader:
		content = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, data}
}

// json decodes the answer's body.
func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatalf("body %q is not JSON: %v", a.body, err)
	}
	return out
}

// at reads a value of the answer by its path: "result.status", "paths.0".
func (a answer) at(t testing.TB, path string) any {
	t.Helper()
	var value any = a.json(t)
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status = %d, want %d; body %s", a.status, status, a.body)
	}
	return a
}

// repo is a repository of a world with a token for it.
type repo struct {
	*world
	t     testing.TB
	name  string
	token string // shadows the method: the repository's own
}

func (w *world) repo(t testing.TB, name string) *repo {
	t.Helper()
	r := &repo{world: w, t: t, name: name, token: w.token(t, name, nil)}
	r.post("/api/v1/repos", map[string]any{}).want(t, 201)
	return r
}

func (r *repo) get(path string, headers ...string) answer {
	r.t.Helper()
	return r.call(r.t, r.token, "GET", path, nil, headers...)
}

func (r *repo) post(path string, body any) answer {
	r.t.Helper()
	return r.call(r.t, r.token, "POST", path, body)
}

func (r *repo) delete(path string, body any) answer {
	r.t.Helper()
	return r.call(r.t, r.token, "DELETE", path, body)
}

// preferred is the path of the repository in the second family.
func (r *repo) preferred(path string) string {
	return "/api/repos/" + url.PathEscape(r.name) + path
}

// object is a JSON object.
type object = map[string]any

// upsert and remove are changes of a commit; content follows in pack.
type change struct {
	path, content, mode string
	remove              bool
}

func put(path, content string) change { return change{path: path, content: content} }
func remove(path string) change       { return change{path: path, remove: true} }

// pack is the body of a commit-pack.
func pack(metadata object, changes ...change) string {
	full := object{
		"target_branch":  "main",
		"commit_message": "a commit",
		"author":         object{"name": "Ann", "email": "ann@example.com"},
	}
	for k, v := range metadata {
		if v == nil {
			delete(full, k)
		} else {
			full[k] = v
		}
	}
	files := []object{}
	var chunks []object
	for i, c := range changes {
		id := fmt.Sprint("c", i)
		file := object{"path": c.path, "content_id": id, "operation": "upsert"}
		if c.mode != "" {
			file["mode"] = c.mode
		}
		if c.remove {
			file["operation"] = "delete"
		} else {
			chunks = append(chunks, chunk(id, c.content, true))
		}
		files = append(files, file)
	}
	if _, ok := metadata["files"]; !ok {
		full["files"] = files
	}
	return ndjson(append([]object{{"metadata": full}}, chunks...)...)
}

func chunk(id, data string, last bool) object {
	return object{"blob_chunk": object{"content_id": id, "data": base64.StdEncoding.EncodeToString([]byte(data)), "eof": last}}
}

func ndjson(lines ...object) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// commit makes a commit on main, or as metadata says, and returns its id.
func (r *repo) commit(metadata object, changes ...change) string {
	r.t.Helper()
	a := r.post("/api/v1/repos/commit-pack", pack(metadata, changes...)).want(r.t, 201)
	return a.at(r.t, "commit.commit_sha").(string)
}

// content reads a file.
func (r *repo) content(ref, path string) string {
	r.t.Helper()
	return string(r.get("/api/v1/repos/file?ref="+url.QueryEscape(ref)+"&path="+url.QueryEscape(path)).want(r.t, 200).body)
}

// stored reads a pack from the bucket.
func (r *repo) stored(stem string) []byte {
	r.t.Helper()
	in, err := r.bucket.Get(r.t.Context(), stem+".pack", 0, -1)
	if err != nil {
		r.t.Fatal(err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// export writes the repository as it is into a bare repository of stock git
// and checks it with git fsck.
func (r *repo) export() string {
	r.t.Helper()
	to := gittest.Init(r.t, gittest.Bare())
	ctx := r.t.Context()
	who, err := r.service.Authenticate(ctx, r.token)
	if err != nil {
		r.t.Fatal(err)
	}
	sn, err := r.store.Snapshot(ctx, who.Organization.ID, cairn.RepositoryName(r.name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer sn.Close()
	var packs []cairn.Pack
	err = r.store.Metadata().View(ctx, func(tx cairn.Tx) error {
		manifest, err := tx.Packs().Manifest(sn.Repository().RepositoryKey)
		if err != nil {
			return err
		}
		packs = nil
		for _, p := range manifest {
			if p, err = tx.Packs().Get(who.Organization.ID, p.ID); err != nil {
				return err
			}
			packs = append(packs, p)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range packs {
		data := p.Data
		if !p.Inline() {
			data = r.stored(p.Key)
		}
		file := filepath.Join(to.GitDir(), "objects", "pack", "pack-"+string(p.ID)+".pack")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			r.t.Fatal(err)
		}
		to.Git("index-pack", file)
	}
	for _, ref := range sn.Refs() {
		to.Git("update-ref", string(ref.Name), ref.Target.String())
	}
	to.Git("fsck", "--strict", "--full", "--no-dangling")
	return to.GitDir()
}
