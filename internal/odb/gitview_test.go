package odb_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gitexec"
)

// TestGitViewShowsASnapshot: git sees all objects of a snapshot, those of
// inline packs and those of a full repack, whose commit-graph it takes.
func TestGitViewShowsASnapshot(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	for _, content := range []string{"one", "two", "three"} {
		f.commit(t, key, "refs/heads/main", map[string]string{"f": content})
	}
	repack(t, f, key)
	tip := f.commit(t, key, "refs/heads/main", map[string]string{"f": "four"})
	v, err := f.snapshot(t, key).OpenGitView(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := v.Run(t.Context(), gitexec.Command{Args: args, Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := strings.Fields(git("rev-list", tip.String())); len(got) != 4 {
		t.Errorf("git finds %d commits, want 4", len(got))
	}
	if got := git("cat-file", "blob", tip.String()+":f"); got != "four" {
		t.Errorf("got content %q", got)
	}
	git("commit-graph", "verify")
	if _, err := os.Stat(v.Path("objects/info/commit-graph")); err != nil {
		t.Errorf("the view has no commit-graph: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
}

func TestNoGitViewWithoutGit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	if _, err := f.snapshot(t, key).OpenGitView(t.Context()); !errors.Is(err, gitexec.ErrUnavailable) {
		t.Errorf("got error %v", err)
	}
}
