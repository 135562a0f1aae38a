package git_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestParseTreeAgreesWithLsTree(t *testing.T) {
	t.Parallel()
	for _, format := range []git.ObjectFormat{git.SHA1, git.SHA256} {
		r := gittest.Random(t, 5, gittest.Options{Format: format.String(), Commits: 15})
		trees := map[string][]byte{}
		for _, o := range r.Objects() {
			if o.Type == "tree" {
				trees[o.ID] = o.Data
			}
		}
		for _, commit := range strings.Fields(r.Git("rev-list", "--all")) {
			var got strings.Builder
			list(t, &got, format, trees, r.RevParse(commit+"^{tree}"), "")
			want := r.Git("ls-tree", "-r", "-t", "-z", "--full-tree", commit)
			if got.String() != want {
				t.Fatalf("%s: got\n%q\nwant\n%q", commit, got.String(), want)
			}
		}
	}
}

// list prints a tree as `git ls-tree -r -t -z` does.
func list(t *testing.T, out *strings.Builder, f git.ObjectFormat, trees map[string][]byte, id, dir string) {
	t.Helper()
	entries, err := git.ParseTree(f, trees[id])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fmt.Fprintf(out, "%s %s %s\t%s\x00", e.Mode, e.Mode.ObjectType(), e.ID, dir+e.Name)
		if e.Mode.IsTree() {
			list(t, out, f, trees, e.ID.String(), dir+e.Name+"/")
		}
		found, ok, err := git.FindTreeEntry(f, trees[id], e.Name)
		if err != nil || !ok || found != e {
			t.Errorf("FindTreeEntry(%q): got %v, %v, %v, want %v", e.Name, found, ok, err, e)
		}
	}
	if _, ok, err := git.FindTreeEntry(f, trees[id], "no such entry"); ok || err != nil {
		t.Errorf("FindTreeEntry of an absent name: got %v, %v", ok, err)
	}
}

func TestSortTreeAgreesWithMktree(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t, gittest.Bare())
	random := rand.New(rand.NewPCG(3, 4))
	id := hashOf(t, git.BlobObject, nil)
	modes := []git.FileMode{git.ModeFile, git.ModeExecutable, git.ModeSymlink, git.ModeTree, git.ModeSubmodule}
	for range 40 {
		var entries []git.TreeEntry
		seen := map[string]bool{}
		for range 1 + random.IntN(30) {
			// Few letters on both sides of the slash make many names that
			// start alike.
			name := make([]byte, 1+random.IntN(4))
			for i := range name {
				name[i] = "a.-0b\xff\x01"[random.IntN(7)]
			}
			if s := string(name); !seen[s] && s != "." && s != ".." {
				seen[s] = true
				entries = append(entries, git.TreeEntry{Mode: modes[random.IntN(len(modes))], Name: s, ID: id})
			}
		}
		var input strings.Builder
		for _, e := range entries {
			fmt.Fprintf(&input, "%s %s %s\t%s\x00", e.Mode, e.Mode.ObjectType(), e.ID, e.Name)
		}
		want := r.GitInput(input.String(), "mktree", "-z", "--missing")
		git.SortTree(entries)
		data := git.EncodeTree(entries)
		if got := hashOf(t, git.TreeObject, data).String(); got != want {
			t.Errorf("got %s, want %s for %q", got, want, entries)
		}
		if err := git.CheckObject(git.SHA1, git.TreeObject, data); err != nil {
			t.Error(err)
		}
		parsed, err := git.ParseTree(git.SHA1, data)
		if err != nil || !slices.Equal(parsed, entries) {
			t.Errorf("got %v, %v, want %v", parsed, err, entries)
		}
	}
}

func TestMalformedTreesAreRefused(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("i", 20)
	for _, data := range []string{
		"1", "100644", "100644 ", "100644 a", "100644 a\x00", "100644 a\x00" + id[1:], "100644 \x00" + id,
		" a\x00" + id, "100844 a\x00" + id, "-100644 a\x00" + id, "111111111111 a\x00" + id,
		"100644 a\x00" + id + "1", "100644\x00a " + id,
	} {
		if entries, err := git.ParseTree(git.SHA1, []byte(data)); !errors.Is(err, git.ErrTree) {
			t.Errorf("%q: got %v, %v, want an error", data, entries, err)
		}
	}
	if entries, err := git.ParseTree(git.SHA1, nil); len(entries) != 0 || err != nil {
		t.Errorf("the empty tree: got %v, %v", entries, err)
	}
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		kind git.ObjectType
		file bool
	}{
		{"040000", git.TreeObject, false}, {"100644", git.BlobObject, true}, {"100755", git.BlobObject, true},
		{"100664", git.BlobObject, true}, {"120000", git.BlobObject, false}, {"160000", git.CommitObject, false},
	} {
		m, err := git.ParseFileMode(c.text)
		if err != nil || m.String() != c.text || m.ObjectType() != c.kind || m.IsFile() != c.file {
			t.Errorf("%s: got %s, %s, file %v, %v", c.text, m, m.ObjectType(), m.IsFile(), err)
		}
	}
	for _, text := range []string{"", "1006448", "644x", "-1", "10000000"} {
		if m, err := git.ParseFileMode(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, m)
		}
	}
}

func TestTreeReaderDoesNotAllocate(t *testing.T) {
	data := largeTree(1000)
	allocations := testing.AllocsPerRun(10, func() {
		r := git.NewTreeReader(git.SHA1, data)
		for ok, err := r.Next(); ok; ok, err = r.Next() {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocations != 0 {
		t.Errorf("got %v allocations, want none", allocations)
	}
}

func largeTree(n int) []byte {
	var entries []git.TreeEntry
	for i := range n {
		entries = append(entries, git.TreeEntry{
			Mode: git.ModeFile, Name: fmt.Sprintf("some-file-name-%05d.go", i),
			ID: git.MustParseObjectID(fmt.Sprintf("%040x", i+1)),
		})
	}
	return git.EncodeTree(entries)
}

func BenchmarkTreeReader(b *testing.B) {
	data := largeTree(1000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r := git.NewTreeReader(git.SHA1, data)
		for ok, _ := r.Next(); ok; ok, _ = r.Next() {
		}
	}
}

func BenchmarkCheckTree(b *testing.B) {
	data := largeTree(1000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := git.CheckObject(git.SHA1, git.TreeObject, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeTree(b *testing.B) {
	entries, err := git.ParseTree(git.SHA1, largeTree(1000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		git.EncodeTree(entries)
	}
}
