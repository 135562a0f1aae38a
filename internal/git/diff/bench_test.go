package diff_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// BenchmarkLines compares texts as they come and as they should not.
func BenchmarkLines(b *testing.B) {
	g := newGenerator(1)
	source := func(n int) []string {
		line := g.lineMaker()
		l := make([]string, n)
		for i := range l {
			l[i] = fmt.Sprintf("%s // %d", line(), i%700)
		}
		return l
	}
	edited := func(l []string, edits int) []string {
		l = append([]string(nil), l...)
		for range edits {
			l[g.IntN(len(l))] = fmt.Sprint("changed ", g.IntN(1000))
		}
		return l
	}
	random := func(n int) []string {
		l := make([]string, n)
		for i := range l {
			l[i] = string(rune('a' + g.IntN(20)))
		}
		return l
	}
	file, large := source(1000), source(50_000)
	for _, c := range []struct {
		name string
		a, b []string
	}{
		{"file of 1000 lines, 3 edits", file, edited(file, 3)},
		{"file of 50000 lines, 500 edits", large, edited(large, 500)},
		{"unrelated, 50000 lines", random(50_000), random(50_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, y := []byte(strings.Join(c.a, "\n")), []byte(strings.Join(c.b, "\n"))
			b.SetBytes(int64(len(x) + len(y)))
			b.ReportAllocs()
			for b.Loop() {
				diff.Lines(x, y, diff.Options{})
			}
		})
	}
}

// BenchmarkCommit shows a commit that edits three of 300 files and moves one,
// in process and as git diff-tree -p -M does.
func BenchmarkCommit(b *testing.B) {
	g := newGenerator(1)
	before, after := fileTree{}, fileTree{}
	for i := range 300 {
		text := make([]string, 300)
		line := g.lineMaker()
		for j := range text {
			text[j] = fmt.Sprintf("%s %d", line(), j)
		}
		before[fmt.Sprintf("src/%d/%d.go", i%20, i)] = file{git.ModeFile, g.join(text)}
	}
	for i, path := range sortedPaths(before) {
		f := before[path]
		switch {
		case i%100 == 0:
			f = g.edited(f)
		case i == 150:
			f, path = g.edited(f), "moved/"+path
		}
		after[path] = f
	}
	r := newRepository(b, git.SHA1)
	pair := importTrees(b, r, []fileTree{before, after})[0]
	v := variants[0]

	m := newMemory()
	b.Run("in process", func(b *testing.B) {
		eachFile(b, recorder{r, m}, pair, v, func(diff.FilePatch) {})
		b.ReportAllocs()
		for b.Loop() {
			eachFile(b, m, pair, v, func(diff.FilePatch) {})
		}
	})
	b.Run("git process", func(b *testing.B) {
		for b.Loop() {
			if out, err := gittest.Command(b, r.dir, "diff-tree", "-r", "-p", "-M", pair.a.String(), pair.b.String()).Output(); err != nil || len(out) == 0 {
				b.Fatal(err)
			}
		}
	})
}

// recorder keeps in memory what is read from a repository.
type recorder struct {
	*repository
	kept *memory
}

func (r recorder) keep(id git.ObjectID, data []byte, err error) ([]byte, error) {
	r.kept.objects[id] = data
	return data, err
}

func (r recorder) Tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	data, err := r.repository.Tree(ctx, id)
	return r.keep(id, data, err)
}

func (r recorder) Blob(ctx context.Context, id git.ObjectID, max int64) ([]byte, error) {
	data, err := r.repository.Blob(ctx, id, max)
	return r.keep(id, data, err)
}

func (r recorder) BlobSize(ctx context.Context, id git.ObjectID) (int64, error) {
	data, err := r.Blob(ctx, id, 1<<30)
	return int64(len(data)), err
}
