package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
)

// GarbageResult says what CollectGarbage did.
type GarbageResult struct {
	Repositories int // looked at
	Compacted    int // of them
	Purged       int // deleted repositories that are gone for good
	Packs        int // removed
	Orphans      int // removed
	OrphanBytes  int64
}

// CollectGarbage compacts every repository that has more packs than it needs
// and removes what is old enough to go, for the operator. All of it happens in
// the background anyway; this is for who will not wait.
func (s *Service) CollectGarbage(ctx context.Context, who cairn.Actor, progress func(GarbageResult)) (GarbageResult, error) {
	var result GarbageResult
	if err := authorizeOperator(who); err != nil {
		return result, err
	}
	err := s.eachRepository(ctx, func(r cairn.Repository) error {
		repacked, err := s.RepackIfDue(ctx, r.RepositoryKey)
		var merged odb.CompactResult
		if err == nil {
			merged, err = s.store.Compact(ctx, r.RepositoryKey)
		}
		switch { // that are no failures: it was deleted meanwhile, or is being repacked
		case errors.Is(err, cairn.NotFound), errors.Is(err, cairn.Conflict):
		case err != nil:
			return fmt.Errorf("compact %s: %w", r.Name, err)
		}
		result.Repositories++
		if merged.After < merged.Before || repacked.Before.Packs > 0 {
			result.Compacted++
		}
		progress(result)
		return nil
	})
	if err != nil {
		return result, err
	}
	swept, err := s.Sweep(ctx)
	result.Purged, result.Packs, result.Orphans, result.OrphanBytes = swept.Repositories, swept.Packs, swept.Orphans, swept.Bytes
	return result, err
}

// RepackRepository packs a repository anew, whether that is due or not, for the
// operator. It is a Conflict while another repack of it is under way. progress
// is told now and then how far it is, in words.
func (s *Service) RepackRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, progress func(string)) (odb.RepackResult, error) {
	if err := authorizeOperator(who); err != nil {
		return odb.RepackResult{}, err
	}
	found, err := s.Repository(ctx, who, name)
	if err != nil {
		return odb.RepackResult{}, err
	}
	if err := admission.Enter(ctx, admission.Check); err != nil {
		return odb.RepackResult{}, err
	}
	return s.store.Repack(ctx, found.RepositoryKey, progress)
}

// eachRepository calls f for all living repositories of all organizations.
func (s *Service) eachRepository(ctx context.Context, f func(cairn.Repository) error) error {
	const batch = 256
	var lastOrg cairn.OrganizationName
	for {
		var orgs []cairn.Organization
		err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
			orgs, err = tx.Organizations().List(lastOrg, batch)
			return err
		})
		if err != nil || len(orgs) == 0 {
			return err
		}
		for _, org := range orgs {
			if err := s.eachRepositoryOf(ctx, org.ID, batch, f); err != nil {
				return err
			}
			lastOrg = org.Name
		}
	}
}

func (s *Service) eachRepositoryOf(ctx context.Context, org cairn.OrganizationID, batch int, f func(cairn.Repository) error) error {
	var last cairn.RepositoryName
	for {
		var found []cairn.Repository
		err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
			found, err = tx.Repositories().List(org, "", last, batch)
			return err
		})
		if err != nil || len(found) == 0 {
			return err
		}
		for _, r := range found {
			if err := f(r); err != nil {
				return err
			}
			last = r.Name
		}
	}
}

// CompactIfDue merges the small packs of a repository that has many of them, and
// returns how many of its bytes wait for a full repack, 0 if none is due. It is
// for the server's own background work, which acts for nobody.
func (s *Service) CompactIfDue(ctx context.Context, key cairn.RepositoryKey) (result odb.CompactResult, debt int64, err error) {
	due, debt, err := s.look(ctx, key)
	if err == nil && due {
		result, err = s.store.Compact(ctx, key)
	}
	return result, debt, err
}

// RepackIfDue packs a repository anew to which much has come since it was last
// packed. It is for the server's own background work, which acts for nobody.
func (s *Service) RepackIfDue(ctx context.Context, key cairn.RepositoryKey) (odb.RepackResult, error) {
	_, debt, err := s.look(ctx, key)
	if err != nil || debt == 0 {
		return odb.RepackResult{}, err
	}
	return s.store.Repack(ctx, key, nil)
}

// Indebted tells of the repositories that RepackIfDue would repack, and how
// many bytes of each wait for that; perhaps of some that are deleted as well.
func (s *Service) Indebted(ctx context.Context, tell func(key cairn.RepositoryKey, debt int64)) error {
	return s.store.Indebted(ctx, tell)
}

// look tells whether a repository has so many packs that they should be merged,
// and how many of its bytes wait for a full repack.
func (s *Service) look(ctx context.Context, key cairn.RepositoryKey) (due bool, debt int64, err error) {
	sn, err := s.store.SnapshotOf(ctx, key)
	if err != nil {
		return false, 0, err
	}
	defer sn.Close()
	if !sn.Repository().DeletedAt.IsZero() {
		return false, 0, nil
	}
	return sn.Due(), sn.RepackDebt(), nil
}
