package mesa_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// exchange is a repository "app" with an upstream on a stock server, and a key
// that may sync it.
type exchange struct {
	*world
	upstream *gittest.HTTPServer
	up       *gittest.Repo
	key      string
	app      cairn.Repository
}

const upstreamPassword = "sesame/street"

func newExchange(t *testing.T) *exchange {
	t.Helper()
	e := &exchange{world: newWorld(t)}
	e.upstream = gittest.ServeHTTP(t, t.TempDir())
	e.upstream.Username, e.upstream.Password = "bot", upstreamPassword
	e.up = e.upstream.Host(t, "team/app")
	e.key = e.world.key("acme", cairn.WriteAccess)
	e.app = e.repository("app")
	e.link(e.auth("bot", upstreamPassword))
	return e
}

func (e *exchange) url() string { return e.upstream.URL + "/team/app.git" }

func (e *exchange) auth(username, password string) object {
	return object{"kind": "username_password", "username": username, "password": password}
}

// link gives app the upstream.
func (e *exchange) link(auth any) answer {
	e.t.Helper()
	return e.want(200, e.key, "PATCH", "acme/app", object{"upstream": object{"url": e.url(), "auth": auth}})
}

// request asks for a sync and returns its id.
func (e *exchange) request(direction string, globs any) string {
	e.t.Helper()
	body := object{"direction": direction}
	if globs != nil {
		body["ref_globs"] = globs
	}
	a := e.want(201, e.key, "POST", "acme/app/upstream/syncs", body)
	if a.json["status"] != "queued" || a.json["direction"] != direction || a.json["repo_id"] != e.app.Repository.Public() || a.json["started_at"] != nil {
		e.t.Errorf("a new sync: %s", a.body)
	}
	return a.json["id"].(string)
}

// syncs asks for a sync, has it done, and returns how it ended.
func (e *exchange) sync(direction string, globs any) object {
	e.t.Helper()
	id := e.request(direction, globs)
	e.runJobs()
	return e.want(200, e.key, "GET", "acme/app/upstream/syncs/"+id, nil).json
}

func (e *exchange) runJobs() []error {
	e.t.Helper()
	return apitest.RunJobs(e.t, e.metadata, service.SyncJob, e.service.RunSync)
}

// completed is sync that must go well; it returns the outcome of each ref.
func (e *exchange) completed(direction string, globs any) map[string]string {
	e.t.Helper()
	done := e.sync(direction, globs)
	if done["status"] != "completed" || done["error"] != nil || done["attempt"] != 1.0 || done["finished_at"] == nil {
		e.t.Fatalf("%v", done)
	}
	outcomes := map[string]string{}
	for _, r := range done["stats"].(object)["refs"].([]any) {
		ref := r.(object)
		outcomes[ref["name"].(string)] = ref["outcome"].(string)
	}
	return outcomes
}

// refs are branches and tags as the store has them.
func (e *exchange) refs() map[string]string {
	e.t.Helper()
	refs := map[string]string{}
	err := e.metadata.View(e.t.Context(), func(tx cairn.Tx) error {
		for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
			list, err := tx.Refs().List(e.app.RepositoryKey, prefix)
			if err != nil {
				return err
			}
			for _, ref := range list {
				refs[string(ref.Name)] = ref.Target.String()
			}
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return refs
}

func wantMap(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s: %s is %q, want %q", what, name, got[name], want[name])
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("%s: %s is %q, want nothing", what, name, got[name])
		}
	}
}

// allRefs is what git fetches, or pushes, as a run does: without "+".
var allRefs = []string{"refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"}

// fill gives the upstream branches and tags of every kind that forward and back
// need to be told apart.
func fill(up *gittest.Repo) {
	for i := range 4 {
		up.Commit("main", fmt.Sprint("commit ", i), gittest.Files{"a": fmt.Sprint(i), "dir/b": strings.Repeat("line\n", 300) + fmt.Sprint(i)})
	}
	for _, branch := range []string{"back", "side", "gone", "folder", "same"} {
		up.Git("branch", branch, "main~1")
	}
	up.Git("tag", "light", "main~2")
	up.Git("tag", "-m", "annotated", "v1", "main~1")
	up.Git("tag", "kept", "main~3")
	up.Git("update-ref", "refs/notes/commits", "main")
}

// change moves what fill made: forward, backward, sideways and away.
func change(up *gittest.Repo) {
	up.Commit("main", "forward", gittest.Files{"a": "forward"})
	up.Git("update-ref", "refs/heads/back", "main~4")
	up.Git("update-ref", "refs/heads/side", "main~4")
	up.Commit("side", "sideways", gittest.Files{"side": "1"})
	up.Git("update-ref", "-d", "refs/heads/gone")
	up.Git("update-ref", "-d", "refs/heads/folder")
	up.Git("branch", "folder/in", "main")
	up.Git("branch", "new/branch", "side")
	up.Git("tag", "-f", "light", "main")
	up.Git("tag", "-m", "new", "v2", "main")
	up.Git("tag", "-d", "kept")
}

// TestPullIsFetchWithoutForce pulls what git fetches without "+".
func TestPullIsFetchWithoutForce(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	oracle := gittest.Init(t, gittest.Bare())
	fetch := func() {
		_, _ = gittest.GitErr(t, oracle.Dir, append([]string{"fetch", "-q", "--no-tags", e.up.Dir}, allRefs...)...)
	}
	fill(e.up)
	fetch()
	first := e.completed("pull", nil)
	wantMap(t, "the first pull", e.refs(), oracle.Refs())
	if len(first) != 9 || first["refs/heads/main"] != "updated" || first["refs/tags/v1"] != "updated" {
		t.Errorf("outcomes: %v", first)
	}
	change(e.up)
	fetch()
	outcomes := e.completed("pull", nil)
	wantMap(t, "the second pull", e.refs(), oracle.Refs())
	wantMap(t, "outcomes", outcomes, map[string]string{
		"refs/heads/main": "updated", "refs/heads/back": "rejected", "refs/heads/side": "rejected", "refs/heads/same": "unchanged",
		"refs/heads/folder/in": "rejected", "refs/heads/new/branch": "updated",
		"refs/tags/light": "rejected", "refs/tags/v1": "unchanged", "refs/tags/v2": "updated",
	})
	for name, outcome := range e.completed("pull", nil) {
		if outcome == "updated" {
			t.Errorf("%s is updated again", name)
		}
	}
	list := e.want(200, e.key, "GET", "acme/app/upstream/syncs?limit=2", nil)
	if syncs := list.json["syncs"].([]any); len(syncs) != 2 || list.json["has_more"] != true {
		t.Errorf("%s", list.body)
	}
	rest := e.want(200, e.key, "GET", "acme/app/upstream/syncs?limit=2&cursor="+list.json["next_cursor"].(string), nil)
	if syncs := rest.json["syncs"].([]any); len(syncs) != 1 || rest.json["has_more"] != false {
		t.Errorf("%s", rest.body)
	}
}

// TestPushIsGitsWithoutForce pushes what git pushes without "+". The upstream
// goes back after a pull and forgets what it had, so that all has to be sent.
func TestPushIsGitsWithoutForce(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	fill(e.up)
	old := e.up.Refs()
	change(e.up)
	e.completed("pull", nil)
	here := gittest.Init(t, gittest.Bare())
	gittest.Git(t, here.Dir, append([]string{"fetch", "-q", "--no-tags", e.up.Dir}, allRefs...)...)
	for name := range e.up.Refs() {
		e.up.Git("update-ref", "-d", name)
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		e.up.Git("update-ref", name, old[name])
	}
	e.up.Git("gc", "-q", "--prune=now")
	there := gittest.Init(t, gittest.Bare())
	gittest.Git(t, there.Dir, "fetch", "-q", e.up.Dir, "refs/*:refs/*")
	if _, err := gittest.GitErr(t, here.Dir, append([]string{"push", "-q", there.Dir}, allRefs...)...); err == nil {
		t.Error("git was refused nothing")
	}
	outcomes := e.completed("push", nil)
	wantMap(t, "the upstream", e.up.Refs(), there.Refs())
	wantMap(t, "outcomes", outcomes, map[string]string{
		"refs/heads/main": "updated", "refs/heads/back": "rejected", "refs/heads/side": "rejected", "refs/heads/same": "unchanged",
		"refs/heads/folder/in": "rejected", "refs/heads/new/branch": "updated",
		"refs/tags/light": "rejected", "refs/tags/v1": "unchanged", "refs/tags/v2": "updated",
	})
	gittest.Fsck(t, e.up.Dir)
	// What is made here goes there, and nothing that is hidden.
	made := e.want(201, e.key, "POST", "acme/app/changes", object{"base_change_id": root, "message": "m", "files": []object{upsert("x", "1")}}).json
	hidden := e.want(201, e.key, "POST", "acme/app/changes", object{"base_change_id": root, "message": "hidden"}).json["current_commit_oid"].(string)
	e.want(201, e.key, "POST", "acme/app/bookmarks", object{"name": "made", "change_id": made["id"]})
	e.completed("push", nil)
	if refs := e.up.Refs(); refs["refs/heads/made"] != made["current_commit_oid"] || len(refs) != len(there.Refs())+1 {
		t.Errorf("the upstream has %v", refs)
	}
	if _, err := gittest.GitErr(t, e.up.Dir, "cat-file", "-e", hidden); err == nil {
		t.Error("a hidden change was pushed")
	}
	gittest.Fsck(t, e.up.Dir)
}

// TestRefGlobs chooses refs by their short names.
func TestRefGlobs(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	fill(e.up)
	e.up.Git("branch", "release/1", "main")
	e.up.Git("branch", "release/2", "main")
	for _, c := range []struct {
		globs any
		kept  string // of globs
		refs  string
	}{
		{object{"branches": " release/* "}, "release/* ", "refs/heads/release/1 refs/heads/release/2"},
		{object{"tags": "v?"}, " v?", "refs/tags/v1"},
		{object{"branches": "refs/heads/main", "tags": ""}, "refs/heads/main ", ""},
		{object{"branches": "same", "tags": "*"}, "same *", "refs/heads/same refs/tags/kept refs/tags/light refs/tags/v1"},
	} {
		done := e.sync("pull", c.globs)
		globs := done["ref_globs"].(object)
		var names []string
		for _, r := range done["stats"].(object)["refs"].([]any) {
			names = append(names, r.(object)["name"].(string))
		}
		if got := globs["branches"].(string) + " " + globs["tags"].(string); got != c.kept || strings.Join(names, " ") != c.refs {
			t.Errorf("%v: kept as %q, about %v", c.globs, got, names)
		}
	}
	if refs := e.refs(); refs["refs/heads/main"] != "" || len(refs) != 6 {
		t.Errorf("refs are %v", refs)
	}
	for _, body := range []object{
		{}, {"direction": "both"}, {"direction": "pull", "ref_globs": object{}}, {"direction": "pull", "ref_globs": "main"},
		{"direction": "push", "ref_globs": object{"branches": strings.Repeat("*", 2000)}},
	} {
		e.want(400, e.key, "POST", "acme/app/upstream/syncs", body)
	}
	e.want(404, e.key, "GET", "acme/app/upstream/syncs/sync_none", nil)
	e.want(404, e.key, "GET", "acme/app/upstream/syncs/none", nil)
	e.want(400, e.key, "GET", "acme/app/upstream/syncs?cursor=none", nil)
	e.repository("plain")
	e.want(400, e.key, "POST", "acme/plain/upstream/syncs", object{"direction": "pull"})
}

// TestUpstreamOfARepository gives a repository upstreams and takes them away.
func TestUpstreamOfARepository(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	e.up.Commit("main", "first", gittest.Files{"a": "1"})
	upstreamOf := func(a answer) object { e.t.Helper(); u, _ := a.json["upstream"].(object); return u }
	patch := func(status int, upstream any) answer {
		t.Helper()
		return e.want(status, e.key, "PATCH", "acme/app", object{"upstream": upstream})
	}
	if u := upstreamOf(e.want(200, e.key, "GET", "acme/app", nil)); u["url"] != e.url() || u["auth_kind"] != "username_password" || u["latest_sync"] != nil {
		t.Errorf("%v", u)
	}
	e.completed("pull", nil)
	latest, _ := upstreamOf(e.want(200, e.key, "PATCH", "acme/app", object{"tags": object{"a": "b"}}))["latest_sync"].(object)
	if latest["status"] != "completed" {
		t.Errorf("the latest sync is %v", latest)
	}
	if a := e.want(200, e.key, "GET", "acme/repos", nil); !strings.Contains(a.body, latest["id"].(string)) {
		t.Errorf("%s", a.body)
	}
	// The credential stays, goes, and comes back as a token.
	e.completed("pull", nil)
	if u := upstreamOf(patch(200, object{"url": e.url()})); u["auth_kind"] != "username_password" || u["latest_sync"] == nil {
		t.Errorf("%v", u)
	}
	e.completed("pull", nil)
	if u := upstreamOf(e.link(nil)); u["auth_kind"] != nil {
		t.Errorf("%v", u)
	}
	if done := e.sync("pull", nil); done["status"] != "failed" || done["stats"] != nil || !strings.Contains(done["error"].(string), "wants a credential") {
		t.Errorf("%v", done)
	}
	if u := upstreamOf(e.link(object{"kind": "token", "token": upstreamPassword, "token_username": "bot"})); u["auth_kind"] != "token" {
		t.Errorf("%v", u)
	}
	e.completed("pull", nil)
	// Another server does not get it.
	elsewhere := object{"url": "https://evil.example/team/app.git"}
	if a := patch(400, elsewhere); !strings.Contains(a.body, "another server") {
		t.Errorf("%s", a.body)
	}
	e.completed("push", nil)
	elsewhere["auth"] = nil
	if u := upstreamOf(patch(200, elsewhere)); u["auth_kind"] != nil || u["latest_sync"] != nil {
		t.Errorf("%v", u)
	}
	if a := patch(200, nil); a.json["upstream"] != nil {
		t.Errorf("%s", a.body)
	}
	e.want(200, e.key, "PATCH", "acme/app", object{"upstream": nil})
	// A new repository may come with one; nothing is pulled by itself.
	made := e.want(201, e.key, "POST", "acme/repos", object{"name": "new", "upstream": object{"url": e.url(), "auth": e.auth("bot", upstreamPassword)}})
	if u := upstreamOf(made); u["auth_kind"] != "username_password" || u["latest_sync"] != nil || made.json["head_change_id"] != root {
		t.Errorf("%s", made.body)
	}
	if failures := e.runJobs(); len(failures) > 0 || len(e.want(200, e.key, "GET", "acme/new/upstream/syncs", nil).json["syncs"].([]any)) != 0 {
		t.Errorf("something was pulled: %v", failures)
	}
	e.want(200, e.key, "GET", "acme/new/content", nil)
}

// TestUpstreamRefusals are addresses and credentials that are not taken, each
// without being repeated.
func TestUpstreamRefusals(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	for name, upstream := range map[string]any{
		"a text": "https://git.example.com/a/b.git", "no address": object{}, "no scheme": object{"url": "git.example.com/a/b"}, "ssh": object{"url": "ssh://git@git.example.com/a/b"},
		"a file": object{"url": "file:///etc/passwd"}, "git's own": object{"url": "ext::sh -c id"}, "no path": object{"url": "https://git.example.com/"},
		"a credential in it": object{"url": "https://u:sesame@git.example.com/a/b.git"}, "a query": object{"url": "https://git.example.com/a/b.git?sesame"},
		"a private address": object{"url": "https://10.0.0.1/a/b.git"}, "the machine's own": object{"url": "https://169.254.169.254/latest"},
		"plain http": object{"url": "http://192.0.2.1/a.git"}, "a long one": object{"url": "https://git.example.com/" + strings.Repeat("a", 3000)},
		"a line feed":     object{"url": "https://git.example.com/a\nb"},
		"an unknown kind": object{"url": e.url(), "auth": object{"kind": "magic", "token": "sesame"}}, "no token": object{"url": e.url(), "auth": object{"kind": "token"}},
		"no username": object{"url": e.url(), "auth": object{"kind": "username_password", "password": "sesame"}}, "no password": object{"url": e.url(), "auth": e.auth("u", "")},
		"a colon": object{"url": e.url(), "auth": e.auth("a:b", "sesame")}, "a control character": object{"url": e.url(), "auth": e.auth("a", "sesame\n")},
		"a number": object{"url": e.url(), "auth": object{"kind": "token", "token": 7}},
	} {
		for _, c := range [][2]string{{"PATCH", "acme/app"}, {"POST", "acme/repos"}} {
			if a := e.call(e.key, c[0], c[1], object{"upstream": upstream}); a.status != 400 || strings.Contains(a.body, "sesame") {
				t.Errorf("%s: %s answers %d %s", name, c[0], a.status, a.body)
			}
		}
	}
}

// TestSyncsWait are done in order; there is a bound to them, and to the log.
func TestSyncsWait(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	e.up.Commit("main", "first", gittest.Files{"a": "1"})
	var ids []string
	for range 20 {
		ids = append(ids, e.request("pull", object{"branches": "main"}))
	}
	if a := e.want(429, e.key, "POST", "acme/app/upstream/syncs", object{"direction": "pull"}); a.errorCode() != "RATE_LIMITED" {
		t.Errorf("%s", a.body)
	}
	e.runJobs()
	var begun string
	for _, id := range ids {
		run := e.want(200, e.key, "GET", "acme/app/upstream/syncs/"+id, nil).json
		if at := run["started_at"].(string); run["status"] != "completed" || at < begun {
			t.Errorf("%v", run)
		} else {
			begun = at
		}
	}
	for range 3 {
		for range 20 {
			e.request("pull", object{"tags": "none"})
		}
		e.runJobs()
	}
	e.want(404, e.key, "GET", "acme/app/upstream/syncs/"+ids[0], nil)
	if list := e.want(200, e.key, "GET", "acme/app/upstream/syncs?limit=100", nil); len(list.json["syncs"].([]any)) != 50 {
		t.Errorf("the log has %d syncs", len(list.json["syncs"].([]any)))
	}
}

// TestAFollowerShowsItsUpstream looks at a repository that another face has
// follow another, and moves its refs forward.
func TestAFollowerShowsItsUpstream(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	e.up.Commit("main", "first", gittest.Files{"a": "1"})
	mirror := service.NewMirror{
		Name: "mirror", Provider: string(cairn.Gitea), Host: strings.TrimPrefix(e.upstream.URL, "http://"), Owner: "team", UpstreamName: "app",
		Access: service.CredentialAccess, Password: upstreamPassword, Username: "bot",
	}
	if _, err := e.service.CreateMirror(t.Context(), e.operator("acme"), mirror); err != nil {
		t.Fatal(err)
	}
	if a := e.want(409, e.key, "POST", "acme/mirror/upstream/syncs", object{"direction": "pull"}); a.errorCode() != "CONFLICT" {
		t.Errorf("%s", a.body)
	}
	e.runJobs()
	u := e.want(200, e.key, "GET", "acme/mirror", nil).json["upstream"].(object)
	if latest := u["latest_sync"].(object); u["url"] != e.url() || u["auth_kind"] != "username_password" || latest["status"] != "completed" || latest["stats"] == nil {
		t.Errorf("%v", u)
	}
	e.up.Git("branch", "more", "main")
	e.want(201, e.key, "POST", "acme/mirror/upstream/syncs", object{"direction": "pull"})
	e.runJobs()
	e.want(200, e.key, "GET", "acme/mirror/bookmarks/more", nil)
	// It goes on following: what is gone there goes here.
	e.up.Git("update-ref", "-d", "refs/heads/more")
	if err := e.service.PullUpstream(t.Context(), e.operator("acme"), "mirror", ""); err != nil {
		t.Fatal(err)
	}
	e.runJobs()
	e.want(404, e.key, "GET", "acme/mirror/bookmarks/more", nil)
	// One that does not follow is never more than moved forward, whoever asks.
	e.completed("pull", nil)
	e.up.Commit("other", "another root", gittest.Files{"b": "1"})
	e.up.Git("update-ref", "refs/heads/main", "other")
	before := e.refs()["refs/heads/main"]
	if err := e.service.PullUpstream(t.Context(), e.operator("acme"), "app", ""); err != nil {
		t.Fatal(err)
	}
	e.runJobs()
	if refs := e.refs(); refs["refs/heads/main"] != before || refs["refs/heads/other"] == "" {
		t.Errorf("refs are %v", refs)
	}
}

// TestRefusedPushes are pushes to an upstream that says no, or nothing.
func TestRefusedPushes(t *testing.T) {
	t.Parallel()
	e := newExchange(t)
	fill(e.up)
	e.completed("pull", nil)
	for _, name := range []string{"refs/heads/main", "refs/heads/same", "refs/tags/v1"} {
		e.up.Git("update-ref", "-d", name)
	}
	hook := func(name, text string) {
		t.Helper()
		path := filepath.Join(e.up.Dir, "hooks", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A ref that is refused does not stand in the way of others.
	hook("update", "test $1 != refs/heads/main\n")
	outcomes := e.completed("push", object{"branches": "*"})
	if outcomes["refs/heads/main"] != "rejected" || outcomes["refs/heads/same"] != "updated" || e.up.Refs()["refs/heads/same"] == "" {
		t.Errorf("%v", outcomes)
	}
	hook("pre-receive", "exit 1\n")
	if outcomes := e.completed("push", nil); outcomes["refs/tags/v1"] != "rejected" || outcomes["refs/heads/same"] != "unchanged" {
		t.Errorf("%v", outcomes)
	}
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	packets := func(lines ...string) string {
		var inner string
		for _, line := range lines {
			inner += fmt.Sprintf("%04x%s", len(line)+4, line)
		}
		inner += "0000"
		return fmt.Sprintf("%04x\x01%s0000", len(inner)+5, inner)
	}
	for name, c := range map[string]struct {
		status       int
		body         string
		wanted, text string
	}{
		"the objects are refused":   {200, packets("unpack no space, " + upstreamPassword), "failed", "refuses the objects: no space, ***"},
		"nothing is said of refs":   {200, packets("unpack ok\n"), "completed", ""},
		"other refs are told of":    {200, packets("unpack ok\n", "ok refs/heads/evil\n", "ok refs/heads/main x\n"), "completed", ""},
		"the answer is no report":   {200, "<html>", "failed", "not speak Git's protocol"},
		"the credential is refused": {403, "", "failed", "authentication failed"},
	} {
		e.upstream.Intercept(answer(c.status, c.body))
		done := e.sync("push", nil)
		text, _ := done["error"].(string)
		if done["status"] != c.wanted || !strings.Contains(text, c.text) || strings.Contains(text, upstreamPassword) {
			t.Errorf("%s: %v", name, done)
		}
		if stats, ok := done["stats"].(object); ok {
			for _, r := range stats["refs"].([]any) {
				if ref := r.(object); ref["outcome"] == "updated" || ref["name"] == "refs/heads/evil" {
					t.Errorf("%s: %v", name, ref)
				}
			}
		}
	}
	// What may pass is tried again.
	busy := 2
	e.upstream.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if busy--; busy >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return busy >= 0
	})
	if done := e.sync("push", nil); done["status"] != "completed" || done["attempt"] != 3.0 || done["error"] != nil {
		t.Errorf("%v", done)
	}
}
