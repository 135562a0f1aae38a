package cairn

import (
	"strings"
	"time"
	"unicode/utf8"
)

// UserID names a user for ever. It is the id of the user's own organization
// too: a user and that organization are made together, have one name and go
// together.
type UserID string

// User is a person, or a program with a name of its own. Users are known to the
// whole server; what they may do in organizations and repositories is said by
// Roles.
type User struct {
	ID           UserID
	Name         OrganizationName // of their own organization; not stored twice
	Email        string           // empty if unknown; else no other user has it, whatever its case
	Password     string           // a digest, see service; empty lets no password in
	Admin        bool             // may use the administrative routes of faces
	Disabled     bool             // is let in nowhere
	CreatedAt    time.Time
	Organization Profile // how their own organization presents itself, and so they
}

// Profile is how an organization presents itself to people.
type Profile struct {
	// Spelling is the name as its creator wrote it, with capitals; empty if
	// like the name.
	Spelling    string
	FullName    string
	Description string
	Website     string
	Location    string
}

// The longest texts of profiles and users, in bytes.
const (
	MaxProfileText = 1024
	MaxEmail       = 254
)

// Check returns Invalid if a text is too long, is not UTF-8 or holds control
// characters.
func (p Profile) Check() error {
	for name, text := range map[string]string{
		"full name": p.FullName, "description": p.Description, "website": p.Website, "location": p.Location,
	} {
		if err := CheckText(name, text, MaxProfileText); err != nil {
			return err
		}
	}
	return nil
}

// CheckText returns Invalid for a text for people that is longer than so many
// bytes, is not UTF-8 or holds control characters other than line ends and
// tabs.
func CheckText(what, text string, longest int) error {
	control := func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }
	switch {
	case len(text) > longest:
		return Errorf(Invalid, "the %s is longer than %d bytes", what, longest)
	case !utf8.ValidString(text):
		return Errorf(Invalid, "the %s is not UTF-8", what)
	case strings.IndexFunc(text, control) >= 0:
		return Errorf(Invalid, "the %s holds a control character", what)
	}
	return nil
}

// ParseEmail checks an address from outside: something on both sides of one @,
// of printable characters without spaces or brackets.
func ParseEmail(s string) (string, error) {
	local, domain, _ := strings.Cut(s, "@")
	bad := func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>()[]\,;:"@`, r) || isInvisible(r)
	}
	if local == "" || domain == "" || len(s) > MaxEmail || !utf8.ValidString(s) || strings.IndexFunc(local, bad) >= 0 || strings.IndexFunc(domain, bad) >= 0 {
		return "", Errorf(Invalid, "email address %q is not of the form name@host, of at most %d bytes", Clip(s), MaxEmail)
	}
	return s, nil
}

// TokenDigest stands for the token of a user: its SHA-256. The token itself is
// shown once and not kept.
type TokenDigest [32]byte

// UserToken is a credential of a user that a program holds. It allows what the
// user may do.
type UserToken struct {
	User      UserID
	Name      string // tells the tokens of one user apart
	Digest    TokenDigest
	CreatedAt time.Time
}

// Users are the users of the server.
type Users interface {
	// Create adds a user to whose organization Organizations.Create was called
	// before, in the same transaction. Conflict if another user has the email
	// address.
	Create(User) error
	// Get, Find and FindEmail return NotFound if there is no such user. Emails
	// match whatever their case.
	Get(UserID) (User, error)
	Find(OrganizationName) (User, error)
	FindEmail(string) (User, error)
	// List returns up to limit users by name, with names after the given one:
	// those in whose name or full name the text occurs, whatever its case
	// (ASCII); all if it is empty.
	List(text string, after OrganizationName, limit int) ([]User, error)
	// Update replaces email, password and the two flags. Conflict as Create;
	// NotFound if there is no such user.
	Update(User) error
	// Delete removes a user with tokens, SSH keys and everything that Roles know
	// of them, but not the organization; NotFound if there is no such user.
	Delete(UserID) error

	// AddToken returns Conflict if the user has a token of that name.
	AddToken(UserToken) error
	// Tokens returns the tokens of a user, oldest first.
	Tokens(UserID) ([]UserToken, error)
	// TokenUser returns the user whose token it is, else NotFound.
	TokenUser(TokenDigest) (User, error)
	// DeleteToken returns NotFound if the user has no token of that name.
	DeleteToken(user UserID, name string) error
}
