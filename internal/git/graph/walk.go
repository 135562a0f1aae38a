package graph

import (
	"context"
	"math"

	"github.com/cairn-storage/cairn/internal/git"
)

// Option changes a Walk.
type Option uint8

// The options of a Walk.
const (
	// Topological shows no commit before all of its children, and keeps lines
	// of history together, as git log --topo-order. The whole walk is done
	// before the first commit is returned.
	Topological Option = 1 << iota
	// FirstParent follows only the first parent of each commit, as git log
	// --first-parent. It has no effect on what is excluded.
	FirstParent
)

// Walk is a walk over the commits that are reachable from some commits and
// not from others, in the order of git rev-list: newest committer date first,
// but without exclusions never a commit before one of its children was met.
// Without exclusions it is lazy: a commit costs the reading of its parents. It
// is not safe for concurrent use.
type Walk struct {
	nodes   nodes
	queue   queue[*node]
	include []git.ObjectID
	exclude []git.ObjectID
	left    git.ObjectID // a symmetric difference's left side
	since   int64        // leave out what is older, and what only that leads to
	options Option

	started bool
	limited []*node // the commits left to return, once the walk is done ahead
	isAhead bool
}

// The flags of a Walk.
const (
	seen          flags = 1 << iota // was in the queue
	uninteresting                   // reachable from an excluded commit
	added                           // parents were processed
	fromLeft                        // reachable from left
)

// NewWalk returns a walk over the commits reachable from include and not from
// exclude. Nothing is read before the first Next.
func NewWalk(src Commits, include, exclude []git.ObjectID, options ...Option) *Walk {
	w := &Walk{nodes: newNodes(src), include: include, exclude: exclude}
	for _, o := range options {
		w.options |= o
	}
	return w
}

// Next returns the next commit, or false at the end. After an error the walk
// is over.
func (w *Walk) Next(ctx context.Context) (git.ObjectID, git.CommitLinks, bool, error) {
	n, err := w.next(ctx)
	if n == nil || err != nil {
		return git.ObjectID{}, git.CommitLinks{}, false, err
	}
	links := n.links
	if !w.isAhead {
		n.links, n.parents = git.CommitLinks{}, nil // in the queue or dealt with
	}
	return n.id, links, true, nil
}

func (w *Walk) next(ctx context.Context) (*node, error) {
	if !w.started {
		if err := w.start(ctx); err != nil {
			return nil, err
		}
	}
	if w.isAhead {
		return w.nextLimited(), nil
	}
	for w.queue.len() > 0 {
		n := w.queue.pop()
		if n.date < w.since {
			continue
		}
		if err := w.addParents(ctx, n); err != nil {
			return nil, err
		}
		return n, nil
	}
	return nil, nil
}

// start queues the tips, newest first.
func (w *Walk) start(ctx context.Context) error {
	w.started = true
	for _, id := range w.exclude {
		n, err := w.nodes.open(ctx, id)
		if err != nil {
			return err
		}
		n.flags |= uninteresting
		markParents(n)
		w.enqueue(n)
	}
	for _, id := range w.include {
		n, err := w.nodes.open(ctx, id)
		if err != nil {
			return err
		}
		if id == w.left {
			n.flags |= fromLeft
		}
		w.enqueue(n)
	}
	w.isAhead = len(w.exclude) > 0 || w.options&Topological != 0
	if !w.isAhead {
		return nil
	}
	list, err := w.limit(ctx)
	if err != nil {
		return err
	}
	if w.options&Topological != 0 {
		list = sortTopologically(list)
	}
	w.limited = list
	return nil
}

func (w *Walk) enqueue(n *node) {
	if n.flags&seen == 0 {
		n.flags |= seen
		w.queue.push(n, n.date)
	}
}

func (w *Walk) nextLimited() *node {
	for len(w.limited) > 0 {
		n := w.limited[0]
		w.limited = w.limited[1:]
		if n.flags&uninteresting == 0 {
			return n
		}
	}
	return nil
}

// addParents queues the parents of a commit that is not excluded.
func (w *Walk) addParents(ctx context.Context, n *node) error {
	for _, p := range n.parents {
		if err := w.nodes.load(ctx, p); err != nil {
			return err
		}
		p.flags |= n.flags & fromLeft
		w.enqueue(p)
		if w.options&FirstParent != 0 {
			break
		}
	}
	return nil
}

// addExcludedParents excludes the parents of an excluded commit and queues
// them, and excludes what was already met below them.
func (w *Walk) addExcludedParents(ctx context.Context, n *node) error {
	for _, p := range n.parents {
		p.flags |= uninteresting
		if err := w.nodes.load(ctx, p); err != nil {
			return err
		}
		markParents(p)
		w.enqueue(p)
	}
	return nil
}

// markParents excludes the ancestors of a commit as far as they were read.
func markParents(n *node) {
	if len(n.parents) == 0 {
		return
	}
	stack := append([]*node(nil), n.parents...)
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if p.flags&uninteresting == 0 {
			p.flags |= uninteresting
			stack = append(stack, p.parents...)
		}
	}
}

// slop is how many excluded commits in a row, with nothing but such in the
// queue, end a walk (revision.c, SLOP).
const slop = 5

// limit does the whole walk and returns the commits met before it was known
// which of them are excluded (revision.c, limit_list).
func (w *Walk) limit(ctx context.Context) ([]*node, error) {
	var list []*node
	var interesting *node
	last, left := int64(math.MaxInt64), slop
	for w.queue.len() > 0 {
		n := w.queue.pop()
		if n == interesting {
			interesting = nil
		}
		if n.date < w.since {
			n.flags |= uninteresting
		}
		if n.flags&added == 0 {
			n.flags |= added
			grow := w.addParents
			if n.flags&uninteresting != 0 {
				grow = w.addExcludedParents
			}
			if err := grow(ctx, n); err != nil {
				return nil, err
			}
		}
		if n.flags&uninteresting == 0 {
			last = n.date
			list = append(list, n)
			continue
		}
		markParents(n)
		if w.queue.len() == 0 {
			break
		}
		if last <= w.queue.heap[0].date || w.anyInteresting(&interesting) {
			left = slop
			continue
		}
		if left--; left == 0 {
			break
		}
	}
	return list, nil
}

// anyInteresting tells whether the queue holds a commit that is not excluded.
// It remembers one in found, so that it rarely has to search.
func (w *Walk) anyInteresting(found **node) bool {
	if n := *found; n != nil {
		if n.flags&uninteresting == 0 {
			return true
		}
		*found = nil
	}
	for i := range w.queue.heap {
		if n := w.queue.heap[i].item; n.flags&uninteresting == 0 {
			*found = n
			return true
		}
	}
	return false
}

// sortTopologically orders commits so that each comes after its children and
// lines of history stay together (commit.c, sort_in_topological_order).
func sortTopologically(list []*node) []*node {
	const listed = 1
	for _, n := range list {
		n.queued = listed
	}
	for _, n := range list {
		for _, p := range n.parents {
			if p.queued > 0 {
				p.queued++
			}
		}
	}
	var stack []*node
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].queued == listed {
			stack = append(stack, list[i])
		}
	}
	sorted := make([]*node, 0, len(list))
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, p := range n.parents {
			if p.queued <= 0 {
				continue
			}
			if p.queued--; p.queued == listed {
				stack = append(stack, p)
			}
		}
		n.queued = 0
		sorted = append(sorted, n)
	}
	return sorted
}
