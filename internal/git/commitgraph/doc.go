// Package commitgraph reads and writes Git's commit-graph file, version 1
// (gitformat-commit-graph(5)): the links, dates and generation numbers of many
// commits, and for each a filter that tells which paths it did not change. A
// commit in the file is found and read without inflating anything, an ancestor
// is ruled out by its generation number, and most of a path's history by the
// filters.
//
// Its one rule: a file is a copy of what the commits say. Everything in it can
// be computed again, so a reader that finds it malformed does without, and no
// bytes, however malformed, make this package panic, loop or allocate more than
// the file itself holds.
//
// Chains of files (split commit-graphs) are left to git.
package commitgraph
