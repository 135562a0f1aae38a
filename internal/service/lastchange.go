package service

import (
	"container/heap"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// lastChange is lastChanges for one path.
func (s *Service) lastChange(ctx context.Context, sn *odb.Snapshot, from git.ObjectID, file FileEntry) (git.ObjectID, error) {
	found, err := s.lastChanges(ctx, sn, from, []FileEntry{file})
	return found[file.Path], err
}

// lastChanges finds for each of some files of a commit the newest commit, from
// the given one back, that changed it: the one that git log -1 names. The
// files are in Git's order.
//
// Until it is found, each path has in each commit one parent that matters: the
// first that has the same at the path, and there all else of the history is of
// no account (gitrevisions(7), History Simplification). So a path goes down one
// line of commits, and paths on the same line go together: what is read of a
// commit are the trees of its parent that differ, as far as they hold paths
// that are still looked for. What is known of a commit that is met on the way
// ends the search: who asks after every commit pays for the new commits alone.
func (s *Service) lastChanges(ctx context.Context, sn *odb.Snapshot, from git.ObjectID, files []FileEntry) (map[string]git.ObjectID, error) {
	found := make(map[string]git.ObjectID, len(files))
	left := make([]FileEntry, 0, len(files))
	for _, file := range files {
		if last, ok := s.changes.get(changeKey{from, file.Path}); ok {
			found[file.Path] = last
		} else {
			left = append(left, file)
		}
	}
	if len(left) == 0 {
		return found, nil
	}
	if err := admission.Enter(ctx, admission.History); err != nil {
		return nil, err
	}
	search := changeSearch{sn: sn, known: &s.changes, from: from, found: found, points: map[git.ObjectID]*changePoint{}}
	if err := search.run(ctx, left); err != nil {
		return nil, err
	}
	for _, file := range left {
		s.changes.put(changeKey{from, file.Path}, found[file.Path])
	}
	return found, nil
}

// changeSearch is one search for last changes.
type changeSearch struct {
	sn     *odb.Snapshot
	known  *changeCache
	from   git.ObjectID
	paths  odb.ChangedPaths
	number graph.Generations // may be nil
	found  map[string]git.ObjectID

	points map[git.ObjectID]*changePoint
	queue  changeQueue
}

// changePoint is a commit that paths have arrived at.
type changePoint struct {
	commit  git.ObjectID
	links   git.CommitLinks
	pending *pendingPath // the root
	// indexed says that rank is a generation number. Commits without one are
	// no ancestors of those with one, and ranked by their date.
	indexed bool
	rank    int64
}

// changeQueue gives out children before their parents, as far as that can be
// told: what arrives at a commit by several ways should go on together.
type changeQueue []*changePoint

func (q changeQueue) Len() int      { return len(q) }
func (q changeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q changeQueue) Less(i, j int) bool {
	if q[i].indexed != q[j].indexed {
		return q[j].indexed
	}
	return q[i].rank > q[j].rank
}

// Push adds a point, for package heap.
func (q *changeQueue) Push(p any) { *q = append(*q, p.(*changePoint)) }

// Pop removes the last point, for package heap.
func (q *changeQueue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	*q = (*q)[:last]
	return p
}

func (s *changeSearch) run(ctx context.Context, files []FileEntry) error {
	var err error
	if s.paths, err = s.sn.ChangedPaths(ctx); err != nil {
		return err
	}
	if s.number, err = s.sn.Generations(ctx); err != nil {
		return err
	}
	root := &pendingPath{mode: git.ModeTree}
	for _, file := range files {
		root.add(file, s.paths)
	}
	links, err := s.sn.Commit(ctx, s.from)
	if err != nil {
		return err
	}
	s.arrive(s.from, links, root)
	for len(s.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := heap.Pop(&s.queue).(*changePoint)
		delete(s.points, p.commit)
		if err := s.pass(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// arrive has paths go on at a commit.
func (s *changeSearch) arrive(commit git.ObjectID, links git.CommitLinks, pending *pendingPath) {
	if p, ok := s.points[commit]; ok {
		p.pending.join(pending)
		return
	}
	p := &changePoint{commit: commit, links: links, pending: pending, rank: links.Date}
	if s.number != nil {
		if n, ok := s.number.Generation(commit); ok {
			p.indexed, p.rank = true, n
		}
	}
	s.points[commit] = p
	heap.Push(&s.queue, p)
}

// pass sends the paths of a commit on to the first parent that has the same
// there. What no parent has was changed by the commit.
func (s *changeSearch) pass(ctx context.Context, p *changePoint) error {
	pending := p.pending
	if p.commit != s.from {
		s.takeKnown(p.commit, pending)
	}
	filter, filtered := s.paths.Filter(p.commit)
	for i, id := range p.links.Parents {
		if len(pending.children) == 0 {
			return nil
		}
		parent, err := s.sn.Commit(ctx, id)
		if err != nil {
			return err
		}
		c := treeComparison{ctx: ctx, sn: s.sn}
		if i == 0 && filtered {
			c.filter = &filter // filters are about the first parent
		}
		var changed *pendingPath
		if parent.Tree != p.links.Tree {
			if changed, err = c.takeChanged(pending, parent.Tree); err != nil {
				return err
			}
		}
		if len(pending.children) > 0 {
			s.arrive(id, parent, pending)
		}
		if changed == nil {
			return nil
		}
		pending = changed
	}
	pending.each(func(path string) { s.found[path] = p.commit })
	return nil
}

// takeKnown ends the search for paths of which it is known what changed them
// last before a commit.
func (s *changeSearch) takeKnown(commit git.ObjectID, pending *pendingPath) {
	if !s.known.has(commit) {
		return
	}
	var done []string
	pending.each(func(path string) {
		if last, ok := s.known.get(changeKey{commit, path}); ok {
			s.found[path] = last
			done = append(done, path)
		}
	})
	for _, path := range done {
		pending.remove(path)
	}
}

// pendingPath is a file whose last change is still looked for, or a folder that
// holds such.
type pendingPath struct {
	name string
	mode git.FileMode
	// id is what a file is since the first commit: while it is looked for it
	// has not changed. Of a folder it is some tree in which all that is looked
	// for in the folder is as it is; zero if none is known.
	id       git.ObjectID
	key      commitgraph.Key
	path     string         // of a file
	children []*pendingPath // of a folder, in Git's order
}

// add adds a file that comes after all others in Git's order.
func (p *pendingPath) add(file FileEntry, filters odb.ChangedPaths) {
	at := 0
	for {
		n := strings.IndexByte(file.Path[at:], '/')
		if n < 0 {
			break
		}
		name := file.Path[at : at+n]
		at += n + 1
		if last := len(p.children) - 1; last >= 0 && p.children[last].mode.IsTree() && p.children[last].name == name {
			p = p.children[last]
			continue
		}
		folder := &pendingPath{name: name, mode: git.ModeTree, key: filters.Key(file.Path[:at-1])}
		p.children = append(p.children, folder)
		p = folder
	}
	p.children = append(p.children, &pendingPath{
		name: file.Path[at:], mode: file.Mode, id: file.ID, key: filters.Key(file.Path), path: file.Path,
	})
}

// each calls f for every file.
func (p *pendingPath) each(f func(path string)) {
	for _, child := range p.children {
		if child.mode.IsTree() {
			child.each(f)
		} else {
			f(child.path)
		}
	}
}

// remove removes a file that is there, and the folders that are empty then.
func (p *pendingPath) remove(path string) {
	name, rest, below := strings.Cut(path, "/")
	i, _ := p.find(name, below)
	if below {
		p.children[i].remove(rest)
	}
	if len(p.children[i].children) == 0 {
		p.children = slices.Delete(p.children, i, i+1)
	}
}

func (p *pendingPath) find(name string, tree bool) (int, bool) {
	return slices.BinarySearchFunc(p.children, git.TreeEntry{Name: name, Mode: modeOf(tree)}, func(c *pendingPath, e git.TreeEntry) int {
		return git.CompareTreeEntries(git.TreeEntry{Name: c.name, Mode: c.mode}, e)
	})
}

// modeOf is a mode that sorts as a folder or as anything else.
func modeOf(tree bool) git.FileMode {
	if tree {
		return git.ModeTree
	}
	return git.ModeFile
}

// join adds what is looked for in the same folder of the same commit.
func (p *pendingPath) join(other *pendingPath) {
	if p.id != other.id {
		p.id = git.ObjectID{}
	}
	for _, child := range other.children {
		i, ok := p.find(child.name, child.mode.IsTree())
		if ok {
			p.children[i].join(child)
		} else {
			p.children = slices.Insert(p.children, i, child)
		}
	}
}

// treeComparison compares what is looked for with the tree of a parent.
type treeComparison struct {
	ctx    context.Context //nolint:containedctx // for one call
	sn     *odb.Snapshot
	filter *commitgraph.Filter // of what differs; nil if there is none
}

// takeChanged removes from a folder what is not the same in a tree, and returns
// it; nil if all is the same.
func (c *treeComparison) takeChanged(folder *pendingPath, tree git.ObjectID) (*pendingPath, error) {
	if folder.id == tree || !c.mayDiffer(folder) {
		return nil, nil
	}
	data, err := c.sn.Tree(c.ctx, tree)
	if err != nil {
		return nil, err
	}
	entries := git.NewTreeReader(c.sn.Repository().Format, data)
	changed := &pendingPath{name: folder.name, mode: folder.mode, id: folder.id, key: folder.key}
	kept := folder.children[:0]
	for _, child := range folder.children {
		different, err := c.compare(child, &entries)
		if err != nil {
			return nil, err
		}
		if different != nil {
			changed.children = append(changed.children, different)
		}
		if different != child {
			kept = append(kept, child)
		}
	}
	clear(folder.children[len(kept):])
	folder.children, folder.id = kept, tree
	if len(changed.children) == 0 {
		return nil, nil
	}
	return changed, nil
}

// mayDiffer tells whether something in a folder may differ, as far as the
// filter tells.
func (c *treeComparison) mayDiffer(folder *pendingPath) bool {
	return c.filter == nil || slices.ContainsFunc(folder.children, func(child *pendingPath) bool { return c.filter.MayContain(child.key) })
}

// compare returns the part of a path that is not the same in a tree: the path
// itself, a part of the folder that it then lacks, or nil.
func (c *treeComparison) compare(child *pendingPath, entries *git.TreeReader) (*pendingPath, error) {
	there, err := entries.Seek(child.name, child.mode.IsTree())
	switch {
	case err != nil:
		return nil, err
	case !there:
		return child, nil
	case !child.mode.IsTree():
		if entries.ID == child.id && entries.Mode == child.mode {
			return nil, nil
		}
		return child, nil
	}
	changed, err := c.takeChanged(child, entries.ID)
	if changed != nil && len(child.children) == 0 {
		*child = *changed // all of it
		return child, err
	}
	return changed, err
}

// changeCache remembers which commit changed a path last, for the commits that
// were asked for. A commit's history never changes, so what it holds is never
// stale; who asks has been shown to see the commit.
type changeCache struct {
	mu    sync.Mutex
	known boundedMap[git.ObjectID, *changeSet]
}

type changeKey struct {
	from git.ObjectID
	path string
}

// changeSet is what is known of one commit.
type changeSet struct {
	last   map[string]git.ObjectID // by path
	size   int
	branch string // whose commits it follows, see branchKey; empty if none
}

// Bounds of the cache, in bytes: of one of its two halves, of one commit, and
// what an entry takes beside its path.
const (
	changeCacheSize = 12 << 20
	changeSetSize   = changeCacheSize / 4
	changeEntrySize = 120
)

func (c *changeCache) get(key changeKey) (git.ObjectID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set, ok := c.known.get(key.from)
	if !ok {
		return git.ObjectID{}, false
	}
	last, ok := set.last[key.path]
	return last, ok
}

// maxFollowed is how many paths a commit may change whose last changes are
// followed.
const maxFollowed = 1000

// follow notes which paths a new commit on a branch changed. What is known of its
// parent goes with it, if the commits before it on this branch brought that: of
// all other paths the last change is what it was. So who reads a branch that
// grows finds the answer at its tip, whatever its age.
func (c *changeCache) follow(branch string, m made) {
	if len(m.changes) > maxFollowed || m.changes == nil || len(m.commit.Parents) > 1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.size = changeCacheSize
	set := &changeSet{map[string]git.ObjectID{}, changeEntrySize, branch}
	for _, parent := range m.commit.Parents {
		if old, ok := c.known.get(parent); ok && old.branch == branch && old.size <= changeSetSize {
			set = old
			c.known.remove(parent)
		}
	}
	for _, change := range m.changes {
		if change.Changed {
			set.put(change.Path, m.update.New)
		} else {
			set.remove(change.Path) // the same again, or not there before, or no more
		}
	}
	c.known.putWeighed(m.update.New, set, set.size)
}

func (s *changeSet) put(path string, last git.ObjectID) {
	if _, ok := s.last[path]; !ok {
		s.size += len(path) + changeEntrySize
	}
	s.last[path] = last
}

func (s *changeSet) remove(path string) {
	if _, ok := s.last[path]; ok {
		s.size -= len(path) + changeEntrySize
		delete(s.last, path)
	}
}

// has tells whether anything is known of a commit.
func (c *changeCache) has(commit git.ObjectID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.known.get(commit)
	return ok
}

func (c *changeCache) put(key changeKey, last git.ObjectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.size = changeCacheSize
	set, ok := c.known.get(key.from)
	if !ok || set.size > changeSetSize {
		set = &changeSet{map[string]git.ObjectID{}, changeEntrySize, ""}
	}
	set.put(key.path, last)
	c.known.putWeighed(key.from, set, set.size)
}
