package service

import (
	"context"
	"errors"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Account returns an organization, or a user's, as everybody may see it, by
// name, whatever the case.
func (s *Service) Account(ctx context.Context, name string) (cairn.Account, error) {
	list, err := s.accounts(ctx, func(tx cairn.Tx) ([]cairn.Account, error) {
		found, err := findAccount(tx, name)
		return []cairn.Account{found}, err
	})
	if err != nil {
		return cairn.Account{}, err
	}
	return list[0], nil
}

func findAccount(tx cairn.Tx, name string) (cairn.Account, error) {
	found, err := tx.Accounts().Find(cairn.FoldOrganizationName(name))
	if errors.Is(err, cairn.NotFound) {
		err = cairn.Errorf(cairn.NotFound, "organization %q not found", cairn.Clip(name))
	}
	return found, err
}

// AccountNumbered returns the account of that number.
func (s *Service) AccountNumbered(ctx context.Context, n cairn.Number) (cairn.Account, error) {
	list, err := s.accounts(ctx, func(tx cairn.Tx) ([]cairn.Account, error) {
		thing, err := tx.Numbers().Find(cairn.OrganizationNumber, n)
		if err != nil {
			return nil, err
		}
		return tx.Accounts().Get([]cairn.OrganizationID{thing.Organization})
	})
	if err == nil && len(list) == 0 {
		err = cairn.Errorf(cairn.NotFound, "there is no organization of the number %d", n)
	}
	if err != nil {
		return cairn.Account{}, err
	}
	return list[0], nil
}

// AccountsOf returns the organizations that a user owns or is a member of by a
// team, by name; not the one of their own.
func (s *Service) AccountsOf(ctx context.Context, in Login) ([]cairn.Account, error) {
	return s.accounts(ctx, func(tx cairn.Tx) ([]cairn.Account, error) { return tx.Accounts().Of(in.User.ID) })
}

// UserAccounts returns the accounts of users, in their order, without those who
// are gone meanwhile.
func (s *Service) UserAccounts(ctx context.Context, users ...cairn.User) ([]cairn.Account, error) {
	ids := make([]cairn.OrganizationID, len(users))
	for i, u := range users {
		ids[i] = cairn.OrganizationID(u.ID)
	}
	found, err := s.accounts(ctx, func(tx cairn.Tx) ([]cairn.Account, error) { return tx.Accounts().Get(ids) })
	known := map[cairn.OrganizationID]cairn.Account{}
	for _, a := range found {
		known[a.ID] = a
	}
	list := make([]cairn.Account, 0, len(users))
	for _, id := range ids {
		if a, ok := known[id]; ok {
			list = append(list, a)
		}
	}
	return list, err
}

// AccountsWithEmails returns the accounts of the users who have some email
// addresses, by these in lower case.
func (s *Service) AccountsWithEmails(ctx context.Context, emails []string) (map[string]cairn.Account, error) {
	found, err := s.accounts(ctx, func(tx cairn.Tx) ([]cairn.Account, error) { return tx.Accounts().WithEmails(emails) })
	list := map[string]cairn.Account{}
	for _, a := range found {
		list[strings.ToLower(a.Email)] = a
	}
	return list, err
}

// accounts reads accounts and gives numbers to those that have none.
func (s *Service) accounts(ctx context.Context, find func(cairn.Tx) ([]cairn.Account, error)) (list []cairn.Account, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		list, err = find(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing numbering
	for i := range list {
		missing.add(numberedOrganization(list[i].ID), &list[i].Number)
	}
	return list, missing.give(ctx, s)
}

// SearchUsers returns up to limit users in whose name the text occurs.
func (s *Service) SearchUsers(ctx context.Context, text string, limit int) (list []cairn.User, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		list, err = tx.Users().List(text, "", limit)
		return err
	})
	return list, err
}
