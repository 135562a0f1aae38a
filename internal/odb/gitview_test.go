package odb_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/odb"
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
	runGit := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := v.Run(t.Context(), gitexec.Command{Args: args, Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := strings.Fields(runGit("rev-list", tip.String())); len(got) != 4 {
		t.Errorf("git finds %d commits, want 4", len(got))
	}
	if got := runGit("cat-file", "blob", tip.String()+":f"); got != "four" {
		t.Errorf("got content %q", got)
	}
	runGit("commit-graph", "verify")
	if _, err := os.Stat(v.Path("objects/info/commit-graph")); err != nil {
		t.Errorf("the view has no commit-graph: %v", err)
	}
	if err := errors.Join(v.Close(), f.store.Close()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
}

// TestGitViewsAreKept: the next request finds the view of the one before, with
// what was written since, for as long as no pack of it has gone.
func TestGitViewsAreKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	use := func(f func(v *odb.GitView), sn *odb.Snapshot) string {
		t.Helper()
		v, err := sn.OpenGitView(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f(v)
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		return v.Path("")
	}
	shows := func(tip git.ObjectID) func(*odb.GitView) {
		return func(v *odb.GitView) {
			if err := v.Run(t.Context(), gitexec.Command{Args: []string{"rev-list", "--objects", tip.String()}}); err != nil {
				t.Error(err)
			}
		}
	}
	first := use(shows(f.commit(t, key, "refs/heads/main", map[string]string{"f": "one"})), f.snapshot(t, key))
	second := use(func(*odb.GitView) {}, f.snapshot(t, key))
	tip := f.commit(t, key, "refs/heads/main", map[string]string{"f": "two"})
	third := use(shows(tip), f.snapshot(t, key))
	if first != second || second != third {
		t.Errorf("views %s, %s and %s, want the same", first, second, third)
	}
	if _, err := f.store.Repack(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	if after := use(shows(tip), f.snapshot(t, key)); after == third {
		t.Error("a view shows packs that were replaced")
	}
	if _, err := os.Stat(third); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old view is there: %v", err)
	}
	if err := f.store.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v (%s %s)", left, err, first, third)
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
