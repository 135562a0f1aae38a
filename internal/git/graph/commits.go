package graph

import (
	"context"

	"github.com/cairn-storage/cairn/internal/git"
)

// Commits is where a walk reads commits from. An implementation caches what it
// parses; a walk asks for each commit once. An error ends the walk and is
// returned as it is.
type Commits interface {
	Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error)
}

// Grafted returns src with the given commits cut off from their parents: the
// history that a shallow clone has.
func Grafted(src Commits, roots ...git.ObjectID) Commits {
	if len(roots) == 0 {
		return src
	}
	return grafted{src, makeSet(roots)}
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
	tree    git.ObjectID
	parents []*node
}

type flags uint8

// nodes are the commits that one walk has met.
type nodes struct {
	src   Commits
	byID  map[git.ObjectID]*node
	slab  []node
	loads int
}

func newNodes(src Commits) nodes {
	return nodes{src: src, byID: make(map[git.ObjectID]*node)}
}

// at returns the node of a commit, which may not be loaded.
func (s *nodes) at(id git.ObjectID) *node {
	if n, ok := s.byID[id]; ok {
		return n
	}
	if len(s.slab) == 0 {
		s.slab = make([]node, min(max(8, len(s.byID)), 512))
	}
	n := &s.slab[0]
	s.slab = s.slab[1:]
	n.id = id
	s.byID[id] = n
	return n
}

// load reads a commit unless it was read before.
func (s *nodes) load(ctx context.Context, n *node) error {
	if n.loaded {
		return nil
	}
	if s.loads++; s.loads%64 == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	links, err := s.src.Commit(ctx, n.id)
	if err != nil {
		return err
	}
	n.date, n.tree = links.Date, links.Tree
	if len(links.Parents) > 0 {
		n.parents = make([]*node, len(links.Parents))
		for i, p := range links.Parents {
			n.parents[i] = s.at(p)
		}
	}
	n.loaded = true
	return nil
}

// open returns the loaded node of a commit.
func (s *nodes) open(ctx context.Context, id git.ObjectID) (*node, error) {
	n := s.at(id)
	return n, s.load(ctx, n)
}

func (n *node) links() git.CommitLinks {
	l := git.CommitLinks{Tree: n.tree, Date: n.date}
	if len(n.parents) > 0 {
		l.Parents = make([]git.ObjectID, len(n.parents))
		for i, p := range n.parents {
			l.Parents[i] = p.id
		}
	}
	return l
}
