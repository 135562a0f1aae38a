package odb

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// commitTree visits what a commit's tree has and none of its parents' trees.
// theirs tells which parents are the client's.
func (e *enumeration) commitTree(ctx context.Context, links git.CommitLinks, theirs func(git.ObjectID) bool) error {
	if !e.filter.Includes(git.TreeObject) && !e.filter.Includes(git.BlobObject) || e.maxDepth == 0 {
		return nil
	}
	at, ok := e.sn.place(links.Tree)
	if !ok {
		if links.Tree == e.sn.format().EmptyTree() {
			return nil
		}
		return missing(links.Tree)
	}
	if e.isDone(at, 0) {
		return nil
	}
	var bases []base
	for _, parent := range links.Parents[:min(len(links.Parents), maxBases)] {
		parentAt, ok := e.sn.place(parent)
		if !ok {
			return missing(parent)
		}
		parentLinks, err := e.commitLinks(parent, parentAt)
		if err != nil {
			return err
		}
		isTheirs := theirs(parent)
		if parentLinks.Tree == links.Tree {
			return nil
		}
		b, ok, err := e.base(parentLinks.Tree, isTheirs)
		if err != nil {
			return err
		}
		if ok {
			bases = append(bases, b)
		}
	}
	if e.filter.Includes(git.TreeObject) {
		e.objects.add(at)
		e.listing.add(at, git.TreeObject, nil)
	}
	return e.tree(ctx, links.Tree, at, 0, bases)
}

// base is the tree of another commit at the path that is being visited.
type base struct {
	reader git.TreeReader // on the entry where the comparison is
	more   bool
	theirs bool
}

func (e *enumeration) base(id git.ObjectID, theirs bool) (base, bool, error) {
	at, ok := e.sn.place(id)
	if !ok {
		if id == e.sn.format().EmptyTree() {
			return base{}, false, nil
		}
		return base{}, false, missing(id)
	}
	data, err := e.read.object(at, git.TreeObject)
	if err != nil {
		return base{}, false, err
	}
	if theirs {
		e.has.add(at)
	}
	b := base{reader: git.NewTreeReader(e.sn.format(), data), theirs: theirs}
	b.more, err = b.reader.Next()
	return b, true, err
}

// isDone tells whether a tree was visited so that a visit at that depth finds
// nothing more, or is the client's.
func (e *enumeration) isDone(at place, depth int) bool {
	if e.has.has(at) {
		return true
	}
	if e.depths == nil {
		return e.seen.has(at)
	}
	before, ok := e.depths[at]
	return ok && before <= depth
}

// tree visits the entries of a tree that is itself planned or left out by its
// caller. What a base has too is passed over: whoever put the base there
// answers for it.
func (e *enumeration) tree(ctx context.Context, id git.ObjectID, at place, depth int, bases []base) error {
	if depth > maxTreeDepth {
		return tooDeep(id)
	}
	if e.depths != nil {
		e.depths[at] = depth
	}
	e.seen.add(at)
	if err := e.step(ctx); err != nil {
		return err
	}
	if e.maxDepth >= 0 && depth+1 >= e.maxDepth {
		return nil
	}
	data, err := e.read.object(at, git.TreeObject)
	if err != nil {
		return err
	}
	return eachDifference(e.sn.format(), id, data, bases, func(r *git.TreeReader) error {
		if r.Mode.IsTree() {
			return e.subtree(ctx, r, depth+1, bases)
		}
		return e.blob(r, bases)
	})
}

// treeReaders are not allocated for each of the many trees of a walk.
var treeReaders = sync.Pool{New: func() any { return new(git.TreeReader) }}

// eachDifference calls f for the entries of a tree, submodules left out, that
// no base has at the same name.
func eachDifference(format git.ObjectFormat, id git.ObjectID, tree []byte, bases []base, f func(*git.TreeReader) error) error {
	r := treeReaders.Get().(*git.TreeReader)
	defer treeReaders.Put(r)
	*r = git.NewTreeReader(format, tree)
	for {
		err := skipSame(bases, r)
		if err != nil {
			return fmt.Errorf("tree beside %s: %w", id, err)
		}
		more, err := r.Next()
		if err != nil {
			return fmt.Errorf("tree %s: %w", id, err)
		}
		if !more {
			return nil
		}
		same, err := advance(bases, r)
		if err != nil {
			return fmt.Errorf("tree beside %s: %w", id, err)
		}
		if same || r.Mode.IsSubmodule() {
			continue
		}
		if err := f(r); err != nil {
			return err
		}
	}
}

// skipSame moves over the entries that the first base has too without looking
// at each: from one commit to the next most of a tree stays as it is.
func skipSame(bases []base, r *git.TreeReader) (err error) {
	if len(bases) == 0 {
		return nil
	}
	b := &bases[0]
	for b.more && r.Name != nil && compareEntries(&b.reader, r) <= 0 {
		if b.more, err = b.reader.Next(); err != nil {
			return err
		}
	}
	if b.more {
		b.more, err = r.SkipSame(&b.reader)
	}
	return err
}

// advance moves the bases up to the entry that r is on and tells whether one
// of them has the same object there.
func advance(bases []base, r *git.TreeReader) (bool, error) {
	same := false
	for i := range bases {
		b := &bases[i]
		for b.more && compareEntries(&b.reader, r) < 0 {
			var err error
			if b.more, err = b.reader.Next(); err != nil {
				return false, err
			}
		}
		if b.more && b.reader.ID == r.ID && b.reader.Mode.ObjectType() == r.Mode.ObjectType() {
			same = true
		}
	}
	return same, nil
}

// compareEntries orders two entries as git does within a tree.
func compareEntries(a, b *git.TreeReader) int {
	n := min(len(a.Name), len(b.Name))
	if c := bytes.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	return int(after(a, n)) - int(after(b, n))
}

func after(r *git.TreeReader, n int) byte {
	switch {
	case n < len(r.Name):
		return r.Name[n]
	case r.Mode.IsTree():
		return '/'
	}
	return 0
}

// isAt tells whether the base is on an entry of the same name and kind.
func (b *base) isAt(r *git.TreeReader) bool {
	return b.more && b.reader.Mode.ObjectType() == r.Mode.ObjectType() && bytes.Equal(b.reader.Name, r.Name)
}

func (e *enumeration) subtree(ctx context.Context, r *git.TreeReader, depth int, bases []base) error {
	at, ok := e.sn.place(r.ID)
	if !ok {
		if r.ID == e.sn.format().EmptyTree() {
			return nil
		}
		return missing(r.ID)
	}
	if e.isDone(at, depth) {
		return nil
	}
	var below []base
	for i := range bases {
		if !bases[i].isAt(r) {
			continue
		}
		b, ok, err := e.base(bases[i].reader.ID, bases[i].theirs)
		if err != nil {
			return err
		}
		if ok {
			below = append(below, b)
		}
	}
	leave := e.listing.enter(r.Name)
	defer leave()
	if e.filter.Includes(git.TreeObject) {
		e.objects.add(at)
		e.listing.add(at, git.TreeObject, nil)
	}
	return e.tree(ctx, r.ID, at, depth, below)
}

func (e *enumeration) blob(r *git.TreeReader, bases []base) error {
	if !e.filter.Includes(git.BlobObject) {
		return nil
	}
	at, ok := e.sn.place(r.ID)
	if !ok {
		return missing(r.ID)
	}
	if e.has.has(at) || !e.seen.add(at) {
		return nil
	}
	if e.thin {
		for i := range bases {
			if !bases[i].theirs || !bases[i].isAt(r) {
				continue
			}
			if old, ok := e.sn.place(bases[i].reader.ID); ok {
				e.has.add(old)
			}
		}
	}
	if _, limited := e.filter.BlobLimit(); limited {
		p := e.sn.packs[at.pack]
		_, size, err := p.pack.Header(p.pack.Index().Offset(at.pos))
		if err != nil || !e.filter.IncludesBlob(size) {
			return err
		}
	}
	e.objects.add(at)
	e.listing.add(at, git.BlobObject, r.Name)
	return nil
}

// maxClientTrees bounds how many of a shallow client's commits are read whole.
const maxClientTrees = 16
