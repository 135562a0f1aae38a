package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqldb"
)

// Metadata is a cairn.Metadata in one SQLite file.
type Metadata struct {
	db      *sql.DB
	writer  *writer
	readers *readers
	wal     *checkpointer
	remove  string // the directory that goes with Close; none if empty

	mu         sync.Mutex
	closed     bool
	running    sync.WaitGroup // Add only under mu while not closed
	statements atomic.Int64
}

var _ cairn.Metadata = (*Metadata)(nil)

// Open opens the database in the file at path, creating and migrating it as
// needed. An Update is durable when it returns.
func Open(ctx context.Context, path string) (*Metadata, error) {
	return open(ctx, path, "FULL")
}

// OpenMemory opens an empty database for tests that does not outlive Close:
// the same code and the same behaviour, but for fsync. SQLite gives snapshots
// only to databases with a name, so the bytes lie in a temporary file, in
// memory where the system has a place for that.
func OpenMemory(ctx context.Context) (*Metadata, error) {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "cairn-metadata-")
	if err != nil {
		return nil, fmt.Errorf("open metadata in memory: %w", err)
	}
	m, err := openEmpty(ctx, filepath.Join(dir, "metadata.db"), "OFF")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	m.remove = dir
	return m, nil
}

// openEmpty opens a new database that begins as a copy of one that was migrated
// before: the migrations take longer than most of what is done with a database
// that is opened in memory.
func openEmpty(ctx context.Context, path, synchronous string) (*Metadata, error) {
	migrated, err := emptyDatabase()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, migrated, 0o600); err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	return open(ctx, path, synchronous)
}

// emptyDatabase is the file of a database with all migrations and no rows.
var emptyDatabase = sync.OnceValues(func() (bytes []byte, err error) {
	dir, err := os.MkdirTemp("", "cairn-metadata-")
	if err != nil {
		return nil, fmt.Errorf("make an empty database: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "metadata.db")
	m, err := open(context.Background(), path, "OFF")
	if err != nil {
		return nil, err
	}
	if err := m.Close(); err != nil {
		return nil, fmt.Errorf("make an empty database: %w", err)
	}
	return os.ReadFile(path)
})

func open(ctx context.Context, path, synchronous string) (*Metadata, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	connector, err := sqlite.NewConnector(address(path, synchronous))
	if err != nil {
		return nil, fmt.Errorf("open metadata %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	m, err := start(ctx, db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata %s: %w", path, err), db.Close())
	}
	return m, nil
}

// private makes the file of a new database, which SQLite would let everyone
// read. One that exists is not even opened: to close it would take away the
// locks that this process may have on it.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// busyTimeout is how long a connection waits for a lock. Readers need none and
// there is one writer, so that only another process can make it wait.
const busyTimeout = 10 * time.Second

// address is the name of the database with the settings of every connection.
func address(path, synchronous string) string {
	settings := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
		"foreign_keys(OFF)",
		"temp_store(MEMORY)",
		// The checkpointer does it; SQLite's own would do it inside commits.
		"wal_autocheckpoint(0)",
		fmt.Sprintf("journal_size_limit(%d)", walKept),
	}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String()
}

func start(ctx context.Context, db *sql.DB) (*Metadata, error) {
	if err := sqldb.Migrate(ctx, db, sqldb.SQLite); err != nil {
		return nil, err
	}
	m := &Metadata{db: db}
	m.readers = &readers{open: m.openReader, slots: make(chan struct{}, maxReaders)}
	m.writer = &writer{open: m.openWriter, batchTime: batchTime}
	if err := m.writer.reopen(ctx); err != nil {
		return nil, err
	}
	var err error
	if m.wal, err = startCheckpointer(ctx, m); err != nil {
		return nil, errors.Join(err, m.writer.close())
	}
	m.writer.committed = m.wal.poke
	return m, nil
}

// openWriter makes the connection of the writer.
func (m *Metadata) openWriter(ctx context.Context) (*sqldb.Session, error) {
	return m.session(ctx, "PRAGMA cache_size = -16384") // KiB
}

// openReader makes a connection that can only read. Its cache is small: there
// may be many of them, every commit empties it, and the system's cache holds
// the same pages.
func (m *Metadata) openReader(ctx context.Context) (*sqldb.Session, error) {
	return m.session(ctx, "PRAGMA cache_size = -1024", "PRAGMA query_only = ON")
}

func (m *Metadata) session(ctx context.Context, settings ...string) (*sqldb.Session, error) {
	s, err := sqldb.NewSession(ctx, m.db, sqldb.SQLite)
	if err != nil {
		return nil, err
	}
	for _, setting := range settings {
		if _, err := s.Exec(ctx, setting); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", setting, err), s.Close())
		}
	}
	s.CountIn(&m.statements)
	return s, nil
}

// Statements is how many statements were run so far, those that begin and end
// transactions too: what an operation asks of the database.
func (m *Metadata) Statements() int64 { return m.statements.Load() }

// View runs f on a snapshot. f runs once.
func (m *Metadata) View(ctx context.Context, f func(cairn.Tx) error) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.running.Done()
	return m.readers.view(ctx, f)
}

// Update runs f, once, on the caller's goroutine, after the Updates that came
// before it. f must not call Update: it would wait for itself.
func (m *Metadata) Update(ctx context.Context, f func(cairn.Tx) error) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.running.Done()
	return m.writer.update(ctx, f)
}

// enter counts the caller among the running, unless it comes too late.
func (m *Metadata) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return sqldb.Unavailable(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	m.running.Add(1)
	return nil
}

var errClosed = cairn.Errorf(cairn.Unavailable, "metadata store: closed")

// Close waits for what is running and closes the database. Views and Updates
// that come later fail with Unavailable.
func (m *Metadata) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	m.running.Wait()
	errs := []error{m.wal.stop(), m.readers.close(), m.writer.close(), m.db.Close()}
	if m.remove != "" {
		errs = append(errs, os.RemoveAll(m.remove))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close metadata: %w", err)
	}
	return nil
}
