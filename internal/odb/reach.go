package odb

import (
	"container/heap"
	"context"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
)

// Reachable is the reachability rule: it tells whether an object can be had by
// following the refs that the view shows. It is the only question by which an
// object id from outside may become an answer.
func (sn *Snapshot) Reachable(ctx context.Context, view View, id git.ObjectID) (bool, error) {
	t, _, err := sn.Header(ctx, id)
	switch {
	case isNoObject(err):
		return false, nil
	case err != nil:
		return false, err
	}
	if sn.tips.has(sn.Refs(), view, id) {
		return true, nil
	}
	r := sn.reach[view]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version != sn.repo.Version {
		// The set has grown on with a later state of the repository.
		r = newReach(view, sn.repo.Version)
	}
	return r.contains(ctx, sn, id, t)
}

// reach is the growing set of objects that are known to be reachable from a
// snapshot's refs. It grows newest commit first and only as far as it is asked:
// a question about something recent costs little.
type reach struct {
	view View

	mu      sync.Mutex
	version int64          // of the snapshot that the set belongs to
	tips    []git.ObjectID // refs that came since the set was started
	started bool
	queue   commitHeap     // commits whose parents are not yet queued
	history []git.ObjectID // trees of known commits, not yet walked
	commits map[git.ObjectID]bool
	// others holds what is reachable and no commit: a bit per object of each
	// pack, so that a large repository costs little.
	others map[*openPack][]uint64
	// whole holds the packs of which every object is reachable: those of the
	// first levels of the last full repack, see reachableLevels. The walk does
	// not go into them.
	whole map[*openPack]bool
	roots []git.ObjectID // trees and blobs that refs or tags name directly
}

func newReach(v View, version int64) *reach { return &reach{view: v, version: version} }

// grow hands the set on to the next state of the repository, which has all
// refs and packs of this one, moved forward at most, and these new tips.
func (r *reach) grow(version int64, tips []git.ObjectID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version = version
	if r.started {
		r.tips = append(r.tips, tips...)
	}
}

// commitHeap gives the newest commit first.
type commitHeap []git.CommitLinks

func (h commitHeap) Len() int           { return len(h) }
func (h commitHeap) Less(i, j int) bool { return h[i].Date > h[j].Date }
func (h commitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *commitHeap) Push(x any)        { *h = append(*h, x.(git.CommitLinks)) }
func (h *commitHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func (r *reach) contains(ctx context.Context, sn *Snapshot, id git.ObjectID, t git.ObjectType) (bool, error) {
	if err := r.start(ctx, sn); err != nil {
		return false, err
	}
	switch t {
	case git.CommitObject:
		for !r.has(sn, id) {
			more, err := r.nextCommit(ctx, sn)
			if err != nil || !more {
				return false, err
			}
		}
		return true, nil
	case git.TagObject:
		return r.marked(sn, id), nil // start has marked all
	}
	for !r.marked(sn, id) {
		more, err := r.nextTree(ctx, sn)
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// start queues what the refs name.
func (r *reach) start(ctx context.Context, sn *Snapshot) error {
	if !r.started {
		return r.begin(ctx, sn, sn.Refs())
	}
	for len(r.tips) > 0 {
		if err := r.addTip(ctx, sn, r.tips[0]); err != nil {
			return err
		}
		r.tips = r.tips[1:]
	}
	return nil
}

func (r *reach) begin(ctx context.Context, sn *Snapshot, refs []cairn.Ref) error {
	r.queue, r.history, r.roots = nil, nil, nil
	r.commits = map[git.ObjectID]bool{}
	r.others = map[*openPack][]uint64{}
	r.whole = nil
	for _, ref := range refs {
		if !r.view.Shows(ref.Name) {
			continue
		}
		if err := r.addTip(ctx, sn, ref.Target); err != nil {
			return err
		}
	}
	var err error
	if r.whole, err = r.reachableLevels(ctx, sn, refs); err != nil {
		return err
	}
	r.started = true
	return nil
}

func (r *reach) addTip(ctx context.Context, sn *Snapshot, id git.ObjectID) error {
	for range maxTagDepth {
		if r.has(sn, id) {
			return nil
		}
		t, _, err := sn.Header(ctx, id)
		if err != nil {
			return err
		}
		switch t {
		case git.CommitObject:
			return r.addCommit(ctx, sn, id)
		case git.TreeObject, git.BlobObject:
			r.roots = append(r.roots, id)
			return nil
		}
		if err := r.mark(ctx, sn, id); err != nil {
			return err
		}
		data, err := sn.typed(ctx, id, git.TagObject)
		if err != nil {
			return err
		}
		tag, err := git.ParseTag(sn.format(), data)
		if err != nil {
			return err
		}
		id = tag.Target
	}
	return nil
}

func (r *reach) addCommit(ctx context.Context, sn *Snapshot, id git.ObjectID) error {
	if r.has(sn, id) {
		return nil
	}
	links, err := sn.Commit(ctx, id)
	if err != nil {
		return err
	}
	r.commits[id] = true
	heap.Push(&r.queue, links)
	return nil
}

// nextCommit takes the newest known commit whose parents are not yet known and
// adds them.
func (r *reach) nextCommit(ctx context.Context, sn *Snapshot) (bool, error) {
	if len(r.queue) == 0 {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c := heap.Pop(&r.queue).(git.CommitLinks)
	for _, parent := range c.Parents {
		if err := r.addCommit(ctx, sn, parent); err != nil {
			heap.Push(&r.queue, c) // so that the walk can go on later
			return false, err
		}
	}
	r.history = append(r.history, c.Tree)
	return true, nil
}

// nextTree marks all objects of one more commit, or of one more root.
func (r *reach) nextTree(ctx context.Context, sn *Snapshot) (bool, error) {
	if n := len(r.roots); n > 0 {
		if err := r.markAll(ctx, sn, r.roots[n-1]); err != nil {
			return false, err
		}
		r.roots = r.roots[:n-1]
		return true, nil
	}
	if len(r.history) == 0 {
		if more, err := r.nextCommit(ctx, sn); !more || err != nil {
			return false, err
		}
	}
	if err := r.markAll(ctx, sn, r.history[0]); err != nil {
		return false, err
	}
	r.history = r.history[1:]
	return true, nil
}

// markAll marks a tree or blob and what is below it. A tree is marked after
// what it holds, so that a walk that was cancelled leaves nothing out.
func (r *reach) markAll(ctx context.Context, sn *Snapshot, id git.ObjectID) error {
	if r.marked(sn, id) {
		return nil
	}
	t, _, err := sn.Header(ctx, id)
	if isNoObject(err) && id == sn.format().EmptyTree() {
		return nil
	}
	if err != nil {
		return err
	}
	if t == git.TreeObject {
		if err := r.markTree(ctx, sn, id); err != nil {
			return err
		}
	}
	return r.mark(ctx, sn, id)
}

func (r *reach) markTree(ctx context.Context, sn *Snapshot, root git.ObjectID) error {
	type open struct {
		id     git.ObjectID
		reader git.TreeReader
	}
	data, err := sn.Tree(ctx, root)
	if err != nil {
		return err
	}
	stack := []open{{root, git.NewTreeReader(sn.format(), data)}}
	for len(stack) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		top := &stack[len(stack)-1]
		more, err := top.reader.Next()
		if err != nil {
			return err
		}
		if !more {
			if err := r.mark(ctx, sn, top.id); err != nil && !isNoObject(err) {
				return err
			}
			stack = stack[:len(stack)-1]
			continue
		}
		if top.reader.Mode.IsSubmodule() {
			continue
		}
		if !top.reader.Mode.IsTree() {
			if err := r.mark(ctx, sn, top.reader.ID); err != nil {
				return err
			}
			continue
		}
		id := top.reader.ID
		if r.marked(sn, id) {
			continue
		}
		data, err := sn.Tree(ctx, id)
		if err != nil {
			return err
		}
		stack = append(stack, open{id, git.NewTreeReader(sn.format(), data)})
	}
	return nil
}

// mark sets the object's bit.
func (r *reach) mark(ctx context.Context, sn *Snapshot, id git.ObjectID) error {
	p, pos, err := sn.find(ctx, id)
	if err != nil {
		return err
	}
	bits := r.others[p]
	if bits == nil {
		bits = make([]uint64, (p.pack.Index().Len()+63)/64)
		r.others[p] = bits
	}
	bits[pos/64] |= 1 << (pos % 64)
	return nil
}

// has tells whether the walk need not go into an object: it did, or the object
// lies in a whole pack.
func (r *reach) has(sn *Snapshot, id git.ObjectID) bool {
	if r.commits[id] {
		return true
	}
	if len(r.whole) > 0 {
		for _, p := range sn.packs {
			if !r.whole[p] {
				continue
			}
			if _, ok := p.pack.Index().Find(id); ok {
				return true
			}
		}
	}
	return false
}

func (r *reach) marked(sn *Snapshot, id git.ObjectID) bool {
	for _, p := range sn.packs {
		if pos, ok := p.pack.Index().Find(id); ok {
			if r.whole[p] {
				return true
			}
			bits := r.others[p]
			if bits != nil && bits[pos/64]&(1<<(pos%64)) != 0 {
				return true
			}
		}
	}
	return false
}

// levelSearch bounds the commits that are looked at to find the tips of the
// levels after the first. Those of branches that are gone may be anywhere.
const levelSearch = 50_000

// reachableLevels returns the packs of the first levels of the last full repack
// whose tips are all reachable: then so is each of their objects, and nothing
// has to be read to know it. The walk has begun at the refs.
func (r *reach) reachableLevels(ctx context.Context, sn *Snapshot, refs []cairn.Ref) (map[*openPack]bool, error) {
	c, err := sn.closure(ctx)
	if err != nil || len(c.levels) == 0 {
		return nil, err
	}
	shown := map[git.ObjectID]bool{}
	for _, ref := range refs {
		if r.view.Shows(ref.Name) {
			shown[ref.Target] = true
		}
	}
	from := slices.Collect(maps.Keys(r.commits))
	packs := map[cairn.PackID]bool{}
	for i, level := range c.levels {
		limit := levelSearch
		if i == 0 {
			limit = math.MaxInt
		}
		ok, err := r.allReachable(ctx, sn, shown, from, level.tips, limit)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for _, id := range level.packs() {
			packs[id] = true
		}
	}
	whole := make(map[*openPack]bool, len(packs))
	for _, p := range sn.packs {
		if packs[p.key.id] {
			whole[p] = true
		}
	}
	return whole, nil
}

// allReachable tells whether each tip is a ref's target or in the history of
// the commits that refs lead to.
func (r *reach) allReachable(ctx context.Context, sn *Snapshot, shown map[git.ObjectID]bool, from, tips []git.ObjectID, limit int) (bool, error) {
	var commits []git.ObjectID
	for _, id := range tips {
		if shown[id] || r.commits[id] || r.marked(sn, id) {
			continue
		}
		t, _, err := sn.Header(ctx, id)
		if err != nil {
			return false, err
		}
		if t != git.CommitObject {
			return false, nil
		}
		commits = append(commits, id)
	}
	return graph.ReachesAll(ctx, sn, from, commits, limit)
}
