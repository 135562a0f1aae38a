package odb

import (
	"container/list"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Snapshot is one state of a repository: its refs and the packs of its
// manifest. It never changes, never blocks a write, and keeps its packs
// readable until Close. It is safe for concurrent use.
type Snapshot struct {
	store *Store
	repo  cairn.Repository
	refs  *refList
	packs []*openPack // newest first

	users  atomic.Int32
	loaded atomic.Bool
	graph  atomic.Pointer[knownGraph]
	reach  [viewCount]*reach
	tips   tipSet
	plans  planCache
}

func (s *Store) newSnapshot(repo cairn.Repository, refs []cairn.Ref, manifest []cairn.Pack) *Snapshot {
	sn := &Snapshot{store: s, repo: repo, refs: newRefList(refs), packs: make([]*openPack, len(manifest))}
	for i, info := range manifest {
		sn.packs[i] = s.acquire(repo.Organization, info)
	}
	for v := range sn.reach {
		sn.reach[v] = newReach(View(v), repo.Version)
	}
	sn.users.Store(1)
	return sn
}

// retain adds a user, unless the last one has gone.
func (sn *Snapshot) retain() bool {
	for {
		n := sn.users.Load()
		if n == 0 {
			return false
		}
		if sn.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close ends one use of the snapshot: each call that returned it asks for one
// Close. Closing a nil snapshot does nothing.
func (sn *Snapshot) Close() {
	if sn == nil || sn.users.Add(-1) > 0 {
		return
	}
	sn.store.release(sn.packs)
}

// Repository returns the repository's row in this state.
func (sn *Snapshot) Repository() cairn.Repository { return sn.repo }

func (sn *Snapshot) format() git.ObjectFormat { return sn.repo.Format }

// Refs returns all refs by name, those of the ephemeral namespace too. The
// slice is shared: do not write to it.
func (sn *Snapshot) Refs() []cairn.Ref { return sn.refs.all() }

// Ref returns the ref of that stored name.
func (sn *Snapshot) Ref(name git.RefName) (cairn.Ref, bool) {
	return sn.refs.get(name)
}

// RefsBelow returns the refs whose stored name starts with the prefix.
func (sn *Snapshot) RefsBelow(prefix string) []cairn.Ref {
	refs := sn.Refs()
	i, _ := findRef(refs, git.RefName(prefix))
	n := 0
	for i+n < len(refs) && strings.HasPrefix(string(refs[i+n].Name), prefix) {
		n++
	}
	return refs[i : i+n]
}

// PackCount is the number of packs in the manifest.
func (sn *Snapshot) PackCount() int { return len(sn.packs) }

// derive returns the state after a write that this process made: repo is the
// row after it. It saves the next reader from reading all refs again.
func (sn *Snapshot) derive(repo cairn.Repository, updates []cairn.RefUpdate, added []Staged, at cairn.Ref) *Snapshot {
	next := &Snapshot{store: sn.store, repo: repo, refs: sn.refs.update(updates, at)}
	next.packs = make([]*openPack, 0, len(added)+len(sn.packs))
	has := func(packs []*openPack, id cairn.PackID) bool {
		return slices.ContainsFunc(packs, func(p *openPack) bool { return p.key.id == id })
	}
	for _, a := range added {
		if !has(next.packs, a.ID) && !has(sn.packs, a.ID) {
			next.packs = append(next.packs, sn.store.acquire(repo.Organization, a.Pack))
		}
	}
	sn.store.retain(sn.packs)
	next.packs = append(next.packs, sn.packs...)
	next.users.Store(1)
	return next
}

// inheritReach takes over what the state before knows to be reachable, for the
// views in which every ref stayed or moved to a child of its old commit.
func (sn *Snapshot) inheritReach(ctx context.Context, before *Snapshot, updates []cairn.RefUpdate) {
	for v := range sn.reach {
		sn.reach[v] = newReach(View(v), sn.repo.Version)
		var tips []git.ObjectID
		forward := true
		for _, u := range updates {
			if View(v).Shows(u.Name) {
				tips = append(tips, u.New)
				forward = forward && (u.Old.IsZero() || sn.isChild(ctx, u.New, u.Old))
			}
		}
		if forward {
			sn.reach[v] = before.reach[v]
			sn.reach[v].grow(sn.repo.Version, tips)
		}
	}
}

func (sn *Snapshot) isChild(ctx context.Context, child, parent git.ObjectID) bool {
	if child.IsZero() {
		return false
	}
	links, err := sn.Commit(ctx, child)
	return err == nil && slices.Contains(links.Parents, parent)
}

// snapshotCache keeps the last state of recently used repositories.
type snapshotCache struct {
	mu    sync.Mutex
	limit int
	items map[cairn.RepositoryKey]*list.Element // of *keptSnapshot
	names map[orgName]cairn.RepositoryKey       // of the items that are living
	used  list.List                             // most recently used first
}

// keptSnapshot is the last state of a repository that is known.
type keptSnapshot struct {
	*Snapshot
	// isMarked tells that this was the present state when the mark of the
	// repository's row was that one, and is as long as it is.
	isMarked bool
	mark     uint64
}

type orgName struct {
	organization cairn.OrganizationID
	name         cairn.RepositoryName
}

// get returns the kept state of the repository, for one more user, if it is
// the state of that row or one that a later write made.
func (c *snapshotCache) get(row cairn.Repository) *Snapshot {
	return c.find(row.RepositoryKey, func(kept *keptSnapshot) bool {
		return kept.repo.Version >= row.Version && kept.repo.DeletedAt.Equal(row.DeletedAt)
	})
}

// at returns the kept state if it is of that very version.
func (c *snapshotCache) at(key cairn.RepositoryKey, version int64) *Snapshot {
	return c.find(key, func(kept *keptSnapshot) bool { return kept.repo.Version == version })
}

// marked returns the kept state if it is the present one, the mark of the
// repository's row being that.
func (c *snapshotCache) marked(key cairn.RepositoryKey, mark uint64, good func(cairn.Repository) bool) *Snapshot {
	return c.find(key, func(kept *keptSnapshot) bool { return kept.isMarked && kept.mark == mark && good(kept.repo) })
}

func (c *snapshotCache) find(key cairn.RepositoryKey, good func(*keptSnapshot) bool) *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[key]
	if !ok {
		return nil
	}
	kept := e.Value.(*keptSnapshot)
	if !good(kept) || !kept.retain() {
		return nil
	}
	c.used.MoveToFront(e)
	return kept.Snapshot
}

// named returns the repository that has, or had of late, that name; the zero
// key if none is known.
func (c *snapshotCache) named(org cairn.OrganizationID, name cairn.RepositoryName) cairn.RepositoryKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[orgName{org, name}]
}

// mark notes the mark that the row of a kept state had, when or before it was
// read; nothing if another state is kept by now.
func (c *snapshotCache) mark(sn *Snapshot, mark uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[sn.repo.RepositoryKey]; ok {
		if kept := e.Value.(*keptSnapshot); kept.Snapshot == sn {
			kept.isMarked, kept.mark = true, mark
		}
	}
}

// put keeps the snapshot unless a newer state is already kept.
func (c *snapshotCache) put(sn *Snapshot) {
	var dropped []*Snapshot
	c.mu.Lock()
	if c.items == nil {
		c.items, c.names = map[cairn.RepositoryKey]*list.Element{}, map[orgName]cairn.RepositoryKey{}
	}
	e, ok := c.items[sn.repo.RepositoryKey]
	if newer := ok && e.Value.(*keptSnapshot).repo.Version >= sn.repo.Version && sn.repo.DeletedAt.IsZero(); !newer && sn.retain() {
		if ok {
			dropped = append(dropped, c.removeLocked(e))
		}
		c.items[sn.repo.RepositoryKey] = c.used.PushFront(&keptSnapshot{Snapshot: sn})
		if sn.repo.DeletedAt.IsZero() {
			c.names[orgName{sn.repo.Organization, sn.repo.Name}] = sn.repo.RepositoryKey
		}
	}
	for c.used.Len() > c.limit {
		dropped = append(dropped, c.removeLocked(c.used.Back()))
	}
	c.mu.Unlock()
	for _, d := range dropped {
		d.Close()
	}
}

func (c *snapshotCache) removeLocked(e *list.Element) *Snapshot {
	sn := c.used.Remove(e).(*keptSnapshot).Snapshot
	key := sn.repo.RepositoryKey
	delete(c.items, key)
	if name := (orgName{key.Organization, sn.repo.Name}); c.names[name] == key {
		delete(c.names, name)
	}
	return sn
}

// drop forgets a repository's state.
func (c *snapshotCache) drop(key cairn.RepositoryKey) {
	c.mu.Lock()
	var dropped *Snapshot
	if e, ok := c.items[key]; ok {
		dropped = c.removeLocked(e)
	}
	c.mu.Unlock()
	dropped.Close()
}

func (c *snapshotCache) clear() {
	c.mu.Lock()
	var dropped []*Snapshot
	for c.used.Len() > 0 {
		dropped = append(dropped, c.removeLocked(c.used.Back()))
	}
	c.mu.Unlock()
	for _, d := range dropped {
		d.Close()
	}
}

func (c *snapshotCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used.Len()
}

// Due tells whether so many packs that no repack under way takes came that they
// should be merged.
func (sn *Snapshot) Due() bool {
	return len(mergeable(sn.packs, sn.store.beingRepacked(sn.repo.RepositoryKey))) >= sn.store.options.CompactAt
}
