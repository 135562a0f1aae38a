package diff_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// FuzzLines checks that the edits, applied to one text, give the other.
func FuzzLines(f *testing.F) {
	g := newGenerator(1)
	for range 30 {
		a, b := g.textPair(40)
		f.Add([]byte(a), []byte(b), uint8(g.IntN(256)))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, flags uint8) {
		opts := diff.Options{
			IgnoreSpaceChange: flags&1 != 0,
			IgnoreAllSpace:    flags&2 != 0,
			IgnoreSpaceAtEOL:  flags&4 != 0,
			NoIndentHeuristic: flags&8 != 0,
			Context:           int(flags>>4&3) - 1,
			MaxLines:          int(flags>>6) * 20,
		}
		got := bytes.Join(applyEdits(t, lines(a), lines(b), diff.Lines(a, b, opts)), nil)
		if flags&7 != 0 {
			got, b = withoutSpace(got), withoutSpace(b)
		}
		if !bytes.Equal(got, b) {
			t.Errorf("the edits give %q, not %q", got, b)
		}
	})
}

func lines(data []byte) [][]byte {
	l := bytes.SplitAfter(data, []byte("\n"))
	if len(l[len(l)-1]) == 0 {
		l = l[:len(l)-1]
	}
	return l
}

// applyEdits returns a with the edits made, and checks that they are in order.
func applyEdits(t *testing.T, a, b [][]byte, edits []diff.Edit) [][]byte {
	t.Helper()
	var out [][]byte
	i, j := 0, 0
	for _, e := range edits {
		if e.AStart < i || e.AStart-i != e.BStart-j || e.AEnd < e.AStart || e.BEnd < e.BStart || e.AEnd-e.AStart+e.BEnd-e.BStart == 0 {
			t.Fatalf("%+v follows line %d, %d", e, i, j)
		}
		out = append(append(out, a[i:e.AStart]...), b[e.BStart:e.BEnd]...)
		i, j = e.AEnd, e.BEnd
	}
	return append(out, a[i:]...)
}

func withoutSpace(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, b)
}

// fuzzObjects has a tree and a blob of every id.
type fuzzObjects struct{ trees [][]byte }

func (o fuzzObjects) at(id git.ObjectID) []byte { return o.trees[id.Bytes()[0]%byte(len(o.trees))] }

func (o fuzzObjects) Tree(_ context.Context, id git.ObjectID) ([]byte, error) { return o.at(id), nil }

func (o fuzzObjects) Blob(_ context.Context, id git.ObjectID, _ int64) ([]byte, error) {
	return o.at(id), nil
}

func (o fuzzObjects) BlobSize(_ context.Context, id git.ObjectID) (int64, error) {
	return int64(len(o.at(id))), nil
}

// FuzzTrees compares trees of any bytes, which may well contain themselves.
func FuzzTrees(f *testing.F) {
	id := func(first byte) git.ObjectID {
		id, err := git.ObjectIDFromBytes(append([]byte{first}, make([]byte, 19)...))
		if err != nil {
			panic(err)
		}
		return id
	}
	file := git.EncodeTree([]git.TreeEntry{{Mode: git.ModeFile, Name: "a", ID: id(1)}, {Mode: git.ModeTree, Name: "b", ID: id(2)}})
	moved := git.EncodeTree([]git.TreeEntry{{Mode: git.ModeSymlink, Name: "a", ID: id(3)}, {Mode: git.ModeFile, Name: "b", ID: id(1)}})
	f.Add(file, moved)
	f.Add(moved, []byte("100644 a"))
	f.Add([]byte{}, file)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		src := fuzzObjects{[][]byte{a, b, {}, []byte("40000 x\x00"), bytes.ToUpper(a)}}
		changes, err := diff.Trees(t.Context(), git.SHA1, src, id(0), id(1), diff.TreeOptions{Renames: true, MaxEntries: 5000, MaxChanges: 200})
		if err != nil {
			if !errors.Is(err, diff.ErrTooLarge) && !errors.Is(err, git.ErrTree) {
				t.Error(err)
			}
			return
		}
		for _, c := range changes {
			if c.Old == c.New {
				t.Errorf("%+v is no change", c)
			}
			if _, err := diff.File(t.Context(), src, c, diff.Options{}); err != nil {
				t.Error(err)
			}
		}
	})
}
