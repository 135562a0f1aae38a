package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Numbers returns the numbers of things that the caller was shown already, in
// their order. Those that have none get one.
func (s *Service) Numbers(ctx context.Context, things ...cairn.Numbered) ([]cairn.Number, error) {
	numbers := make([]cairn.Number, len(things))
	missing := false
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		missing = false
		for i, thing := range things {
			numbers[i], err = tx.Numbers().Of(thing)
			if errors.Is(err, cairn.NotFound) {
				missing, err = true, nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && missing {
		err = s.metadata.Update(ctx, func(tx cairn.Tx) (err error) {
			for i, thing := range things {
				if numbers[i], err = tx.Numbers().Give(thing); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("numbers: %w", err)
	}
	return numbers, nil
}

// RepositoryByNumber returns a living repository of the actor's organization to
// whoever has any right to it, and the actor as it may act on it.
func (s *Service) RepositoryByNumber(ctx context.Context, who cairn.Actor, n cairn.Number) (cairn.Actor, cairn.Repository, error) {
	return s.livingRepository(ctx, who, fmt.Sprintf("number %d", n), func(tx cairn.Tx) (cairn.RepositoryKey, error) {
		thing, err := tx.Numbers().Find(cairn.RepositoryNumber, n)
		return thing.RepositoryKey, err
	})
}

// RepositoryByID is RepositoryByNumber by id.
func (s *Service) RepositoryByID(ctx context.Context, who cairn.Actor, id cairn.RepositoryID) (cairn.Actor, cairn.Repository, error) {
	return s.livingRepository(ctx, who, "id "+id.Public(), func(cairn.Tx) (cairn.RepositoryKey, error) {
		return cairn.RepositoryKey{Organization: who.Organization.ID, Repository: id}, nil
	})
}

// livingRepository returns the repository that find names. One that is deleted,
// or of another organization, is as none; what says how it was asked for.
func (s *Service) livingRepository(ctx context.Context, who cairn.Actor, what string, find func(cairn.Tx) (cairn.RepositoryKey, error)) (cairn.Actor, cairn.Repository, error) {
	var found cairn.Repository
	if who.Organization.ID == "" {
		return who, found, cairn.Errorf(cairn.Unauthenticated, "a credential is required")
	}
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		key, err := find(tx)
		if err != nil {
			return err
		}
		if found, err = tx.Repositories().Get(key); err != nil {
			return err
		}
		if key.Organization != who.Organization.ID || !found.DeletedAt.IsZero() {
			return cairn.NotFound
		}
		return nil
	})
	if errors.Is(err, cairn.NotFound) {
		return who, cairn.Repository{}, cairn.Errorf(cairn.NotFound, "there is no repository of the %s", cairn.Clip(what))
	}
	if err == nil {
		who, err = s.For(ctx, who, found.Name)
	}
	if err == nil {
		err = authorizeAny(who, found.Name)
	}
	if err != nil {
		return who, cairn.Repository{}, err
	}
	return who, found, nil
}
