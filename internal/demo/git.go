package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// GitCommand prepares the stock git in a directory, with an environment in
// which neither the settings of this machine nor hooks have a say.
func GitCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.hooksPath=" + os.DevNull}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"SYSTEMROOT=" + os.Getenv("SYSTEMROOT"), // Windows needs it
		"TMPDIR=" + os.TempDir(),
		"HOME=" + os.DevNull,
		"LC_ALL=C",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada Author",
		"GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Carl Committer",
		"GIT_COMMITTER_EMAIL=carl@example.com",
	}
	return cmd
}

// Git runs the stock git and returns its output without the last line feed.
// The error holds git's own words.
func Git(ctx context.Context, dir string, args ...string) (string, error) {
	return runGit(GitCommand(ctx, dir, args...))
}

func runGit(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("git is not on the PATH: install it, it is the client that is shown here")
		}
		return "", fmt.Errorf("git %s: %w\n%s", cmd.Args[3], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// projectModule is how the checkout of this project is known.
const projectModule = "module github.com/cairn-storage/cairn"

// findProject looks from a directory upward for a checkout of this project
// with a whole history; empty if there is none.
func findProject(ctx context.Context, dir string) string {
	for {
		module, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(module, []byte(projectModule)) {
			shallow, err := Git(ctx, dir, "rev-parse", "--is-shallow-repository")
			if err == nil && shallow == "false" {
				if _, err := Git(ctx, dir, "rev-parse", "-q", "--verify", "HEAD^{commit}"); err == nil {
					return dir
				}
			}
			return ""
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// smallHistory makes a repository with a few commits on two branches that
// merge, and a tag.
func smallHistory(ctx context.Context, dir string) error {
	steps := [][]string{{"init", "-q", "-b", "main", "."}}
	write := func(path, content, message string) {
		steps = append(steps, []string{"write", path, content}, []string{"add", "."}, []string{"commit", "-q", "-m", message})
	}
	write("README.md", "# A small history\n\nIt is made for the demonstration.\n", "Begin")
	for i := range 8 {
		write(fmt.Sprintf("src/part%d/main.go", i%3), fmt.Sprintf("package main\n\n// Version %d.\nfunc main() { println(%d) }\n", i, i), fmt.Sprintf("Change part %d", i%3))
	}
	steps = append(steps, []string{"checkout", "-q", "-b", "topic", "HEAD~3"})
	write("docs/guide.md", "# Guide\n\nFirst, then second.\n", "Add a guide")
	steps = append(steps,
		[]string{"checkout", "-q", "main"},
		[]string{"merge", "-q", "--no-ff", "-m", "Merge the guide", "topic"},
		[]string{"tag", "-a", "-m", "The first version", "v0.1.0"})
	for _, step := range steps {
		if step[0] == "write" {
			path := filepath.Join(dir, filepath.FromSlash(step[1]))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(step[2]), 0o600); err != nil {
				return err
			}
			continue
		}
		if _, err := Git(ctx, dir, step...); err != nil {
			return err
		}
	}
	return nil
}
