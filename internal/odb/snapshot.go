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
	items map[cairn.RepositoryKey]*list.Element // of *Snapshot
	used  list.List                             // most recently used first
}

// get returns the kept state of the repository, for one more user, if it is
// the state of that row or one that a later write made.
func (c *snapshotCache) get(row cairn.Repository) *Snapshot {
	return c.find(row.RepositoryKey, func(kept cairn.Repository) bool {
		return kept.Version >= row.Version && kept.DeletedAt.Equal(row.DeletedAt)
	})
}

// at returns the kept state if it is of that very version.
func (c *snapshotCache) at(key cairn.RepositoryKey, version int64) *Snapshot {
	return c.find(key, func(kept cairn.Repository) bool { return kept.Version == version })
}

func (c *snapshotCache) find(key cairn.RepositoryKey, good func(cairn.Repository) bool) *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[key]
	if !ok {
		return nil
	}
	sn := e.Value.(*Snapshot)
	if !good(sn.repo) || !sn.retain() {
		return nil
	}
	c.used.MoveToFront(e)
	return sn
}

// put keeps the snapshot unless a newer state is already kept.
func (c *snapshotCache) put(sn *Snapshot) {
	var dropped []*Snapshot
	c.mu.Lock()
	if c.items == nil {
		c.items = map[cairn.RepositoryKey]*list.Element{}
	}
	key := sn.repo.RepositoryKey
	e, ok := c.items[key]
	switch {
	case ok && e.Value.(*Snapshot).repo.Version >= sn.repo.Version && sn.repo.DeletedAt.IsZero():
	case !sn.retain():
	case ok:
		dropped = append(dropped, e.Value.(*Snapshot))
		e.Value = sn
		c.used.MoveToFront(e)
	default:
		c.items[key] = c.used.PushFront(sn)
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
	sn := c.used.Remove(e).(*Snapshot)
	delete(c.items, sn.repo.RepositoryKey)
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
