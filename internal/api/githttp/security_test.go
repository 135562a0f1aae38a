package githttp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
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
