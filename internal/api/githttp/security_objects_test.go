package githttp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

func TestMissingObjectsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := gittest.Init(t)
	s.create("r")
	local.Commit("main", "first", gittest.Files{"a": "1", "d/e": "2"})
	second := local.Commit("main", "second", gittest.Files{"a": "3", "d/e": "4"})
	all := strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))
	for _, left := range all {
		var ids []string
		for _, id := range all {
			if id != left {
				ids = append(ids, id)
			}
		}
		answer := s.pushRaw("r", packOf(t, local, ids...), zero+" "+second+" refs/heads/main")
		if !strings.Contains(answer, "ng refs/heads/main missing necessary objects") {
			t.Errorf("without %s: %q", left, answer)
		}
	}
	if files := s.leftovers(); len(files) > 0 {
		t.Errorf("refused pushes left %v", files)
	}
	nothing := s.pushRaw("r", packOf(t, local), zero+" "+strings.Repeat("12", 20)+" refs/heads/main")
	if !strings.Contains(nothing, "missing necessary objects") {
		t.Errorf("a ref to nothing: %q", nothing)
	}
	// One bad ref does not take the good one with it.
	lost := local.Git("commit-tree", "-m", "x", "-p", second, local.GitInput("100644 blob "+strings.Repeat("12", 20)+"\tx\n", "mktree", "--missing"))
	answer := s.pushRaw("r", packOf(t, local, append(all, lost)...), zero+" "+lost+" refs/heads/bad", zero+" "+second+" refs/heads/main")
	if !strings.Contains(answer, "ng refs/heads/bad missing") || !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("a bad and a good ref: %q", answer)
	}
	gittest.Fsck(t, clone(t, s.remote("r", ""), "--mirror"))
}

// TestCommitsCannotVouchForEachOther pushes a file that two trees have in turn
// and that nobody sends.
func TestCommitsCannotVouchForEachOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	missing := strings.Repeat("12", 20)
	tree := func(entries string) string { return local.GitInput(entries, "mktree", "--missing") }
	blob := local.GitInput("x", "hash-object", "-w", "--stdin")
	x := tree("100644 blob " + missing + "\tm\n100644 blob " + blob + "\tx\n")
	y := tree("100644 blob " + missing + "\tm\n100644 blob " + blob + "\ty\n")
	ids := []string{blob, x, y}
	tip := ""
	for i := range 6 {
		root := tree("040000 tree " + []string{x, y}[i%2] + "\td\n")
		args := []string{"commit-tree", "-m", fmt.Sprint(i), root}
		if tip != "" {
			args = append(args, "-p", tip)
		}
		tip = local.Git(args...)
		ids = append(ids, root, tip)
	}
	answer := s.pushRaw("r", packOf(t, local, ids...), zero+" "+tip+" refs/heads/main")
	if !strings.Contains(answer, "ng refs/heads/main missing necessary objects") {
		t.Errorf("%q", answer)
	}
}

func TestObjectOfWrongTypeRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	blob := local.GitInput("x", "hash-object", "-w", "--stdin")
	empty := local.GitInput("100644 blob "+blob+"\tx\n", "mktree")
	asTree := local.Write("tree", append([]byte("40000 d\x00"), rawID(blob)...))
	asBlob := local.Write("tree", append([]byte("100644 f\x00"), rawID(empty)...))
	both := local.Write("tree", append(append([]byte("40000 d\x00"), rawID(empty)...), append([]byte("100644 f\x00"), rawID(empty)...)...))
	who := "author A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n\nx\n"
	commit := func(tree string) string { return local.Write("commit", []byte("tree "+tree+"\n"+who)) }
	for name, ids := range map[string][]string{
		"blob as a tree":            {commit(asTree), asTree, blob},
		"tree as a blob":            {commit(asBlob), asBlob, empty, blob},
		"tree as a tree and a blob": {commit(both), both, empty, blob},
		"blob as the root":          {commit(blob), blob},
		"tree as a parent":          {local.Write("commit", []byte("tree "+empty+"\nparent "+empty+"\n"+who)), empty, blob},
		"blob tagged as a commit":   {local.Write("tag", []byte("object "+blob+"\ntype commit\ntag x\ntagger A <a@b.c> 1 +0000\n\nx\n")), blob},
	} {
		answer := s.pushRaw("r", packOf(t, local, ids...), zero+" "+ids[0]+" refs/tags/x")
		if !strings.Contains(answer, "ng refs/tags/x missing necessary objects") {
			t.Errorf("%s: %q", name, answer)
		}
	}
	answer := s.pushRaw("r", packOf(t, local, empty, blob), zero+" "+empty+" refs/heads/main")
	if !strings.Contains(answer, "ng refs/heads/main trying to write non-commit object to branch") {
		t.Errorf("a tree as a branch: %q", answer)
	}
}

func TestMalformedObjectsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	blob := local.GitInput("x", "hash-object", "-w", "--stdin")
	evil := local.GitInput("[submodule \"../../x\"]\n\tpath = x\n\turl = https://example.com/x\n", "hash-object", "-w", "--stdin")
	option := local.GitInput("[submodule \"x\"]\n\tpath = x\n\turl = -oProxyCommand=x\n", "hash-object", "-w", "--stdin")
	tree := func(entries ...string) []byte {
		var b []byte
		for i := 0; i < len(entries); i += 2 {
			b = append(append(b, entries[i]+"\x00"...), rawID(entries[i+1])...)
		}
		return b
	}
	for word, data := range map[string][]byte{
		"hasDotgit":          tree("100644 .git", blob),
		"hasDotgit ":         tree("100644 .GiT", blob),
		"hasDotgit  ":        tree("100644 git~1", blob),
		"hasDotdot":          tree("100644 ..", blob),
		"fullPathname":       tree("100644 a/b", blob),
		"treeNotSorted":      tree("100644 b", blob, "100644 a", blob),
		"duplicateEntries":   tree("100644 a", blob, "100644 a", blob),
		"nullSha1":           tree("100644 a", zero),
		"gitmodulesSymlink":  tree("120000 .gitmodules", blob),
		"gitmodulesName":     tree("100644 .gitmodules", evil),
		"gitmodulesUrl":      tree("100644 .gitmodules", option),
		"zeroPaddedFilemode": tree("0100644 a", blob),
	} {
		id := local.Write("tree", data)
		answer := s.pushRaw("r", handMade(4, entry{2, "", data}, entry{3, "", []byte("x")},
			entry{3, "", []byte(local.Git("cat-file", "blob", evil) + "\n")}, entry{3, "", []byte(local.Git("cat-file", "blob", option) + "\n")}),
			zero+" "+id+" refs/tags/x")
		if !strings.Contains(answer, strings.TrimSpace(word)) || !strings.Contains(answer, "ng refs/tags/x unpacker error") {
			t.Errorf("%s: %q", word, answer)
		}
	}
	if files := s.leftovers(); len(files) > 0 {
		t.Errorf("refused pushes left %v", files)
	}
}

// TestImportTakesOldHistory pushes what Git wrote long ago.
func TestImportTakesOldHistory(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	blob := local.GitInput("x", "hash-object", "-w", "--stdin")
	tree := local.Write("tree", append([]byte("0100644 a\x00"), rawID(blob)...))
	old := local.Write("commit", []byte("tree "+tree+"\nauthor A<a@b> 1\ncommitter A <a@b> 1 +051800\n\nold\n"))
	body := lines(zero+" "+old+" refs/heads/main\x00 report-status", "0000") + string(packOf(t, local, blob, tree, old))
	if _, answer := s.post("r.git", "git-receive-pack", s.token("r"), strings.NewReader(body)); !strings.Contains(answer, "ng refs/heads/main unpacker error") {
		t.Errorf("normal remote: %q", answer)
	}
	if _, answer := s.post("r+import.git", "git-receive-pack", s.token("r"), strings.NewReader(body)); !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("import remote: %q", answer)
	}
	copied := clone(t, s.remote("r", ""), "--mirror")
	if got := gittest.Git(t, copied, "rev-parse", "main"); got != old {
		t.Errorf("main is %s, want %s", got, old)
	}
	evil := local.Write("tree", append([]byte("0100644 .git\x00"), rawID(blob)...))
	body = lines(zero+" "+evil+" refs/tags/x\x00 report-status", "0000") + string(packOf(t, local, blob, evil))
	if _, answer := s.post("r+import.git", "git-receive-pack", s.token("r"), strings.NewReader(body)); !strings.Contains(answer, "hasDotgit") {
		t.Errorf("import of .git: %q", answer)
	}
}

func TestMalformedPacksRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) {
		c.odb.InlineLimit = 1
		c.odb.Push = odb.PushLimits{PackSize: 1 << 20, ObjectSize: 4 << 20, Objects: 100, Inflated: 8 << 20}
	})
	s.create("r")
	local := gittest.Init(t)
	local.Commit("main", "first", gittest.Files{"a": "1", "d/e": "2"})
	id := local.RevParse("main")
	good := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	delta := []byte{0x80, 0x80, 0x80, 0x02, 0x80, 0x80, 0x80, 0x02}
	for name, pack := range map[string][]byte{
		"nothing":             nil,
		"no pack":             []byte("hello, this is not a pack at all, not even close"),
		"cut off":             good[:len(good)-30],
		"no trailer":          good[:len(good)-20],
		"wrong trailer":       change(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"flipped bit":         change(func(b []byte) []byte { b[20] ^= 4; return b }),
		"trailing garbage":    append(bytes.Clone(good), "more"...),
		"version 9":           change(func(b []byte) []byte { b[7] = 9; return b }),
		"claims 2^32-1":       change(func(b []byte) []byte { copy(b[8:], "\xff\xff\xff\xff"); return b }),
		"claims one more":     change(func(b []byte) []byte { b[11]++; return b }),
		"claims one less":     change(func(b []byte) []byte { b[11]--; return b }),
		"twice the same":      handMade(2, entry{3, "", []byte("x")}, entry{3, "", []byte("x")}),
		"missing base":        handMade(1, entry{7, strings.Repeat("12", 20), delta}),
		"too many objects":    handMade(101, make([]entry, 101)...),
		"too large an object": handMade(1, entry{3, "", make([]byte, 5<<20)}),
		"zlib bomb":           handMade(3, entry{3, "", make([]byte, 4<<20-1)}, entry{3, "", make([]byte, 4<<20-2)}, entry{3, "", make([]byte, 4<<20-3)}),
		"too large a pack":    append(bytes.Clone(good), make([]byte, 2<<20)...),
	} {
		answer := s.pushRaw("r", pack, zero+" "+id+" refs/heads/main")
		if strings.Contains(answer, "unpack ok") || !strings.Contains(answer, "ng refs/heads/main unpacker error") {
			t.Errorf("%s: %q", name, answer)
		}
	}
	if files := s.leftovers(); len(files) > 0 {
		t.Errorf("refused pushes left %v", files)
	}
	if answer := s.pushRaw("r", good, zero+" "+id+" refs/heads/main"); !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("a good pack: %q", answer)
	}
}

// TestDeltaBombRefused pushes deltas that make gigabytes of kilobytes.
func TestDeltaBombRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.odb.Push = odb.PushLimits{Inflated: 64 << 20} })
	s.create("r")
	varint := func(n int) []byte {
		var b []byte
		for n >= 0x80 {
			b = append(b, byte(n)|0x80)
			n >>= 7
		}
		return append(b, byte(n))
	}
	const size = 0xffff
	base := bytes.Repeat([]byte("x"), size)
	local := gittest.Init(t)
	entries := []entry{{3, "", base}}
	id := local.GitInput(string(base), "hash-object", "-w", "--stdin")
	for i := range 2000 {
		d := append(varint(size), varint(size*16+2)...)
		for range 16 {
			d = append(d, 0x80|0x10|0x20, 0xff, 0xff)
		}
		entries = append(entries, entry{7, id, append(d, 2, byte(i), byte(i>>8))})
	}
	answer := s.pushRaw("r", handMade(len(entries), entries...), zero+" "+id+" refs/tags/x")
	if !strings.Contains(answer, "inflated size") || strings.Contains(answer, "ok refs") {
		t.Errorf("%q", answer)
	}
}
