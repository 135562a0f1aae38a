package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func keyOf(name string) cairn.RepositoryKey {
	return cairn.RepositoryKey{Repository: cairn.RepositoryID(name)}
}

func TestChangedRepositoriesAreLookedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks, repacks := make(map[cairn.RepositoryKey]int), make(map[cairn.RepositoryKey]int)
		busy, quiet, large := keyOf("busy"), keyOf("quiet"), keyOf("large")
		w := Start(Options{
			Compact: func(_ context.Context, key cairn.RepositoryKey) (int64, error) {
				looks[key]++
				if key == large {
					return bytesPerLook, nil
				}
				return 0, nil
			},
			Repack: func(_ context.Context, key cairn.RepositoryKey) error { repacks[key]++; return nil },
			Logger: slog.New(slog.DiscardHandler),
		})
		for range 2 * changesPerLook {
			w.Changed(busy, 1)
			synctest.Wait()
		}
		w.Changed(quiet, 1)
		w.Changed(large, bytesPerLook)
		synctest.Wait()
		w.Close()
		if looks[busy] != 2 || looks[quiet] != 0 || looks[large] != 1 {
			t.Errorf("got %v, want two looks at busy, one at large and none at quiet", looks)
		}
		if len(repacks) != 1 || repacks[large] != 1 {
			t.Errorf("got repacks %v, want one of what has a debt", repacks)
		}
	})
}

// The repository with the largest debt is the next, whatever came first, and
// each waits once.
func TestLargestDebtComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var order []string
		taken, begin := make(chan struct{}, 9), make(chan struct{})
		w := Start(Options{
			Repack: func(_ context.Context, key cairn.RepositoryKey) error {
				taken <- struct{}{}
				<-begin
				order = append(order, string(key.Repository))
				return cairn.Errorf(cairn.Conflict, "being repacked already")
			},
			Indebted: func(_ context.Context, tell func(cairn.RepositoryKey, int64)) error {
				tell(keyOf("first"), 1)
				<-taken
				tell(keyOf("small"), 10)
				tell(keyOf("grows"), 20)
				tell(keyOf("large"), 30)
				tell(keyOf("grows"), 40)
				tell(keyOf("small"), 5)
				return nil
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		synctest.Wait()
		if got, want := w.Backlog(), (Backlog{Repacks: 3, Debt: 80}); got != want {
			t.Errorf("backlog %+v, want %+v", got, want)
		}
		close(begin)
		synctest.Wait()
		if want := []string{"first", "grows", "large", "small"}; !slices.Equal(order, want) {
			t.Errorf("got %q, want %q", order, want)
		}
		if got := w.Backlog(); got != (Backlog{}) {
			t.Errorf("left: %+v", got)
		}
		w.Close()
	})
}

// Neither small writes nor large ones make the memory grow without bound while
// nothing is worked off.
func TestChangesAreBounded(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string]int64{"small": 1, "large": 2 * bytesPerLook} {
		w := Start(Options{
			Compact: func(ctx context.Context, _ cairn.RepositoryKey) (int64, error) { <-ctx.Done(); return 0, ctx.Err() },
			Repack:  func(ctx context.Context, _ cairn.RepositoryKey) error { <-ctx.Done(); return ctx.Err() },
			Logger:  slog.New(slog.DiscardHandler),
		})
		most := 0
		for i := range 2*maxCounted + maxQueued {
			w.Changed(keyOf(fmt.Sprint(i)), bytes)
			most = max(most, len(w.changes))
		}
		if most > maxCounted || most < maxCounted/2 {
			t.Errorf("%s writes: %d are remembered, want at most %d", name, most, maxCounted)
		}
		if b := w.Backlog(); b.Looks > maxQueued {
			t.Errorf("%s writes: %d in the queue, want at most %d", name, b.Looks, maxQueued)
		}
		w.Close()
	}
}

func TestPeriodicWorkGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sweeps, collections atomic.Int32
		w := Start(Options{
			Periodic: []Periodic{
				{"sweep", time.Minute, func(context.Context) error { sweeps.Add(1); return errors.New("disk full") }},
				{"garbage collection", time.Hour, func(context.Context) error { collections.Add(1); return nil }},
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		time.Sleep(3*time.Minute + time.Second)
		w.Close()
		if got := sweeps.Load(); got != 4 || collections.Load() != 1 {
			t.Errorf("%d sweeps in three minutes, want one at the start and 3 more; %d collections, want 1", got, collections.Load())
		}
	})
}

func TestCloseInterruptsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(*testing.T) {
		w := Start(Options{
			Compact: func(ctx context.Context, _ cairn.RepositoryKey) (int64, error) { <-ctx.Done(); return 1, ctx.Err() },
			Repack:  func(ctx context.Context, _ cairn.RepositoryKey) error { <-ctx.Done(); return ctx.Err() },
			Indebted: func(ctx context.Context, tell func(cairn.RepositoryKey, int64)) error {
				for ctx.Err() == nil { // more than there is room for
					tell(keyOf(cairn.NewID()), 1)
				}
				return ctx.Err()
			},
			Periodic: []Periodic{{"sweep", time.Hour, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}},
			Logger:   slog.New(slog.DiscardHandler),
		})
		w.Changed(cairn.RepositoryKey{}, bytesPerLook)
		w.Close()
	})
}
