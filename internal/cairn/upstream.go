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
	// AnyGit is any server, whose repositories are named by address.
	AnyGit Provider = "git"
)

// Upstream names the repository on another server that a repository follows, or
// exchanges refs with when it is asked to. The zero value is none.
type Upstream struct {
	Provider Provider `json:"provider"`
	Host     string   `json:"host"` // with a port only if it is an address, or with AnyGit
	Owner    string   `json:"owner"`
	Name     string   `json:"name"`
	// URL is the address that was given, with AnyGit; it has no credential.
	URL string `json:"url,omitempty"`
	// OnDemand tells that nothing happens by itself: runs that are asked for
	// move refs forward only, in either direction, and delete none. Else the
	// repository follows: it becomes what the upstream is.
	OnDemand bool `json:"on_demand,omitempty"`
	// DefaultBranch is the short name of the branch that the creator wants as
	// the default; empty for whichever the upstream has.
	DefaultBranch string `json:"default_branch,omitempty"`
	// Once ends the link when the first sync has succeeded: what the upstream
	// has is taken over, not followed.
	Once bool `json:"once,omitempty"`
}

// IsZero tells whether there is no upstream.
func (u Upstream) IsZero() bool { return u == Upstream{} }

// Follows tells whether the repository takes over all that the upstream has.
func (u Upstream) Follows() bool { return !u.IsZero() && !u.OnDemand }

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

// SyncRunID names a run among those of its repository.
type SyncRunID string

// SyncDirection says whose refs a run moves.
type SyncDirection string

// The directions.
const (
	Pull SyncDirection = "pull" // those here
	Push SyncDirection = "push" // those of the upstream
)

// SyncRun is one exchange with an upstream, from when it is asked for to its
// end.
type SyncRun struct {
	RepositoryKey
	ID        SyncRunID
	Direction SyncDirection
	// Follow makes the refs here what they are upstream, deletions included.
	// Else refs move forward only, and those that cannot are left alone.
	Follow bool
	// Branches and Tags choose refs by their short names, see the service; an
	// empty one chooses none. A run that follows takes all.
	Branches, Tags string
	Status         SyncStatus
	Attempts       int
	Refs           []SyncRef // what became of the refs; at most MaxSyncRefs
	Error          string    // of the last attempt, if it failed; without credentials
	RequestedAt    time.Time
	StartedAt      time.Time // zero before the first attempt
	EndedAt        time.Time // zero before the end
}

// IsOver tells whether the run ended.
func (r SyncRun) IsOver() bool { return r.Status == SyncSucceeded || r.Status == SyncFailed }

// MaxSyncRefs is how many refs a run notes.
const MaxSyncRefs = 1000

// SyncRef is what a run did with a ref.
type SyncRef struct {
	Name    git.RefName
	Before  git.ObjectID // on the side that the run writes to; zero for one that was not there
	After   git.ObjectID // on the side that it reads from
	Outcome SyncOutcome
}

// SyncOutcome is what became of a ref.
type SyncOutcome string

// The outcomes.
const (
	RefUpdated   SyncOutcome = "updated"
	RefUnchanged SyncOutcome = "unchanged"
	RefFiltered  SyncOutcome = "filtered" // its name is not allowed
	RefRejected  SyncOutcome = "rejected" // it would not move forward, or was refused
)

// LoginKind says what a credential is made of.
type LoginKind string

// The kinds of credentials.
const (
	TokenLogin    LoginKind = "token" // its user name does not matter
	PasswordLogin LoginKind = "username_password"
)

// Credential is what a repository is let into its upstream with.
type Credential struct {
	Organization OrganizationID
	ID           string
	Repository   RepositoryID
	Kind         LoginKind
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
	// PutRun adds a run to the log, or replaces the one of its id.
	PutRun(SyncRun) error
	// Run returns NotFound if the log has no such run.
	Run(RepositoryKey, SyncRunID) (SyncRun, error)
	// Runs returns up to limit runs from the newest on, or from before the one
	// of an id.
	Runs(key RepositoryKey, before SyncRunID, limit int) ([]SyncRun, error)
	// Waiting returns the runs that have not ended, the oldest first.
	Waiting(RepositoryKey) ([]SyncRun, error)
	// ForgetRuns removes the runs that ended, but for so many of the newest.
	ForgetRuns(key RepositoryKey, keep int) error
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
	Replace(org OrganizationID, id string, kind LoginKind, sealed []byte, at time.Time) error
	// Delete returns NotFound if there is none of that id.
	Delete(org OrganizationID, id string) error
}
