package service

import (
	"context"
	"errors"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// ProjectMembers returns the members of a project of the actor's organization,
// by name. It needs repo:write for all of the organization, as all about
// members does.
func (s *Service) ProjectMembers(ctx context.Context, who cairn.Actor, id cairn.ProjectID) (list []cairn.Collaborator, err error) {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return nil, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		project, err := tx.Projects().Get(who.Organization.ID, id)
		if err == nil {
			list, err = tx.Projects().Members(project.Organization, project.ID)
		}
		return err
	})
	return list, err
}

// SetProjectMember makes a user a member of a project with a role, or changes
// it; NoRole takes it away. Members have no rights by that: a repository whose
// creator asks for it begins with them as its collaborators.
func (s *Service) SetProjectMember(ctx context.Context, who cairn.Actor, id cairn.ProjectID, user string, role cairn.Role) error {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return err
	}
	if role < cairn.NoRole || role > cairn.AdminRole {
		return cairn.Errorf(cairn.Invalid, "a member may read, write or administer")
	}
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		project, err := tx.Projects().Get(who.Organization.ID, id)
		if err != nil {
			return err
		}
		u, err := findUser(tx, user)
		if err != nil {
			return err
		}
		return tx.Projects().SetMember(project.Organization, project.ID, u.ID, role)
	})
}

// importMembers makes the members of the project in which a new repository lies
// its collaborators. As with Grant, nobody gets more than the actor may do.
func importMembers(tx cairn.Tx, who cairn.Actor, row cairn.Repository) error {
	name, ok := row.Name.Project()
	if !ok {
		return nil
	}
	project, err := tx.Projects().Find(row.Organization, name)
	if errors.Is(err, cairn.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	members, err := tx.Projects().Members(row.Organization, project.ID)
	if err != nil {
		return err
	}
	for _, m := range members {
		if cairn.OrganizationID(m.User.ID) == row.Organization {
			continue // owns it
		}
		for _, scope := range m.Role.Scopes() {
			if err := authorize(who, row.Name, scope); err != nil {
				return err
			}
		}
		if err := tx.Roles().Grant(row.RepositoryKey, m.User.ID, m.Role); err != nil {
			return err
		}
	}
	return nil
}
