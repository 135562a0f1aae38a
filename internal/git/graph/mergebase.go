package graph

import (
	"context"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
)

// The flags of painting. They share a byte with those of Walk, but no walk
// has both.
const (
	fromOne flags = 1 << iota // reachable from the one side
	fromTwo                   // reachable from the other
	stale                     // below a common ancestor
	result                    // found as a common ancestor
)

// MergeBases returns the best common ancestors of two commits, newest first:
// those that are no ancestor of another common one (git merge-base --all).
// It is empty if the histories have nothing in common.
func MergeBases(ctx context.Context, src Commits, a, b git.ObjectID) ([]git.ObjectID, error) {
	p := newPainter(src)
	if a == b {
		_, err := p.nodes.open(ctx, a)
		return []git.ObjectID{a}, err
	}
	if err := p.begin(ctx, a, b); err != nil {
		return nil, err
	}
	if err := p.run(ctx, nil); err != nil {
		return nil, err
	}
	bases := slices.DeleteFunc(p.common, func(n *node) bool { return n.flags&stale != 0 })
	bases, err := withoutAncestors(ctx, src, bases)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(bases, newestFirst)
	return ids(bases), nil
}

// IsAncestor tells whether descendant is ancestor or has it in its history.
func IsAncestor(ctx context.Context, src Commits, ancestor, descendant git.ObjectID) (bool, error) {
	return reachesAny(ctx, src, ancestor, descendant)
}

// reachesAny tells whether ancestor is reachable from one of the others.
func reachesAny(ctx context.Context, src Commits, ancestor git.ObjectID, others ...git.ObjectID) (bool, error) {
	p := newPainter(src)
	if err := p.begin(ctx, ancestor, others...); err != nil {
		return false, err
	}
	n := p.nodes.at(ancestor)
	if err := p.run(ctx, n); err != nil {
		return false, err
	}
	return n.flags&fromTwo != 0, nil
}

// withoutAncestors drops the commits that are ancestors of others of them.
func withoutAncestors(ctx context.Context, src Commits, list []*node) ([]*node, error) {
	if len(list) < 2 {
		return list, nil
	}
	var kept []*node
	for i, n := range list {
		others := append(ids(kept), ids(list[i+1:])...)
		redundant := false
		if len(others) > 0 {
			var err error
			if redundant, err = reachesAny(ctx, src, n.id, others...); err != nil {
				return nil, err
			}
		}
		if !redundant {
			kept = append(kept, n)
		}
	}
	return kept, nil
}

func newestFirst(a, b *node) int {
	switch {
	case a.date > b.date:
		return -1
	case a.date < b.date:
		return 1
	}
	return 0
}

func ids(list []*node) []git.ObjectID {
	out := make([]git.ObjectID, len(list))
	for i, n := range list {
		out[i] = n.id
	}
	return out
}

// painter paints the histories of two sides until all that is left to paint
// is below a common ancestor. Its outcome does not depend on dates: a commit
// whose paint changes is painted on again.
type painter struct {
	nodes  nodes
	queue  queue[*node]
	fresh  int // entries of the queue that are not stale
	common []*node
}

func newPainter(src Commits) *painter { return &painter{nodes: newNodes(src)} }

func (p *painter) begin(ctx context.Context, one git.ObjectID, two ...git.ObjectID) error {
	if err := p.tip(ctx, one, fromOne); err != nil {
		return err
	}
	for _, id := range two {
		if err := p.tip(ctx, id, fromTwo); err != nil {
			return err
		}
	}
	return nil
}

func (p *painter) tip(ctx context.Context, id git.ObjectID, f flags) error {
	n, err := p.nodes.open(ctx, id)
	if err == nil {
		p.paint(n, f)
	}
	return err
}

// paint adds flags to a commit and queues it.
func (p *painter) paint(n *node, f flags) {
	if f&stale != 0 && n.flags&stale == 0 {
		p.fresh -= int(n.queued)
	}
	n.flags |= f
	n.queued++
	if n.flags&stale == 0 {
		p.fresh++
	}
	p.queue.push(n, n.date)
}

// run paints to the end, or until the goal is known to be reachable from the
// other side.
func (p *painter) run(ctx context.Context, goal *node) error {
	for p.fresh > 0 {
		if goal != nil && goal.flags&fromTwo != 0 {
			return nil
		}
		n := p.queue.pop()
		n.queued--
		if n.flags&stale == 0 {
			p.fresh--
		}
		f := n.flags & (fromOne | fromTwo | stale)
		if f == fromOne|fromTwo {
			if n.flags&result == 0 {
				n.flags |= result
				p.common = append(p.common, n)
			}
			f |= stale
		}
		for _, parent := range n.parents {
			if parent.flags&f == f {
				continue
			}
			if err := p.nodes.load(ctx, parent); err != nil {
				return err
			}
			p.paint(parent, f)
		}
	}
	return nil
}
