package gittest_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestRandomPassesFsckAndIsDeterministic(t *testing.T) {
	t.Parallel()
	for _, o := range []gittest.Options{{}, {Tame: true}, {Skew: true, Commits: 120, Files: 5, Branches: 6}, {Format: "sha256", Commits: 20}} {
		for seed := range uint64(3) {
			r := gittest.Random(t, seed, o)
			gittest.Fsck(t, r.Dir)
			again := gittest.Random(t, seed, o)
			gittest.SameRefs(t, r.Dir, again.Dir)
		}
	}
}

func TestRandomHoldsOneOfEverything(t *testing.T) {
	t.Parallel()
	r := gittest.Random(t, 1, gittest.Options{})
	if n, _ := strconv.Atoi(r.Git("rev-list", "--all", "--count")); n < 60 {
		t.Errorf("got %d commits, want 60 at least", n)
	}
	if r.Git("rev-list", "--all", "--min-parents=3") == "" {
		t.Error("no octopus merge")
	}
	if n := strings.Count(r.Git("rev-list", "--all", "--max-parents=0"), "\n"); n < 1 {
		t.Error("no second root")
	}
	types := map[string]bool{}
	for line := range strings.Lines(r.Git("for-each-ref", "--format=%(objecttype) %(*objecttype)", "refs/tags/")) {
		types[strings.TrimSpace(line)] = true
	}
	for _, want := range []string{"commit", "tree", "tag commit", "tag tag", "tag blob"} {
		if !types[want] {
			t.Errorf("no tag of kind %q in %v", want, slices.Collect(maps.Keys(types)))
		}
	}
	tree := r.Git("ls-tree", "-r", "main")
	for _, want := range []string{"100644 blob", "100755 blob", "120000 blob", "160000 commit"} {
		if !strings.Contains(tree, want) {
			t.Errorf("main holds no %q", want)
		}
	}
	if r.Git("notes", "list") == "" {
		t.Error("no notes")
	}
	clone := gittest.Clone(t, r.Dir)
	if got, want := clone.RevParse("HEAD"), r.RevParse("main"); got != want {
		t.Errorf("clone is at %s, want %s", got, want)
	}
	if status := clone.Git("status", "--porcelain"); status != "" {
		t.Errorf("the work tree of a clone differs:\n%s", status)
	}
}

func TestCommitBuildsOnTheBranch(t *testing.T) {
	t.Parallel()
	for _, options := range [][]gittest.Option{nil, {gittest.Bare()}, {gittest.Bare(), gittest.Format("sha256")}} {
		r := gittest.Init(t, options...)
		first := r.Commit("main", "first", gittest.Files{"a": "1\n", "b/c": "2\n"})
		second := r.Commit("main", "second", gittest.Files{"a": gittest.Removed, "new\nline": "3\n"})
		if got := r.RevParse("main^"); got != first {
			t.Errorf("got parent %s, want %s", got, first)
		}
		if got := r.Refs()["refs/heads/main"]; got != second {
			t.Errorf("got %s, want %s", got, second)
		}
		if got, want := r.Git("ls-tree", "-r", "--name-only", "-z", "main"), "b/c\x00new\nline\x00"; got != want {
			t.Errorf("got files %q, want %q", got, want)
		}
		if status := ""; !r.Bare && r.Git("status", "--porcelain") != status {
			t.Error("the work tree did not follow")
		}
	}
}

func TestObjectsReturnsAllOfThem(t *testing.T) {
	t.Parallel()
	r := gittest.Random(t, 2, gittest.Options{Commits: 10})
	want := strings.Fields(r.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	var got []string
	for _, o := range r.Objects() {
		got = append(got, o.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %d objects, want %d", len(got), len(want))
	}
}

func TestHistoryIsAPrivateCopy(t *testing.T) {
	t.Parallel()
	if r, ok := gittest.History(t); ok {
		gittest.Fsck(t, r.Dir)
		if !r.Bare || r.RevParse("HEAD") == "" {
			t.Errorf("got %+v, want a bare clone with a HEAD", r)
		}
	}
}

func TestLargeHistoryIsAboutAsLargeAsAsked(t *testing.T) {
	t.Parallel()
	const want = 8 << 20
	r := gittest.LargeHistory(t, want)
	gittest.Fsck(t, r.Dir)
	var got int64
	packs, err := filepath.Glob(filepath.Join(r.Dir, "objects", "pack", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		got += info.Size()
	}
	if got < want*3/4 || got > want*5/4 {
		t.Errorf("got a pack of %d bytes, want about %d", got, want)
	}
}
