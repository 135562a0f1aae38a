package demo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDemonstrationOfASmallHistory(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	if err := smallHistory(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	o := Options{Out: &out, Repo: source, Logger: slog.New(slog.NewTextHandler(&log, nil)), Version: "test"}
	if err := Run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &log)
	}
	for _, want := range []string{"1. Start a server", "$ curl ", "$ git push", "every answer checked against stock git"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours in a pipe")
	}
	data := dataDir(t, out.String())
	if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", data, err)
	}
}

func TestDemonstrationEndsWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	source := t.TempDir()
	if err := smallHistory(ctx, source); err != nil {
		t.Fatal(err)
	}
	out := &cancelling{cancel: cancel, at: "Create a repository"}
	err := Run(ctx, Options{Out: out, Repo: source, Logger: slog.New(slog.DiscardHandler), Terminal: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v, want that of the context", err)
	}
	if _, err := os.Stat(filepath.Dir(dataDir(t, out.String()))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
}

// cancelling is an output that interrupts when it sees a text.
type cancelling struct {
	bytes.Buffer
	cancel func()
	at     string
}

func (c *cancelling) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.at)) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

func dataDir(t *testing.T, out string) string {
	t.Helper()
	_, rest, found := strings.Cut(out, "cairn serve --data ")
	data, _, ended := strings.Cut(rest, "\n")
	if data = strings.TrimSuffix(data, normal); !found || !ended {
		t.Fatalf("no data directory in:\n%s", out)
	}
	return data
}

func TestFindProject(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, "internal", "deep")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := findProject(t.Context(), deep); got != "" {
		t.Errorf("found %s where there is nothing", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(projectModule+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := findProject(t.Context(), deep); got != "" {
		t.Errorf("found %s, which is no repository", got)
	}
	if err := smallHistory(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if got := findProject(t.Context(), deep); got != dir {
		t.Errorf("found %q, want %s", got, dir)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", "--depth=1", "file://"+dir, shallow).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := findProject(t.Context(), shallow); got != "" {
		t.Errorf("found %s, whose history is cut off", got)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		1234 * time.Microsecond: "1.2 ms",
		45 * time.Millisecond:   "45 ms",
		2345 * time.Millisecond: "2.3 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}
