package gogs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/upstream"
	"github.com/cairn-storage/cairn/internal/worker"
)

// migrations is a world that may take over what a stock server on loopback has,
// and at no other private address.
type migrations struct {
	*world
	upstream *gittest.HTTPServer
	root     string // of the upstream's repositories
	uids     map[string]int64
}

func newMigrations(t *testing.T) *migrations {
	t.Helper()
	m := &migrations{root: t.TempDir(), uids: map[string]int64{}}
	m.upstream = gittest.ServeHTTP(t, m.root)
	allowed := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	out := egress.New(egress.Options{Allow: allowed})
	t.Cleanup(func() { out.Close() })
	var jobs *worker.JobRunner
	var metadata cairn.Metadata
	m.world = newWorld(t, func(o *service.Options) {
		secrets, err := secret.Parse(secret.NewKey())
		check(t, err)
		metadata = o.Store.Metadata()
		o.Secrets, o.Logger = secrets, slog.New(slog.DiscardHandler)
		o.Upstreams = upstream.New(out.Client(egress.Budget{}), upstream.Options{})
		o.PlainUpstreams = allowed
		o.Egress, o.ExternalURL = out, "https://git.example"
		o.Enqueued = func(kind cairn.JobKind) { jobs.Wake(kind) }
	})
	jobs = worker.StartJobs(worker.JobOptions{
		Metadata: metadata, Logger: slog.New(slog.DiscardHandler), Alone: true,
		Kinds: []worker.JobKind{
			{Kind: service.SyncJob, AtOnce: 4, Run: m.service.RunSync}, {Kind: service.WebhookJob, AtOnce: 4, Run: m.service.DeliverWebhook},
		},
	})
	t.Cleanup(jobs.Close)
	for _, name := range []string{"ada", "acme", "owner"} {
		m.uids[name] = read[user](m.world, "ada", "users/"+name).ID
	}
	return m
}

// hosted makes a bare repository on the stock server.
func (m *migrations) hosted(name string) *gittest.Repo {
	m.t.Helper()
	dir := filepath.Join(m.root, name+".git")
	check(m.t, os.MkdirAll(dir, 0o700))
	gittest.Git(m.t, dir, "init", "-q", "--bare", ".")
	return gittest.Open(m.t, dir)
}

// body is a migration of an address into ada's organization, unless it says
// otherwise.
func (m *migrations) body(name, address string, more map[string]any) string {
	m.t.Helper()
	all := map[string]any{"clone_addr": address, "uid": m.uids["ada"], "repo_name": name}
	for key, value := range more {
		all[key] = value
	}
	text, err := json.Marshal(all)
	check(m.t, err)
	return string(text)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	up := m.hosted("team/app")
	tip := up.Commit("trunk", "first", gittest.Files{"a": "1\n"})
	up.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
	up.Git("tag", "-m", "annotated", "v1", "trunk")
	address := m.upstream.URL + "/team/app.git"

	var once repository
	check(t, json.Unmarshal([]byte(m.must("ada", "POST", "repos/migrate", m.body("Once", address, map[string]any{"private": true, "description": "Taken over."}), 201)), &once))
	if once.FullName != "ada/Once" || once.Mirror || once.Empty || !once.Private || once.DefaultBranch != "trunk" || once.Description != "Taken over." || once.Size == 0 || !once.Permissions.Admin {
		t.Errorf("the repository is %+v", once)
	}
	if b := read[branch](m.world, "ada", "repos/ada/once/branches/trunk"); b.Commit.ID != tip {
		t.Errorf("its branch is at %s, want %s", b.Commit.ID, tip)
	}
	m.must("ada", "POST", "repos/ada/once/mirror-sync", "", 404)

	var mirror repository
	check(t, json.Unmarshal([]byte(m.must("owner", "POST", "repos/migrate", m.body("mirror", address, map[string]any{"uid": m.uids["acme"], "mirror": true}), 201)), &mirror))
	if mirror.FullName != "acme/mirror" || !mirror.Mirror || mirror.Private || mirror.Empty {
		t.Errorf("the mirror is %+v", mirror)
	}
	next := up.Commit("trunk", "second", gittest.Files{"a": "2\n"})
	m.must("owner", "POST", "repos/acme/mirror/mirror-sync", "", 202)
	m.eventually(func() bool {
		return read[branch](m.world, "owner", "repos/acme/mirror/branches/trunk").Commit.ID == next
	})
	if b := read[branch](m.world, "ada", "repos/ada/once/branches/trunk"); b.Commit.ID != tip {
		t.Errorf("what was taken over once follows to %s", b.Commit.ID)
	}

	m.hosted("team/empty")
	m.must("root", "POST", "repos/migrate", m.body("empty", m.upstream.URL+"/team/empty.git", nil), 201)
	if r := read[repository](m.world, "ada", "repos/ada/empty"); !r.Empty {
		t.Errorf("an empty one is %+v", r)
	}
}

func TestMigrateWithCredential(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	m.hosted("team/app").Commit("main", "first", gittest.Files{"a": "1\n"})
	address := m.upstream.URL + "/team/app.git"
	for what, more := range map[string]map[string]any{
		"without a credential": nil, "with a wrong one": {"auth_username": "bot", "auth_password": "wrong"}, "without a password": {"auth_username": "bot"},
	} {
		text := m.must("ada", "POST", "repos/migrate", m.body("app", address, more), 422)
		if strings.Contains(text, "wrong") {
			t.Errorf("%s: the error shows the password: %s", what, text)
		}
		m.must("ada", "GET", "repos/ada/app", "", 404)
	}
	for _, mirror := range []bool{true, false} {
		name := fmt.Sprintf("mirror-%v", mirror)
		text := m.must("ada", "POST", "repos/migrate", m.body(name, address, map[string]any{"auth_username": "bot", "auth_password": "sesame/street", "mirror": mirror}), 201)
		if strings.Contains(text, "sesame") {
			t.Errorf("the repository shows the password: %s", text)
		}
		m.must("ada", "GET", "repos/ada/"+name+"/contents/a", "", 200)
		found, err := m.service.Repository(t.Context(), m.actor("ada", name), cairn.RepositoryName(name))
		check(t, err)
		check(t, m.metadata.View(t.Context(), func(tx cairn.Tx) error {
			_, err := tx.Credentials().Of(found.RepositoryKey)
			if kept := err == nil; kept != mirror {
				t.Errorf("mirror %v: the credential is kept: %v", mirror, kept)
			}
			return nil
		}))
	}
}

func TestMigrateErrors(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	m.hosted("team/app").Commit("main", "first", gittest.Files{"a": "1\n"})
	address := m.upstream.URL + "/team/app.git"
	fields := func(body string, want ...string) {
		t.Helper()
		var got []fieldProblem
		check(t, json.Unmarshal([]byte(m.must("ada", "POST", "repos/migrate", body, 422)), &got))
		var names []string
		for _, p := range got {
			names = append(names, p.Fields[0]+" "+p.Classification)
		}
		if fmt.Sprint(names) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", body, names, want)
		}
	}
	fields(`{}`, "CloneAddr RequiredError", "UID RequiredError", "RepoName RequiredError")
	fields(m.body("a b", address, map[string]any{"description": strings.Repeat("ü", 513)}), "RepoName AlphaDashDotError", "Description MaxSizeError")
	for text, more := range map[string]map[string]any{
		"no user or organization": {"uid": 999}, "no user or organization of": {"uid": -1}, "of that uid": {"uid": int64(1) << 40},
		"name is not allowed": {"repo_name": "x.git"}, "already exists": {"repo_name": "SITE"}, "cannot be read": {"clone_addr": m.upstream.URL + "/team/nothing.git"},
	} {
		if got := m.must("ada", "POST", "repos/migrate", m.body("app", address, more), 422); !strings.Contains(got, text) {
			t.Errorf("%v: %s, want %q", more, got, text)
		}
	}
	for uid, text := range map[string]string{"owner": "Given user is not an organization.", "acme": "Given user is not owner of organization."} {
		if got := m.must("ada", "POST", "repos/migrate", m.body("app", address, map[string]any{"uid": m.uids[uid]}), 403); !strings.Contains(got, text) {
			t.Errorf("into %s: %s", uid, got)
		}
	}
	m.must("ada", "GET", "repos/ada/app", "", 404)
}

// TestMigrateBreaksOff: what an upstream answers at first may still come to
// nothing, and then nothing stays.
func TestMigrateBreaksOff(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	m.hosted("team/app").Commit("main", "first", gittest.Files{"a": "1\n"})
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusForbidden} {
		m.upstream.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			body, err := io.ReadAll(r.Body)
			check(t, err)
			r.Body = io.NopCloser(bytes.NewReader(body))
			if !bytes.Contains(body, []byte("command=fetch")) {
				return false
			}
			w.WriteHeader(status)
			return true
		})
		want := map[int]int{503: 503, 403: 422}[status]
		if text := m.must("ada", "POST", "repos/migrate", m.body("app", m.upstream.URL+"/team/app.git", map[string]any{"mirror": true}), want); !strings.Contains(text, "cannot clone") {
			t.Errorf("%d: %s", status, text)
		}
		m.must("ada", "GET", "repos/ada/app", "", 404)
	}
}

// TestMigrateSSRF migrates from where a server must not call: private addresses
// in every form, other protocols and paths of its own disk, and a public
// address that leads to a private one.
func TestMigrateSSRF(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	called := false
	m.upstream.Intercept(func(w http.ResponseWriter, r *http.Request) bool { called = true; return false })
	port := m.upstream.URL[strings.LastIndexByte(m.upstream.URL, ':'):]
	for _, address := range []string{
		"https://127.0.0.2/a/b.git", "http://127.0.0.2" + port + "/a/b.git", "https://localhost/a/b.git", "http://localhost" + port + "/a/b.git", "http://[::1]" + port + "/a/b.git",
		"http://[::ffff:127.0.0.2]" + port + "/a/b", "http://2130706433/a/b", "http://0x7f.1/a/b", "http://0177.0.0.1/a/b", "http://127.1" + port + "/a/b", "http://0.0.0.0" + port + "/a/b",
		"http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/a/b", "http://100.64.0.1/a/b", "http://10.0.0.1/a/b", "https://192.168.0.1/a/b", m.upstream.URL[:4] + "s" + m.upstream.URL[4:] + "/a/b",
		"/etc", "/srv/git/a/b.git", "../a/b", "file:///srv/git/a/b.git", "file://localhost/srv/git/a", "C:\\a\\b", "ext::sh -c touch% /tmp/x", "git://127.0.0.1/a/b", "ssh://git@127.0.0.1/a/b", "git@127.0.0.1:a/b",
		"ssh://-oProxyCommand=x/a/b", "--upload-pack=x", "gopher://127.0.0.1/a/b", "http://127.0.0.1" + port + "\n/a/b", m.upstream.URL + "/a%0ab/c", m.upstream.URL + "/a/../b", m.upstream.URL + "/a/-b",
		m.upstream.URL + "/-a/b", m.upstream.URL + "/a/b?x=y", m.upstream.URL + "/a/b#x", m.upstream.URL + "/a%2fb/c", m.upstream.URL + "/a", m.upstream.URL,
		strings.Replace(m.upstream.URL, "://", "://user:secret@", 1) + "/a/b.git",
	} {
		for _, more := range []map[string]any{nil, {"mirror": true, "auth_username": "a", "auth_password": "b"}} {
			status, text := m.call("ada", "POST", "repos/migrate", m.body("app", address, more))
			if status != 422 || strings.Contains(text, "secret") {
				t.Errorf("%q: %d %s", address, status, text)
			}
		}
	}
	if called {
		t.Error("the server called")
	}
	m.must("ada", "GET", "repos/ada/app", "", 404)
}

// TestMigrateFollowsNoRedirect migrates from a server that sends to another one
// inside, and from one that does so only at a later sync.
func TestMigrateFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	address := m.upstream.URL + "/team/app.git"
	m.must("ada", "POST", "repos/migrate", m.body("mirror", address, map[string]any{"mirror": true}), 201)
	before := m.head("mirror")
	up.Commit("main", "second", gittest.Files{"a": "2\n"})
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the redirect was followed to %s", r.URL) }))
	defer inside.Close()
	redirected := make(chan struct{}, 16)
	m.upstream.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, inside.URL+r.URL.String(), http.StatusFound)
		redirected <- struct{}{}
		return true
	})
	for _, more := range []map[string]any{nil, {"auth_username": "a", "auth_password": "b"}} {
		m.must("ada", "POST", "repos/migrate", m.body("app", address, more), 422)
		<-redirected
	}
	m.must("ada", "POST", "repos/ada/mirror/mirror-sync", "", 202)
	<-redirected
	w := m.actor("ada", "mirror")
	m.eventually(func() bool {
		repo, err := m.service.Repository(t.Context(), w, "mirror")
		check(t, err)
		state, err := m.service.SyncState(t.Context(), w, repo)
		check(t, err)
		return state.Status == cairn.SyncFailed && strings.Contains(state.Error, "redirects")
	})
	if m.head("mirror") != before {
		t.Error("the mirror moved")
	}
}

// TestMirrorSyncManyTimes asks for a sync over and over while none can run: it
// is one job, however often it was asked for.
func TestMirrorSyncManyTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.owner("ada", "mirror")
	_, err := w.service.CreateMirror(t.Context(), who, service.NewMirror{Name: "mirror", Provider: "gitlab", Owner: "acme", UpstreamName: "site"})
	check(t, err)
	for range 50 {
		w.must("ada", "POST", "repos/ada/mirror/mirror-sync", "", 202)
	}
	check(t, w.metadata.View(t.Context(), func(tx cairn.Tx) error {
		due, err := tx.Jobs().Due(service.SyncJob, time.Now().Add(time.Hour), nil, 100)
		if len(due) != 1 {
			t.Errorf("%d jobs", len(due))
		}
		return err
	}))
}

// TestReleases lists the annotated tags of commits, and what stock git says of
// them.
func TestReleases(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	if list := read[[]release](m.world, "", "repos/ada/open/releases"); list == nil || len(list) != 0 {
		t.Errorf("without tags the releases are %v", list)
	}
	up := m.hosted("team/app")
	first := up.Commit("main", "first", gittest.Files{"a": "1\n"})
	second := up.Commit("main", "second", gittest.Files{"a": "2\n"})
	up.Git("tag", "light", "main")
	tag := func(name, target, kind, tagger, message string) string {
		id := up.Write("tag", fmt.Appendf(nil, "object %s\ntype %s\ntag %s\n%s\n%s", target, kind, name, tagger, message))
		up.Git("update-ref", "refs/tags/"+name, id)
		return id
	}
	tag("v1", first, "commit", "tagger Ada <ADA@example.com> 1700000000 +0100\n", "Version one\n\n- new\n- better\n")
	nested := tag("rc/v2", second, "commit", "tagger Some Body <some@body.example> 1800000000 +0000\n", "Candidate\n")
	tag("v2", nested, "tag", "tagger Some Body <some@body.example> 1900000000 +0000\n", "Two\nlines\n")
	tag("old", first, "commit", "", "Without a tagger\n")
	tag("tree", up.RevParse("main^{tree}"), "tree", "tagger A <a@example.com> 1 +0000\n", "Of a tree\n")
	m.must("ada", "POST", "repos/migrate", m.body("app", m.upstream.URL+"/team/app.git", nil), 201)

	list := read[[]release](m.world, "reader", "repos/ada/app/releases")
	var shown []string
	ids := map[int64]bool{}
	for _, r := range list {
		shown = append(shown, fmt.Sprintf("%s=%s %s %q %q %s/%s %s", r.Tag, up.RevParse(r.Tag + "^{tree}")[:4], r.Target[:7], r.Name, r.Body, r.Author.UserName, r.Author.Email, r.CreatedAt.Format(time.DateOnly)))
		ids[r.ID] = true
	}
	tree := func(tag string) string { return up.RevParse(tag + "^{tree}")[:4] }
	want := []string{
		fmt.Sprintf(`v2=%s %s "Two lines" "" /some@body.example 2030-03-17`, tree("v2"), second[:7]),
		fmt.Sprintf(`rc/v2=%s %s "Candidate" "" /some@body.example 2027-01-15`, tree("rc/v2"), second[:7]),
		fmt.Sprintf(`v1=%s %s "Version one" "- new\n- better" ada/ada@example.com 2023-11-14`, tree("v1"), first[:7]),
		fmt.Sprintf(`old=%s %s "Without a tagger" "" /%s`, tree("old"), first[:7], up.Git("log", "-1", "--date=format:%Y-%m-%d", "--format=%ce %cd", first)),
	}
	if fmt.Sprintf("%q", shown) != fmt.Sprintf("%q", want) || len(ids) != len(want) {
		t.Errorf("the releases are\n%q, want\n%q", shown, want)
	}
	if part := read[[]release](m.world, "reader", "repos/ada/app/releases?limit=1&page=2"); len(part) != 1 || part[0].Tag != "rc/v2" {
		t.Errorf("the second page is %+v", part)
	}
	for _, r := range read[[]release](m.world, "", "repos/ada/app/releases") {
		if r.Author.Email != "" {
			t.Errorf("nobody sees %+v", r.Author)
		}
	}
	tags := read[[]branch](m.world, "reader", "repos/ada/app/tags")
	if len(tags) != 5 || tags[0].Name != "light" || tags[0].Commit.ID != second || tags[4].Name != "v2" || tags[4].Commit.ID != second {
		t.Errorf("the tags are %+v", tags)
	}
	if part := read[[]branch](m.world, "reader", "repos/ada/app/tags?limit=2&page=2"); len(part) != 2 || part[0].Name != "rc/v2" {
		t.Errorf("the second page of the tags is %+v", part)
	}
}
