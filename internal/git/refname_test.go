package git_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// refNames are full names, good and bad, of every rule in git-check-ref-format.
var refNames = []string{
	"refs/heads/main", "refs/heads/foo/bar/baz", "refs/tags/v1.0", "refs/notes/commits", "refs/for/main/x", "refs/x/y",
	"", "/", "foo", "HEAD", "refs", "refs/", "refs/heads", "refs/heads/", "heads/foo", "refs/foo", "Refs/heads/a", "refs//heads/a",
	"refs/heads//foo", "/refs/heads/foo", "refs/heads/foo/", "refs///heads/foo", "refs/heads/foo//",
	"./refs/heads/a", "refs/heads/.foo", "refs/heads/./foo", "refs/./heads/foo", "refs/heads/foo/.", "refs/heads/..", "refs/heads/../x",
	"refs/heads/foo..bar", "refs/heads/foo.", "refs/heads/foo./bar", "refs/heads/f.oo", "refs/heads/foo...", "refs/heads/a/.b",
	"refs/heads/foo.lock", "refs/heads/foo.lock/bar", "refs/heads/.lock", "refs/heads/foo.LOCK", "refs/heads/foo.locks", "refs/heads/lock",
	"refs/heads/foo?bar", "refs/heads/foo*", "refs/heads/*", "refs/*/foo", "refs/heads/[a", "refs/heads/a]", "refs/heads/a:b", "refs/heads/a^b",
	"refs/heads/a~b", "refs/heads/a b", "refs/heads/a\\b", "refs/heads/a\tb", "refs/heads/a\nb", "refs/heads/a\x7f", "refs/heads/\x01", "refs/heads/a\x80",
	"refs/heads/foo@bar", "refs/heads/@", "@", "refs/heads/v@{ation", "refs/heads/@{", "refs/heads/a@", "refs/heads/{", "refs/@/a", "refs/heads/@/a",
	"refs/heads/fu\u00df", "refs/heads/日本", "refs/heads/\xff\xfe", "refs/heads/'q\"", "refs/heads/$(id)", "refs/heads/a;b", "refs/heads/a|b", "refs/heads/-x",
	"refs/heads/HEAD", "refs/heads/refs/heads/a", "refs/heads/%2e%2e", "refs/heads/<a>", "refs/heads/a,b", "refs/heads/!", "refs/heads/#1",
	"../refs/heads/x", "refs/heads/x/../../y", "refs\\heads\\x",
}

func TestParseRefNameAgreesWithCheckRefFormat(t *testing.T) {
	t.Parallel()
	names := append([]string{}, refNames...)
	random := rand.New(rand.NewPCG(9, 10))
	for range 80 {
		names = append(names, "refs/heads/"+randomRef(random))
	}
	for _, name := range names {
		_, want := gittest.GitErr(t, ".", "check-ref-format", name)
		ok := want == nil
		// Deliberately stricter: a ref that we store is below refs/ and a kind.
		if !strings.HasPrefix(name, "refs/") || strings.Count(name, "/") < 2 {
			ok = false
		}
		ref, err := git.ParseRefName(name)
		if (err == nil) != ok {
			t.Errorf("%q: got %v, git says %v", name, err, want)
		}
		if err == nil && string(ref) != name || err != nil && ref != "" {
			t.Errorf("%q: got %q, %v", name, ref, err)
		}
	}
}

func randomRef(r *rand.Rand) string {
	parts := []string{".", "..", "/", ".lock", "@", "{", "@{", "a", "b", "-", "lock", "*", "é", "~", "\x7f", "HEAD", ":", "x.y"}
	var b strings.Builder
	for range 1 + r.IntN(5) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

func TestBranchRefAgreesWithCheckRefFormat(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t, gittest.Bare())
	names := []string{"main", "feature/x", "-", "-x", "a/-x", "HEAD", "a/HEAD", "head", "@", "a@b", "refs/heads/x", "", "a..b", "a.lock", "日本", "a b", "."}
	random := rand.New(rand.NewPCG(11, 12))
	for range 80 {
		names = append(names, randomRef(random))
	}
	for _, name := range names {
		_, want := r.GitErr("check-ref-format", "--branch", name)
		ref, err := git.BranchRef(name)
		if (err == nil) != (want == nil) {
			t.Errorf("%q: got %v, git says %v", name, err, want)
		}
		if err == nil && (ref != git.RefName(git.BranchPrefix+name) || !ref.IsBranch() || ref.Short() != name) {
			t.Errorf("%q: got %q", name, ref)
		}
	}
}

func TestTagRefAgreesWithGitTag(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t, gittest.Bare())
	id := r.Commit("main", "m", nil)
	for _, name := range []string{"v1", "v2/rc", "-v1", "a/-v", "HEAD", "@", "a..b", "x.lock", "x/", "/x", "größe", "a b", "a~1", ""} {
		_, want := r.GitErr("tag", "-f", "--", name, id)
		ok := want == nil && name != "HEAD" // git refuses that since 2.48
		ref, err := git.TagRef(name)
		if (err == nil) != ok {
			t.Errorf("%q: got %v, git says %v", name, err, want)
		}
		if err == nil && (!ref.IsTag() || ref.IsBranch() || ref.Short() != name) {
			t.Errorf("%q: got %q", name, ref)
		}
	}
}

// Git has no limit of its own; its files have one.
func TestRefNameBeyondTheLimitRefused(t *testing.T) {
	t.Parallel()
	long := "refs/heads/" + strings.Repeat("a/", git.MaxRefNameLength)
	if _, err := git.ParseRefName(long[:git.MaxRefNameLength]); err != nil {
		t.Error(err)
	}
	if _, err := git.ParseRefName(long[:git.MaxRefNameLength+2]); err == nil {
		t.Error("a longer name was taken")
	}
}

func TestShortRefName(t *testing.T) {
	t.Parallel()
	for name, want := range map[git.RefName]string{
		"refs/heads/a/b": "a/b", "refs/tags/v1": "v1", "refs/notes/commits": "refs/notes/commits", git.HEAD: "HEAD",
	} {
		if got := name.Short(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func BenchmarkParseRefName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := git.ParseRefName("refs/heads/feature/some-branch-name"); err != nil {
			b.Fatal(err)
		}
	}
}
