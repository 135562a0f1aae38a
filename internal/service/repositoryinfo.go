package service

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// maxRepositoriesOf bounds lists of repositories that are given whole.
const maxRepositoriesOf = 10_000

// OrganizationInfo is an organization, or the user whose it is, as everybody
// may see them.
type OrganizationInfo struct {
	cairn.Organization
	cairn.Profile
	Number cairn.Number
	Email  string // of the user; empty for an organization of nobody
	IsUser bool
}

// RepositoryInfo is a repository with all that is said of it beside its row.
type RepositoryInfo struct {
	cairn.Repository
	Owner     OrganizationInfo
	Number    cairn.Number
	Size      int64 // of its packs in bytes
	Empty     bool  // nothing was written to it yet
	Forks     int   // up to maxRepositoriesOf
	UpdatedAt time.Time
	ForkedAt  *RepositoryInfo // what it was forked from, if that is there and may be seen
}

// Organization returns an organization, or a user's, by name, whatever the
// case.
func (s *Service) Organization(ctx context.Context, name string) (OrganizationInfo, error) {
	var info OrganizationInfo
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		org, err := findOrganization(tx, cairn.FoldOrganizationName(name))
		if err != nil {
			return err
		}
		info, err = organizationInfo(tx, org)
		return err
	})
	if err != nil {
		return info, err
	}
	return info, s.number(ctx, &info)
}

// OrganizationNumbered returns the organization of that number.
func (s *Service) OrganizationNumbered(ctx context.Context, n cairn.Number) (OrganizationInfo, error) {
	var info OrganizationInfo
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		thing, err := tx.Numbers().Find(cairn.OrganizationNumber, n)
		if err != nil {
			return err
		}
		org, err := tx.Organizations().Get(thing.Organization)
		if err == nil {
			info, err = organizationInfo(tx, org)
		}
		return err
	})
	info.Number = n
	return info, err
}

func (s *Service) number(ctx context.Context, infos ...*OrganizationInfo) error {
	things := make([]cairn.Numbered, len(infos))
	for i, info := range infos {
		things[i] = NumberedOrganization(info.ID)
	}
	numbers, err := s.Numbers(ctx, things...)
	for i := range numbers {
		infos[i].Number = numbers[i]
	}
	return err
}

func organizationInfo(tx cairn.Tx, org cairn.Organization) (OrganizationInfo, error) {
	info := OrganizationInfo{Organization: org}
	u, err := tx.Users().Get(cairn.UserID(org.ID))
	if err == nil {
		info.Profile, info.Email, info.IsUser = u.Organization, u.Email, true
		return info, nil
	}
	if !errors.Is(err, cairn.NotFound) {
		return info, err
	}
	info.Profile, err = tx.Organizations().Profile(org.ID)
	return info, err
}

// UserInfos returns users as everybody may see them.
func (s *Service) UserInfos(ctx context.Context, users ...cairn.User) ([]OrganizationInfo, error) {
	infos := make([]OrganizationInfo, len(users))
	all := make([]*OrganizationInfo, len(users))
	for i, u := range users {
		infos[i] = OrganizationInfo{
			Organization: cairn.Organization{ID: cairn.OrganizationID(u.ID), Name: u.Name, CreatedAt: u.CreatedAt},
			Profile:      u.Organization, Email: u.Email, IsUser: true,
		}
		all[i] = &infos[i]
	}
	return infos, s.number(ctx, all...)
}

// SearchUsers returns up to limit users in whose name the text occurs.
func (s *Service) SearchUsers(ctx context.Context, text string, limit int) (list []cairn.User, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		list, err = tx.Users().List(text, "", limit)
		return err
	})
	return list, err
}

// UserByEmail returns the user of an email address.
func (s *Service) UserByEmail(ctx context.Context, email string) (u cairn.User, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		u, err = tx.Users().FindEmail(email)
		return err
	})
	return u, err
}

// RepositoryInfos returns what there is to say of repositories that somebody
// may see.
func (s *Service) RepositoryInfos(ctx context.Context, in Login, repos ...cairn.Repository) ([]RepositoryInfo, error) {
	infos := make([]RepositoryInfo, len(repos))
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		for i, r := range repos {
			var err error
			if infos[i], err = repositoryInfo(tx, in, r, true); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var things []cairn.Numbered
	each := func(f func(*RepositoryInfo)) {
		for i := range infos {
			f(&infos[i])
			if infos[i].ForkedAt != nil {
				f(infos[i].ForkedAt)
			}
		}
	}
	each(func(r *RepositoryInfo) {
		things = append(things, cairn.NumberedRepository(r.RepositoryKey), NumberedOrganization(r.Organization))
	})
	numbers, err := s.Numbers(ctx, things...)
	if err != nil {
		return nil, err
	}
	each(func(r *RepositoryInfo) {
		r.Number, r.Owner.Number = numbers[0], numbers[1]
		numbers = numbers[2:]
	})
	return infos, nil
}

func repositoryInfo(tx cairn.Tx, in Login, r cairn.Repository, parent bool) (RepositoryInfo, error) {
	info := RepositoryInfo{Repository: r, UpdatedAt: r.CreatedAt}
	org, err := tx.Organizations().Get(r.Organization)
	if err != nil {
		return info, err
	}
	if info.Owner, err = organizationInfo(tx, org); err != nil {
		return info, err
	}
	packs, err := tx.Packs().Manifest(r.RepositoryKey)
	if err != nil {
		return info, err
	}
	for _, p := range packs {
		info.Size += p.Size
	}
	info.Empty = len(packs) == 0
	last, err := tx.Events().ListBack(r.RepositoryKey, math.MaxInt64, 0, 1)
	if err != nil {
		return info, err
	}
	if len(last) > 0 {
		info.UpdatedAt = last[0].At
	}
	forks, err := tx.Repositories().Forks(r.RepositoryKey, maxRepositoriesOf)
	if err != nil {
		return info, err
	}
	info.Forks = len(forks)
	if r.Parent != "" && parent {
		info.ForkedAt, err = parentInfo(tx, in, r)
	}
	return info, err
}

// parentInfo is nil if the parent is gone, or not to be seen.
func parentInfo(tx cairn.Tx, in Login, r cairn.Repository) (*RepositoryInfo, error) {
	parent, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: r.Organization, Repository: r.Parent})
	if errors.Is(err, cairn.NotFound) || err == nil && !parent.DeletedAt.IsZero() {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	role, err := roleIn(tx, in, parent)
	if err != nil || role == cairn.NoRole {
		return nil, err
	}
	info, err := repositoryInfo(tx, in, parent, false)
	return &info, err
}

// RepositoriesOf returns the repositories of an organization that somebody may
// see, by name.
func (s *Service) RepositoriesOf(ctx context.Context, in Login, org string) (list []cairn.Repository, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err := findOrganization(tx, cairn.FoldOrganizationName(org))
		if err != nil {
			return err
		}
		all, err := tx.Repositories().List(found.ID, "", "", maxRepositoriesOf)
		if err == nil {
			list, err = visible(tx, in, all)
		}
		return err
	})
	return list, err
}

// MyRepositories returns the repositories of a user's own organization, and
// then those in which they have a role.
func (s *Service) MyRepositories(ctx context.Context, in Login) (list []cairn.Repository, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		if list, err = tx.Repositories().List(cairn.OrganizationID(in.User.ID), "", "", maxRepositoriesOf); err != nil {
			return err
		}
		given, err := tx.Roles().Repositories(in.User.ID, maxRepositoriesOf)
		list = append(list, given...)
		return err
	})
	return list, err
}

// ForksOf returns the forks of a repository that somebody may see.
func (s *Service) ForksOf(ctx context.Context, in Login, repo cairn.Repository) (list []cairn.Repository, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		all, err := tx.Repositories().Forks(repo.RepositoryKey, maxRepositoriesOf)
		if err == nil {
			list, err = visible(tx, in, all)
		}
		return err
	})
	return list, err
}

func visible(tx cairn.Tx, in Login, all []cairn.Repository) (list []cairn.Repository, err error) {
	for _, r := range all {
		role, err := roleIn(tx, in, r)
		if err != nil {
			return nil, err
		}
		if role > cairn.NoRole {
			list = append(list, r)
		}
	}
	return list, nil
}

// SearchPublic returns up to limit public repositories whose name or
// description holds the text, after so many of them.
func (s *Service) SearchPublic(ctx context.Context, text string, skip, limit int) (list []cairn.Repository, total int, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		list, err = tx.Repositories().Public(text, cairn.RepositoryKey{}, maxRepositoriesOf)
		return err
	})
	total = len(list)
	list = list[min(skip, total):]
	return list[:min(limit, len(list))], total, err
}

// RoleOf tells what somebody may do in a repository.
func (s *Service) RoleOf(ctx context.Context, in Login, repos ...cairn.Repository) (roles []cairn.Role, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		roles = roles[:0]
		for _, r := range repos {
			role, err := roleIn(tx, in, r)
			if err != nil {
				return err
			}
			roles = append(roles, role)
		}
		return nil
	})
	return roles, err
}
