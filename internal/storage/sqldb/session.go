package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Statements number their parameters ($1), which both SQLite and PostgreSQL
// understand. A limit and a pattern are cast to their types: SQLite looks at the
// value of a bare parameter there to plan the statement, and would prepare it
// again for each value, at three times the cost.

// Session is one connection to the database whose statements are prepared at
// first use and kept. It serves one transaction at a time. It takes its
// connection from database/sql, but speaks to the driver itself: the layer
// between costs as much as a short statement of an embedded database.
type Session struct {
	dialect Dialect
	conn    *sql.Conn
	stmts   map[string]statement
	args    []driver.NamedValue // the arguments of the last statement
	row     Row                 // the last row
	ran     *atomic.Int64
}

// statement is what a driver must be able to do with a prepared statement.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// NewSession takes a connection of its own from db; Close gives it up.
func NewSession(ctx context.Context, db *sql.DB, d Dialect) (*Session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the metadata store: %w", err)
	}
	return &Session{dialect: d, conn: conn, stmts: map[string]statement{}, ran: new(atomic.Int64)}, nil
}

// CountIn has the session add one to a counter for each statement that it runs.
func (s *Session) CountIn(ran *atomic.Int64) { s.ran = ran }

// Exec runs a statement and returns how many rows it changed. An argument is
// an int64, a string, a []byte or nil.
func (s *Session) Exec(ctx context.Context, query string, args ...driver.Value) (n int64, err error) {
	s.ran.Add(1)
	err = s.conn.Raw(func(conn any) error {
		stmt, err := s.prepare(ctx, conn, query)
		if err != nil {
			return err
		}
		result, err := stmt.ExecContext(ctx, s.named(args))
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// Query runs a statement and calls each for its rows. The Row is good only
// until each returns.
func (s *Session) Query(ctx context.Context, query string, args []driver.Value, each func(*Row)) error {
	s.ran.Add(1)
	return s.conn.Raw(func(conn any) error {
		stmt, err := s.prepare(ctx, conn, query)
		if err != nil {
			return err
		}
		rows, err := stmt.QueryContext(ctx, s.named(args))
		if err != nil {
			return err
		}
		return errors.Join(s.read(rows, each), rows.Close())
	})
}

func (s *Session) read(rows driver.Rows, each func(*Row)) error {
	n := len(rows.Columns())
	if cap(s.row.values) < n {
		s.row.values = make([]driver.Value, n)
	}
	s.row = Row{values: s.row.values[:n]}
	defer clear(s.row.values)
	for {
		err := rows.Next(s.row.values)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if each(&s.row); s.row.err != nil {
			return s.row.err
		}
	}
}

// named makes the arguments what a driver expects.
func (s *Session) named(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return s.args
}

func (s *Session) prepare(ctx context.Context, conn any, query string) (statement, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	preparer, ok := conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, fmt.Errorf("database driver %T prepares no statements", conn)
	}
	text := query
	if s.dialect.Anonymous {
		text = anonymous(query)
	}
	prepared, err := preparer.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	stmt, ok := prepared.(statement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("database driver has statements without a context: %T", prepared), prepared.Close())
	}
	s.stmts[query] = stmt
	return stmt, nil
}

var parameter = regexp.MustCompile(`\$[0-9]+`)

// anonymous writes a question mark for each parameter of a statement that has
// $1, $2 and so on, each once and in order; it returns any other as it is.
func anonymous(query string) string {
	inOrder := true
	n := 0
	text := parameter.ReplaceAllStringFunc(query, func(name string) string {
		n++
		inOrder = inOrder && name == "$"+strconv.Itoa(n)
		return "?"
	})
	if !inOrder {
		return query
	}
	return text
}

// Close drops the connection and whatever transaction is open on it.
func (s *Session) Close() error {
	var errs []error
	err := s.conn.Raw(func(any) error {
		for _, stmt := range s.stmts {
			errs = append(errs, stmt.Close())
		}
		return driver.ErrBadConn // so that it is closed instead of pooled
	})
	if !errors.Is(err, driver.ErrBadConn) {
		errs = append(errs, err)
	}
	if err := s.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Row is a row of a result. Its methods return the column at an index; one of
// another type is an error of the query.
type Row struct {
	values []driver.Value
	err    error
}

// Int returns an integer.
func (r *Row) Int(i int) int64 {
	n, ok := r.values[i].(int64)
	if !ok {
		r.mismatch(i, "an integer")
	}
	return n
}

// Text returns a text.
func (r *Row) Text(i int) string {
	switch s := r.values[i].(type) {
	case string:
		return s
	case []byte:
		return string(s)
	}
	r.mismatch(i, "text")
	return ""
}

// Bytes returns bytes, nil for null, that are good as long as the row.
func (r *Row) Bytes(i int) []byte {
	b, ok := r.values[i].([]byte)
	if !ok && r.values[i] != nil {
		r.mismatch(i, "bytes")
	}
	return b
}

// Moment returns a time, the zero time for null.
func (r *Row) Moment(i int) time.Time {
	if r.values[i] == nil {
		return time.Time{}
	}
	return time.UnixMicro(r.Int(i)).UTC()
}

// ObjectID returns an object id, the zero one for null.
func (r *Row) ObjectID(i int) git.ObjectID {
	id, err := git.ObjectIDFromBytes(r.Bytes(i))
	if err != nil {
		r.mismatch(i, "an object id")
	}
	return id
}

func (r *Row) mismatch(i int, want string) {
	if r.err == nil {
		r.err = cairn.Errorf(cairn.Internal, "metadata store: column %d holds a %T where %s should be", i, r.values[i], want)
	}
}
