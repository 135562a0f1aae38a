package diff_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestHistory compares every commit of real histories with its first parent:
// of this project's own, and of the repositories whose directories
// CAIRN_TEST_HISTORY lists, separated by colons.
func TestHistory(t *testing.T) {
	t.Parallel()
	dirs := filepath.SplitList(os.Getenv("CAIRN_TEST_HISTORY"))
	if own, ok := gittest.History(t); ok {
		dirs = append(dirs, own.Dir)
	}
	for _, dir := range dirs {
		pairs := firstParentPairs(t, dir)
		for _, v := range variants[:4] {
			t.Run(strings.ReplaceAll(dir, "/", "_")+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				compareAll(t, dir, pairs, v)
			})
		}
	}
}

// firstParentPairs lists the trees of each commit's first parent and its own.
func firstParentPairs(t *testing.T, dir string) []treePair {
	t.Helper()
	trees := map[string]git.ObjectID{}
	var commits [][]string
	for line := range strings.Lines(string(runGit(t, dir, nil, "log", "--format=%H %T %P"))) {
		f := strings.Fields(line)
		trees[f[0]] = git.MustParseObjectID(f[1])
		commits = append(commits, f)
	}
	var pairs []treePair
	for _, f := range commits {
		parent := git.SHA1.EmptyTree()
		if len(f) > 2 {
			parent = trees[f[2]]
		}
		pairs = append(pairs, treePair{parent, trees[f[0]]})
	}
	return pairs
}

// compareAll checks raw lines, patches and counts of all pairs against git.
func compareAll(t *testing.T, dir string, pairs []treePair, v variant) {
	t.Helper()
	src := openRepository(t, dir)
	same := func(args []string, own func(treePair) []byte, normal func([]byte) []byte) {
		t.Helper()
		args = append(args, v.args...)
		failed := 0
		gitDiffs(t, dir, pairs, args, func(p treePair, want []byte) {
			got := own(p)
			if want = normal(want); bytes.Equal(got, want) {
				return
			}
			if failed++; failed <= 3 {
				t.Errorf("git diff-tree %s %s: %s", strings.Join(args, " "), p, firstDifference(got, want))
			}
		})
		t.Logf("%d of %d equal git diff-tree %s", len(pairs)-failed, len(pairs), strings.Join(args, " "))
	}
	same([]string{"--raw", "-p", "--full-index"},
		func(p treePair) []byte { return ownPatch(t, src, p, v) },
		func(want []byte) []byte { return want })
	same([]string{"--numstat"},
		func(p treePair) []byte { return ownCounts(t, src, p, v) },
		firstColumns)
}

// firstColumns leaves out the names, which --numstat abbreviates, and the patch
// that -U adds.
func firstColumns(numstat []byte) []byte {
	var out []byte
	for line := range bytes.Lines(numstat) {
		if len(line) == 1 {
			break
		}
		f := bytes.SplitN(line, []byte("\t"), 3)
		out = fmt.Appendf(out, "%s\t%s\n", f[0], f[1])
	}
	return out
}
