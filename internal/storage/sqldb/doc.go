// Package sqldb is the one SQL implementation of cairn.Metadata's records: the
// schema with its migrations, and a Tx that runs on any connection of
// database/sql. Its rule is that a statement reads the same on every database;
// what differs is a word in a Dialect. The statements are right under
// serializable isolation, which, with opening, committing and retrying, is the
// business of the driver that embeds it (package sqlite).
package sqldb
