// Package dir keeps a Bucket in a directory of the local file system. Its rule
// is that a name appears under items only when the bytes behind it are whole
// and on the disk: they are written under tmp, synced, and then linked to
// their place. One process at a time owns the directory, which is the server's
// care. Nothing is kept in memory but which directories are known to be on the
// disk.
package dir
