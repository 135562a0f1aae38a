// Package worker carries out the server's background work: compaction of
// repositories that were written, and periodic sweeps of what nothing names
// any more. Its rule is that every goroutine it starts ends before Close
// returns, and that no amount of changes makes it use more memory or more
// than its workers: what it forgets, a later change or sweep finds again. What
// the work is, others say.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of what is remembered.
const (
	// changesPerLook is how many writes to a repository make it worth a look:
	// far less than the packs that make it due.
	changesPerLook = 8
	// bytesPerLook make it worth one at once: about what makes a full repack
	// due.
	bytesPerLook = 1 << 20
	maxCounted   = 1 << 16
	maxQueued    = 1 << 12
)

// Options are what a Worker is made of.
type Options struct {
	// Compact is called for repositories that were written to. It decides
	// whether there is something to do.
	Compact func(context.Context, cairn.RepositoryKey) error
	// Repack is called like Compact, for work that may take long: one
	// repository at a time, beside the compactions.
	Repack func(context.Context, cairn.RepositoryKey) error
	// Sweep is called at once and then every SweepEvery.
	Sweep      func(context.Context) error
	SweepEvery time.Duration
	Workers    int // compactions at a time; default 1
	Logger     *slog.Logger
}

// Worker does background work until it is closed. It is safe for concurrent
// use.
type Worker struct {
	options Options
	cancel  context.CancelFunc
	done    sync.WaitGroup
	queue   chan cairn.RepositoryKey // for Compact
	repacks chan cairn.RepositoryKey

	mu      sync.Mutex
	changes map[cairn.RepositoryKey]change // since the last look
}

// change is what happened to a repository.
type change struct {
	writes int
	bytes  int64
}

// Start returns a Worker that is at work.
func Start(o Options) *Worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Worker{
		options: o,
		cancel:  cancel,
		queue:   make(chan cairn.RepositoryKey, maxQueued),
		repacks: make(chan cairn.RepositoryKey, maxQueued),
		changes: make(map[cairn.RepositoryKey]change),
	}
	for range max(o.Workers, 1) {
		w.done.Go(func() {
			w.work(ctx, "compaction", w.queue, func(ctx context.Context, key cairn.RepositoryKey) error {
				select {
				case w.repacks <- key: // which may be due as well
				default:
				}
				return o.Compact(ctx, key)
			})
		})
	}
	w.done.Go(func() { w.work(ctx, "repack", w.repacks, o.Repack) })
	w.done.Go(func() { w.sweep(ctx) })
	return w
}

// Close stops the work, interrupting what is under way, and waits for it.
func (w *Worker) Close() {
	w.cancel()
	w.done.Wait()
}

// Changed tells of a write to a repository, which brought that many bytes. It
// never blocks.
func (w *Worker) Changed(key cairn.RepositoryKey, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.changes[key]
	c.writes++
	c.bytes += bytes
	w.changes[key] = c
	if c.writes < changesPerLook && c.bytes < bytesPerLook {
		if len(w.changes) > maxCounted {
			clear(w.changes)
		}
		return
	}
	select {
	case w.queue <- key:
		delete(w.changes, key)
	default: // the next change asks again
	}
}

// Queued returns how many repositories wait for a look.
func (w *Worker) Queued() int { return len(w.queue) + len(w.repacks) }

// work takes repositories out of a queue until ctx is done. That one is being
// repacked already, or is gone, is no failure.
func (w *Worker) work(ctx context.Context, what string, queue <-chan cairn.RepositoryKey, do func(context.Context, cairn.RepositoryKey) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case key := <-queue:
			err := do(ctx, key)
			if err != nil && ctx.Err() == nil && !errors.Is(err, cairn.NotFound) && !errors.Is(err, cairn.Conflict) {
				w.options.Logger.Error(what+" failed", "organization_id", key.Organization, "repository_id", key.Repository, "error", err)
			}
		}
	}
}

func (w *Worker) sweep(ctx context.Context) {
	ticker := time.NewTicker(w.options.SweepEvery)
	defer ticker.Stop()
	for {
		if err := w.options.Sweep(ctx); err != nil && ctx.Err() == nil {
			w.options.Logger.Error("sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
