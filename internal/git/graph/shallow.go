package graph

import (
	"context"
	"errors"

	"github.com/cairn-storage/cairn/internal/git"
)

// Cut says where a shallow fetch cuts history off: either at a depth, or by
// date and refs. The zero value leaves the client's boundary as it is.
type Cut struct {
	Depth    int  // how many commits of each line of history to have; 0 for no such cut
	Relative bool // Depth counts from the client's boundary instead of from the wants
	Infinite bool // all of history; Depth does not matter

	Since int64          // leave out what is older, in Unix seconds; 0 for no such cut
	Not   []git.ObjectID // leave out what is reachable from these
}

// IsZero tells whether the cut asks for nothing.
func (c Cut) IsZero() bool {
	return c.Depth == 0 && !c.Infinite && c.Since == 0 && len(c.Not) == 0
}

// ErrNothingSelected is returned for a cut by date or refs that leaves no
// commit, as git does: a clone of nothing is no clone.
var ErrNothingSelected = errors.New("no commits selected for shallow requests")

// Boundary is what a shallow fetch does to the edge of a client's history.
type Boundary struct {
	Shallow   []git.ObjectID // commits that from now on have no parents there: "shallow" lines
	Unshallow []git.ObjectID // commits whose parents now come: "unshallow" lines

	// What to send: the commits reachable from the wants and from Wants, and
	// not from what the client has, in the history Grafted at Roots.
	Wants []git.ObjectID
	Roots []git.ObjectID
}

// Shallow computes the boundary that a fetch of wants needs, where client
// lists the commits whose parents the client lacks. All of them must exist in
// src. It follows stock git (upload-pack.c, shallow.c) in what it calls a
// boundary: commits at the last depth even if they have no parents, commits of
// which any parent is left out by date or refs. Of the latter, stock git also
// names some that only other boundary commits lead to. The client never gets
// those, and its next fetch --unshallow fails for want of them, so they are
// not named here.
func Shallow(ctx context.Context, src Commits, wants, client []git.ObjectID, cut Cut) (Boundary, error) {
	var edge, whole []git.ObjectID
	var err error
	switch {
	case cut.IsZero():
		return Boundary{Roots: client}, nil
	case cut.Infinite:
		whole = client
	case cut.Depth > 0 && cut.Relative:
		edge, whole, err = cutByDepth(ctx, src, client, cut.Depth+1)
	case cut.Depth > 0:
		edge, whole, err = cutByDepth(ctx, src, wants, cut.Depth)
	default:
		edge, whole, err = cutByWalk(ctx, src, wants, client, cut)
	}
	if err != nil {
		return Boundary{}, err
	}
	return boundary(ctx, src, client, edge, whole)
}

// boundary compares the edge and the inside of the new history with the edge
// of the old one.
func boundary(ctx context.Context, src Commits, client, edge, whole []git.ObjectID) (Boundary, error) {
	b := Boundary{Roots: append([]git.ObjectID(nil), client...)}
	was, inside := makeSet(client), makeSet(whole)
	for _, id := range edge {
		if _, ok := was[id]; !ok {
			b.Shallow = append(b.Shallow, id)
			b.Roots = append(b.Roots, id)
		}
	}
	for _, id := range client {
		if _, ok := inside[id]; !ok {
			continue
		}
		delete(inside, id) // once, even if the client repeats it
		links, err := src.Commit(ctx, id)
		if err != nil {
			return Boundary{}, err
		}
		b.Unshallow = append(b.Unshallow, id)
		b.Wants = append(b.Wants, links.Parents...)
	}
	return b, nil
}

// cutByDepth walks down one generation at a time. The commits of the last one
// are the edge.
func cutByDepth(ctx context.Context, src Commits, tips []git.ObjectID, depth int) (edge, whole []git.ObjectID, err error) {
	met := make(map[git.ObjectID]struct{}, len(tips))
	var next []git.ObjectID
	add := func(ids []git.ObjectID) {
		for _, id := range ids {
			if _, ok := met[id]; !ok {
				met[id] = struct{}{}
				next = append(next, id)
			}
		}
	}
	add(tips)
	for level := 1; len(next) > 0; level++ {
		if level == depth {
			return next, whole, nil
		}
		current := next
		next = nil
		for i, id := range current {
			if i%64 == 0 && ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			links, err := src.Commit(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			add(links.Parents)
		}
		whole = append(whole, current...)
	}
	return nil, whole, nil
}

// cutByWalk selects commits by date and refs. Those with a parent that is not
// selected are the edge.
func cutByWalk(ctx context.Context, src Commits, wants, client []git.ObjectID, cut Cut) (edge, whole []git.ObjectID, err error) {
	w := NewWalk(src, wants, cut.Not)
	w.since = cut.Since
	s := selection{}
	for {
		id, links, ok, err := w.Next(ctx)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			break
		}
		s[id] = links.Parents
	}
	if len(s) == 0 {
		return nil, nil, ErrNothingSelected
	}
	return s.sent(ctx, src, wants, client)
}

// selection holds the parents of selected commits.
type selection map[git.ObjectID][]git.ObjectID

func (s selection) has(id git.ObjectID) bool {
	_, ok := s[id]
	return ok
}

// isWhole tells whether a commit is selected, and its parents are too.
func (s selection) isWhole(id git.ObjectID) bool {
	parents, ok := s[id]
	for _, p := range parents {
		ok = ok && s.has(p)
	}
	return ok
}

// sent follows what is sent, from the wants and from where the client's
// history goes on, and returns the selected commits that it meets. A want that
// is not selected is sent with its history, as by git.
func (s selection) sent(ctx context.Context, src Commits, wants, client []git.ObjectID) (edge, whole []git.ObjectID, err error) {
	next := append([]git.ObjectID(nil), wants...)
	for _, id := range client {
		if s.isWhole(id) {
			next = append(next, id)
		}
	}
	roots := makeSet(client)
	met := make(map[git.ObjectID]struct{}, len(s))
	for len(next) > 0 {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		if _, again := met[id]; again {
			continue
		}
		met[id] = struct{}{}
		if len(met)%64 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		_, isRoot := roots[id]
		switch {
		case s.isWhole(id):
			whole = append(whole, id)
			next = append(next, s[id]...)
		case s.has(id):
			edge = append(edge, id)
		case !isRoot:
			links, err := src.Commit(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			next = append(next, links.Parents...)
		}
	}
	return edge, whole, nil
}
