package odb

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// Bounds of the views that wait for another request.
const (
	maxKeptViews = 8
	// keptViewTime is how long one waits. Packs that it links to are on the disk
	// for so long.
	keptViewTime = 10 * time.Second
	// maxViewUses bounds how old a view with its process becomes.
	maxViewUses = 1000
	// maxViewObjects is about how many objects git may leave in one.
	maxViewObjects = 5000
)

// keptViews are views that nobody uses, for the next request about the same
// repository: most of what a small command costs is the view and its first look
// into the packs.
type keptViews struct {
	mu     sync.Mutex
	idle   []*GitView // the one that waits longest first
	closed bool
}

// GitView is a view of a snapshot's packs for one request. Its Close keeps it
// for another one, with the objects that git wrote, which nothing names.
type GitView struct {
	*gitexec.View
	store  *Store
	repo   cairn.RepositoryKey
	packs  map[packKey]bool
	graph  packKey       // the pack whose commit-graph it has, if any
	merges *mergeProcess // nil until the first merge
	uses   int
	expiry *time.Timer // while it is idle
}

// Close ends the use of the view.
func (v *GitView) Close() error {
	if v.uses++; v.uses >= maxViewUses || v.CountWritten() > maxViewObjects {
		return v.remove()
	}
	return v.store.views.put(v)
}

// remove ends the view for good.
func (v *GitView) remove() error {
	v.merges.stop()
	return v.View.Close()
}

// put keeps a view, in the place of the one that waits longest if there are
// many.
func (k *keptViews) put(v *GitView) error {
	k.mu.Lock()
	var over *GitView
	if k.closed {
		over = v
	} else {
		k.idle = append(k.idle, v)
		v.expiry = time.AfterFunc(keptViewTime, func() { v.store.removeIdle(v) })
		if len(k.idle) > maxKeptViews {
			over = k.idle[0]
			over.expiry.Stop()
			k.idle = slices.Delete(k.idle, 0, 1)
		}
	}
	k.mu.Unlock()
	if over == nil {
		return nil
	}
	return over.remove()
}

// take returns a view that serves a snapshot, or can when more packs are added
// to it; nil if there is none. Those of the repository that show packs which the
// snapshot has no more are returned too, to be removed.
func (k *keptViews) take(sn *Snapshot, graph packKey) (found *GitView, stale []*GitView) {
	present := make(map[packKey]bool, len(sn.packs))
	for _, p := range sn.packs {
		present[p.key] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.idle) - 1; i >= 0 && found == nil; i-- {
		v := k.idle[i]
		if v.repo != sn.repo.RepositoryKey {
			continue
		}
		if v.graph == graph && v.shownBy(present) {
			found = v
		} else {
			stale = append(stale, v)
		}
		v.expiry.Stop()
		k.idle = slices.Delete(k.idle, i, i+1)
	}
	return found, stale
}

func (v *GitView) shownBy(present map[packKey]bool) bool {
	for key := range v.packs {
		if !present[key] {
			return false
		}
	}
	return true
}

// removeIdle removes a view that waited for long, unless it was taken.
func (s *Store) removeIdle(v *GitView) {
	s.views.mu.Lock()
	i := slices.Index(s.views.idle, v)
	if i >= 0 {
		s.views.idle = slices.Delete(s.views.idle, i, i+1)
	}
	s.views.mu.Unlock()
	if i >= 0 {
		s.removeView(v)
	}
}

func (s *Store) removeView(v *GitView) {
	if err := v.remove(); err != nil {
		s.options.Logger.Warn("scratch directory left behind", "error", err)
	}
}

// closeViews removes all views, and keeps none from now on.
func (s *Store) closeViews() {
	s.views.mu.Lock()
	idle := s.views.idle
	s.views.idle, s.views.closed = nil, true
	s.views.mu.Unlock()
	for _, v := range idle {
		v.expiry.Stop()
		s.removeView(v)
	}
}

// OpenGitView returns a directory in which stock git sees the snapshot's
// objects, reachable or not, and no refs that mean anything. The caller closes
// it, before the snapshot. A new one costs a link for each pack, and a copy of
// each inline one; one that was kept costs that of the packs that are new. The
// error matches gitexec.ErrUnavailable where there is no git.
//
// Beside the packs lies the commit-graph of the last full repack, if there is
// one: git finds the parents and trees of commits in it without inflating
// them.
func (sn *Snapshot) OpenGitView(ctx context.Context) (*GitView, error) {
	graph, err := sn.graphKey(ctx)
	if err != nil {
		return nil, err
	}
	v, stale := sn.store.views.take(sn, graph)
	for _, old := range stale {
		sn.store.removeView(old)
	}
	if v == nil {
		opened, err := sn.newGitView(ctx)
		if err != nil {
			return nil, err
		}
		v = &GitView{View: opened, store: sn.store, repo: sn.repo.RepositoryKey, graph: graph, packs: make(map[packKey]bool, len(sn.packs))}
		for _, p := range sn.packs {
			v.packs[p.key] = true
		}
		return v, nil
	}
	for _, p := range sn.packs {
		if v.packs[p.key] {
			continue
		}
		if err := sn.showPack(ctx, v.View, p); err != nil {
			sn.store.removeView(v)
			return nil, err
		}
		v.packs[p.key] = true
	}
	return v, nil
}

// graphKey is the pack beside which the snapshot's commit-graph lies; zero if
// there is none.
func (sn *Snapshot) graphKey(ctx context.Context) (packKey, error) {
	if g, err := sn.commitGraph(ctx); g == nil || err != nil {
		return packKey{}, err
	}
	return sn.graph.Load().beside.key, nil
}
