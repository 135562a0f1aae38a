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
// not from others, in the order of git rev-list: of the commits whose child
// was shown, the newest by committer date comes next. Without exclusions it is
// lazy: a commit costs the reading of its parents. It is not safe for
// concurrent use.
type Walk struct {
	src     Commits
	include []git.ObjectID
	exclude []git.ObjectID
	left    git.ObjectID // a symmetric difference's left side
	since   int64        // leave out what is older, and what only that leads to
	options Option

	steps interface {
		next(ctx context.Context) (*node, error) // nil at the end
	}
}

// NewWalk returns a walk over the commits reachable from include and not from
// exclude. Nothing is read before the first Next.
func NewWalk(src Commits, include, exclude []git.ObjectID, options ...Option) *Walk {
	w := &Walk{src: src, include: include, exclude: exclude}
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
	return n.id, n.links, true, nil
}

func (w *Walk) next(ctx context.Context) (*node, error) {
	if w.steps == nil {
		if err := w.start(ctx); err != nil {
			return nil, err
		}
	}
	return w.steps.next(ctx)
}

func (w *Walk) start(ctx context.Context) error {
	if len(w.exclude) == 0 && w.options&Topological == 0 && w.left.IsZero() {
		l := &lazyWalk{Walk: w, seen: make(map[git.ObjectID]struct{})}
		w.steps = l
		return l.enqueue(ctx, w.include)
	}
	l := &limitedWalk{Walk: w, nodes: newNodes(w.src)}
	w.steps = l
	if err := l.start(ctx); err != nil {
		return err
	}
	if err := l.limit(ctx); err != nil {
		return err
	}
	if w.options&Topological != 0 {
		l.list = sortTopologically(l.list)
	}
	return nil
}

// lazyWalk shows all that is reachable, keeping only what it has to.
type lazyWalk struct {
	*Walk
	seen  map[git.ObjectID]struct{}
	queue queue[*node]
}

func (l *lazyWalk) next(ctx context.Context) (*node, error) {
	for l.queue.len() > 0 {
		n := l.queue.pop()
		if n.date < l.since {
			continue
		}
		parents := n.links.Parents
		if l.options&FirstParent != 0 && len(parents) > 1 {
			parents = parents[:1]
		}
		return n, l.enqueue(ctx, parents)
	}
	return nil, nil
}

func (l *lazyWalk) enqueue(ctx context.Context, ids []git.ObjectID) error {
	for _, id := range ids {
		if _, ok := l.seen[id]; ok {
			continue
		}
		if len(l.seen)%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		l.seen[id] = struct{}{}
		links, err := l.src.Commit(ctx, id)
		if err != nil {
			return err
		}
		l.queue.push(&node{id: id, date: links.Date, links: links}, links.Date)
	}
	return nil
}

// limitedWalk is done ahead, since what is excluded may become known late.
type limitedWalk struct {
	*Walk
	nodes nodes
	queue queue[*node]
	fresh int     // commits in the queue that are not excluded
	list  []*node // what is left to return
}

// The flags of a limitedWalk.
const (
	seen          flags = 1 << iota // was in the queue
	uninteresting                   // reachable from an excluded commit
	added                           // parents were processed
	fromLeft                        // reachable from left
)

// start queues the tips, newest first.
func (w *limitedWalk) start(ctx context.Context) error {
	for _, id := range w.exclude {
		n, err := w.nodes.open(ctx, id)
		if err != nil {
			return err
		}
		w.drop(n)
		w.dropParents(n)
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
	return nil
}

func (w *limitedWalk) next(context.Context) (*node, error) {
	for len(w.list) > 0 {
		n := w.list[0]
		w.list = w.list[1:]
		if n.flags&uninteresting == 0 {
			return n, nil
		}
	}
	return nil, nil
}

func (w *limitedWalk) enqueue(n *node) {
	if n.flags&seen != 0 {
		return
	}
	n.flags |= seen
	n.queued = 1
	if n.flags&uninteresting == 0 {
		w.fresh++
	}
	w.queue.push(n, n.date)
}

func (w *limitedWalk) dequeue() *node {
	n := w.queue.pop()
	n.queued = 0
	if n.flags&uninteresting == 0 {
		w.fresh--
	}
	return n
}

// drop excludes a commit.
func (w *limitedWalk) drop(n *node) {
	if n.flags&uninteresting == 0 {
		n.flags |= uninteresting
		w.fresh -= int(n.queued)
	}
}

// dropParents excludes the ancestors of a commit as far as they were read.
func (w *limitedWalk) dropParents(n *node) {
	var stack []*node
	for parents := n.parents; ; {
		for _, p := range parents {
			if p.flags&uninteresting == 0 {
				w.drop(p)
				stack = append(stack, p)
			}
		}
		if len(stack) == 0 {
			return
		}
		parents = stack[len(stack)-1].parents
		stack = stack[:len(stack)-1]
	}
}

// addParents queues the parents of a commit that is not excluded.
func (w *limitedWalk) addParents(ctx context.Context, n *node) error {
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

// addDroppedParents excludes the parents of an excluded commit and queues
// them, and excludes what was already met below them.
func (w *limitedWalk) addDroppedParents(ctx context.Context, n *node) error {
	for _, p := range n.parents {
		w.drop(p)
		if err := w.nodes.load(ctx, p); err != nil {
			return err
		}
		w.dropParents(p)
		w.enqueue(p)
	}
	return nil
}

// slop is how many excluded commits in a row, with nothing but such in the
// queue, end a walk (revision.c, SLOP).
const slop = 5

// limit lists the commits met before it was known which of them are excluded
// (revision.c, limit_list).
func (w *limitedWalk) limit(ctx context.Context) error {
	last, left := int64(math.MaxInt64), slop
	for w.queue.len() > 0 {
		n := w.dequeue()
		if n.date < w.since {
			w.drop(n)
		}
		if err := w.addParentsOnce(ctx, n); err != nil {
			return err
		}
		if n.flags&uninteresting == 0 {
			last = n.date
			w.list = append(w.list, n)
			continue
		}
		w.dropParents(n)
		switch {
		case w.queue.len() == 0:
		case w.fresh > 0 || last <= w.queue.heap[0].date:
			left = slop
		default:
			if left--; left == 0 {
				w.clearQueue()
			}
		}
	}
	return nil
}

func (w *limitedWalk) addParentsOnce(ctx context.Context, n *node) error {
	if n.flags&added != 0 {
		return nil
	}
	n.flags |= added
	if n.flags&uninteresting != 0 {
		return w.addDroppedParents(ctx, n)
	}
	return w.addParents(ctx, n)
}

func (w *limitedWalk) clearQueue() {
	for i := range w.queue.heap {
		w.queue.heap[i].item.queued = 0
	}
	w.queue.heap = nil
}

// sortTopologically orders commits so that each comes after its children and
// lines of history stay together (commit.c, sort_in_topological_order). None
// of them may be in a queue: it counts children in the same place.
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
			if p.queued == 0 {
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
