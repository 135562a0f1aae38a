package codestorage_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestNotesEqualGits makes the same notes here and with git notes, so many that
// their tree gets folders, and compares the trees.
func TestNotesEqualGits(t *testing.T) {
	t.Parallel()
	from := gittest.Init(t, gittest.Bare())
	var stream strings.Builder
	for i := range 300 {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 1\nx\n", gittest.Epoch+i)
	}
	from.GitInput(stream.String(), "fast-import", "--quiet")
	commits := strings.Fields(from.Git("rev-list", "main"))
	var notes strings.Builder
	// Most of the notes are there already.
	notes.WriteString("blob\nmark :1\ndata 5\nnote\n\ncommit refs/notes/commits\ncommitter A <a@example.com> 1 +0000\ndata 0\n")
	for _, id := range commits[20:] {
		fmt.Fprintf(&notes, "N :1 %s\n", id)
	}
	from.GitInput(notes.String(), "fast-import", "--quiet")
	r := newWorld(t).load(t, "app", from)
	same := func(what string) {
		t.Helper()
		ours := r.get("/api/v1/repos/notes/refs").want(t, 200).at(t, "refs.0.sha").(string)
		dir := r.export()
		if got, want := gittest.Git(t, dir, "rev-parse", ours+"^{tree}"), from.RevParse("refs/notes/commits^{tree}"); got != want {
			t.Errorf("%s: tree %s, git has %s", what, got, want)
		}
	}
	for i, text := range []string{"hello", "two\n\n\nlines  \n", "  indented\n\nend\n\n"} {
		r.post("/api/v1/repos/notes", object{"sha": commits[i], "note": text}).want(t, 200)
		from.GitInput(text, "notes", "add", "-F", "-", commits[i])
	}
	same("add")
	for _, i := range []int{0, 1, 5, 30} {
		r.post("/api/v1/repos/notes", object{"sha": commits[i], "note": "more", "action": "append"}).want(t, 200)
		from.GitInput("more", "notes", "append", "-F", "-", commits[i])
		want := from.Git("notes", "show", commits[i])
		if got := r.get("/api/v1/repos/notes?sha="+commits[i]).want(t, 200).at(t, "note"); got != strings.TrimRight(want, "\n") {
			t.Errorf("note %d is %q, git has %q", i, got, want)
		}
	}
	same("append")
	for _, i := range []int{0, 31, 32} {
		r.delete("/api/v1/repos/notes", object{"sha": commits[i]}).want(t, 200)
		from.Git("notes", "remove", commits[i])
	}
	same("remove")
	gittest.Fsck(t, r.export())
}

func TestNoteAnswers(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	first := r.commit(nil, put("f", "1\n"))
	a := r.post("/api/v1/repos/notes", object{"sha": first, "note": "hello", "ref": "reviews", "expected_ref_sha": strings.Repeat("0", 40)}).want(t, 200)
	tip := a.at(t, "new_ref_sha").(string)
	for path, want := range map[string]any{
		"sha": first, "target_ref": "refs/notes/reviews", "notes_ref": "refs/notes/reviews", "base_commit": nil, "result.success": true, "result.status": "ok",
	} {
		if got := a.at(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for _, query := range []string{"sha=" + first + "&ref=reviews", "object_ref=main&notes_ref=notes/reviews", "sha=" + strings.ToUpper(first) + "&ref=refs/notes/reviews"} {
		a := r.get(r.preferred("/notes?"+query)).want(t, 200)
		if a.at(t, "note") != "hello" || a.at(t, "ref_sha") != tip || a.at(t, "sha") != first {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	c := r.get("/api/v1/repos/commit?sha="+tip).want(t, 200)
	if c.at(t, "commit.author_name") != "tester" || c.at(t, "commit.message") != "Notes added by 'git notes add'" {
		t.Errorf("the commit is %s", c.body)
	}
	for name, c := range map[string]struct {
		method string
		body   object
		status int
		label  string
	}{
		"another note":       {"POST", object{"sha": first, "note": "again", "ref": "reviews"}, 409, "conflict"},
		"a stale guard":      {"POST", object{"sha": first, "note": "more", "ref": "reviews", "action": "append", "expected_notes_ref_sha": first}, 409, "precondition_failed"},
		"a blank note":       {"POST", object{"sha": first, "note": " \n"}, 400, "invalid"},
		"an unknown action":  {"POST", object{"sha": first, "note": "x", "action": "copy"}, 400, "invalid"},
		"no object":          {"POST", object{"note": "x"}, 400, "invalid"},
		"an unknown object":  {"POST", object{"sha": strings.Repeat("1", 40), "note": "x"}, 404, "not_found"},
		"a bad ref":          {"POST", object{"sha": first, "note": "x", "ref": "a..b"}, 400, "invalid"},
		"a ref out of notes": {"POST", object{"sha": first, "note": "x", "ref": "../heads/main"}, 400, "invalid"},
		"a branch":           {"POST", object{"sha": first, "note": "x", "ref": "refs/heads/main"}, 400, "invalid"},
		"a bad author":       {"POST", object{"sha": first, "note": "x", "author": object{"name": "<", "email": "e"}}, 400, "invalid"},
		"a bad guard":        {"POST", object{"sha": first, "note": "x", "expected_ref_sha": "1"}, 400, "invalid"},
		"nothing to remove":  {"DELETE", object{"sha": first}, 404, "not_found"},
	} {
		a := r.call(t, r.token, c.method, "/api/v1/repos/notes", c.body)
		if a.status != c.status || a.at(t, "result.status") != c.label || a.at(t, "result.success") != false || a.at(t, "error") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	r.get("/api/v1/repos/notes?sha="+first).want(t, 404)
	r.get("/api/v1/repos/notes").want(t, 400)
	a = r.delete(r.preferred("/notes"), object{"object_ref": "main", "notes_ref": "reviews", "action": "remove", "expected_ref_sha": tip}).want(t, 200)
	if a.at(t, "base_commit") != tip {
		t.Errorf("got %s", a.body)
	}
	r.get("/api/v1/repos/notes?ref=reviews&sha="+first).want(t, 404)
	gittest.Fsck(t, r.export())
}

func TestNotesRefs(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	first := r.commit(nil, put("f", "1\n"))
	for _, ref := range []string{"b", "reviews/x", "reviews/y", "a"} {
		r.post("/api/v1/repos/notes", object{"sha": first, "note": "n", "ref": ref}).want(t, 200)
	}
	for prefix, want := range map[string][]string{
		"":                    {"refs/notes/a", "refs/notes/b", "refs/notes/reviews/x", "refs/notes/reviews/y"},
		"reviews/":            {"refs/notes/reviews/x", "refs/notes/reviews/y"},
		"refs/notes/reviews/": {"refs/notes/reviews/x", "refs/notes/reviews/y"},
		"notes/re":            {"refs/notes/reviews/x", "refs/notes/reviews/y"},
		"none":                {},
	} {
		got := r.pages("/api/v1/repos/notes/refs?prefix="+url.QueryEscape(prefix), 1, "refs", "ref")
		sameList(t, prefix, got, want)
	}
	if a := r.get(r.preferred("/notes/refs?prefix=reviews/")).want(t, 200); a.at(t, "prefix") != "refs/notes/reviews/" || a.at(t, "has_more") != false {
		t.Errorf("got %s", a.body)
	}
	r.get("/api/v1/repos/notes/refs?cursor=x").want(t, 400)
}

func TestNotesRace(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("f", "1\n"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if a := r.post("/api/v1/repos/notes", object{"sha": "main", "action": "append", "note": fmt.Sprint("n", i)}); a.status != 200 {
				t.Errorf("note %d: %s", i, a.body)
			}
		})
	}
	wg.Wait()
	text := r.get("/api/v1/repos/notes?sha=main").want(t, 200).at(t, "note").(string)
	for i := range 8 {
		if !strings.Contains(text, fmt.Sprint("n", i)) {
			t.Errorf("note %d is lost: %q", i, text)
		}
	}
}
