package odb

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// TreeSource is where trees are read from.
type TreeSource interface {
	Tree(ctx context.Context, id git.ObjectID) ([]byte, error)
}

// Lookup returns the entry at a path below a tree; NotFound if there is none.
// The empty path is the tree itself.
func (sn *Snapshot) Lookup(ctx context.Context, tree git.ObjectID, path string) (git.TreeEntry, error) {
	entry := git.TreeEntry{Mode: git.ModeTree, ID: tree}
	for rest := strings.Trim(path, "/"); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if !entry.Mode.IsTree() {
			return git.TreeEntry{}, noPath(path)
		}
		data, err := sn.Tree(ctx, entry.ID)
		if err != nil {
			return git.TreeEntry{}, err
		}
		var ok bool
		if entry, ok, err = git.FindTreeEntry(sn.format(), data, name); err != nil {
			return git.TreeEntry{}, err
		} else if !ok {
			return git.TreeEntry{}, noPath(path)
		}
	}
	return entry, nil
}

func noPath(path string) error {
	return cairn.Errorf(cairn.NotFound, "path %q not found", cairn.Clip(path))
}

// WalkOptions say which part of a tree Walk visits.
type WalkOptions struct {
	// Prefix is put before every path: where the tree hangs.
	Prefix string
	// After leaves out everything up to and including this path, in the order
	// of the walk. A tree's path ends in a slash here.
	After string
	// Recursive enters subtrees; else they are visited like files.
	Recursive bool
	// Trees visits the subtrees too that are entered, before what they hold.
	Trees bool
	// MaxEntries bounds the entries read; TooLarge beyond. 0: no bound.
	MaxEntries int64
}

// ErrStop ends a Walk early without an error.
var ErrStop = errors.New("stop")

// Walk visits the entries of a tree in Git's order, which is the byte order of
// their paths when a tree's path ends in a slash. f gets the path without that
// slash.
func (sn *Snapshot) Walk(ctx context.Context, tree git.ObjectID, o WalkOptions, f func(path string, e git.TreeEntry) error) error {
	w := &treeWalk{sn: sn, o: o, visit: f, path: []byte(o.Prefix)}
	if err := w.walk(ctx, tree, 0); !errors.Is(err, ErrStop) {
		return err
	}
	return nil
}

type treeWalk struct {
	sn    *Snapshot
	o     WalkOptions
	visit func(string, git.TreeEntry) error
	path  []byte // of the tree that is being read, with a slash at its end
	seen  int64
}

// maxTreeDepth ends the walk of a tree that nests without an end in sight.
// No push brings such a tree at once, but several can build one.
const maxTreeDepth = 4096

func tooDeep(tree git.ObjectID) error {
	return cairn.Errorf(cairn.TooLarge, "tree %s is more than %d levels deep", tree, maxTreeDepth)
}

func (w *treeWalk) walk(ctx context.Context, tree git.ObjectID, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxTreeDepth {
		return tooDeep(tree)
	}
	// Every entry costs the length of its path.
	if len(w.path) > git.MaxPathLength {
		return cairn.Errorf(cairn.TooLarge, "a path is longer than %d bytes; list folder by folder", git.MaxPathLength)
	}
	data, err := w.sn.Tree(ctx, tree)
	if err != nil {
		return err
	}
	base := len(w.path)
	r := git.NewTreeReader(w.sn.format(), data)
	for {
		more, err := r.Next()
		if err != nil || !more {
			return err
		}
		if w.seen++; w.o.MaxEntries > 0 && w.seen > w.o.MaxEntries {
			return cairn.Errorf(cairn.TooLarge, "more than %d tree entries (max-walk-entries); ask for a part of the tree", w.o.MaxEntries)
		}
		w.path = append(w.path[:base], r.Name...)
		entry := r.Entry()
		if !entry.Mode.IsTree() {
			if string(w.path) > w.o.After {
				err = w.visit(string(w.path), entry)
			}
		} else {
			err = w.subtree(ctx, entry, depth)
		}
		if err != nil {
			return err
		}
	}
}

func (w *treeWalk) subtree(ctx context.Context, entry git.TreeEntry, depth int) error {
	name := string(w.path)
	w.path = append(w.path, '/')
	after := w.o.After
	if !w.o.Recursive || w.o.Trees {
		if string(w.path) > after {
			if err := w.visit(name, entry); err != nil {
				return err
			}
		}
	}
	if !w.o.Recursive {
		return nil
	}
	// A subtree that lies before After as a whole is not read.
	if n := min(len(after), len(w.path)); string(w.path[:n]) < after[:n] {
		return nil
	}
	return w.walk(ctx, entry.ID, depth+1)
}

// TreeChange sets or deletes one path of a tree.
type TreeChange struct {
	Path string
	// Mode 0 keeps the mode of a regular file that is replaced, and means
	// git.ModeFile for anything else: new content for a path that is a
	// symbolic link replaces the link by a file; it never becomes the link's
	// target by accident, and is never written through it.
	Mode   git.FileMode
	ID     git.ObjectID
	Delete bool // of a file or of a whole folder

	// Changed is set by EditTree if the path is a file now that it was not, or
	// one with other content or mode. Where it is not set the path may yet have
	// changed.
	Changed bool
}

// EditTree applies changes, in order, to a base tree (the zero id: none) and
// returns the new root. New trees are given to emit, children first, which
// returns their ids; unchanged ones are not read. A later change of a path
// wins; a file gives way to a folder that is to hold another file, and a
// folder to a file. Deleting what is not there is NotFound.
func EditTree(ctx context.Context, f git.ObjectFormat, src TreeSource, base git.ObjectID, changes []TreeChange, emit func(tree []byte) (git.ObjectID, error)) (git.ObjectID, error) {
	e := treeEditor{format: f, src: src, emit: emit}
	root := &treeNode{}
	for i := range changes {
		changes[i].Changed = false
		root.apply(&changes[i])
	}
	id, err := e.edit(ctx, base, root)
	if err == nil && id.IsZero() {
		id, err = emit(nil)
	}
	return id, err
}

// treeNode is what is to become of one path. Without a change of its own it is
// a folder of which children change.
type treeNode struct {
	change   *TreeChange
	fresh    bool // nothing of the base is kept
	children map[string]*treeNode
}

func (n *treeNode) apply(c *TreeChange) {
	known := false // whether an earlier change already made the path
	for rest := c.Path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if n.change != nil { // a file or a deletion gives way to a folder
			n.change, n.fresh = nil, true
		}
		child := n.children[name]
		if known = child != nil; !known {
			child = &treeNode{fresh: n.fresh}
			if n.children == nil {
				n.children = map[string]*treeNode{}
			}
			n.children[name] = child
		}
		n = child
	}
	if known && c.Delete {
		// What is deleted may have been made by this very list of changes.
		*n = treeNode{change: &TreeChange{Path: c.Path, Delete: true}, fresh: true}
		return
	}
	*n = treeNode{change: c, fresh: n.fresh}
}

type treeEditor struct {
	format git.ObjectFormat
	src    TreeSource
	emit   func([]byte) (git.ObjectID, error)
}

// edit returns the id of the folder after the changes; zero if it is empty.
func (e *treeEditor) edit(ctx context.Context, base git.ObjectID, n *treeNode) (git.ObjectID, error) {
	if err := ctx.Err(); err != nil {
		return git.ObjectID{}, err
	}
	var entries []git.TreeEntry
	if !base.IsZero() && !n.fresh {
		data, err := e.src.Tree(ctx, base)
		if err != nil {
			return git.ObjectID{}, err
		}
		if entries, err = git.ParseTree(e.format, data); err != nil {
			return git.ObjectID{}, err
		}
	}
	before := slices.Clone(entries)
	at := make(map[string]int, len(n.children))
	if len(n.children) > 0 {
		for i := range entries {
			if n.children[entries[i].Name] != nil {
				at[entries[i].Name] = i
			}
		}
	}
	gone := git.FileMode(0)
	for name, child := range n.children {
		i, exists := at[name]
		var old git.TreeEntry
		if exists {
			old = entries[i]
		}
		entry, err := e.entry(ctx, old, exists, name, child)
		if err != nil {
			return git.ObjectID{}, err
		}
		switch {
		case exists:
			entries[i] = entry
		case entry.Mode != gone:
			entries = append(entries, entry)
		}
	}
	entries = slices.DeleteFunc(entries, func(t git.TreeEntry) bool { return t.Mode == gone })
	git.SortTree(entries)
	switch {
	case len(entries) == 0:
		return git.ObjectID{}, nil
	case slices.Equal(entries, before):
		return base, nil
	}
	return e.emit(git.EncodeTree(entries))
}

// entry returns what becomes of one name; a zero Mode means that it is gone.
func (e *treeEditor) entry(ctx context.Context, old git.TreeEntry, exists bool, name string, n *treeNode) (git.TreeEntry, error) {
	if c := n.change; c != nil {
		switch {
		case c.Delete && !exists && !n.fresh:
			return git.TreeEntry{}, cairn.Errorf(cairn.NotFound, "path %q cannot be deleted: it does not exist", cairn.Clip(c.Path))
		case c.Delete:
			return git.TreeEntry{}, nil
		}
		mode := c.Mode
		if mode == 0 {
			mode = git.ModeFile
			if exists && old.Mode.IsFile() && old.Mode&0o100 != 0 {
				mode = git.ModeExecutable
			}
		}
		entry := git.TreeEntry{Mode: mode, Name: name, ID: c.ID}
		c.Changed = !n.fresh && entry != old
		return entry, nil
	}
	var base git.ObjectID
	if exists && old.Mode.IsTree() {
		base = old.ID
	}
	id, err := e.edit(ctx, base, n)
	if err != nil || id.IsZero() {
		return git.TreeEntry{}, err
	}
	return git.TreeEntry{Mode: git.ModeTree, Name: name, ID: id}, nil
}
