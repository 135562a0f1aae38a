package sqlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqldb"
)

// The bounds of a batch: as soon as one is reached, it is committed even if
// more Updates wait.
const (
	batchCount = 512
	batchTime  = 10 * time.Millisecond
)

// writer is the one connection that writes, and the queue for it. Who has the
// turn may use the connection; it is passed from caller to caller. The first
// begins a transaction, the batch; each runs its own f in it; the one behind
// whom nobody waits, or who fills the batch, commits for all. While it does,
// the callers for the next batch gather. So the work of a caller is done on its
// own goroutine, and nothing is delayed to make a batch larger.
type writer struct {
	open      func(context.Context) (*sqldb.Session, error)
	committed func() // called after each commit, by who has the turn
	marks     rowMarks
	batchTime time.Duration

	mu      sync.Mutex
	taken   bool
	waiting []*waiter // in the order of their coming

	// These belong to who has the turn.
	session *sqldb.Session // nil after a failure, until reopen
	batch   *batch         // the open transaction, if any
}

// waiter is a caller without the turn.
type waiter struct {
	turn chan struct{} // closed when the caller gets the turn
}

// batch is one transaction of the database.
type batch struct {
	began time.Time
	count int
	ended chan struct{} // closed when err is final
	err   error
	// touched are the repositories whose rows the Updates changed, once for
	// each of them.
	touched []cairn.RepositoryKey
}

// update runs f in a batch and returns when that is committed.
func (w *writer) update(ctx context.Context, f func(cairn.Tx) error) error {
	if err := w.take(ctx); err != nil {
		return sqldb.Unavailable(err)
	}
	b, err := w.run(ctx, f)
	if b == nil {
		return err
	}
	<-b.ended
	if b.err != nil {
		return b.err
	}
	// An error of f waits for the commit too: it may tell of what others in the
	// batch did.
	return err
}

// run runs f in the present batch, or a new one, and then gives up the turn,
// even if f panics or ends the goroutine. It returns the batch to wait for.
func (w *writer) run(ctx context.Context, f func(cairn.Tx) error) (*batch, error) {
	defer w.pass()
	if err := w.begin(ctx); err != nil {
		return nil, sqldb.Unavailable(err)
	}
	b := w.batch
	b.count++
	err := w.isolated(f)
	return b, err
}

// begin opens a batch if there is none.
func (w *writer) begin(ctx context.Context) error {
	if w.batch != nil {
		return nil
	}
	if w.session == nil {
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return errors.Join(err, w.drop())
	}
	w.batch = &batch{began: time.Now(), ended: make(chan struct{})}
	return nil
}

// isolated runs f such that nothing of it stays in the batch unless it
// returns nil.
func (w *writer) isolated(f func(cairn.Tx) error) (err error) {
	begin, undo, end := "SAVEPOINT one", [...]string{"ROLLBACK TO one", "RELEASE one"}, "RELEASE one"
	if w.batch.count == 1 { // nothing else is there that could be undone
		begin, undo, end = "", [...]string{"ROLLBACK", "BEGIN IMMEDIATE"}, ""
	}
	if err := w.exec(begin); err != nil {
		return w.fail(err)
	}
	done := false
	defer func() {
		if !done {
			if failed := errors.Join(w.exec(undo[0]), w.exec(undo[1])); failed != nil {
				err = w.fail(failed)
			}
		}
	}()
	// The context was good when the turn came; from here f is waited for.
	touched, err := sqldb.RunTouching(context.Background(), w.session, sqldb.Write, f)
	if err != nil {
		return err
	}
	done = true
	w.batch.touched = append(w.batch.touched, touched...)
	if err := w.exec(end); err != nil {
		return w.fail(err)
	}
	return nil
}

// fail notes that the batch cannot be committed.
func (w *writer) fail(err error) error {
	err = sqldb.Unavailable(err)
	if w.batch.err == nil {
		w.batch.err = err
	}
	return err
}

// pass gives the turn to the next caller, after ending the batch if that is
// due.
func (w *writer) pass() {
	if b := w.batch; b != nil {
		if b.err != nil || b.count >= batchCount || time.Since(b.began) >= w.batchTime || !w.hasWaiting() {
			w.commit()
		}
	}
	for {
		w.mu.Lock()
		if len(w.waiting) > 0 {
			next := w.waiting[0]
			w.waiting[0] = nil
			w.waiting = w.waiting[1:]
			w.mu.Unlock()
			close(next.turn)
			return
		}
		if w.batch == nil {
			w.taken = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.commit() // who was waiting has gone
	}
}

func (w *writer) hasWaiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) > 0
}

// commit ends the batch: when it returns, the bytes are on the disk or every
// Update of the batch fails.
func (w *writer) commit() {
	b := w.batch
	w.batch = nil
	if b.err == nil {
		if err := w.exec("COMMIT"); err != nil {
			b.err = sqldb.Unavailable(err)
		}
	}
	if b.err != nil {
		// After a failure nothing is known of the connection but that
		// dropping it rolls back.
		if err := w.drop(); err != nil {
			b.err = sqldb.Unavailable(errors.Join(b.err, err))
		}
	}
	// Also after a failure, of which nobody knows whether it is one.
	for _, key := range b.touched {
		w.marks.grow(key)
	}
	close(b.ended)
	if b.err == nil && w.committed != nil {
		w.committed()
	}
}

// take waits for the turn. It returns the context's error, and does not have
// the turn, if the context is done before.
func (w *writer) take(ctx context.Context) error {
	w.mu.Lock()
	if !w.taken {
		w.taken = true
		w.mu.Unlock()
		return nil
	}
	me := &waiter{turn: make(chan struct{})}
	w.waiting = append(w.waiting, me)
	w.mu.Unlock()
	select {
	case <-me.turn:
		if err := ctx.Err(); err != nil {
			w.pass()
			return err
		}
		return nil
	case <-ctx.Done():
	}
	if !w.leave(me) {
		<-me.turn // it came at the same moment
		w.pass()
	}
	return ctx.Err()
}

// leave takes a waiter out of the queue and tells whether it was still there.
func (w *writer) leave(me *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.waiting {
		if other == me {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// alone runs f with the turn and outside of any batch.
func (w *writer) alone(ctx context.Context, f func(*sqldb.Session) error) error {
	if err := w.take(ctx); err != nil {
		return err
	}
	defer w.pass()
	if w.batch != nil {
		w.commit()
	}
	if w.session == nil {
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	return f(w.session)
}

// exec runs a statement; none if it is empty.
func (w *writer) exec(statement string) error {
	if statement == "" {
		return nil
	}
	_, err := w.session.Exec(context.Background(), statement)
	return err
}

func (w *writer) reopen(ctx context.Context) (err error) {
	w.session, err = w.open(ctx)
	return err
}

// drop closes the connection; the next batch opens another.
func (w *writer) drop() error {
	s := w.session
	w.session = nil
	if s == nil {
		return nil
	}
	return s.Close()
}

func (w *writer) close() error { return w.drop() }
