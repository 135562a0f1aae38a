package diff_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// generator makes up files, trees and plausible edits of them.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 1))} }

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

// lineMaker returns lines of one kind of text, without line feeds.
func (g generator) lineMaker() func() string {
	words := []string{"if", "for", "return", "x", "y", "count", "value := 1", "call(a, b)", "übung", "日本語", "end", "$var", "_name"}
	switch g.IntN(6) {
	case 0: // few different lines
		n := 1 + g.IntN(12)
		return func() string { return string(rune('a' + g.IntN(n))) }
	case 1: // numbered lines
		n := 10 + g.IntN(1000)
		return func() string { return fmt.Sprintf("line %d", g.IntN(n)) }
	case 2: // long lines, some not UTF-8
		return func() string {
			s := strings.Repeat(pick(g, words)+" ", 1+g.IntN(40))
			if g.chance(10) {
				s += "\xe9\xff tail"
			}
			return s
		}
	default: // source code
		indent := 0
		unit := pick(g, []string{"\t", "  ", "    "})
		return func() string {
			switch g.IntN(8) {
			case 0:
				return ""
			case 1:
				indent++
				return strings.Repeat(unit, indent-1) + pick(g, words) + " {"
			case 2, 3:
				if indent > 0 {
					indent--
				}
				return strings.Repeat(unit, indent) + "}"
			case 4:
				indent = 0
				return "func " + pick(g, words) + "() {"
			case 5:
				return pick(g, []string{" ", "\t", "  \t ", ""})
			}
			return strings.Repeat(unit, indent) + pick(g, words) + " " + pick(g, words)
		}
	}
}

// text makes up a text and an edit of it.
func (g generator) textPair(longest int) (string, string) {
	line := g.lineMaker()
	a := make([]string, g.IntN(longest+1))
	for i := range a {
		a[i] = line()
	}
	b := slices.Clone(a)
	if g.chance(5) {
		b = make([]string, g.IntN(longest+1))
		for i := range b {
			b[i] = line()
		}
	}
	for range g.IntN(6) {
		b = g.edit(b, line)
	}
	return g.join(a), g.join(b)
}

func (g generator) join(lines []string) string {
	end := "\n"
	if g.chance(8) {
		end = "\r\n"
	}
	s := strings.Join(lines, end)
	if len(lines) > 0 && !g.chance(15) {
		s += end
	}
	return s
}

func (g generator) edit(s []string, line func() string) []string {
	from := g.IntN(len(s) + 1)
	end := min(len(s), from+g.IntN(8))
	to := g.IntN(len(s) + 1)
	block := slices.Clone(s[from:end])
	switch g.IntN(10) {
	case 0: // delete
		return slices.Delete(s, from, end)
	case 1: // insert
		for range g.IntN(10) {
			s = slices.Insert(s, from, line())
		}
		return s
	case 2: // replace
		for i := from; i < end; i++ {
			s[i] = line()
		}
		return s
	case 3: // move
		s = slices.Delete(s, from, end)
		return slices.Insert(s, min(to, len(s)), block...)
	case 4: // duplicate
		return slices.Insert(s, to, block...)
	case 5: // indent
		for i := from; i < end; i++ {
			s[i] = pick(g, []string{"\t", " ", "    "}) + s[i]
		}
		return s
	case 6: // trailing and inner blanks
		for i := from; i < end; i++ {
			s[i] = strings.ReplaceAll(s[i], " ", pick(g, []string{"  ", "\t", " "})) + pick(g, []string{" ", "\t", ""})
		}
		return s
	case 7: // blank lines
		for range g.IntN(4) {
			s = slices.Insert(s, g.IntN(len(s)+1), pick(g, []string{"", "", " "}))
		}
		return s
	case 8: // duplicate in place
		return slices.Insert(s, end, block...)
	default: // every nth line
		step := 1 + g.IntN(20)
		for i := from; i < len(s); i += step {
			s[i] = line()
		}
		return s
	}
}

// file is an entry of a made-up tree.
type file struct {
	mode    git.FileMode
	content string // for a submodule, the last digits of its commit
}

type fileTree map[string]file

func (g generator) path() string {
	names := []string{"a", "b.go", "main.c", "README", "with space", "tab\there", "new\nline", `quo"te`, `back\slash`,
		"ünïcode", "日本", "\xff\xfe", "-dash", "a.b", "a-b", "a0", "\x7f\x01\x1b"}
	dirs := []string{"", "", "a/", "src/", "src/a/", "src/b/", "with space/", "ä/", "a.b/"}
	return pick(g, dirs) + pick(g, names)
}

func (g generator) file() file {
	switch g.IntN(12) {
	case 0:
		return file{git.ModeSymlink, pick(g, []string{"target", "a/b", "../x\n", "target2"})}
	case 1:
		return file{git.ModeSubmodule, fmt.Sprintf("%x", 1+g.IntN(5))}
	case 2:
		return file{git.ModeFile, ""}
	case 3:
		a, _ := g.textPair(40)
		return file{git.ModeFile, a + "\x00" + a}
	case 4:
		a, _ := g.textPair(30)
		return file{git.ModeExecutable, a}
	}
	a, _ := g.textPair(60)
	return file{git.ModeFile, a}
}

// put adds a file unless a directory or a file stands in its way.
func (t fileTree) put(path string, f file) bool {
	for other := range t {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			return false
		}
	}
	t[path] = f
	return true
}

// treePair makes up a tree and an edit of it.
func (g generator) treePair() (fileTree, fileTree) {
	a := fileTree{}
	for range g.IntN(14) {
		a.put(g.path(), g.file())
	}
	b := maps.Clone(a)
	for range g.IntN(8) {
		paths := sortedPaths(b)
		if len(paths) == 0 || g.chance(15) {
			b.put(g.path(), g.file())
			continue
		}
		path := pick(g, paths)
		f := b[path]
		switch g.IntN(9) {
		case 0:
			delete(b, path)
		case 1, 2:
			b[path] = g.edited(f)
		case 3, 4, 5: // rename
			delete(b, path)
			if g.chance(70) {
				f = g.edited(f)
			}
			to := g.path()
			if g.chance(30) {
				to = "moved/" + path
			}
			if _, exists := b[to]; exists || !b.put(to, f) {
				b[path] = f
			}
		case 6: // copy
			to := g.path()
			if _, exists := b[to]; !exists {
				b.put(to, f)
			}
		case 7: // mode
			switch f.mode {
			case git.ModeFile:
				f.mode = pick(g, []git.FileMode{git.ModeExecutable, git.ModeSymlink})
				b[path] = f
			case git.ModeExecutable:
				f.mode = git.ModeFile
				b[path] = f
			default:
				b[path] = g.file()
			}
		case 8: // a directory for a file, or the other way round
			delete(b, path)
			b.put(path+"/inner", f)
		}
	}
	return a, b
}

func (g generator) edited(f file) file {
	if f.mode == git.ModeSubmodule || f.mode == git.ModeSymlink {
		n := g.file()
		if n.mode == f.mode {
			f = n
		}
		return f
	}
	lines := strings.SplitAfter(f.content, "\n")
	line := g.lineMaker()
	for range 1 + g.IntN(3) {
		lines = g.edit(lines, func() string { return line() + "\n" })
	}
	f.content = strings.Join(lines, "")
	return f
}

// importTrees stores pairs of trees in a new repository and returns their ids.
func importTrees(tb testing.TB, r *repository, trees []fileTree) []treePair {
	tb.Helper()
	var in bytes.Buffer
	for _, t := range trees {
		in.WriteString("commit refs/heads/trees\ncommitter C <c@example.com> 1700000000 +0000\ndata 0\ndeleteall\n")
		for path, f := range sortedTree(t) {
			quoted := `"` + octal(path) + `"`
			if f.mode == git.ModeSubmodule {
				zeros := strings.Repeat("0", r.format.HexSize()-len(f.content))
				fmt.Fprintf(&in, "M 160000 %s%s %s\n", zeros, f.content, quoted)
				continue
			}
			fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", f.mode, quoted, len(f.content), f.content)
		}
	}
	runGit(tb, r.dir, in.Bytes(), "fast-import", "--quiet")
	ids := strings.Fields(string(runGit(tb, r.dir, nil, "log", "--reverse", "--topo-order", "--format=%T", "trees")))
	if len(ids) != len(trees) {
		tb.Fatalf("%d trees were stored, not %d", len(ids), len(trees))
	}
	var pairs []treePair
	for i := 0; i < len(ids); i += 2 {
		pairs = append(pairs, treePair{git.MustParseObjectID(ids[i]), git.MustParseObjectID(ids[i+1])})
	}
	return pairs
}

func octal(path string) string {
	var b strings.Builder
	for i := range len(path) {
		fmt.Fprintf(&b, `\%03o`, path[i])
	}
	return b.String()
}

// sortedTree yields the files in the order of their paths.
func sortedTree(t fileTree) func(yield func(string, file) bool) {
	return func(yield func(string, file) bool) {
		for _, path := range sortedPaths(t) {
			if !yield(path, t[path]) {
				return
			}
		}
	}
}

func sortedPaths(t fileTree) []string { return slices.Sorted(maps.Keys(t)) }
