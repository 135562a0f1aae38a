package cairn

import (
	"context"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
)

// Metadata holds every record of the product: all but the bytes of large
// packs. storage/storagetest is the suite that defines it.
//
// View and Update run f in a transaction. Both may run f more than once (after
// a serialization failure), so f must not keep what an earlier run gave it.
// The Tx is good only until f returns, and only on the goroutine that runs f.
// f must be quick: an Update can hold up every other one. It must not begin an
// Update itself, which could wait for ever.
//
// A View sees one state of the store, which holds every Update that returned
// before the View began. It never waits for an Update.
//
// When Update returns nil, what f did is durable: it survives a crash of the
// process and of the machine. When f returns an error, nothing of it happened
// and Update returns that error. Any other error wraps Unavailable; the
// update may then have happened or not. A panic of f passes through to the
// caller, and nothing of what f did has happened.
//
// If ctx is done before f is run, f is not run and the error wraps that of ctx.
// Once f runs, Update may see it through.
//
// Close waits for what is running. Later calls return Unavailable, a second
// Close nil.
//
// Times are kept in microseconds, and returned in UTC.
type Metadata interface {
	View(ctx context.Context, f func(Tx) error) error
	Update(ctx context.Context, f func(Tx) error) error
	Close() error
}

// RowMarks is what a Metadata may offer beside: to tell without a transaction that
// a repository's row is as it was. A read then costs none.
type RowMarks interface {
	// RowMark returns the mark of a repository, which need not exist. It grows
	// with every Update of this store that may have changed the repository's row,
	// before that Update returns, and now and then without a reason. So if it is
	// the same as before a View began, the row is the one that the View saw.
	//
	// It is safe for concurrent use, in Views and Updates too. The Update that is
	// under way adds exactly one for all that it does to a row.
	RowMark(RepositoryKey) uint64
}

// Tx is a transaction, its records grouped by noun. In a View the methods that
// write return an error.
//
// After a NotFound or a Conflict f may go on, the transaction being as it was
// before the call, unless the method says otherwise. After any other error all
// that f can do is return. A method that is for "a transaction that called
// Advance" of that repository returns Internal in any other.
type Tx interface {
	Organizations() Organizations
	Accounts() Accounts
	Keys() Keys
	APIKeys() APIKeys
	Repositories() Repositories
	Refs() Refs
	Packs() Packs
	Events() Events
	Jobs() Jobs
	Receipts() Receipts
	Webhooks() Webhooks
	Numbers() Numbers
	AccessKeys() AccessKeys
	Projects() Projects
	Upstreams() Upstreams
	Credentials() Credentials
	Changes() Changes
	Users() Users
	Roles() Roles
	SSHKeys() SSHKeys
}

// Organizations are the tenants.
type Organizations interface {
	// Create returns Conflict if the name is taken.
	Create(Organization) error
	// Find returns NotFound if there is none of that name.
	Find(OrganizationName) (Organization, error)
	// Get returns NotFound if there is none of that id.
	Get(OrganizationID) (Organization, error)
	// Profile returns how an organization presents itself; NotFound as Get.
	Profile(OrganizationID) (Profile, error)
	// SetProfile replaces that; NotFound as Get.
	SetProfile(OrganizationID, Profile) error
	// List returns up to limit organizations with names after the given one.
	List(after OrganizationName, limit int) ([]Organization, error)
	// Delete removes the organization with its keys of every kind, SSH keys in it,
	// projects, jobs, webhooks, teams and numbers. It returns Conflict while the
	// organization has repositories that are not deleted, NotFound if there is no
	// such organization.
	Delete(OrganizationID) error
}

// Keys are the public keys of organizations.
type Keys interface {
	// Add returns Conflict if the organization has that key already, revoked
	// or not.
	Add(PublicKey) error
	// List returns all keys of the organization, oldest first, the revoked too.
	List(OrganizationID) ([]PublicKey, error)
	// Revoke returns NotFound if there is no such key; revoking twice keeps
	// the first time.
	Revoke(org OrganizationID, id string, at time.Time) error
}

// Repositories are the rows of repositories.
type Repositories interface {
	// Create returns Conflict if a living repository of the organization has
	// the name. It tells whether there may be a webhook for what happens to the
	// new one, as Repository.Watched does.
	Create(Repository) (watched bool, err error)
	// Find returns the living repository of that name, else NotFound.
	Find(OrganizationID, RepositoryName) (Repository, error)
	// FindFolded returns the living repository whose name is that one, or failing
	// that one of those whose name is that one but for case (ASCII), else
	// NotFound.
	FindFolded(OrganizationID, RepositoryName) (Repository, error)
	// Get returns a repository, deleted ones too, else NotFound.
	Get(RepositoryKey) (Repository, error)
	// Some returns repositories, deleted ones too, without those that are not
	// there, in no order.
	Some([]RepositoryKey) ([]Repository, error)
	// Facts returns what there is to say of repositories beside their rows,
	// without those that are not there, in no order.
	Facts([]RepositoryKey) ([]RepositoryFacts, error)
	// Visible returns by name up to limit living repositories of an organization
	// that are public, or in which a user was given a role.
	Visible(org OrganizationID, user UserID, limit int) ([]Repository, error)
	// Public returns up to limit living public repositories, of all
	// organizations, in the order of their keys, after the given one: those
	// whose name or description holds the text, whatever its case (ASCII).
	Public(text string, after RepositoryKey, limit int) ([]Repository, error)
	// Forks returns up to limit living repositories whose Parent it is, oldest
	// first.
	Forks(key RepositoryKey, limit int) ([]Repository, error)
	// List returns up to limit living repositories with names after the given
	// one, in the byte order of names. A query that is not empty keeps those
	// whose name contains it, whatever its case (ASCII).
	List(org OrganizationID, query string, after RepositoryName, limit int) ([]Repository, error)
	// Page returns up to limit living repositories by name, after passing over
	// offset of them, and how many there are in all: those whose name begins with
	// the folder, which is empty or ends in a slash, and holds the query after it,
	// as with List.
	Page(org OrganizationID, folder, query string, offset, limit int) ([]Repository, int, error)
	// Advance locks the repository for a write, adds one to its version and
	// returns it so. It returns NotFound if the repository is gone or deleted.
	// Every write to refs or manifest of a repository calls it first.
	Advance(RepositoryKey) (Repository, error)
	// SetDefaultBranch names another branch, in a transaction that called
	// Advance.
	SetDefaultBranch(RepositoryKey, git.RefName) error
	// Describe sets Description and Public, in a transaction that called Advance.
	Describe(key RepositoryKey, description string, public bool) error
	// Rename gives the repository another name, in a transaction that called
	// Advance. It returns Conflict if a living repository of the organization
	// has the name.
	Rename(RepositoryKey, RepositoryName) error
	// Labels returns the labels of a repository; nil if it has none, or is not
	// there.
	Labels(RepositoryKey) (Labels, error)
	// SetLabels replaces them.
	SetLabels(RepositoryKey, Labels) error
	// SetFence makes the present version the repository's Fence, in a
	// transaction that called Advance, and returns it.
	SetFence(RepositoryKey) (int64, error)
	// SetUpstream links the repository to an upstream, or with a zero one to
	// none, and says whether its first sync is under way, in a transaction that
	// called Advance.
	SetUpstream(key RepositoryKey, upstream Upstream, syncing bool) error
	// Delete marks a living repository as deleted and frees its name; its
	// refs and manifest stay until Purge. NotFound if it does not live.
	Delete(key RepositoryKey, at time.Time) error
	// Deleted returns up to limit repositories, of all organizations, that
	// were deleted before the time, and those whose Purge has begun.
	Deleted(before time.Time, limit int) ([]Repository, error)
	// DeletedOf returns up to limit repositories of an organization that were
	// deleted at or after the time and whose Purge has not begun, by Name, then
	// DeletedAt, then id, those after the one that is given.
	DeletedOf(org OrganizationID, since time.Time, after Repository, limit int) ([]Repository, error)
	// Restore lets a deleted repository live again as it was; Advance comes
	// next. It returns NotFound if it is not deleted or its Purge has begun,
	// Conflict if a living repository has its name.
	Restore(RepositoryKey) error
	// SetPurged sets PurgedAt, in a transaction that called Advance.
	SetPurged(key RepositoryKey, at time.Time) error
	// Purge removes up to that many rows, at least one, of a deleted repository:
	// its refs, events, jobs, webhooks, deliveries, numbers, changes, deploy keys
	// and manifest, its credential and what is known of its upstream, and in the
	// end, when it returns true, its own. Packs that nothing names any more become
	// garbage as of the time. It returns NotFound if there is no such repository,
	// or it lives.
	Purge(key RepositoryKey, at time.Time, rows int) (bool, error)
}

// Refs are the refs of repositories.
type Refs interface {
	// Get returns NotFound if there is no such ref.
	Get(RepositoryKey, git.RefName) (Ref, error)
	// List returns all refs whose name starts with the prefix, in byte order.
	List(key RepositoryKey, prefix string) ([]Ref, error)
	// Update moves refs, one after the other, in a transaction that called
	// Advance; version and at are stored with the refs that it creates. If any
	// ref is not where its update says, the error is a *RefConflict and the
	// caller must let the transaction fail. An update from zero to zero only
	// asks that the ref does not exist.
	Update(key RepositoryKey, version int64, at time.Time, updates []RefUpdate) error
}

// Packs are the packs of an organization and the manifests that name them.
type Packs interface {
	// Add puts packs into a repository's manifest, in a transaction that
	// called Advance. A pack that the organization has already under the same
	// id is shared: the stored one is kept, and its Key, Role and Sidecars may
	// differ from the given ones. A pack that is in the manifest already stays as it is.
	Add(key RepositoryKey, packs ...Pack) error
	// Manifest returns a repository's packs without Data and Index, newest
	// first: by the version at which each came into the manifest, then by
	// CreatedAt, then by id.
	Manifest(RepositoryKey) ([]Pack, error)
	// Get returns a pack with its Data and Index if it is inline, else
	// NotFound.
	Get(OrganizationID, PackID) (Pack, error)
	// Replace takes packs out of a manifest and puts others in, in a
	// transaction that called Advance. It returns Conflict if one of the old
	// is not there, and the caller must let the transaction fail. Old packs
	// that no manifest names any more become garbage as of the time, even if
	// they were garbage before and named again meanwhile.
	Replace(key RepositoryKey, old []PackID, added []Pack, at time.Time) error
	// Debts returns how much of repositories is repacked and how much is not:
	// of up to limit that have packs, deleted ones too, in the order of their
	// keys, after the given one.
	Debts(after RepositoryKey, limit int) ([]Debt, error)
	// Share copies the whole manifest of one repository to another of the
	// same organization, which called Advance: a fork. The order is kept; what
	// the fork adds itself is newer.
	Share(from, to RepositoryKey) error
	// Garbage returns up to limit packs, of all organizations, that became
	// garbage before the time.
	Garbage(before time.Time, limit int) ([]GarbagePack, error)
	// GarbageSize is the size of all garbage.
	GarbageSize() (PacksSize, error)
	// Collect ends a pack that Garbage returned in the same transaction. If no
	// manifest names the pack it removes its row and returns true: once that
	// is committed the caller may delete its keys from the Bucket. Else it
	// only forgets that it was garbage. False too if it is not garbage.
	Collect(OrganizationID, PackID) (bool, error)
}

// PacksSize is the size of some packs.
type PacksSize struct {
	Packs   int
	Objects int64 // an object counts in each pack that holds it
	Bytes   int64 // without the indexes
}

// Add counts one more pack.
func (z *PacksSize) Add(p Pack) {
	z.Packs++
	z.Objects += p.Objects
	z.Bytes += p.Size
}

// Debt is what there is to do for a full repack of a repository.
type Debt struct {
	RepositoryKey
	Repacked PacksSize
	Since    PacksSize // what came since
}

// GarbagePack is a pack that no manifest named at some time.
type GarbagePack struct {
	Organization OrganizationID
	ID           PackID
	Key          string // in the Bucket; empty for an inline pack
	Since        time.Time
}

// Events are the logs of repositories.
type Events interface {
	// Append adds to a repository's log, in a transaction that called Advance.
	// It returns Conflict for a version and ordinal that are in the log, and
	// the caller must let the transaction fail.
	Append(key RepositoryKey, events []Event) error
	// List returns up to limit events after the given version and ordinal,
	// oldest first.
	List(key RepositoryKey, version int64, ordinal, limit int) ([]Event, error)
	// ListBack returns up to limit events before the given version and ordinal,
	// newest first.
	ListBack(key RepositoryKey, version int64, ordinal, limit int) ([]Event, error)
	// VersionAt returns the version of the last event at or before the time; 0
	// if there is none. It takes for granted that times grow with versions:
	// where a clock went back it returns one of the versions around that place.
	VersionAt(key RepositoryKey, at time.Time) (int64, error)
	// Targets returns, each once and in no order, the objects that refs named
	// before or after the events at or after the time, or of a later version
	// than the given one.
	Targets(key RepositoryKey, since time.Time, version int64) ([]git.ObjectID, error)
}

// RefConflict says where a ref is that an update expected elsewhere.
type RefConflict struct {
	Update  RefUpdate
	Current git.ObjectID // zero if the ref does not exist
}

// Error tells what was expected and what is.
func (e *RefConflict) Error() string {
	switch {
	case e.Update.Old.IsZero():
		return "ref " + string(e.Update.Name) + " already exists, at " + e.Current.String()
	case e.Current.IsZero():
		return "ref " + string(e.Update.Name) + " does not exist"
	}
	return "ref " + string(e.Update.Name) + " is at " + e.Current.String() + ", not at " + e.Update.Old.String()
}

// Is makes a RefConflict a Conflict.
func (e *RefConflict) Is(target error) bool { return target == Conflict }
