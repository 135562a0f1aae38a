package cairn

import "time"

// Account is an organization as it presents itself to people.
type Account struct {
	Organization
	Profile
	Number Number // zero if it has none yet
	// User tells that it is the own organization of a user, who has the email
	// address.
	User  bool
	Email string
}

// Shown is the name as its owner wrote it.
func (a Account) Shown() string {
	if a.Spelling != "" {
		return a.Spelling
	}
	return string(a.Name)
}

// Accounts are the organizations as people see them, the users' too. What is
// not there is left out of lists, which have no order.
type Accounts interface {
	// Find returns NotFound if there is none of that name.
	Find(OrganizationName) (Account, error)
	// Get returns those of some ids.
	Get([]OrganizationID) ([]Account, error)
	// Of returns those in whose teams a user is, by name.
	Of(UserID) ([]Account, error)
	// WithEmails returns those of users with one of some email addresses,
	// whatever their case.
	WithEmails([]string) ([]Account, error)
}

// RepositoryFacts are what there is to say of a repository beside its row.
type RepositoryFacts struct {
	RepositoryKey
	Number  Number    // zero if it has none yet
	Packs   int       // in its manifest
	Size    int64     // of these, in bytes
	Forks   int       // that live, up to MaxForksCounted
	MovedAt time.Time // when a ref last moved; zero if none ever did
}

// MaxForksCounted is the highest number of forks that RepositoryFacts say.
const MaxForksCounted = 10_000
