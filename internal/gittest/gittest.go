// Package gittest builds real Git repositories for tests, at run time, with the
// stock git binary, and asks the same binary what is true of them. Its one rule
// is that nothing of the machine leaks in: every git runs with a scrubbed
// environment, fixed identities and dates, and no configuration but its own. It
// knows nothing of the code under test; only tests import it.
package gittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Epoch is the date of the first commit that a Repo makes, in Unix seconds;
// each later one is a minute younger.
const Epoch = 1_700_000_000

// settings are the values that every git runs with, over those of its
// repository.
var settings = [][2]string{
	{"init.defaultBranch", "main"},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"core.fsync", "none"},
	{"protocol.file.allow", "always"},
	{"safe.directory", "*"},
	{"advice.detachedHead", "false"},
}

// Env returns the environment that stock git runs with in tests, and after it
// the extra variables, which win.
func Env(extra ...string) []string {
	date := strconv.Itoa(Epoch) + " +0000"
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(),
		"HOME=/nonexistent",
		"LC_ALL=C",
		"TZ=UTC",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_EDITOR=true",
		"GIT_AUTHOR_NAME=Ada Author",
		"GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=Carl Committer",
		"GIT_COMMITTER_EMAIL=carl@example.com",
		"GIT_COMMITTER_DATE=" + date,
		"GIT_CONFIG_COUNT=" + strconv.Itoa(len(settings)),
	}
	for i, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	return append(env, extra...)
}

// Command prepares a git that runs in dir until the test ends.
func Command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = Env()
	return cmd
}

// Git runs git in dir and returns its output without the last line feed. The
// test fails with git's own words if git does.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return GitInput(t, dir, "", args...)
}

// GitInput is Git with a standard input.
func GitInput(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := Command(t, dir, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := output(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// GitErr is Git for commands that may fail: the error holds git's own words.
func GitErr(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	return output(Command(t, dir, args...))
}

func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("git %s: %w\n%s", strings.Join(cmd.Args[1:], " "), err, stderr.Bytes())
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// Repo is a repository in a directory that goes away with its test. Its methods
// run git there and end the test on failure; they are for the test's own
// goroutine.
type Repo struct {
	Dir  string // the work tree; the repository itself if it is bare
	Bare bool

	t     testing.TB
	clock int64
}

// Option is a choice about a new repository.
type Option func(*initOptions)

type initOptions struct {
	bare     bool
	format   string
	protocol int
}

// Bare makes a repository without a work tree.
func Bare() Option { return func(o *initOptions) { o.bare = true } }

// Format chooses the hash: "sha1" or "sha256".
func Format(name string) Option { return func(o *initOptions) { o.format = name } }

// Protocol sets the version of the wire protocol that the repository's own
// fetches and pushes ask for. Clones take it as `-c protocol.version=N`.
func Protocol(version int) Option { return func(o *initOptions) { o.protocol = version } }

// Init makes an empty repository whose first branch is main.
func Init(t testing.TB, options ...Option) *Repo {
	t.Helper()
	o := initOptions{format: "sha1", protocol: 2}
	for _, option := range options {
		option(&o)
	}
	r := &Repo{Dir: t.TempDir(), Bare: o.bare, t: t, clock: Epoch}
	args := []string{"init", "-q", "--template=", "--object-format=" + o.format}
	if o.bare {
		args = append(args, "--bare")
	}
	r.Git(append(args, ".")...)
	r.Git("config", "protocol.version", strconv.Itoa(o.protocol))
	return r
}

// Open returns a Repo for one that exists in dir, such as a clone.
func Open(t testing.TB, dir string) *Repo {
	t.Helper()
	r := &Repo{Dir: dir, t: t, clock: Epoch}
	r.Bare = r.Git("rev-parse", "--is-bare-repository") == "true"
	return r
}

// Clone clones a repository, by path or URL, into a new directory; args are
// further options of git clone.
func Clone(t testing.TB, source string, args ...string) *Repo {
	t.Helper()
	dir := t.TempDir()
	Git(t, dir, slices.Concat([]string{"clone", "-q"}, args, []string{"--", source, dir})...)
	return Open(t, dir)
}

// Git runs git in the repository.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return Git(r.t, r.Dir, args...)
}

// GitErr runs a git that may fail in the repository.
func (r *Repo) GitErr(args ...string) (string, error) {
	r.t.Helper()
	return GitErr(r.t, r.Dir, args...)
}

// GitInput runs git in the repository with a standard input.
func (r *Repo) GitInput(stdin string, args ...string) string {
	r.t.Helper()
	return GitInput(r.t, r.Dir, stdin, args...)
}

// GitDir is the directory that holds the repository itself.
func (r *Repo) GitDir() string {
	if r.Bare {
		return r.Dir
	}
	return filepath.Join(r.Dir, ".git")
}

// RevParse returns the id that a revision names.
func (r *Repo) RevParse(revision string) string {
	r.t.Helper()
	return r.Git("rev-parse", "--verify", "--end-of-options", revision)
}

// Refs returns every ref below refs/ and the id that it holds, unpeeled.
func (r *Repo) Refs() map[string]string {
	r.t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(r.Git("for-each-ref", "--format=%(objectname) %(refname)")) {
		id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		refs[name] = id
	}
	return refs
}

// Files is the content of files by path, as Commit takes it.
type Files map[string]string

// Removed in place of a file's content removes the file.
const Removed = "\x00removed\x00"

// Commit writes files on top of a branch, which need not exist yet, and
// returns the new commit's id. The content decides nothing of the mode: every
// file is a regular one. A work tree that has the branch checked out follows.
func (r *Repo) Commit(branch, message string, files Files) string {
	r.t.Helper()
	ref := "refs/heads/" + branch
	var s stream
	fmt.Fprintf(&s, "commit %s\nmark :1\nauthor Ada Author <ada@example.com> %d +0000\n", ref, r.clock)
	fmt.Fprintf(&s, "committer Carl Committer <carl@example.com> %d +0000\n", r.clock)
	s.data(message)
	if _, err := r.GitErr("rev-parse", "-q", "--verify", ref); err == nil {
		fmt.Fprintf(&s, "from %s^0\n", ref)
	}
	for path, content := range sorted(files) {
		if content == Removed {
			fmt.Fprintf(&s, "D %s\n", quote(path))
			continue
		}
		fmt.Fprintf(&s, "M 100644 inline %s\n", quote(path))
		s.data(content)
	}
	s.WriteString("\nget-mark :1\n")
	r.clock += 60
	id := r.GitInput(s.String(), "fast-import", "--quiet")
	if !r.Bare && r.Git("symbolic-ref", "HEAD") == ref {
		r.Git("reset", "-q", "--hard")
	}
	return id
}

// Object is one object of a repository, as git stores it.
type Object struct {
	ID   string
	Type string
	Data []byte
}

// Objects returns every object that the repository holds, reachable or not.
func (r *Repo) Objects() []Object {
	r.t.Helper()
	cmd := Command(r.t, r.Dir, "cat-file", "--batch", "--batch-all-objects", "--unordered")
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("cat-file: %v", err)
	}
	var objects []Object
	for len(out) > 0 {
		header, rest, _ := bytes.Cut(out, []byte{'\n'})
		f := strings.Fields(string(header))
		if len(f) != 3 {
			r.t.Fatalf("cat-file: %q", header)
		}
		size, err := strconv.Atoi(f[2])
		if err != nil {
			r.t.Fatalf("cat-file: %q", header)
		}
		objects = append(objects, Object{ID: f[0], Type: f[1], Data: rest[:size:size]})
		out = rest[size+1:]
	}
	return objects
}

// Write stores an object as it is, well formed or not, and returns its id.
func (r *Repo) Write(kind string, data []byte) string {
	r.t.Helper()
	return r.GitInput(string(data), "hash-object", "-t", kind, "--literally", "-w", "--stdin")
}

// Fsck ends the test if `git fsck --strict --full` finds an error in the
// repository. Dangling objects and git's warnings are no errors.
func Fsck(t testing.TB, dir string) {
	t.Helper()
	cmd := Command(t, dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git fsck in %s: %v\n%s", dir, err, out)
	}
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(line, " ")
		switch word {
		case "error", "error:", "fatal:", "missing", "broken", "bad":
			t.Fatalf("git fsck in %s:\n%s", dir, out)
		}
	}
}

// SameRefs marks the test failed for every ref that two repositories do not
// hold alike.
func SameRefs(t testing.TB, a, b string) {
	t.Helper()
	refsA, refsB := Open(t, a).Refs(), Open(t, b).Refs()
	for name, id := range sorted(refsA) {
		if other, ok := refsB[name]; !ok {
			t.Errorf("ref %q is in %s only", name, a)
		} else if other != id {
			t.Errorf("ref %q is %s in %s and %s in %s", name, id, a, other, b)
		}
	}
	for name := range sorted(refsB) {
		if _, ok := refsA[name]; !ok {
			t.Errorf("ref %q is in %s only", name, b)
		}
	}
}

// History returns a private bare clone of the repository that this source tree
// is a work tree of; false if it is none, as in a release archive. The original
// is only read.
func History(t testing.TB) (*Repo, bool) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(root, "go.mod")) {
		parent := filepath.Dir(root)
		if parent == root {
			return nil, false
		}
		root = parent
	}
	if !exists(filepath.Join(root, ".git")) {
		return nil, false
	}
	if _, err := GitErr(t, root, "rev-parse", "-q", "--verify", "HEAD^{commit}"); err != nil {
		return nil, false
	}
	return Clone(t, root, "--bare", "--no-hardlinks"), true
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
