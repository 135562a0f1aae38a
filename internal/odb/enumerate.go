package odb

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// selection says which objects a pack is to hold: what the wants lead to and
// what the haves do not, in a history that is cut off at the roots.
type selection struct {
	wants  []git.ObjectID // of any type
	haves  []git.ObjectID // commits that the client has, with all that they lead to
	roots  []git.ObjectID // commits without parents, as far as this pack is concerned
	filter protocol.Filter
	tags   []git.ObjectID // annotated tags that come along with what they name
	thin   bool           // the client takes deltas against what it has
}

// PackPlan is a pack that is to be sent: which objects, and which of the others
// the client is known to have.
type PackPlan struct {
	sn       *Snapshot
	objects  *objectSet
	has      *objectSet // what deltas may be made of; only if the client takes thin packs
	ofsDelta bool
}

// Len is the number of objects in the pack.
func (p *PackPlan) Len() int64 { return p.objects.len() }

// enumeration finds the objects of a selection. It compares each commit's tree
// with those of its parents and visits only what differs: the rest belongs to
// the parents, which are either the client's already, or were visited before.
// That parents come first is what makes it true that a tree that was seen once
// has been seen whole: else two commits could leave the same subtree to each
// other. Memory is a few bits for each object of the repository.
type enumeration struct {
	sn       *Snapshot
	filter   protocol.Filter
	seen     *objectSet // visited
	objects  *objectSet // to be sent; is seen itself unless the filter is by type
	has      *objectSet // of the client, as far as it was met
	thin     bool
	roots    map[git.ObjectID]struct{}
	named    map[place]bool // commits that are sent even if the filter is against commits
	read     objectReader
	maxDepth int // of trees, by the filter; negative: no bound
	depths   map[place]int
	links    linkCache
	progress *counter
}

// plan finds out what to send. Progress is told on the way.
func (sn *Snapshot) plan(ctx context.Context, s selection, progress func(string)) (*PackPlan, error) {
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	e := &enumeration{
		sn:       sn,
		filter:   s.filter,
		objects:  newObjectSet(sn),
		has:      newObjectSet(sn),
		thin:     s.thin && s.filter.IsZero(), // with a filter a have says little of what the client has
		roots:    make(map[git.ObjectID]struct{}, len(s.roots)),
		links:    newLinkCache(len(s.haves) == 0),
		maxDepth: -1,
		progress: &counter{what: "Enumerating objects", tell: progress},
	}
	for _, id := range s.roots {
		e.roots[id] = struct{}{}
	}
	e.seen = e.objects
	if s.filter != (protocol.Filter{}) {
		e.seen = newObjectSet(sn)
		if depth, ok := s.filter.TreeDepth(); ok {
			e.maxDepth, e.depths = depth, map[place]int{}
		}
	}
	e.read = newObjectReader(sn, len(s.haves) > 0 || len(s.roots) > 0)
	if len(s.roots) > 0 {
		if err := e.markClient(ctx, s.haves); err != nil {
			return nil, err
		}
	}
	if err := e.run(ctx, s); err != nil {
		return nil, err
	}
	if err := e.includeTags(ctx, s.tags); err != nil {
		return nil, err
	}
	e.progress.done(e.objects.len())
	p := &PackPlan{sn: sn, objects: e.objects}
	if e.thin {
		p.has = e.has
	}
	return p, nil
}

// run visits what the wants name, then the commits.
func (e *enumeration) run(ctx context.Context, s selection) error {
	var commits []git.ObjectID
	for _, want := range s.wants {
		id, isCommit, err := e.want(ctx, want)
		if err != nil {
			return err
		}
		if isCommit {
			commits = append(commits, id)
		}
	}
	if len(s.haves) == 0 {
		return e.allCommits(ctx, commits)
	}
	return e.newCommits(ctx, commits, s.haves)
}

// want plans an object that the client named, itself or by a tag, whatever the
// filter, and what it leads to. Of a commit it only returns the id.
func (e *enumeration) want(ctx context.Context, id git.ObjectID) (commit git.ObjectID, isCommit bool, err error) {
	for range maxTagDepth {
		at, ok := e.sn.place(id)
		if !ok {
			return commit, false, missing(id)
		}
		t, err := e.read.objectType(at)
		if err != nil {
			return commit, false, err
		}
		if t == git.CommitObject {
			if !e.filter.Includes(t) {
				if e.named == nil {
					e.named = map[place]bool{}
				}
				e.named[at] = true
			}
			return id, true, nil
		}
		e.objects.add(at)
		switch t {
		case git.BlobObject:
			e.seen.add(at)
			return commit, false, nil
		case git.TreeObject:
			return commit, false, e.tree(ctx, id, at, 0, nil)
		}
		if id, err = e.tagTarget(at); err != nil {
			return commit, false, err
		}
	}
	return commit, false, fmt.Errorf("tag %s: a chain of more than %d tags", id, maxTagDepth)
}

func (e *enumeration) tagTarget(at place) (git.ObjectID, error) {
	data, err := e.read.object(at, git.TagObject)
	if err != nil {
		return git.ObjectID{}, err
	}
	tag, err := git.ParseTag(e.sn.format(), data)
	if err != nil {
		return git.ObjectID{}, fmt.Errorf("tag %s: %w", e.sn.idAt(at), err)
	}
	return tag.Target, nil
}

func missing(id git.ObjectID) error {
	return fmt.Errorf("repository is damaged: object %s is missing", id)
}

// allCommits visits the whole history of the tips.
func (e *enumeration) allCommits(ctx context.Context, tips []git.ObjectID) error {
	all := func(git.ObjectID) bool { return false }
	var h history
	for i := len(tips) - 1; i >= 0; i-- {
		at, ok := e.sn.place(tips[i])
		if !ok {
			return missing(tips[i])
		}
		h.enter(at)
	}
	entered := newObjectSet(e.sn)
	for {
		at, leaving, ok := h.next()
		if !ok {
			return nil
		}
		if err := e.step(ctx); err != nil {
			return err
		}
		if !leaving && !entered.add(at) {
			continue
		}
		links, err := e.commitLinks(e.sn.idAt(at), at)
		if err != nil {
			return err
		}
		if leaving {
			if err := e.commit(ctx, at, links, all); err != nil {
				return err
			}
			continue
		}
		h.leave(at)
		for i := len(links.Parents) - 1; i >= 0; i-- {
			parent, ok := e.sn.place(links.Parents[i])
			if !ok {
				return missing(links.Parents[i])
			}
			if !entered.has(parent) {
				h.enter(parent)
			}
		}
	}
}

// history is the stack of a walk over commits, depth first, that leaves no
// commit before all of its parents. It takes eight bytes for each.
type history []uint64

func (h *history) push(at place, leaving uint64) {
	*h = append(*h, uint64(at.pack)<<33|uint64(at.pos)<<1|leaving)
}

func (h *history) enter(at place) { h.push(at, 0) }
func (h *history) leave(at place) { h.push(at, 1) }

func (h *history) next() (at place, leaving, ok bool) {
	last := len(*h) - 1
	if last < 0 {
		return at, false, false
	}
	x := (*h)[last]
	*h = (*h)[:last]
	return place{int(x >> 33), int(x >> 1 & (1<<32 - 1))}, x&1 != 0, true
}

// commit visits one commit. theirs tells which of its parents are the client's.
func (e *enumeration) commit(ctx context.Context, at place, links git.CommitLinks, theirs func(git.ObjectID) bool) error {
	e.seen.add(at)
	if e.filter.Includes(git.CommitObject) || e.named[at] {
		e.objects.add(at)
	}
	return e.commitTree(ctx, links, theirs)
}

// newCommits visits the commits that the client does not have.
func (e *enumeration) newCommits(ctx context.Context, tips, haves []git.ObjectID) error {
	walk := graph.NewWalk(e.sn.grafted(e.roots), tips, haves, graph.Topological)
	var list []place
	selected := newObjectSet(e.sn)
	for {
		id, _, ok, err := walk.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		at, ok := e.sn.place(id)
		if !ok {
			return missing(id)
		}
		selected.add(at)
		list = append(list, at)
	}
	theirs := func(id git.ObjectID) bool {
		at, ok := e.sn.place(id)
		return ok && !selected.has(at)
	}
	for _, at := range slices.Backward(list) {
		if err := e.step(ctx); err != nil {
			return err
		}
		links, err := e.commitLinks(e.sn.idAt(at), at)
		if err != nil {
			return err
		}
		if err := e.commit(ctx, at, links, theirs); err != nil {
			return err
		}
	}
	return nil
}

// grafts is a snapshot's history cut off at some commits.
type grafts struct {
	*Snapshot
	roots map[git.ObjectID]struct{}
}

func (sn *Snapshot) grafted(roots map[git.ObjectID]struct{}) graph.Commits {
	if len(roots) == 0 {
		return sn
	}
	return grafts{sn, roots}
}

// Commit returns a commit as the cut-off history has it.
func (g grafts) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, err := g.Snapshot.Commit(ctx, id)
	if _, ok := g.roots[id]; ok {
		links.Parents = nil
	}
	return links, err
}

// commitLinks reads a commit of the history that is cut off at the roots.
func (e *enumeration) commitLinks(id git.ObjectID, at place) (git.CommitLinks, error) {
	links, ok := e.links.get(at)
	if !ok {
		data, err := e.read.object(at, git.CommitObject)
		if err != nil {
			return links, err
		}
		if links, err = git.ParseCommitLinks(e.sn.format(), data); err != nil {
			return links, fmt.Errorf("commit %s: %w", id, err)
		}
		e.links.put(at, links)
	}
	if len(e.roots) > 0 {
		if _, cut := e.roots[id]; cut {
			links.Parents = nil
		}
	}
	return links, nil
}

// maxBases bounds the parents that a commit's tree is compared with.
const maxBases = 8

// commitTree visits what a commit's tree has and none of its parents' trees.
// theirs tells which parents are the client's.
func (e *enumeration) commitTree(ctx context.Context, links git.CommitLinks, theirs func(git.ObjectID) bool) error {
	if !e.filter.Includes(git.TreeObject) && !e.filter.Includes(git.BlobObject) || e.maxDepth == 0 {
		return nil
	}
	at, ok := e.sn.place(links.Tree)
	if !ok {
		if links.Tree == e.sn.format().EmptyTree() {
			return nil
		}
		return missing(links.Tree)
	}
	if e.isDone(at, 0) {
		return nil
	}
	var bases []base
	for _, parent := range links.Parents[:min(len(links.Parents), maxBases)] {
		parentAt, ok := e.sn.place(parent)
		if !ok {
			return missing(parent)
		}
		parentLinks, err := e.commitLinks(parent, parentAt)
		if err != nil {
			return err
		}
		isTheirs := theirs(parent)
		if parentLinks.Tree == links.Tree {
			return nil
		}
		b, ok, err := e.base(parentLinks.Tree, isTheirs)
		if err != nil {
			return err
		}
		if ok {
			bases = append(bases, b)
		}
	}
	if e.filter.Includes(git.TreeObject) {
		e.objects.add(at)
	}
	return e.tree(ctx, links.Tree, at, 0, bases)
}

// base is the tree of another commit at the path that is being visited.
type base struct {
	reader git.TreeReader // on the entry where the comparison is
	more   bool
	theirs bool
}

func (e *enumeration) base(id git.ObjectID, theirs bool) (base, bool, error) {
	at, ok := e.sn.place(id)
	if !ok {
		if id == e.sn.format().EmptyTree() {
			return base{}, false, nil
		}
		return base{}, false, missing(id)
	}
	data, err := e.read.object(at, git.TreeObject)
	if err != nil {
		return base{}, false, err
	}
	if theirs {
		e.has.add(at)
	}
	b := base{reader: git.NewTreeReader(e.sn.format(), data), theirs: theirs}
	b.more, err = b.reader.Next()
	return b, true, err
}

// isDone tells whether a tree was visited so that a visit at that depth finds
// nothing more, or is the client's.
func (e *enumeration) isDone(at place, depth int) bool {
	if e.has.has(at) {
		return true
	}
	if e.depths == nil {
		return e.seen.has(at)
	}
	before, ok := e.depths[at]
	return ok && before <= depth
}

// tree visits the entries of a tree that is itself planned or left out by its
// caller. What a base has too is passed over: whoever put the base there
// answers for it.
func (e *enumeration) tree(ctx context.Context, id git.ObjectID, at place, depth int, bases []base) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("tree %s is more than %d levels deep", id, maxTreeDepth)
	}
	if e.depths != nil {
		e.depths[at] = depth
	}
	e.seen.add(at)
	if err := e.step(ctx); err != nil {
		return err
	}
	if e.maxDepth >= 0 && depth+1 >= e.maxDepth {
		return nil
	}
	data, err := e.read.object(at, git.TreeObject)
	if err != nil {
		return err
	}
	for r := git.NewTreeReader(e.sn.format(), data); ; {
		more, err := r.Next()
		if err != nil {
			return fmt.Errorf("tree %s: %w", id, err)
		}
		if !more {
			return nil
		}
		same, err := advance(bases, &r)
		if err != nil {
			return fmt.Errorf("tree beside %s: %w", id, err)
		}
		if same || r.Mode.IsSubmodule() {
			continue
		}
		if r.Mode.IsTree() {
			err = e.subtree(ctx, &r, depth+1, bases)
		} else {
			err = e.blob(&r, bases)
		}
		if err != nil {
			return err
		}
	}
}

// advance moves the bases up to the entry that r is on and tells whether one
// of them has the same object there.
func advance(bases []base, r *git.TreeReader) (bool, error) {
	same := false
	for i := range bases {
		b := &bases[i]
		for b.more && compareEntries(&b.reader, r) < 0 {
			var err error
			if b.more, err = b.reader.Next(); err != nil {
				return false, err
			}
		}
		if b.more && b.reader.ID == r.ID && b.reader.Mode.ObjectType() == r.Mode.ObjectType() {
			same = true
		}
	}
	return same, nil
}

// compareEntries orders two entries as git does within a tree.
func compareEntries(a, b *git.TreeReader) int {
	n := min(len(a.Name), len(b.Name))
	if c := bytes.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	return int(after(a, n)) - int(after(b, n))
}

func after(r *git.TreeReader, n int) byte {
	switch {
	case n < len(r.Name):
		return r.Name[n]
	case r.Mode.IsTree():
		return '/'
	}
	return 0
}

// isAt tells whether the base is on an entry of the same name and kind.
func (b *base) isAt(r *git.TreeReader) bool {
	return b.more && b.reader.Mode.ObjectType() == r.Mode.ObjectType() && bytes.Equal(b.reader.Name, r.Name)
}

func (e *enumeration) subtree(ctx context.Context, r *git.TreeReader, depth int, bases []base) error {
	at, ok := e.sn.place(r.ID)
	if !ok {
		if r.ID == e.sn.format().EmptyTree() {
			return nil
		}
		return missing(r.ID)
	}
	if e.isDone(at, depth) {
		return nil
	}
	var below []base
	for i := range bases {
		if !bases[i].isAt(r) {
			continue
		}
		b, ok, err := e.base(bases[i].reader.ID, bases[i].theirs)
		if err != nil {
			return err
		}
		if ok {
			below = append(below, b)
		}
	}
	if e.filter.Includes(git.TreeObject) {
		e.objects.add(at)
	}
	return e.tree(ctx, r.ID, at, depth, below)
}

func (e *enumeration) blob(r *git.TreeReader, bases []base) error {
	if !e.filter.Includes(git.BlobObject) {
		return nil
	}
	at, ok := e.sn.place(r.ID)
	if !ok {
		return missing(r.ID)
	}
	if e.has.has(at) || !e.seen.add(at) {
		return nil
	}
	if e.thin {
		for i := range bases {
			if !bases[i].theirs || !bases[i].isAt(r) {
				continue
			}
			if old, ok := e.sn.place(bases[i].reader.ID); ok {
				e.has.add(old)
			}
		}
	}
	if _, limited := e.filter.BlobLimit(); limited {
		p := e.sn.packs[at.pack]
		_, size, err := p.pack.Header(p.pack.Index().Offset(at.pos))
		if err != nil || !e.filter.IncludesBlob(size) {
			return err
		}
	}
	e.objects.add(at)
	return nil
}

// maxClientTrees bounds how many of a shallow client's commits are read whole.
const maxClientTrees = 16

// markClient notes all objects of the client's own commits. Only for shallow
// clients: where history is cut off there is no parent to compare with.
func (e *enumeration) markClient(ctx context.Context, haves []git.ObjectID) error {
	if !e.filter.IsZero() {
		return nil
	}
	for _, id := range haves[:min(len(haves), maxClientTrees)] {
		at, ok := e.sn.place(id)
		if !ok {
			return missing(id)
		}
		links, err := e.commitLinks(id, at)
		if err != nil {
			return err
		}
		if err := e.markTree(ctx, links.Tree, 0); err != nil {
			return err
		}
	}
	return nil
}

func (e *enumeration) markTree(ctx context.Context, id git.ObjectID, depth int) error {
	if err := e.step(ctx); err != nil {
		return err
	}
	at, ok := e.sn.place(id)
	if !ok && id == e.sn.format().EmptyTree() {
		return nil
	}
	if !ok || depth > maxTreeDepth {
		return missing(id)
	}
	if !e.has.add(at) {
		return nil
	}
	data, err := e.read.object(at, git.TreeObject)
	if err != nil {
		return err
	}
	for r := git.NewTreeReader(e.sn.format(), data); ; {
		more, err := r.Next()
		if err != nil || !more {
			return err
		}
		switch {
		case r.Mode.IsSubmodule():
		case r.Mode.IsTree():
			if err := e.markTree(ctx, r.ID, depth+1); err != nil {
				return err
			}
		default:
			if at, ok := e.sn.place(r.ID); ok {
				e.has.add(at)
			}
		}
	}
}

// includeTags plans the tags whose targets are planned.
func (e *enumeration) includeTags(ctx context.Context, tags []git.ObjectID) error {
	for _, id := range tags {
		if err := e.step(ctx); err != nil {
			return err
		}
		var chain []place
		for range maxTagDepth {
			at, ok := e.sn.place(id)
			if !ok {
				return missing(id)
			}
			t, err := e.read.objectType(at)
			if err != nil {
				return err
			}
			if t != git.TagObject {
				if e.objects.has(at) {
					for _, tag := range chain {
						e.objects.add(tag)
					}
				}
				break
			}
			chain = append(chain, at)
			if id, err = e.tagTarget(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// step looks up from the work now and then.
func (e *enumeration) step(ctx context.Context) error {
	if e.progress.tick() {
		e.progress.show(e.objects.len())
		return ctx.Err()
	}
	return nil
}

// counter tells how far a count has come, as git does.
type counter struct {
	what  string
	tell  func(string)
	ticks int
	last  time.Time
	shown bool
}

func (c *counter) tick() bool {
	c.ticks++
	return c.ticks%256 == 0
}

func (c *counter) show(n int64) {
	if now := time.Now(); c.last.IsZero() {
		c.last = now
	} else if now.Sub(c.last) > 200*time.Millisecond {
		c.last = now
		c.tell(fmt.Sprintf("%s: %d\r", c.what, n))
	}
}

func (c *counter) done(n int64) { c.tell(fmt.Sprintf("%s: %d, done.\n", c.what, n)) }

// linkCache holds the commits read last: each is looked at as a commit and as
// the parent of others.
type linkCache []linkSlot

type linkSlot struct {
	at    place
	full  bool
	links git.CommitLinks
}

func newLinkCache(large bool) linkCache {
	if large {
		return make(linkCache, 4096)
	}
	return make(linkCache, 64)
}

func (c linkCache) slot(at place) *linkSlot { return &c[(at.pos*31+at.pack)%len(c)] }

func (c linkCache) get(at place) (git.CommitLinks, bool) {
	s := c.slot(at)
	if !s.full || s.at != at {
		return git.CommitLinks{}, false
	}
	return s.links, true
}

func (c linkCache) put(at place, links git.CommitLinks) { *c.slot(at) = linkSlot{at, true, links} }

// objectReader reads trees, commits and tags for a walk.
type objectReader struct {
	sn    *Snapshot
	local *recent // nil: the store's cache is used
}

// newObjectReader returns a reader through the store's cache if shared; else
// through one of its own, so that a walk over everything does not push out what
// others use.
func newObjectReader(sn *Snapshot, shared bool) objectReader {
	r := objectReader{sn: sn}
	if !shared {
		r.local = &recent{}
	}
	return r
}

func (r objectReader) objectType(at place) (git.ObjectType, error) {
	p := r.sn.packs[at.pack].pack
	return p.Type(p.Index().Offset(at.pos))
}

// object reads an object that must be of the type.
func (r objectReader) object(at place, t git.ObjectType) ([]byte, error) {
	o, err := r.any(at)
	if err == nil && o.Type != t {
		err = fmt.Errorf("object %s is a %s, not a %s", r.sn.idAt(at), o.Type, t)
	}
	return o.Data, err
}

// any reads an object of any type.
func (r objectReader) any(at place) (git.Object, error) {
	p := r.sn.packs[at.pack]
	offset := p.pack.Index().Offset(at.pos)
	var o git.Object
	var err error
	if r.local != nil {
		o, err = p.pack.Object(offset, recentOf{r.local, at.pack}, r.sn.store.options.MaxBuffered)
	} else {
		o, err = p.pack.Object(offset, p.cache, r.sn.store.options.MaxBuffered)
	}
	if err != nil {
		return o, fmt.Errorf("read object %s in pack %s: %w", r.sn.idAt(at), p.key.id, err)
	}
	return o, nil
}

// recent holds what was read last, in two generations: when the young one is
// full it becomes the old one, whose place it takes.
type recent struct {
	young, old map[recentKey]git.Object
	size       int
}

type recentKey struct {
	pack   int
	offset int64
}

// generationBytes bounds one generation.
const generationBytes = 12 << 20

// recentOf is the part of recent that is of one pack; it is a pack.Cache.
type recentOf struct {
	all  *recent
	pack int
}

// Get returns an object by the offset of its entry.
func (r recentOf) Get(offset int64) (git.Object, bool) {
	key := recentKey{r.pack, offset}
	if o, ok := r.all.young[key]; ok {
		return o, true
	}
	o, ok := r.all.old[key]
	if ok {
		r.all.put(key, o)
	}
	return o, ok
}

// Put keeps an object for a while.
func (r recentOf) Put(offset int64, o git.Object) {
	if o.Type == git.BlobObject {
		return
	}
	r.all.put(recentKey{r.pack, offset}, o)
}

func (r *recent) put(key recentKey, o git.Object) {
	size := len(o.Data) + 100
	if size > generationBytes/4 {
		return
	}
	if r.young == nil || r.size+size > generationBytes {
		r.old, r.young, r.size = r.young, map[recentKey]git.Object{}, 0
	}
	if _, ok := r.young[key]; !ok {
		r.young[key] = o
		r.size += size
	}
}
