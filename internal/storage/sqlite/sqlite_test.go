package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/storage/sqldb"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		writeForEver(path) // the process is TestKilled's victim
	}
	goleak.VerifyTestMain(m)
}

// at opens the database of the test's directory, and closes it in the end.
func at(t testing.TB, path string) *Metadata {
	t.Helper()
	m, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

func inDir(t testing.TB) *Metadata { return at(t, filepath.Join(t.TempDir(), "metadata.db")) }

// testOrganization is an organization that is told by its number.
func testOrganization(n int) cairn.Organization {
	return cairn.Organization{ID: cairn.OrganizationID(fmt.Sprint(n)), Name: cairn.OrganizationName(fmt.Sprint(n))}
}

func createOrganization(n int) func(cairn.Tx) error {
	return func(tx cairn.Tx) error { return tx.Organizations().Create(testOrganization(n)) }
}

func count(t testing.TB, m *Metadata) (n int) {
	t.Helper()
	err := m.View(t.Context(), func(tx cairn.Tx) error {
		list, err := tx.Organizations().List("", 1<<30)
		n = len(list)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd ?name#with%20signs&.db")
	for n := range 3 {
		m, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if got := count(t, m); got != n {
			t.Errorf("got %d organizations, want %d", got, n)
		}
		if err := m.Update(t.Context(), createOrganization(n)); err != nil {
			t.Error(err)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatalf("the database is not where it should be: %v", err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("got mode %v, want that only the owner can read", got)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	if m, err := Open(t.Context(), filepath.Join(t.TempDir(), "absent", "metadata.db")); err == nil {
		m.Close()
		t.Error("opened in a directory that does not exist")
	}
	path := filepath.Join(t.TempDir(), "metadata.db")
	if err := os.WriteFile(path, []byte("this is no database, but long enough to look at the header of one, which has 100 bytes and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m, err := Open(t.Context(), path); err == nil {
		m.Close()
		t.Error("opened what is no database")
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "metadata.db")
	m := at(t, path)
	if _, err := m.db.ExecContext(t.Context(), "INSERT INTO schema_versions (version_id, is_applied) VALUES (4711, TRUE)"); err != nil {
		t.Fatal(err)
	}
	newer, err := Open(t.Context(), path)
	if err == nil {
		newer.Close()
	}
	if !errors.Is(err, sqldb.ErrNewerSchema) {
		t.Fatalf("got error %v, want ErrNewerSchema", err)
	}
	t.Log(err)
}

func TestMemoryLeavesNothing(t *testing.T) {
	t.Parallel()
	m, err := OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := m.remove
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for the directory, want that it is gone", err)
	}
}

// Whatever happens to one Update of a batch, the others are not touched.
func TestBatch(t *testing.T) {
	t.Parallel()
	m := inDir(t)
	m.writer.batchTime = time.Hour // one batch, however slow the machine is
	mine := errors.New("mine")
	var all sync.WaitGroup
	const n = 100
	held := make(chan struct{})
	all.Go(func() { // holds the turn until all others wait for it
		if err := m.Update(t.Context(), func(cairn.Tx) error { <-held; return nil }); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, func() bool { m.writer.mu.Lock(); defer m.writer.mu.Unlock(); return m.writer.taken })
	for i := range n {
		all.Go(func() {
			defer func() {
				if got := recover(); (got != nil) != (i%5 == 1) {
					t.Errorf("update %d: recovered %v", i, got)
				}
			}()
			err := m.Update(t.Context(), func(tx cairn.Tx) error {
				if err := createOrganization(i)(tx); err != nil {
					return err
				}
				switch i % 5 {
				case 1:
					panic(mine)
				case 2:
					runtime.Goexit()
				case 3:
					return mine
				}
				return nil
			})
			if i%5 == 3 && !errors.Is(err, mine) || i%5 != 3 && err != nil {
				t.Errorf("update %d: got error %v", i, err)
			}
		})
	}
	waitFor(t, func() bool { return waiting(m) == n })
	close(held)
	all.Wait()
	if got := count(t, m); got != n/5*2 {
		t.Errorf("got %d organizations, want %d", got, n/5*2)
	}
}

// waiting is how many callers wait for the turn.
func waiting(m *Metadata) int {
	m.writer.mu.Lock()
	defer m.writer.mu.Unlock()
	return len(m.writer.waiting)
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for !condition() {
		if t.Context().Err() != nil {
			t.Fatal("waited in vain")
		}
		runtime.Gosched()
	}
}

// When the commit fails, nobody of the batch is told that all is well, and the
// store goes on.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	m := inDir(t)
	m.writer.batchTime = time.Hour // one batch, however slow the machine is
	// A constraint that SQLite checks at the commit.
	for _, statement := range []string{
		"CREATE TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
	} {
		if _, err := m.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.writer.alone(t.Context(), func(s *sqldb.Session) error {
		_, err := s.Exec(t.Context(), "PRAGMA foreign_keys = ON")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	held := make(chan struct{})
	errs := make(chan error, 10)
	var all sync.WaitGroup
	all.Go(func() {
		errs <- m.Update(t.Context(), func(cairn.Tx) error {
			<-held
			_, err := m.writer.session.Exec(context.Background(), "INSERT INTO child VALUES (1)")
			return err
		})
	})
	waitFor(t, func() bool { m.writer.mu.Lock(); defer m.writer.mu.Unlock(); return m.writer.taken })
	for i := range 9 {
		all.Go(func() {
			errs <- m.Update(t.Context(), func(tx cairn.Tx) error {
				if i == 8 {
					return mine
				}
				return createOrganization(i)(tx)
			})
		})
	}
	waitFor(t, func() bool { return waiting(m) == 9 })
	close(held)
	all.Wait()
	for range 10 {
		if err := <-errs; !errors.Is(err, cairn.Unavailable) {
			t.Errorf("got error %v, want Unavailable", err)
		}
	}
	if got := count(t, m); got != 0 {
		t.Errorf("got %d organizations of a batch that failed", got)
	}
	if err := m.Update(t.Context(), createOrganization(1)); err != nil {
		t.Errorf("after the failure: %v", err)
	}
	if got := count(t, m); got != 1 {
		t.Errorf("after the failure: got %d organizations, want 1", got)
	}
}

func TestContextOfWaiter(t *testing.T) {
	t.Parallel()
	m := inDir(t)
	held := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := m.Update(t.Context(), func(tx cairn.Tx) error { <-held; return createOrganization(1)(tx) }); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, func() bool { m.writer.mu.Lock(); defer m.writer.mu.Unlock(); return m.writer.taken })
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	all.Go(func() {
		left <- m.Update(ctx, func(cairn.Tx) error {
			t.Error("ran although its context is done")
			return nil
		})
	})
	waitFor(t, func() bool { return waiting(m) == 1 })
	all.Go(func() {
		if err := m.Update(t.Context(), createOrganization(2)); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, func() bool { return waiting(m) == 2 })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) || !errors.Is(err, cairn.Unavailable) {
		t.Errorf("got error %v", err)
	}
	close(held)
	all.Wait()
	if got := count(t, m); got != 2 {
		t.Errorf("got %d organizations, want 2", got)
	}
}

// Callers that leave at the very moment when their turn comes pass it on.
func TestContextsRace(t *testing.T) {
	t.Parallel()
	m, err := OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var all sync.WaitGroup
	var mu sync.Mutex
	want := 0
	for i := range 64 {
		all.Go(func() {
			for j := range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*j%17)*50*time.Microsecond)
				err := m.Update(ctx, createOrganization(i*1000+j))
				cancel()
				if err == nil {
					mu.Lock()
					want++
					mu.Unlock()
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := count(t, m); got != want {
		t.Errorf("got %d organizations, want %d", got, want)
	}
}

func TestCloseWaits(t *testing.T) {
	t.Parallel()
	m := inDir(t)
	var all sync.WaitGroup
	inside, held := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		err := m.View(t.Context(), func(tx cairn.Tx) error {
			close(inside)
			<-held
			_, err := tx.Organizations().List("", 1)
			return err
		})
		if err != nil {
			t.Errorf("the View that Close had to wait for: %v", err)
		}
	})
	<-inside
	closed := make(chan error)
	all.Go(func() { closed <- m.Close() })
	waitFor(t, func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.closed })
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	close(held)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	all.Wait()
}

func TestTransactionEnds(t *testing.T) {
	t.Parallel()
	m := inDir(t)
	for _, run := range []func(context.Context, func(cairn.Tx) error) error{m.View, m.Update} {
		var late cairn.Tx
		if err := run(t.Context(), func(tx cairn.Tx) error { late = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := late.Organizations().List("", 1); !errors.Is(err, cairn.Internal) {
			t.Errorf("a transaction that has ended: got error %v", err)
		}
	}
}

// The log does not grow without bound, though readers always overlap and
// writers never pause.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "metadata.db")
	m := at(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				err := m.View(t.Context(), func(tx cairn.Tx) error {
					if _, err := tx.Organizations().List("", 1); err != nil {
						return err
					}
					runtime.Gosched()
					_, err := tx.Organizations().List("", 1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	const total = 192 << 20
	var largest int64
	for w := range 4 {
		writers.Go(func() {
			for n := range total >> 20 / 4 {
				r := cairn.Repository{RepositoryKey: cairn.RepositoryKey{Organization: "o", Repository: cairn.RepositoryID(cairn.NewID())},
					Name: cairn.RepositoryName(fmt.Sprintf("%d-%d", w, n)), Format: git.SHA1}
				p := cairn.Pack{ID: cairn.PackID(r.Name), Data: make([]byte, 1<<20)}
				err := m.Update(t.Context(), func(tx cairn.Tx) error {
					if _, err := tx.Repositories().Create(r); err != nil {
						return err
					}
					if _, err := tx.Repositories().Advance(r.RepositoryKey); err != nil {
						return err
					}
					return tx.Packs().Add(r.RepositoryKey, p)
				})
				if err != nil {
					t.Error(err)
				}
				if info, err := os.Stat(path + "-wal"); err == nil && w == 0 {
					largest = max(largest, info.Size())
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	t.Logf("the log grew to %d MiB while %d were written", largest>>20, total>>20)
	if largest > 128<<20 {
		t.Errorf("the log grew to %d MiB", largest>>20)
	}
}

// An empty repository is a row and its place in the indexes, not more.
func TestEmptyRepositoryIsSmall(t *testing.T) {
	t.Parallel()
	m := inDir(t)
	size := func() (bytes int64) {
		row := m.db.QueryRowContext(t.Context(), "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
		if err := row.Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	before := size()
	const n = 5000
	err := m.Update(t.Context(), func(tx cairn.Tx) error {
		for i := range n {
			r := cairn.Repository{
				RepositoryKey: cairn.RepositoryKey{Organization: cairn.OrganizationID(cairn.NewID()), Repository: cairn.RepositoryID(cairn.NewID())},
				Name:          cairn.RepositoryName(fmt.Sprintf("team-%d/a-name-as-people-give-it", i)),
				DefaultBranch: "refs/heads/main", Format: git.SHA1, CreatedAt: time.Now(),
			}
			if _, err := tx.Repositories().Create(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	each := (size() - before) / n
	t.Logf("%d bytes for an empty repository", each)
	if each > 1024 {
		t.Errorf("got %d bytes for an empty repository, want at most 1024", each)
	}
}
