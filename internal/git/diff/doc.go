// Package diff compares trees and texts as stock git does, byte for byte: the
// changes between two trees with rename detection, and the unified patch of
// one change with its headers. Its one rule is that its output is git's own:
// the same lines are chosen, slid, scored and quoted as by git diff-tree -p -M
// (git 2.39, no configuration, no attributes). Every walk, read and search has
// a bound. It reads objects through Objects and leaves their storage, the
// choice of what to compare and merging to its callers.
package diff
