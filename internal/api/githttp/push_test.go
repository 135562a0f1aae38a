package githttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// work makes a repository on a server and a local one whose origin it is, with
// a first commit that is pushed.
func work(t *testing.T, s *server, name, version string) *gittest.Repo {
	t.Helper()
	s.create(name)
	local := gittest.Init(t)
	local.Git("config", "protocol.version", strings.TrimPrefix(version, "protocol.version="))
	local.Git("remote", "add", "origin", s.remote(name, ""))
	local.Commit("main", "first", gittest.Files{"README": "hello\n", "d/e/f": "deep\n"})
	must(t, local.Dir, "push", "origin", "main")
	return local
}

// remoteRefs returns what ls-remote shows, without peeled tags.
func remoteRefs(t *testing.T, url string) map[string]string {
	t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(must(t, t.TempDir(), "ls-remote", "--refs", url)) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		refs[name] = id
	}
	return refs
}

func TestPushRefsOfEveryKind(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		local := work(t, s, "r", version)
		local.Git("tag", "light")
		local.Git("tag", "-a", "-m", "m", "annotated")
		local.Git("tag", "-a", "-m", "m", "nested", "annotated")
		local.Git("notes", "add", "-m", "a note", "main")
		local.Git("update-ref", "refs/custom/kind", "main")
		local.Git("tag", "of-blob", local.RevParse("main:README"))
		local.Git("tag", "of-tree", local.RevParse("main^{tree}"))
		local.Commit("topic/one", "aside", gittest.Files{"x": "y"})
		want := local.Refs()
		must(t, local.Dir, "push", s.remote("r", ""), "refs/*:refs/*")
		gotten := remoteRefs(t, s.remote("r", ""))
		if len(gotten) != len(want) {
			t.Errorf("%d refs on the server, want %d", len(gotten), len(want))
		}
		for name, id := range want {
			if gotten[name] != id {
				t.Errorf("%s is %q, want %s", name, gotten[name], id)
			}
		}
		must(t, local.Dir, "push", "origin", "--delete", "topic/one", "light", "annotated")
		must(t, local.Dir, "push", "origin", ":refs/custom/kind")
		after := remoteRefs(t, s.remote("r", ""))
		for _, gone := range []string{"refs/heads/topic/one", "refs/tags/light", "refs/tags/annotated", "refs/custom/kind"} {
			if after[gone] != "" {
				t.Errorf("%s is still there", gone)
			}
		}
		copied := clone(t, s.remote("r", ""), "--mirror")
		gittest.Fsck(t, copied)
	})
}

func TestForcedPush(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		local := work(t, s, "r", version)
		local.Commit("main", "second", gittest.Files{"a": "1"})
		must(t, local.Dir, "push", "origin", "main")
		local.Git("branch", "-f", "other", "main~1")
		id := local.Commit("other", "instead", gittest.Files{"a": "2"})
		refused(t, local.Dir, []string{"non-fast-forward"}, "push", "origin", "other:main")
		must(t, local.Dir, "push", "--force", "origin", "other:main")
		if got := remoteRefs(t, s.remote("r", ""))["refs/heads/main"]; got != id {
			t.Errorf("main is %s, want %s", got, id)
		}
		must(t, local.Dir, "push", "--force-with-lease=main:"+id, "origin", "main:main")
	})
}

func TestEachRefOfAPushStandsAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	policy := jwt.MapClaims{"refs": []any{[]any{"closed", []string{"no-push"}}}}
	url := s.remote("r", "", policy)
	local.Commit("open", "a", gittest.Files{"a": "1"})
	local.Commit("closed", "b", gittest.Files{"b": "1"})
	refused(t, local.Dir, []string{"denied by policy", "[new branch]"}, "push", url, "open", "closed")
	refs := remoteRefs(t, s.remote("r", ""))
	if refs["refs/heads/open"] != local.RevParse("open") || refs["refs/heads/closed"] != "" {
		t.Errorf("after a push of two branches, of which one is closed: %v", refs)
	}
}

func TestAtomicPushIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	policy := jwt.MapClaims{"refs": []any{[]any{"closed", []string{"no-push"}}}}
	local.Commit("open", "a", gittest.Files{"a": "1"})
	local.Commit("closed", "b", gittest.Files{"b": "1"})
	refused(t, local.Dir, []string{"denied by policy", "atomic"}, "push", "--atomic", s.remote("r", "", policy), "open", "closed")
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 1 {
		t.Errorf("an atomic push that failed left %v", refs)
	}
	must(t, local.Dir, "push", "--atomic", "origin", "open", "closed")
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 3 {
		t.Errorf("an atomic push left %v", refs)
	}
}

func TestPushOfAThousandRefs(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	var script strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&script, "create refs/heads/b/%d %s\n", i, id)
	}
	local.GitInput(script.String(), "update-ref", "--stdin")
	must(t, local.Dir, "push", "-q", "origin", "refs/heads/*:refs/heads/*")
	if n := len(remoteRefs(t, s.remote("r", ""))); n != 1001 {
		t.Errorf("%d refs on the server, want 1001", n)
	}
	must(t, local.Dir, "push", "-q", "--prune", "origin", "refs/heads/main:refs/heads/main", "refs/heads/none/*:refs/heads/b/*")
	if n := len(remoteRefs(t, s.remote("r", ""))); n != 1 {
		t.Errorf("%d refs on the server after pruning, want 1", n)
	}
}

// transactions counts the transactions that write.
type transactions struct {
	cairn.Metadata
	count atomic.Int64
}

func (m *transactions) Update(ctx context.Context, f func(cairn.Tx) error) error {
	m.count.Add(1)
	return m.Metadata.Update(ctx, f)
}

// TestUpdatesThatLostARaceAreRefusedTogether pushes refs of which all but one
// come to be between the check and the write: they must not each cost a
// transaction.
func TestUpdatesThatLostARaceAreRefusedTogether(t *testing.T) {
	t.Parallel()
	counted := &transactions{}
	s := start(t, func(c *config) {
		c.metadata = func(m cairn.Metadata) cairn.Metadata { counted.Metadata = m; return counted }
	})
	local := work(t, s, "r", "protocol.version=2")
	main := local.RevParse("main")
	late, err := s.service.OpenGit(t.Context(), s.admin, "r", service.NormalRemote, true)
	check(t, err)
	defer late.Close()
	const races = 100
	var updates []string
	for i := range races {
		updates = append(updates, fmt.Sprintf("%s %s refs/heads/b/%d", zero, main, i))
	}
	if answer := s.pushRaw("r", handMade(0), updates...); strings.Count(answer, "ok refs/heads/b/") != races {
		t.Fatal(answer)
	}
	updates = append(updates, fmt.Sprintf("%s %s refs/heads/own", zero, main))
	updates[0] += "\x00report-status"
	var answer strings.Builder
	before := counted.count.Load()
	check(t, late.ReceivePack(t.Context(), strings.NewReader(lines(append(updates, "0000")...)+string(handMade(0))), &answer))
	if got := counted.count.Load() - before; got > 2 {
		t.Errorf("%d transactions, want 2", got)
	}
	if got := strings.Count(answer.String(), " failed to update ref"); got != races {
		t.Errorf("%d updates were refused, want %d", got, races)
	}
	if !strings.Contains(answer.String(), "ok refs/heads/own") {
		t.Error("the update that lost no race was refused too")
	}
}

// TestShortAnswersComeWithTheirLength sees to it that a short answer is one
// packet: what its client waits for is the network.
func TestShortAnswersComeWithTheirLength(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	push := lines(fmt.Sprintf("%s %s refs/heads/other\x00 report-status side-band-64k", zero, local.RevParse("main")), "0000") + string(handMade(0))
	for path, body := range map[string]string{"info/refs?service=git-receive-pack": "", "info/refs?service=git-upload-pack": "", "git-receive-pack": push} {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/r.git/"+path, strings.NewReader(body))
		check(t, err)
		req.SetBasicAuth("t", s.token("r"))
		req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
		resp, err := http.DefaultClient.Do(req)
		check(t, err)
		answer, err := io.ReadAll(resp.Body)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(answer)) || len(answer) == 0 {
			t.Errorf("%s: %s, %d bytes with a length of %d", path, resp.Status, len(answer), resp.ContentLength)
		}
	}
}

func TestPushOptions(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	local.Commit("main", "second", gittest.Files{"a": "1"})
	must(t, local.Dir, "push", "-o", "ci.skip", "-o", "title=some text", "origin", "main")
	local.Commit("main", "third", gittest.Files{"a": "2"})
	refused(t, local.Dir, nil, "push", "-o", strings.Repeat("x", 5000), "origin", "main")
}

func TestPushInPieces(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		for _, inline := range []bool{true, false} {
			s := start(t, func(c *config) {
				if !inline {
					c.odb.InlineLimit = 1
				}
			})
			key := s.create("r")
			source := gittest.Random(t, 3, gittest.Options{Large: 1_000_000})
			must(t, source.Dir, "-c", version, "-c", "http.postBuffer=65536", "push", "--mirror", s.remote("r", ""))
			s.fsck(key)
			copied := clone(t, s.remote("r", ""), "-c", version, "-c", "http.postBuffer=65536", "--mirror")
			gittest.SameRefs(t, source.Dir, copied)
			gittest.Fsck(t, copied)
		}
	})
}

func TestPushAndCloneOverHTTP2(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.tls = true })
	key := s.create("r")
	source := gittest.Random(t, 13, gittest.Options{})
	must(t, source.Dir, "-c", "http.sslVerify=false", "-c", "http.postBuffer=65536", "push", "--mirror", s.remote("r", ""))
	s.fsck(key)
	copied := clone(t, s.remote("r", ""), "-c", "http.sslVerify=false", "--mirror")
	gittest.SameRefs(t, source.Dir, copied)
}

func TestHeadStaysWhereItWas(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	local.Commit("main", "first", gittest.Files{"a": "1"})
	must(t, local.Dir, "push", s.remote("r", ""), "main:other")
	if out := must(t, local.Dir, "ls-remote", "--symref", s.remote("r", ""), "HEAD"); strings.TrimSpace(out) != "" {
		t.Errorf("HEAD of a repository without its default branch is %q", out)
	}
	must(t, local.Dir, "push", s.remote("r", ""), "main")
	if out := must(t, local.Dir, "ls-remote", "--symref", s.remote("r", ""), "HEAD"); !strings.Contains(out, "ref: refs/heads/main\tHEAD") {
		t.Errorf("HEAD is %q", out)
	}
}

func TestDefaultBranchCannotBeDeleted(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	local.Commit("other", "a", gittest.Files{"a": "1"})
	must(t, local.Dir, "push", "origin", "other")
	refused(t, local.Dir, []string{"deletion of the current branch prohibited"}, "push", "origin", "--delete", "main")
	must(t, local.Dir, "push", "origin", "--delete", "other")
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 1 {
		t.Errorf("refs are %v", refs)
	}
	// The namespace's branch of that name is no more than a branch.
	must(t, local.Dir, "push", s.remote("r", "+ephemeral"), "main")
	must(t, local.Dir, "push", s.remote("r", "+ephemeral"), "--delete", "main")
}

func TestEphemeralRemoteIsAWorldOfItsOwn(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		local := work(t, s, "team/r", version)
		ephemeral := s.remote("team/r", "+ephemeral")
		if refs := remoteRefs(t, ephemeral); len(refs) != 0 {
			t.Errorf("refs of a new namespace are %v", refs)
		}
		id := local.Commit("session", "ephemeral", gittest.Files{"secret": "x"})
		must(t, local.Dir, "push", ephemeral, "session", "main")
		if refs := remoteRefs(t, s.remote("team/r", "")); len(refs) != 1 {
			t.Errorf("the normal remote shows %v", refs)
		}
		if refs := remoteRefs(t, ephemeral); refs["refs/heads/session"] != id || len(refs) != 2 {
			t.Errorf("the ephemeral remote shows %v", refs)
		}
		copied := clone(t, ephemeral, "-c", version)
		if got := gittest.Git(t, copied, "symbolic-ref", "HEAD"); got != "refs/heads/main" {
			t.Errorf("HEAD of the namespace is %s", got)
		}
		normal := clone(t, s.remote("team/r", ""), "-c", version, "--mirror")
		if objectsOf(t, normal)[id] {
			t.Errorf("a clone of the normal remote holds the ephemeral commit")
		}
		must(t, local.Dir, "push", ephemeral, "--delete", "session")
		if refs := remoteRefs(t, ephemeral); len(refs) != 1 {
			t.Errorf("the ephemeral remote shows %v", refs)
		}
	})
}

func TestImportRemoteTakesPushesOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	source := gittest.Random(t, 1, gittest.Options{})
	must(t, source.Dir, "push", "--mirror", s.remote("r", "+import"))
	refused(t, t.TempDir(), []string{"403"}, "clone", s.remote("r", "+import"), "x")
	refused(t, t.TempDir(), []string{"the import remote is for pushes only"}, "ls-remote", s.remote("r", "+import"))
	gittest.SameRefs(t, source.Dir, clone(t, s.remote("r", ""), "--mirror"))
}

func TestRefPolicies(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	local.Commit("main", "second", gittest.Files{"a": "1"})
	must(t, local.Dir, "push", "origin", "main")
	remote := func(suffix string, rules ...any) string {
		return s.remote("r", suffix, jwt.MapClaims{"refs": rules})
	}
	rule := func(pattern string, ops ...string) any { return []any{pattern, append([]string{}, ops...)} }
	denied := []string{"denied by policy"}

	local.Commit("main", "third", gittest.Files{"a": "2"})
	refused(t, local.Dir, denied, "push", remote("", rule("main", "no-push")), "main")
	refused(t, local.Dir, denied, "push", remote("", rule("*", "no-push")), "main:new")
	refused(t, local.Dir, denied, "push", remote("+ephemeral", rule("main", "no-push")), "main")
	refused(t, local.Dir, denied, "push", remote("+import", rule("main", "no-push")), "main")
	refused(t, local.Dir, denied, "push", remote("", rule("main", "verify-sig")), "main")
	must(t, local.Dir, "push", remote("", rule("main"), rule("*", "no-push")), "main")

	local.Git("branch", "-f", "rewritten", "main~1")
	local.Commit("rewritten", "instead", gittest.Files{"a": "3"})
	refused(t, local.Dir, denied, "push", "--force", remote("", rule("main", "no-force-push")), "rewritten:main")
	local.Commit("main", "fourth", gittest.Files{"a": "4"})
	must(t, local.Dir, "push", "--force", remote("", rule("main", "no-force-push")), "main")
	refused(t, local.Dir, denied, "push", remote("", rule("refs/tags/*", "no-push")), "main:refs/tags/v1")
	must(t, local.Dir, "push", "origin", "main:refs/heads/kept")
	refused(t, local.Dir, denied, "push", remote("", rule("kept", "no-force-push")), "--delete", "kept")
}

func TestShallowPushThatLacksHistoryIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	local.Commit("main", "second", gittest.Files{"a": "1"})
	must(t, local.Dir, "push", "origin", "main")
	shallow := clone(t, s.remote("r", ""), "--depth=1")
	s.create("empty")
	refused(t, shallow, []string{"shallow update not allowed"}, "push", s.remote("empty", ""), "main")
	if refs := remoteRefs(t, s.remote("empty", "")); len(refs) != 0 {
		t.Errorf("refs are %v", refs)
	}
}

func TestPushOfWhatIsThereAlready(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	must(t, local.Dir, "push", "origin", "main:again")
	must(t, local.Dir, "push", "origin", "main:again")
	if refs := remoteRefs(t, s.remote("r", "")); refs["refs/heads/again"] != local.RevParse("main") {
		t.Errorf("refs are %v", refs)
	}
}

func TestLimitOfRefsPerPush(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.limits = service.Limits{RefsPerPush: 3} })
	local := work(t, s, "r", "protocol.version=2")
	refused(t, local.Dir, []string{"over the limit of 3 ref updates"}, "push", "origin", "main:a", "main:b", "main:c", "main:d")
	must(t, local.Dir, "push", "origin", "main:a", "main:b", "main:c")
}
