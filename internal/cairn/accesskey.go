package cairn

import "time"

// AccessKeyID names an access key, in the whole server.
type AccessKeyID string

// AccessKey is a secret with which a program signs its requests, so that the
// secret itself does not travel.
type AccessKey struct {
	Organization OrganizationID
	ID           AccessKeyID
	Name         string // who holds it; may be empty
	Scopes       []Scope
	// Repositories are the only ones that it is good for; nil means all of the
	// organization, those to come too.
	Repositories []RepositoryID
	Sealed       []byte // the secret: signatures cannot be verified with a digest of it
	CreatedAt    time.Time
	RevokedAt    time.Time // zero while it is good
}

// AccessKeys are the access keys of organizations.
type AccessKeys interface {
	// Create returns Conflict if any organization has a key of that id.
	Create(AccessKey) error
	// Find returns the key of that id, a revoked one too, whichever
	// organization's it is; else NotFound.
	Find(AccessKeyID) (AccessKey, error)
	// List returns all keys of the organization, oldest first, the revoked too.
	List(OrganizationID) ([]AccessKey, error)
	// Revoke returns NotFound if the organization has no such key; revoking
	// twice keeps the first time.
	Revoke(org OrganizationID, id AccessKeyID, at time.Time) error
}
