package pack

import (
	"bytes"
	"context"
	"slices"
	"sort"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// Deltas are resolved depth first along the trees that they form over whole
// objects. Workers share one stack of nodes, objects whose content is at hand
// and that have children left; each takes a child of the topmost node. Of a
// node's children the one with the most descendants comes last, when the node
// itself is no longer needed, so that even a hostile tree keeps no more nodes
// than the logarithm of its size. Should they still exceed the budget, the
// lowest give up their content and are made again when their turn comes.

// node is an object with deltas that build on it.
type node struct {
	object uint32
	parent *node
	kind   git.ObjectType
	depth  int

	making sync.Mutex // held while the content is made

	// What follows belongs to forest.mu.
	content *buffer // nil if not made yet, or given up
	users   int     // workers that need the content now
	kids    []uint32
	refs    []uint32 // children among the refDeltas
	below   *node    // neighbours on the stack
	above   *node
	stacked bool
	made    bool
}

// forest is the state that workers share.
type forest struct {
	rc     *receiver
	starts []uint32 // children by ofs-delta of object i: kids[starts[i]:starts[i+1]]
	kids   []uint32

	mu     sync.Mutex
	more   sync.Cond
	top    *node
	bottom *node
	root   uint32 // the next object that may be a root
	end    uint32
	busy   int
	held   int64
	again  int64 // bytes of content that was made again
	err    error
}

// resolve resolves all deltas on whole objects from number first on, and what
// builds on those.
func (rc *receiver) resolve(ctx context.Context, first uint32) error {
	f := &forest{rc: rc, root: first, end: uint32(len(rc.offsets))}
	f.more.L = &f.mu
	f.plant()
	var workers sync.WaitGroup
	for range min(rc.opts.Workers, 1+rc.deltas/16) {
		workers.Go(func() { f.work(ctx) })
	}
	workers.Wait()
	for n := f.top; n != nil; n = n.below {
		n.content.free()
	}
	return f.err
}

// plant lists every object's children by ofs-delta, those with the fewest
// descendants first, and sorts the ref-deltas by their bases.
func (f *forest) plant() {
	rc := f.rc
	n := len(rc.offsets)
	f.starts = make([]uint32, n+1)
	weights := make([]uint32, n)
	for i := n - 1; i >= 0; i-- {
		weights[i]++
		if rc.kinds[i] == OfsDelta {
			base := rc.bases[i]
			weights[base] += weights[i]
			f.starts[base+1]++
		}
	}
	for i := range n {
		f.starts[i+1] += f.starts[i]
	}
	f.kids = make([]uint32, f.starts[n])
	next := slices.Clone(f.starts[:n])
	for i := range n {
		if rc.kinds[i] == OfsDelta {
			base := rc.bases[i]
			f.kids[next[base]] = uint32(i)
			next[base]++
		}
	}
	for i := range n {
		if kids := f.kids[f.starts[i]:f.starts[i+1]]; len(kids) > 1 {
			slices.SortStableFunc(kids, func(a, b uint32) int { return compare(int64(weights[a]), int64(weights[b])) })
		}
	}
	sort.Sort(&sortRefs{&rc.refs, rc.opts.Format.Size()})
}

type sortRefs struct {
	*refDeltas
	size int
}

func (s *sortRefs) id(i int) []byte    { return s.ids[i*s.size : (i+1)*s.size] }
func (s *sortRefs) Len() int           { return len(s.objects) }
func (s *sortRefs) Less(i, j int) bool { return bytes.Compare(s.id(i), s.id(j)) < 0 }
func (s *sortRefs) Swap(i, j int) {
	var tmp [32]byte
	copy(tmp[:], s.id(i))
	copy(s.id(i), s.id(j))
	copy(s.id(j), tmp[:s.size])
	s.objects[i], s.objects[j] = s.objects[j], s.objects[i]
}

// on returns the ref-deltas whose base is id, once they are sorted.
func (d *refDeltas) on(id []byte) []uint32 {
	if len(d.objects) == 0 {
		return nil
	}
	s := sortRefs{d, len(id)}
	lo := sort.Search(s.Len(), func(i int) bool { return bytes.Compare(s.id(i), id) >= 0 })
	hi := lo
	for hi < s.Len() && bytes.Equal(s.id(hi), id) {
		hi++
	}
	return d.objects[lo:hi]
}

// grow returns the node of an object whose id is known; nil if nothing builds
// on it.
func (f *forest) grow(object uint32, kind git.ObjectType, parent *node) *node {
	kids := f.kids[f.starts[object]:f.starts[object+1]]
	refs := f.rc.refs.on(f.rc.id(object))
	if len(kids)+len(refs) == 0 {
		return nil
	}
	n := &node{object: object, parent: parent, kind: kind, kids: kids, refs: refs}
	if parent != nil {
		n.depth = parent.depth + 1
	}
	return n
}

// push and remove keep the stack. f.mu is held.
func (f *forest) push(n *node) {
	n.below, n.stacked = f.top, true
	if f.top != nil {
		f.top.above = n
	} else {
		f.bottom = n
	}
	f.top = n
	f.more.Broadcast()
}

func (f *forest) remove(n *node) {
	if n.above != nil {
		n.above.below = n.below
	} else {
		f.top = n.below
	}
	if n.below != nil {
		n.below.above = n.above
	} else {
		f.bottom = n.above
	}
	n.above, n.below, n.stacked = nil, nil, false
}

// claim takes the next child off a node, and the node off the stack with its
// last one. f.mu is held.
func (f *forest) claim(n *node) (uint32, bool) {
	for len(n.kids)+len(n.refs) > 0 {
		var child uint32
		if len(n.kids) > 0 {
			child, n.kids = n.kids[0], n.kids[1:]
		} else {
			child, n.refs = n.refs[0], n.refs[1:]
			if f.rc.bases[child] != none {
				continue // two objects have the id of its base; the index will tell
			}
			f.rc.bases[child] = n.object
		}
		if len(n.kids)+len(n.refs) == 0 {
			f.remove(n)
		}
		n.users++
		return child, true
	}
	f.remove(n)
	f.settle(n)
	return 0, false
}

// next returns a child to resolve; false when there is none left or the work
// has failed.
func (f *forest) next() (*node, uint32, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.err == nil {
		if n := f.top; n != nil {
			if child, ok := f.claim(n); ok {
				f.busy++
				return n, child, true
			}
			continue
		}
		if n := f.nextRoot(); n != nil {
			f.push(n)
			continue
		}
		if f.busy == 0 {
			break
		}
		f.more.Wait()
	}
	f.more.Broadcast()
	return nil, 0, false
}

func (f *forest) nextRoot() *node {
	for f.root < f.end {
		i := f.root
		f.root++
		if kind := f.rc.kinds[i]; !kind.IsDelta() {
			if n := f.grow(i, kind.Type(), nil); n != nil {
				return n
			}
		}
	}
	return nil
}

// leave says that a worker is done with a child of n, with what came of it.
func (f *forest) leave(n, grown *node, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy--
	if err == nil {
		f.rc.resolved++
		if f.rc.resolved%1024 == 0 {
			f.rc.progress()
		}
	} else if f.err == nil {
		f.err = err
	}
	if grown != nil {
		f.push(grown)
		f.held += grown.content.weight()
		f.shrink()
	}
	n.users--
	f.settle(n)
	if f.busy == 0 || f.err != nil {
		f.more.Broadcast()
	}
}

// settle frees the content of a node that has no children left. f.mu is held.
func (f *forest) settle(n *node) {
	if n.users == 0 && !n.stacked {
		f.giveUp(n)
	}
}

func (f *forest) giveUp(n *node) {
	if n.content != nil {
		f.held -= n.content.weight()
		n.content.free()
		n.content = nil
	}
}

// shrink makes the lowest nodes give up their content until the rest fits the
// budget. f.mu is held.
func (f *forest) shrink() {
	for n := f.bottom; n != nil && n != f.top && f.held > f.rc.opts.Memory; n = n.above {
		if n.users == 0 {
			f.giveUp(n)
		}
	}
}

// weight is what a buffer counts against the budget: memory that the kernel
// can write out counts little.
func (b *buffer) weight() int64 {
	if b.file != nil {
		return int64(len(b.data)) / 16
	}
	return b.held()
}

// work resolves deltas until none is left.
func (f *forest) work(ctx context.Context) {
	hasher := git.NewHasher(f.rc.opts.Format)
	for {
		n, child, ok := f.next()
		if !ok {
			return
		}
		var grown *node
		err := context.Cause(ctx)
		if err == nil {
			grown, err = f.resolveChild(hasher, n, child)
		}
		f.leave(n, grown, err)
	}
}

// resolveChild makes one object from its base, and a node if others build on
// it.
func (f *forest) resolveChild(hasher *git.Hasher, n *node, child uint32) (*node, error) {
	if limit := f.rc.opts.Limits.DeltaDepth; n.depth >= limit {
		return nil, &LimitError{Name: "delta depth", Limit: int64(limit), Got: int64(n.depth) + 1}
	}
	base, err := f.contentOf(n)
	if err != nil {
		return nil, err
	}
	b, err := f.rc.applyEntry(base, child)
	if err != nil {
		return nil, err
	}
	if err := f.rc.opts.Limits.admit(n.kind, int64(len(b.data))); err != nil {
		b.free()
		return nil, err
	}
	id, err := f.rc.identify(hasher, n.kind, b.data)
	if err != nil {
		b.free()
		return nil, err
	}
	f.rc.setID(child, id)
	grown := f.grow(child, n.kind, n)
	if grown == nil {
		b.free()
		return nil, nil
	}
	grown.content, grown.made = b, true
	return grown, nil
}

// contentOf returns the content of a node that the caller uses, and makes it
// first where it is missing: from the nearest ancestor that has its own, or
// from the whole object at the root. On the way it gives every node its content
// back. Of those that have children left the nearest keep it, as far as the
// budget goes, for they are the next to be asked for theirs.
func (f *forest) contentOf(n *node) ([]byte, error) {
	n.making.Lock()
	defer n.making.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	var path []*node
	at := n
	for at != nil && at.content == nil {
		path = append(path, at)
		at = at.parent
	}
	if at != nil {
		at.users++
	}
	for _, next := range slices.Backward(path) {
		b, err := f.remake(next, at)
		if err == nil {
			next.users++
			f.keep(next, b)
		}
		if at != nil {
			at.users--
			f.settle(at)
		}
		if err != nil {
			return nil, err
		}
		at = next
		f.shrink()
	}
	at.users-- // the caller holds n, too
	if limit := f.rc.inflated*8 + ratioFloor*8; f.again > limit {
		return nil, &LimitError{Name: "work on deltas", Limit: limit, Got: f.again}
	}
	return n.content.data, nil
}

// remake makes the content of a node from its parent's, which is held, or for
// a root from nothing. It gives f.mu up meanwhile.
func (f *forest) remake(n, parent *node) (*buffer, error) {
	if parent == nil {
		f.mu.Unlock()
		defer f.mu.Lock()
		return f.rc.inflateEntry(n.object)
	}
	base := parent.content.data
	f.mu.Unlock()
	defer f.mu.Lock()
	return f.rc.applyEntry(base, n.object)
}

// keep gives a node its content, unless another worker has been faster. f.mu
// is held.
func (f *forest) keep(n *node, b *buffer) {
	if n.made {
		f.again += int64(len(b.data))
	}
	n.made = true
	if n.content != nil {
		b.free()
		return
	}
	n.content = b
	f.held += b.weight()
}

// inflateEntry returns what the entry of an object stores.
func (rc *receiver) inflateEntry(i uint32) (*buffer, error) {
	e, err := rc.view.Entry(rc.offsets[i])
	if err != nil {
		return nil, err
	}
	return rc.view.inflate(e, rc.opts.TempFile)
}

// applyEntry applies the delta that is stored as object i.
func (rc *receiver) applyEntry(base []byte, i uint32) (*buffer, error) {
	delta, err := rc.inflateEntry(i)
	if err != nil {
		return nil, err
	}
	defer delta.free()
	baseSize, size, ops, err := deltaHeader(delta.data)
	if err != nil {
		return nil, err
	}
	if err := checkDelta(int64(len(base)), baseSize, size, ops); err != nil {
		return nil, err
	}
	b, err := newBuffer(size, rc.opts.TempFile)
	if err != nil {
		return nil, err
	}
	patch(b.data, base, ops)
	return b, nil
}
