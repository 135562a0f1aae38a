package odb

import (
	"context"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// stored is what a clone can be made of without looking at the objects: packs
// that together hold exactly what some tips lead to.
type stored struct {
	packs    []cairn.PackID // in the order in which they are sent
	tips     []git.ObjectID
	checksum git.ObjectID // of the pack that is made of these packs alone
}

// blobless is the filter of clones that history packs are made for.
var blobless = func() protocol.Filter {
	f, err := protocol.ParseFilter("blob:none")
	if err != nil {
		panic(err)
	}
	return f
}()

// isStored tells whether a repacked repository has packs of such objects.
func (s selection) isStored() bool {
	return len(s.haves) == 0 && len(s.roots) == 0 && (s.filter.IsZero() || s.filter == blobless)
}

// storedFor returns the levels of the repository's closure, from the first on,
// all of whose tips the wants lead to: then so is all that lies in their packs,
// and whoever may ask for the wants may have it.
func (sn *Snapshot) storedFor(ctx context.Context, s selection) (stored, error) {
	var out stored
	if !s.isStored() {
		return out, nil
	}
	c, err := sn.closure(ctx)
	if err != nil || len(c.levels) == 0 {
		return out, err
	}
	reached, err := sn.newReached(ctx, s.wants)
	if err != nil {
		return out, err
	}
	for _, l := range c.levels {
		for _, tip := range l.tips {
			if ok, err := reached.has(ctx, tip); err != nil || !ok {
				return out, err
			}
		}
		out.tips = append(out.tips, l.tips...)
		out.packs, out.checksum = append(out.packs, l.history...), l.historyChecksum
		if s.filter.IsZero() {
			out.packs, out.checksum = append(out.packs, l.blobs...), l.checksum
		}
	}
	return out, nil
}

// reached answers whether wants lead to something.
type reached struct {
	sn      *Snapshot
	known   map[git.ObjectID]bool // the wants, and what they name through tags
	commits []git.ObjectID        // of these
	walks   int
}

// maxReachedWalks bounds the walks for tips that no want names: a repository of
// which that many refs have moved is due to be repacked.
const maxReachedWalks = 64

func (sn *Snapshot) newReached(ctx context.Context, wants []git.ObjectID) (*reached, error) {
	r := &reached{sn: sn, known: make(map[git.ObjectID]bool, len(wants))}
	for _, id := range wants {
		for range maxTagDepth {
			if r.known[id] {
				break
			}
			r.known[id] = true
			t, _, err := sn.Header(ctx, id)
			if err != nil {
				return nil, err
			}
			if t == git.CommitObject {
				r.commits = append(r.commits, id)
			}
			if t != git.TagObject {
				break
			}
			if id, err = sn.tagTarget(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

func (r *reached) has(ctx context.Context, id git.ObjectID) (bool, error) {
	if r.known[id] {
		return true, nil
	}
	t, _, err := r.sn.Header(ctx, id)
	if err != nil || t != git.CommitObject || r.walks == maxReachedWalks || len(r.commits) == 0 {
		return false, err
	}
	r.walks++
	r.known[id], err = graph.IsAncestor(ctx, r.sn, id, r.commits...)
	return r.known[id], err
}

// ordered returns the snapshot with these packs before all others, so that an
// object which several packs hold has its place in them. It is valid as long as
// the snapshot itself, and not to be closed.
func (sn *Snapshot) ordered(first []cairn.PackID) *Snapshot {
	view := &Snapshot{store: sn.store, repo: sn.repo, refs: sn.refs, packs: make([]*openPack, 0, len(sn.packs))}
	byID := make(map[cairn.PackID]*openPack, len(sn.packs))
	for _, p := range sn.packs {
		byID[p.key.id] = p
	}
	for _, id := range first {
		view.packs = append(view.packs, byID[id])
	}
	for _, p := range sn.packs {
		if !slices.Contains(first, p.key.id) {
			view.packs = append(view.packs, p)
		}
	}
	view.loaded.Store(true)
	return view
}
