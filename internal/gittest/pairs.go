package gittest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Pairs makes a bare repository with n pairs of branches, ours-0 and theirs-0,
// ours-1 and theirs-1 and so on, each pair from a commit of its own, base-0 and
// so on, that only the seed decides: made to be merged, and to be made into
// patches of each other. The two sides edit the same files and others, rename
// them and their folders, delete, add, change modes and kinds, put files where
// folders were and folders where files were; some sides have merged each other
// before, crosswise.
func Pairs(t testing.TB, seed uint64, n int) *Repo {
	t.Helper()
	g := &pairs{rand: rand.New(rand.NewPCG(seed, 0x2545f4914f6cdd1d))}
	for i := range n {
		g.pair(i)
	}
	r := Init(t, Bare())
	r.GitInput(g.String(), "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet")
	return r
}

// pairFile is a file of a side; its content is a submodule's commit if the mode
// says so.
type pairFile struct{ mode, content string }

// side is a line of history and the files at its tip.
type side struct {
	ref   string
	tip   int
	files map[string]pairFile
}

type pairs struct {
	stream
	rand  *rand.Rand
	marks int
}

func (g *pairs) pair(i int) {
	base := &side{ref: fmt.Sprintf("refs/heads/base-%d", i), files: map[string]pairFile{}}
	for _, path := range pairPaths {
		if g.rand.IntN(3) > 0 {
			base.files[path] = g.newFile()
		}
	}
	g.commit(base)
	ours, theirs := g.fork(base, "ours", i), g.fork(base, "theirs", i)
	g.changes(ours)
	g.changes(theirs)
	if g.rand.IntN(5) == 0 {
		// Each merges the other, in its own way: two merge bases.
		a, b := ours.tip, theirs.tip
		g.mix(ours, theirs, b)
		g.mix(theirs, ours, a)
		g.changes(ours)
		g.changes(theirs)
	}
}

func (g *pairs) fork(from *side, name string, i int) *side {
	return &side{ref: fmt.Sprintf("refs/heads/%s-%d", name, i), tip: from.tip, files: maps.Clone(from.files)}
}

// mix commits a merge that takes files from either side as it likes.
func (g *pairs) mix(s, other *side, parent int) {
	for _, path := range slices.Sorted(maps.Keys(other.files)) {
		if g.rand.IntN(2) == 0 {
			g.put(s, path, other.files[path])
		}
	}
	g.commit(s, parent)
}

func (g *pairs) changes(s *side) {
	for range 1 + g.rand.IntN(2) {
		for range 1 + g.rand.IntN(4) {
			g.change(s)
		}
		g.commit(s)
	}
}

var pairPaths = []string{
	"README", "run.sh", "a/one", "a/two", "a/deep/three", "b/one", "b/notes.txt", "lib/x.c", "lib/y.c", "lib/sub/z.c",
	"with blank", "tab\there", "ünï", "quote\"d", "-dash", "link", "data.bin", "empty",
}

func (g *pairs) newFile() pairFile {
	switch g.rand.IntN(12) {
	case 0:
		return pairFile{"120000", "a/" + g.word()}
	case 1:
		return pairFile{"160000", g.hex(40)}
	case 2:
		return pairFile{"100644", ""}
	case 3:
		return pairFile{"100644", "bin\x00" + strings.Repeat(g.word()+"\x00", 5+g.rand.IntN(40))}
	case 4:
		return pairFile{"100755", "#!/bin/sh\n" + g.text(12)}
	case 5:
		return pairFile{"100644", g.text(5) + "no end"}
	}
	return pairFile{"100644", g.text(8 + g.rand.IntN(30))}
}

func (g *pairs) word() string { return pairWords[g.rand.IntN(len(pairWords))] }

var pairWords = strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa { } return if else func int")

func (g *pairs) hex(n int) string {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, "%x", g.rand.IntN(16))
	}
	return b.String()
}

func (g *pairs) text(lines int) string {
	var b strings.Builder
	for range lines {
		fmt.Fprintln(&b, g.word(), g.word(), g.rand.IntN(20))
	}
	return b.String()
}

// change does one of the things that happen to a tree.
func (g *pairs) change(s *side) {
	paths := slices.Sorted(maps.Keys(s.files))
	if len(paths) == 0 {
		g.put(s, "README", g.newFile())
		return
	}
	path := paths[g.rand.IntN(len(paths))]
	file := s.files[path]
	switch g.rand.IntN(12) {
	case 0:
		delete(s.files, path)
	case 1:
		g.put(s, pairPaths[g.rand.IntN(len(pairPaths))], g.newFile())
	case 2: // rename, and edit a little
		delete(s.files, path)
		g.put(s, g.rename(path), g.edit(file))
	case 3: // rename a folder
		g.renameFolder(s, path)
	case 4:
		if file.mode == "100644" || file.mode == "100755" {
			file.mode = map[string]string{"100644": "100755", "100755": "100644"}[file.mode]
			s.files[path] = file
		}
	case 5: // a file where a folder was, or the other way round
		if folder, _, ok := strings.Cut(path, "/"); ok {
			g.put(s, folder, g.newFile())
		} else {
			g.put(s, path+"/inside", g.edit(file))
		}
	case 6: // a copy
		g.put(s, g.rename(path), file)
	case 7: // another kind
		s.files[path] = g.newFile()
	default:
		s.files[path] = g.edit(file)
	}
}

func (g *pairs) rename(path string) string {
	if g.rand.IntN(3) == 0 {
		return pairPaths[g.rand.IntN(len(pairPaths))]
	}
	return path + "." + g.word()[:1]
}

func (g *pairs) renameFolder(s *side, path string) {
	folder, _, ok := strings.Cut(path, "/")
	if !ok {
		return
	}
	to := []string{"moved", "lib", "a", "b/in", "new/deep"}[g.rand.IntN(5)]
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		if rest, ok := strings.CutPrefix(p, folder+"/"); ok && to != folder {
			file := s.files[p]
			delete(s.files, p)
			g.put(s, to+"/"+rest, file)
		}
	}
}

// edit changes some lines.
func (g *pairs) edit(f pairFile) pairFile {
	switch {
	case f.mode == "160000":
		f.content = g.hex(40)
	case f.mode == "120000":
		f.content = g.word()
	case strings.Contains(f.content, "\x00"):
		f.content += g.word() + "\x00"
	default:
		lines := strings.SplitAfter(f.content, "\n")
		for range 1 + g.rand.IntN(3) {
			i := g.rand.IntN(len(lines))
			switch g.rand.IntN(4) {
			case 0:
				lines = slices.Delete(lines, i, i+1)
			case 1:
				lines = slices.Insert(lines, i, g.text(2))
			case 2:
				lines[i] = g.word() + lines[i]
			default:
				lines[i] = g.text(1)
			}
			if len(lines) == 0 {
				lines = []string{g.text(1)}
			}
		}
		f.content = strings.Join(lines, "")
	}
	return f
}

// put sets a file; what stands in its way goes.
func (g *pairs) put(s *side, path string, f pairFile) {
	for other := range s.files {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			delete(s.files, other)
		}
	}
	s.files[path] = f
}

// commit writes a commit of a side's files onto its tip.
func (g *pairs) commit(s *side, parents ...int) {
	g.marks++
	who := fmt.Sprintf("Ada Author <ada@example.com> %d +0000", Epoch+int64(g.marks)*60)
	fmt.Fprintf(g, "commit %s\nmark :%d\nauthor %s\ncommitter %s\n", s.ref, g.marks, who, who)
	g.data(fmt.Sprintf("commit %d\n", g.marks))
	if s.tip != 0 {
		fmt.Fprintf(g, "from :%d\n", s.tip)
	}
	for _, p := range parents {
		fmt.Fprintf(g, "merge :%d\n", p)
	}
	g.WriteString("deleteall\n")
	for path, f := range sorted(s.files) {
		if f.mode == "160000" {
			fmt.Fprintf(g, "M 160000 %s %s\n", f.content, quote(path))
			continue
		}
		fmt.Fprintf(g, "M %s inline %s\n", f.mode, quote(path))
		g.data(f.content)
	}
	s.tip = g.marks
}
