package codestorage_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

var mergePairs = flag.Int("merges", 100, "how many generated merges are compared with git's")

// TestMergesEqualGits merges generated pairs of branches and compares tree or
// conflict with git merge-tree, and some of them with git merge in a work tree.
// go test -run TestMergesEqualGits -merges 10000 makes more of them.
func TestMergesEqualGits(t *testing.T) {
	t.Parallel()
	const batch = 100
	for seed := range (*mergePairs + batch - 1) / batch {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			from := gittest.Pairs(t, uint64(seed), batch)
			r := newWorld(t).load(t, "pairs", from)
			r.keepRepacking(t)
			work := gittest.Clone(t, from.GitDir(), "--no-checkout")
			clean := 0
			for i := range batch {
				if i%10 == 0 {
					comparePreview(t, r, from, fmt.Sprintf("ours-%d", i), fmt.Sprintf("theirs-%d", i))
				}
				if compareMerge(t, r, from, fmt.Sprintf("ours-%d", i), fmt.Sprintf("theirs-%d", i)) {
					clean++
				}
				if i%10 == 5 {
					compareWithWorkTree(t, r, work, i)
				}
			}
			if clean < batch/5 || clean > batch*4/5 {
				t.Errorf("%d of %d merges are clean: the pairs are of no use", clean, batch)
			}
			gittest.Fsck(t, r.export())
		})
	}
}

// mergeTree asks git for the outcome of a merge.
func mergeTree(from *gittest.Repo, ours, theirs string) (tree string, conflicts []string) {
	out, _ := from.GitErr("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
	items := strings.Split(strings.TrimRight(out, "\x00"), "\x00")
	return items[0], items[1:]
}

// compareMerge merges theirs into ours, in the repository and with git, and
// tells whether the merge is clean.
func compareMerge(t *testing.T, r *repo, from *gittest.Repo, ours, theirs string) bool {
	t.Helper()
	tree, conflicts := mergeTree(from, ours, theirs)
	a := r.post("/api/v1/repos/merge", object{
		"source_branch": theirs, "target_branch": ours, "strategy": "merge",
		"commit_message": "Merge", "author": object{"name": "Ann", "email": "ann@example.com"},
	})
	if len(conflicts) > 0 {
		a.want(t, 409)
		if got := a.at(t, "conflict_type"); got != "merge_conflict" {
			t.Errorf("%s: conflict_type %v", ours, got)
		}
		sameList(t, ours+": conflicts", texts(a.json(t)["conflict_paths"]), conflicts)
		return false
	}
	a.want(t, 200)
	if got := a.at(t, "tree_sha"); got != tree {
		t.Errorf("%s: tree %v, git has %s", ours, got, tree)
	}
	return true
}

// comparePreview compares what a preview tells with git's tree.
func comparePreview(t *testing.T, r *repo, from *gittest.Repo, ours, theirs string) {
	t.Helper()
	tree, conflicts := mergeTree(from, ours, theirs)
	preview := r.get("/api/v1/repos/merge/preview?include_content=true&source_branch="+theirs+"&target_branch="+ours).want(t, 200)
	sameList(t, ours+" preview: conflicts", texts(preview.json(t)["conflict_paths"]), conflicts)
	for _, c := range list(preview.json(t)["conflicts"]) {
		compareConflict(t, from, tree, ours, c)
	}
}

// compareConflict compares what a preview shows of a file with git's tree.
func compareConflict(t *testing.T, from *gittest.Repo, tree, ours string, conflict object) {
	t.Helper()
	path := conflict["path"].(string)
	line := strings.Fields(from.Git("ls-tree", "-z", tree, "--", ":(literal)"+path))
	result := conflict["result"].(object)
	if len(line) == 0 {
		if result["oid"] != nil {
			t.Errorf("%s: %s is %v, and nothing in git", ours, path, result["oid"])
		}
		return
	}
	if result["oid"] != line[2] {
		t.Errorf("%s: %s is %v, git has %s", ours, path, result["oid"], line[2])
	}
	if content, ok := result["content"].(string); ok {
		want := strings.ToValidUTF8(from.Git("cat-file", "blob", line[2]), "\uFFFD")
		if strings.TrimRight(content, "\n") != want {
			t.Errorf("%s: %s is\n%s\ngit has\n%s", ours, path, content, want)
		}
	}
}

// compareWithWorkTree does one of the merges with git merge.
func compareWithWorkTree(t *testing.T, r *repo, work *gittest.Repo, i int) {
	t.Helper()
	ours, theirs := fmt.Sprintf("origin/ours-%d", i), fmt.Sprintf("origin/theirs-%d", i)
	work.Git("checkout", "-q", "-f", "--detach", ours)
	work.Git("clean", "-q", "-ffdx")
	_, err := work.GitErr("merge", "-q", "--no-ff", "-m", "Merge", theirs)
	a := r.get(fmt.Sprintf("/api/repos/pairs/branch?name=ours-%d", i)).want(t, 200)
	if err == nil {
		tip := a.at(t, "branch.head_sha").(string)
		commit := r.get("/api/v1/repos/files?ref="+tip).want(t, 200)
		want := strings.FieldsFunc(work.Git("ls-tree", "-r", "-z", "--name-only", "HEAD"), func(c rune) bool { return c == 0 })
		var got []string
		for _, e := range list(commit.json(t)["entries"]) {
			got = append(got, e["path"].(string))
		}
		slices.Sort(got)
		slices.Sort(want)
		sameList(t, ours+": files", got, want)
		return
	}
	unmerged := map[string]bool{}
	for _, line := range strings.Split(strings.TrimRight(work.Git("ls-files", "-u", "-z"), "\x00"), "\x00") {
		_, path, _ := strings.Cut(line, "\t")
		path, _, _ = strings.Cut(path, "~") // what follows is the name of a side
		unmerged[path] = true
	}
	preview := r.get(fmt.Sprintf("/api/v1/repos/merge/preview?source_branch=theirs-%d&target_branch=ours-%d", i, i)).want(t, 200)
	got := map[string]bool{}
	for _, path := range texts(preview.json(t)["conflict_paths"]) {
		path, _, _ = strings.Cut(path, "~")
		got[path] = true
	}
	if !maps.Equal(got, unmerged) {
		t.Errorf("%s: conflicts %v, git merge has %v", ours, got, unmerged)
	}
}

// texts and list read JSON arrays.
func texts(v any) []string {
	out := []string{}
	all, _ := v.([]any)
	for _, item := range all {
		out = append(out, item.(string))
	}
	return out
}

func list(v any) []object {
	var out []object
	all, _ := v.([]any)
	for _, item := range all {
		out = append(out, item.(object))
	}
	return out
}
