package githttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/service"
)

// wantRefused requires that an object cannot be had from a remote, in either
// version of the protocol.
func wantRefused(t *testing.T, s *server, repo string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		for _, version := range []int{0, 2} {
			answer := s.fetch(repo, version, id)
			if !strings.Contains(answer, "ERR upload-pack: not our ref "+id) || strings.Contains(answer, "PACK") {
				t.Errorf("%s: version %d: the answer to a want of %s is %.100q", repo, version, id, answer)
			}
		}
	}
}

// secretHistory makes a repository whose one pack holds main and a branch
// secret, and returns a commit, a tree and a blob that only the latter has.
func secretHistory(t *testing.T, s *server, name string) (local *gittest.Repo, key cairn.RepositoryKey, secrets []string) {
	t.Helper()
	key = s.create(name)
	local = gittest.Init(t)
	shared := strings.Repeat("a line that both have\n", 100)
	local.Commit("main", "first", gittest.Files{"README": shared, "d/f": "1"})
	local.Git("branch", "secret", "main")
	local.Commit("main", "second", gittest.Files{"README": shared + "public\n"})
	local.Commit("secret", "hidden", gittest.Files{"README": shared + "secret\n", "d/key": "secret"})
	must(t, local.Dir, "push", s.remote(name, ""), "main", "secret")
	return local, key, []string{local.RevParse("secret"), local.RevParse("secret^{tree}"), local.RevParse("secret:README"), local.RevParse("secret:d/key")}
}

func TestWantOfDeletedBranchRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, key, secrets := secretHistory(t, s, "r")
	s.setRef(key, "refs/heads/secret", "")
	wantRefused(t, s, "r", secrets...)
}

func TestWantOfHiddenRefRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local, key, secrets := secretHistory(t, s, "r")
	s.setRef(key, "refs/heads/secret", "")
	s.setRef(key, "refs/namespaces/ephemeral/refs/heads/secret", secrets[0])
	s.setRef(key, "refs/namespaces/other/refs/heads/secret", secrets[0])
	wantRefused(t, s, "r", secrets...)
	// And the other way round.
	wantRefused(t, s, "r+ephemeral", local.RevParse("main"), local.RevParse("main:README"))
	if answer := s.fetch("r+ephemeral", 2, secrets[0]); !strings.Contains(answer, "PACK") {
		t.Errorf("what the ephemeral remote shows cannot be fetched there: %.100q", answer)
	}
	// The namespaces' own names lead nowhere.
	for _, name := range []string{"refs/namespaces/ephemeral/refs/heads/secret", "refs/heads/../namespaces/ephemeral/refs/heads/secret"} {
		answer := s.command("r", "command=fetch", "0001", "want-ref "+name+"\n", "done\n", "0000")
		if !strings.Contains(answer, "ERR unknown ref") {
			t.Errorf("want-ref %s: %.100q", name, answer)
		}
	}
}

func (s *server) command(repo string, texts ...string) string {
	s.t.Helper()
	_, answer := s.post(repo+".git", "git-upload-pack", s.token(repo), strings.NewReader(lines(texts...)), "Git-Protocol", "version=2")
	return answer
}

func TestHiddenObjectsNeverRideAlong(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		for _, inline := range []int64{1, 1 << 20} {
			s := start(t, func(c *config) { c.odb.InlineLimit = inline })
			local, key, secrets := secretHistory(t, s, "r")
			local.Git("tag", "-a", "-m", "hidden tag of a public commit", "hidden-tag", "main")
			must(t, local.Dir, "push", s.remote("r", ""), "hidden-tag")
			secrets = append(secrets, local.RevParse("hidden-tag"))
			s.setRef(key, "refs/namespaces/ephemeral/refs/tags/hidden-tag", local.RevParse("hidden-tag"))
			s.setRef(key, "refs/tags/hidden-tag", "")
			s.setRef(key, "refs/heads/secret", "")
			for _, args := range [][]string{{"--mirror"}, {"--depth=1"}, {"--filter=blob:none", "--bare"}, {"--filter=tree:0", "--bare"}, {"--single-branch"}} {
				copied := clone(t, s.remote("r", ""), append([]string{"-c", version}, args...)...)
				held := objectsOf(t, copied)
				for _, id := range secrets {
					if held[id] {
						t.Errorf("clone %v holds %s", args, id)
					}
				}
			}
			// A client that has the secret gets no deltas on it, and no
			// acknowledgement that the server has it.
			thief := clone(t, local.Dir, "--bare")
			must(t, thief, "-c", version, "fetch", s.remote("r", ""), "main")
			answer := s.command("r", "command=fetch", "0001", "want "+local.RevParse("main")+"\n", "have "+secrets[0]+"\n", "have "+secrets[3]+"\n", "0000")
			if strings.Contains(answer, "ACK") {
				t.Errorf("a have of a hidden commit is acknowledged: %.200q", answer)
			}
			// Sizes are as secret as contents.
			answer = s.command("r", "command=object-info", "0001", "size", "oid "+secrets[2], "oid "+local.RevParse("main:README"), "0000")
			if !strings.Contains(answer, secrets[2]+" 0") && !strings.Contains(answer, secrets[2]+" ") {
				t.Errorf("object-info: %.200q", answer)
			}
			if strings.Contains(answer, fmt.Sprint(secrets[2], " 2207")) {
				t.Errorf("object-info tells the size of a hidden object: %q", answer)
			}
		}
	})
}

// fork makes a fork of a repository that shares its packs.
func (s *server) fork(source, name string) cairn.RepositoryKey {
	s.t.Helper()
	r, err := s.service.ForkRepository(context.Background(), s.admin, service.NewFork{
		Name: cairn.RepositoryName(name), Source: cairn.RepositoryName(source), SourceActor: s.admin,
	})
	check(s.t, err)
	return r.RepositoryKey
}

// foreign makes a fork whose packs hold objects that belong to its parent
// alone, and returns them.
func foreign(t *testing.T, s *server) (local *gittest.Repo, secrets []string) {
	t.Helper()
	local, key, secrets := secretHistory(t, s, "parent")
	s.setRef(key, "refs/heads/secret", "")
	s.fork("parent", "fork")
	s.setRef(key, "refs/heads/secret", secrets[0])
	return local, secrets
}

func TestWantOfForeignObjectRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local, secrets := foreign(t, s)
	wantRefused(t, s, "fork", secrets...)
	id := local.Commit("own", "of the fork alone", gittest.Files{"own": "x"})
	must(t, local.Dir, "push", s.remote("fork", ""), "own")
	wantRefused(t, s, "parent", id)
	copied := clone(t, s.remote("fork", ""), "--mirror")
	for _, secret := range secrets {
		if objectsOf(t, copied)[secret] {
			t.Errorf("a clone of the fork holds %s of its parent", secret)
		}
	}
}

func TestPushGraftingForeignObjectRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local, secrets := foreign(t, s)
	commit, tree, blob := secrets[0], secrets[1], secrets[2]
	main := local.RevParse("main")
	for name, attack := range map[string]struct {
		tip  string
		pack []string
	}{
		"ref to a foreign commit": {tip: commit},
		"foreign parent":          {tip: local.Git("commit-tree", "-m", "x", "-p", commit, "main^{tree}")},
		"foreign tree":            {tip: local.Git("commit-tree", "-m", "x", "-p", main, tree)},
		"foreign tag":             {tip: local.GitInput(fmt.Sprintf("object %s\ntype blob\ntag x\ntagger A <a@b> 1 +0000\n\nx\n", blob), "mktag")},
	} {
		ids := attack.pack
		if ids == nil && attack.tip != commit {
			ids = []string{attack.tip}
		}
		answer := s.pushRaw("fork", packOf(t, local, ids...), zero+" "+attack.tip+" refs/heads/graft")
		if !strings.Contains(answer, "ng refs/heads/graft missing necessary objects") {
			t.Errorf("%s: %q", name, answer)
		}
	}
	grafted := local.GitInput(fmt.Sprintf("100644 blob %s\tstolen\n", blob), "mktree")
	tip := local.Git("commit-tree", "-m", "x", "-p", main, grafted)
	answer := s.pushRaw("fork", packOf(t, local, tip, grafted), zero+" "+tip+" refs/heads/graft")
	if !strings.Contains(answer, "missing necessary objects") {
		t.Errorf("foreign blob in a tree: %q", answer)
	}
	wantRefused(t, s, "fork", secrets...)
	// With the objects in its own pack, the push is as good as any.
	must(t, local.Dir, "push", s.remote("fork", ""), tip+":refs/heads/graft")
}

func TestThinPackBaseFromForeignForkRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local, secrets := foreign(t, s)
	content := local.Git("cat-file", "blob", secrets[2]) + "\n"
	pack := handMade(1, entry{7, secrets[2], copyAll(len(content))})
	id := local.GitInput(content+"!", "hash-object", "-w", "--stdin")
	answer := s.pushRaw("fork", pack, zero+" "+id+" refs/tags/stolen")
	if !strings.Contains(answer, "ng refs/tags/stolen unpacker error") {
		t.Errorf("%q", answer)
	}
	// The same pack is fine where the base is the client's to see.
	if answer := s.pushRaw("parent", pack, zero+" "+id+" refs/tags/fine"); !strings.Contains(answer, "ok refs/tags/fine") {
		t.Errorf("%q", answer)
	}
}

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

func TestFunnyRefNamesRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	id := local.Commit("main", "first", gittest.Files{"a": "1"})
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	var updates []string
	names := []string{
		"HEAD", "FETCH_HEAD", "main", "heads/main", "refs", "refs/", "refs/x", "refs/heads", "refs/heads/", "refs//heads/x",
		"refs/heads/../x", "refs/heads/a..b", "refs/heads/.x", "refs/heads/x.", "refs/heads/x.lock", "refs/heads/x.lock/y",
		"refs/heads/a b", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/a[b",
		`refs/heads/a\b`, "refs/heads/a@{1}", "refs/heads/-x", "refs/heads/--upload-pack=x", "refs/tags/-x", "refs/heads/HEAD",
		"refs/namespaces/ephemeral/refs/heads/x", "refs/namespaces/x/y", "../../x", "/refs/heads/x",
	}
	for _, name := range names {
		updates = append(updates, zero+" "+id+" "+name)
	}
	answer := s.pushRaw("r", pack, updates...)
	for _, name := range names {
		if !strings.Contains(answer, "ng "+name+" funny refname\n") {
			t.Errorf("%s is not refused in %q", name, answer)
		}
	}
	answer = s.pushRaw("r", pack, zero+" "+id+" refs/heads/a\x01b")
	if !strings.Contains(answer, "bad ref name") {
		t.Errorf("a control character: %q", answer)
	}
}

func TestStaleOldValueRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	first := local.RevParse("main")
	second := local.Commit("main", "second", gittest.Files{"a": "1"})
	third := local.Commit("main", "third", gittest.Files{"a": "2"})
	must(t, local.Dir, "push", "origin", "main~1:main")
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	for _, update := range []string{
		first + " " + third + " refs/heads/main", zero + " " + third + " refs/heads/main",
		first + " " + third + " refs/heads/new", first + " " + zero + " refs/heads/new", first + " " + zero + " refs/heads/main",
	} {
		answer := s.pushRaw("r", pack, update)
		if strings.Contains(answer, "\nok ") || !strings.Contains(answer, "ng refs/heads/") {
			t.Errorf("%s: %q", update, answer)
		}
	}
	if got := remoteRefs(t, s.remote("r", ""))["refs/heads/main"]; got != second {
		t.Errorf("main is %s, want %s", got, second)
	}
}

func TestFolderAndRefOfOneNameRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	answer := s.pushRaw("r", packOf(t, local), zero+" "+id+" refs/heads/main/below", zero+" "+id+" refs/heads/fine")
	if !strings.Contains(answer, "ng refs/heads/main/below") || !strings.Contains(answer, "ok refs/heads/fine") {
		t.Errorf("%q", answer)
	}
	answer = s.pushRaw("r", packOf(t, local), zero+" "+id+" refs/heads/x", zero+" "+id+" refs/heads/x/y")
	if !strings.Contains(answer, "ok refs/heads/x\n") || !strings.Contains(answer, "ng refs/heads/x/y") {
		t.Errorf("%q", answer)
	}
}

func TestPktLineGarbageRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	work(t, s, "r", "protocol.version=2")
	for _, body := range []string{
		"", "0", "0003", "0004", "ffff", "fff1", "xxxx", "GET / HTTP/1.1\r\n\r\n", "0000", "0001", "0002", "00000000", "0032want ",
		lines("want "+strings.Repeat("z", 40), "0000", "done"), lines("have "+strings.Repeat("1", 40), "0000"),
		lines("command=fetch", "command=fetch", "0000"), lines("command=drop-tables", "0000"), lines("command=fetch", "0001", "want x", "0000"),
		lines("command=ls-refs", "0001", "ref-prefix "+strings.Repeat("x", 5000), "0000"),
		strings.Repeat("0000", 1000), lines("command=fetch", "0001", "deepen 0", "0000"), lines("command=fetch", "0001", "deepen -1", "0000"),
		"\x00\x01\x02\x03\xff\xfe", strings.Repeat("A", 70000),
	} {
		for _, service := range []string{"git-upload-pack", "git-receive-pack"} {
			for _, version := range []string{"version=0", "version=2"} {
				status, answer := s.post("r.git", service, s.token("r"), strings.NewReader(body), "Git-Protocol", version)
				if status != http.StatusOK || strings.Contains(answer, "PACK") || strings.Contains(answer, "internal error") || strings.Contains(answer, "\nok ") {
					t.Errorf("%s, %s, %.60q: %d %.200q", service, version, body, status, answer)
				}
			}
		}
	}
}

func TestEndlessRequestRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.options.MaxRequest = 1 << 20 })
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	have := lines("have " + strings.Repeat("12", 20) + "\n")
	body := lines("command=fetch", "0001", "want "+id+"\n") + strings.Repeat(have, 40_000)
	_, answer := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader(body), "Git-Protocol", "version=2")
	if !strings.Contains(answer, "ERR the request has more than 1048576 bytes") {
		t.Errorf("%.200q", answer)
	}
}

func TestSparseFilterRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	for _, filter := range []string{
		"sparse:oid=main:README", "sparse:path=/etc/passwd", "sparse:oid=" + local.RevParse("main:README"),
		"combine:blob:none+sparse:oid=main:README", "combine:" + strings.Repeat("combine:", 50) + "blob:none", "tree:99999999999999999999",
		"blob:limit=-1", "nonsense", "combine:",
	} {
		answer := s.command("r", "command=fetch", "0001", "want "+id+"\n", "filter "+filter+"\n", "done\n", "0000")
		if !strings.Contains(answer, "ERR ") || strings.Contains(answer, "PACK") {
			t.Errorf("%s: %.200q", filter, answer)
		}
	}
	if answer := s.command("r", "command=fetch", "0001", "want "+id+"\n", "filter tree:99999\n", "done\n", "0000"); !strings.Contains(answer, "PACK") {
		t.Errorf("tree:99999: %.200q", answer)
	}
}

func TestGzipBombRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	work(t, s, "r", "protocol.version=2")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	have := []byte(strings.Repeat(lines("have "+strings.Repeat("12", 20)+"\n"), 1000))
	z.Write([]byte(lines("command=fetch", "0001")))
	for range 2000 {
		z.Write(have)
	}
	z.Close()
	_, answer := s.post("r.git", "git-upload-pack", s.token("r"), bytes.NewReader(bomb.Bytes()), "Git-Protocol", "version=2", "Content-Encoding", "gzip")
	if !strings.Contains(answer, "ERR request is over the limit of 200000 haves") {
		t.Errorf("%.200q", answer)
	}
	status, _ := s.post("r.git", "git-upload-pack", s.token("r"), bytes.NewReader(gzipped(gzipped([]byte("0000")))), "Content-Encoding", "gzip, gzip")
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("stacked encodings: status %d", status)
	}
	for _, encoding := range []string{"br", "deflate", "identity, gzip", "GZIP-not"} {
		if status, _ := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader("0000"), "Content-Encoding", encoding); status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: status %d", encoding, status)
		}
	}
	if status, answer := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader("not gzip"), "Content-Encoding", "gzip"); status != http.StatusBadRequest {
		t.Errorf("what is not gzip: %d %q", status, answer)
	}
	if status, answer := s.post("r.git", "git-upload-pack", s.token("r"), bytes.NewReader(gzipped([]byte(lines("command=ls-refs", "0000")))), "Content-Encoding", "gzip", "Git-Protocol", "version=2"); status != http.StatusOK || !strings.Contains(answer, "refs/heads/main") {
		t.Errorf("gzip: %d %q", status, answer)
	}
}

func TestGzipOfAPushIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.options.MaxPush = 1 << 20 })
	s.create("r")
	local := gittest.Init(t)
	id := local.Commit("main", "first", gittest.Files{"a": "1"})
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	commands := lines(zero+" "+id+" refs/heads/main\x00 report-status", "0000")
	push := func(body []byte) string {
		_, answer := s.post("r.git", "git-receive-pack", s.token("r"), bytes.NewReader(body), "Content-Encoding", "gzip")
		return answer
	}
	// A bomb: 50 MiB of 50 KB.
	bomb := handMade(1, entry{3, "", make([]byte, 16)})
	bomb = append(bomb[:len(bomb)-20:len(bomb)-20], make([]byte, 50<<20)...)
	if answer := push(gzipped(append([]byte(commands), bomb...))); !strings.Contains(answer, "ng refs/heads/main unpacker error") {
		t.Errorf("bomb: %q", answer)
	}
	// What follows the one member is not read: not as the rest of the pack, and
	// not as a second push.
	if answer := push(append(gzipped([]byte(commands)), gzipped(pack)...)); !strings.Contains(answer, "ng refs/heads/main unpacker error") {
		t.Errorf("pack in a second member: %q", answer)
	}
	whole := gzipped([]byte(commands + string(pack)))
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-5] ^= 1
	if answer := push(damaged); strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("damaged: %q", answer)
	}
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 0 {
		t.Errorf("refs are %v", refs)
	}
	if answer := push(whole); !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("a good push: %q", answer)
	}
}

func TestGzippedPush(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	id := local.Commit("main", "first", gittest.Files{"a": "1"})
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	body := append([]byte(lines(zero+" "+id+" refs/heads/main\x00 report-status-v2 side-band-64k", "0000")), pack...)
	status, answer := s.post("r.git", "git-receive-pack", s.token("r"), io.MultiReader(bytes.NewReader(gzipped(body))),
		"Content-Encoding", "gzip", "Expect", "100-continue")
	if status != http.StatusOK || !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("%d %q", status, answer)
	}
}

func TestPushOptionsCannotSmuggle(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	for _, option := range []string{"a\nb", "a\x00b", "a\rb", strings.Repeat("x", 5000)} {
		body := lines(zero+" "+id+" refs/heads/x\x00 report-status push-options", "0000", option, "0000") + string(packOf(t, local))
		_, answer := s.post("r.git", "git-receive-pack", s.token("r"), strings.NewReader(body))
		if strings.Contains(answer, "ok refs") {
			t.Errorf("option %.20q: %q", option, answer)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("team/app")
	get := func(path string, set func(*http.Request)) (int, http.Header, string) {
		r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
		check(t, err)
		if set != nil {
			set(r)
		}
		answer, err := http.DefaultClient.Do(r)
		check(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		check(t, err)
		return answer.StatusCode, answer.Header, string(text)
	}
	const upload, receive = "/team/app.git/info/refs?service=git-upload-pack", "/team/app.git/info/refs?service=git-receive-pack"
	basic := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anybody", password) }
	}
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	good := s.token("team/app")
	reader := s.token("team/app", jwt.MapClaims{"scopes": []string{"git:read"}})
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	check(t, err)
	r.SetBasicAuth("t", good)
	encoded := strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
	for name, c := range map[string]struct {
		path string
		set  func(*http.Request)
		want int
	}{
		"no credential":                      {upload, nil, 401},
		"no password":                        {upload, basic(""), 401},
		"garbage":                            {upload, basic("garbage"), 401},
		"wrong scheme":                       {upload, header("Digest " + good), 401},
		"expired":                            {upload, basic(s.token("team/app", jwt.MapClaims{"exp": 1000, "iat": 900})), 401},
		"basic":                              {upload, basic(good), 200},
		"lower-case basic":                   {upload, header("basic " + encoded), 200},
		"bearer":                             {upload, header("Bearer " + good), 200},
		"lower-case bearer":                  {receive, header("bearer " + good), 200},
		"write with a read token":            {receive, basic(reader), 403},
		"read with a read token":             {upload, basic(reader), 200},
		"no scope":                           {upload, basic(s.token("team/app", jwt.MapClaims{"scopes": []string{}})), 403},
		"other repository":                   {upload, basic(s.token("team/other")), 403},
		"missing repository":                 {strings.Replace(upload, "app", "none", 1), basic(s.token("team/none")), 404},
		"escaped slash":                      {strings.Replace(upload, "team/", "team%2F", 1), basic(good), 200},
		"dots":                               {strings.Replace(upload, "team/", "team/%2e%2e/team/", 1), basic(good), 404},
		"bad escape of a name":               {strings.Replace(upload, "team/", "te%00am/", 1), basic(good), 404},
		"no service":                         {"/team/app.git/info/refs", basic(good), 403},
		"unknown service":                    {"/team/app.git/info/refs?service=git-upload-archive", basic(good), 403},
		"two services":                       {upload + "&service=git-receive-pack", basic(reader), 403},
		"dumb objects":                       {"/team/app.git/objects/info/packs", basic(good), 404},
		"dumb HEAD":                          {"/team/app.git/HEAD", basic(good), 404},
		"alternates":                         {"/team/app.git/objects/info/alternates", basic(good), 404},
		"GET of a service":                   {"/team/app.git/git-upload-pack", basic(good), 405},
		"the operator":                       {"/acme" + upload, basic(adminToken), 200},
		"the operator without organization":  {"/app.git/info/refs?service=git-upload-pack", basic(adminToken), 404},
		"the operator, no such organization": {"/nobody" + upload, basic(adminToken), 404},
		"a token with organization":          {"/acme" + upload, basic(good), 403},
	} {
		status, h, text := get(c.path, c.set)
		if status != c.want {
			t.Errorf("%s: status %d, want %d: %s", name, status, c.want, text)
		}
		if got, want := h.Get("WWW-Authenticate"), `Basic realm="Git Repository"`; status == 401 && got != want {
			t.Errorf("%s: challenge %q, want %q", name, got, want)
		}
		if strings.Contains(text, good) || strings.Contains(text, adminToken) {
			t.Errorf("%s: the answer tells the token", name)
		}
	}
	if status, h, _ := get(upload, basic(good)); status != 200 || !strings.Contains(h.Get("Cache-Control"), "no-cache") || h.Get("Content-Type") != "application/x-git-upload-pack-advertisement" {
		t.Errorf("headers of an advertisement are %v", h)
	}
}

// TestServicesCannotBeMixedUp asks for one service at the address of the other.
func TestServicesCannotBeMixedUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	reader := s.token("r", jwt.MapClaims{"scopes": []string{"git:read"}})
	body := lines(zero+" "+local.RevParse("main")+" refs/heads/x\x00 report-status", "0000") + string(packOf(t, local))
	if status, _ := s.post("r.git", "git-receive-pack", reader, strings.NewReader(body)); status != http.StatusForbidden {
		t.Errorf("push with a token for reading: status %d", status)
	}
	if status, _ := s.post("r.git", "git-receive-pack?service=git-upload-pack", reader, strings.NewReader(body)); status != http.StatusForbidden {
		t.Errorf("push with a service in the query: status %d", status)
	}
	for _, contentType := range []string{"", "text/plain", "application/x-git-upload-pack-request", "application/x-git-receive-pack-request; charset=utf-8", "application/x-www-form-urlencoded"} {
		if status, _ := s.post("r.git", "git-receive-pack", s.token("r"), strings.NewReader(body), "Content-Type", contentType); status != http.StatusUnsupportedMediaType {
			t.Errorf("content type %q: status %d", contentType, status)
		}
	}
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 1 {
		t.Errorf("refs are %v", refs)
	}
}
