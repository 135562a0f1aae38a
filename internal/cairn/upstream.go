package cairn

import (
	"time"

	"github.com/cairn-storage/cairn/internal/git"
)

// Provider is a kind of server that upstreams are on.
type Provider string

// The providers.
const (
	GitHub    Provider = "github"
	GitLab    Provider = "gitlab"
	Bitbucket Provider = "bitbucket"
	Gitea     Provider = "gitea"
	Forgejo   Provider = "forgejo"
	Codeberg  Provider = "codeberg"
	SourceHut Provider = "sr.ht"
)

// Upstream names the repository on another server that a repository follows.
// The zero value is none.
type Upstream struct {
	Provider Provider `json:"provider"`
	Host     string   `json:"host"` // with a port only if it is an address
	Owner    string   `json:"owner"`
	Name     string   `json:"name"`
	// DefaultBranch is the short name of the branch that the creator wants as
	// the default; empty for whichever the upstream has.
	DefaultBranch string `json:"default_branch,omitempty"`
	// Once ends the link when the first sync has succeeded: what the upstream
	// has is taken over, not followed.
	Once bool `json:"once,omitempty"`
}

// IsZero tells whether there is no upstream.
func (u Upstream) IsZero() bool { return u == Upstream{} }

// SyncStatus says how far a repository is in following its upstream.
type SyncStatus string

// The statuses. A run goes from queued to running, perhaps to retrying and
// back, and ends as succeeded or failed.
const (
	SyncNever     SyncStatus = "never" // no run was asked for yet
	SyncQueued    SyncStatus = "queued"
	SyncRunning   SyncStatus = "running"
	SyncRetrying  SyncStatus = "retrying" // an attempt failed; another one follows
	SyncSucceeded SyncStatus = "succeeded"
	SyncFailed    SyncStatus = "failed"
)

// Sync is what is known of a repository's following its upstream.
type Sync struct {
	RepositoryKey
	Status      SyncStatus
	Runs        int64     // that ended
	RequestedAt time.Time // of the present run, or of the last one
	StartedAt   time.Time // zero before the first
	EndedAt     time.Time // of the last run that ended
	SucceededAt time.Time // when the last run that succeeded ended
	Error       string    // of the last attempt, if it failed; without credentials
}

// Credential is what a repository is let into its upstream with.
type Credential struct {
	Organization OrganizationID
	ID           string
	Repository   RepositoryID
	Sealed       []byte // user name and password, encrypted
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Upstreams is how far repositories are with their upstreams.
type Upstreams interface {
	// Sync returns NotFound if nothing is known of the repository.
	Sync(RepositoryKey) (Sync, error)
	// PutSync replaces what is known.
	PutSync(Sync) error
	// Tracked returns, by name, the refs that the upstream had when the
	// repository last took them over, or gave them to it.
	Tracked(RepositoryKey) ([]git.RefName, error)
	// Track adds to them and Untrack takes away, both in a transaction that
	// called Advance. Refs that are there already, or not there, are passed
	// over.
	Track(key RepositoryKey, names []git.RefName) error
	Untrack(key RepositoryKey, names []git.RefName) error
	// Forget removes all of it. A repository of which nothing is known stays as
	// it is.
	Forget(RepositoryKey) error
}

// Credentials are what repositories are let into their upstreams with: at most
// one for each.
type Credentials interface {
	// Create returns Conflict if the repository has one.
	Create(Credential) error
	// Get returns NotFound if the organization has none of that id.
	Get(org OrganizationID, id string) (Credential, error)
	// Of returns the repository's, else NotFound.
	Of(RepositoryKey) (Credential, error)
	// Replace seals another secret in; NotFound if there is none of that id.
	Replace(org OrganizationID, id string, sealed []byte, at time.Time) error
	// Delete returns NotFound if there is none of that id.
	Delete(org OrganizationID, id string) error
}
