package cairn

import "math"

// Number is a small name for a thing, for callers whose ids are integers:
// positive, and never given to another thing of its kind, not even after the
// first is gone.
type Number int32

// MaxNumber is the last number of a kind.
const MaxNumber Number = math.MaxInt32

// NumberKind says what is numbered. Each kind counts from 1 for itself.
type NumberKind string

// The kinds of things with numbers. The words are stored.
const (
	RepositoryNumber NumberKind = "repository" // Numbered.ID is empty
	WebhookNumber    NumberKind = "webhook"
	// OrganizationNumber is that of a user too, whose organization it is. Its ID
	// is empty.
	OrganizationNumber NumberKind = "organization"
	TeamNumber         NumberKind = "team"
	SSHKeyNumber       NumberKind = "ssh key"
)

// Numbered is a thing that has a number, or may get one. What belongs to a
// repository or an organization says so: its number goes with it.
type Numbered struct {
	Kind NumberKind
	RepositoryKey
	ID string
}

// NumberedRepository is a repository as a thing that may have a number.
func NumberedRepository(key RepositoryKey) Numbered {
	return Numbered{Kind: RepositoryNumber, RepositoryKey: key}
}

// Numbers are the numbers of things, each given when it is first asked for:
// what nobody asks for costs nothing.
type Numbers interface {
	// Give returns the number of a thing; if it has none, it gets the next one.
	// It does not look whether there is such a thing. When a kind has no numbers
	// left the error is Unavailable.
	Give(Numbered) (Number, error)
	// Of returns NotFound if the thing has no number.
	Of(Numbered) (Number, error)
	// OfEach returns the numbers of those of many things that have one.
	OfEach([]Numbered) (map[Numbered]Number, error)
	// Find returns the thing of a kind that has the number, else NotFound.
	Find(NumberKind, Number) (Numbered, error)
	// Forget takes a thing's number away. That it has none is no error.
	Forget(Numbered) error
}
