package service

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// PurgeJob packs a repository anew after a purge of its past.
const PurgeJob cairn.JobKind = "purge"

// DeletedRepository is a repository that can be restored.
type DeletedRepository struct {
	cairn.Repository
	PurgeAt time.Time // when it will be gone for good
}

// DeletedRepositoryPage is a part of the list of deleted repositories.
type DeletedRepositoryPage struct {
	Repositories []DeletedRepository
	Next         string // the cursor of the next page; empty at the end
}

// ListDeletedRepositories returns the organization's repositories that were
// deleted within the retention time, by name and then by time.
func (s *Service) ListDeletedRepositories(ctx context.Context, who cairn.Actor, cursor string, limit int) (DeletedRepositoryPage, error) {
	if err := authorize(who, "", cairn.OrgRead); err != nil {
		return DeletedRepositoryPage{}, err
	}
	listing := query{"deleted repositories", string(who.Organization.ID)}
	position, err := listing.position(cursor, 3)
	if err != nil {
		return DeletedRepositoryPage{}, err
	}
	var after cairn.Repository
	if position != nil {
		at, err := strconv.ParseInt(position[1], 10, 64)
		if err != nil {
			return DeletedRepositoryPage{}, cairn.Errorf(cairn.Invalid, "invalid cursor")
		}
		after.Name, after.DeletedAt, after.Repository = cairn.RepositoryName(position[0]), time.UnixMicro(at), cairn.RepositoryID(position[2])
	}
	limit = clampLimit(limit, repositoriesPerPage, maxRepositoriesPerPage)
	var found []cairn.Repository
	err = s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		found, err = tx.Repositories().DeletedOf(who.Organization.ID, s.keptSince(), after, limit+1)
		return err
	})
	var page DeletedRepositoryPage
	for i, r := range found {
		if i == limit {
			last := found[i-1]
			page.Next = listing.cursor(string(last.Name), strconv.FormatInt(last.DeletedAt.UnixMicro(), 10), string(last.Repository))
			break
		}
		page.Repositories = append(page.Repositories, DeletedRepository{r, r.DeletedAt.Add(s.upkeep.Retention)})
	}
	return page, err
}

// keptSince is when a repository must have been deleted to be there still.
func (s *Service) keptSince() time.Time { return s.now().Add(-s.upkeep.Retention).UTC() }

// RestoreRepository lets a deleted repository live again as it was; the last
// deleted of its name, or the one of that id. Conflict if the name is taken.
func (s *Service) RestoreRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, id cairn.RepositoryID) (restored cairn.Repository, err error) {
	if err := authorize(who, name, cairn.RepoWrite); err != nil {
		return cairn.Repository{}, err
	}
	err = s.tell(ctx, func(tx cairn.Tx, told *facts) error {
		_, err := tx.Repositories().Find(who.Organization.ID, name)
		if err == nil {
			return cairn.Errorf(cairn.Conflict, "repository %q exists: delete it first", cairn.Clip(string(name)))
		}
		if !errors.Is(err, cairn.NotFound) {
			return err
		}
		deleted, err := s.deletedNamed(tx, who, name, id)
		if err != nil {
			return err
		}
		last := deleted[len(deleted)-1]
		if err := tx.Repositories().Restore(last.RepositoryKey); err != nil {
			return err
		}
		if restored, err = tx.Repositories().Advance(last.RepositoryKey); err != nil || !restored.Watched {
			return err
		}
		return s.announceRepository(tx, restored, repositoryEvent{who: who, kind: repositoryRestored}, told)
	})
	if err != nil {
		return cairn.Repository{}, err
	}
	s.changed(restored.RepositoryKey, 0)
	return restored, nil
}

// deletedNamed returns the deleted repositories of a name, the last deleted
// last, or only the one of an id. It returns NotFound if there is none.
func (s *Service) deletedNamed(tx cairn.Tx, who cairn.Actor, name cairn.RepositoryName, id cairn.RepositoryID) (found []cairn.Repository, err error) {
	const batch = 256
	after := cairn.Repository{Name: name, DeletedAt: time.UnixMicro(0)}
	for {
		page, err := tx.Repositories().DeletedOf(who.Organization.ID, s.keptSince(), after, batch)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Name != name {
				page = nil
				break
			}
			if id == "" || r.Repository == id {
				found = append(found, r)
			}
			after = r
		}
		if len(page) < batch {
			break
		}
	}
	if len(found) == 0 {
		return nil, cairn.Errorf(cairn.NotFound, "no repository %q was deleted within the retention time", cairn.Clip(string(name)))
	}
	return found, nil
}

// PurgeRepository removes at once what the retention time would keep. Without
// an id that is the past of the living repository of the name, or if there is
// none all deleted ones of the name; with an id only the deleted one of that
// id. It returns those that it was about.
//
// A deleted repository is gone when this returns, with the packs that no other
// repository has. Of a living one nothing older is shown or kept from then on;
// the bytes go when it has been packed anew, in the background.
func (s *Service) PurgeRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, id cairn.RepositoryID) ([]cairn.Repository, error) {
	if err := authorize(who, name, cairn.RepoWrite); err != nil {
		return nil, err
	}
	var found []cairn.Repository
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		living, err := tx.Repositories().Find(who.Organization.ID, name)
		if err == nil && (id == "" || living.Repository == id) {
			found = []cairn.Repository{living}
			return nil
		}
		if err != nil && !errors.Is(err, cairn.NotFound) {
			return err
		}
		found, err = s.deletedNamed(tx, who, name, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if r.DeletedAt.IsZero() {
			err = s.purgePast(ctx, r)
		} else {
			err = s.store.PurgeDeleted(ctx, r.RepositoryKey, s.upkeep.Grace)
		}
		if err != nil && !errors.Is(err, cairn.NotFound) { // another was quicker
			return nil, err
		}
	}
	return found, nil
}

func (s *Service) purgePast(ctx context.Context, r cairn.Repository) error {
	now := s.now().UTC()
	err := s.store.PurgePast(ctx, r.RepositoryKey, func(tx cairn.Tx) error {
		return tx.Jobs().Enqueue(cairn.Job{JobKey: cairn.JobKey{RepositoryKey: r.RepositoryKey, Kind: PurgeJob}, CreatedAt: now, DueAt: now})
	})
	if err == nil {
		s.enqueued(PurgeJob)
	}
	return err
}

// FinishPurge packs a repository anew whose past was purged: what nothing leads
// to any more is left out. It is for the server's own background work.
func (s *Service) FinishPurge(ctx context.Context, job cairn.Job) error {
	_, err := s.store.Repack(ctx, job.RepositoryKey, nil)
	if errors.Is(err, cairn.NotFound) { // it is deleted
		return nil
	}
	return err
}
