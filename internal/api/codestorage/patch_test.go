package codestorage_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// edit is a patch of one line of a file.
func edit(path, old, new string) string {
	return fmt.Sprintf("diff --git a/%s b/%s\n--- a/%s\n+++ b/%s\n@@ -1 +1 @@\n-%s\n+%s\n", path, path, path, path, old, new)
}

// addition is a patch that makes a file of one line.
func addition(path, mode, line string) string {
	return fmt.Sprintf("diff --git a/%s b/%s\nnew file mode %s\n--- /dev/null\n+++ b/%s\n@@ -0,0 +1 @@\n+%s\n", path, path, mode, path, line)
}

func TestPatchAnswers(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	first := r.commit(nil, put("f", "1\n"), put("dir/g", "g\n"), change{path: "link", content: "dir", mode: "120000"})
	a := r.post(r.preferred("/diff-commit"), patchCommit(object{"expected_target_sha": first}, edit("f", "1", "2")+addition("x/new", "100755", "new"))).want(t, 201)
	for path, want := range map[string]any{
		"commit.blob_count": 2.0, "commit.target_branch": "main", "result.branch": "main", "result.old_sha": first, "result.success": true, "result.status": "ok",
	} {
		if got := a.at(t, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if r.content("main", "f")+r.content("main", "x/new") != "2\nnew\n" {
		t.Error("the patch is not what was committed")
	}
	tip := a.at(t, "commit.commit_sha")
	for name, c := range map[string]struct {
		metadata object
		patch    string
		status   int
		label    string
		reason   string
	}{
		"context that is not there":    {nil, edit("f", "1", "3"), 409, "conflict", "patch failed: f:1; f: patch does not apply"},
		"a file that is not there":     {nil, edit("gone", "1", "3"), 409, "conflict", "gone: does not exist in index"},
		"a new file that is there":     {nil, addition("f", "100644", "3"), 409, "conflict", "f: already exists in index"},
		"a file below a file":          {nil, addition("f/below", "100644", "3"), 409, "conflict", ""},
		"a file where a folder is":     {nil, addition("dir", "100644", "3"), 409, "conflict", ""},
		"nothing":                      {nil, "", 400, "invalid", "No valid patches"},
		"no patch":                     {nil, "hello\n", 400, "invalid", "No valid patches"},
		"a broken hunk":                {nil, strings.Replace(edit("f", "2", "3"), "-1 +1", "-1,5 +1,7", 1), 400, "invalid", "corrupt patch at line"},
		"no change":                    {nil, edit("f", "2", "2"), 400, "invalid", "changes nothing"},
		"a path of git":                {nil, addition(".git/hooks/post-update", "100755", "x"), 400, "invalid", "invalid path"},
		"a path that looks like it":    {nil, addition("sub/.GiT/config", "100644", "x"), 400, "invalid", ""},
		"a path out of the tree":       {nil, addition("../../etc/passwd", "100644", "x"), 400, "invalid", "invalid path"},
		"an absolute path":             {nil, addition("/etc/passwd", "100644", "x"), 0, "", ""}, // git takes the slash away
		"through a symbolic link":      {nil, addition("link/passwd", "100644", "x"), 400, "invalid", "beyond a symbolic link"},
		"a link, then through it":      {nil, addition("l", "120000", "/etc") + addition("l/passwd", "100644", "x"), 400, "invalid", "beyond a symbolic link"},
		"a harmful .gitmodules":        {nil, "diff --git a/.gitmodules b/.gitmodules\nnew file mode 100644\n--- /dev/null\n+++ b/.gitmodules\n@@ -0,0 +1,3 @@\n+[submodule \"a\"]\n+\tpath = a\n+\turl = -uevil\n", 400, "invalid", ""},
		"a .gitmodules that is a link": {nil, addition(".gitmodules", "120000", "f"), 400, "invalid", ""},
		"a binary patch without data":  {nil, "diff --git a/b b/b\nnew file mode 100644\nindex 0000000..1234567\nBinary files /dev/null and b/b differ\n", 409, "conflict", "cannot apply binary patch"},
		"a wrong guard":                {object{"expected_head_sha": first}, edit("f", "2", "3"), 409, "precondition_failed", ""},
		"a branch that is not there":   {object{"target_branch": "gone"}, edit("f", "2", "3"), 404, "not_found", ""},
		"no author":                    {object{"author": nil}, edit("f", "2", "3"), 400, "invalid", ""},
		"files":                        {object{"files": []object{{"path": "f"}}}, edit("f", "2", "3"), 400, "invalid", ""},
	} {
		a := r.post("/api/v1/repos/diff-commit", patchCommit(c.metadata, c.patch))
		if c.status == 0 {
			if a.status < 500 {
				continue
			}
		}
		text, _ := a.at(t, "error").(string)
		if a.status != c.status || a.at(t, "result.status") != c.label || !strings.Contains(text, c.reason) || a.at(t, "commit") != nil {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if strings.Contains(text, "view-") || strings.Contains(text, "/scratch") || strings.Contains(text, "\n") {
			t.Errorf("%s: the reason tells of the server: %q", name, text)
		}
	}
	if a := r.get("/api/v1/repos/commit?sha=main~1").want(t, 200); a.at(t, "commit.sha") != tip && a.at(t, "commit.sha") != first {
		t.Errorf("main~1 is %v", a.at(t, "commit.sha"))
	}
	gittest.Fsck(t, r.export())
}

func TestPatchFraming(t *testing.T) {
	t.Parallel()
	r := newWorld(t, func(o *service.Options) { o.Limits.PatchSize = 1 << 10 }).repo(t, "app")
	r.commit(nil, put("f", "1\n"))
	metadata := object{"metadata": object{"target_branch": "main", "commit_message": "m", "author": ann}}
	piece := func(text string, last bool) object {
		return object{"diff_chunk": object{"data": base64.StdEncoding.EncodeToString([]byte(text)), "eof": last}}
	}
	patch := edit("f", "1", "2")
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"without an end":    {ndjson(metadata, piece(patch, false)), 400},
		"without a patch":   {ndjson(metadata), 400},
		"without metadata":  {ndjson(piece(patch, true)), 400},
		"after the end":     {ndjson(metadata, piece(patch, true), piece(patch, true)), 400},
		"another chunk":     {ndjson(metadata, chunk("c", patch, true)), 400},
		"no base64":         {ndjson(metadata, object{"diff_chunk": object{"data": "!", "eof": true}}), 400},
		"no JSON":           {ndjson(metadata) + "{", 400},
		"more than allowed": {ndjson(metadata, piece(strings.Repeat("x\n", 513), true)), 413},
		"empty":             {"", 400},
	} {
		if a := r.post("/api/v1/repos/diff-commit", c.body); a.status != c.status || a.at(t, "result.status") != "invalid" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	r.post("/api/v1/repos/diff-commit", ndjson(metadata, piece(patch[:20], false), piece(patch[20:], false), piece("", true))).want(t, 201)
	if got := r.content("main", "f"); got != "2\n" {
		t.Errorf("f is %q", got)
	}
}

// TestPatchMakesBranches follows the rules of commit-pack.
func TestPatchMakesBranches(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	a := r.post("/api/v1/repos/diff-commit", patchCommit(nil, addition("f", "100644", "1"))).want(t, 201)
	root := a.at(t, "commit.commit_sha").(string)
	if a.at(t, "result.old_sha") != strings.Repeat("0", 40) {
		t.Errorf("the first commit: %s", a.body)
	}
	r.post("/api/v1/repos/diff-commit", patchCommit(object{"target_branch": "b", "base_branch": "main", "expected_target_sha": root}, edit("f", "1", "2"))).want(t, 201)
	r.post(r.preferred("/diff-commit"), patchCommit(object{"target_branch": "e", "target_is_ephemeral": true, "base_branch": "b"}, edit("f", "2", "3"))).want(t, 201)
	if got := string(r.get("/api/v1/repos/file?path=f&ref=e&ephemeral=true").want(t, 200).body); got != "3\n" {
		t.Errorf("f is %q", got)
	}
}

// TestPatchesRace: patches of different files all get in, and of those of one
// line exactly one does.
func TestPatchesRace(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	const writers = 6
	var files []change
	for i := range writers {
		files = append(files, put(fmt.Sprint("f", i), "0\n"))
	}
	r.commit(nil, append(files, put("shared", "0\n"))...)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range writers {
		wg.Go(func() {
			for n := range 5 {
				path := fmt.Sprint("f", i)
				a := r.post("/api/v1/repos/diff-commit", patchCommit(nil, edit(path, fmt.Sprint(n), fmt.Sprint(n+1))))
				if a.status != 201 {
					t.Errorf("%s: %s", path, a.body)
				}
			}
			a := r.post("/api/v1/repos/diff-commit", patchCommit(nil, edit("shared", "0", fmt.Sprint("w", i))))
			mu.Lock()
			defer mu.Unlock()
			if a.status == 201 {
				won++
			} else if a.status != 409 {
				t.Errorf("shared: %s", a.body)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d patches of one line were applied", won)
	}
	for i := range writers {
		if got := r.content("main", fmt.Sprint("f", i)); got != "5\n" {
			t.Errorf("f%d is %q", i, got)
		}
	}
	gittest.Fsck(t, r.export())
}

// TestPatchBombsAreRefused has small patches that become large: git is stopped
// at its memory.
func TestPatchBombIsRefused(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("f", "1\n"))
	bomb := "diff --git a/b b/b\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..1111111111111111111111111111111111111111\n" +
		"GIT binary patch\nliteral 30000000000\nHcmV?d00001\n\nliteral 0\nHcmV?d00001\n\n"
	a := r.post("/api/v1/repos/diff-commit", patchCommit(nil, bomb))
	if a.status != 413 && a.status != 400 && a.status != 409 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	first := r.commit(object{"commit_message": "The first\n\nwith a body"}, put("f", "1\n"), put("d/g", "g\n"))
	r.commit(nil, put("f", "2\n"), remove("d"))
	second := r.commit(nil, put("f", "3\n"))
	restore := func(path string, metadata object) answer {
		full := object{"target_branch": "main", "author": ann, "target_commit_sha": first}
		for k, v := range metadata {
			full[k] = v
		}
		return r.post(path, object{"metadata": full})
	}
	a := restore("/api/v1/repos/restore-commit", nil).want(t, 201)
	tip := a.at(t, "commit.commit_sha").(string)
	if a.at(t, "result.success") != true || a.at(t, "result.old_sha") != second || a.at(t, "commit.blob_count") != nil || a.at(t, "commit.pack_bytes").(float64) < 1 {
		t.Errorf("got %s", a.body)
	}
	if r.content("main", "f")+r.content("main", "d/g") != "1\ng\n" {
		t.Error("not all files are back")
	}
	c := r.get("/api/v1/repos/commit?sha=main").want(t, 200)
	if got, want := c.at(t, "commit.message"), "Restore \"The first\"\n\nThis restores the files of commit "+first+"."; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	sameList(t, "parents", texts(c.json(t)["commit"].(object)["parent_shas"]), []string{second})
	// Both vocabularies, the old name, and one line of NDJSON.
	a = restore(r.preferred("/reset-commits"), object{"base_ref": "main~1", "expected_target_sha": tip, "commit_message": "Back again"}).want(t, 201)
	tip = a.at(t, "commit.commit_sha").(string)
	if r.content("main", "f") != "3\n" {
		t.Error("base_ref does not come before target_commit_sha")
	}
	r.post(r.preferred("/restore-commit"), ndjson(object{"metadata": object{"target_branch": "main", "author": ann, "base_ref": first[:10]}})).want(t, 201)
	for name, c := range map[string]struct {
		metadata object
		status   int
		label    string
	}{
		"a stale guard":           {object{"expected_head_sha": tip}, 409, "precondition_failed"},
		"no such commit":          {object{"target_commit_sha": strings.Repeat("1", 40)}, 404, "not_found"},
		"no such branch":          {object{"target_branch": "gone"}, 404, "not_found"},
		"no branch":               {object{"target_branch": ""}, 400, "invalid"},
		"no commit":               {object{"target_commit_sha": ""}, 400, "invalid"},
		"no author":               {object{"author": nil}, 400, "invalid"},
		"a new branch has no tip": {object{"target_branch": "new", "base_branch": "main"}, 404, "not_found"},
	} {
		a := restore("/api/v1/repos/restore-commit", c.metadata)
		if a.status != c.status || a.at(t, "result.status") != c.label || a.at(t, "result.message") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	r.post("/api/v1/repos/restore-commit", "{}").want(t, 400)
	gittest.Fsck(t, r.export())
}
