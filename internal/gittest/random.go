package gittest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Options shapes what Random makes; the zero value is a small history that
// holds one of everything.
type Options struct {
	Commits  int    // about how many; 60 if zero
	Files    int    // that the first commit holds; 25 if zero
	Branches int    // besides main; 3 if zero
	Large    int    // bytes of the one large file; 300 000 if zero
	Format   string // "sha1" if empty
	Tame     bool   // names that every file system takes
	Skew     bool   // commits that are younger than their children
}

func (o *Options) setDefaults() {
	for field, value := range map[*int]int{&o.Commits: 60, &o.Files: 25, &o.Branches: 3, &o.Large: 300_000} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Format == "" {
		o.Format = "sha1"
	}
}

// Random makes a bare repository with a history that only its seed and options
// decide: straight lines, merges, octopus and criss-cross merges; renames, mode
// changes, symbolic links, submodules; odd and unicode names; deep and wide
// trees; binary, empty, CRLF and unterminated files; annotated, light, nested
// and signed tags, tags of blobs and trees; notes; clock skew on demand. It
// passes git fsck --strict.
func Random(t testing.TB, seed uint64, o Options) *Repo {
	t.Helper()
	o.setDefaults()
	g := &generator{
		Options: o,
		rand:    rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)),
		clock:   Epoch,
	}
	g.write()
	r := Init(t, Bare(), Format(o.Format))
	r.GitInput(g.String(), "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet")
	r.addSigned()
	r.Git("update-ref", "refs/tags/of-tree", r.RevParse("main^{tree}"))
	return r
}

// addSigned adds what fast-import cannot write: a signed commit and tag. No
// key has made the signatures.
func (r *Repo) addSigned() {
	r.t.Helper()
	signature := "-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n=AbCd\n-----END PGP SIGNATURE-----"
	who := fmt.Sprintf("Ada Author <ada@example.com> %d +0000", r.clock)
	main := r.RevParse("main")
	commit := r.GitInput(fmt.Sprintf("tree %s\nparent %s\nauthor %s\ncommitter %s\ngpgsig %s\n\nSigned\n",
		r.RevParse("main^{tree}"), main, who, who, strings.ReplaceAll(signature, "\n", "\n ")),
		"hash-object", "-t", "commit", "-w", "--stdin")
	r.Git("update-ref", "refs/heads/signed", commit)
	tag := r.GitInput(fmt.Sprintf("object %s\ntype commit\ntag signed\ntagger %s\n\nSigned\n%s\n", commit, who, signature),
		"hash-object", "-t", "tag", "-w", "--stdin")
	r.Git("update-ref", "refs/tags/signed", tag)
}

// file is a file of a branch as fast-import is told of it.
type file struct {
	mode string
	data string // ":mark" of its blob, or a submodule's commit
	text string // the blob's content if it may be edited
}

// branch is a line of history: its last commit and the files there.
type branch struct {
	name  string
	tip   int
	files map[string]file
}

// paths returns the files that may change: git reads .gitmodules.
func (b *branch) paths() []string {
	paths := slices.Sorted(maps.Keys(b.files))
	return slices.DeleteFunc(paths, func(p string) bool { return p == ".gitmodules" })
}

type generator struct {
	stream
	Options
	rand    *rand.Rand
	marks   int
	clock   int64
	commits []int
	lines   []*branch
}

func (g *generator) write() {
	main := &branch{name: "refs/heads/main", files: map[string]file{}}
	g.lines = []*branch{main}
	g.root(main)
	for len(g.lines) <= g.Branches {
		g.edit(main)
		g.fork(main, branchNames[(len(g.lines)-1)%len(branchNames)])
	}
	for len(g.commits) < g.Commits {
		g.step()
	}
	g.octopus(main)
	g.crissCross(main, g.lines[len(g.lines)-1])
	g.unrelated()
	g.tags()
	g.notes()
}

var branchNames = []string{"dev", "feature/deep/er", "größe", "release-1.x", "a.b", "x+y", "日本"}

// step grows a branch in one of the ways that histories grow.
func (g *generator) step() {
	a := g.lines[g.rand.IntN(len(g.lines))]
	b := g.lines[g.rand.IntN(len(g.lines))]
	switch n := g.rand.IntN(20); {
	case n < 12:
		g.edit(a)
	case n < 14:
		g.rename(a)
	case n < 15:
		g.crissCross(a, b)
	case n < 16:
		g.octopus(a)
	case n < 17:
		g.commit(a, nil, nil) // an empty commit
	default:
		g.merge(a, b)
	}
}

// root makes the first commit, with one of every kind of file.
func (g *generator) root(b *branch) {
	changes := map[string]*file{
		"README.md":                            g.blob("100644", "# Test\n\nA history made for tests.\n"),
		"empty":                                g.blob("100644", ""),
		"no-newline":                           g.blob("100644", "the last line does not end"),
		"crlf.txt":                             g.blob("100644", "one\r\ntwo\r\nthree\r\n"),
		"binary.bin":                           g.blob("100644", g.noise(5000)),
		"nul.txt":                              g.blob("100644", "text\x00with a NUL\n"),
		"latin1.txt":                           g.blob("100644", "caf\xe9\n"),
		"large.txt":                            g.blob("100644", g.text(g.Large/40+1)),
		"run.sh":                               g.blob("100755", "#!/bin/sh\necho hello\n"),
		"link":                                 g.blob("120000", "README.md"),
		"dangling":                             g.blob("120000", "../no/such/file"),
		".gitmodules":                          g.blob("100644", "[submodule \"sub\"]\n\tpath = vendor/sub\n\turl = https://example.com/sub.git\n"),
		"vendor/sub":                           {mode: "160000", data: g.foreignID()},
		"sort/a/file":                          g.blob("100644", "a/ sorts after a.b and before a0\n"),
		"sort/a.b":                             g.blob("100644", "a.b\n"),
		"sort/a0":                              g.blob("100644", "a0\n"),
		"sort/a-b/file":                        g.blob("100644", "a-b\n"),
		"one/two/file.txt":                     g.blob("100644", "nested\n"),
		strings.Repeat("deep/", 40) + "bottom": g.blob("100644", "deep\n"),
	}
	for i := range 150 {
		changes[fmt.Sprintf("wide/%03d", i)] = g.blob("100644", fmt.Sprintf("%d\n", i%7))
	}
	if !g.Tame {
		for i, name := range oddNames {
			changes["odd/"+name] = g.blob("100644", fmt.Sprintf("odd name %d\n", i))
		}
		changes["-dash/\xff\xfe/\"q\""] = g.blob("100644", "odd directories\n")
	}
	for range g.Files {
		changes[g.newPath()] = g.blob("100644", g.text(1+g.rand.IntN(60)))
	}
	g.commit(b, nil, changes)
}

var oddNames = []string{
	"with space", " leading", "trailing ", "-rf", "--", "tab\there", "new\nline", "quote\"d", "single'quote",
	"caf\xc3\xa9", "cafe\xcc\x81", "\xff\xfe not utf-8", "日本語", "🙂", "...", "$HOME", "`id`", "*", "?", "[a]", "a:b",
	"%2e%2e", "#hash", "semi;colon", "\x01control\x7f", "HEAD", "CON", "<angle>", "pipe|", "~tilde", "@", "{b}",
	strings.Repeat("n", 255),
}

// edit commits a few changed, new and removed files.
func (g *generator) edit(b *branch) {
	changes := map[string]*file{}
	paths := b.paths()
	for range 1 + g.rand.IntN(5) {
		path := paths[g.rand.IntN(len(paths))]
		f := b.files[path]
		switch n := g.rand.IntN(12); {
		case n == 0 && len(paths) > 10:
			changes[path] = nil
		case n == 1 && f.mode == "100644":
			f.mode = "100755"
			changes[path] = &f
		case n == 2 && f.mode == "100755":
			f.mode = "100644"
			changes[path] = &f
		case n == 3: // a file becomes a link, or what was else a file
			if f.mode == "120000" {
				changes[path] = g.blob("100644", g.text(3))
			} else {
				changes[path] = g.blob("120000", "target/"+word(g.rand))
			}
		case f.mode == "160000":
			f.data = g.foreignID()
			changes[path] = &f
		case n < 9 && f.text != "":
			changes[path] = g.blob(f.mode, g.editText(f.text))
		default:
			changes[g.newPath()] = g.blob("100644", g.text(1+g.rand.IntN(60)))
		}
	}
	g.commit(b, nil, changes)
}

// rename moves a file or a whole directory, at times with an edit.
func (g *generator) rename(b *branch) {
	paths := b.paths()
	from := paths[g.rand.IntN(len(paths))]
	changes := map[string]*file{}
	to := g.newPath()
	dir, _, nested := strings.Cut(from, "/")
	for _, path := range paths {
		rest, below := strings.CutPrefix(path, dir+"/")
		if path != from && (!nested || !below || g.rand.IntN(4) == 0) {
			continue
		}
		f := b.files[path]
		if f.text != "" && g.rand.IntN(3) == 0 {
			f = *g.blob(f.mode, g.editText(f.text))
		}
		changes[path] = nil
		if below {
			changes[to+"/"+rest] = &f
		} else {
			changes[to] = &f
		}
	}
	g.commit(b, nil, changes)
}

// merge joins what other branches hold into b: their files win at random.
func (g *generator) merge(b *branch, others ...*branch) {
	var tips []int
	changes := map[string]*file{}
	for _, other := range others {
		if other.tip == b.tip || slices.Contains(tips, other.tip) {
			continue
		}
		tips = append(tips, other.tip)
		for path, f := range sorted(other.files) {
			if mine, ok := b.files[path]; (!ok || mine != f) && g.rand.IntN(2) == 0 && !g.collides(b, path) {
				changes[path] = &f
			}
		}
	}
	g.commit(b, tips, changes)
}

// collides tells whether path needs a directory where b holds a file, or the
// reverse.
func (g *generator) collides(b *branch, path string) bool {
	for other := range b.files {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			return true
		}
	}
	return false
}

func (g *generator) octopus(b *branch) {
	g.merge(b, g.lines...)
}

// crissCross merges two branches into each other, so that what comes of them
// has two merge bases.
func (g *generator) crissCross(a, b *branch) {
	g.edit(a)
	if a == b {
		return
	}
	g.edit(b)
	before := *a
	before.files = maps.Clone(a.files)
	g.merge(a, b)
	g.merge(b, &before)
}

func (g *generator) fork(from *branch, name string) {
	b := &branch{name: "refs/heads/" + name, tip: from.tip, files: maps.Clone(from.files)}
	g.lines = append(g.lines, b)
	g.edit(b)
}

// unrelated makes a second root, and merges it.
func (g *generator) unrelated() {
	b := &branch{name: "refs/heads/orphan", files: map[string]file{}}
	g.commit(b, nil, map[string]*file{"orphan/file": g.blob("100644", "another root\n")})
	g.merge(g.lines[0], b)
}

// commit writes a commit of the changes on b's tip, with further parents. A nil
// file is one that goes.
func (g *generator) commit(b *branch, parents []int, changes map[string]*file) {
	g.marks++
	date := g.clock + int64(g.rand.IntN(3600))
	g.clock += 1800
	if g.Skew && g.rand.IntN(4) == 0 {
		date -= int64(g.rand.IntN(30 * 86400))
	}
	encoding, message := "", messages[g.rand.IntN(len(messages))]
	if strings.Contains(message, "\xe9") {
		encoding = "encoding ISO-8859-1\n"
	}
	fmt.Fprintf(g, "commit %s\nmark :%d\n", b.name, g.marks)
	fmt.Fprintf(g, "author %s %d %s\n", people[g.rand.IntN(len(people))], date-int64(g.rand.IntN(7200)), zones[g.rand.IntN(len(zones))])
	fmt.Fprintf(g, "committer %s %d %s\n%s", people[g.rand.IntN(len(people))], date, zones[g.rand.IntN(len(zones))], encoding)
	g.data(message)
	if b.tip != 0 {
		fmt.Fprintf(g, "from :%d\n", b.tip)
	}
	for _, p := range parents {
		fmt.Fprintf(g, "merge :%d\n", p)
	}
	for path, f := range sorted(changes) {
		if f == nil {
			fmt.Fprintf(g, "D %s\n", quote(path))
			delete(b.files, path)
		}
	}
	for path, f := range sorted(changes) {
		if f != nil && !g.collides(b, path) {
			fmt.Fprintf(g, "M %s %s %s\n", f.mode, f.data, quote(path))
			b.files[path] = *f
		}
	}
	g.WriteByte('\n')
	b.tip = g.marks
	g.commits = append(g.commits, g.marks)
}

var messages = []string{
	"Add a feature\n", "Fix a bug\n\nThe body says why.\n\nSigned-off-by: Ada <ada@example.com>\n", "no line feed", "",
	"\n\nleading blank lines\n", "Umlaute: äöü, 日本語, 🙂\n", "latin-1: caf\xe9\n", "CRLF\r\n\r\nbody\r\n", "tab\tand trailing blanks   \n\n\n",
}

var people = []string{
	"Ada Author <ada@example.com>", "Carl Committer <carl@example.com>", "Åsa Ö. Ünïcode <asa@example.org>",
	"日本 太郎 <taro@例え.jp>", "O'Brien \"Quote\" <ob@example.com>", "No Mail <>", "bot[bot] <1+bot[bot]@users.example.com>",
}

var zones = []string{"+0000", "+0100", "-0800", "+0545", "-0330", "+1400", "-1200"}

// blob writes a blob and returns it as a file.
func (g *generator) blob(mode, content string) *file {
	g.marks++
	fmt.Fprintf(g, "blob\nmark :%d\n", g.marks)
	g.data(content)
	f := &file{mode: mode, data: fmt.Sprintf(":%d", g.marks)}
	if mode != "120000" {
		f.text = content
	}
	return f
}

func (g *generator) tags() {
	g.annotate("v1.0", g.commits[len(g.commits)/2], "Release 1.0\n")
	g.annotate("v2.0-rc/1", g.commits[len(g.commits)-1], "Release candidate\n\nwith a body, and no line feed")
	g.annotate("nested", g.marks, "A tag of a tag\n")
	blob := g.blob("100644", "a blob that only a tag names\n")
	fmt.Fprintf(g, "tag of-blob\nfrom %s\ntagger Ada Author <ada@example.com> %d +0000\n", blob.data, g.clock)
	g.data("")
	for i, name := range []string{"light", "lighter/nested", "größe"} {
		fmt.Fprintf(g, "reset refs/tags/%s\nfrom :%d\n\n", name, g.commits[i%len(g.commits)])
	}
}

func (g *generator) annotate(name string, target int, message string) {
	fmt.Fprintf(g, "tag %s\n", name)
	g.marks++
	fmt.Fprintf(g, "mark :%d\nfrom :%d\ntagger Ada Author <ada@example.com> %d +0100\n", g.marks, target, g.clock)
	g.data(message)
}

func (g *generator) notes() {
	for i := range 3 {
		g.marks++
		fmt.Fprintf(g, "commit refs/notes/commits\nmark :%d\ncommitter Ada Author <ada@example.com> %d +0000\n", g.marks, g.clock)
		g.data("Notes\n")
		fmt.Fprintf(g, "N inline :%d\n", g.commits[g.rand.IntN(len(g.commits))])
		g.data(fmt.Sprintf("note %d\n", i))
		g.WriteByte('\n')
	}
}

// newPath invents a path of one to four components.
func (g *generator) newPath() string {
	var parts []string
	for range 1 + g.rand.IntN(4) {
		parts = append(parts, word(g.rand))
	}
	if !g.Tame && g.rand.IntN(6) == 0 {
		parts[g.rand.IntN(len(parts))] += " ü"
	}
	return strings.Join(parts, "/") + fmt.Sprintf("-%d.txt", g.rand.IntN(1000))
}

// text makes lines of prose.
func (g *generator) text(lines int) string {
	var b strings.Builder
	for range lines {
		b.WriteString(g.line())
	}
	return b.String()
}

func (g *generator) line() string {
	words := make([]string, 2+g.rand.IntN(9))
	for i := range words {
		words[i] = word(g.rand)
	}
	return strings.Join(words, " ") + "\n"
}

// editText changes, adds and removes some lines.
func (g *generator) editText(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for range 1 + g.rand.IntN(3) {
		at := g.rand.IntN(len(lines))
		switch g.rand.IntN(3) {
		case 0:
			lines[at] = g.line()
		case 1:
			lines = slices.Insert(lines, at, g.line())
		default:
			if len(lines) > 2 {
				lines = slices.Delete(lines, at, at+1)
			}
		}
	}
	return strings.Join(lines, "")
}

// noise makes bytes that do not compress.
func (g *generator) noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rand.Uint32())
	}
	return string(b)
}

// foreignID invents the id of a commit of another repository.
func (g *generator) foreignID() string {
	n := 40
	if g.Format == "sha256" {
		n = 64
	}
	return fmt.Sprintf("%0*x", n, g.rand.Uint64()|1)
}

var syllables = []string{"ba", "ko", "ti", "re", "mu", "sol", "an", "ex", "i", "der", "ver", "low"}

// word invents a word of one to three syllables.
func word(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		b.WriteString(syllables[r.IntN(len(syllables))])
	}
	return b.String()
}
