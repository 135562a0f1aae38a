package odb_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// moment is what a repository was at a time.
type moment struct {
	at   time.Time
	refs []cairn.Ref
}

func sameRefs(a, b []cairn.Ref) bool {
	return slices.EqualFunc(a, b, func(x, y cairn.Ref) bool {
		return x.Name == y.Name && x.Target == y.Target && x.Created == y.Created && x.CreatedAt.Equal(y.CreatedAt)
	})
}

// TestPastStatesAreThoseOfThen makes random changes and then asks for every
// state in between, at its moment and later, with repacks on the way.
func TestPastStatesAreThoseOfThen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "site")
	random := rand.New(rand.NewPCG(1, 2))
	names := []git.RefName{"refs/heads/main", "refs/heads/a", "refs/heads/a-b", "refs/tags/v1", odb.EphemeralRef("refs/heads/a")}
	var history []moment
	for i := range 60 {
		name := names[random.IntN(len(names))]
		_, exists := f.snapshot(t, key).Ref(name)
		switch {
		case exists && random.IntN(3) == 0:
			f.moveRef(t, key, name, git.ObjectID{})
		default:
			if _, err := tryCommitOn(t.Context(), f.store, key, name, random.IntN(3) == 0, map[string]string{"f": fmt.Sprint(i)}, f.clock); err != nil {
				t.Fatal(err)
			}
		}
		if i%25 == 24 {
			repack(t, f, key)
		}
		history = append(history, moment{f.clock, slices.Clone(f.snapshot(t, key).Refs())})
		f.clock = f.clock.Add(time.Minute)
	}
	repack(t, f, key)
	check := func(m moment, at time.Time) {
		t.Helper()
		past, err := f.store.SnapshotAt(t.Context(), f.org.ID, "site", at)
		if err != nil {
			t.Fatal(err)
		}
		defer past.Close()
		if !sameRefs(past.Refs(), m.refs) {
			t.Fatalf("at %s:\n%v\nwant\n%v", at, past.Refs(), m.refs)
		}
		for _, ref := range m.refs {
			commit, err := past.FullCommit(t.Context(), ref.Target)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := past.Tree(t.Context(), commit.Tree); err != nil {
				t.Fatal(err)
			}
			if ok, err := past.Reachable(t.Context(), odb.FullView, commit.Tree); !ok || err != nil {
				t.Fatalf("the tree of %s is not reachable: %v", ref.Name, err)
			}
		}
	}
	for i, m := range history {
		check(m, m.at)
		if i+1 < len(history) {
			check(m, history[i+1].at.Add(-time.Microsecond))
		}
	}
	// What came later cannot be had through a state of before.
	last := history[len(history)-1]
	past, err := f.store.SnapshotAt(t.Context(), f.org.ID, "site", history[0].at)
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	if ok, err := past.Reachable(t.Context(), odb.FullView, last.refs[0].Target); ok || err != nil {
		t.Errorf("a commit of later is reachable: %v, %v", ok, err)
	}
}

func (f *fixture) wantNoPast(t *testing.T, at time.Time, kind cairn.Kind) {
	t.Helper()
	sn, err := f.store.SnapshotAt(t.Context(), f.org.ID, "site", at)
	if sn.Close(); cairn.KindOf(err) != kind {
		t.Errorf("at %s: %v, want %s", at, err, kind)
	}
}

func TestPastEndsWithRetentionAndPurge(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t), func(o *odb.Options) { o.Retention = 24 * time.Hour })
	key := f.repository(t, "site")
	made := f.clock
	f.clock = f.clock.Add(time.Hour)
	secret := f.commit(t, key, "refs/heads/secret", map[string]string{"f": "secret"})
	kept := f.commit(t, key, "refs/heads/main", map[string]string{"f": "kept"})
	leaked := f.clock
	f.clock = f.clock.Add(time.Hour)
	f.moveRef(t, key, "refs/heads/secret", git.ObjectID{})
	f.clock = f.clock.Add(time.Hour)
	has := func(id git.ObjectID) bool {
		_, _, err := f.snapshot(t, key).Header(t.Context(), id)
		return err == nil
	}

	f.wantNoPast(t, made.Add(-time.Hour), cairn.NotFound)
	f.wantNoPast(t, f.clock.Add(time.Hour), cairn.Invalid)
	repack(t, f, key)
	if sn, err := f.store.SnapshotAt(t.Context(), f.org.ID, "site", leaked); err != nil || !has(secret) {
		t.Fatalf("before the purge: %v", err)
	} else {
		sn.Close()
	}

	if err := f.store.PurgePast(t.Context(), key, func(cairn.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	purged := f.clock
	f.wantNoPast(t, leaked, cairn.NotFound)
	repack(t, f, key)
	if has(secret) || !has(kept) {
		t.Errorf("after the purge: secret %t, kept %t", has(secret), has(kept))
	}
	f.clock = f.clock.Add(time.Hour)
	second := f.commit(t, key, "refs/heads/main", map[string]string{"f": "second"})
	f.clock = f.clock.Add(time.Hour)
	sn, err := f.store.SnapshotAt(t.Context(), f.org.ID, "site", purged)
	if err != nil {
		t.Fatal(err)
	}
	if ref, _ := sn.Ref("refs/heads/main"); ref.Target != kept {
		t.Errorf("after the purge main was at %s, want %s", ref.Target, kept)
	}
	sn.Close()

	f.moveRef(t, key, "refs/heads/main", kept)
	moved := f.clock
	f.clock = moved.Add(25 * time.Hour)
	f.wantNoPast(t, moved, cairn.NotFound)
	repack(t, f, key)
	if has(second) {
		t.Error("what no ref names since the retention time is still there")
	}
}

// BenchmarkPastState reads a state that lies behind 10,000 events, each time
// anew.
func BenchmarkPastState(b *testing.B) {
	f := newFixture(b)
	key := f.repository(b, "site")
	tip := f.commit(b, key, "refs/heads/main", map[string]string{"f": "1"})
	other := f.commit(b, key, "refs/heads/main", map[string]string{"f": "2"})
	at := f.clock
	f.clock = f.clock.Add(time.Minute)
	for i := range 10_000 {
		name := git.RefName("refs/heads/main")
		if i%10 == 0 {
			name = git.RefName(fmt.Sprintf("refs/heads/b%d", i))
		}
		to := other
		if i%20 < 10 {
			to = tip
		}
		f.moveRef(b, key, name, to)
		f.clock = f.clock.Add(time.Second)
	}
	for b.Loop() {
		b.StopTimer()
		f.store.ForgetPast()
		b.StartTimer()
		sn, err := f.store.SnapshotAt(b.Context(), f.org.ID, "site", at)
		if err != nil {
			b.Fatal(err)
		}
		if len(sn.Refs()) != 1 {
			b.Fatal(len(sn.Refs()))
		}
		sn.Close()
	}
}
