package odb_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// countedViews counts the Views of a store that has row marks.
type countedViews struct {
	*sqlite.Metadata
	views atomic.Int64
}

func (m *countedViews) View(ctx context.Context, f func(cairn.Tx) error) error {
	m.views.Add(1)
	return m.Metadata.View(ctx, f)
}

func newCountedFixture(t *testing.T) (*fixture, *countedViews) {
	t.Helper()
	counted := &countedViews{}
	f := newFixture(t, func(o *odb.Options) {
		counted.Metadata = o.Metadata.(*sqlite.Metadata)
		o.Metadata = counted
	})
	return f, counted
}

// A state that is known to be the present one is opened without a View, by its
// key and by its name, after a read and after a write.
func TestKnownStateTakesNoView(t *testing.T) {
	t.Parallel()
	f, counted := newCountedFixture(t)
	key := f.repository(t, "app")
	open := func(what string, want int64) {
		t.Helper()
		before := counted.views.Load()
		byName, err := f.store.Snapshot(t.Context(), f.org.ID, "app")
		if err != nil {
			t.Fatal(err)
		}
		defer byName.Close()
		f.snapshot(t, key)
		if got := counted.views.Load() - before; got != want {
			t.Errorf("%s: %d Views, not %d", what, got, want)
		}
	}
	f.snapshot(t, key)
	open("after a read", 0)
	tip := f.commit(t, key, "refs/heads/main", map[string]string{"a": "b"})
	open("after a write", 0)
	f.update(t, func(tx cairn.Tx) error { _, err := tx.Repositories().Advance(key); return err })
	open("after a write by somebody else", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.SnapshotOf(ctx, key); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller gets %v", err)
	}
	if ref, _ := f.snapshot(t, key).Ref("refs/heads/main"); ref.Target != tip {
		t.Errorf("main is at %s, not %s", ref.Target, tip)
	}
}

// What anybody does to a row is seen by the next reader, however well the state
// before it was known.
func TestKnownStateIsThePresentOne(t *testing.T) {
	t.Parallel()
	f, _ := newCountedFixture(t)
	key := f.repository(t, "app")
	find := func(name cairn.RepositoryName) (cairn.Repository, error) {
		var found cairn.Repository
		for range 3 { // the last time it is known
			sn, err := f.store.Snapshot(t.Context(), f.org.ID, name)
			if err != nil {
				return found, err
			}
			found = sn.Repository()
			sn.Close()
		}
		return found, nil
	}
	expect := func(what string, name cairn.RepositoryName, good func(cairn.Repository) bool) {
		t.Helper()
		if r, err := find(name); err != nil || !good(r) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	gone := func(what string, name cairn.RepositoryName) {
		t.Helper()
		if _, err := find(name); !errors.Is(err, cairn.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	write := func(do func(cairn.Repositories) error) {
		t.Helper()
		f.update(t, func(tx cairn.Tx) error {
			if _, err := tx.Repositories().Advance(key); err != nil {
				return err
			}
			return do(tx.Repositories())
		})
	}
	expect("at first", "app", func(r cairn.Repository) bool { return r.RepositoryKey == key })
	write(func(r cairn.Repositories) error { return r.SetDefaultBranch(key, "refs/heads/trunk") })
	expect("another default branch", "app", func(r cairn.Repository) bool { return r.DefaultBranch == "refs/heads/trunk" })
	write(func(r cairn.Repositories) error { return r.Describe(key, "text", true) })
	expect("described", "app", func(r cairn.Repository) bool { return r.Description == "text" && r.Public })
	write(func(r cairn.Repositories) error { return r.Rename(key, "new") })
	expect("renamed", "new", func(r cairn.Repository) bool { return r.RepositoryKey == key })
	gone("the old name", "app")
	other := f.repository(t, "app")
	expect("the old name, taken by another", "app", func(r cairn.Repository) bool { return r.RepositoryKey == other })
	f.update(t, func(tx cairn.Tx) error { return tx.Repositories().Delete(key, time.Unix(1, 0)) })
	gone("deleted", "new")
	if r := f.snapshot(t, key).Repository(); r.DeletedAt.IsZero() {
		t.Errorf("by its key it is not deleted: %+v", r)
	}
	f.update(t, func(tx cairn.Tx) error { return tx.Repositories().Restore(key) })
	expect("restored", "new", func(r cairn.Repository) bool { return r.RepositoryKey == key })
	f.update(t, func(tx cairn.Tx) error {
		if err := tx.Repositories().Delete(key, time.Unix(1, 0)); err != nil {
			return err
		}
		_, err := tx.Repositories().Purge(key, time.Unix(2, 0), 100)
		return err
	})
	gone("purged", "new")
}

// A reader never gets a state from before a write that has returned, while many
// write to the same repositories by Apply and otherwise.
func TestKnownStateUnderWriters(t *testing.T) {
	t.Parallel()
	f, _ := newCountedFixture(t)
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for _, name := range []string{"a", "b", "c"} {
		key := f.repository(t, name)
		f.commit(t, key, "refs/heads/main", map[string]string{"a": "b"})
		var returned atomic.Int64
		note := func(version int64) {
			for last := returned.Load(); last < version && !returned.CompareAndSwap(last, version); last = returned.Load() {
			}
		}
		for i := range 3 {
			writers.Go(func() {
				branch := git.RefName("refs/heads/" + string(rune('p'+i)))
				sn := f.snapshot(t, key)
				main, _ := sn.Ref("refs/heads/main")
				old := git.ObjectID{}
				for range 40 {
					next := main.Target
					if !old.IsZero() {
						next = git.ObjectID{}
					}
					repo, err := f.store.Apply(t.Context(), key, odb.Update{Refs: []cairn.RefUpdate{{Name: branch, Old: old, New: next}}, Since: sn.Repository().Version})
					if err != nil {
						t.Error(err)
						return
					}
					old = next
					note(repo.Version)
				}
			})
		}
		writers.Go(func() {
			for range 40 {
				var version int64
				if err := f.store.Metadata().Update(t.Context(), func(tx cairn.Tx) error {
					r, err := tx.Repositories().Advance(key)
					version = r.Version
					return err
				}); err != nil {
					t.Error(err)
				}
				note(version)
			}
		})
		for range 2 {
			readers.Go(func() {
				for !done.Load() {
					least := returned.Load()
					sn, err := f.store.SnapshotOf(t.Context(), key)
					if err != nil {
						t.Error(err)
						return
					}
					if got := sn.Repository().Version; got < least {
						t.Errorf("version %d after %d has returned", got, least)
					}
					sn.Close()
				}
			})
		}
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}
