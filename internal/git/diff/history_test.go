package diff_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// TestHistory compares every commit of real histories with its first parent:
// of this project's own, and of the repositories that CAIRN_TEST_HISTORY lists
// (separated by colons).
func TestHistory(t *testing.T) {
	t.Parallel()
	dirs := filepath.SplitList(os.Getenv("CAIRN_TEST_HISTORY"))
	if out, err := exec.CommandContext(t.Context(), "git", "rev-parse", "--absolute-git-dir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, dir := range dirs {
		pairs := firstParentPairs(t, dir)
		for _, v := range variants {
			t.Run(filepath.Base(filepath.Dir(dir))+"/"+v.name, func(t *testing.T) {
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
	for line := range strings.Lines(string(runGit(t, dir, nil, "log", "--all", "--format=%H %T %P"))) {
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

// compareAll checks patches, raw lines and counts of all pairs against git.
func compareAll(t *testing.T, dir string, pairs []treePair, v variant) {
	t.Helper()
	src := openRepository(t, dir)
	matched, failed := 0, 0
	check := func(numstat bool) func(treePair, []byte) {
		return func(p treePair, want []byte) {
			got := ownDiff(t, src, p, v, numstat)
			if bytes.Equal(got, want) {
				matched++
				return
			}
			if failed++; failed <= 5 {
				t.Errorf("git diff-tree %s %s: %s", strings.Join(v.args, " "), p, firstDifference(got, want))
			}
		}
	}
	gitDiffs(t, dir, pairs, append([]string{"--raw", "-p", "--full-index"}, v.args...), check(false))
	t.Logf("%d of %d comparisons are byte-identical", matched, len(pairs))
	if failed > 5 {
		t.Errorf("%d differ", failed)
	}
}
