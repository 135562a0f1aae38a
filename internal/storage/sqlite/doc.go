// Package sqlite keeps cairn's metadata in one SQLite file. Its rule is group
// commit: one transaction of the database carries every Update that was
// waiting when it began, each in a savepoint, so that one fsync pays for all of
// them; no Update returns before its bytes are on the disk. Views read
// snapshots on connections of their own and wait for nobody. The records
// themselves are package sqldb's; that only one process opens the file is the
// server's care.
package sqlite
