package cairn

import "time"

// APIKeyID names an API key within its organization.
type APIKeyID string

// Access is how much an API key allows. Each includes the one before it.
type Access string

// The accesses of API keys.
const (
	ReadAccess  Access = "read"
	WriteAccess Access = "write"
	AdminAccess Access = "admin"
)

// APIKey is a secret with which a program acts for an organization. Who holds
// it may make tokens from it, without asking the server: so what verifies those
// is stored, sealed, and not merely a digest.
type APIKey struct {
	Organization OrganizationID
	ID           APIKeyID
	Name         string // may be empty
	Access       []Access
	// Repositories are the only ones that it is good for; nil means all of the
	// organization, those to come too.
	Repositories []RepositoryID
	Labels       Labels
	Sealed       []byte // what signs the tokens that are made from it
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero if it does not
	RevokedAt    time.Time // zero while it is good
	UsedAt       time.Time // about; zero if never
}

// IsGood tells whether the key lets anybody in at that time.
func (k APIKey) IsGood(at time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || at.Before(k.ExpiresAt))
}

// Labels are what users note about something, by names of theirs.
type Labels map[string]string

// APIKeys are the API keys of organizations.
type APIKeys interface {
	// Create returns Conflict if the organization has a key of that id.
	Create(APIKey) error
	// Get returns NotFound if there is no such key.
	Get(OrganizationID, APIKeyID) (APIKey, error)
	// List returns up to limit keys by id, which is their age, after the given
	// one; the revoked and expired too.
	List(org OrganizationID, after APIKeyID, limit int) ([]APIKey, error)
	// SetLabels replaces the labels; NotFound if there is no such key.
	SetLabels(OrganizationID, APIKeyID, Labels) error
	// Revoke returns NotFound if there is no such key; revoking twice keeps the
	// first time.
	Revoke(org OrganizationID, id APIKeyID, at time.Time) error
	// Used notes when a key was used last. An earlier time than the stored one
	// and a key that is gone are passed over.
	Used(org OrganizationID, id APIKeyID, at time.Time) error
}
