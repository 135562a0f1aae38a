package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// openSession opens a new database with the schema.
func openSession(t *testing.T) (*sql.DB, *Session) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := Migrate(t.Context(), db, SQLite); err != nil {
		t.Fatal(err)
	}
	s, err := NewSession(t.Context(), db, SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	db, _ := openSession(t)
	if err := Migrate(t.Context(), db, SQLite); err != nil {
		t.Fatal(err)
	}
}

// What a store held before the packs had roles is there after the migration.
func TestMigratePacks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	provider, err := newProvider(db, SQLite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO repositories VALUES ('o', 'r', 'name', x'6d', 20, 1, NULL, 7)`,
		`INSERT INTO packs VALUES ('o', 'p', 3, 4, 5, '', 6, x'01', x'02'), ('o', 'q', 3, 4, 5, 'key', 6, NULL, NULL)`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := Migrate(ctx, db, SQLite); err != nil {
		t.Fatal(err)
	}
	s, err := NewSession(ctx, db, SQLite)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = Run(ctx, s, Read, func(tx cairn.Tx) error {
		r, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: "o", Repository: "r"})
		if err != nil || r.Version != 7 || r.Fence != 0 {
			t.Errorf("got repository %+v, %v", r, err)
		}
		p, err := tx.Packs().Get("o", "p")
		if err != nil || p.Role != cairn.MixedPack || p.Sidecars || string(p.Data) != "\x02" || string(p.Index) != "\x01" || p.IndexSize != 5 {
			t.Errorf("got pack %+v, %v", p, err)
		}
		q, err := tx.Packs().Get("o", "q")
		if err != nil || q.Key != "key" || q.Data != nil {
			t.Errorf("got pack %+v, %v", q, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The store can be parted by organization: it leads every primary key but those
// of what the whole server has.
func TestKeysStartWithOrganization(t *testing.T) {
	t.Parallel()
	create := regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\)`)
	primary := regexp.MustCompile(`PRIMARY KEY \((\w+)`)
	tables := 0
	err := fs.WalkDir(migrations, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations, path)
		if err != nil {
			return err
		}
		for _, table := range create.FindAllStringSubmatch(string(text), -1) {
			tables++
			// The others are of the whole server.
			want := map[string]string{"organizations": "id", "users": "id", "user_tokens": "digest", "number_counters": "kind"}[table[1]]
			if want == "" {
				want = "organization"
			}
			if key := primary.FindStringSubmatch(table[2]); key == nil || key[1] != want {
				t.Errorf("%s: the primary key of %s is %q, want that it starts with %s", path, table[1], key, want)
			}
		}
		return nil
	})
	if err != nil || tables < 8 {
		t.Errorf("found %d tables, %v", tables, err)
	}
}

// All words of the schema are replaced in every dialect.
func TestDialectWords(t *testing.T) {
	t.Parallel()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dialect{SQLite, {Text: "TEXT", Bytes: "BYTEA"}} {
		names, err := fs.Glob(dialectFS{files, d.words()}, "*.sql")
		if err != nil || len(names) == 0 {
			t.Fatalf("got files %v, %v", names, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(dialectFS{files, d.words()}, name)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if !strings.HasPrefix(line, "--") && strings.ContainsAny(line, "{}") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
}

// No statement reads a whole table: each finds its rows by a key or an index.
func TestStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	_, s := openSession(t)
	ctx := t.Context()
	if _, err := s.Exec(ctx, "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if err := Run(ctx, s, Write, useAll); err != nil {
		t.Fatal(err)
	}
	statements, indexed := 0, 0
	for query := range s.stmts {
		if !strings.Contains(query, " WHERE ") && !strings.Contains(query, "SELECT ") {
			continue
		}
		statements++
		args := make([]any, strings.Count(query, "$")) // null will do for a plan
		rows, err := s.conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if index := indexOf(query); strings.HasPrefix(detail, "SEARCH ") && !strings.Contains(detail, index) {
				t.Errorf("%s:\n%s, want %s", query, detail, index)
			} else if index != "" && strings.Contains(detail, index) {
				indexed++
			}
			if strings.HasPrefix(detail, "SCAN ") && !ofParameters.MatchString(detail) || strings.Contains(detail, "TEMP B-TREE") && !slices.Contains(sorted, table(query)) {
				t.Errorf("%s:\n%s", query, detail)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if statements < 20 || indexed != 2 {
		t.Errorf("saw only %d statements, %d of a certain index", statements, indexed)
	}
}

// indexOf is the index by which a statement must find its rows, where the key of
// the organization, in which there may be many, would do for a plan; or nothing.
func indexOf(query string) string {
	switch {
	case strings.Contains(query, "lower(name) BETWEEN $2"):
		return "repositories_folded"
	case strings.Contains(query, "parent BETWEEN $2"):
		return "repositories_forks"
	}
	return ""
}

// ofParameters are the rows that a statement was given.
var ofParameters = regexp.MustCompile(`^SCAN (CONSTANT ROW|[0-9]+-ROW VALUES CLAUSE|forks)$`)

// sorted are the tables from which few rows are read and then sorted, or those
// of one time.
var sorted = []string{"public_keys", "manifests", "garbage", "repositories", "events"}

// table is the first table that a statement names.
func table(query string) string {
	return regexp.MustCompile(`(?:FROM|UPDATE|INTO) (\w+)`).FindStringSubmatch(query)[1]
}

// useAll uses every statement.
func useAll(tx cairn.Tx) error {
	var errs []error
	try := func(err error) {
		if err != nil && cairn.KindOf(err) != cairn.NotFound {
			errs = append(errs, err)
		}
	}
	now := time.Now()
	id := git.MustParseObjectID("1111111111111111111111111111111111111111")
	try(tx.Organizations().Create(cairn.Organization{ID: "o", Name: "o"}))
	_, err := tx.Organizations().Find("o")
	try(err)
	_, err = tx.Organizations().List("", 1)
	try(err)
	try(tx.Keys().Add(cairn.PublicKey{Organization: "o", ID: "k"}))
	try(tx.Keys().Revoke("o", "k", now))
	_, err = tx.Keys().List("o")
	try(err)
	a := cairn.Repository{RepositoryKey: cairn.RepositoryKey{Organization: "o", Repository: "a"}, Name: "a"}
	b := cairn.Repository{RepositoryKey: cairn.RepositoryKey{Organization: "o", Repository: "b"}, Name: "b"}
	for _, r := range []cairn.Repository{a, b} {
		_, err = tx.Repositories().Create(r)
		try(err)
		_, err = tx.Repositories().Advance(r.RepositoryKey)
		try(err)
	}
	if _, err = tx.Repositories().FindFolded("o", "Nothing"); !errors.Is(err, cairn.NotFound) {
		try(err)
	}
	_, err = tx.Repositories().Forks(a.RepositoryKey, 1)
	try(err)
	_, err = tx.Repositories().Find("o", "a")
	try(err)
	for _, query := range []string{"", "q"} {
		_, err = tx.Repositories().List("o", query, "", 1)
		try(err)
	}
	for _, keys := range [][]cairn.RepositoryKey{{a.RepositoryKey}, {a.RepositoryKey, b.RepositoryKey}} {
		_, err = tx.Repositories().Some(keys)
		try(err)
		_, err = tx.Repositories().Facts(keys)
		try(err)
		_, err = tx.Roles().OfEach("u", keys)
		try(err)
	}
	_, err = tx.Repositories().Visible("o", "u", 1)
	try(err)
	thing := cairn.NumberedRepository(a.RepositoryKey)
	for _, things := range [][]cairn.Numbered{{thing}, {thing, thing}} {
		_, err = tx.Numbers().OfEach(things)
		try(err)
	}
	_, err = tx.Accounts().Find("o")
	try(err)
	_, err = tx.Accounts().Of("u")
	try(err)
	for _, ids := range [][]cairn.OrganizationID{{"o"}, {"o", "p"}} {
		_, err = tx.Accounts().Get(ids)
		try(err)
	}
	for _, emails := range [][]string{{"a@b"}, {"a@b", "c@d"}} {
		_, err = tx.Accounts().WithEmails(emails)
		try(err)
	}
	try(tx.Repositories().SetDefaultBranch(a.RepositoryKey, "refs/heads/b"))
	for _, u := range []cairn.RefUpdate{{Name: "r"}, {Name: "r", New: id}, {Name: "r", Old: id, New: id}, {Name: "r", Old: id}} {
		try(tx.Refs().Update(a.RepositoryKey, 1, now, []cairn.RefUpdate{u}))
	}
	_, err = tx.Refs().Get(a.RepositoryKey, "r")
	try(err)
	for _, prefix := range []string{"", "r", "\xff"} {
		_, err = tx.Refs().List(a.RepositoryKey, prefix)
		try(err)
	}
	try(tx.Packs().Add(a.RepositoryKey, cairn.Pack{ID: "p"}))
	_, err = tx.Packs().Manifest(a.RepositoryKey)
	try(err)
	_, err = tx.Packs().Get("o", "p")
	try(err)
	try(tx.Packs().Share(a.RepositoryKey, b.RepositoryKey))
	for _, r := range []cairn.Repository{a, b} {
		try(tx.Packs().Replace(r.RepositoryKey, []cairn.PackID{"p"}, nil, now))
	}
	_, err = tx.Packs().Garbage(now, 1)
	try(err)
	_, err = tx.Packs().Collect("o", "p")
	try(err)
	try(tx.Events().Append(a.RepositoryKey, []cairn.Event{{Version: 1}}))
	_, err = tx.Events().List(a.RepositoryKey, 0, 0, 1)
	try(err)
	_, err = tx.Events().Targets(a.RepositoryKey, now, 0)
	try(err)
	_, err = tx.Events().ListBack(a.RepositoryKey, 9, 0, 1)
	try(err)
	_, err = tx.Events().VersionAt(a.RepositoryKey, now)
	try(err)
	try(tx.Repositories().SetPurged(a.RepositoryKey, now))
	j := cairn.Job{JobKey: cairn.JobKey{RepositoryKey: a.RepositoryKey, Kind: "k", Name: "n"}, DueAt: now}
	try(tx.Jobs().Enqueue(j))
	try(tx.Jobs().Remind(j))
	_, err = tx.Jobs().Due("k", now, nil, 1)
	try(err)
	for _, end := range []func(cairn.Job) error{
		func(j cairn.Job) error { return tx.Jobs().Renew(j, now) },
		func(j cairn.Job) error { return tx.Jobs().Retry(j, now, "why") },
		func(j cairn.Job) error { return tx.Jobs().Release(j, now) },
		tx.Jobs().Finish,
	} {
		claimed, err := tx.Jobs().Claim(j.JobKey, now, now)
		try(err)
		try(end(claimed))
	}
	hook := cairn.Webhook{Organization: "o", ID: "h", Repositories: []cairn.RepositoryID{"a"}, Secret: []byte("s")}
	try(tx.Webhooks().Create(hook))
	try(tx.Webhooks().Update(hook))
	_, err = tx.Webhooks().Watching(a.RepositoryKey)
	try(err)
	for _, repo := range []cairn.RepositoryID{"", "a"} {
		_, err = tx.Webhooks().List("o", "f", repo, "", 1)
		try(err)
		_, err = tx.Webhooks().Count("o", "f", repo)
		try(err)
	}
	try(tx.Webhooks().Announce("o", "h", "a", []cairn.Delivery{{ID: "d"}}))
	_, err = tx.Webhooks().Waiting("o", "h", "a", 1)
	try(err)
	_, err = tx.Webhooks().Backlog("o", "h", 1)
	try(err)
	try(tx.Webhooks().Attempted(cairn.Delivery{Organization: "o", Webhook: "h", Repository: "a", Sequence: 1, State: cairn.DeliveryFailed, EndedAt: now}))
	try(tx.Webhooks().EndWaiting("o", "h", now, "why"))
	_, err = tx.Webhooks().Delivery("o", "h", "d")
	try(err)
	_, err = tx.Webhooks().Deliveries("o", "h", "", 1)
	try(err)
	_, err = tx.Webhooks().Forget(now, 1)
	try(err)
	_, err = tx.Webhooks().Get("o", "h")
	try(err)
	try(tx.Webhooks().Delete("o", "h"))
	_, err = tx.Jobs().Get(j.JobKey)
	try(err)
	_, err = tx.Repositories().SetFence(a.RepositoryKey)
	try(err)
	for _, r := range []cairn.Repository{a, b} {
		try(tx.Repositories().Delete(r.RepositoryKey, now))
	}
	_, err = tx.Repositories().Deleted(now.Add(time.Hour), 1)
	try(err)
	_, err = tx.Repositories().DeletedOf("o", now.Add(-time.Hour), cairn.Repository{}, 1)
	try(err)
	try(tx.Repositories().Restore(b.RepositoryKey))
	try(tx.Repositories().Delete(b.RepositoryKey, now))
	_, err = tx.Repositories().Purge(a.RepositoryKey, now, 100)
	try(err)
	_, err = tx.Repositories().Get(a.RepositoryKey)
	try(err)
	try(tx.Organizations().Delete("o"))
	return errors.Join(errs...)
}

// What lies in a column of the wrong type is an error, not a panic.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	_, s := openSession(t)
	for name, read := range map[string]func(*Row){
		"int":       func(r *Row) { r.Int(0) },
		"text":      func(r *Row) { r.Text(1) },
		"bytes":     func(r *Row) { r.Bytes(0) },
		"moment":    func(r *Row) { r.Moment(0) },
		"object id": func(r *Row) { r.ObjectID(2) },
	} {
		err := s.Query(t.Context(), "SELECT 'text', 1, x'0102'", nil, read)
		if !errors.Is(err, cairn.Internal) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// A failure of the store cannot be swallowed, and its kind is Unavailable.
func TestFailureSticks(t *testing.T) {
	t.Parallel()
	_, s := openSession(t)
	if _, err := s.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Exec(t.Context(), "DROP TABLE events"); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), s, Write, func(tx cairn.Tx) error {
		tx.Events().List(cairn.RepositoryKey{}, 0, 0, 1)
		if _, err := tx.Organizations().List("", 1); !errors.Is(err, cairn.Unavailable) {
			t.Errorf("after a failure: got error %v", err)
		}
		return nil
	})
	if !errors.Is(err, cairn.Unavailable) {
		t.Errorf("got error %v", err)
	}
}

// A context that is done between two statements ends a View.
func TestContextBetweenStatements(t *testing.T) {
	t.Parallel()
	_, s := openSession(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, s, Read, func(tx cairn.Tx) error {
		if _, err := tx.Organizations().List("", 1); err != nil {
			t.Error(err)
		}
		cancel()
		_, err := tx.Organizations().List("", 1)
		return err
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cairn.Unavailable) {
		t.Errorf("got error %v", err)
	}
}

func TestAnonymousParameters(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"BEGIN":                         "BEGIN",
		"SELECT $1, $2, CAST($3 AS X)":  "SELECT ?, ?, CAST(? AS X)",
		"SELECT $2, $1":                 "SELECT $2, $1",
		"SELECT $1, $1":                 "SELECT $1, $1",
		"SELECT $1, $2 UNION SELECT $1": "SELECT $1, $2 UNION SELECT $1",
	} {
		if got := anonymous(query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}
