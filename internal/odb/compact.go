package odb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git/pack"
)

// CompactResult says what a compaction did.
type CompactResult struct {
	Before, After int   // packs in the manifest
	Bytes         int64 // of the new pack
}

// Compact merges the smaller packs of a repository into one, such that the
// packs that remain, but for those of a full repack, grow at least by a factor of two from one to the next: a
// repository of any age has O(log n) packs. Nothing is lost and nothing is
// inflated. The replaced packs stay for readers of older snapshots until Sweep
// collects them. A compaction that finds that another one was faster does
// nothing.
func (s *Store) Compact(ctx context.Context, key cairn.RepositoryKey) (CompactResult, error) {
	sn, err := s.SnapshotOf(ctx, key)
	if err != nil {
		return CompactResult{}, err
	}
	defer sn.Close()
	result := CompactResult{Before: len(sn.packs), After: len(sn.packs)}
	merge := compactable(mergeable(sn.packs, s.beingRepacked(key)))
	if len(merge) < 2 {
		return result, nil
	}
	if err := sn.load(ctx); err != nil {
		return result, err
	}
	merged, err := s.merge(ctx, sn, merge)
	if err != nil {
		return result, fmt.Errorf("merge %d packs: %w", len(merge), err)
	}
	old := make([]cairn.PackID, len(merge))
	for i, p := range merge {
		old[i] = p.key.id
	}
	err = s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		// A repack that began meanwhile would be in vain. One that begins
		// later sees what the merge made.
		if taken := s.beingRepacked(key); slices.ContainsFunc(old, taken) {
			return cairn.Errorf(cairn.Conflict, "the packs are being repacked")
		}
		return tx.Packs().Replace(key, old, []cairn.Pack{merged.Pack}, s.options.Now().UTC())
	})
	switch {
	case errors.Is(err, cairn.Conflict):
		s.Discard(ctx, merged)
		return result, nil
	case err != nil:
		// It may have happened all the same: only the janitor can tell.
		return result, err
	}
	s.snapshots.drop(key) // it would keep the replaced packs
	result.After = result.Before - len(merge) + 1
	result.Bytes = merged.Size
	return result, nil
}

// mergeable leaves out the packs of a full repack, which only another one
// replaces, and those that one under way will.
func mergeable(packs []*openPack, taken func(cairn.PackID) bool) []*openPack {
	return slices.DeleteFunc(slices.Clone(packs), func(p *openPack) bool {
		return p.info.Role != cairn.MixedPack || taken(p.key.id)
	})
}

// compactable returns the packs to merge, oldest first: the longest run of the
// smallest ones in which each is at most twice the sum of those before it.
func compactable(packs []*openPack) []*openPack {
	bySize := slices.Clone(packs)
	slices.SortStableFunc(bySize, func(a, b *openPack) int { return cmp.Compare(a.info.Size, b.info.Size) })
	var sum int64
	run := 0
	for i, p := range bySize {
		if i > 0 && p.info.Size <= 2*sum {
			run = i + 1
		}
		sum += p.info.Size
	}
	chosen := bySize[:run]
	slices.SortStableFunc(chosen, func(a, b *openPack) int {
		return slices.Index(packs, b) - slices.Index(packs, a)
	})
	return chosen
}

func (s *Store) merge(ctx context.Context, sn *Snapshot, packs []*openPack) (Staged, error) {
	spool := s.newPackSpool()
	defer spool.Close()
	sources := make([]*pack.Pack, len(packs))
	for i, p := range packs {
		sources[i] = p.pack
	}
	checksum, index, err := pack.Merge(ctx, sn.format(), spool.Spool, sources)
	if err != nil {
		return Staged{}, err
	}
	x, err := pack.ParseIndex(sn.format(), index)
	if err != nil {
		return Staged{}, err
	}
	return s.stage(ctx, sn.repo.Organization, spool, checksum, index, int64(x.Len()))
}
