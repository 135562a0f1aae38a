package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Mode tells what a transaction may do.
type Mode bool

// The modes.
const (
	Read  Mode = false
	Write Mode = true
)

var (
	errReadOnly   = cairn.Errorf(cairn.Internal, "write in a read-only transaction")
	errEnded      = cairn.Errorf(cairn.Internal, "use of a transaction that has ended")
	errNoAdvance  = cairn.Errorf(cairn.Internal, "write to a repository without Advance in the same transaction")
	errPackPlaces = cairn.Errorf(cairn.Internal, "a pack lies either inline or in the bucket")
)

// Tx is a cairn.Tx on a Session.
type Tx struct {
	ctx      context.Context
	session  *Session
	mode     Mode
	ended    bool
	err      error // why the transaction cannot succeed any more
	advanced []advance
	touched  []cairn.RepositoryKey // whose rows may have changed, each once
}

// advance is a repository that the transaction may write to.
type advance struct {
	key     cairn.RepositoryKey
	version int64
}

// Run runs f in the transaction that is open on the session; to begin and end
// that is the caller's business. It returns f's error, or, when f returned
// nil, an error that f should have passed on.
func Run(ctx context.Context, s *Session, m Mode, f func(cairn.Tx) error) error {
	_, err := RunTouching(ctx, s, m, f)
	return err
}

// RunTouching is Run, and returns the repositories whose rows f changed, each
// once, if its error is nil.
func RunTouching(ctx context.Context, s *Session, m Mode, f func(cairn.Tx) error) ([]cairn.RepositoryKey, error) {
	tx := &Tx{ctx: ctx, session: s, mode: m}
	defer tx.end()
	if err := f(tx); err != nil {
		return nil, err
	}
	return tx.touched, tx.err
}

// touch notes that the transaction changes a repository's row. Methods that need
// Advance before need not call it.
func (t *Tx) touch(key cairn.RepositoryKey) {
	if !slices.Contains(t.touched, key) {
		t.touched = append(t.touched, key)
	}
}

func (t *Tx) end() { t.ended = true }

// Organizations returns the tenants.
func (t *Tx) Organizations() cairn.Organizations { return organizations{t} }

// Accounts returns the organizations as people see them.
func (t *Tx) Accounts() cairn.Accounts { return accounts{t} }

// Keys returns the organizations' public keys.
func (t *Tx) Keys() cairn.Keys { return keys{t} }

// APIKeys returns the organizations' API keys.
func (t *Tx) APIKeys() cairn.APIKeys { return apiKeys{t} }

// Repositories returns the repositories' rows.
func (t *Tx) Repositories() cairn.Repositories { return repositories{t} }

// Refs returns the refs.
func (t *Tx) Refs() cairn.Refs { return refs{t} }

// Packs returns the packs and manifests.
func (t *Tx) Packs() cairn.Packs { return packs{t} }

// Events returns the repositories' logs.
func (t *Tx) Events() cairn.Events { return events{t} }

// Webhooks returns the webhooks and their deliveries.
func (t *Tx) Webhooks() cairn.Webhooks { return webhooks{t} }

// Numbers returns the numbers of things.
func (t *Tx) Numbers() cairn.Numbers { return numbers{t} }

// AccessKeys returns the organizations' access keys.
func (t *Tx) AccessKeys() cairn.AccessKeys { return accessKeys{t} }

// Projects returns the organizations' projects.
func (t *Tx) Projects() cairn.Projects { return projects{t} }

// Jobs returns the jobs that are not done yet.
func (t *Tx) Jobs() cairn.Jobs { return jobs{t} }

// Receipts returns the requests with idempotency keys.
func (t *Tx) Receipts() cairn.Receipts { return receipts{t} }

// Upstreams returns how far repositories are with their upstreams.
func (t *Tx) Upstreams() cairn.Upstreams { return upstreams{t} }

// Credentials returns the credentials for upstreams.
func (t *Tx) Credentials() cairn.Credentials { return credentials{t} }

// Changes returns which commits changes have had.
func (t *Tx) Changes() cairn.Changes { return changes{t} }

// Users returns the users with their tokens.
func (t *Tx) Users() cairn.Users { return users{t} }

// Roles returns what users may do.
func (t *Tx) Roles() cairn.Roles { return roles{t} }

// SSHKeys returns the SSH keys of users, access keys and repositories.
func (t *Tx) SSHKeys() cairn.SSHKeys { return sshKeys{t} }

// exec runs a statement that writes and returns how many rows it changed.
func (t *Tx) exec(query string, args ...driver.Value) (int64, error) {
	ctx, err := t.begin(Write)
	if err != nil {
		return 0, err
	}
	n, err := t.session.Exec(ctx, query, args...)
	return n, t.failed(err)
}

// query calls each for the rows of a query. One that also writes says so by its
// mode.
func (t *Tx) query(m Mode, query string, args []driver.Value, each func(*Row)) error {
	ctx, err := t.begin(m)
	if err != nil {
		return err
	}
	return t.failed(t.session.Query(ctx, query, args, each))
}

// begin tells whether a statement may run now, and in which context.
func (t *Tx) begin(m Mode) (context.Context, error) {
	switch {
	case t.ended:
		return nil, errEnded
	case t.err != nil:
		return nil, t.err
	case m == Write && t.mode == Read:
		return nil, errReadOnly
	}
	if err := t.ctx.Err(); err != nil {
		return nil, t.failed(err)
	}
	if t.session.dialect.PassContext {
		return t.ctx, nil
	}
	return context.Background(), nil
}

// failed makes err an error for the caller of the transaction and lets the
// whole transaction fail with it.
func (t *Tx) failed(err error) error {
	if err == nil {
		return nil
	}
	t.err = Unavailable(err)
	return t.err
}

// spoil lets the whole transaction fail with err, because it is left half done.
func (t *Tx) spoil(err error) error {
	t.err = err
	return err
}

// Unavailable wraps a failure of the store.
func Unavailable(err error) error {
	var known *cairn.Error
	if errors.As(err, &known) {
		return err
	}
	return cairn.Errorf(cairn.Unavailable, "metadata store: %w", err)
}

// version returns the version to which the transaction advanced a repository.
func (t *Tx) version(key cairn.RepositoryKey) (int64, error) {
	for _, a := range t.advanced {
		if a.key == key {
			return a.version, nil
		}
	}
	if t.mode == Read {
		return 0, errReadOnly
	}
	return 0, errNoAdvance
}

// exists tells whether a query has a row.
func (t *Tx) exists(query string, args ...driver.Value) (found bool, err error) {
	err = t.query(Read, query, args, func(*Row) { found = true })
	return found, err
}

// values are the arguments of a statement.
func values(args ...driver.Value) []driver.Value { return args }

// limit is a limit as a statement takes it.
func limit(n int) int64 { return int64(max(n, 0)) }

func micros(t time.Time) int64 { return t.UnixMicro() }

// laterMicros is micros for a time that has not come as long as it is zero.
func laterMicros(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// target is an object id as it is stored; null for the zero id.
func target(id git.ObjectID) driver.Value {
	if id.IsZero() {
		return nil
	}
	return id.AppendTo(nil)
}
