// Package graph walks commits: history in git's order, merge bases, ahead and
// behind, and where shallow clones are cut off. It reads
// commits through the interface Commits alone and keeps nothing between calls.
//
// Its one rule: the answers are those of stock git for the same commits, in
// the same order, even where committer dates run backwards. Dates only decide
// the order of work, except in a Walk with exclusions, which stops as git does
// once five commits in a row promise nothing new.
//
// Trees, blobs and tags are left to the callers: every id given to this
// package names a commit. A walk ends with the context's error soon after the
// context does.
package graph
