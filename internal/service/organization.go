package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of listings of organizations and of what one organization may have.
const (
	organizationsPerPage    = 100
	maxOrganizationsPerPage = 1000
	maxActiveKeys           = 32
)

// authorizeOperator answers Denied unless the actor is the server's operator.
func authorizeOperator(who cairn.Actor) error {
	if !who.Admin {
		return cairn.Errorf(cairn.Denied, "this needs the admin token")
	}
	return nil
}

// Operator returns the actor with which the operator of the server acts inside
// an organization.
func (s *Service) Operator(ctx context.Context, who cairn.Actor, org cairn.OrganizationName) (cairn.Actor, error) {
	found, err := s.organization(ctx, who, org)
	if err != nil {
		return cairn.Actor{}, err
	}
	who.Organization = found
	return who, nil
}

// CreateOrganization makes a tenant; Conflict if the name is taken.
func (s *Service) CreateOrganization(ctx context.Context, who cairn.Actor, name cairn.OrganizationName) (cairn.Organization, error) {
	if err := authorizeOperator(who); err != nil {
		return cairn.Organization{}, err
	}
	name, err := cairn.ParseOrganizationName(string(name))
	if err != nil {
		return cairn.Organization{}, err
	}
	org := cairn.Organization{ID: cairn.OrganizationID(cairn.NewID()), Name: name, CreatedAt: s.now().UTC()}
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		return tx.Organizations().Create(org)
	})
	s.keys.forget(name)
	if errors.Is(err, cairn.Conflict) {
		return cairn.Organization{}, cairn.Errorf(cairn.Conflict, "organization %q already exists", name)
	} else if err != nil {
		return cairn.Organization{}, fmt.Errorf("create organization %s: %w", name, err)
	}
	return org, nil
}

// OrganizationPage is a part of the list of organizations.
type OrganizationPage struct {
	Organizations []cairn.Organization
	Next          string // the cursor of the next page; empty at the end
}

// ListOrganizations returns the tenants by name.
func (s *Service) ListOrganizations(ctx context.Context, who cairn.Actor, cursor string, limit int) (OrganizationPage, error) {
	if err := authorizeOperator(who); err != nil {
		return OrganizationPage{}, err
	}
	listing := query{"organizations"}
	position, err := listing.position(cursor, 1)
	if err != nil {
		return OrganizationPage{}, err
	}
	var after cairn.OrganizationName
	if position != nil {
		after = cairn.OrganizationName(position[0])
	}
	limit = clampLimit(limit, organizationsPerPage, maxOrganizationsPerPage)
	var page OrganizationPage
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		page.Organizations, err = tx.Organizations().List(after, limit+1)
		return err
	})
	if err != nil {
		return OrganizationPage{}, fmt.Errorf("list organizations: %w", err)
	}
	if len(page.Organizations) > limit {
		page.Organizations = page.Organizations[:limit]
		page.Next = listing.cursor(string(page.Organizations[limit-1].Name))
	}
	return page, nil
}

// DeleteOrganization removes a tenant and its keys. It answers Conflict while
// the tenant has repositories.
func (s *Service) DeleteOrganization(ctx context.Context, who cairn.Actor, name cairn.OrganizationName) error {
	err := s.updateOrganization(ctx, who, name, func(tx cairn.Tx, org cairn.Organization) error {
		if _, err := tx.Users().Get(cairn.UserID(org.ID)); !errors.Is(err, cairn.NotFound) {
			if err == nil {
				err = cairn.Errorf(cairn.Denied, "%q is the organization of the user of that name; delete the user", name)
			}
			return err
		}
		return tx.Organizations().Delete(org.ID)
	})
	if errors.Is(err, cairn.Conflict) {
		return cairn.Errorf(cairn.Conflict, "organization %q still has repositories; delete them first", name)
	}
	return err
}

// AddKey registers a public key, PKIX in PEM, with which the organization
// signs tokens from now on. It answers Conflict if the organization has or had
// the key: what was revoked stays so.
func (s *Service) AddKey(ctx context.Context, who cairn.Actor, name cairn.OrganizationName, pem string) (cairn.PublicKey, error) {
	if err := authorizeOperator(who); err != nil {
		return cairn.PublicKey{}, err
	}
	parsed, err := parsePublicKey(pem)
	if err != nil {
		return cairn.PublicKey{}, err
	}
	key := cairn.PublicKey{ID: parsed.id, Algorithm: parsed.algorithm, PEM: pem, CreatedAt: s.now().UTC()}
	err = s.updateOrganization(ctx, who, name, func(tx cairn.Tx, org cairn.Organization) error {
		key.Organization = org.ID
		present, err := tx.Keys().List(org.ID)
		if err != nil {
			return err
		}
		if err := checkRoomForKey(present, key.ID); err != nil {
			return err
		}
		return tx.Keys().Add(key)
	})
	return key, err
}

// checkRoomForKey bounds the work that a token without kid makes.
func checkRoomForKey(present []cairn.PublicKey, id string) error {
	active := 0
	for _, key := range present {
		switch {
		case key.ID == id && !key.RevokedAt.IsZero():
			return cairn.Errorf(cairn.Conflict, "the key %s was revoked and cannot be added again; make a new one", id)
		case key.ID == id:
			return cairn.Errorf(cairn.Conflict, "the key %s is registered already", id)
		case key.RevokedAt.IsZero():
			active++
		}
	}
	if active >= maxActiveKeys {
		return cairn.Errorf(cairn.Conflict, "the organization has %d active keys, the most it may have; revoke one first", active)
	}
	return nil
}

// ListKeys returns the organization's keys, oldest first, the revoked too.
func (s *Service) ListKeys(ctx context.Context, who cairn.Actor, name cairn.OrganizationName) ([]cairn.PublicKey, error) {
	org, err := s.organization(ctx, who, name)
	if err != nil {
		return nil, err
	}
	var keys []cairn.PublicKey
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		keys, err = tx.Keys().List(org.ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list keys of %s: %w", name, err)
	}
	return keys, nil
}

// RevokeKey ends a key. Tokens that it signed are refused from the moment that
// this returns, by other processes within seconds.
func (s *Service) RevokeKey(ctx context.Context, who cairn.Actor, name cairn.OrganizationName, id string) error {
	err := s.updateOrganization(ctx, who, name, func(tx cairn.Tx, org cairn.Organization) error {
		return tx.Keys().Revoke(org.ID, id, s.now().UTC())
	})
	return err
}

// organization finds a tenant for the operator.
func (s *Service) organization(ctx context.Context, who cairn.Actor, name cairn.OrganizationName) (cairn.Organization, error) {
	if err := authorizeOperator(who); err != nil {
		return cairn.Organization{}, err
	}
	var org cairn.Organization
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		org, err = findOrganization(tx, name)
		return err
	})
	return org, err
}

// updateOrganization runs f on a tenant in a transaction, for the operator,
// and forgets what the credential cache knows of the tenant.
func (s *Service) updateOrganization(ctx context.Context, who cairn.Actor, name cairn.OrganizationName, f func(cairn.Tx, cairn.Organization) error) error {
	if err := authorizeOperator(who); err != nil {
		return err
	}
	defer s.keys.forget(name) // also after an error: the update may have happened
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		org, err := findOrganization(tx, name)
		if err != nil {
			return err
		}
		return f(tx, org)
	})
}

func findOrganization(tx cairn.Tx, name cairn.OrganizationName) (cairn.Organization, error) {
	org, err := tx.Organizations().Find(name)
	if errors.Is(err, cairn.NotFound) {
		return cairn.Organization{}, cairn.Errorf(cairn.NotFound, "organization %q not found", cairn.Clip(string(name)))
	}
	return org, err
}
