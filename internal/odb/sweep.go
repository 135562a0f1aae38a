package odb

import (
	"context"
	"errors"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// SweepOptions say what is old enough to go. A zero time leaves that kind
// alone.
type SweepOptions struct {
	DeletedBefore time.Time // repositories deleted before this are purged
	GarbageBefore time.Time // packs that no manifest names since before this are removed
	OrphansBefore time.Time // items of the Bucket stored before this that no row names are removed
}

// SweepResult says what a sweep removed.
type SweepResult struct {
	Repositories, Packs, Orphans int
	Bytes                        int64 // of the orphans
	// Garbage is what nothing names but is too young to go, or still read. It
	// is only told if garbage was collected.
	Garbage cairn.PacksSize
}

const sweepBatch = 256

// Sweep is the janitor: it removes what nothing names any more. Everything it
// removes was made unreachable by an earlier transaction or never became
// reachable, so it can run beside any other work and be interrupted anywhere.
// OrphansBefore must lie before the start of every write under way, on every
// node: an item is stored before the row that names it.
func (s *Store) Sweep(ctx context.Context, o SweepOptions) (SweepResult, error) {
	var r SweepResult
	err := s.purgeRepositories(ctx, o, &r)
	if err == nil {
		err = s.collectGarbage(ctx, o, &r)
	}
	if err == nil {
		err = s.removeOrphans(ctx, o, &r)
	}
	return r, err
}

func (s *Store) purgeRepositories(ctx context.Context, o SweepOptions, r *SweepResult) error {
	for !o.DeletedBefore.IsZero() {
		var batch []cairn.Repository
		err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
			batch, err = tx.Repositories().Deleted(o.DeletedBefore, sweepBatch)
			return err
		})
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, repo := range batch {
			err := s.purge(ctx, repo.RepositoryKey, s.options.Now())
			if err != nil && !errors.Is(err, cairn.NotFound) { // it was purged meanwhile
				return err
			}
			r.Repositories++
		}
	}
	return nil
}

// purgeBatch is how many rows of a repository are removed in one transaction, so
// that those of others have their turn between.
const purgeBatch = 500

// purge removes a deleted repository. Its packs become garbage as of the time.
func (s *Store) purge(ctx context.Context, key cairn.RepositoryKey, at time.Time) error {
	for {
		var done bool
		err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) (err error) {
			done, err = tx.Repositories().Purge(key, at.UTC(), purgeBatch)
			return err
		})
		if err != nil {
			return err
		}
		if done {
			s.responses.forget(key)
			return nil
		}
	}
}

// PurgeDeleted removes a deleted repository at once, with the packs that no
// other repository has: the grace time does not hold for them, but packs that
// are being read go with the next Sweep. What is left when ctx is done, too.
func (s *Store) PurgeDeleted(ctx context.Context, key cairn.RepositoryKey, grace time.Duration) error {
	s.snapshots.drop(key)
	now := s.options.Now()
	if err := s.purge(ctx, key, now.Add(-grace-time.Microsecond)); err != nil {
		return err
	}
	return s.collectGarbage(ctx, SweepOptions{GarbageBefore: now.Add(-grace)}, &SweepResult{})
}

// PurgePast makes everything that a living repository keeps only for its past
// neither kept nor shown: the refs of before now. The objects go with the next
// Repack. also runs in the same transaction.
func (s *Store) PurgePast(ctx context.Context, key cairn.RepositoryKey, also func(cairn.Tx) error) error {
	return s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		if err := tx.Repositories().SetPurged(key, s.options.Now().UTC()); err != nil {
			return err
		}
		return also(tx)
	})
}

func (s *Store) collectGarbage(ctx context.Context, o SweepOptions, r *SweepResult) error {
	for !o.GarbageBefore.IsZero() {
		var gone []cairn.GarbagePack
		collected := 0
		err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
			gone, collected = nil, 0
			batch, err := tx.Packs().Garbage(o.GarbageBefore, sweepBatch)
			if err != nil {
				return err
			}
			for _, g := range batch {
				if s.inUse(packKey{g.Organization, g.ID}) {
					continue // left to a later sweep
				}
				ended, err := tx.Packs().Collect(g.Organization, g.ID)
				if err != nil {
					return err
				}
				if collected++; ended {
					gone = append(gone, g)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		// The rows are gone; a crash before the bytes are leaves an orphan,
		// never a row without bytes. A server that only stops finishes.
		for _, g := range gone {
			if err := s.deletePack(context.WithoutCancel(ctx), g.Key); err != nil {
				return err
			}
		}
		r.Packs += len(gone)
		if collected == 0 {
			return s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
				r.Garbage, err = tx.Packs().GarbageSize()
				return err
			})
		}
	}
	return nil
}

func (s *Store) deletePack(ctx context.Context, key string) error {
	if key == "" {
		return nil
	}
	var errs []error
	for _, suffix := range itemSuffixes {
		errs = append(errs, s.options.Bucket.Delete(ctx, key+suffix))
	}
	return errors.Join(errs...)
}

// inUse tells whether a snapshot of this process holds the pack. Readers on
// other nodes have the grace time.
func (s *Store) inUse(key packKey) bool {
	s.packsMu.Lock()
	defer s.packsMu.Unlock()
	_, ok := s.packs[key]
	return ok
}

func (s *Store) removeOrphans(ctx context.Context, o SweepOptions, r *SweepResult) error {
	after := ""
	for !o.OrphansBefore.IsZero() {
		items, err := s.options.Bucket.List(ctx, packsPrefix, after, sweepBatch)
		if err != nil || len(items) == 0 {
			return err
		}
		after = items[len(items)-1].Key
		orphans, err := s.orphans(ctx, items, o.OrphansBefore)
		if err != nil {
			return err
		}
		for _, item := range orphans {
			if err := s.options.Bucket.Delete(ctx, item.Key); err != nil {
				return err
			}
			r.Orphans++
			r.Bytes += item.Size
		}
	}
	return nil
}

func (s *Store) orphans(ctx context.Context, items []cairn.BucketItem, before time.Time) ([]cairn.BucketItem, error) {
	var orphans []cairn.BucketItem
	err := s.options.Metadata.View(ctx, func(tx cairn.Tx) error {
		orphans = orphans[:0]
		for _, item := range items {
			org, id, stem, ok := parsePackKey(item.Key)
			if !ok || !item.StoredAt.Before(before) {
				continue
			}
			p, err := tx.Packs().Get(org, id)
			switch {
			case errors.Is(err, cairn.NotFound) || err == nil && p.Key != stem:
				orphans = append(orphans, item)
			case err != nil:
				return err
			}
		}
		return nil
	})
	return orphans, err
}
