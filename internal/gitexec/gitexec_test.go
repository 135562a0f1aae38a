package gitexec

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func find(t *testing.T) *Git {
	t.Helper()
	g, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newView(t *testing.T, f git.ObjectFormat) *View {
	t.Helper()
	v, err := find(t).NewView(t.TempDir(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func run(t *testing.T, v *View, c Command) string {
	t.Helper()
	var out bytes.Buffer
	c.Stdout = &out
	if err := v.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// script is a git that does something else.
func script(t *testing.T, text string) *Git {
	t.Helper()
	path := filepath.Join(t.TempDir(), "git")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Git{path: path}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"2.39.0": true, "2.39.5 (Apple Git-154)": true, "2.100.1": true, "3.0.0.rc1": true,
		"2.38.9": false, "1.99.0": false, "": false, "two": false, "2": false,
	} {
		if newEnough(version) != want {
			t.Errorf("version %q: want %v", version, want)
		}
	}
}

func TestNoGit(t *testing.T) {
	t.Parallel()
	old := script(t, "echo git version 2.30.1")
	for _, path := range []string{filepath.Join(t.TempDir(), "git"), old.path, "/bin/false"} {
		_, err := Open(t.Context(), path)
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got error %v", path, err)
		}
	}
	if _, err := Open(t.Context(), old.path); !strings.Contains(err.Error(), "2.39") {
		t.Errorf("the error does not say which version will do: %v", err)
	}
}

// A view shows the packs that were put in, linked or copied.
func TestViewShowsItsPacks(t *testing.T) {
	t.Parallel()
	repo := gittest.Init(t)
	tip := repo.Commit("main", "first", gittest.Files{"f": "content"})
	repo.Git("repack", "-adq")
	packs, err := filepath.Glob(filepath.Join(repo.GitDir(), "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("got packs %v, %v", packs, err)
	}
	for _, link := range []bool{true, false} {
		v := newView(t, git.SHA1)
		var files [2]PackFile
		for i, name := range []string{packs[0], strings.TrimSuffix(packs[0], ".pack") + ".idx"} {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files[i].Data = f
			if link {
				files[i].File = f
			}
		}
		checksum := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(packs[0]), "pack-"), ".pack")
		if err := v.AddPack(checksum, files[0], files[1]); err != nil {
			t.Fatal(err)
		}
		if got := run(t, v, Command{Args: []string{"cat-file", "-t"}, Operands: []string{tip}}); got != "commit\n" {
			t.Errorf("linked %v: got %q", link, got)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(v.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the view is still there: %v", err)
		}
	}
}

// TestViewBelowARelativePath: the default data directory is one.
func TestViewBelowARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	v, err := find(t).NewView(".", git.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if got := run(t, v, Command{Args: []string{"rev-parse", "--is-bare-repository"}}); got != "true\n" {
		t.Errorf("got %q", got)
	}
}

func TestViewOfSHA256(t *testing.T) {
	t.Parallel()
	v := newView(t, git.SHA256)
	if got := run(t, v, Command{Args: []string{"rev-parse", "--show-object-format"}}); got != "sha256\n" {
		t.Errorf("got format %q", got)
	}
}

// Neither the environment nor the configuration of the server's user reaches
// git, and operands are never options.
func TestGitSeesNothingElse(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[user]\n\tname = Mallory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_PARAMETERS", "'user.name=Mallory'")
	t.Setenv("GIT_OBJECT_DIRECTORY", home)
	v := newView(t, git.SHA1)
	if got := run(t, v, Command{Args: []string{"config", "--list", "--show-origin"}}); strings.Contains(got, "Mallory") {
		t.Errorf("git sees\n%s", got)
	}
	if got := run(t, v, Command{Args: []string{"rev-parse", "--git-path", "objects"}}); strings.Contains(got, home) {
		t.Errorf("git looks for objects in %s", got)
	}
	echo := &View{git: script(t, `for a; do echo "$a"; done`), dir: v.dir}
	got := strings.Split(run(t, echo, Command{Args: []string{"log", "-1"}, Operands: []string{"--output=x"}}), "\n")
	if n := len(got); n < 4 || got[n-3] != "--end-of-options" || got[n-2] != "--output=x" {
		t.Errorf("got arguments %q", got)
	}
	env := run(t, &View{git: script(t, "env"), dir: v.dir}, Command{Args: []string{"x"}})
	for line := range strings.Lines(env) {
		if strings.Contains(line, home) {
			t.Errorf("git's environment has %s", line)
		}
	}
}

// What a failing command says is in the error, but not without end.
func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	v := newView(t, git.SHA1)
	err := v.Run(t.Context(), Command{Args: []string{"cat-file", "-t"}, Operands: []string{"nothing"}})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 128 || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got error %v", err)
	}
	loud := &View{git: script(t, "yes error | head -c 1000000 >&2; echo the end >&2; exit 3"), dir: v.dir}
	err = loud.Run(t.Context(), Command{Args: []string{"x"}})
	if !errors.As(err, &exit) || exit.Code != 3 || len(err.Error()) > 2*tailSize || !strings.Contains(err.Error(), "the end") {
		t.Errorf("got an error of %d bytes: %.200v", len(err.Error()), err)
	}
}

// A command whose context ends is killed, with what it started.
func TestCancelKillsTheGroup(t *testing.T) {
	t.Parallel()
	v := newView(t, git.SHA1)
	pids := filepath.Join(t.TempDir(), "pid")
	slow := &View{git: script(t, "sleep 100 & echo $! > "+pids+".tmp; mv "+pids+".tmp "+pids+"; wait"), dir: v.dir}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- slow.Run(ctx, Command{Args: []string{"x"}, Background: true}) }()
	var pid int
	for pid == 0 {
		if text, err := os.ReadFile(pids); err == nil {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); unix.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); strings.Contains(string(stat), ") Z ") {
			break // dead, and nobody has asked yet
		}
		if time.Now().After(deadline) {
			t.Fatal("what the command started is still alive")
		}
	}
}
