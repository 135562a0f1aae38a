// Package odb holds a repository's objects over the two stores: immutable packs
// listed by a manifest, and refs. A Snapshot is one state of a repository and
// is read without blocking any write; Apply is the one way in which a
// repository changes: new packs and ref moves in one metadata transaction.
// Forks share packs, so an object id from outside must pass
// Snapshot.Reachable before anything of the object is shown. What a caller may
// do is decided above, in package service.
package odb
