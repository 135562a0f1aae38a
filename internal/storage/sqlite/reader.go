package sqlite

import (
	"context"
	"errors"
	"sync"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqldb"
)

// maxReaders is how many Views can run at once; more wait for one of them.
const maxReaders = 32

// readers are the connections for Views, opened as they are needed.
type readers struct {
	open  func(context.Context) (*sqldb.Session, error)
	slots chan struct{} // one token for each View that runs

	mu   sync.Mutex
	idle []*sqldb.Session // the last used is on top: its cache is warmest
}

// view runs f in a read transaction.
func (r *readers) view(ctx context.Context, f func(cairn.Tx) error) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return sqldb.Unavailable(ctx.Err())
	}
	defer func() { <-r.slots }()
	s, err := r.take(ctx)
	if err != nil {
		return sqldb.Unavailable(err)
	}
	if _, err := s.Exec(context.Background(), "BEGIN"); err != nil {
		return sqldb.Unavailable(errors.Join(err, s.Close()))
	}
	defer r.end(s) // also if f panics
	return sqldb.Run(ctx, s, sqldb.Read, f)
}

// take returns an idle connection or a new one.
func (r *readers) take(ctx context.Context) (*sqldb.Session, error) {
	r.mu.Lock()
	if last := len(r.idle) - 1; last >= 0 {
		s := r.idle[last]
		r.idle = r.idle[:last]
		r.mu.Unlock()
		return s, nil
	}
	r.mu.Unlock()
	return r.open(ctx)
}

// end ends the transaction and keeps the connection for the next one. A
// connection that cannot even do that is dropped.
func (r *readers) end(s *sqldb.Session) {
	if _, err := s.Exec(context.Background(), "COMMIT"); err != nil {
		s.Close() // what was read has been read; the connection is replaced when needed
		return
	}
	r.mu.Lock()
	r.idle = append(r.idle, s)
	r.mu.Unlock()
}

func (r *readers) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.idle {
		errs = append(errs, s.Close())
	}
	r.idle = nil
	return errors.Join(errs...)
}
