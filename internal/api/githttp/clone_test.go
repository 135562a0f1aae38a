package githttp_test

import (
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// history pushes a random repository to a server and returns it: what is true
// of it locally must come out over HTTP.
func history(t *testing.T, s *server, name string, seed uint64, o gittest.Options) (*gittest.Repo, cairn.RepositoryKey) {
	t.Helper()
	key := s.create(name)
	source := gittest.Random(t, seed, o)
	source.Git("config", "uploadpack.allowFilter", "true")
	source.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	must(t, source.Dir, "push", "--mirror", s.remote(name, ""))
	return source, key
}

func TestMirrorComesBackWhole(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		for seed := range uint64(3) {
			s := start(t)
			source, key := history(t, s, "team/app", seed, gittest.Options{Skew: seed == 2})
			s.fsck(key)
			copied := clone(t, s.remote("team/app", ""), "-c", version, "-c", "transfer.fsckObjects=true", "--mirror")
			gittest.Fsck(t, copied)
			gittest.SameRefs(t, source.Dir, copied)
		}
	})
}

func TestOwnHistoryComesBackWhole(t *testing.T) {
	t.Parallel()
	source, ok := gittest.History(t)
	if !ok {
		source = gittest.Random(t, 99, gittest.Options{})
	}
	s := start(t)
	key := s.create("self")
	must(t, source.Dir, "push", "--mirror", s.remote("self", ""))
	s.fsck(key)
	copied := clone(t, s.remote("self", ""), "--mirror")
	gittest.Fsck(t, copied)
	gittest.SameRefs(t, source.Dir, copied)
}

func TestCloneOfEmptyRepository(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		_, err := s.service.CreateRepository(t.Context(), s.admin, service.NewRepository{Name: "empty", DefaultBranch: "trunk"})
		check(t, err)
		dir := clone(t, s.remote("empty", ""), "-c", version)
		head := gittest.Git(t, dir, "symbolic-ref", "HEAD")
		if want := "refs/heads/trunk"; version == "protocol.version=2" && head != want {
			t.Errorf("HEAD of a clone of an empty repository is %s, want the unborn %s", head, want)
		}
		gittest.Open(t, dir).Commit("trunk", "first", gittest.Files{"a": "1\n"})
		must(t, dir, "-c", version, "push", "origin", "trunk")
		if got, want := gittest.Git(t, dir, "ls-remote", "--symref", "origin", "HEAD"), "ref: refs/heads/trunk\tHEAD"; !strings.HasPrefix(got, want) {
			t.Errorf("HEAD is %q, want %q", got, want)
		}
	})
}

func TestLsRemote(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		source, _ := history(t, s, "r", 1, gittest.Options{})
		for _, args := range [][]string{{}, {"HEAD"}, {"refs/tags/*"}, {"--heads"}, {"--tags"}, {"--refs"}, {"--symref"}, {"refs/heads/main"}, {"refs/notes/*"}, {"nothing"}} {
			ls := func(url string) string {
				command := []string{"-c", version, "ls-remote"}
				patterns := args
				if len(args) > 0 && strings.HasPrefix(args[0], "--") {
					command, patterns = append(command, args...), nil
				}
				return must(t, source.Dir, append(append(command, url), patterns...)...)
			}
			if got, want := ls(s.remote("r", "")), ls("file://"+source.Dir); got != want {
				t.Errorf("ls-remote %v:\n%s\nwant\n%s", args, got, want)
			}
		}
	})
}

func TestFetchIncrements(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		source, key := history(t, s, "r", 4, gittest.Options{})
		remote := s.remote("r", "")
		copied := clone(t, remote, "-c", version, "--mirror")
		for i := range 8 {
			source.Commit("main", fmt.Sprint("more ", i), gittest.Files{"d/e/f": strings.Repeat(fmt.Sprintln(i), 200), "top": fmt.Sprint(i)})
			if i%3 == 0 {
				source.Git("branch", fmt.Sprint("side-", i), "main~1")
				source.Commit(fmt.Sprint("side-", i), "aside", gittest.Files{"side": fmt.Sprint(i)})
				source.Git("tag", "-a", "-m", "tag", fmt.Sprint("t", i), "main")
			}
			must(t, source.Dir, "push", "--mirror", remote)
			must(t, copied, "-c", version, "fetch", "--prune")
			gittest.SameRefs(t, source.Dir, copied)
		}
		gittest.Fsck(t, copied)
		s.fsck(key)
	})
}

// TestFetchSendsOnlyWhatIsNew counts the objects of small fetches.
func TestFetchSendsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	source := gittest.Init(t)
	files := gittest.Files{}
	for i := range 300 {
		files[fmt.Sprintf("d%d/e%d/f%d", i%7, i%11, i)] = fmt.Sprint("content ", i)
	}
	source.Commit("main", "first", files)
	remote := s.remote("r", "")
	must(t, source.Dir, "push", remote, "main")
	copied := clone(t, remote, "--mirror")
	source.Commit("main", "second", gittest.Files{"d1/e1/f1": "changed"})
	must(t, source.Dir, "push", remote, "main")
	out := must(t, copied, "fetch", "--progress")
	if !strings.Contains(out, "Total 5 (") {
		t.Errorf("a commit of one file in two folders is 5 objects:\n%s", out)
	}
	must(t, source.Dir, "tag", "-a", "-m", "m", "v1", "main")
	must(t, source.Dir, "push", remote, "v1")
	if out := must(t, copied, "fetch", "--progress"); !strings.Contains(out, "Total 1 (") {
		t.Errorf("a tag is one object:\n%s", out)
	}
}

// stock serves a repository over HTTP with stock git.
func stock(t *testing.T, source *gittest.Repo) string {
	t.Helper()
	backend := filepath.Join(gittest.Git(t, source.Dir, "--exec-path"), "git-http-backend")
	web := httptest.NewServer(&cgi.Handler{
		Path: backend,
		Env:  append(gittest.Env(), "GIT_PROJECT_ROOT="+source.Dir, "GIT_HTTP_EXPORT_ALL=1"),
	})
	t.Cleanup(web.Close)
	return web.URL + "/"
}

// sameClone makes two clones with the same arguments, from the server and from
// stock git, and compares what they hold.
func sameClone(t *testing.T, s *server, source *gittest.Repo, name, version string, steps ...[]string) {
	t.Helper()
	var dirs [2]string
	for i, url := range []string{s.remote(name, ""), stock(t, source)} {
		for step, args := range steps {
			args = append([]string{"-c", version}, args...)
			if step == 0 {
				dirs[i] = clone(t, url, args...)
			} else {
				must(t, dirs[i], args...)
			}
		}
	}
	ours, theirs := dirs[0], dirs[1]
	if t.Failed() {
		return
	}
	gittest.SameRefs(t, theirs, ours)
	if t.Failed() {
		t.Logf("after %v", steps)
	}
	if got, want := shallowOf(t, ours), shallowOf(t, theirs); !slices.Equal(got, want) {
		t.Errorf("%v: shallow at %v, want %v", steps, got, want)
	}
	gittest.Git(t, ours, "fsck", "--strict", "--no-dangling")
	got, want := objectsOf(t, ours), objectsOf(t, theirs)
	for id := range want {
		if !got[id] {
			t.Errorf("%v: object %s is missing", steps, id)
		}
	}
	// A later fetch may send more than stock git would, and stock git sometimes
	// leaves out a tree that it first met too deep for a combined filter.
	if len(steps) > 1 || strings.Contains(fmt.Sprint(steps), "combine") {
		return
	}
	for id := range got {
		if !want[id] {
			t.Errorf("%v: object %s is sent and not asked for", steps, id)
		}
	}
}

func shallowOf(t *testing.T, dir string) []string {
	t.Helper()
	for _, name := range []string{filepath.Join(dir, ".git", "shallow"), filepath.Join(dir, "shallow")} {
		if b, err := os.ReadFile(name); err == nil {
			list := strings.Fields(string(b))
			slices.Sort(list)
			return list
		}
	}
	return nil
}

func objectsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	objects := map[string]bool{}
	for _, id := range strings.Fields(gittest.Git(t, dir, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")) {
		objects[id] = true
	}
	return objects
}

func TestShallow(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		source, _ := history(t, s, "r", 5, gittest.Options{})
		dates := strings.Fields(source.Git("log", "--format=%ct", "main"))
		middle := dates[len(dates)/2]
		for _, steps := range [][][]string{
			{{"--depth=1"}},
			{{"--depth=3", "--no-single-branch"}},
			{{"--depth=2", "--mirror"}},
			{{"--depth=1"}, {"fetch", "--depth=4"}},
			{{"--depth=2", "--no-single-branch"}, {"fetch", "--deepen=3"}},
			{{"--depth=1"}, {"fetch", "--unshallow"}},
			{{"--depth=2"}, {"fetch", "--deepen=1"}, {"fetch", "--deepen=1"}, {"fetch", "--unshallow", "--tags"}},
			{{"--shallow-since=" + middle}},
			{{"--shallow-since=" + middle, "--no-single-branch"}},
			{{"--shallow-since=" + middle}, {"fetch", "--unshallow"}},
			{{"--depth=1", "--mirror"}, {"fetch", "--depth=2147483647"}},
		} {
			sameClone(t, s, source, "r", version, steps...)
		}
	})
}

func TestShallowExclude(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		s.create("r")
		source := gittest.Init(t)
		for i := range 10 {
			source.Commit("main", fmt.Sprint(i), gittest.Files{"f": fmt.Sprint(i)})
			if i == 4 {
				source.Git("tag", "v4")
				source.Git("tag", "-a", "-m", "m", "v4-annotated")
			}
		}
		must(t, source.Dir, "push", "--mirror", s.remote("r", ""))
		sameClone(t, s, source, "r", version, []string{"--shallow-exclude=v4"})
		sameClone(t, s, source, "r", version, []string{"--shallow-exclude=refs/tags/v4-annotated"})
		refused(t, t.TempDir(), []string{"deepen-not"}, "-c", version, "clone", "--shallow-exclude=nothing", s.remote("r", ""), "x")
	})
}

func TestFetchIntoShallowClone(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		s.create("r")
		source := gittest.Init(t)
		for i := range 6 {
			source.Commit("main", fmt.Sprint(i), gittest.Files{"f": fmt.Sprint(i)})
		}
		remote := s.remote("r", "")
		must(t, source.Dir, "push", remote, "main")
		copied := clone(t, remote, "-c", version, "--depth=2")
		source.Commit("main", "later", gittest.Files{"g": "1"})
		must(t, source.Dir, "push", remote, "main")
		must(t, copied, "-c", version, "pull", "-q")
		if got := gittest.Git(t, copied, "rev-list", "--count", "HEAD"); got != "3" {
			t.Errorf("the clone has %s commits, want 3", got)
		}
		gittest.Git(t, copied, "fsck", "--strict")
		// And back: a shallow clone may push what it made.
		local := gittest.Open(t, copied)
		id := local.Commit("main", "from a shallow clone", gittest.Files{"h": "2"})
		must(t, copied, "-c", version, "push", "origin", "main")
		if got := source.Git("ls-remote", remote, "refs/heads/main"); !strings.HasPrefix(got, id) {
			t.Errorf("main is %q, want %s", got, id)
		}
	})
}

func TestPartialClone(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		source, _ := history(t, s, "r", 6, gittest.Options{})
		// Stock git does not always send a tree that is both named and left out.
		source.Git("tag", "-d", "of-tree")
		must(t, source.Dir, "push", "--mirror", s.remote("r", ""))
		for _, filter := range []string{
			"blob:none", "blob:limit=0", "blob:limit=20", "blob:limit=1k", "tree:0", "tree:1", "tree:2", "tree:3",
			"combine:blob:none+tree:2", "combine:blob:limit=10+tree:3", "object:type=commit", "object:type=tree", "object:type=tag", "object:type=blob",
		} {
			sameClone(t, s, source, "r", version, []string{"--mirror", "--filter=" + filter})
		}
	})
}

func TestPartialCloneFetchesLazily(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		source, _ := history(t, s, "r", 8, gittest.Options{})
		for _, filter := range []string{"blob:none", "tree:0", "blob:limit=30"} {
			copied := clone(t, s.remote("r", ""), "-c", version, "--filter="+filter)
			if got, want := gittest.Git(t, copied, "log", "--raw", "--no-notes", "--no-abbrev", "--no-renames", "HEAD"), source.Git("log", "--raw", "--no-notes", "--no-abbrev", "--no-renames", "main"); got != want {
				t.Errorf("%s: log differs", filter)
			}
			if got, want := gittest.Git(t, copied, "rev-parse", "HEAD^{tree}"), source.Git("rev-parse", "main^{tree}"); got != want {
				t.Errorf("%s: tree is %s, want %s", filter, got, want)
			}
			gittest.Git(t, copied, "cat-file", "--batch-all-objects", "--batch-check")
			source.Commit("main", "later "+filter, gittest.Files{"late/" + filter: "x"})
			must(t, source.Dir, "push", s.remote("r", ""), "main")
			must(t, copied, "-c", version, "pull", "-q")
			gittest.Git(t, copied, "fsck", "--strict", "--connectivity-only")
		}
	})
}

func TestSingleBranchAndTagsFollow(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		source, _ := history(t, s, "r", 9, gittest.Options{})
		sameClone(t, s, source, "r", version, []string{"--single-branch"})
		sameClone(t, s, source, "r", version, []string{"--single-branch", "--no-tags"})
		sameClone(t, s, source, "r", version, []string{"--bare", "--single-branch"})
	})
}

func TestVersion1(t *testing.T) {
	t.Parallel()
	s := start(t)
	source, _ := history(t, s, "r", 11, gittest.Options{})
	copied := clone(t, s.remote("r", ""), "-c", "protocol.version=1", "--mirror")
	gittest.SameRefs(t, source.Dir, copied)
	gittest.Fsck(t, copied)
	must(t, copied, "-c", "protocol.version=1", "push", s.remote("r", ""), "main:one-more")
}

func TestWantedRefs(t *testing.T) {
	t.Parallel()
	s := start(t)
	source, _ := history(t, s, "r", 10, gittest.Options{})
	copied := gittest.Init(t, gittest.Bare())
	must(t, copied.Dir, "fetch", s.remote("r", ""), "refs/heads/main:refs/heads/got")
	if got, want := copied.RevParse("got"), source.RevParse("main"); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
	must(t, copied.Dir, "fetch", s.remote("r", ""), source.RevParse("main~2")+":refs/heads/old")
}
