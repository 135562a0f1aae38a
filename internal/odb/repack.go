package odb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// RepackResult says what a full repack did.
type RepackResult struct {
	Before, After cairn.PacksSize
	Dropped       int64 // objects that nothing led to
}

// minRetention is how long what refs named is kept at least: as long as any
// write takes that was checked against them.
const minRetention = time.Hour

// Repack packs a repository anew: deltas are sought among all objects, history
// is parted from blobs, what is reachable from the default branch from the
// rest, and what neither a ref leads to nor one did within the retention time
// is dropped. Beside one of the packs it puts the sidecars. Everything is
// verified before one transaction replaces the packs; packs that came meanwhile
// stay. The replaced ones are left to readers of older snapshots until Sweep
// collects them. progress, which may be nil, is told now and then how far it is,
// in words.
//
// No write may rely on what is dropped. So the fence comes first: writes that
// were checked against an older state are refused with ErrOutdated from then
// on. Then the repository is looked at, and what a newer state can name, the
// refs of that moment lead to, or a ref that an event since the fence tells of,
// or a pack that came after.
//
// It returns an error that matches gitexec.ErrUnavailable without git, and a
// Conflict if the repository is being repacked already.
func (s *Store) Repack(ctx context.Context, key cairn.RepositoryKey, progress func(string)) (RepackResult, error) {
	var result RepackResult
	if progress == nil {
		progress = func(string) {}
	}
	if s.options.Git == nil {
		return result, cairn.Errorf(cairn.Unavailable, "a full repack needs git on the server's machine: %w", gitexec.ErrUnavailable)
	}
	if !s.beginRepack(key) {
		return result, cairn.Errorf(cairn.Conflict, "the repository is being repacked already; wait for that to end")
	}
	defer s.endRepack(key)
	sn, fence, err := s.fence(ctx, key)
	if err != nil {
		return result, err
	}
	defer sn.Close()
	if err := sn.load(ctx); err != nil {
		return result, err
	}
	s.noteRepack(sn)
	for _, p := range sn.packs {
		result.Before.Add(p.info)
	}
	r := &repack{store: s, sn: sn, progress: progress}
	defer r.close()
	if r.roots, err = s.repackRoots(ctx, sn, fence); err != nil {
		return result, err
	}
	if err := r.run(ctx); err != nil {
		return result, fmt.Errorf("repack: %w", err)
	}
	for _, p := range r.staged {
		result.After.Add(p.Pack)
	}
	result.Dropped = sn.distinctObjects() - r.planned
	return result, nil
}

// minRepack is how many bytes must have come before a full repack is worth its
// while.
const minRepack = 1 << 20

// RepackDebt returns how many bytes came since the last full repack if these are
// so many that it is time for the next, else 0.
func (sn *Snapshot) RepackDebt() int64 {
	var d cairn.Debt
	for _, p := range sn.packs {
		if p.info.Role == cairn.MixedPack {
			d.Since.Add(p.info)
		} else {
			d.Repacked.Add(p.info)
		}
	}
	return sn.store.due(d)
}

// due returns the bytes of a debt if it is time for a full repack: more than
// half the bytes and a quarter of the objects that the last one left. Both, as
// deltas make much less of most bytes: so the work of all repacks stays in
// proportion to what came.
func (s *Store) due(d cairn.Debt) int64 {
	if s.options.Git == nil || d.Since.Bytes <= max(minRepack, d.Repacked.Bytes/2) || d.Since.Objects <= d.Repacked.Objects/4 {
		return 0
	}
	return d.Since.Bytes
}

const debtsPerView = 1000

// Indebted tells of all repositories for which it is time for a full repack, and
// of the bytes that came to each since the last one.
func (s *Store) Indebted(ctx context.Context, tell func(key cairn.RepositoryKey, debt int64)) error {
	var after cairn.RepositoryKey
	for {
		var page []cairn.Debt
		err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
			page, err = tx.Packs().Debts(after, debtsPerView)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, d := range page {
			if bytes := s.due(d); bytes > 0 {
				tell(d.RepositoryKey, bytes)
			}
		}
		after = page[len(page)-1].RepositoryKey
	}
}

// beginRepack tells whether no other repack of the repository is under way in
// this process.
func (s *Store) beginRepack(key cairn.RepositoryKey) bool {
	s.repacksMu.Lock()
	defer s.repacksMu.Unlock()
	if _, running := s.repacks[key]; running {
		return false
	}
	s.repacks[key] = nil
	return true
}

// noteRepack keeps the packs from being merged: the repack replaces them.
func (s *Store) noteRepack(sn *Snapshot) {
	packs := make(map[cairn.PackID]bool, len(sn.packs))
	for _, p := range sn.packs {
		packs[p.key.id] = true
	}
	s.repacksMu.Lock()
	defer s.repacksMu.Unlock()
	s.repacks[sn.repo.RepositoryKey] = packs
}

func (s *Store) endRepack(key cairn.RepositoryKey) {
	s.repacksMu.Lock()
	defer s.repacksMu.Unlock()
	delete(s.repacks, key)
}

// beingRepacked tells which packs a repack under way will replace: any, until
// it has looked.
func (s *Store) beingRepacked(key cairn.RepositoryKey) func(cairn.PackID) bool {
	s.repacksMu.Lock()
	defer s.repacksMu.Unlock()
	packs, running := s.repacks[key]
	return func(id cairn.PackID) bool { return running && (packs == nil || packs[id]) }
}

// fence puts up the fence and then opens the state of that moment or later.
func (s *Store) fence(ctx context.Context, key cairn.RepositoryKey) (*Snapshot, int64, error) {
	var fence int64
	err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		var err error
		fence, err = tx.Repositories().SetFence(key)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	sn, err := s.SnapshotOf(ctx, key)
	if err == nil && sn.repo.Version < fence {
		sn.Close()
		err = cairn.Errorf(cairn.Internal, "the snapshot after version %d has version %d", fence, sn.repo.Version)
	}
	return sn, fence, err
}

// repackRoots are the objects from which all that is kept can be reached, in
// the order of the levels.
type repackRoots struct {
	levels [][]git.ObjectID // each a level of the closure
	rest   []git.ObjectID   // refs that not everybody sees
	events []git.ObjectID   // what refs named of late; may be gone
}

func (s *Store) repackRoots(ctx context.Context, sn *Snapshot, fence int64) (repackRoots, error) {
	var roots repackRoots
	var head, others []git.ObjectID
	for _, ref := range sn.Refs() {
		switch {
		case ref.Name == sn.repo.DefaultBranch:
			head = append(head, ref.Target)
		case NormalView.Shows(ref.Name):
			others = append(others, ref.Target)
		default:
			roots.rest = append(roots.rest, ref.Target)
		}
	}
	for _, tips := range [][]git.ObjectID{head, others} {
		slices.SortFunc(tips, git.ObjectID.Compare)
		if tips = slices.Compact(tips); len(tips) > 0 {
			roots.levels = append(roots.levels, tips)
		}
	}
	since := s.options.Now().Add(-max(s.options.Retention, minRetention))
	if purged := sn.repo.PurgedAt; !purged.Before(since) {
		since = purged.Add(time.Microsecond)
	}
	err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
		roots.events, err = tx.Events().Targets(sn.repo.RepositoryKey, since, fence)
		return err
	})
	slices.SortFunc(roots.events, git.ObjectID.Compare)
	return roots, err
}

// distinctObjects counts the objects that the packs hold, each once.
func (sn *Snapshot) distinctObjects() int64 {
	all := newObjectSet(sn)
	for _, p := range sn.packs {
		x := p.pack.Index()
		for pos := range x.Len() {
			if at, ok := sn.place(x.ID(pos)); ok {
				all.add(at)
			}
		}
	}
	return all.len()
}

// publish makes the new packs the repository's in the place of those of the
// snapshot.
func (r *repack) publish(ctx context.Context) error {
	s, key := r.store, r.sn.repo.RepositoryKey
	old := make([]cairn.PackID, len(r.sn.packs))
	for i, p := range r.sn.packs {
		old[i] = p.key.id
	}
	added := make([]cairn.Pack, len(r.staged))
	for i, p := range r.staged {
		added[i] = p.Pack
	}
	if len(old)+len(added) == 0 {
		return nil
	}
	var manifest []cairn.Pack
	err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		if err := tx.Packs().Replace(key, old, added, s.options.Now().UTC()); err != nil {
			return err
		}
		var err error
		manifest, err = tx.Packs().Manifest(key)
		return err
	})
	if err != nil {
		if !errors.Is(err, cairn.Conflict) && !errors.Is(err, cairn.NotFound) {
			r.mayBeNamed = true // it may have happened all the same: only the janitor can tell
		}
		return err
	}
	r.mayBeNamed = true
	s.snapshots.drop(key) // it would keep the replaced packs
	// The organization may have had one of the packs already: then its own
	// copy is the one that counts.
	for _, p := range r.staged {
		if !slices.ContainsFunc(manifest, func(m cairn.Pack) bool { return m.Key == p.Key }) {
			s.Discard(ctx, p)
		}
	}
	return nil
}
