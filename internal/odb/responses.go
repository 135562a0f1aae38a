package odb

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// responseCache keeps the packs that shallow and partial clones got, in
// unlinked files: fleets ask for the same one, and making it costs far more
// than sending it. What may be asked for has been decided before, for each
// request: a key names objects by what they are reachable from, and whoever
// may ask for that may have them.
//
// A response is made by a goroutine of its own, and everybody who asked for it
// reads its file as it grows: a slow client holds up nobody, and one that
// leaves ends the making only if it was the last.
type responseCache struct {
	limit   int64 // bytes; 0 or less: nothing is kept
	scratch func() (*os.File, error)

	mu     sync.Mutex
	items  map[responseKey]*response
	used   list.List // of *response, most recently used first
	bytes  int64
	hits   int64
	misses int64
	makers sync.WaitGroup
}

// responseKey names the bytes of a response.
type responseKey struct {
	repository cairn.RepositoryKey
	selection  selectionKey
	ofsDelta   bool
}

// leastCharge is what a response counts as at least, so that the limit bounds
// the open files too.
const leastCharge = 1 << 20

// producer writes the bytes of a response, the same each time.
type producer func(ctx context.Context, w io.Writer, progress func(string)) error

// response is a pack in a file, complete or growing.
type response struct {
	cache   *responseCache
	key     responseKey
	element *list.Element
	readers int   // guarded by cache.mu
	charged int64 // guarded by cache.mu
	dropped bool  // guarded by cache.mu: no longer in items
	cancel  context.CancelFunc

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of what follows
	source  *Snapshot     // whose packs the bytes depend on; nil once they are complete
	file    *os.File
	size    int64
	text    string // of progress, the last
	texts   int
	done    bool
	err     error
}

// errNotKept says that a response cannot be kept, though it can be made.
var errNotKept = errors.New("response is not kept")

// write sends the response of that key to w. If it can no longer be kept, the
// rest is made for this client alone.
func (c *responseCache) write(ctx context.Context, key responseKey, sn *Snapshot, produce producer, w io.Writer, progress func(string)) error {
	r, first, err := c.join(key, sn, produce)
	if err != nil {
		return produce(ctx, w, progress)
	}
	wait := r.wait
	if !first {
		wait = r.waitLending
	}
	sent, err := r.copyTo(ctx, w, progress, wait)
	alone := errors.Is(err, errNotKept) && (sent == 0 || r.isOf(sn))
	c.leave(r)
	if alone {
		return produce(ctx, &tail{w, sent}, progress)
	}
	return err
}

// ResponseStats are figures of the packs that are kept for identical shallow
// and partial clones.
type ResponseStats struct {
	Hits, Misses int64 // since the Store was opened
	Bytes        int64 // kept
}

func (c *responseCache) stats() ResponseStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ResponseStats{c.hits, c.misses, c.bytes}
}

// tail drops the first bytes that are written to it.
type tail struct {
	w    io.Writer
	skip int64
}

func (t *tail) Write(p []byte) (int, error) {
	skip := int(min(t.skip, int64(len(p))))
	t.skip -= int64(skip)
	n, err := t.w.Write(p[skip:])
	return skip + n, err
}

// join returns the response of the key for one more reader, and begins to make
// it if nobody has.
func (c *responseCache) join(key responseKey, sn *Snapshot, produce producer) (r *response, first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.items[key]; ok {
		c.hits++
		r.readers++
		c.used.MoveToFront(r.element)
		return r, false, nil
	}
	c.misses++
	if !c.makeRoom(leastCharge) || !sn.retain() {
		return nil, false, errNotKept
	}
	f, err := c.scratch()
	if err != nil {
		sn.Close()
		return nil, false, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r = &response{cache: c, key: key, readers: 1, charged: leastCharge, cancel: cancel, source: sn, changed: make(chan struct{}), file: f}
	r.element = c.used.PushFront(r)
	c.items[key] = r
	c.bytes += leastCharge
	c.makers.Go(func() {
		defer sn.Close()
		defer cancel()
		r.finish(r.fill(ctx, produce))
	})
	return r, true, nil
}

// makeRoom evicts what was used longest ago and nobody reads, until n more
// bytes fit.
func (c *responseCache) makeRoom(n int64) bool {
	for e := c.used.Back(); e != nil && c.bytes+n > c.limit; {
		r := e.Value.(*response)
		e = e.Prev()
		if r.readers == 0 {
			c.drop(r)
		}
	}
	return c.bytes+n <= c.limit
}

// drop takes a response out of the cache; its file lives on until the last
// reader leaves.
func (c *responseCache) drop(r *response) {
	if !r.dropped {
		r.dropped = true
		delete(c.items, r.key)
		c.used.Remove(r.element)
	}
	if r.readers == 0 {
		r.cancel()
		c.bytes -= r.charged
		r.charged = 0
		r.close()
	}
}

// leave ends one use. What nobody waits for any more is not made.
func (c *responseCache) leave(r *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.readers--
	if r.readers == 0 && (r.dropped || !r.isKept()) {
		c.drop(r)
	}
}

// charge makes room for what a growing response needs by now.
func (c *responseCache) charge(r *response, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	more := size - r.charged
	if more <= 0 {
		return nil
	}
	if !c.makeRoom(more) {
		return errNotKept
	}
	r.charged += more
	c.bytes += more
	return nil
}

// forget drops what is kept of a repository that is gone.
func (c *responseCache) forget(key cairn.RepositoryKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, r := range c.items {
		if k.repository == key {
			c.drop(r)
		}
	}
}

// close drops everything and waits for what is being made. Nobody may be
// reading.
func (c *responseCache) close() {
	c.mu.Lock()
	for _, r := range c.items {
		c.drop(r)
	}
	c.mu.Unlock()
	c.makers.Wait()
}

// fill makes the response. A panic must not take the server along.
func (r *response) fill(ctx context.Context, produce producer) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("panic: %v\n%s", failure, debug.Stack())
		}
	}()
	return produce(ctx, r, r.tell)
}

// Write adds to the file.
func (r *response) Write(p []byte) (int, error) {
	r.mu.Lock()
	file, size := r.file, r.size
	r.mu.Unlock()
	if file == nil {
		return 0, context.Canceled
	}
	err := r.cache.charge(r, size+int64(len(p)))
	if err == nil {
		if _, err = file.WriteAt(p, size); err != nil {
			err = fmt.Errorf("%w: %w", errNotKept, err)
		}
	}
	if err != nil {
		return 0, err
	}
	r.change(func() { r.size += int64(len(p)) })
	return len(p), nil
}

func (r *response) tell(text string) {
	r.change(func() { r.text, r.texts = text, r.texts+1 })
}

// finish says how the making ended. A response that failed is made anew for
// the next who asks.
func (r *response) finish(err error) {
	r.cache.mu.Lock()
	if err != nil && !r.dropped {
		r.cache.drop(r)
	}
	r.cache.mu.Unlock()
	r.change(func() {
		r.done, r.err = true, err
		if err == nil {
			r.source = nil // let go of it
		}
	})
}

// isOf tells whether the snapshot would give the same bytes again.
func (r *response) isOf(sn *Snapshot) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.source == sn
}

// change changes the state and wakes those who wait for it.
func (r *response) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// isKept tells whether the file is complete.
func (r *response) isKept() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done && r.err == nil
}

func (r *response) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close() // nothing of it is needed any more
		r.file = nil
	}
}

// wait waits for a change. Who began a response keeps his slot for work: it
// stands for the making.
func (r *response) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waitLending is wait for the others.
func (r *response) waitLending(ctx context.Context, changed <-chan struct{}) error {
	regain := admission.Lend(ctx)
	err := r.wait(ctx, changed)
	return cmp.Or(regain(), err)
}

// copyTo sends the response as it grows, and returns how much was sent.
func (r *response) copyTo(ctx context.Context, w io.Writer, progress func(string), wait func(context.Context, <-chan struct{}) error) (sent int64, err error) {
	told := 0
	buffer := make([]byte, 64<<10)
	for {
		r.mu.Lock()
		file, size, text, texts, done, failed, changed := r.file, r.size, r.text, r.texts, r.done, r.err, r.changed
		r.mu.Unlock()
		if texts > told {
			told = texts
			progress(text)
		}
		switch {
		case sent < size:
			n, err := file.ReadAt(buffer[:min(size-sent, int64(len(buffer)))], sent)
			if n == 0 && err != nil {
				return sent, fmt.Errorf("%w: %w", errNotKept, err)
			}
			if _, err := w.Write(buffer[:n]); err != nil {
				return sent, err
			}
			sent += int64(n)
		case done:
			return sent, failed
		default:
			if err := wait(ctx, changed); err != nil {
				return sent, err
			}
		}
		if err := ctx.Err(); err != nil {
			return sent, err
		}
	}
}
