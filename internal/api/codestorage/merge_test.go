package codestorage_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// mergeOf is the body of a merge of feature into main.
func mergeOf(change object) object {
	body := object{
		"source_branch": "feature", "target_branch": "main", "strategy": "merge",
		"commit_message": "Merge feature", "author": object{"name": "Ann", "email": "ann@example.com"},
	}
	for k, v := range change {
		if v == nil {
			delete(body, k)
		} else {
			body[k] = v
		}
	}
	return body
}

// diverged makes main and feature with a commit each on a common one.
func (w *world) diverged(t *testing.T, name string) (r *repo, base, main, feature string) {
	t.Helper()
	r = w.repo(t, name)
	base = r.commit(nil, put("f", "1\n2\n3\n"), put("g", "g\n"))
	feature = r.commit(object{"target_branch": "feature", "base_branch": "main"}, put("f", "1\n2\nthree\n"))
	main = r.commit(nil, put("g", "G\n"))
	return r, base, main, feature
}

func TestMergeStrategies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		ahead   bool // main has nothing of its own
		body    object
		status  int
		result  string
		parents int
	}{
		"merge, diverged":              {false, nil, 200, "merge_commit", 2},
		"merge, ahead":                 {true, nil, 200, "merge_commit", 2},
		"ff_only, diverged":            {false, object{"strategy": "ff_only"}, 409, "", 0},
		"ff_only, ahead":               {true, object{"strategy": "ff_only", "commit_message": nil, "author": nil}, 200, "fast_forward", 1},
		"ff_prefer, diverged":          {false, object{"strategy": "ff_prefer"}, 200, "merge_commit", 2},
		"ff_prefer, ahead":             {true, object{"strategy": "ff_prefer"}, 200, "fast_forward", 1},
		"squash, diverged":             {false, object{"squash": true}, 200, "squash", 1},
		"squash, ahead":                {true, object{"squash": true, "strategy": "ff_prefer"}, 200, "squash", 1},
		"squash with ff_only":          {true, object{"squash": true, "strategy": "ff_only"}, 400, "", 0},
		"nothing to merge":             {true, object{"source_branch": "main", "commit_message": nil}, 200, "no_op", 0},
		"nothing to squash":            {true, object{"source_branch": "main", "squash": true}, 200, "no_op", 0},
		"without message":              {false, object{"commit_message": nil}, 400, "", 0},
		"without author":               {false, object{"author": nil}, 400, "", 0},
		"author without email":         {false, object{"author": object{"name": ""}}, 400, "", 0},
		"an unknown strategy":          {false, object{"strategy": "octopus"}, 400, "", 0},
		"no strategy":                  {false, object{"strategy": nil}, 400, "", 0},
		"no source":                    {false, object{"source_branch": nil}, 400, "", 0},
		"no target":                    {false, object{"target_branch": nil}, 400, "", 0},
		"a source that is not there":   {false, object{"source_branch": "none"}, 404, "", 0},
		"a target that is not there":   {false, object{"target_branch": "none"}, 404, "", 0},
		"a target in full":             {false, object{"target_branch": "refs/heads/main"}, 400, "", 0},
		"a guard that is no id":        {false, object{"expected_target_sha": "abc"}, 400, "", 0},
		"a wrong guard":                {false, object{"expected_target_sha": strings.Repeat("1", 40)}, 409, "", 0},
		"preferred vocabulary":         {false, object{"source_branch": "none", "source_ref": "refs/heads/feature"}, 200, "merge_commit", 2},
		"a source that is a revision":  {false, object{"source_ref": "feature~0"}, 200, "merge_commit", 2},
		"a hostile name of the source": {false, object{"source_ref": "--help"}, 400, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, base, main, feature := w.diverged(t, strings.NewReplacer(" ", "-", ",", "").Replace(name))
			if c.ahead {
				r.post("/api/v1/repos/branches/create", object{"base_ref": base, "target_branch": "main", "force": true}).want(t, 200)
				main = base
			}
			a := r.post(r.preferred("/merge"), mergeOf(c.body)).want(t, c.status)
			tip := r.get(r.preferred("/branch?name=main")).want(t, 200).at(t, "branch.head_sha")
			if c.status != 200 {
				if tip != main || a.at(t, "error") == "" {
					t.Errorf("main moved to %v; %s", tip, a.body)
				}
				return
			}
			if a.at(t, "result") != c.result || a.at(t, "commit_sha") != tip || a.at(t, "target.new_sha") != tip || a.at(t, "target.old_sha") != main {
				t.Errorf("got %s, main is at %v", a.body, tip)
			}
			if c.result == "no_op" {
				if tip != main || a.at(t, "promoted_commits") != 0.0 {
					t.Errorf("got %s", a.body)
				}
				return
			}
			if a.at(t, "source.sha") != feature || a.at(t, "merge_base_sha") != base || a.at(t, "promoted_commits") != 1.0 {
				t.Errorf("got %s, want source %s and base %s", a.body, feature, base)
			}
			commit := r.get("/api/v1/repos/commit?sha=main").want(t, 200)
			parents := texts(commit.json(t)["commit"].(object)["parent_shas"])
			if len(parents) != c.parents || parents[0] != main {
				t.Errorf("parents %q, want %d from %s", parents, c.parents, main)
			}
			if got := r.content("main", "f"); got != "1\n2\nthree\n" {
				t.Errorf("f is %q", got)
			}
		})
	}
}

func TestMergeConflicts(t *testing.T) {
	t.Parallel()
	r, base, _, _ := newWorld(t).diverged(t, "app")
	feature := r.commit(object{"target_branch": "feature"}, put("g", "gee\n"), put("bin", "a\x00b"))
	main := r.commit(nil, put("bin", "c\x00d"))
	a := r.post("/api/v1/repos/merge", mergeOf(nil)).want(t, 409)
	if a.at(t, "error") != "merge conflict" || a.at(t, "conflict_type") != "merge_conflict" || a.at(t, "merge_base_sha") != base {
		t.Errorf("got %s", a.body)
	}
	sameList(t, "conflict_paths", texts(a.json(t)["conflict_paths"]), []string{"bin", "g"})
	p := r.get(r.preferred("/merge/preview?source_branch=feature&target_branch=main&include_content=true")).want(t, 200)
	for path, want := range map[string]any{
		"status": "conflicted", "result": "merge_commit", "source_tip_sha": feature, "target_tip_sha": main, "merge_base_sha": base,
		"conflicts.0.path": "bin", "conflicts.0.base.oid": nil, "conflicts.0.base.binary": false, "conflicts.0.ours.binary": true,
		"conflicts.0.ours.content": nil, "conflicts.1.base.content": "g\n", "conflicts.1.ours.content": "G\n", "conflicts.1.theirs.content": "gee\n",
		"conflicts.1.result.content": "<<<<<<< main\nG\n=======\ngee\n>>>>>>> feature\n", "conflicts.1.result.truncated": false,
	} {
		if got := p.at(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	p = r.get("/api/v1/repos/merge/preview?source_branch=feature&target_branch=main").want(t, 200)
	if p.at(t, "conflicts.1.result.content") != nil || p.at(t, "conflicts.1.result.oid") == nil || p.at(t, "conflicts.0.ours.binary") != true {
		t.Errorf("without content: %s", p.body)
	}
}

// TestPreviewIsBounded has more conflicts, and longer files, than are shown.
func TestPreviewIsBounded(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	side := func(text string) (changes []change) {
		for i := range 103 {
			changes = append(changes, put(fmt.Sprintf("f%03d", i), text+"\n"))
		}
		return append(changes, put("a-long-one", strings.Repeat(text+" ü\n", 20_000)))
	}
	r.commit(nil, side("base")...)
	r.commit(object{"target_branch": "feature", "base_branch": "main"}, side("theirs")...)
	r.commit(nil, side("ours")...)
	p := r.get("/api/v1/repos/merge/preview?source_branch=feature&target_branch=main&include_content=true").want(t, 200)
	body := p.json(t)
	if n := len(texts(body["conflict_paths"])); n != 104 {
		t.Errorf("%d conflict paths, want all 104", n)
	}
	if len(list(body["conflicts"])) != 100 || len(list(body["filtered_conflicts"])) != 4 || p.at(t, "filtered_conflicts.3.path") != "f102" ||
		p.at(t, "filtered_conflicts.0.reason") != "max_conflict_files_exceeded" {
		t.Errorf("%d conflicts, filtered: %v", len(list(body["conflicts"])), body["filtered_conflicts"])
	}
	for _, version := range []string{"result", "base", "ours", "theirs"} {
		text, _ := p.at(t, "conflicts.0."+version+".content").(string)
		if len(text) < 64<<10-4 || len(text) > 64<<10 || strings.ContainsRune(text, '\uFFFD') || p.at(t, "conflicts.0."+version+".truncated") != true {
			t.Errorf("%s has %d bytes, ending in %q", version, len(text), text[max(0, len(text)-10):])
		}
	}
}

func TestMergeWithAGuard(t *testing.T) {
	t.Parallel()
	r, base, main, _ := newWorld(t).diverged(t, "app")
	a := r.post("/api/v1/repos/merge", mergeOf(object{"expected_target_sha": base})).want(t, 409)
	if a.at(t, "conflict_type") != "target_moved" || !strings.Contains(a.at(t, "error").(string), main) {
		t.Errorf("got %s", a.body)
	}
	r.post("/api/v1/repos/merge", mergeOf(object{"expected_target_sha": strings.ToUpper(main)})).want(t, 200)
}

func TestMergeUnrelatedHistories(t *testing.T) {
	t.Parallel()
	from := gittest.Init(t)
	from.Commit("main", "one", gittest.Files{"a": "1\n"})
	from.Git("checkout", "-q", "--orphan", "feature")
	from.Git("rm", "-rfq", ".")
	from.Commit("feature", "two", gittest.Files{"b": "2\n"})
	r := newWorld(t).load(t, "app", from)
	a := r.post("/api/v1/repos/merge", mergeOf(nil)).want(t, 409)
	if !strings.Contains(a.at(t, "error").(string), "unrelated histories") || a.at(t, "conflict_type") != nil {
		t.Errorf("got %s", a.body)
	}
	r.get("/api/v1/repos/merge/preview?source_branch=feature&target_branch=main").want(t, 409)
	a = r.post("/api/v1/repos/merge", mergeOf(object{"allow_unrelated_histories": true})).want(t, 200)
	if a.at(t, "merge_base_sha") != nil || a.at(t, "result") != "merge_commit" {
		t.Errorf("got %s", a.body)
	}
	if r.content("main", "a")+r.content("main", "b") != "1\n2\n" {
		t.Error("the merge lost a file")
	}
}

func TestMergeAcrossNamespaces(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("f", "1\n"))
	r.commit(object{"target_branch": "main", "base_branch": "main", "ephemeral": true}, put("f", "2\n"))
	a := r.post("/api/v1/repos/merge", mergeOf(object{"source_branch": "main", "source_is_ephemeral": true, "strategy": "ff_prefer"})).want(t, 200)
	if a.at(t, "result") != "fast_forward" || a.at(t, "source.ephemeral") != true || a.at(t, "target.ephemeral") != false || r.content("main", "f") != "2\n" {
		t.Errorf("got %s", a.body)
	}
	r.commit(object{"ephemeral": true}, put("f", "ours\n"))
	r.commit(nil, put("f", "theirs\n"))
	p := r.get(r.preferred("/merge/preview?source_ref=main&target_branch=main&target_is_ephemeral=true&include_content=true")).want(t, 200)
	text := p.at(t, "conflicts.0.result.content").(string)
	if !strings.HasPrefix(text, "<<<<<<< main\nours\n=======\ntheirs\n>>>>>>> ") || strings.HasSuffix(text, ">>>>>>> main\n") {
		t.Errorf("got %s", text)
	}
}

// TestMergesRaceWithCommits: without a guard, nobody is told of the others.
func TestMergesRaceWithCommits(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("f", "1\n"))
	const branches, commits = 4, 30
	for i := range branches {
		r.commit(object{"target_branch": fmt.Sprint("b", i), "base_branch": "main"}, put(fmt.Sprint("b", i), "x\n"))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range commits {
			r.commit(nil, put("g", fmt.Sprintln(i)))
		}
	})
	for i := range branches {
		wg.Go(func() {
			a := r.post("/api/v1/repos/merge", mergeOf(object{"source_branch": fmt.Sprint("b", i)}))
			if a.status != 200 {
				t.Errorf("merge %d: %s", i, a.body)
			}
		})
	}
	wg.Wait()
	for i := range branches {
		if got := r.content("main", fmt.Sprint("b", i)); got != "x\n" {
			t.Errorf("b%d is %q", i, got)
		}
	}
	if got := r.content("main", "g"); got != fmt.Sprintln(commits-1) {
		t.Errorf("g is %q", got)
	}
	gittest.Fsck(t, r.export())
}

func TestMergeObeysPolicyAndScope(t *testing.T) {
	t.Parallel()
	r, _, _, _ := newWorld(t).diverged(t, "app")
	for name, c := range map[string]claims{
		"no-push":    {"refs": []any{[]any{"main", []string{"no-push"}}}},
		"verify-sig": {"refs": []any{[]any{"main", []string{"verify-sig"}}}},
		"read scope": {"scopes": []string{"git:read"}},
	} {
		a := r.call(t, r.world.token(t, "app", c), "POST", "/api/v1/repos/merge", mergeOf(nil))
		if a.status != 403 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	token := r.world.token(t, "app", claims{"refs": []any{[]any{"*", []string{"no-force-push"}}}})
	r.call(t, token, "POST", "/api/v1/repos/merge", mergeOf(nil)).want(t, 200)
}

// TestMergeRunsNothing has attributes that would run a program, or merge in
// another way: git reads none in a bare repository, and so here.
func TestMergeRunsNothing(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("f", "1\n"), put(".gitattributes", "f merge=union\ng merge=evil\n* filter=evil\n"), put("g", "1\n"))
	r.commit(object{"target_branch": "feature", "base_branch": "main"}, put("f", "2\n"), put("g", "2\n"))
	r.commit(nil, put("f", "3\n"), put("g", "3\n"))
	a := r.post("/api/v1/repos/merge", mergeOf(nil)).want(t, 409)
	sameList(t, "conflict_paths", texts(a.json(t)["conflict_paths"]), []string{"f", "g"})
}

// TestMergedModulesAreChecked: a .gitmodules that no side could have stored is
// not stored by a merge.
func TestMergedModulesAreChecked(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("x", "[submodule \"a\"]\n\tpath = a\n\turl = ./a\n"))
	r.commit(object{"target_branch": "feature", "base_branch": "main"}, put("x", "[submodule \"a\"]\n\tpath = a\n\turl = -uevil\n"))
	r.commit(nil, remove("x"), put(".gitmodules", "[submodule \"a\"]\n\tpath = a\n\turl = ./a\n"))
	a := r.post("/api/v1/repos/merge", mergeOf(nil)).want(t, 400)
	if !strings.Contains(a.at(t, "error").(string), "odule") {
		t.Errorf("got %s", a.body)
	}
}
