package odb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// TestRefsAfterAWriteAreTheStoredOnes compares the refs of the state that a
// write leaves ready for the next reader with those in the metadata.
func TestRefsAfterAWriteAreTheStoredOnes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "r")
	targets := []git.ObjectID{
		f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"}),
		f.commit(t, key, "refs/heads/main", map[string]string{"a": "2"}),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		before := f.snapshot(t, key)
		var updates []cairn.RefUpdate
		for _, n := range random.Perm(60)[:random.IntN(60)] {
			u := cairn.RefUpdate{Name: git.RefName(fmt.Sprint("refs/heads/", n)), New: targets[random.IntN(2)]}
			if current, ok := before.Ref(u.Name); ok {
				if u.Old = current.Target; random.IntN(2) == 0 {
					u.New = git.ObjectID{}
				}
			}
			updates = append(updates, u)
		}
		if _, err := f.store.Apply(t.Context(), key, odb.Update{Refs: updates}); err != nil {
			t.Fatal(err)
		}
		var want []cairn.Ref
		err := f.store.Metadata().View(context.Background(), func(tx cairn.Tx) (err error) {
			want, err = tx.Refs().List(key, "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.snapshot(t, key).Refs(); !slices.Equal(got, want) {
			t.Fatalf("round %d: after %v\ngot  %v\nwant %v", round, updates, got, want)
		}
	}
}

// TestReachableTipsOfEachView asks about the targets of refs more often than
// are answered by looking through the refs.
func TestReachableTipsOfEachView(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "r")
	normal := f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	hidden := f.commit(t, key, odb.EphemeralPrefix+"refs/heads/main", map[string]string{"a": "2"})
	sn := f.snapshot(t, key)
	for round := range 40 {
		for _, c := range []struct {
			view           odb.View
			normal, hidden bool
		}{{odb.NormalView, true, false}, {odb.EphemeralView, false, true}, {odb.FullView, true, true}} {
			for id, want := range map[git.ObjectID]bool{normal: c.normal, hidden: c.hidden} {
				got, err := sn.Reachable(t.Context(), c.view, id)
				if err != nil || got != want {
					t.Fatalf("round %d, view %d: got %t, %v, want %t", round, c.view, got, err, want)
				}
			}
		}
	}
}
