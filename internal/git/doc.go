// Package git holds Git's data model: object ids, objects, trees, commits,
// tags, ref names and the rules that stock git applies to them, as exact bytes.
// It does no I/O and knows nothing of storage, transport or the product.
// Formats that have a folder of their own (packs, the wire protocol, commit
// walks, diffs) live in the packages below it.
package git
