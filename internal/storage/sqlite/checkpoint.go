package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairn-storage/cairn/internal/storage/sqldb"
)

// Sizes of the write-ahead log in bytes. When it has grown to walFull it is
// copied into the database and starts again from its beginning. The file keeps
// up to walKept then.
const (
	walFull   = 16 << 20
	walKept   = 64 << 20
	frameSize = 4096 // of the log, about
)

// checkEvery is how often the size of the log is looked at while there are
// commits.
const checkEvery = 20 * time.Millisecond

// checkpointer keeps the write-ahead log from growing without bound. It copies
// beside the writer, whom it stops only to start the log again. SQLite's own
// checkpoint would do the copying in a commit, and would never find the log
// unused under a steady load of overlapping readers.
type checkpointer struct {
	writer  *writer
	session *sqldb.Session
	wake    chan struct{}
	quit    context.CancelFunc
	ended   chan struct{}

	// These belong to run, and after its end to stop.
	err  error // of the last checkpoint
	next int   // do nothing before the log has as many frames
}

func startCheckpointer(ctx context.Context, m *Metadata) (*checkpointer, error) {
	s, err := m.session(ctx)
	if err != nil {
		return nil, err
	}
	ctx, quit := context.WithCancel(context.WithoutCancel(ctx))
	c := &checkpointer{
		writer: m.writer, session: s, wake: make(chan struct{}, 1), quit: quit, ended: make(chan struct{}),
		next: walFull / frameSize,
	}
	go c.run(ctx)
	return c, nil
}

// poke tells that there was a commit.
func (c *checkpointer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// stop ends the work. It returns the error of the last checkpoint, if that
// failed.
func (c *checkpointer) stop() error {
	c.quit()
	<-c.ended
	return errors.Join(c.err, c.session.Close())
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.ended)
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		if err := c.check(ctx); ctx.Err() == nil {
			c.err = err
		}
		select {
		case <-time.After(checkEvery):
		case <-ctx.Done():
			return
		}
	}
}

// check makes a checkpoint if the log is full: first beside the writer, which
// leaves little to do, then with the writer stopped.
func (c *checkpointer) check(ctx context.Context) error {
	now, err := checkpoint(ctx, c.session, "NOOP")
	if err != nil || now.log < c.next {
		return err
	}
	if _, err := checkpoint(ctx, c.session, "PASSIVE"); err != nil {
		return err
	}
	return c.writer.alone(ctx, func(s *sqldb.Session) error { return c.restart(ctx, s) })
}

// restart lets the next commit write to the beginning of the log. That needs
// all Views that began before to end; what is not copied by then must wait for
// the next time. The larger the log has grown, the more patient is it.
func (c *checkpointer) restart(ctx context.Context, s *sqldb.Session) error {
	full := walFull / frameSize
	patience := 10 * time.Millisecond << min(c.next/full-1, 10)
	if _, err := s.Exec(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", patience.Milliseconds())); err != nil {
		return err
	}
	done, err := checkpoint(ctx, s, "RESTART")
	c.next = full
	if err == nil && done.busy {
		c.next += done.log
	}
	_, undo := s.Exec(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()))
	return errors.Join(err, undo)
}

// progress is what a checkpoint tells.
type progress struct {
	busy bool // it was kept from doing all of its work
	log  int  // frames in the log
}

func checkpoint(ctx context.Context, s *sqldb.Session, mode string) (p progress, err error) {
	err = s.Query(ctx, "PRAGMA wal_checkpoint("+mode+")", nil, func(r *sqldb.Row) {
		p = progress{busy: r.Int(0) != 0, log: int(r.Int(1))}
	})
	if err != nil {
		err = fmt.Errorf("checkpoint %s: %w", mode, err)
	}
	return p, err
}
