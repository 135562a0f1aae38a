package sqldb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where the migrations that were applied are noted.
const versionTable = "schema_versions"

// ErrNewerSchema is in the chain of the error for a store that a newer program
// has migrated.
var ErrNewerSchema = errors.New("the metadata store was written by a newer version of cairn")

// Migrate brings the schema to the version that this program knows. It returns
// ErrNewerSchema, and changes nothing, when the schema is newer than that.
func Migrate(ctx context.Context, db *sql.DB, d Dialect) error {
	provider, err := newProvider(db, d)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > known {
		return fmt.Errorf("%w: its schema has version %d, this program knows %d; start a newer one", ErrNewerSchema, have, known)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema from version %d to %d: %w", have, known, err)
	}
	return nil
}

func newProvider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(d.Goose, db, dialectFS{files, d.words()},
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// words puts the dialect's words in the place of the ones in braces.
func (d Dialect) words() *strings.Replacer {
	return strings.NewReplacer("{text}", d.Text, "{bytes}", d.Bytes, " {compact}", strings.TrimRight(" "+d.Compact, " "))
}

// dialectFS is a file system whose SQL files are in one dialect.
type dialectFS struct {
	fs.FS
	words *strings.Replacer
}

// Open opens a file with its words replaced.
func (d dialectFS) Open(name string) (fs.File, error) {
	f, err := d.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return dialectFile{f, strings.NewReader(d.words.Replace(string(text)))}, nil
}

type dialectFile struct {
	fs.File
	text *strings.Reader
}

// Read reads the text after replacement.
func (f dialectFile) Read(p []byte) (int, error) { return f.text.Read(p) }
