package odb

import (
	"context"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
)

// allCommits visits the whole history of the tips.
func (e *enumeration) allCommits(ctx context.Context, tips []git.ObjectID) error {
	all := func(git.ObjectID) bool { return false }
	var h history
	for i := len(tips) - 1; i >= 0; i-- {
		at, ok := e.sn.place(tips[i])
		if !ok {
			return missing(tips[i])
		}
		h.enter(at)
	}
	if e.entered == nil {
		e.entered = newObjectSet(e.sn)
	}
	for {
		at, leaving, ok := h.next()
		if !ok {
			return nil
		}
		if err := e.step(ctx); err != nil {
			return err
		}
		if !leaving && !e.entered.add(at) {
			continue
		}
		links, err := e.commitLinks(e.sn.idAt(at), at)
		if err != nil {
			return err
		}
		if leaving {
			if err := e.commit(ctx, at, links, all); err != nil {
				return err
			}
			continue
		}
		h.leave(at)
		for i := len(links.Parents) - 1; i >= 0; i-- {
			parent, ok := e.sn.place(links.Parents[i])
			if !ok {
				return missing(links.Parents[i])
			}
			if !e.entered.has(parent) {
				h.enter(parent)
			}
		}
	}
}

// history is the stack of a walk over commits, depth first, that leaves no
// commit before all of its parents. It takes eight bytes for each.
type history []uint64

func (h *history) push(at place, leaving uint64) {
	*h = append(*h, uint64(at.pack)<<33|uint64(at.pos)<<1|leaving)
}

func (h *history) enter(at place) { h.push(at, 0) }
func (h *history) leave(at place) { h.push(at, 1) }

func (h *history) next() (at place, leaving, ok bool) {
	last := len(*h) - 1
	if last < 0 {
		return at, false, false
	}
	x := (*h)[last]
	*h = (*h)[:last]
	return place{int(x >> 33), int(x >> 1 & (1<<32 - 1))}, x&1 != 0, true
}

// commit visits one commit. theirs tells which of its parents are the client's.
func (e *enumeration) commit(ctx context.Context, at place, links git.CommitLinks, theirs func(git.ObjectID) bool) error {
	e.seen.add(at)
	if e.filter.Includes(git.CommitObject) || e.named[at] {
		e.objects.add(at)
		e.listing.add(at, git.CommitObject, nil)
	}
	if err := e.commitTree(ctx, links, theirs); err != nil {
		return err
	}
	return e.listing.commit(ctx, e, at, links)
}

// newCommits visits the commits that the client does not have.
func (e *enumeration) newCommits(ctx context.Context, tips, haves []git.ObjectID) error {
	walk := graph.NewWalk(e.sn.grafted(e.roots), tips, haves, graph.Topological)
	var list []place
	selected := newObjectSet(e.sn)
	for {
		id, _, ok, err := walk.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		at, ok := e.sn.place(id)
		if !ok {
			return missing(id)
		}
		selected.add(at)
		list = append(list, at)
	}
	theirs := func(id git.ObjectID) bool {
		at, ok := e.sn.place(id)
		return ok && !selected.has(at)
	}
	for _, at := range slices.Backward(list) {
		if err := e.step(ctx); err != nil {
			return err
		}
		links, err := e.commitLinks(e.sn.idAt(at), at)
		if err != nil {
			return err
		}
		if err := e.commit(ctx, at, links, theirs); err != nil {
			return err
		}
	}
	return nil
}

// grafts is a snapshot's history cut off at some commits.
type grafts struct {
	*Snapshot
	roots map[git.ObjectID]struct{}
}

func (sn *Snapshot) grafted(roots map[git.ObjectID]struct{}) graph.Commits {
	if len(roots) == 0 {
		return sn
	}
	return grafts{sn, roots}
}

// Commit returns a commit as the cut-off history has it.
func (g grafts) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, err := g.Snapshot.Commit(ctx, id)
	if _, ok := g.roots[id]; ok {
		links.Parents = nil
	}
	return links, err
}

// commitLinks reads a commit of the history that is cut off at the roots.
func (e *enumeration) commitLinks(id git.ObjectID, at place) (git.CommitLinks, error) {
	links, ok := e.links.get(at)
	if !ok {
		data, err := e.read.object(at, git.CommitObject)
		if err != nil {
			return links, err
		}
		if links, err = git.ParseCommitLinks(e.sn.format(), data); err != nil {
			return links, fmt.Errorf("commit %s: %w", id, err)
		}
		e.links.put(at, links)
	}
	if len(e.roots) > 0 {
		if _, cut := e.roots[id]; cut {
			links.Parents = nil
		}
	}
	return links, nil
}

// maxBases bounds the parents that a commit's tree is compared with.
const maxBases = 8
