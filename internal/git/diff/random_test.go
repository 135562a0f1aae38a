package diff_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// randomTest says how much to make up: CAIRN_TEST_SEED makes up something
// else, and CAIRN_TEST_SCALE more of it.
func randomTest(t *testing.T) (g generator, scale int) {
	t.Helper()
	number := func(name string) int {
		n, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			return 1
		}
		return n
	}
	seed := number("CAIRN_TEST_SEED")
	t.Logf("seed %d", seed)
	return newGenerator(uint64(seed)), number("CAIRN_TEST_SCALE")
}

func TestRandomTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		count, longest int
	}{
		{"short", 400, 12},
		{"middling", 250, 120},
		{"long", 20, 2500},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, scale := randomTest(t)
			var trees []fileTree
			for range c.count * scale {
				a, b := g.textPair(c.longest)
				trees = append(trees, fileTree{"f": {git.ModeFile, a}}, fileTree{"f": {git.ModeFile, b}})
			}
			compareVariants(t, trees)
		})
	}
}

// TestRandomUnrelatedTexts makes the search for a shortest edit give up.
func TestRandomUnrelatedTexts(t *testing.T) {
	t.Parallel()
	g, scale := randomTest(t)
	var trees []fileTree
	for range 6 * scale {
		different := 2 + g.IntN(400)
		for range 2 {
			var b strings.Builder
			for range 500 + g.IntN(4000) {
				if g.chance(1) { // a run that both texts may have
					from := g.IntN(different)
					for i := range 10 + g.IntN(40) {
						fmt.Fprintf(&b, "line %d\n", (from+i)%different)
					}
				}
				fmt.Fprintf(&b, "line %d\n", g.IntN(different))
			}
			trees = append(trees, fileTree{"f": {git.ModeFile, b.String()}})
		}
	}
	compareVariants(t, trees)
}

func TestRandomTrees(t *testing.T) {
	t.Parallel()
	g, scale := randomTest(t)
	var trees []fileTree
	for range 300 * scale {
		a, b := g.treePair()
		trees = append(trees, a, b)
	}
	compareVariants(t, trees)
}

// TestSHA256 compares trees whose ids are longer.
func TestSHA256(t *testing.T) {
	t.Parallel()
	g, scale := randomTest(t)
	var trees []fileTree
	for range 50 * scale {
		a, b := g.treePair()
		trees = append(trees, a, b)
	}
	r := newRepository(t, git.SHA256)
	compareAll(t, r.dir, importTrees(t, r, trees), variants[0])
}

func compareVariants(t *testing.T, trees []fileTree) {
	t.Helper()
	r := newRepository(t, git.SHA1)
	pairs := importTrees(t, r, trees)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { compareAll(t, r.dir, pairs, v) })
	}
}

// TestBinaryPatches applies patches with git and expects the other tree.
func TestBinaryPatches(t *testing.T) {
	t.Parallel()
	g, scale := randomTest(t)
	var trees []fileTree
	for range 40 * scale {
		for range 2 {
			tree := fileTree{}
			for i := range 5 {
				f := g.file()
				if f.mode.IsFile() && g.chance(50) {
					f.content += "\x00"
				}
				tree[fmt.Sprintf("file %d", (i+g.IntN(2))%5)] = f
			}
			trees = append(trees, tree)
		}
	}
	r := newRepository(t, git.SHA1)
	for _, p := range importTrees(t, r, trees) {
		for _, p := range []treePair{p, {git.ObjectID{}, p.a}, {p.a, git.ObjectID{}}} {
			applyPatch(t, r, p)
		}
	}
}

func applyPatch(t *testing.T, r *repository, p treePair) {
	t.Helper()
	changes, err := diff.Trees(t.Context(), git.SHA1, r, p.a, p.b, diff.TreeOptions{Renames: true})
	if err != nil {
		t.Fatal(err)
	}
	var patch bytes.Buffer
	for _, c := range changes {
		f, err := diff.File(t.Context(), r, c, diff.Options{Binary: true})
		if err != nil {
			t.Fatal(err)
		}
		patch.Write(f.Text)
	}
	from, want := p.a, p.b
	if from.IsZero() {
		from = git.SHA1.EmptyTree()
	}
	if want.IsZero() {
		want = git.SHA1.EmptyTree()
	}
	runGit(t, r.dir, nil, "read-tree", from.String())
	if patch.Len() > 0 {
		runGit(t, r.dir, patch.Bytes(), "apply", "--cached", "--whitespace=nowarn")
	}
	got := strings.TrimSpace(string(runGit(t, r.dir, nil, "write-tree", "--missing-ok")))
	if got != want.String() {
		t.Errorf("patch from %s to %s gives %s:\n%s", p.a, p.b, got, patch.Bytes())
	}
}

// TestRandomRenames has many files of few contents and names change places.
func TestRandomRenames(t *testing.T) {
	t.Parallel()
	g, scale := randomTest(t)
	var trees []fileTree
	for range 60 * scale {
		a, b := g.renamePair()
		trees = append(trees, a, b)
	}
	compareVariants(t, trees)
}

// renamePair makes up a tree of files that resemble each other and another
// with most of them moved and edited.
func (g generator) renamePair() (fileTree, fileTree) {
	a, b := fileTree{}, fileTree{}
	names := []string{"index", "main", "mod", "x", "y", "z"}
	path := func() string {
		return fmt.Sprintf("%c/%c/%s.%d", 'a'+rune(g.IntN(4)), 'a'+rune(g.IntN(3)), pick(g, names), g.IntN(3))
	}
	var templates []file
	for range 1 + g.IntN(4) {
		text, _ := g.textPair(80)
		templates = append(templates, file{git.ModeFile, text})
	}
	for range g.IntN(40) {
		f := pick(g, templates)
		for range g.IntN(3) {
			f = g.edited(f)
		}
		a.put(path(), f)
	}
	for p, f := range sortedTree(a) {
		if g.chance(60) {
			p = path()
		}
		if g.chance(60) {
			f = g.edited(f)
		}
		b.put(p, f)
	}
	return a, b
}

// TestPaths limits the comparison to some paths.
func TestPaths(t *testing.T) {
	t.Parallel()
	g, scale := randomTest(t)
	var trees []fileTree
	for range 60 * scale {
		a, b := g.treePair()
		trees = append(trees, a, b)
	}
	r := newRepository(t, git.SHA1)
	pairs := importTrees(t, r, trees)
	for _, paths := range [][]string{{"src"}, {"src/a", "a"}, {"src/a/main.c", "b.go"}, {"sr", "with space"}, {"a/"}} {
		v := variant{
			name: strings.Join(paths, " "),
			args: append([]string{"-M", "--"}, paths...),
			tree: diff.TreeOptions{Renames: true, Paths: paths},
		}
		t.Run(v.name, func(t *testing.T) { compareAll(t, r.dir, pairs, v) })
	}
}
