package service

import (
	"context"
	"errors"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// ownersTeam is the team of those who own an organization that users made.
const ownersTeam = "Owners"

// Bounds of teams.
const (
	maxTeamName = 30
	maxTeams    = 1000 // of one organization
)

// NewOrganization says what organization a user makes.
type NewOrganization struct {
	Name string // capitals are kept for display
	cairn.Profile
}

// FoundOrganization makes an organization that a user owns, through a team of
// owners; Conflict if the name is taken.
func (s *Service) FoundOrganization(ctx context.Context, in Login, asked NewOrganization) (cairn.Organization, error) {
	if in.Nobody() {
		return cairn.Organization{}, cairn.Errorf(cairn.Unauthenticated, "a credential is required")
	}
	name, err := cairn.ParseOrganizationName(string(cairn.FoldOrganizationName(asked.Name)))
	if err != nil {
		return cairn.Organization{}, err
	}
	asked.Spelling = spelling(asked.Name, name)
	if err := asked.Profile.Check(); err != nil {
		return cairn.Organization{}, err
	}
	org := cairn.Organization{ID: cairn.OrganizationID(cairn.NewID()), Name: name, CreatedAt: s.now().UTC()}
	team := cairn.Team{Organization: org.ID, ID: cairn.TeamID(cairn.NewID()), Name: ownersTeam, Role: cairn.OwnerRole, CreatedAt: org.CreatedAt}
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		if err := tx.Organizations().Create(org); errors.Is(err, cairn.Conflict) {
			return cairn.Errorf(cairn.Conflict, "a user or organization %q already exists", name)
		} else if err != nil {
			return err
		}
		if err := tx.Organizations().SetProfile(org.ID, asked.Profile); err != nil {
			return err
		}
		if err := tx.Roles().CreateTeam(team); err != nil {
			return err
		}
		return tx.Roles().Join(org.ID, team.ID, in.User.ID)
	})
	s.keys.forget(name)
	return org, err
}

// SetProfile changes how an organization presents itself, for its owners; the
// spelling of its name stays.
func (s *Service) SetProfile(ctx context.Context, who cairn.Actor, p cairn.Profile) error {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return err
	}
	if err := p.Check(); err != nil {
		return err
	}
	defer s.keys.forget(who.Organization.Name) // a user's is in what is remembered of them
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		present, err := tx.Organizations().Profile(who.Organization.ID)
		if err != nil {
			return err
		}
		p.Spelling = present.Spelling
		return tx.Organizations().SetProfile(who.Organization.ID, p)
	})
}

// NewTeam says what team to make.
type NewTeam struct {
	Name, Description string
	Role              cairn.Role
}

// CreateTeam makes a team of an organization, for the operator; Conflict if it
// has one of that name.
func (s *Service) CreateTeam(ctx context.Context, who cairn.Actor, org string, in NewTeam) (cairn.Team, error) {
	if err := authorizeOperator(who); err != nil {
		return cairn.Team{}, err
	}
	if in.Name == "" || in.Role < cairn.ReaderRole || in.Role > cairn.AdminRole {
		return cairn.Team{}, cairn.Errorf(cairn.Invalid, "a team has a name, and may read, write or administer")
	}
	if err := errors.Join(cairn.CheckText("team's name", in.Name, 4*maxTeamName), cairn.CheckText("description", in.Description, cairn.MaxProfileText)); err != nil {
		return cairn.Team{}, err
	}
	team := cairn.Team{ID: cairn.TeamID(cairn.NewID()), Name: in.Name, Description: in.Description, Role: in.Role, CreatedAt: s.now().UTC()}
	err := s.metadata.Update(ctx, func(tx cairn.Tx) error {
		found, err := findOrganization(tx, cairn.FoldOrganizationName(org))
		if err != nil {
			return err
		}
		team.Organization = found.ID
		present, err := tx.Roles().Teams(found.ID)
		if err != nil {
			return err
		}
		if len(present) >= maxTeams {
			return cairn.Errorf(cairn.Conflict, "the organization has %d teams, the most that one may have", len(present))
		}
		return tx.Roles().CreateTeam(team)
	})
	return team, err
}

// Teams returns the teams of an organization, oldest first, to every user.
func (s *Service) Teams(ctx context.Context, in Login, org string) (list []cairn.Team, err error) {
	if in.Nobody() {
		return nil, cairn.Errorf(cairn.Unauthenticated, "a credential is required")
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err := findOrganization(tx, cairn.FoldOrganizationName(org))
		if err == nil {
			list, err = tx.Roles().Teams(found.ID)
		}
		return err
	})
	return list, err
}

// findTeam finds a team by its number.
func findTeam(tx cairn.Tx, n cairn.Number) (cairn.Team, error) {
	thing, err := tx.Numbers().Find(cairn.TeamNumber, n)
	if err != nil {
		return cairn.Team{}, err
	}
	return tx.Roles().Team(thing.Organization, cairn.TeamID(thing.ID))
}

// NumberedTeam is a team as a thing that may have a number.
func NumberedTeam(t cairn.Team) cairn.Numbered {
	return cairn.Numbered{Kind: cairn.TeamNumber, RepositoryKey: cairn.RepositoryKey{Organization: t.Organization}, ID: string(t.ID)}
}

// numberedOrganization is an organization, or the user whose it is, as a thing
// that may have a number.
func numberedOrganization(id cairn.OrganizationID) cairn.Numbered {
	return cairn.Numbered{Kind: cairn.OrganizationNumber, RepositoryKey: cairn.RepositoryKey{Organization: id}}
}

// TeamMembers returns the users of a team by name, for the operator.
func (s *Service) TeamMembers(ctx context.Context, who cairn.Actor, team cairn.Number) (list []cairn.User, err error) {
	if err := authorizeOperator(who); err != nil {
		return nil, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		t, err := findTeam(tx, team)
		if err == nil {
			list, err = tx.Roles().Members(t.Organization, t.ID)
		}
		return err
	})
	return list, err
}

// SetTeamMember puts a user into a team, or takes them out, for the operator.
// An organization keeps one owner at least.
func (s *Service) SetTeamMember(ctx context.Context, who cairn.Actor, team cairn.Number, user string, member bool) error {
	if err := authorizeOperator(who); err != nil {
		return err
	}
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		t, err := findTeam(tx, team)
		if err != nil {
			return err
		}
		u, err := findUser(tx, user)
		if err != nil {
			return err
		}
		if member {
			return tx.Roles().Join(t.Organization, t.ID, u.ID)
		}
		if t.Role == cairn.OwnerRole {
			others, err := owners(tx, t.Organization)
			if err != nil {
				return err
			}
			if len(others) == 1 && others[0].ID == u.ID {
				return cairn.Errorf(cairn.Conflict, "user %q is the only owner of the organization", u.Name)
			}
		}
		return tx.Roles().Leave(t.Organization, t.ID, u.ID)
	})
}

// SetTeamRepository gives a team its role in a repository of its organization,
// or takes it away, for the operator.
func (s *Service) SetTeamRepository(ctx context.Context, who cairn.Actor, team cairn.Number, repo string, given bool) error {
	if err := authorizeOperator(who); err != nil {
		return err
	}
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		t, err := findTeam(tx, team)
		if err != nil {
			return err
		}
		r, err := tx.Repositories().FindFolded(t.Organization, cairn.RepositoryName(repo))
		if err != nil {
			return err
		}
		if given {
			return tx.Roles().Give(t.ID, r.RepositoryKey)
		}
		return tx.Roles().Take(t.ID, r.RepositoryKey)
	})
}
