package sqldb

import (
	"github.com/pressly/goose/v3"
)

// Dialect is how one database says what the others say differently.
type Dialect struct {
	Goose goose.Dialect

	// Text and Bytes are the column types for UTF-8 text that compares byte
	// by byte and for raw bytes.
	Text, Bytes string
	// Compact ends the definition of a table whose rows are small and always
	// found by their primary key.
	Compact string
	// PassContext gives the transaction's context to every statement. Where
	// statements are too short to be worth interrupting, the context is only
	// looked at before each of them.
	PassContext bool
	// Anonymous turns parameters into question marks where that says the same.
	// Where they have names, SQLite looks for them in a list at each binding.
	Anonymous bool
}

// SQLite is the dialect of SQLite 3.35 and newer.
var SQLite = Dialect{
	Goose:   goose.DialectSQLite3,
	Text:    "TEXT",
	Bytes:   "BLOB",
	Compact: "WITHOUT ROWID",

	Anonymous: true,
}
