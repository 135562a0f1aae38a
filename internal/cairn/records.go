package cairn

import (
	"time"

	"github.com/cairn-storage/cairn/internal/git"
)

// Organization is a tenant. Everything else belongs to one.
type Organization struct {
	ID        OrganizationID
	Name      OrganizationName
	CreatedAt time.Time
}

// PublicKey verifies the tokens that an organization signs.
type PublicKey struct {
	Organization OrganizationID
	ID           string // the RFC 7638 thumbprint; a token's kid may name it
	Algorithm    string // ES256, RS256 or EdDSA
	PEM          string // the public half, PKIX
	CreatedAt    time.Time
	RevokedAt    time.Time // zero while the key is good
}

// RepositoryKey is where a repository's rows are kept.
type RepositoryKey struct {
	Organization OrganizationID
	Repository   RepositoryID
}

// Repository is a repository's own row.
type Repository struct {
	RepositoryKey
	Name          RepositoryName
	DefaultBranch git.RefName // what HEAD names; the branch need not exist
	Format        git.ObjectFormat
	CreatedAt     time.Time
	DeletedAt     time.Time // zero while it lives
	// Version grows by one with every write to the repository. Two reads of
	// the same version see the same refs and the same manifest.
	Version int64
	// Fence is the oldest version whose snapshots a write may have been
	// checked against; zero if any may. A write that was checked against an
	// older one could rely on objects that have been dropped since.
	Fence int64
	// PurgedAt is when what its past kept alive was purged; zero if never. What
	// refs named before is neither kept nor shown.
	PurgedAt time.Time
	// Watched tells whether there may be a webhook for what happens to it. Only
	// Repositories.Advance says so.
	Watched bool
	// Upstream is what the repository follows; zero if nothing.
	Upstream Upstream
	// Syncing tells that its first sync is under way: what it will hold is not
	// there yet.
	Syncing bool
	// Public tells that everybody may read it, without a credential.
	Public bool
	// Description is for people.
	Description string
	// Parent is the repository that it was forked from; empty if from none. It
	// may be gone.
	Parent RepositoryID
}

// Ref is a name and the object that it names.
type Ref struct {
	Name      git.RefName
	Target    git.ObjectID
	CreatedAt time.Time
	// Created is the repository's version at which the ref came to be: the
	// order of creation.
	Created int64
}

// RefUpdate moves one ref. A zero Old means that the ref must not exist, a
// zero New that it is deleted.
type RefUpdate struct {
	Name     git.RefName
	Old, New git.ObjectID
}

// PackID names a pack by its content: the checksum that ends it, as
// hexadecimal text.
type PackID string

// PackRole says what a pack holds.
type PackRole uint8

// The roles of packs. The numbers are stored.
const (
	MixedPack   PackRole = 0 // anything: what was pushed, committed or merged
	HistoryPack PackRole = 1 // commits, trees and tags, of a full repack
	BlobPack    PackRole = 2 // blobs, of a full repack
)

// Pack is an immutable set of objects. It lies inline in its row (Data and
// Index set) or in the Bucket (Key set), never both.
type Pack struct {
	ID        PackID
	Role      PackRole
	Objects   int64
	Size      int64  // of the pack in bytes
	IndexSize int64  // of its index in bytes
	Key       string // in the Bucket, see odb/keys.go; empty for an inline pack
	CreatedAt time.Time
	// Sidecars tells that beside the pack in the Bucket lie what a full repack
	// learned of the repository, see odb/keys.go.
	Sidecars bool

	Data, Index []byte // of an inline pack; left out by Packs.Manifest
}

// Inline tells whether the pack's bytes lie in its row.
func (p Pack) Inline() bool { return p.Key == "" }

// EventKind says what an event records.
type EventKind string

// RefChanged is the event of a ref that was created, moved or deleted.
const RefChanged EventKind = "ref"

// Event is one line of a repository's log. Events are appended in the write
// that they record and never changed.
type Event struct {
	Version int64 // of the repository after the write
	Ordinal int   // of the event within the write
	At      time.Time
	Actor   string // who, as the credential says
	Kind    EventKind
	RefUpdate
}
