package odb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func newTestResponses(t *testing.T, limit int64) *responseCache {
	t.Helper()
	dir := t.TempDir()
	c := &responseCache{limit: limit, items: map[responseKey]*response{}, scratch: func() (*os.File, error) {
		f, err := os.CreateTemp(dir, "")
		if err == nil {
			err = os.Remove(f.Name())
		}
		return f, err
	}}
	t.Cleanup(func() {
		c.close()
		if stats := c.stats(); stats.Bytes != 0 {
			t.Errorf("%d bytes are counted in an empty cache", stats.Bytes)
		}
	})
	return c
}

func testSnapshot() *Snapshot {
	sn := &Snapshot{}
	sn.users.Store(1)
	return sn
}

func testKey(n byte) responseKey { return responseKey{selection: selectionKey{n}} }

// maker makes the content in pieces, a step of goOn for each.
type maker struct {
	content []byte
	goOn    chan struct{} // nil: without waiting
	ended   chan error
	mu      sync.Mutex
	made    int
}

func newMaker(size int, goOn chan struct{}) *maker {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	return &maker{content: content, goOn: goOn, ended: make(chan error, 100)}
}

func (m *maker) produce(ctx context.Context, w io.Writer, progress func(string)) (err error) {
	defer func() { m.ended <- err }()
	m.mu.Lock()
	m.made++
	m.mu.Unlock()
	progress("working\n")
	const piece = 100_000
	for at := 0; at < len(m.content); at += piece {
		if m.goOn != nil {
			select {
			case <-m.goOn:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if _, err := w.Write(m.content[at:min(at+piece, len(m.content))]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *maker) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made
}

func ignore(string) {}

func TestResponseIsMadeOnceForAll(t *testing.T) {
	t.Parallel()
	c := newTestResponses(t, 100<<20)
	m := newMaker(3_000_000, nil)
	sn := testSnapshot()
	var wait sync.WaitGroup
	for range 12 {
		wait.Go(func() {
			var got bytes.Buffer
			if err := c.write(t.Context(), testKey(1), sn, m.produce, &got, ignore); err != nil || !bytes.Equal(got.Bytes(), m.content) {
				t.Errorf("%d bytes, %v", got.Len(), err)
			}
		})
	}
	wait.Wait()
	if m.times() != 1 {
		t.Errorf("made %d times, want once", m.times())
	}
	if got := c.stats(); got.Hits != 11 || got.Misses != 1 || got.Bytes != 3_000_000 {
		t.Errorf("stats are %+v", got)
	}
	c.forget(cairn.RepositoryKey{})
	if got := c.stats(); got.Bytes != 0 {
		t.Errorf("%d bytes are left of a repository that is gone", got.Bytes)
	}
}

// stuckWriter takes nothing until it is let go.
type stuckWriter struct {
	entered, goOn chan struct{}
	once          sync.Once
	bytes.Buffer
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.entered) })
	<-w.goOn
	return w.Buffer.Write(p)
}

func TestResponseOfASlowClientHoldsUpNobody(t *testing.T) {
	t.Parallel()
	c := newTestResponses(t, 100<<20)
	m := newMaker(1_000_000, nil)
	slow := &stuckWriter{entered: make(chan struct{}), goOn: make(chan struct{})}
	first := make(chan error, 1)
	go func() { first <- c.write(context.Background(), testKey(1), testSnapshot(), m.produce, slow, ignore) }()
	<-slow.entered
	var got bytes.Buffer
	if err := c.write(t.Context(), testKey(1), testSnapshot(), m.produce, &got, ignore); err != nil || !bytes.Equal(got.Bytes(), m.content) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	close(slow.goOn)
	if err := <-first; err != nil || !bytes.Equal(slow.Bytes(), m.content) {
		t.Errorf("slow client: %d bytes, %v", slow.Len(), err)
	}
	if m.times() != 1 {
		t.Errorf("made %d times, want once", m.times())
	}
}

func TestResponseOutlivesAClientThatLeaves(t *testing.T) {
	t.Parallel()
	c := newTestResponses(t, 100<<20)
	m := newMaker(500_000, make(chan struct{}))
	leaving, leave := context.WithCancel(t.Context())
	told := make(chan struct{})
	left := make(chan error, 1)
	go func() {
		left <- c.write(leaving, testKey(1), testSnapshot(), m.produce, io.Discard, func(string) { close(told) })
	}()
	<-told
	joined := make(chan struct{})
	second := make(chan error, 1)
	var got bytes.Buffer
	go func() {
		second <- c.write(context.Background(), testKey(1), testSnapshot(), m.produce, &got, func(string) { close(joined) })
	}()
	<-joined
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the client that left: %v", err)
	}
	close(m.goOn)
	if err := <-second; err != nil || !bytes.Equal(got.Bytes(), m.content) {
		t.Errorf("the other: %d bytes, %v", got.Len(), err)
	}
}

func TestResponseThatNobodyWaitsForIsNotMade(t *testing.T) {
	t.Parallel()
	c := newTestResponses(t, 100<<20)
	m := newMaker(500_000, make(chan struct{}))
	sn := testSnapshot()
	leaving, leave := context.WithCancel(t.Context())
	err := c.write(leaving, testKey(1), sn, m.produce, io.Discard, func(string) { leave() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the client that left: %v", err)
	}
	select {
	case err := <-m.ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the making ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the making goes on")
	}
	if got := c.stats(); got.Bytes != 0 {
		t.Errorf("%d bytes are kept", got.Bytes)
	}
	c.makers.Wait()
	if sn.users.Load() != 1 {
		t.Errorf("the snapshot has %d users, want 1", sn.users.Load())
	}
	close(m.goOn) // the next one gets it
	if err := c.write(t.Context(), testKey(1), sn, m.produce, io.Discard, ignore); err != nil {
		t.Error(err)
	}
}

func TestResponsesAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	c := newTestResponses(t, limit)
	sn := testSnapshot()
	get := func(key byte, m *maker) {
		t.Helper()
		var got bytes.Buffer
		if err := c.write(t.Context(), testKey(key), sn, m.produce, &got, ignore); err != nil || !bytes.Equal(got.Bytes(), m.content) {
			t.Errorf("response %d: %d bytes, %v", key, got.Len(), err)
		}
		if bytes := c.stats().Bytes; bytes > limit {
			t.Errorf("%d bytes are kept, over the limit of %d", bytes, limit)
		}
	}
	small := newMaker(1000, nil)
	for key := range byte(20) {
		get(key, small)
	}
	if n := len(c.items); n != limit/leastCharge {
		t.Errorf("%d responses are kept, want %d", n, limit/leastCharge)
	}
	get(19, small)
	if small.times() != 20 {
		t.Error("what was used last is not kept")
	}
	get(16, small)
	get(30, newMaker(2<<20, nil))
	get(16, small)
	if small.times() != 20 {
		t.Error("what was used last was evicted before what was not")
	}
	large := newMaker(limit+300_000, nil) // too large: the rest comes without the cache
	get(31, large)
	if large.times() != 2 {
		t.Errorf("the response that is too large was begun %d times, want 2", large.times())
	}
	get(1, small)
}

func TestResponseIsSentWithoutADisk(t *testing.T) {
	t.Parallel()
	c := newTestResponses(t, 100<<20)
	c.scratch = func() (*os.File, error) { return nil, errors.New("no space left") }
	m := newMaker(300_000, nil)
	var got bytes.Buffer
	if err := c.write(t.Context(), testKey(1), testSnapshot(), m.produce, &got, ignore); err != nil || !bytes.Equal(got.Bytes(), m.content) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	c.scratch = func() (*os.File, error) { return os.Open(os.DevNull) } // takes no writes
	got.Reset()
	if err := c.write(t.Context(), testKey(2), testSnapshot(), m.produce, &got, ignore); err != nil || !bytes.Equal(got.Bytes(), m.content) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

func TestResponseThatFailsIsMadeByTheNext(t *testing.T) {
	t.Parallel()
	c := newTestResponses(t, 100<<20)
	broken := errors.New("broken")
	for _, produce := range []producer{
		func(context.Context, io.Writer, func(string)) error { return broken },
		func(context.Context, io.Writer, func(string)) error { panic("broken") },
	} {
		if err := c.write(t.Context(), testKey(1), testSnapshot(), produce, io.Discard, ignore); err == nil {
			t.Error("a failure is not told")
		}
	}
	if err := c.write(t.Context(), testKey(1), testSnapshot(), newMaker(10, nil).produce, io.Discard, ignore); err != nil {
		t.Error(err)
	}
}
