package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func TestChangedRepositoriesAreLookedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks, repacks := make(map[cairn.RepositoryKey]int), make(map[cairn.RepositoryKey]int)
		w := Start(Options{
			Compact:    func(_ context.Context, key cairn.RepositoryKey) error { looks[key]++; return nil },
			Repack:     func(_ context.Context, key cairn.RepositoryKey) error { repacks[key]++; return nil },
			Sweep:      func(context.Context) error { return nil },
			SweepEvery: time.Hour,
			Logger:     slog.New(slog.DiscardHandler),
		})
		busy, quiet := cairn.RepositoryKey{Repository: "busy"}, cairn.RepositoryKey{Repository: "quiet"}
		for range 2 * changesPerLook {
			w.Changed(busy, 1)
			synctest.Wait()
		}
		w.Changed(quiet, 1)
		large := cairn.RepositoryKey{Repository: "large"}
		w.Changed(large, bytesPerLook)
		synctest.Wait()
		w.Close()
		if looks[large] != 1 || repacks[large] != 1 || repacks[busy] != 2 || repacks[quiet] != 0 {
			t.Errorf("got looks %v and repacks %v, want one at the large push and two at busy", looks, repacks)
		}
		if looks[busy] != 2 || looks[quiet] != 0 {
			t.Errorf("got %v, want two looks at busy and none at quiet", looks)
		}
	})
}

func TestSweepGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sweeps atomic.Int32
		w := Start(Options{
			Sweep:      func(context.Context) error { sweeps.Add(1); return errors.New("disk full") },
			SweepEvery: time.Minute,
			Logger:     slog.New(slog.DiscardHandler),
		})
		time.Sleep(3*time.Minute + time.Second)
		w.Close()
		if got := sweeps.Load(); got != 4 {
			t.Errorf("%d sweeps in three minutes, want one at the start and 3 more", got)
		}
	})
}

func TestCloseInterruptsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Start(Options{
			Compact:    func(ctx context.Context, _ cairn.RepositoryKey) error { <-ctx.Done(); return ctx.Err() },
			Repack:     func(ctx context.Context, _ cairn.RepositoryKey) error { <-ctx.Done(); return ctx.Err() },
			Sweep:      func(context.Context) error { return nil },
			SweepEvery: time.Hour,
			Logger:     slog.New(slog.DiscardHandler),
		})
		for range 3 * maxQueued * changesPerLook { // more than there is room for
			w.Changed(cairn.RepositoryKey{}, 0)
		}
		w.Close()
	})
}
