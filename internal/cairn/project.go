package cairn

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// ProjectID names a project for ever: 32 lower-case hexadecimal digits.
type ProjectID string

// NewProjectID returns a new identifier.
func NewProjectID() ProjectID {
	var b [16]byte
	rand.Read(b[:])
	return ProjectID(hex.EncodeToString(b[:]))
}

// ProjectName is a project's name in its organization: a letter, then letters,
// digits, "-" and "_".
type ProjectName string

// MaxProjectName is the longest name of a project in bytes.
const MaxProjectName = 128

// ParseProjectName checks a name from outside.
func ParseProjectName(s string) (ProjectName, error) {
	ok := s != "" && len(s) <= MaxProjectName
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		ok = ok && (letter || i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '_'))
	}
	if !ok {
		return "", Errorf(Invalid, "project name %q: use a letter, then letters, digits, - and _, at most %d", Clip(s), MaxProjectName)
	}
	return ProjectName(s), nil
}

// Project is a name under which repositories of an organization lie together:
// those whose names begin with its own and a slash. Those that were there
// before it belong to it too.
type Project struct {
	Organization OrganizationID
	ID           ProjectID
	Name         ProjectName
	CreatedAt    time.Time
}

// Folder is what the names of its repositories begin with.
func (p Project) Folder() string { return string(p.Name) + "/" }

// Project returns the name of the project in which a repository of that name
// lies, if there is one.
func (n RepositoryName) Project() (ProjectName, bool) {
	folder, _, ok := strings.Cut(string(n), "/")
	return ProjectName(folder), ok
}

// Projects are the projects of organizations.
type Projects interface {
	// Create returns Conflict if the organization has a project of that name or
	// id.
	Create(Project) error
	// Get returns NotFound if the organization has no project of that id.
	Get(OrganizationID, ProjectID) (Project, error)
	// Find returns NotFound if the organization has no project of that name.
	Find(OrganizationID, ProjectName) (Project, error)
	// List returns up to limit projects with names after the given one.
	List(org OrganizationID, after ProjectName, limit int) ([]Project, error)

	// SetMember gives a user a role in a project, or changes it; NoRole takes it
	// away.
	SetMember(OrganizationID, ProjectID, UserID, Role) error
	// Members returns who has a role in a project, by name.
	Members(OrganizationID, ProjectID) ([]Collaborator, error)
}
