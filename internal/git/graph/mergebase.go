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

// MergeBases returns the best common ancestors of a commit and what others have
// together, newest first: those that are no ancestor of another common one (git
// merge-base --all). It is empty if the histories have nothing in common.
func MergeBases(ctx context.Context, src Commits, a git.ObjectID, others ...git.ObjectID) ([]git.ObjectID, error) {
	p := newPainter(src)
	if slices.Contains(others, a) {
		_, err := p.nodes.open(ctx, a)
		return []git.ObjectID{a}, err
	}
	if err := p.begin(ctx, a, others...); err != nil {
		return nil, err
	}
	if err := p.run(ctx); err != nil {
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

// IsAncestor tells whether one of the descendants is ancestor or has it in its
// history.
func IsAncestor(ctx context.Context, src Commits, ancestor git.ObjectID, descendants ...git.ObjectID) (bool, error) {
	return reachesAny(ctx, src, ancestor, descendants...)
}

// reachesAny tells whether ancestor is reachable from one of the others.
func reachesAny(ctx context.Context, src Commits, ancestor git.ObjectID, others ...git.ObjectID) (bool, error) {
	p := newPainter(src)
	p.goal = p.nodes.at(ancestor)
	var err error
	if p.horizon, err = newHorizon(ctx, src, ancestor); err != nil {
		return false, err
	}
	if err := p.begin(ctx, ancestor, others...); err != nil {
		return false, err
	}
	if err := p.run(ctx); err != nil {
		return false, err
	}
	return p.goal.flags&fromTwo != 0, nil
}

// fewBases is up to how many merge bases are compared with each other one by
// one. Real history has one or two; of more, a single walk over all that is
// below them is cheaper, and bounds what a contrived history costs.
const fewBases = 8

// withoutAncestors drops the commits that are ancestors of others of them.
func withoutAncestors(ctx context.Context, src Commits, list []*node) ([]*node, error) {
	if len(list) > fewBases {
		return withoutCommitsBelow(ctx, src, list)
	}
	var kept []*node
	for i, n := range list {
		others := append(ids(kept), ids(list[i+1:])...)
		if len(others) > 0 {
			redundant, err := reachesAny(ctx, src, n.id, others...)
			if err != nil {
				return nil, err
			}
			if redundant {
				continue
			}
		}
		kept = append(kept, n)
	}
	return kept, nil
}

// withoutCommitsBelow does the same by walking over all of their ancestors.
func withoutCommitsBelow(ctx context.Context, src Commits, list []*node) ([]*node, error) {
	below := make(map[git.ObjectID]struct{})
	seen, err := newHorizon(ctx, src, ids(list)...)
	if err != nil {
		return nil, err
	}
	var next []git.ObjectID
	for _, n := range list {
		next = append(next, n.links.Parents...)
	}
	for len(next) > 0 {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		if _, ok := below[id]; ok {
			continue
		}
		below[id] = struct{}{}
		if seen.hides(id) {
			continue
		}
		if len(below)%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		links, err := src.Commit(ctx, id)
		if err != nil {
			return nil, err
		}
		next = append(next, links.Parents...)
	}
	return slices.DeleteFunc(list, func(n *node) bool { _, ok := below[n.id]; return ok }), nil
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
	nodes   nodes
	queue   queue[*node]
	fresh   int // entries of the queue that are not stale
	common  []*node
	goal    *node   // what run looks for; nil: everything
	horizon horizon // of the goal
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
func (p *painter) run(ctx context.Context) error {
	for p.fresh > 0 {
		if p.goal != nil && p.goal.flags&fromTwo != 0 {
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
			if parent.flags&f == f || p.goal != nil && parent != p.goal && p.horizon.hides(parent.id) {
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
