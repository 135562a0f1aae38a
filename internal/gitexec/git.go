// Package gitexec is the only caller of the stock git binary in the server: a
// well-kept library for what is rare or heavy, such as packing a large history
// anew. Its rule is that git sees nothing but what it is given: a View with
// links to some packs, an environment and a configuration that are empty but
// for this package's own, no hooks, no replacements, no network. Which objects
// may be seen, and what the results mean, its callers say.
package gitexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnavailable is in the chain of the error for a machine without a git
// binary that is new enough.
var ErrUnavailable = errors.New("no usable git")

// The oldest version that will do.
const (
	minMajor = 2
	minMinor = 39
)

// Git is a git binary. It is safe for concurrent use.
type Git struct {
	path    string
	version string
}

// Find looks for git in the PATH and asks for its version.
func Find(ctx context.Context) (*Git, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("%w: %w; install git %d.%d or newer", ErrUnavailable, err, minMajor, minMinor)
	}
	return Open(ctx, path)
}

// Open is Find for the binary at that path.
func Open(ctx context.Context, path string) (*Git, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	g := &Git{path: path}
	var out bytes.Buffer
	if err := g.run(ctx, os.TempDir(), nil, Command{Args: []string{"version"}, Stdout: &out}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	g.version = strings.TrimPrefix(strings.TrimSpace(out.String()), "git version ")
	if !newEnough(g.version) {
		return nil, fmt.Errorf("%w: %s has version %s; install %d.%d or newer", ErrUnavailable, path, g.version, minMajor, minMinor)
	}
	return g, nil
}

// Version is the version as git tells it.
func (g *Git) Version() string { return g.version }

var versionNumbers = regexp.MustCompile(`^(\d{1,6})\.(\d{1,6})`)

func newEnough(version string) bool {
	m := versionNumbers.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > minMajor || major == minMajor && minor >= minMinor
}

// Command is one call of git.
type Command struct {
	// Args are the subcommand and its options. Nothing in them comes from
	// outside the program but values of options that their caller has parsed.
	Args []string
	// Operands are what the command works on: they come after an
	// --end-of-options, so that none is taken for an option.
	Operands []string
	// Paths come after a --, for commands that take them there.
	Paths []string
	// Config is configuration for this call, as key=value.
	Config []string
	Stdin  io.Reader
	Stdout io.Writer
	// Background lets the command have only the processor time that others
	// leave.
	Background bool
	// Memory bounds the bytes that the command holds beside the packs that it
	// maps: more makes it fail. 0: no bound. Only Linux keeps it.
	Memory int64
}

// ExitError is the error of a command that ran and failed.
type ExitError struct {
	Subcommand string
	Code       int    // negative if a signal ended it
	Stderr     string // the end of what it said
	Err        error
}

// Error tells what git said.
func (e *ExitError) Error() string {
	return fmt.Sprintf("git %s: %v: %s", e.Subcommand, e.Err, strings.TrimSpace(e.Stderr))
}

// Unwrap returns the error of the process.
func (e *ExitError) Unwrap() error { return e.Err }

// killDelay is how long the pipes of a killed command are waited for.
const killDelay = 5 * time.Second

// niceness of a command in the background.
const niceness = 15

// run runs a command in a directory. When ctx is done it and all that it
// started are killed, and the error is that of ctx.
func (g *Git) run(ctx context.Context, dir string, env []string, c Command) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, g.path, arguments(c)...)
	cmd.Dir = dir
	cmd.Env = append(environment(dir), env...)
	cmd.Stdin, cmd.Stdout = c.Stdin, c.Stdout
	stderr := &tail{}
	cmd.Stderr = stderr
	cmd.SysProcAttr = processAttributes()
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = killDelay
	release := holdThread()
	defer release()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git %s: %w", c.Args[0], err)
	}
	if c.Memory > 0 {
		// It has hardly begun: what it took before this counts too.
		limitMemory(cmd.Process.Pid, c.Memory)
	}
	if c.Background {
		_ = unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, niceness)
	}
	err := cmd.Wait()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("git %s: %w", c.Args[0], ctx.Err())
	}
	return &ExitError{Subcommand: c.Args[0], Code: cmd.ProcessState.ExitCode(), Stderr: stderr.String(), Err: err}
}

func arguments(c Command) []string {
	var args []string
	for _, pair := range append(append([]string(nil), safeConfig...), c.Config...) {
		args = append(args, "-c", pair)
	}
	args = append(args, c.Args...)
	if len(c.Operands) > 0 {
		args = append(append(args, "--end-of-options"), c.Operands...)
	}
	if len(c.Paths) > 0 {
		args = append(append(args, "--"), c.Paths...)
	}
	return args
}

// safeConfig keeps git from running anything else or doing work that nobody
// asked for.
var safeConfig = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.attributesFile=/dev/null",
	"core.excludesFile=/dev/null",
	"gc.auto=0",
	"maintenance.auto=false",
	"protocol.allow=never",
	"pack.threads=1",
}

// environment is all that a command sees: dir has to be empty of dot files, as
// it serves as a home.
func environment(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "TMPDIR=" + dir,
		"LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "GIT_EDITOR=/bin/false", "GIT_PAGER=cat",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0",
		"GIT_ALLOW_PROTOCOL=", "GIT_PROTOCOL_FROM_USER=0",
	}
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const tailSize = 4 << 10

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - tailSize; extra > 0 {
		t.b = t.b[:copy(t.b, t.b[extra:])]
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.b), "\uFFFD") }
