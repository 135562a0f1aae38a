package codestorage_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// pastReads are reads that can ask for a time.
var pastReads = []string{
	"/branches?limit=100", "/branches?ephemeral=true&limit=100", "/branch?name=main", "/branch?name=side", "/tags", "/tag?name=v1",
	"/commits?ref=main", "/commits?ref=side&path=a", "/commit?ref=main", "/commit?ref=side", "/diff?ref=main", "/branches/diff?branch=side",
	"/files?ref=main", "/files?ref=side&recursive=false", "/file?path=a", "/file?path=a&ref=side", "/files/metadata?ref=main",
	"/blame?path=a", "/blame?path=a&ref=side",
}

// pastSearches are reads that send what they ask for.
var pastSearches = map[string]object{
	"/grep":    {"ref": "side", "query": object{"pattern": "."}},
	"/archive": {"ref": "main"},
}

var cursors = regexp.MustCompile(`"(next_)?cursor":"[^"]*",?`)

// asOf asks all reads, at a time or now, and returns their answers without
// cursors, which belong to one listing.
func (r *repo) asOf(at time.Time) string {
	r.t.Helper()
	var all strings.Builder
	for _, path := range pastReads {
		if !at.IsZero() {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			path += sep + "at=" + url.QueryEscape(at.Format(time.RFC3339Nano))
		}
		a := r.get(r.preferred(path))
		path, _, _ = strings.Cut(strings.ReplaceAll(path, "?at=", "&at="), "&at=")
		fmt.Fprintf(&all, "%s: %d %s %s\n", path, a.status, cursors.ReplaceAllString(string(a.body), ""), a.header.Get("X-Last-Commit-Sha"))
	}
	query := ""
	if !at.IsZero() {
		query = "?at=" + url.QueryEscape(at.Format(time.RFC3339Nano))
	}
	for _, path := range slices.Sorted(maps.Keys(pastSearches)) {
		a := r.post(r.preferred(path+query), pastSearches[path])
		fmt.Fprintf(&all, "%s: %d %x\n", path, a.status, sha256.Sum256(cursors.ReplaceAll(a.body, nil)))
	}
	return all.String()
}

// clonedRefs are the branches and tags that a clone has, by stock git.
func (r *repo) clonedRefs() string {
	r.t.Helper()
	dir := r.export()
	return gittest.Open(r.t, dir).Git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
}

// TestAnswersAsOfATimeAreThoseOfThen records what every read answers while a
// repository changes, and what a clone has, and then asks for those times.
func TestAnswersAsOfATimeAreThoseOfThen(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "team/app")
	type state struct {
		at      time.Time
		answers string
		clone   string
	}
	var states []state
	record := func() {
		t.Helper()
		states = append(states, state{time.Now().UTC(), r.asOf(time.Time{}), r.clonedRefs()})
		time.Sleep(time.Millisecond) // so that the next write is later
	}
	first := r.commit(nil, put("a", "1"), put("b/c", "x"))
	record()
	r.commit(object{"target_branch": "side", "base_branch": "main"}, put("a", "2"))
	r.post("/api/v1/repos/tags", object{"name": "v1", "target": first}).want(t, 201)
	record()
	r.commit(nil, put("a", "3"))
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "main", "target_is_ephemeral": true}).want(t, 200)
	record()
	r.post("/api/v1/repos/branches/create", object{"base_ref": first, "target_branch": "main", "force": true}).want(t, 200)
	r.delete("/api/v1/repos/tags", object{"name": "v1"}).want(t, 200)
	record()
	r.delete("/api/v1/repos/branches", object{"name": "side"}).want(t, 200)
	record()
	r.commit(object{"target_branch": "side", "base_branch": "main"}, put("a", "4"))
	r.delete("/api/v1/repos/branches", object{"name": "main", "ephemeral": true}).want(t, 200)
	record()
	for i, s := range states {
		if got := r.asOf(s.at); got != s.answers {
			t.Errorf("state %d: asked for later:\n%s\nwas\n%s", i, got, s.answers)
		}
		var refs []string
		at := url.QueryEscape(s.at.Format(time.RFC3339Nano))
		for _, b := range r.get("/api/v1/repos/branches?limit=100&at="+at).want(t, 200).at(t, "branches").([]any) {
			refs = append(refs, fmt.Sprint("refs/heads/", b.(object)["name"], " ", b.(object)["head_sha"]))
		}
		for _, b := range r.get("/api/v1/repos/tags?at="+at).want(t, 200).at(t, "tags").([]any) {
			refs = append(refs, fmt.Sprint("refs/tags/", b.(object)["name"], " ", b.(object)["sha"]))
		}
		if got := strings.Join(refs, "\n"); got != s.clone {
			t.Errorf("state %d: refs\n%s\na clone had\n%s", i, got, s.clone)
		}
	}
}

func TestPastIsForThoseWhoMayWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.repo(t, "team/app")
	r.commit(nil, put("a", "1"))
	at := "at=" + url.QueryEscape(time.Now().Format(time.RFC3339Nano))
	reader := w.token(t, "team/app", claims{"scopes": []string{"git:read"}})
	for _, path := range pastReads {
		path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
		w.call(t, reader, "GET", r.preferred(path+at), nil).want(t, 403)
		r.get(r.preferred(path+"at=yesterday")).want(t, 400)
	}
	for path, body := range pastSearches {
		w.call(t, reader, "POST", r.preferred(path), object{"query": object{"pattern": "."}}).want(t, 200)
		w.call(t, reader, "POST", r.preferred(path+"?"+at), body).want(t, 403)
		r.post(r.preferred(path+"?at=yesterday"), body).want(t, 400)
	}
	w.call(t, reader, "GET", r.preferred("/branches?deleted=true"), nil).want(t, 403)
	r.get("/api/v1/repo?"+at).want(t, 400)
	r.get("/api/v1/repos/branches?deleted=true&"+at).want(t, 400)
	for _, wrong := range []string{"2001-01-01T00:00:00Z", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)} {
		a := r.get("/api/v1/repos/branches?at="+wrong).want(t, 404)
		if !strings.Contains(string(a.body), "did not exist yet") {
			t.Errorf("at %s: %s", wrong, a.body)
		}
	}
	r.get("/api/v1/repos/branches?at=2999-01-01T00:00:00Z").want(t, 400)
	w.call(t, w.token(t, "none", nil), "GET", "/api/v1/repos/branches?"+at, nil).want(t, 404)
}

func TestRestoreBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.repo(t, "team/app")
	first := r.commit(nil, put("a", "1"))
	restore := func(body object) answer { return r.post("/api/v1/repos/branches/restore", body) }
	branch := func(ref string, ephemeral bool) {
		t.Helper()
		r.post("/api/v1/repos/branches/create", object{"base_ref": ref, "target_branch": "x", "target_is_ephemeral": ephemeral}).want(t, 200)
	}
	drop := func(ephemeral bool) {
		t.Helper()
		r.delete("/api/v1/repos/branches", object{"name": "x", "ephemeral": ephemeral}).want(t, 200)
	}
	restore(object{"name": "x"}).want(t, 404)
	branch(first, false)
	restore(object{"name": "x"}).want(t, 409)
	second := r.commit(object{"target_branch": "x"}, put("a", "2"))
	there := time.Now().UTC()
	drop(false)
	branch(first, false)
	drop(false)
	branch(first, true)
	third := r.commit(object{"target_branch": "x", "ephemeral": true}, put("a", "3"))
	drop(true)
	list := r.get("/api/v1/repos/branches?deleted=true").want(t, 200)
	if list.at(t, "branches.0.head_sha") != first || list.at(t, "branches.1.head_sha") != second || list.at(t, "branches.2") != nil ||
		list.at(t, "branches.0.name") != "x" || list.at(t, "branches.0.deleted_by") != "tester" {
		t.Errorf("deleted branches: %s", list.body)
	}
	page := r.get("/api/v1/repos/branches?deleted=true&limit=1").want(t, 200)
	next := r.get("/api/v1/repos/branches?deleted=true&limit=1&cursor="+page.at(t, "next_cursor").(string)).want(t, 200)
	if next.at(t, "branches.0.head_sha") != second || next.at(t, "has_more") != false {
		t.Errorf("second page of deleted branches: %s", next.body)
	}
	restored := func(a answer, head string, ephemeral bool) {
		t.Helper()
		if a.want(t, 200).at(t, "commit_sha") != head {
			t.Errorf("restored: %s, want %s", a.body, head)
		}
		got := r.get(r.preferred(fmt.Sprintf("/branch?name=x&ephemeral=%t", ephemeral))).want(t, 200)
		if got.at(t, "branch.head_sha") != head {
			t.Errorf("the branch is %s, want %s", got.body, head)
		}
		drop(ephemeral)
	}
	restored(restore(object{"name": "x"}), first, false)
	restored(restore(object{"target_branch": "x", "head_sha": second}), second, false)
	restored(restore(object{"target_branch": "x", "at": there.Format(time.RFC3339Nano)}), second, false)
	restored(restore(object{"name": "x", "ephemeral": true}), third, true)
	restore(object{"name": "x", "head_sha": third}).want(t, 404)
	restore(object{"name": "x", "head_sha": "abc"}).want(t, 400)
	restore(object{"name": "x", "head_sha": second, "at": there}).want(t, 400)
	restore(object{"name": "x", "at": "2001-01-01T00:00:00Z"}).want(t, 404)
	restore(object{}).want(t, 400)
	// Neither a fork nor another repository restores what it never had.
	fork := &repo{world: w, t: t, name: "fork", token: w.token(t, "fork", nil)}
	fork.post("/api/v1/repos", object{"base_repo": object{"provider": "code", "name": "team/app", "auth": object{"token": r.token}}}).want(t, 201)
	fork.post("/api/v1/repos/branches/restore", object{"name": "x"}).want(t, 404)
	fork.post("/api/v1/repos/branches/restore", object{"name": "x", "head_sha": second}).want(t, 404)
	fork.get("/api/v1/repos/branches?at="+url.QueryEscape(there.Format(time.RFC3339Nano))).want(t, 404)
}

func TestRestoreRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.repo(t, "team/app")
	restore := func(body object) answer { return r.post("/api/v1/repos/restore", body) }
	create := func() string { return r.post("/api/v1/repos", object{}).want(t, 201).at(t, "repo_id").(string) }
	drop := func() { r.delete("/api/v1/repos/delete", nil).want(t, 200) }
	restore(nil).want(t, 409)
	one := r.get("/api/v1/repo").at(t, "repo_id").(string)
	first := r.commit(nil, put("a", "first"))
	drop()
	two := create()
	// The name is another repository's now: nothing of the old one shows.
	r.get("/api/v1/repos/commit?sha="+first).want(t, 404)
	restore(object{"repo_id": one}).want(t, 409)
	r.commit(nil, put("a", "second"))
	drop()
	list := w.call(t, r.token, "GET", "/api/v1/repos?deleted=true", nil).want(t, 200)
	if list.at(t, "repos.0.repo_id") != one || list.at(t, "repos.1.repo_id") != two || list.at(t, "repos.2") != nil || list.at(t, "repos.0.deleted_at") == nil {
		t.Errorf("deleted repositories: %s", list.body)
	}
	page := r.get("/api/v1/repos?deleted=true&limit=1").want(t, 200)
	if next := r.get("/api/v1/repos?deleted=true&limit=1&cursor="+page.at(t, "next_cursor").(string)).want(t, 200); next.at(t, "repos.0.repo_id") != two {
		t.Errorf("second page of deleted repositories: %s", next.body)
	}
	w.call(t, w.token(t, "team/app", claims{"scopes": []string{"git:write", "org:read"}}), "POST", "/api/v1/repos/restore", nil).want(t, 403)
	w.call(t, w.token(t, "other", nil), "POST", "/api/v1/repos/restore", object{"repo_id": one}).want(t, 404)
	restore(object{"repo_id": "x"}).want(t, 400)
	restore(object{"repo_id": "repo_none"}).want(t, 404)
	if a := restore(nil).want(t, 200); a.at(t, "repo_id") != two || r.content("main", "a") != "second" {
		t.Errorf("restored: %s", a.body)
	}
	r.commit(nil, put("a", "again"))
	drop()
	restore(object{"repo_id": one}).want(t, 200)
	if r.content("main", "a") != "first" {
		t.Error("the first repository is not what it was")
	}
	r.export()
	if lines, _ := r.events("", 10); len(lines) != 1 {
		t.Errorf("events of the first repository: %q", lines)
	}
}

func TestDeletedRepositoriesGoWithTheRetentionTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(o *service.Options) { o.Now = func() time.Time { return now } })
	r := w.repo(t, "team/app")
	r.delete("/api/v1/repos/delete", nil).want(t, 200)
	now = now.Add(8 * 24 * time.Hour)
	r.token = w.token(t, "team/app", claims{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	r.post("/api/v1/repos/restore", nil).want(t, 404)
	if list := r.get("/api/v1/repos?deleted=true").want(t, 200); list.at(t, "repos.0") != nil {
		t.Errorf("deleted repositories: %s", list.body)
	}
}

// packRows counts the packs that the organizations have.
func (w *world) packRows(t *testing.T, keys ...cairn.RepositoryKey) int {
	t.Helper()
	n := 0
	err := w.store.Metadata().View(t.Context(), func(tx cairn.Tx) error {
		n = 0
		for _, key := range keys {
			manifest, err := tx.Packs().Manifest(key)
			if err != nil {
				return err
			}
			n += len(manifest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPurge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.repo(t, "team/app")
	large := make([]byte, 400_000) // too large to lie in a row
	if _, err := rand.Read(large); err != nil {
		t.Fatal(err)
	}
	r.commit(nil, put("a", string(large)))
	at := "at=" + url.QueryEscape(time.Now().UTC().Format(time.RFC3339Nano))
	second := r.commit(object{"target_branch": "x", "base_branch": "main"}, put("a", "2"))
	r.delete("/api/v1/repos/branches", object{"name": "x"}).want(t, 200)
	r.get("/api/v1/repos/commits?"+at).want(t, 200)
	w.call(t, w.token(t, "team/app", claims{"scopes": []string{"git:write"}}), "POST", "/api/v1/repos/purge", nil).want(t, 403)
	r.post("/api/v1/repos/purge", object{"repo_id": "repo_none"}).want(t, 404)
	living := r.post("/api/v1/repos/purge", nil).want(t, 200)
	r.get("/api/v1/repos/commits?"+at).want(t, 404)
	r.post("/api/v1/repos/branches/restore", object{"name": "x"}).want(t, 404)
	r.post("/api/v1/repos/branches/restore", object{"name": "x", "head_sha": second}).want(t, 404)
	if list := r.get("/api/v1/repos/branches?deleted=true").want(t, 200); list.at(t, "branches.0") != nil {
		t.Errorf("deleted branches after a purge: %s", list.body)
	}
	r.content("main", "a")

	id := living.at(t, "repo_id").(string)
	key := cairn.RepositoryKey{Repository: cairn.RepositoryID(strings.TrimPrefix(id, "repo_"))}
	who, err := w.service.Authenticate(t.Context(), r.token)
	if err != nil {
		t.Fatal(err)
	}
	key.Organization = who.Organization.ID
	r.delete("/api/v1/repos/delete", nil).want(t, 200)
	r.post("/api/v1/repos", object{}).want(t, 201)
	r.delete("/api/v1/repos/delete?purge=maybe", nil).want(t, 400)
	gone := r.delete("/api/v1/repos/delete?purge=true", nil).want(t, 200)
	r.post("/api/v1/repos/restore", object{"repo_id": gone.at(t, "repo_id")}).want(t, 404)
	if w.packRows(t, key) == 0 {
		t.Error("the purge of another repository took the packs")
	}
	items, err := w.bucket.List(t.Context(), "packs/", "", 100)
	if err != nil || len(items) == 0 {
		t.Fatalf("in the bucket: %v, %v", items, err)
	}
	r.post("/api/v1/repos/purge", nil).want(t, 200)
	r.post("/api/v1/repos/restore", nil).want(t, 404)
	r.post("/api/v1/repos/purge", nil).want(t, 404)
	if n := w.packRows(t, key); n != 0 {
		t.Errorf("%d packs are left", n)
	}
	if items, err = w.bucket.List(t.Context(), "packs/", "", 100); err != nil || len(items) != 0 {
		t.Errorf("in the bucket after the purge: %v, %v", items, err)
	}
	if list := r.get("/api/v1/repos?deleted=true").want(t, 200); list.at(t, "repos.0") != nil {
		t.Errorf("deleted repositories: %s", list.body)
	}
}
