package odb_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// TestAMergeIsBounded: one that takes git too long, or too much memory, ends
// with an error that says so, and leaves nothing behind.
func TestAMergeIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from  func(testing.TB) *gittest.Repo
		bound func(*odb.Options)
		says  string
	}{
		"renames":      {renameBomb, func(o *odb.Options) { o.GitTime = 200 * time.Millisecond }, "git-time"},
		"a large file": {largeSides, func(o *odb.Options) { o.GitMemory = 16 << 20 }, "git-memory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, withGit(t), c.bound)
			key := f.repository(t, "app")
			f.load(t, key, c.from(t))
			sn := f.snapshot(t, key)
			m, err := sn.Merge(t.Context(), odb.MergeOrder{Ours: tip(t, sn, "ours"), Theirs: tip(t, sn, "theirs")})
			if err == nil {
				m.Close()
			}
			if !errors.Is(err, cairn.TooLarge) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got error %v", err)
			}
			if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
				t.Errorf("left in the scratch directory: %v, %v", left, err)
			}
		})
	}
}

// TestMergesShareAProcess: one git answers for clean merges and for others, also
// about commits that came after it started, and when it dies another one does.
func TestMergesShareAProcess(t *testing.T) {
	t.Parallel()
	r := sides(t, func(w io.Writer, branch string) {
		writeFile(w, "f", map[string]string{"base": "1\n2\n3\n4\n5\n", "ours": "1\n2\n3\n4\nfive\n", "theirs": "one\n2\n3\n4\n5\n"}[branch])
	})
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	f.load(t, key, r)
	merge := func(ours, theirs git.ObjectID) (tree string, conflicts int) {
		t.Helper()
		m, err := f.snapshot(t, key).Merge(t.Context(), odb.MergeOrder{Ours: ours, Theirs: theirs})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return m.Tree.String(), len(m.Conflicts)
	}
	want := strings.TrimSpace(r.Git("merge-tree", "--write-tree", "ours", "theirs"))
	sn := f.snapshot(t, key)
	ours, theirs := tip(t, sn, "ours"), tip(t, sn, "theirs")
	for range 3 {
		if got, conflicts := merge(ours, theirs); got != want || conflicts > 0 {
			t.Errorf("got tree %s, %d conflicts; want %s", got, conflicts, want)
		}
		later := f.commit(t, key, "refs/heads/ours", map[string]string{"f": "1st\n2\n3\n4\n5\n"})
		if _, conflicts := merge(later, theirs); conflicts != 1 {
			t.Errorf("%d conflicts, want 1", conflicts)
		}
		if n := f.store.MergeProcesses(); n != 1 {
			t.Errorf("%d processes wait, want 1", n)
		}
		f.store.EndMergeProcesses()
	}
}

// tip is where a branch is.
func tip(t testing.TB, sn *odb.Snapshot, branch string) git.ObjectID {
	t.Helper()
	ref, ok := sn.Ref(git.RefName(git.BranchPrefix + branch))
	if !ok {
		t.Fatalf("no branch %s", branch)
	}
	return ref.Target
}

// renameBomb has two branches: one changes every file, the other renames them
// all and changes them, so that git compares each with each.
func renameBomb(t testing.TB) *gittest.Repo {
	const files, lines = 1200, 100
	return sides(t, func(w io.Writer, branch string) {
		random := rand.New(rand.NewPCG(1, 1))
		for i := range files {
			path := fmt.Sprintf("a/%d", i)
			if branch == "ours" {
				path = fmt.Sprintf("b/renamed-%d", i*7)
			}
			var text strings.Builder
			fmt.Fprintln(&text, branch)
			for range lines {
				fmt.Fprintln(&text, random.Uint32())
			}
			writeFile(w, path, text.String())
		}
	})
}

// largeSides has two branches that change a large file in different places.
func largeSides(t testing.TB) *gittest.Repo {
	text := strings.Repeat("a line of a large file\n", 1<<20)
	return sides(t, func(w io.Writer, branch string) {
		first, last := map[string]string{"ours": "changed\n"}[branch], map[string]string{"theirs": "changed\n"}[branch]
		writeFile(w, "f", first+text+last)
	})
}

// sides makes a repository of a base and two branches on it, each with the
// files that are written for it.
func sides(t testing.TB, write func(w io.Writer, branch string)) *gittest.Repo {
	t.Helper()
	var in strings.Builder
	for _, branch := range []string{"base", "ours", "theirs"} {
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter A <a@example.com> 1700000000 +0000\ndata 4\nSide\n", branch)
		if branch != "base" {
			fmt.Fprint(&in, "from refs/heads/base\ndeleteall\n")
		}
		write(&in, branch)
	}
	r := gittest.Init(t, gittest.Bare())
	r.GitInput(in.String(), "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet")
	return r
}

func writeFile(w io.Writer, path, content string) {
	fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
}
