// Package worker carries out the server's background work: compaction of
// repositories that were written, periodic sweeps of what nothing names any
// more, and jobs. Its rule is that every goroutine it starts ends before Close
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
)

// Options are what a Worker is made of.
type Options struct {
	// Compact is called for repositories that were written to, the one that
	// grew most first. It decides whether there is something to do, and
	// returns how many bytes wait for a full repack; 0 if none is due.
	Compact func(context.Context, cairn.RepositoryKey) (debt int64, err error)
	// Repack is called for repositories with such a debt, the largest first:
	// one at a time, beside the compactions.
	Repack func(context.Context, cairn.RepositoryKey) error
	// Indebted is called once and tells of the repositories that had a debt
	// before the Worker was started. Nil is fine.
	Indebted func(ctx context.Context, tell func(key cairn.RepositoryKey, debt int64)) error
	// Periodic is what is done at once and then again and again.
	Periodic []Periodic
	Workers  int // compactions at a time; default 1
	Logger   *slog.Logger
}

// Periodic is work that is done all the time.
type Periodic struct {
	Name  string // for the log
	Every time.Duration
	Do    func(context.Context) error
}

// Worker does background work until it is closed. It is safe for concurrent
// use.
type Worker struct {
	options Options
	cancel  context.CancelFunc
	done    sync.WaitGroup
	looks   *queue // for Compact
	repacks *queue

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
		looks:   newQueue(),
		repacks: newQueue(),
		changes: make(map[cairn.RepositoryKey]change),
	}
	for range max(o.Workers, 1) {
		w.done.Go(func() { w.work(ctx, "compaction", w.looks, w.compact) })
	}
	w.done.Go(func() { w.work(ctx, "repack", w.repacks, o.Repack) })
	if o.Indebted != nil {
		w.done.Go(func() {
			w.note(ctx, "search for repositories to repack", o.Indebted(ctx, func(key cairn.RepositoryKey, debt int64) { w.repacks.push(key, debt) }))
		})
	}
	for _, p := range o.Periodic {
		w.done.Go(func() { w.repeat(ctx, p) })
	}
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
	if (c.writes >= changesPerLook || c.bytes >= bytesPerLook) && w.looks.push(key, c.bytes) {
		delete(w.changes, key)
		return
	}
	w.changes[key] = c // with no room, the next change asks again
	if len(w.changes) > maxCounted {
		clear(w.changes)
	}
}

// Backlog is what waits to be done.
type Backlog struct {
	Looks   int   // repositories that were written to
	Repacks int   // repositories that are due to be repacked
	Debt    int64 // bytes of these that are not yet repacked
}

// Backlog returns what waits at this moment.
func (w *Worker) Backlog() Backlog {
	var b Backlog
	b.Looks, _ = w.looks.size()
	b.Repacks, b.Debt = w.repacks.size()
	return b
}

func (w *Worker) compact(ctx context.Context, key cairn.RepositoryKey) error {
	debt, err := w.options.Compact(ctx, key)
	if debt > 0 {
		w.repacks.push(key, debt)
	}
	return err
}

// work takes repositories out of a queue until ctx is done. That one is being
// repacked already, or is gone, is no failure.
func (w *Worker) work(ctx context.Context, what string, q *queue, do func(context.Context, cairn.RepositoryKey) error) {
	for {
		key, ok := q.pop(ctx)
		if !ok {
			return
		}
		if err := do(ctx, key); !errors.Is(err, cairn.NotFound) && !errors.Is(err, cairn.Conflict) {
			w.note(ctx, what, err, "organization_id", key.Organization, "repository_id", key.Repository)
		}
	}
}

// note logs a failure that the end of ctx does not explain.
func (w *Worker) note(ctx context.Context, what string, err error, about ...any) {
	if err != nil && ctx.Err() == nil {
		w.options.Logger.Error(what+" failed", append(about, "error", err)...)
	}
}

func (w *Worker) repeat(ctx context.Context, p Periodic) {
	ticker := time.NewTicker(p.Every)
	defer ticker.Stop()
	for {
		w.note(ctx, p.Name, p.Do(ctx))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
