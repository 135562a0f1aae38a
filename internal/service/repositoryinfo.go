package service

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// maxRepositoriesOf bounds lists of repositories that are given whole.
const maxRepositoriesOf = 10_000

// RepositoryInfo is a repository as somebody sees it, with all that is said of
// it beside its row.
type RepositoryInfo struct {
	cairn.Repository
	Owner     cairn.Account
	Number    cairn.Number
	Size      int64 // of its packs in bytes
	Empty     bool  // nothing was written to it yet
	Forks     int   // up to cairn.MaxForksCounted
	UpdatedAt time.Time
	Role      cairn.Role      // of who looks
	ForkedAt  *RepositoryInfo // what it was forked from, if that is there and may be seen
}

// RepositoryInfos returns what there is to say of repositories that somebody
// may see, in their order. What it asks the store does not grow with their
// number, up to a page of them.
func (s *Service) RepositoryInfos(ctx context.Context, in Login, repos ...cairn.Repository) ([]RepositoryInfo, error) {
	var infos []RepositoryInfo
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		infos, err = repositoryInfos(tx, in, repos)
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing numbering
	each := func(r *RepositoryInfo) {
		missing.add(cairn.NumberedRepository(r.RepositoryKey), &r.Number)
		missing.add(numberedOrganization(r.Organization), &r.Owner.Number)
	}
	for i := range infos {
		each(&infos[i])
		if infos[i].ForkedAt != nil {
			each(infos[i].ForkedAt)
		}
	}
	return infos, missing.give(ctx, s)
}

func repositoryInfos(tx cairn.Tx, in Login, repos []cairn.Repository) ([]RepositoryInfo, error) {
	if len(repos) == 0 {
		return nil, nil
	}
	parents, err := parentsOf(tx, repos)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(repos, parents)
	roles, err := rolesIn(tx, in, all)
	if err != nil {
		return nil, err
	}
	facts, err := factsOf(tx, all)
	if err != nil {
		return nil, err
	}
	owners, err := ownersOf(tx, all)
	if err != nil {
		return nil, err
	}
	infos := make([]RepositoryInfo, len(all))
	seen := map[cairn.RepositoryKey]*RepositoryInfo{} // the parents that may be
	for i, r := range all {
		f := facts[r.RepositoryKey]
		infos[i] = RepositoryInfo{
			Repository: r, Owner: owners[r.Organization], Number: f.Number, Size: f.Size, Empty: f.Packs == 0, Forks: f.Forks, UpdatedAt: f.MovedAt, Role: roles[i],
		}
		if i >= len(repos) && roles[i] > cairn.NoRole {
			seen[r.RepositoryKey] = &infos[i]
		}
	}
	for i, r := range repos {
		if parent := seen[cairn.RepositoryKey{Organization: r.Organization, Repository: r.Parent}]; parent != nil {
			own := *parent
			infos[i].ForkedAt = &own
		}
	}
	return infos[:len(repos)], nil
}

// parentsOf returns the living parents of repositories, each once.
func parentsOf(tx cairn.Tx, repos []cairn.Repository) ([]cairn.Repository, error) {
	asked := map[cairn.RepositoryKey]bool{}
	var keys []cairn.RepositoryKey
	for _, r := range repos {
		key := cairn.RepositoryKey{Organization: r.Organization, Repository: r.Parent}
		if r.Parent != "" && !asked[key] {
			asked[key] = true
			keys = append(keys, key)
		}
	}
	list, err := tx.Repositories().Some(keys)
	var parents []cairn.Repository
	for _, r := range list {
		if asked[r.RepositoryKey] && r.DeletedAt.IsZero() {
			asked[r.RepositoryKey] = false
			parents = append(parents, r)
		}
	}
	return parents, err
}

func ownersOf(tx cairn.Tx, repos []cairn.Repository) (map[cairn.OrganizationID]cairn.Account, error) {
	owners := map[cairn.OrganizationID]cairn.Account{}
	var ids []cairn.OrganizationID
	for _, r := range repos {
		if _, ok := owners[r.Organization]; !ok {
			owners[r.Organization] = cairn.Account{}
			ids = append(ids, r.Organization)
		}
	}
	list, err := tx.Accounts().Get(ids)
	for _, a := range list {
		owners[a.ID] = a
	}
	return owners, err
}

// CreateRepositoryIn is CreateRepository for a user who owns an organization,
// and shows what is made. It is Denied to others.
func (s *Service) CreateRepositoryIn(ctx context.Context, in Login, org string, r NewRepository) (RepositoryInfo, error) {
	owner, who, err := s.ownerIn(ctx, in, org, r.Name)
	if err != nil {
		return RepositoryInfo{}, err
	}
	row, n, err := s.createRepository(ctx, who, r)
	if err != nil {
		return RepositoryInfo{}, err
	}
	if r.First != nil {
		infos, err := s.RepositoryInfos(ctx, in, row)
		if err != nil {
			return RepositoryInfo{}, err
		}
		return infos[0], nil
	}
	// Of what is empty all is known.
	info := RepositoryInfo{Repository: row, Owner: owner, Number: n, Empty: true, UpdatedAt: row.CreatedAt, Role: cairn.OwnerRole}
	var missing numbering
	missing.add(cairn.NumberedRepository(row.RepositoryKey), &info.Number)
	missing.add(numberedOrganization(owner.ID), &info.Owner.Number)
	return info, missing.give(ctx, s)
}

// RepositoriesOf returns the repositories of an organization that somebody may
// see, by name.
func (s *Service) RepositoriesOf(ctx context.Context, in Login, org string) (list []cairn.Repository, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err := findOrganization(tx, cairn.FoldOrganizationName(org))
		if err != nil {
			return err
		}
		list, err = repositoriesOf(tx, in, found.ID)
		return err
	})
	return list, err
}

func repositoriesOf(tx cairn.Tx, in Login, org cairn.OrganizationID) ([]cairn.Repository, error) {
	role := cairn.NoRole
	var err error
	if owns(in, org) {
		role = cairn.OwnerRole
	} else if role, err = tx.Roles().In(in.User.ID, org); err != nil {
		return nil, err
	}
	if role == cairn.OwnerRole {
		return tx.Repositories().List(org, "", "", maxRepositoriesOf)
	}
	return tx.Repositories().Visible(org, in.User.ID, maxRepositoriesOf)
}

// SearchRepositoriesOf is RepositoriesOf by the organization's number: those
// whose name or description holds the text, whatever its case. There are none of
// a number that is nobody's.
func (s *Service) SearchRepositoriesOf(ctx context.Context, in Login, n cairn.Number, text string) (list []cairn.Repository, err error) {
	text = strings.ToLower(text)
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		list = nil
		owner, err := tx.Numbers().Find(cairn.OrganizationNumber, n)
		if cairn.KindOf(err) == cairn.NotFound {
			return nil
		} else if err != nil {
			return err
		}
		all, err := repositoriesOf(tx, in, owner.Organization)
		for _, r := range all {
			if strings.Contains(strings.ToLower(string(r.Name)+"\n"+r.Description), text) {
				list = append(list, r)
			}
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
		if err != nil {
			return err
		}
		roles, err := rolesIn(tx, in, all)
		list = nil
		for i, role := range roles {
			if role > cairn.NoRole {
				list = append(list, all[i])
			}
		}
		return err
	})
	return list, err
}

// SearchPublic returns up to limit public repositories whose name or
// description holds the text, after so many of them, and how many there are.
func (s *Service) SearchPublic(ctx context.Context, text string, skip, limit int) (list []cairn.Repository, total int, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		list, err = tx.Repositories().Public(text, cairn.RepositoryKey{}, maxRepositoriesOf)
		return err
	})
	total = len(list)
	list = list[min(skip, total):]
	return list[:min(limit, len(list))], total, err
}
