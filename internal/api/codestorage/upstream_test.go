package codestorage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// mirrors is a world whose repositories can follow those of a stock server on
// loopback.
type mirrors struct {
	*world
	t        testing.TB
	upstream *gittest.HTTPServer
	root     string // of the upstream's repositories
	host     string
	metadata *sqlite.Metadata
	log      *logged
}

// logged is what a server wrote into its log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newMirrors(t *testing.T) *mirrors {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := &mirrors{t: t, root: t.TempDir(), metadata: metadata, log: &logged{}}
	m.upstream = gittest.ServeHTTP(t, m.root)
	m.host = strings.TrimPrefix(m.upstream.URL, "http://")
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	out := egress.New(egress.Options{Allow: loopback})
	t.Cleanup(func() { out.Close() })
	m.world = newWorldOver(t, metadata, func(o *service.Options) {
		o.Logger = slog.New(slog.NewTextHandler(m.log, nil))
		o.Upstreams = upstream.New(out.Client(egress.Budget{}), upstream.Options{})
		o.PlainUpstreams = loopback
	})
	return m
}

// host makes a bare repository on the stock server.
func (m *mirrors) hosted(name string) *gittest.Repo {
	m.t.Helper()
	dir := filepath.Join(m.root, name+".git")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	gittest.Git(m.t, dir, "init", "-q", "--bare", ".")
	return gittest.Open(m.t, dir)
}

// base is a base_repo of the stock server.
func (m *mirrors) base(provider, owner, name string, auth map[string]any) map[string]any {
	base := map[string]any{"provider": provider, "owner": owner, "name": name, "upstream_host": m.host}
	if auth != nil {
		base["auth"] = auth
	}
	return map[string]any{"default_branch": "main", "base_repo": base}
}

var (
	public   = map[string]any{"auth_type": "public"}
	withAuth = map[string]any{"auth_type": "credential", "username": "bot", "password": "sesame/street"}
)

// mirror creates a repository that follows team/app of the stock server.
func (m *mirrors) mirror(name, provider string, auth map[string]any) *repo {
	m.t.Helper()
	r := &repo{world: m.world, t: m.t, name: name, token: m.token(m.t, name, nil)}
	r.post("/api/v1/repos", m.base(provider, "team", "app", auth)).want(m.t, 201)
	return r
}

// runJobs does the syncs that are due, as a server does; it returns their
// errors.
func (m *mirrors) runJobs() (failures []error) {
	m.t.Helper()
	ctx := m.t.Context()
	for {
		var due []cairn.Job
		now := time.Now()
		err := m.metadata.View(ctx, func(tx cairn.Tx) (err error) {
			due, err = tx.Jobs().Due(service.SyncJob, now, nil, 1)
			return err
		})
		if err != nil {
			m.t.Fatal(err)
		}
		if len(due) == 0 {
			return failures
		}
		if err := m.runJob(ctx, due[0].JobKey, now); err != nil {
			failures = append(failures, err)
		}
	}
}

// runJob claims a job, runs it, and ends it as a worker would, without waiting.
func (m *mirrors) runJob(ctx context.Context, key cairn.JobKey, now time.Time) error {
	m.t.Helper()
	var job cairn.Job
	m.inUpdate(func(tx cairn.Tx) (err error) {
		job, err = tx.Jobs().Claim(key, now, now.Add(time.Hour))
		return err
	})
	failed := m.service.RunSync(ctx, job)
	m.inUpdate(func(tx cairn.Tx) error {
		if _, again := failed.(*cairn.RetryAt); again {
			return tx.Jobs().Retry(job, now, failed.Error())
		}
		return tx.Jobs().Finish(job)
	})
	return failed
}

func (m *mirrors) inUpdate(f func(cairn.Tx) error) {
	m.t.Helper()
	if err := m.metadata.Update(m.t.Context(), f); err != nil {
		m.t.Fatal(err)
	}
}

// synced runs the jobs, which must succeed.
func (m *mirrors) synced() {
	m.t.Helper()
	if failures := m.runJobs(); len(failures) > 0 {
		m.t.Fatalf("sync: %v", failures)
	}
}

func (r *repo) pull() {
	r.t.Helper()
	got := r.post("/api/v1/repos/pull-upstream", map[string]any{}).want(r.t, 202)
	if text := got.at(r.t, "message"); text != "Repository sync initiated successfully" {
		r.t.Errorf("message %q", text)
	}
}

// refs are the branches and tags of the repository as its store has them.
func (r *repo) refs() map[string]string {
	r.t.Helper()
	found, err := r.service.Repository(r.t.Context(), cairn.Actor{Organization: r.organization(), Admin: true}, cairn.RepositoryName(r.name))
	if err != nil {
		r.t.Fatal(err)
	}
	sn, err := r.store.SnapshotOf(r.t.Context(), found.RepositoryKey)
	if err != nil {
		r.t.Fatal(err)
	}
	defer sn.Close()
	refs := map[string]string{}
	for _, ref := range sn.Refs() {
		refs[string(ref.Name)] = ref.Target.String()
	}
	return refs
}

func (w *world) organization() cairn.Organization {
	who, err := w.service.Operator(context.Background(), cairn.Actor{Admin: true}, cairn.OrganizationName(w.org))
	if err != nil {
		panic(err)
	}
	return who.Organization
}

// wantRefs compares the refs with those of the upstream, with some more.
func (r *repo) wantRefs(upstream *gittest.Repo, more map[string]string) {
	r.t.Helper()
	want := map[string]string{}
	for name, id := range upstream.Refs() {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			want[name] = id
		}
	}
	for name, id := range more {
		want[name] = id
	}
	got := r.refs()
	for name, id := range want {
		if got[name] != id {
			r.t.Errorf("%s is at %q, want %q", name, got[name], id)
		}
	}
	for name := range got {
		if want[name] == "" {
			r.t.Errorf("%s is there", name)
		}
	}
}

// check runs the store's own fsck.
func (r *repo) check() {
	r.t.Helper()
	found, err := r.service.Repository(r.t.Context(), cairn.Actor{Organization: r.organization(), Admin: true}, cairn.RepositoryName(r.name))
	if err != nil {
		r.t.Fatal(err)
	}
	result, err := r.store.Check(r.t.Context(), found.RepositoryKey, nil)
	if err != nil || len(result.Problems) > 0 {
		r.t.Errorf("fsck: %v, %v", err, result.Problems)
	}
}

func (r *repo) status() string {
	r.t.Helper()
	status, _ := r.get("/api/v1/repo").want(r.t, 200).at(r.t, "sync.status").(string)
	return status
}

func TestMirrorFollowsItsUpstream(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("old protocol %v", old), func(t *testing.T) {
			t.Parallel()
			m := newMirrors(t)
			m.upstream.OldProtocol = old
			up := m.hosted("team/app")
			up.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
			up.Commit("trunk", "first", gittest.Files{"a": "1\n", "dir/b": strings.Repeat("line\n", 500)})
			up.Commit("topic/deep", "other root", gittest.Files{"x": "1\n"})
			up.Git("tag", "light", "trunk")
			up.Git("tag", "-m", "annotated", "v1", "trunk")
			up.Git("tag", "-m", "of a tag", "v2", "v1")
			up.Git("update-ref", "refs/notes/commits", "trunk")
			up.Git("update-ref", "refs/pull/1/head", "topic/deep")
			r := m.mirror("mirror", "gitea", public)
			m.synced()
			r.wantRefs(up, nil)
			if branch := r.get("/api/v1/repo").at(t, "default_branch"); branch != "trunk" {
				t.Errorf("default branch %v", branch)
			}
			// What is only here stays here.
			r.post("/api/v1/repos/branches/create", map[string]any{"base_branch": "trunk", "target_branch": "mine"}).want(t, 200)
			r.post("/api/v1/repos/branches/create", map[string]any{"base_branch": "trunk", "target_branch": "agent", "target_is_ephemeral": true}).want(t, 200)
			local := map[string]string{"refs/heads/mine": up.RevParse("trunk"), "refs/namespaces/ephemeral/refs/heads/agent": up.RevParse("trunk")}
			// Commits, a forced update, a deletion, a moved tag, a name that
			// becomes a folder.
			for i := range 3 {
				up.Commit("trunk", "more", gittest.Files{"a": fmt.Sprint(i), "dir/b": strings.Repeat("line\n", 500) + fmt.Sprint(i)})
			}
			up.Git("update-ref", "-d", "refs/heads/topic/deep")
			up.Git("update-ref", "refs/heads/topic", up.RevParse("trunk~1"))
			up.Git("tag", "-f", "light", "trunk~2")
			up.Git("tag", "-d", "v2")
			r.pull()
			if got := r.status(); got != "queued" {
				t.Errorf("status %q before it runs", got)
			}
			m.synced()
			r.wantRefs(up, local)
			up.Git("update-ref", "refs/heads/trunk", up.RevParse("trunk~2"))
			up.Commit("trunk", "forced", gittest.Files{"forced": "1\n"})
			r.pull()
			m.synced()
			r.wantRefs(up, local)
			// The default branch is renamed.
			up.Git("branch", "-m", "trunk", "main")
			r.pull()
			m.synced()
			r.wantRefs(up, local)
			if got := r.get("/api/v1/repo"); got.at(t, "default_branch") != "main" || got.at(t, "sync.run_count") != 4.0 || r.status() != "succeeded" {
				t.Errorf("after all: %s", got.body)
			}
			r.check()
		})
	}
}

func TestSyncIsIncremental(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Commit("main", "large", gittest.Files{"large": strings.Repeat("0123456789abcdef\n", 1000)})
	for i := range 50 {
		up.Commit("main", "one of many", gittest.Files{"a": fmt.Sprint(i)})
	}
	r := m.mirror("mirror", "gitea", public)
	m.synced()
	up.Commit("main", "small", gittest.Files{"a": "x"})
	var before, after int64
	count := func() int64 {
		found, err := m.service.Repository(t.Context(), cairn.Actor{Organization: m.organization(), Admin: true}, "mirror")
		if err != nil {
			t.Fatal(err)
		}
		result, err := m.store.Check(t.Context(), found.RepositoryKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		return int64(result.Objects)
	}
	before = count()
	r.pull()
	m.synced()
	if after = count(); after != before+3 {
		t.Errorf("a commit of one file brought %d objects, want 3", after-before)
	}
	posts := len(m.upstream.Requests())
	r.pull()
	m.synced()
	if got := len(m.upstream.Requests()) - posts; got != 2 {
		t.Errorf("a sync without news sends %d requests, want 2: %v", got, m.upstream.Requests())
	}
}

func TestFirstSyncClosesTheRepository(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	r := m.mirror("mirror", "github", public)
	if got := r.status(); got != "queued" {
		t.Errorf("status %q", got)
	}
	for _, path := range []string{
		"/api/v1/repos/branches", "/api/v1/repos/commits?branch=main", "/api/v1/repos/files", "/api/v1/repos/file?path=a", "/api/v1/repos/tags", "/api/repos/mirror/branch?name=main",
	} {
		got := r.get(path).want(t, 409)
		if text := got.at(t, "error"); text != "repository sync in progress. please retry shortly" {
			t.Errorf("%s: %q", path, text)
		}
	}
	r.post("/api/v1/repos/branches/create", map[string]any{"base_branch": "main", "target_branch": "x"}).want(t, 409)
	fork := m.token(t, "fork", nil)
	m.call(t, fork, "POST", "/api/v1/repos", map[string]any{"base_repo": map[string]any{"provider": "code", "name": "mirror", "auth": map[string]any{"token": r.token}}}).want(t, 409)
	r.pull() // becomes one with the first
	m.synced()
	r.get("/api/v1/repos/file?path=a").want(t, 200)
	if got := r.get("/api/v1/repo").at(t, "sync.run_count"); got != 1.0 {
		t.Errorf("%v runs", got)
	}
}

func TestEmptyUpstream(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Git("symbolic-ref", "HEAD", "refs/heads/trunk")
	r := m.mirror("mirror", "gitea", public)
	m.synced()
	r.wantRefs(up, nil)
	if got := r.get("/api/v1/repo"); got.at(t, "default_branch") != "trunk" || r.status() != "succeeded" {
		t.Errorf("got %s", got.body)
	}
	up.Commit("trunk", "first", gittest.Files{"a": "1\n"})
	r.pull()
	m.synced()
	r.wantRefs(up, nil)
}

func TestChosenDefaultBranch(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	up.Git("branch", "develop", "main")
	for chosen, want := range map[string]string{"develop": "develop", "absent": "main"} {
		body := m.base("gitea", "team", "app", public)
		body["base_repo"].(map[string]any)["default_branch"] = chosen
		r := &repo{world: m.world, t: t, name: chosen, token: m.token(t, chosen, nil)}
		r.post("/api/v1/repos", body).want(t, 201)
		m.synced()
		if got := r.get("/api/v1/repo").at(t, "default_branch"); got != want {
			t.Errorf("chosen %s: %v, want %s", chosen, got, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	r := m.mirror("team/mirror", "gitea", nil)
	id := r.get("/api/v1/repo").at(t, "repo_id")
	if got := r.status(); got != "never" {
		t.Errorf("status %q", got)
	}
	r.get("/api/v1/repos/branches").want(t, 200) // not closed: no sync is under way
	// Without a credential it fails, says why, and opens again.
	r.pull()
	r.get("/api/v1/repos/branches").want(t, 409)
	m.runJobs()
	got := r.get("/api/v1/repo").want(t, 200)
	if got.at(t, "sync.status") != "failed" || !strings.Contains(fmt.Sprint(got.at(t, "sync.error")), "credential") {
		t.Errorf("got %s", got.body)
	}
	r.get("/api/v1/repos/branches").want(t, 200)

	// One for each repository, by name or by id, with a token for either.
	byID := m.token(t, fmt.Sprint(id), nil)
	org := m.token(t, "org", nil)
	other := m.token(t, "other", nil)
	login := map[string]any{"repo_id": "team/mirror", "password": "wrong"}
	m.call(t, other, "POST", "/api/v1/repos/git-credentials", login).want(t, 403)
	m.call(t, m.token(t, "team/mirror", claims{"scopes": []string{"git:write"}}), "POST", "/api/v1/repos/git-credentials", login).want(t, 403)
	m.call(t, "", "POST", "/api/v1/repos/git-credentials", login).want(t, 401)
	m.call(t, m.token(t, "none", nil), "POST", "/api/v1/repos/git-credentials", map[string]any{"repo_id": "none", "password": "x"}).want(t, 404)
	for _, bad := range []map[string]any{{"repo_id": "team/mirror"}, {"password": "a\nb"}, {"username": "a:b", "password": "x"}, {"password": strings.Repeat("x", 5000)}, {"password": 7}} {
		r.post("/api/v1/repos/git-credentials", bad).want(t, 400)
	}
	made := m.call(t, byID, "POST", "/api/v1/repos/git-credentials", map[string]any{"repo_id": id, "username": "bot", "password": "wrong"}).want(t, 201)
	credential := fmt.Sprint(made.at(t, "id"))
	if !strings.HasPrefix(credential, "ggc_") || made.at(t, "created_at") == nil || len(made.json(t)) != 2 {
		t.Errorf("got %s", made.body)
	}
	r.post("/api/repos/team%2Fmirror/git-credentials", map[string]any{"password": "x"}).want(t, 409)
	r.pull()
	m.runJobs()
	if got := r.get("/api/v1/repo"); got.at(t, "sync.error") != "authentication failed" {
		t.Errorf("got %s", got.body)
	}

	// Changed by its id alone.
	right := map[string]any{"id": credential, "username": "bot", "password": "sesame/street"}
	m.call(t, other, "PUT", "/api/v1/repos/git-credentials", right).want(t, 404)
	m.call(t, org, "PUT", "/api/v1/repos/git-credentials", map[string]any{"id": "ggc_x", "password": "x"}).want(t, 404)
	m.call(t, org, "PUT", "/api/v1/repos/git-credentials", map[string]any{"password": "x"}).want(t, 400)
	stranger := sign(t, m.addOrganization(t, "stranger"), "stranger", "org", nil)
	m.call(t, stranger, "PUT", "/api/v1/repos/git-credentials", right).want(t, 404)
	m.call(t, org, "PUT", "/api/v1/repos/git-credentials", right).want(t, 200)
	r.pull()
	m.synced()
	r.wantRefs(up, nil)

	r.call(t, r.token, "PUT", "/api/repos/team%2Fmirror/git-credentials/"+credential, map[string]any{"username": "bot", "password": "sesame/street"}).want(t, 200)
	r.call(t, r.token, "PUT", "/api/repos/other/git-credentials/"+credential, map[string]any{"password": "x"}).want(t, 403)
	m.call(t, other, "DELETE", "/api/repos/other/git-credentials/"+credential, nil).want(t, 404)
	m.call(t, stranger, "DELETE", "/api/v1/repos/git-credentials", map[string]any{"id": credential}).want(t, 404)
	if got := r.call(t, r.token, "DELETE", "/api/repos/team%2Fmirror/git-credentials/"+credential, nil).want(t, 204); len(got.body) > 0 {
		t.Errorf("body %q", got.body)
	}
	m.call(t, org, "DELETE", "/api/v1/repos/git-credentials", map[string]any{"id": credential}).want(t, 404)
}

// TestCredentialsAreNowhere looks for a password in all that comes out of a
// server, and in its store.
func TestCredentialsAreNowhere(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	m.hosted("team/app").Commit("main", "first", gittest.Files{"a": "1\n"})
	echo := true
	m.upstream.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if echo {
			_, password, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			text := "ERR you said " + password + " in " + r.Header.Get("Authorization")
			fmt.Fprintf(w, "%04x%s", len(text)+4, text)
		}
		return echo
	})
	r := m.mirror("mirror", "github", withAuth)
	failures := m.runJobs()
	if len(failures) == 0 {
		t.Error("the sync did not fail")
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "%v %+v\n", failures, failures)
	all.Write(r.get("/api/v1/repo").body)
	all.Write(r.get("/api/v1/repos").body)
	echo = false
	r.pull()
	m.synced()
	all.Write(r.get("/api/v1/repo").body)
	m.inUpdate(func(tx cairn.Tx) error {
		found, err := tx.Repositories().Find(m.organization().ID, "mirror")
		if err != nil {
			return err
		}
		c, err := tx.Credentials().Of(found.RepositoryKey)
		all.Write(c.Sealed)
		return err
	})
	m.log.mu.Lock()
	all.Write(m.log.text.Bytes())
	m.log.mu.Unlock()
	for _, secret := range []string{"sesame", "Ym90OnNlc2FtZS9zdHJlZXQ"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q is in %s", secret, all.String())
		}
	}
}

func TestCreateWithUpstreamRefusals(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.hosted("team/app")
	token := m.token(t, "mirror", nil)
	create := func(change func(base map[string]any)) answer {
		body := m.base("gitea", "team", "app", nil)
		change(body["base_repo"].(map[string]any))
		return m.call(t, token, "POST", "/api/v1/repos", body)
	}
	for name, c := range map[string]struct {
		status int
		change map[string]any
	}{
		"no provider":              {400, map[string]any{"provider": ""}},
		"unknown provider":         {400, map[string]any{"provider": "gopher"}},
		"no host":                  {400, map[string]any{"upstream_host": ""}},
		"github without an app":    {412, map[string]any{"provider": "github"}},
		"operation":                {400, map[string]any{"operation": "fork"}},
		"auth type":                {400, map[string]any{"auth": map[string]any{"auth_type": "magic"}}},
		"password without type":    {400, map[string]any{"auth": map[string]any{"password": "x"}}},
		"not there":                {400, map[string]any{"name": "absent", "auth": public}},
		"default branch":           {400, map[string]any{"default_branch": "a..b"}},
		"no owner":                 {400, map[string]any{"owner": ""}},
		"no name":                  {400, map[string]any{"name": ""}},
		"owner up":                 {400, map[string]any{"owner": ".."}},
		"owner with empty part":    {400, map[string]any{"owner": "a//b"}},
		"owner too deep":           {400, map[string]any{"owner": strings.Repeat("a/", 30) + "a"}},
		"owner an option":          {400, map[string]any{"owner": "--upload-pack=x"}},
		"name with a folder":       {400, map[string]any{"name": "a/b"}},
		"name with a query":        {400, map[string]any{"name": "a?b"}},
		"name with an escape":      {400, map[string]any{"name": "a%2fb"}},
		"name with a line feed":    {400, map[string]any{"name": "a\nb"}},
		"host with a scheme":       {400, map[string]any{"upstream_host": "https://example.com"}},
		"host with a path":         {400, map[string]any{"upstream_host": "example.com/x"}},
		"host with a user":         {400, map[string]any{"upstream_host": "u:p@example.com"}},
		"host with a port":         {400, map[string]any{"upstream_host": "example.com:8443"}},
		"one word":                 {400, map[string]any{"upstream_host": "localhost"}},
		"private address":          {400, map[string]any{"upstream_host": "10.0.0.1"}},
		"metadata service":         {400, map[string]any{"upstream_host": "169.254.169.254:80"}},
		"decimal address":          {400, map[string]any{"upstream_host": "2130706433"}},
		"octal address":            {400, map[string]any{"upstream_host": "0177.0.0.1"}},
		"address of six":           {400, map[string]any{"upstream_host": "[::1]:80"}},
		"address of six, embedded": {400, map[string]any{"upstream_host": "[::ffff:10.0.0.1]:80"}},
		"host with a line feed":    {400, map[string]any{"upstream_host": "example.com\n"}},
	} {
		got := create(func(base map[string]any) {
			for k, v := range c.change {
				base[k] = v
			}
		})
		if got.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, got.status, c.status, got.body)
		}
	}
	m.call(t, token, "GET", "/api/v1/repo", nil).want(t, 404)
	m.call(t, m.token(t, "mirror", claims{"scopes": []string{"git:write"}}), "POST", "/api/v1/repos", m.base("gitea", "team", "app", nil)).want(t, 403)
	m.call(t, "", "POST", "/api/v1/repos", m.base("gitea", "team", "app", nil)).want(t, 401)
	create(func(map[string]any) {}).want(t, 201)
	create(func(map[string]any) {}).want(t, 409)
}

// TestUpstreamAddresses shows which server each provider leads to.
func TestUpstreamAddresses(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	for i, c := range []struct{ provider, owner, name, host, wantProvider, wantHost, wantOwner string }{
		{"github", "o", "n.git", "", "github", "github.com", "o"},
		{"gitlab", "group/sub", "n", "", "gitlab", "gitlab.com", "group/sub"},
		{"bitbucket", "o", "n", "", "bitbucket", "bitbucket.org", "o"},
		{"codeberg", "o", "n", "", "codeberg", "codeberg.org", "o"},
		{"sourcehut", "o", "n", "", "sr.ht", "git.sr.ht", "~o"},
		{"sr.ht", "~o", "n", "", "sr.ht", "git.sr.ht", "~o"},
		{"forgejo", "o", "n", "Git.Example.com", "forgejo", "git.example.com", "o"},
		{"gitea", "o", "n", "git.example.com", "gitea", "git.example.com", "o"},
	} {
		name := fmt.Sprintf("r%d", i)
		r := &repo{world: m.world, t: t, name: name, token: m.token(t, name, nil)}
		base := map[string]any{"provider": c.provider, "owner": c.owner, "name": c.name, "auth": map[string]any{"auth_type": "credential"}}
		if c.host != "" {
			base["upstream_host"] = c.host
		}
		made := r.post("/api/v1/repos", map[string]any{"base_repo": base}).want(t, 201)
		shown := r.get("/api/v1/repos?q="+name).at(t, "repos.0")
		for _, got := range []any{made.at(t, "base_repo"), r.get("/api/v1/repo").at(t, "base_repo"), shown.(map[string]any)["base_repo"]} {
			b, _ := got.(map[string]any)
			if b["provider"] != c.wantProvider || b["upstream_host"] != c.wantHost || b["owner"] != c.wantOwner || b["name"] != "n" {
				t.Errorf("%s: %v", c.provider, got)
			}
		}
	}
	plain := m.repo(t, "plain")
	if got := plain.get("/api/v1/repo").json(t); got["base_repo"] != nil || got["sync"] != nil {
		t.Errorf("a repository without upstream: %v", got)
	}
}

func TestPullAndDetachRefusals(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	plain := m.repo(t, "plain")
	plain.post("/api/v1/repos/pull-upstream", nil).want(t, 400)
	plain.call(t, plain.token, "DELETE", "/api/v1/repos/base", nil).want(t, 200)
	r := m.mirror("mirror", "gitea", withAuth)
	reader := m.token(t, "mirror", claims{"scopes": []string{"git:read", "repo:write"}})
	for _, c := range []struct{ method, path string }{{"POST", "pull-upstream"}, {"DELETE", "base"}} {
		m.call(t, "", c.method, "/api/v1/repos/"+c.path, nil).want(t, 401)
		m.call(t, reader, c.method, "/api/v1/repos/"+c.path, nil).want(t, 403)
		m.call(t, m.token(t, "other", nil), c.method, "/api/repos/mirror/"+c.path, nil).want(t, 403)
		m.call(t, m.token(t, "absent", nil), c.method, "/api/repos/absent/"+c.path, nil).want(t, 404)
	}
	r.post("/api/v1/repos/pull-upstream", `{"ref":"a..b"}`).want(t, 400)
	guarded := m.token(t, "mirror", claims{"refs": []any{[]any{"main", []string{"no-push"}}}})
	m.call(t, guarded, "POST", "/api/v1/repos/pull-upstream", `{"ref":"main"}`).want(t, 403)
	m.call(t, guarded, "POST", "/api/v1/repos/pull-upstream", nil).want(t, 403)
	m.call(t, guarded, "POST", "/api/v1/repos/pull-upstream", `{"ref":"topic","after":"x"}`).want(t, 202)
	m.synced()

	// Detached, it is a repository like any other, and the credential is gone.
	for range 2 {
		got := r.call(t, r.token, "DELETE", "/api/repos/mirror/base", nil).want(t, 200)
		if got.at(t, "message") != "repository detached" {
			t.Errorf("got %s", got.body)
		}
	}
	if got := r.get("/api/v1/repo").json(t); got["base_repo"] != nil || got["sync"] != nil {
		t.Errorf("detached: %v", got)
	}
	r.wantRefs(up, nil)
	r.post("/api/v1/repos/pull-upstream", nil).want(t, 400)
	r.post("/api/v1/repos/git-credentials", map[string]any{"password": "x"}).want(t, 201)
}

// TestDetachedWhileSyncing shows that a sync under way writes nothing any more.
func TestDetachedWhileSyncing(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	r := m.mirror("mirror", "gitea", public)
	m.upstream.Intercept(func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPost {
			r.call(t, r.token, "DELETE", "/api/v1/repos/base", nil)
		}
		return false
	})
	m.synced()
	if refs := r.refs(); len(refs) > 0 {
		t.Errorf("refs %v", refs)
	}
	r.get("/api/v1/repos/branches").want(t, 200)
}

func TestSyncIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	r := m.mirror("mirror", "gitea", public)
	down := 3
	m.upstream.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if down--; down >= 0 {
			http.Error(w, "not now", http.StatusBadGateway)
		}
		if down == 0 {
			if got := r.get("/api/v1/repo"); got.at(t, "sync.status") != "running" || got.at(t, "sync.error") == nil {
				t.Errorf("while it is tried again: %s", got.body)
			}
		}
		return down >= 0
	})
	if failures := m.runJobs(); len(failures) != 3 {
		t.Errorf("failures: %v", failures)
	}
	r.wantRefs(up, nil)
	if got := r.get("/api/v1/repo"); got.at(t, "sync.run_count") != 1.0 || got.at(t, "sync.error") != nil {
		t.Errorf("got %s", got.body)
	}
	// One that stays down is given up, and tried anew when somebody asks.
	down = 1000
	r.pull()
	if failures := m.runJobs(); len(failures) != 8 {
		t.Errorf("%d failures: %v", len(failures), failures)
	}
	if got := r.status(); got != "failed" {
		t.Errorf("status %q", got)
	}
	r.get("/api/v1/repos/branches").want(t, 200)
}

// TestSyncsAreAnnounced: each run is told of when it begins and when it ends,
// however often it is tried.
func TestSyncsAreAnnounced(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.hosted("team/app").Commit("main", "first", gittest.Files{"a": "1\n"})
	r := m.mirror("mirror", "gitea", public)
	hook := r.post("/api/v1/webhooks", map[string]any{
		"url":    "http://127.0.0.1:9/in",
		"events": []string{"repo.sync.started", "repo.sync.succeeded", "repo.sync.failed"},
	}).want(t, 201).at(t, "id").(string)
	m.synced()
	m.upstream.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "not now", http.StatusBadGateway)
		return true
	})
	r.pull()
	m.runJobs()
	type payload struct {
		Type                            string
		Repository                      struct{ ID, URL string }
		Run_count                       int
		Is_first_sync                   bool
		Started_at, Completed_at, Error string
	}
	listed := r.get("/api/v1/webhooks/"+hook+"/deliveries").want(t, 200).at(t, "deliveries").([]any)
	var got []string
	for _, d := range slices.Backward(listed) {
		id := d.(map[string]any)["id"].(string)
		var p payload
		if err := json.Unmarshal([]byte(r.get("/api/v1/webhooks/"+hook+"/deliveries/"+id).want(t, 200).at(t, "payload").(string)), &p); err != nil {
			t.Fatal(err)
		}
		if p.Repository.URL != "mirror" || !strings.HasPrefix(p.Repository.ID, "repo_") || p.Started_at == "" ||
			(p.Completed_at == "") != (p.Type == "repo.sync.started") || (p.Error == "") != (p.Type != "repo.sync.failed") {
			t.Errorf("payload %+v", p)
		}
		got = append(got, fmt.Sprint(p.Type, " ", p.Run_count, " ", p.Is_first_sync))
	}
	want := []string{"repo.sync.started 0 true", "repo.sync.succeeded 1 true", "repo.sync.started 1 false", "repo.sync.failed 2 false"}
	if !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// TestWritesToGitHubGoThrough shows that what the API writes is upstream first,
// and only here if the upstream takes it.
func TestWritesToGitHubGoThrough(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n", "dir/b": strings.Repeat("line\n", 500)})
	r := m.mirror("mirror", "github", withAuth)
	m.synced()
	s := &sample{repo: r}
	s.commit(object{"commit_message": "through the API"}, put("a", "2\n"))
	r.wantRefs(up, nil)
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "feature"}).want(t, 200)
	r.post("/api/v1/repos/tags", object{"name": "v1", "target": up.RevParse("main")}).want(t, 201)
	s.commit(object{"target_branch": "feature"}, put("large", strings.Repeat("0123456789abcdef", 100_000)))
	r.wantRefs(up, nil)
	r.call(t, r.token, "DELETE", "/api/v1/repos/branches", object{"name": "feature"}).want(t, 200)
	r.wantRefs(up, nil)
	if up.Refs()["refs/heads/feature"] != "" || up.Refs()["refs/tags/v1"] == "" {
		t.Errorf("upstream: %v", up.Refs())
	}
	gittest.Fsck(t, up.Dir)

	// What is ephemeral stays here.
	requests := len(m.upstream.Requests())
	draft := s.commit(object{"target_branch": "draft", "target_is_ephemeral": true, "base_branch": "main"}, put("draft", "d"))
	if got := len(m.upstream.Requests()); got != requests {
		t.Errorf("an ephemeral commit sends %d requests", got-requests)
	}
	local := map[string]string{"refs/namespaces/ephemeral/refs/heads/draft": draft}
	r.wantRefs(up, local)

	// The upstream refuses.
	hook := filepath.Join(up.Dir, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'GH006: Protected branch' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	metadata := object{"target_branch": "main", "commit_message": "no", "author": object{"name": "A", "email": "a@b"}, "files": []any{}}
	refused := r.post("/api/v1/repos/commit-pack", ndjson(object{"metadata": metadata})).want(t, 403)
	if text := fmt.Sprint(refused.at(t, "error")); !strings.Contains(text, "GH006: Protected branch") || refused.at(t, "result.status") != "forbidden" {
		t.Errorf("got %s", refused.body)
	}
	r.wantRefs(up, local)
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}

	// The upstream is elsewhere: 409, and it is pulled.
	up.Commit("main", "upstream's own", gittest.Files{"theirs": "1\n"})
	r.post("/api/v1/repos/commit-pack", ndjson(object{"metadata": metadata})).want(t, 409)
	m.synced()
	r.wantRefs(up, local)
	s.commit(object{"commit_message": "now it goes"}, put("a", "3\n"))
	r.wantRefs(up, local)

	// With a wrong credential nothing is written.
	m.upstream.Password = "changed"
	r.post("/api/v1/repos/commit-pack", ndjson(object{"metadata": metadata})).want(t, 403)
	m.upstream.Password = "sesame/street"
	r.wantRefs(up, local)
	r.check()
}

// TestSyncRefusesWhatAPushWould shows that an upstream cannot bring a tree that
// checks out into .git, and that nothing of what it sent is kept.
func TestSyncRefusesWhatAPushWould(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	blob := up.Write("blob", []byte("[core]\n"))
	inner := up.GitInput("100644 blob "+blob+"\tconfig\n", "mktree")
	tree := up.GitInput("040000 tree "+inner+"\t.git\n", "mktree")
	up.Git("update-ref", "refs/heads/evil", up.Git("commit-tree", "-m", "evil", tree))
	r := m.mirror("mirror", "gitea", public)
	if failures := m.runJobs(); len(failures) != 1 {
		t.Errorf("failures: %v", failures)
	}
	got := r.get("/api/v1/repo").want(t, 200)
	if got.at(t, "sync.status") != "failed" || !strings.Contains(fmt.Sprint(got.at(t, "sync.error")), "hasDotgit") {
		t.Errorf("got %s", got.body)
	}
	if refs := r.refs(); len(refs) > 0 {
		t.Errorf("refs %v", refs)
	}
	r.get("/api/v1/repos/branches").want(t, 200)
	up.Git("update-ref", "-d", "refs/heads/evil")
	r.pull()
	m.synced()
	r.wantRefs(up, nil)
}
