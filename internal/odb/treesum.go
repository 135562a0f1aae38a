package odb

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// TreeSum is a sum of trees, see diff.Sum for what that is.
type TreeSum struct {
	Format  git.ObjectFormat
	Source  diff.Objects
	Entries int64 // the most tree entries that are read; TooLarge beyond
	// Emit takes the trees and blobs that are new and returns their ids. With
	// nil nothing is made, and no text is merged.
	Emit func(t git.ObjectType, data []byte) (git.ObjectID, error)
	// Conflict is told of each path of which the sum cannot be made, with one
	// entry for each term; a zero Mode means that a term has nothing there.
	Conflict func(path string, terms []git.TreeEntry) error
}

// maxSumFile is the largest file in bytes that is merged; a larger one that
// differs is a conflict.
const maxSumFile = 4 << 20

// Sum adds trees up path by path and returns a single tree or, if there are
// conflicts, one for each term: they are the same but for the conflicted paths,
// where each has what its term has. No renames are looked for.
func (s TreeSum) Sum(ctx context.Context, terms []git.ObjectID) ([]git.ObjectID, error) {
	if sum, ok := diff.Resolve(terms, func(a, b git.ObjectID) bool { return a == b }); ok {
		return []git.ObjectID{sum}, nil
	}
	entries := make([]git.TreeEntry, len(terms))
	for i, id := range terms {
		entries[i] = git.TreeEntry{Mode: git.ModeTree, ID: id}
	}
	a := &treeAdder{TreeSum: s, ctx: ctx, left: s.Entries}
	out, err := a.folder("", entries, 0)
	if err != nil {
		return nil, err
	}
	if s.Emit == nil {
		return nil, nil
	}
	trees := make([]git.ObjectID, len(out))
	for i, e := range out {
		if trees[i] = e.ID; e.Mode == 0 {
			if trees[i], err = s.Emit(git.TreeObject, nil); err != nil {
				return nil, err
			}
		}
	}
	return trees, nil
}

type treeAdder struct {
	TreeSum
	ctx  context.Context
	left int64
}

func sameEntry(a, b git.TreeEntry) bool { return a.Mode == b.Mode && a.ID == b.ID }

// entry adds up what lies at a path: one entry, or one for each term.
func (a *treeAdder) entry(path string, terms []git.TreeEntry, depth int) ([]git.TreeEntry, error) {
	if sum, ok := diff.Resolve(terms, sameEntry); ok {
		return []git.TreeEntry{sum}, nil
	}
	folders := slices.ContainsFunc(terms, func(e git.TreeEntry) bool { return e.Mode.IsTree() })
	if folders && !slices.ContainsFunc(terms, func(e git.TreeEntry) bool { return e.Mode != 0 && !e.Mode.IsTree() }) {
		return a.folder(path+"/", terms, depth+1)
	}
	if a.Emit != nil {
		sum, ok, err := a.file(terms)
		if ok || err != nil {
			return []git.TreeEntry{sum}, err
		}
	}
	if a.Conflict != nil {
		if err := a.Conflict(path, terms); err != nil {
			return nil, err
		}
	}
	return terms, nil
}

// folder adds up the entries of folders; a term without a Mode has none.
func (a *treeAdder) folder(path string, terms []git.TreeEntry, depth int) ([]git.TreeEntry, error) {
	if depth > maxTreeDepth {
		return nil, tooDeep(terms[0].ID)
	}
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	all := map[string][]git.TreeEntry{}
	for i, term := range terms {
		if term.Mode == 0 {
			continue
		}
		data, err := a.Source.Tree(a.ctx, term.ID)
		if err != nil {
			return nil, err
		}
		entries, err := git.ParseTree(a.Format, data)
		if err != nil {
			return nil, err
		}
		if a.left -= int64(len(entries)); a.left < 0 {
			return nil, cairn.Errorf(cairn.TooLarge, "merging reads more than %d tree entries (max-walk-entries)", a.Entries)
		}
		for _, e := range entries {
			if all[e.Name] == nil {
				all[e.Name] = make([]git.TreeEntry, len(terms))
			}
			all[e.Name][i] = e
		}
	}
	sums := make(map[string][]git.TreeEntry, len(all))
	n := 1
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sum, err := a.entry(path+name, all[name], depth)
		if err != nil {
			return nil, err
		}
		sums[name], n = sum, max(n, len(sum))
	}
	if a.Emit == nil {
		return terms[:n], nil
	}
	return a.build(sums, n)
}

// build makes a folder, or n of them.
func (a *treeAdder) build(sums map[string][]git.TreeEntry, n int) ([]git.TreeEntry, error) {
	out := make([]git.TreeEntry, n)
	for i := range out {
		var entries []git.TreeEntry
		for name, sum := range sums {
			e := sum[min(i, len(sum)-1)]
			if e.Name = name; e.Mode != 0 {
				entries = append(entries, e)
			}
		}
		if len(entries) == 0 {
			continue
		}
		git.SortTree(entries)
		id, err := a.Emit(git.TreeObject, git.EncodeTree(entries))
		if err != nil {
			return nil, err
		}
		out[i] = git.TreeEntry{Mode: git.ModeTree, ID: id}
	}
	return out, nil
}

// file adds up regular files by line, if that can be done.
func (a *treeAdder) file(terms []git.TreeEntry) (git.TreeEntry, bool, error) {
	var none git.TreeEntry
	terms = diff.Simplify(terms, sameEntry)
	modes := make([]git.FileMode, len(terms))
	texts := make([][]byte, len(terms))
	for i, e := range terms {
		if !e.Mode.IsFile() {
			return none, false, nil
		}
		modes[i] = e.Mode
		data, err := a.Source.Blob(a.ctx, e.ID, maxSumFile)
		if errors.Is(err, diff.ErrTooLarge) {
			return none, false, nil
		}
		if err != nil {
			return none, false, err
		}
		if texts[i] = data; IsBinary(data) {
			return none, false, nil
		}
	}
	mode, ok := diff.Resolve(modes, func(a, b git.FileMode) bool { return a == b })
	if !ok {
		return none, false, nil
	}
	parts, err := diff.Sum(a.ctx, texts)
	if err != nil {
		return none, false, err
	}
	var sum []byte
	for _, p := range parts {
		if p.Conflicted() {
			return none, false, nil
		}
		sum = append(sum, p.Text...)
	}
	id, err := a.Emit(git.BlobObject, sum)
	return git.TreeEntry{Mode: mode, ID: id}, err == nil, err
}

// IsBinary tells whether git would take a file for a binary one.
func IsBinary(data []byte) bool { return bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 }

// ReadTree returns a tree of the merge, one of those that git wrote or one of
// the repository.
func (m *Merge) ReadTree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	data, written, err := m.view.looseTree(id)
	if err == nil && !written {
		data, err = m.view.sn.Tree(ctx, id)
	}
	return data, err
}

// TakeEntry puts a version of a conflict into a pack, if the repository does
// not keep it already.
func (m *Merge) TakeEntry(ctx context.Context, pack *PackBuilder, e git.TreeEntry) error {
	if e.Mode == 0 || e.Mode.IsSubmodule() {
		return nil
	}
	t := taker{view: m.view, pack: pack, done: map[git.ObjectID]bool{}}
	return t.entry(ctx, e, nil)
}
