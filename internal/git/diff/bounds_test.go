package diff_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// memory holds objects; reads counts how often each was asked for.
type memory struct {
	objects map[git.ObjectID][]byte
	reads   map[git.ObjectID]int
}

func newMemory() *memory {
	return &memory{map[git.ObjectID][]byte{}, map[git.ObjectID]int{}}
}

func (m *memory) put(tb testing.TB, t git.ObjectType, data []byte) git.ObjectID {
	tb.Helper()
	id, err := git.HashObject(git.SHA1, t, data)
	if err != nil {
		tb.Fatal(err)
	}
	m.objects[id] = data
	return id
}

func (m *memory) tree(tb testing.TB, entries ...git.TreeEntry) git.ObjectID {
	tb.Helper()
	git.SortTree(entries)
	return m.put(tb, git.TreeObject, git.EncodeTree(entries))
}

func (m *memory) get(id git.ObjectID) ([]byte, error) {
	data, ok := m.objects[id]
	if !ok {
		return nil, fmt.Errorf("no object %s", id)
	}
	m.reads[id]++
	return data, nil
}

func (m *memory) Tree(_ context.Context, id git.ObjectID) ([]byte, error) { return m.get(id) }

func (m *memory) Blob(_ context.Context, id git.ObjectID, max int64) ([]byte, error) {
	data, err := m.get(id)
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("blob %s: %w", id, diff.ErrTooLarge)
	}
	return data, err
}

func (m *memory) BlobSize(_ context.Context, id git.ObjectID) (int64, error) {
	return int64(len(m.objects[id])), nil
}

func TestTreesReadsOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	m := newMemory()
	blob := m.put(t, git.BlobObject, []byte("x\n"))
	same := m.tree(t, git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: blob})
	a := m.tree(t, git.TreeEntry{Mode: git.ModeTree, Name: "same", ID: same})
	b := m.tree(t, git.TreeEntry{Mode: git.ModeTree, Name: "same", ID: same}, git.TreeEntry{Mode: git.ModeFile, Name: "new", ID: blob})
	changes, err := diff.Trees(t.Context(), git.SHA1, m, a, b, diff.TreeOptions{Renames: true})
	if err != nil || len(changes) != 1 || changes[0].Path() != "new" {
		t.Errorf("got %+v, %v", changes, err)
	}
	if m.reads[same] > 0 || m.reads[blob] > 0 {
		t.Errorf("read what is the same or not needed: %v", m.reads)
	}
	if changes, err := diff.Trees(t.Context(), git.SHA1, m, git.SHA1.EmptyTree(), git.ObjectID{}, diff.TreeOptions{}); err != nil || len(changes) > 0 {
		t.Errorf("empty trees: got %+v, %v", changes, err)
	}
}

func TestTreesIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	blob := m.put(t, git.BlobObject, []byte("x\n"))
	// Each level holds the one below twice: as files, a great many.
	tree := m.tree(t, git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: blob})
	for range 40 {
		tree = m.tree(t, git.TreeEntry{Mode: git.ModeTree, Name: "a", ID: tree}, git.TreeEntry{Mode: git.ModeTree, Name: "b", ID: tree})
	}
	deep := tree
	for range 3000 {
		deep = m.tree(t, git.TreeEntry{Mode: git.ModeTree, Name: strings.Repeat("d", 100), ID: deep})
	}
	for name, c := range map[string]struct {
		tree git.ObjectID
		opts diff.TreeOptions
	}{
		"changes": {tree, diff.TreeOptions{MaxChanges: 100}},
		"entries": {tree, diff.TreeOptions{MaxEntries: 100}},
		"depth":   {deep, diff.TreeOptions{}},
	} {
		if _, err := diff.Trees(t.Context(), git.SHA1, m, c.tree, git.ObjectID{}, c.opts); !errors.Is(err, diff.ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := diff.Trees(ctx, git.SHA1, m, tree, git.ObjectID{}, diff.TreeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestFileTooLarge(t *testing.T) {
	t.Parallel()
	m := newMemory()
	text := bytes.Repeat([]byte("line\n"), 1000)
	old, new := m.put(t, git.BlobObject, text), m.put(t, git.BlobObject, append(text, "more\n"...))
	c := diff.Change{Status: diff.Modified, Old: diff.Side{Path: "f", Mode: git.ModeFile, ID: old}, New: diff.Side{Path: "f", Mode: git.ModeFile, ID: new}}
	for name, opts := range map[string]diff.Options{
		"bytes":        {MaxFileSize: 5000},
		"lines":        {MaxLines: 2000},
		"binary patch": {MaxLines: 2000, Binary: true},
	} {
		f, err := diff.File(t.Context(), m, c, opts)
		if err != nil {
			t.Fatal(err)
		}
		if !f.TooLarge || f.Additions != 0 || !strings.HasSuffix(string(f.Text), "\nBinary files a/f and b/f differ\n") {
			t.Errorf("%s: got %+v %q", name, f, f.Text)
		}
	}
	f, err := diff.File(t.Context(), m, c, diff.Options{MaxFileSize: 5005, MaxLines: 2001})
	if err != nil || f.TooLarge || f.Additions != 1 || f.Deletions != 0 {
		t.Errorf("at the limit: got %+v, %v", f, err)
	}
	if edits := diff.Lines(text, append(text, "more\n"...), diff.Options{MaxLines: 10}); len(edits) != 1 || edits[0] != (diff.Edit{AStart: 1000, AEnd: 1000, BStart: 1000, BEnd: 1001}) {
		t.Errorf("lines above the limit: got %+v", edits)
	}
}

// TestRenameBounds leaves out what is too large to be read.
func TestRenameBounds(t *testing.T) {
	t.Parallel()
	m := newMemory()
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintln(&text, i)
	}
	old, new := m.put(t, git.BlobObject, []byte(text.String())), m.put(t, git.BlobObject, []byte(text.String()+"end\n"))
	a := m.tree(t, git.TreeEntry{Mode: git.ModeFile, Name: "a", ID: old})
	b := m.tree(t, git.TreeEntry{Mode: git.ModeFile, Name: "b", ID: new})
	for _, c := range []struct {
		opts diff.TreeOptions
		want int // changes: one if the rename is found
	}{
		{diff.TreeOptions{}, 1},
		{diff.TreeOptions{RenameFileSize: 1000}, 2},
		{diff.TreeOptions{RenameLimit: -1}, 2},
		{diff.TreeOptions{RenameScore: 100}, 2},
	} {
		c.opts.Renames = true
		changes, err := diff.Trees(t.Context(), git.SHA1, m, a, b, c.opts)
		if err != nil || len(changes) != c.want {
			t.Errorf("%+v: got %+v, %v", c.opts, changes, err)
		}
	}
}

// TestOddTrees reads what git has written or let pass at some time.
func TestOddTrees(t *testing.T) {
	t.Parallel()
	r := newRepository(t, git.SHA1)
	id := git.MustParseObjectID(strings.TrimSpace(string(runGit(t, r.dir, []byte("x\n"), "hash-object", "-w", "--stdin"))))
	entry := func(mode, name string) string { return mode + " " + name + "\x00" + string(id.Bytes()) }
	var trees []git.ObjectID
	for _, tree := range []string{
		entry("100644", "a") + entry("100644", "b"),
		entry("100664", "a") + entry("100755", "b"),
		entry("100775", "a") + entry("100600", "b"),
		entry("0100644", "a") + entry("120777", "b"),
		entry("160644", "a") + entry("160000", "b"),
		entry("100644", "b") + entry("100644", "a"),
		entry("100644", "b") + entry("100644", "a") + entry("100644", "b"),
		entry("100644", "a") + entry("100644", "a"),
		entry("100644", "a.b") + entry("100644", "a0"),
	} {
		out := runGit(t, r.dir, []byte(tree), "hash-object", "-w", "--literally", "-t", "tree", "--stdin")
		trees = append(trees, git.MustParseObjectID(strings.TrimSpace(string(out))))
	}
	var pairs []treePair
	for _, a := range trees {
		for _, b := range trees {
			pairs = append(pairs, treePair{a, b})
		}
	}
	for _, v := range variants[:2] {
		t.Run(v.name, func(t *testing.T) { compareAll(t, r.dir, pairs, v) })
	}
}

// TestWorstCaseIsBounded compares texts that share lines but no order.
func TestWorstCaseIsBounded(t *testing.T) {
	t.Parallel()
	g := newGenerator(1)
	text := func() []byte {
		var b []byte
		for range 50_000 {
			b = append(b, 'a'+byte(g.IntN(20)), '\n')
		}
		return b
	}
	a, b := text(), text()
	got := bytes.Join(applyEdits(t, lines(a), lines(b), diff.Lines(a, b, diff.Options{})), nil)
	if !bytes.Equal(got, b) {
		t.Error("the edits do not give the new text")
	}
	m := newMemory()
	c := diff.Change{Status: diff.Modified, Old: diff.Side{Path: "f", Mode: git.ModeFile, ID: m.put(t, git.BlobObject, a)}, New: diff.Side{Path: "f", Mode: git.ModeFile, ID: m.put(t, git.BlobObject, b)}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := diff.File(ctx, m, c, diff.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestManyPaths compares a tree of many files, of which many paths are asked
// for: each with each would take a minute.
func TestManyPaths(t *testing.T) {
	t.Parallel()
	const files, every = 100_000, 10
	m := newMemory()
	blob := m.put(t, git.BlobObject, []byte("x\n"))
	var entries []git.TreeEntry
	var paths []string
	for i := range files {
		name := fmt.Sprintf("a-file-with-a-long-name-%06d", i)
		entries = append(entries, git.TreeEntry{Mode: git.ModeFile, Name: name, ID: blob})
		if i%every == 0 {
			paths = append(paths, "d/"+name)
		}
	}
	tree := m.tree(t, git.TreeEntry{Mode: git.ModeTree, Name: "d", ID: m.tree(t, entries...)})
	began := time.Now()
	changes, err := diff.Trees(t.Context(), git.SHA1, m, git.ObjectID{}, tree, diff.TreeOptions{Paths: paths})
	if err != nil || len(changes) != files/every {
		t.Errorf("%d changes, %v; want %d", len(changes), err, files/every)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestPathsChooseAsGitDoes asks for files and folders in every form.
func TestPathsChooseAsGitDoes(t *testing.T) {
	t.Parallel()
	m := newMemory()
	blob := m.put(t, git.BlobObject, []byte("x\n"))
	file := git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: blob}
	d := m.tree(t, file, git.TreeEntry{Mode: git.ModeTree, Name: "e", ID: m.tree(t, file)})
	tree := m.tree(t, file, git.TreeEntry{Mode: git.ModeTree, Name: "d", ID: d}, git.TreeEntry{Mode: git.ModeSubmodule, Name: "s", ID: blob})
	for _, c := range []struct{ paths, want string }{
		{"", "d/e/f d/f f s"}, {"/", "d/e/f d/f f s"}, {"d", "d/e/f d/f"}, {"d/", "d/e/f d/f"}, {"f", "f"}, {"f/", ""}, {"f/x", ""}, {"s", "s"}, {"s/", "s"},
		{"d/e", "d/e/f"}, {"d/e/", "d/e/f"}, {"d/f", "d/f"}, {"d/f/", ""}, {"d/e/f f", "d/e/f f"}, {"d/e d", "d/e/f d/f"}, {"d d/e", "d/e/f d/f"},
		{"f/ f", "f"}, {"x d/x", ""}, {"d//e", ""}, {"/d/e/f/", ""}, {"/d/e/f", "d/e/f"},
	} {
		changes, err := diff.Trees(t.Context(), git.SHA1, m, git.ObjectID{}, tree, diff.TreeOptions{Paths: strings.Split(c.paths, " ")})
		var got []string
		for _, change := range changes {
			got = append(got, change.Path())
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("paths %q: got %q, %v, want %q", c.paths, got, err, c.want)
		}
	}
}
