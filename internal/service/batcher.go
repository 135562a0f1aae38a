package service

import (
	"context"
	"slices"
	"sync"
)

// batcher runs jobs in batches: one batch of a key at a time, made of the jobs
// that have come by then, in the order of their coming. The caller of the first
// of them runs it for all. So nothing waits for a batch to become larger, and
// what a batch costs is shared the more the busier the key is. The zero value is
// ready; keys without jobs take no memory.
type batcher[T any] struct {
	mu   sync.Mutex
	keys map[string][]*queued[T] // an entry while a batch of the key runs
}

// queued is a job that waits.
type queued[T any] struct {
	job T
	// leads gets one value when the waiting is over: true if the caller is to
	// run the next batch, its own job first; false if its job is done.
	leads chan bool
}

// do queues the job and returns nil when it was in a batch, or the error of ctx
// when that was done before a batch began. run is given a batch and returns how
// many of it, from the first, it has done, at least one; the others come again
// before all that wait. If run panics, all of the batch count as done.
func (b *batcher[T]) do(ctx context.Context, key string, job T, run func([]T) int) error {
	me := &queued[T]{job: job, leads: make(chan bool, 1)}
	leads := b.enter(key, me)
	if !leads {
		select {
		case leads = <-me.leads:
		case <-ctx.Done():
			if b.leave(key, me) {
				return ctx.Err()
			}
			leads = <-me.leads // it is in a batch already, or leads one
		}
	}
	if !leads {
		return nil
	}
	batch := b.take(key, me)
	n := len(batch)
	defer func() { b.pass(key, batch, n) }()
	jobs := make([]T, len(batch))
	for i := range batch {
		jobs[i] = batch[i].job
	}
	n = run(jobs)
	return nil
}

// enter queues a job and tells whether its caller leads: nobody else does.
func (b *batcher[T]) enter(key string, q *queued[T]) (leads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting, busy := b.keys[key]
	if !busy {
		if b.keys == nil {
			b.keys = map[string][]*queued[T]{}
		}
		b.keys[key] = nil
		return true
	}
	b.keys[key] = append(waiting, q)
	return false
}

// leave takes a job out of the queue and tells whether it was still there.
func (b *batcher[T]) leave(key string, q *queued[T]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.keys[key], q)
	if i >= 0 {
		b.keys[key] = slices.Delete(b.keys[key], i, i+1)
	}
	return i >= 0
}

// take returns the next batch: the leader and all that wait behind it.
func (b *batcher[T]) take(key string, leader *queued[T]) []*queued[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := append([]*queued[T]{leader}, b.keys[key]...)
	b.keys[key] = nil
	return batch
}

// pass ends a batch of which the first n are done, the leader among them, and
// makes the next in the queue lead.
func (b *batcher[T]) pass(key string, batch []*queued[T], n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range batch[1:n] {
		q.leads <- false
	}
	waiting := append(batch[n:], b.keys[key]...)
	if len(waiting) == 0 {
		delete(b.keys, key)
		return
	}
	b.keys[key] = waiting[1:]
	waiting[0].leads <- true
}
