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
	var given map[cairn.Numbered]cairn.Number
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		given, err = tx.Numbers().OfEach(things)
		return err
	})
	numbers := make([]cairn.Number, len(things))
	missing := false
	for i, thing := range things {
		numbers[i] = given[thing]
		missing = missing || numbers[i] == 0
	}
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

// numbering gives numbers to things that were read without one.
type numbering struct {
	things []cairn.Numbered
	places []*cairn.Number
}

// add notes a thing whose number is to be put into a place, if none is there.
func (m *numbering) add(thing cairn.Numbered, place *cairn.Number) {
	if *place == 0 {
		m.things, m.places = append(m.things, thing), append(m.places, place)
	}
}

func (m *numbering) give(ctx context.Context, s *Service) error {
	if len(m.things) == 0 {
		return nil
	}
	numbers, err := s.Numbers(ctx, m.things...)
	for i, n := range numbers {
		*m.places[i] = n
	}
	return err
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
