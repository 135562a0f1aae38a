package codestorage_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

var patches = flag.Int("patches", 60, "from how many generated pairs of branches patches are made and compared with what git makes of them")

// diffs are the ways in which patches are made.
var diffs = [][]string{
	{"--binary"}, {"--binary", "-M"}, {"--binary", "-M30", "-C30", "--find-copies-harder"}, {"--binary", "--full-index", "-U1"},
	{"--binary", "--no-renames", "-B"}, {},
}

// TestPatchesEqualGits makes a patch of each generated pair of branches, applies
// it to where it was made and to the other branch, and compares the tree with
// that of git apply --cached --binary, or that both refuse.
func TestPatchesEqualGits(t *testing.T) {
	t.Parallel()
	const batch = 30
	for seed := range (*patches + batch - 1) / batch {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			from := gittest.Pairs(t, uint64(seed)+1000, batch)
			r := newWorld(t).load(t, "pairs", from)
			applied := 0
			for i := range batch {
				base := fmt.Sprintf("base-%d", i)
				args := append([]string{"diff", base, fmt.Sprintf("ours-%d", i)}, diffs[i%len(diffs)]...)
				patch, err := gittest.Command(t, from.GitDir(), args...).Output()
				if err != nil {
					t.Fatal(err)
				}
				for _, onto := range []string{base, fmt.Sprintf("theirs-%d", i)} {
					if comparePatch(t, r, from, onto, string(patch)) {
						applied++
					}
				}
			}
			if applied < batch/2 || applied > batch*7/4 {
				t.Errorf("%d of %d patches apply: they are of no use", applied, 2*batch)
			}
			gittest.Fsck(t, r.export())
		})
	}
}

// comparePatch tells whether the patch applies.
func comparePatch(t *testing.T, r *repo, from *gittest.Repo, onto, patch string) bool {
	t.Helper()
	want, err := gitApply(t, from, onto, patch)
	branch := fmt.Sprintf("patched-%s-%d", onto, len(patch))
	a := r.post("/api/v1/repos/diff-commit", patchCommit(object{"target_branch": branch, "base_branch": onto}, patch))
	switch {
	case err != nil && a.status < 400:
		t.Errorf("%s: the patch applies, and git says %v\n%s", onto, err, patch)
	case err == nil && a.status != 201:
		t.Errorf("%s: git applies the patch: %s\n%s", onto, a.body, patch)
	case err == nil && a.at(t, "commit.tree_sha") != want:
		t.Errorf("%s: tree %v, git has %s\n%s", onto, a.at(t, "commit.tree_sha"), want, patch)
	}
	return err == nil
}

// gitApply returns the tree that git apply makes; an error also if that is the
// same.
func gitApply(t *testing.T, from *gittest.Repo, onto, patch string) (string, error) {
	t.Helper()
	index := "GIT_INDEX_FILE=" + filepath.Join(t.TempDir(), "index")
	run := func(stdin string, args ...string) error {
		cmd := gittest.Command(t, from.GitDir(), args...)
		cmd.Env = append(cmd.Env, index)
		if stdin != "" {
			file := filepath.Join(t.TempDir(), "patch")
			if err := os.WriteFile(file, []byte(stdin), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd.Args = append(cmd.Args, file)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := run("", "read-tree", onto); err != nil {
		t.Fatal(err)
	}
	if err := run(patch, "apply", "--cached", "--binary"); err != nil {
		return "", err
	}
	cmd := gittest.Command(t, from.GitDir(), "write-tree")
	cmd.Env = append(cmd.Env, index)
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	tree := string(out[:40])
	if tree == from.RevParse(onto+"^{tree}") {
		return "", fmt.Errorf("nothing changes")
	}
	return tree, nil
}
