package codestorage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
)

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
