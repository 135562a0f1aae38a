package service

import (
	"context"
	"errors"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// ActorIn returns who somebody is in a repository, whose name counts in any
// case, and the repository: an actor with the scopes that their role in it
// gives. It is NotFound to who may not read it, as if it were not there.
// Everybody may read what is public. An administrator of the server who comes
// with a token is everywhere the owner.
func (s *Service) ActorIn(ctx context.Context, in Login, org, repo string) (who cairn.Actor, found cairn.Repository, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		owner, err := tx.Organizations().Find(cairn.FoldOrganizationName(org))
		if err == nil {
			found, err = tx.Repositories().FindFolded(owner.ID, cairn.RepositoryName(repo))
		}
		if errors.Is(err, cairn.NotFound) {
			return noRepository(cairn.RepositoryName(org + "/" + repo))
		} else if err != nil {
			return err
		}
		role, err := roleIn(tx, in, found)
		if err == nil && role == cairn.NoRole {
			err = noRepository(cairn.RepositoryName(org + "/" + repo))
		}
		who = in.actor(owner)
		if in.Nobody() {
			who.Name = "anonymous"
		}
		who.Repository, who.Scopes = found.Name, role.Scopes()
		return err
	})
	if err != nil {
		return cairn.Actor{}, cairn.Repository{}, err
	}
	return who, found, nil
}

// roleIn is the role of somebody in a repository.
func roleIn(tx cairn.Tx, in Login, repo cairn.Repository) (cairn.Role, error) {
	role := cairn.NoRole
	if repo.Public {
		role = cairn.ReaderRole
	}
	if in.Nobody() {
		return role, nil
	}
	if owns(in, repo.Organization) {
		return cairn.OwnerRole, nil
	}
	given, err := tx.Roles().Of(in.User.ID, repo.RepositoryKey)
	return max(role, given), err
}

// rolesIn are the roles of somebody in repositories, in their order.
func rolesIn(tx cairn.Tx, in Login, repos []cairn.Repository) ([]cairn.Role, error) {
	roles := make([]cairn.Role, len(repos))
	var others []cairn.RepositoryKey // in which roles may be given
	for i, r := range repos {
		if r.Public {
			roles[i] = cairn.ReaderRole
		}
		switch {
		case in.Nobody():
		case owns(in, r.Organization):
			roles[i] = cairn.OwnerRole
		default:
			others = append(others, r.RepositoryKey)
		}
	}
	if others == nil {
		return roles, nil
	}
	given, err := tx.Roles().OfEach(in.User.ID, others)
	for i, r := range repos {
		roles[i] = max(roles[i], given[r.RepositoryKey])
	}
	return roles, err
}

// owns tells whether an organization is a user's own, or anybody's to an
// administrator of the server.
func owns(in Login, org cairn.OrganizationID) bool {
	return cairn.OrganizationID(in.User.ID) == org || in.User.Admin && in.ByToken
}

// OwnerIn returns a user as an actor of an organization that they own, with
// every right in it, good for one repository, which need not exist; Denied if
// they do not own it.
func (s *Service) OwnerIn(ctx context.Context, in Login, org string, repo cairn.RepositoryName) (cairn.Actor, error) {
	_, who, err := s.ownerIn(ctx, in, org, repo)
	return who, err
}

func (s *Service) ownerIn(ctx context.Context, in Login, org string, repo cairn.RepositoryName) (owner cairn.Account, who cairn.Actor, err error) {
	if in.Nobody() {
		return owner, who, cairn.Errorf(cairn.Unauthenticated, "a credential is required")
	}
	role := cairn.OwnerRole
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		if owner, err = findAccount(tx, org); err != nil || owns(in, owner.ID) {
			return err
		}
		role, err = tx.Roles().In(in.User.ID, owner.ID)
		return err
	})
	if err == nil && role < cairn.OwnerRole {
		err = cairn.Errorf(cairn.Denied, "this is for the owners of organization %q", owner.Name)
	}
	if err != nil {
		return owner, cairn.Actor{}, err
	}
	who = in.actor(owner.Organization)
	who.Repository, who.Scopes = repo, append(role.Scopes(), cairn.OrgRead)
	return owner, who, nil
}

// Collaborators returns who was given a role in a repository, to who may give
// them.
func (s *Service) Collaborators(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName) (list []cairn.Collaborator, err error) {
	if err := authorize(who, repo, cairn.RepoAdmin); err != nil {
		return nil, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err := findRepository(tx, who, repo)
		if err == nil {
			list, err = tx.Roles().Collaborators(found.RepositoryKey)
		}
		return err
	})
	return list, err
}

// Grant gives a user a role in a repository, or changes it: to
// read, write or admin, and not more than the actor's own.
func (s *Service) Grant(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, user string, role cairn.Role) error {
	if role < cairn.ReaderRole || role > cairn.AdminRole {
		return cairn.Errorf(cairn.Invalid, "a collaborator may read, write or administer")
	}
	for _, scope := range role.Scopes() {
		if err := authorize(who, repo, scope); err != nil {
			return err
		}
	}
	return s.updateRole(ctx, who, repo, user, func(tx cairn.Tx, key cairn.RepositoryKey, u cairn.User) error {
		if cairn.OrganizationID(u.ID) == key.Organization {
			return cairn.Errorf(cairn.Invalid, "user %q owns the repository", u.Name)
		}
		return tx.Roles().Grant(key, u.ID, role)
	})
}

// ChangeCollaborator gives another role to the one collaborator whom is
// recognizes, or with NoRole takes it away; NotFound if there is none. Like
// Grant, it gives no more than the actor's own.
func (s *Service) ChangeCollaborator(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, is func(cairn.User) bool, role cairn.Role) error {
	if role < cairn.NoRole || role > cairn.AdminRole {
		return cairn.Errorf(cairn.Invalid, "a collaborator may read, write or administer")
	}
	for _, scope := range append(role.Scopes(), cairn.RepoAdmin) {
		if err := authorize(who, repo, scope); err != nil {
			return err
		}
	}
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		found, err := findRepository(tx, who, repo)
		if err != nil {
			return err
		}
		list, err := tx.Roles().Collaborators(found.RepositoryKey)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(c cairn.Collaborator) bool { return is(c.User) })
		switch {
		case i < 0:
			return cairn.Errorf(cairn.NotFound, "there is no such collaborator")
		case role == cairn.NoRole:
			return tx.Roles().Withdraw(found.RepositoryKey, list[i].User.ID)
		}
		return tx.Roles().Grant(found.RepositoryKey, list[i].User.ID, role)
	})
}

// Withdraw takes away what Grant gave; of who is no collaborator nothing is
// changed.
func (s *Service) Withdraw(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, user string) error {
	return s.updateRole(ctx, who, repo, user, func(tx cairn.Tx, key cairn.RepositoryKey, u cairn.User) error {
		return tx.Roles().Withdraw(key, u.ID)
	})
}

func (s *Service) updateRole(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, user string, f func(cairn.Tx, cairn.RepositoryKey, cairn.User) error) error {
	if err := authorize(who, repo, cairn.RepoAdmin); err != nil {
		return err
	}
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		found, err := findRepository(tx, who, repo)
		if err != nil {
			return err
		}
		u, err := findUser(tx, user)
		if err != nil {
			return err
		}
		return f(tx, found.RepositoryKey, u)
	})
}
