// Package pack reads, writes, receives and merges Git packs, version 2, and
// their indexes, version 2 (gitformat-pack(5)). A pack in hand is immutable
// bytes behind the interface Data; whatever comes from outside enters through
// Receive, which checks everything that a later reader relies on. Its one
// rule: no input, however malformed, makes it panic, loop, or allocate by a
// length that the input merely claims. It opens no files but the temporary
// ones that callers' factories give it, and it knows nothing of repositories,
// refs or stores.
package pack
