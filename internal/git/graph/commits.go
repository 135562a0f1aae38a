package graph

import (
	"context"
	"math"

	"github.com/cairn-storage/cairn/internal/git"
)

// Commits is where a walk reads commits from. An implementation caches what it
// parses; a walk asks for each commit once and does not change the links, nor
// may its caller. An error ends the walk and is returned as it is.
type Commits interface {
	Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error)
}

// Indexed is what a Commits may also be: one that knows generation numbers of a
// part of its commits. They change no answer, only what has to be read for it.
type Indexed interface {
	// Generations returns the numbers, for one question; nil if there are none.
	Generations(ctx context.Context) (Generations, error)
}

// Generations tells a number of a commit that is greater than those of all its
// ancestors. It is known of all ancestors of each commit of which it is known,
// so that one of which it is not known is an ancestor of none of those.
type Generations interface {
	Generation(id git.ObjectID) (number int64, known bool)
}

// horizon tells of commits that they have none of some others in their
// history.
type horizon struct {
	numbers Generations // nil: none can be told
	lowest  int64       // of the others
}

// newHorizon returns the horizon of some commits; it is of use to a search that
// need not look below them.
func newHorizon(ctx context.Context, src Commits, goals ...git.ObjectID) (horizon, error) {
	h := horizon{lowest: math.MaxInt64}
	indexed, ok := src.(Indexed)
	if !ok {
		return h, nil
	}
	var err error
	h.numbers, err = indexed.Generations(ctx)
	for _, id := range goals {
		h.include(id)
	}
	return h, err
}

func (h *horizon) include(id git.ObjectID) {
	if h.numbers == nil {
		return
	}
	if g, ok := h.numbers.Generation(id); ok {
		h.lowest = min(h.lowest, g)
	}
}

// hides tells whether none of the goals can be an ancestor of the commit. It is
// true of a goal too.
func (h *horizon) hides(id git.ObjectID) bool {
	if h.numbers == nil {
		return false
	}
	g, ok := h.numbers.Generation(id)
	return ok && g <= h.lowest
}

// Grafted returns src with the given commits cut off from their parents: the
// history that a shallow clone has.
func Grafted(src Commits, roots ...git.ObjectID) Commits {
	if len(roots) == 0 {
		return src
	}
	g := grafted{src, makeSet(roots)}
	if indexed, ok := src.(Indexed); ok {
		return graftedIndexed{g, indexed} // fewer ancestors, the same numbers
	}
	return g
}

type graftedIndexed struct {
	grafted
	Indexed
}

type grafted struct {
	src   Commits
	roots map[git.ObjectID]struct{}
}

func (g grafted) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, err := g.src.Commit(ctx, id)
	if _, ok := g.roots[id]; ok {
		links.Parents = nil
	}
	return links, err
}

func makeSet(ids []git.ObjectID) map[git.ObjectID]struct{} {
	set := make(map[git.ObjectID]struct{}, len(ids))
	for _, id := range ids {
		set[id] = struct{}{}
	}
	return set
}

// node is a commit as one walk knows it.
type node struct {
	id      git.ObjectID
	flags   flags
	loaded  bool
	queued  int32 // entries in the queue
	date    int64
	links   git.CommitLinks
	parents []*node
}

type flags uint8

// nodes are the commits that one walk has met.
type nodes struct {
	src   Commits
	byID  map[git.ObjectID]*node
	loads int

	// What is not used yet of larger allocations.
	free     []node
	pointers []*node
}

func newNodes(src Commits) nodes {
	return nodes{src: src, byID: make(map[git.ObjectID]*node)}
}

// at returns the node of a commit, which may not be loaded.
func (s *nodes) at(id git.ObjectID) *node {
	if n, ok := s.byID[id]; ok {
		return n
	}
	if len(s.free) == 0 {
		s.free = make([]node, min(max(8, len(s.byID)), 256))
	}
	n := &s.free[0]
	s.free = s.free[1:]
	n.id = id
	s.byID[id] = n
	return n
}

// load reads a commit unless it was read before.
func (s *nodes) load(ctx context.Context, n *node) error {
	if n.loaded {
		return nil
	}
	if s.loads%64 == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	s.loads++
	links, err := s.src.Commit(ctx, n.id)
	if err != nil {
		return err
	}
	n.links, n.date, n.loaded = links, links.Date, true
	n.parents = s.list(len(links.Parents))
	for i, p := range links.Parents {
		n.parents[i] = s.at(p)
	}
	return nil
}

// list returns room for n nodes.
func (s *nodes) list(n int) []*node {
	if len(s.pointers) < n {
		s.pointers = make([]*node, max(n, min(max(8, len(s.byID)), 512)))
	}
	l := s.pointers[:n:n]
	s.pointers = s.pointers[n:]
	return l
}

// open returns the loaded node of a commit.
func (s *nodes) open(ctx context.Context, id git.ObjectID) (*node, error) {
	n := s.at(id)
	return n, s.load(ctx, n)
}
