package graph

import (
	"context"
	"math"

	"github.com/cairn-storage/cairn/internal/git"
)

// AllReachAny tells whether each commit of from has one of targets, or a
// parent of one, in its history: the question of a negotiation, whether what
// the client has cuts off every want. As in git it looks at no commit that is
// older than the oldest target, so that where dates run backwards it may
// answer false and cost the client another round.
func AllReachAny(ctx context.Context, src Commits, from, targets []git.ObjectID) (bool, error) {
	if len(targets) == 0 {
		return false, nil
	}
	s := reachSearch{nodes: newNodes(src), oldest: math.MaxInt64}
	var err error
	if s.horizon, err = newHorizon(ctx, src, targets...); err != nil {
		return false, err
	}
	for _, id := range targets {
		n, err := s.nodes.open(ctx, id)
		if err != nil {
			return false, err
		}
		s.oldest = min(s.oldest, n.date)
		n.flags |= reaches
		for _, p := range n.parents {
			p.flags |= reaches
			s.horizon.include(p.id)
		}
	}
	for _, id := range from {
		ok, err := s.search(ctx, s.nodes.at(id))
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// ReachesAll tells whether each of targets is one of the commits that are
// reachable from some. It looks at no more than limit commits, and answers
// false if that is not enough.
func ReachesAll(ctx context.Context, src Commits, from, targets []git.ObjectID, limit int) (bool, error) {
	missing := makeSet(targets)
	for _, id := range from {
		delete(missing, id)
	}
	if len(missing) == 0 {
		return true, nil
	}
	h, err := newHorizon(ctx, src, targets...)
	if err != nil {
		return false, err
	}
	var next queue[git.CommitLinks]
	seen := make(map[git.ObjectID]struct{})
	enqueue := func(ids []git.ObjectID) error {
		for _, id := range ids {
			if _, ok := seen[id]; ok {
				continue
			}
			seen[id] = struct{}{}
			if delete(missing, id); h.hides(id) {
				continue
			}
			links, err := src.Commit(ctx, id)
			if err != nil {
				return err
			}
			next.push(links, links.Date)
		}
		return ctx.Err()
	}
	if err := enqueue(from); err != nil {
		return false, err
	}
	for len(missing) > 0 && next.len() > 0 && len(seen) <= limit {
		if err := enqueue(next.pop().Parents); err != nil {
			return false, err
		}
	}
	return len(missing) == 0, nil
}

// The flags of a reachSearch.
const (
	visited flags = 1 << iota // the search has been here
	reaches                   // has a target in its history, or is one
)

type reachSearch struct {
	nodes   nodes
	oldest  int64
	horizon horizon // of what reaches
}

// search goes depth first. A commit that it has left again reaches nothing,
// for all starts.
func (s *reachSearch) search(ctx context.Context, start *node) (bool, error) {
	type step struct {
		n    *node
		next int // parent to look at
	}
	var path []step
	enter := func(n *node) error {
		if n.flags&visited != 0 {
			return nil
		}
		n.flags |= visited
		if s.horizon.hides(n.id) {
			return nil
		}
		if err := s.nodes.load(ctx, n); err != nil {
			return err
		}
		if n.date >= s.oldest {
			path = append(path, step{n: n})
		}
		return nil
	}
	if start.flags&reaches != 0 {
		return true, nil
	}
	if err := enter(start); err != nil {
		return false, err
	}
	for len(path) > 0 {
		top := &path[len(path)-1]
		if top.next == len(top.n.parents) {
			path = path[:len(path)-1]
			continue
		}
		p := top.n.parents[top.next]
		top.next++
		if p.flags&reaches != 0 {
			for _, s := range path {
				s.n.flags |= reaches
			}
			return true, nil
		}
		if err := enter(p); err != nil {
			return false, err
		}
	}
	return false, nil
}
