package cairn

import "time"

// Role is what a user is to a repository. Each includes those before it. The
// numbers are stored.
type Role int

// The roles.
const (
	NoRole     Role = 0
	ReaderRole Role = 1 // may fetch and look at it
	WriterRole Role = 2 // may push and commit
	AdminRole  Role = 3 // may change its settings, and who else has a role
	OwnerRole  Role = 4 // may delete it; in a whole organization, make others
)

// Scopes are the rights that a role gives.
func (r Role) Scopes() []Scope {
	switch {
	case r >= OwnerRole:
		return []Scope{GitRead, GitWrite, RepoAdmin, RepoWrite}
	case r == AdminRole:
		return []Scope{GitRead, GitWrite, RepoAdmin}
	case r == WriterRole:
		return []Scope{GitRead, GitWrite}
	case r == ReaderRole:
		return []Scope{GitRead}
	}
	return nil
}

// Collaborator is a user who was given a role in one repository.
type Collaborator struct {
	User User
	Role Role // Reader, Writer or Admin
}

// TeamID names a team within its organization.
type TeamID string

// Team is a group of users who have the same role in the same repositories of
// an organization. The team with OwnerRole has it in all of them, and owns the
// organization.
type Team struct {
	Organization OrganizationID
	ID           TeamID
	Name         string
	Description  string
	Role         Role
	CreatedAt    time.Time
}

// Roles say who may do what. That users own the organizations of their own is
// not among them: the ids say so.
type Roles interface {
	// Of is the highest role that a user was given in a repository, as a
	// collaborator or by teams.
	Of(UserID, RepositoryKey) (Role, error)
	// OfEach is Of for many repositories, without those in which it is none.
	OfEach(UserID, []RepositoryKey) (map[RepositoryKey]Role, error)
	// In is the highest role of the teams of an organization in which a user is;
	// OwnerRole says that they own it.
	In(UserID, OrganizationID) (Role, error)
	// Organizations returns the organizations in whose teams a user is, by name.
	Organizations(UserID) ([]Organization, error)
	// Repositories returns, by organization and name, the living repositories
	// in which a user was given a role, without those of their own
	// organization; up to limit.
	Repositories(user UserID, limit int) ([]Repository, error)

	// Grant makes a user a collaborator, or changes their role.
	Grant(RepositoryKey, UserID, Role) error
	// Withdraw undoes Grant; of who is no collaborator nothing is changed.
	Withdraw(RepositoryKey, UserID) error
	// Collaborators returns those of a repository by name.
	Collaborators(RepositoryKey) ([]Collaborator, error)

	// CreateTeam adds a team. Conflict if the organization has one of that name,
	// whatever its case.
	CreateTeam(Team) error
	// Team returns NotFound if there is no such team.
	Team(OrganizationID, TeamID) (Team, error)
	// Teams returns those of an organization, oldest first.
	Teams(OrganizationID) ([]Team, error)
	// Join and Leave add and remove a member; what is so already is no error.
	Join(OrganizationID, TeamID, UserID) error
	Leave(OrganizationID, TeamID, UserID) error
	// Members returns the users of a team by name.
	Members(OrganizationID, TeamID) ([]User, error)
	// Give and Take add and remove a repository; what is so already is no
	// error.
	Give(team TeamID, key RepositoryKey) error
	Take(team TeamID, key RepositoryKey) error
}
