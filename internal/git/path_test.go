package git_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// refusePaths checks that each path is refused, by git too if git is asked.
func refusePaths(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := git.CheckPath(path); !errors.Is(err, git.ErrPath) {
			t.Errorf("%q: got %v, want %v", path, err, git.ErrPath)
		}
	}
}

var dotGitVariants = []string{
	".git", ".GIT", ".Git", ".gIt", // file systems that ignore case
	".git ", ".git.", ".git...", ".git . .", ".git::$INDEX_ALLOCATION", ".git:x", ".GIT.:stream", // NTFS
	"git~1", "GIT~1", "git~1.", "git~1 ", "Git~1::$DATA", // its short names
	".g\u200cit", ".gi\u200dt", "\u200e.git", ".git\u200f", ".\u202agit", ".g\u202eIt", ".gi\u206at", "\ufeff.git", // HFS+
	".git\xff", ".g\u200cit\xff", // what git takes for the end of the name
}

func TestDotGitVariantsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range dotGitVariants {
		refusePaths(t, name, name+"/config", "a/"+name, "a/"+name+"/hooks/post-checkout")
	}
}

func TestParentDirectoryRefused(t *testing.T) {
	t.Parallel()
	refusePaths(t, "..", "../a", "a/..", "a/../b", ".", "./a", "a/.", "a/./b")
}

func TestAbsoluteAndEmptyComponentsRefused(t *testing.T) {
	t.Parallel()
	refusePaths(t, "", "/", "/a", "a/", "a//b", "//")
}

func TestBackslashRefused(t *testing.T) {
	t.Parallel()
	refusePaths(t, `\`, `a\b`, `..\a`, `a\..\..\b`, `.git\config`, `a/b\.git`)
}

func TestNULRefused(t *testing.T) {
	t.Parallel()
	refusePaths(t, "\x00", "a\x00b", "a/b\x00")
}

func TestPathsBeyondTheLimitsRefused(t *testing.T) {
	t.Parallel()
	refusePaths(t, strings.Repeat("a", 256), strings.Repeat("abcdefgh/", 512)+"a", strings.Repeat("a/", 256)+"a")
	for _, path := range []string{strings.Repeat("a", 255), strings.Repeat("a/", 255) + "a"} {
		if err := git.CheckPath(path); err != nil {
			t.Errorf("%d bytes: %v", len(path), err)
		}
	}
}

func TestOrdinaryPathsAccepted(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"a", "a/b", ".gitignore", ".gitmodules", ".github/x", "git", "...", "..a", "a..", ".gitx", "git~2", "git~10", "x.git",
		"with space", " ", "new\nline", "日本", "caf\xe9", "-rf", "a:b", "~", "CON", "\u200c", ".gi\u0307t", ".\uff27it", ".gıt",
	} {
		if err := git.CheckPath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestGitmodulesSymlinkRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		".gitmodules", ".GitModules", ".gitmodules ", ".gitmodules.", ".gitmodules::$DATA", ".gitmodu\u200cles",
		"gitmod~1", "GITMOD~1", "gitmod~4", "gi7eba~1", "GI7EBA~9", "gi7eb~10", "gi7e~123", "gi~12345", "~1000000",
	} {
		for _, path := range []string{name, "a/b/" + name} {
			if err := git.CheckPathMode(path, git.ModeSymlink); !errors.Is(err, git.ErrPath) {
				t.Errorf("%q as a link: got %v, want %v", path, err, git.ErrPath)
			}
			if err := git.CheckPathMode(path, git.ModeFile); err != nil {
				t.Errorf("%q as a file: %v", path, err)
			}
		}
	}
	for _, name := range []string{"gitmodules", ".gitmodulesx", "gitmod~5", "gitmod~0", "gi7eba~0", "gi7ebax1", "gi7eb~1", ".gitmoduleſ", "~100000"} {
		if err := git.CheckPathMode(name, git.ModeSymlink); err != nil {
			t.Errorf("%q as a link: %v", name, err)
		}
	}
}

func TestModesThatGitDoesNotWriteRefused(t *testing.T) {
	t.Parallel()
	for _, m := range []git.FileMode{0, 0o644, 0o100664, 0o100600, 0o40755, 0o140000, 1 << 20} {
		if err := git.CheckPathMode("a", m); !errors.Is(err, git.ErrPath) {
			t.Errorf("%s: got %v, want %v", m, err, git.ErrPath)
		}
	}
}

// CheckPathMode and git's index agree on every path that is short enough, but
// for backslashes: only on Windows does git refuse them all, which a server that
// serves Windows must do too.
func TestCheckPathAgreesWithUpdateIndex(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t)
	blob := r.GitInput("x", "hash-object", "-w", "--stdin")
	r.Git("config", "core.protectHFS", "true")
	r.Git("config", "core.protectNTFS", "true")
	random := rand.New(rand.NewPCG(7, 8))
	parts := []string{
		".git", "git", ".", "..", "/", "\\", " ", ":", "~1", "~", "1", "G", "it", "modules", ".gitmod", "gi7eba", "\u200c", "a", "é", "\xff",
	}
	names := append([]string{".gitmodules", "GITMOD~1", "gi7eba~1", "a/.git", "a\\.git", "~1000000", "gi~12345"}, dotGitVariants...)
	for range 120 {
		var name strings.Builder
		for range 1 + random.IntN(4) {
			name.WriteString(parts[random.IntN(len(parts))])
		}
		names = append(names, name.String())
	}
	for _, name := range names {
		for _, mode := range []git.FileMode{git.ModeFile, git.ModeSymlink} {
			_, want := r.GitErr("update-index", "--add", "--replace", "--cacheinfo", fmt.Sprintf("%s,%s,%s", mode, blob, name))
			if got := git.CheckPathMode(name, mode); (got == nil) != (want == nil && !strings.Contains(name, `\`)) {
				t.Errorf("%q with mode %s: got %v, git says %v", name, mode, got, want)
			}
		}
	}
}
