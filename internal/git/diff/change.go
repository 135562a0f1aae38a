package diff

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairn-storage/cairn/internal/git"
)

// ErrTooLarge is in the chain of every error about a bound that was passed:
// a blob above the size asked for, a walk above its budget.
var ErrTooLarge = errors.New("too large to compare")

// ErrEntries is in the chain of the error about the budget of tree entries, in
// which ErrTooLarge is too.
var ErrEntries = fmt.Errorf("%w: too many tree entries", ErrTooLarge)

// Objects is where a diff reads from. Implementations are used by one
// goroutine at a time; the bytes they return are not written to.
type Objects interface {
	// Tree returns an encoded tree.
	Tree(ctx context.Context, id git.ObjectID) ([]byte, error)
	// Blob returns a blob's whole content, or an error that matches
	// ErrTooLarge if that is more than max bytes.
	Blob(ctx context.Context, id git.ObjectID, max int64) ([]byte, error)
	// BlobSize returns the length of a blob in bytes.
	BlobSize(ctx context.Context, id git.ObjectID) (int64, error)
}

// Status is git's letter for the kind of a change.
type Status byte

// The kinds of change, as git diff --name-status prints them.
const (
	Added       Status = 'A'
	Deleted     Status = 'D'
	Modified    Status = 'M' // content, mode or both
	TypeChanged Status = 'T' // between file, symbolic link and submodule
	Renamed     Status = 'R' // with or without changes
)

// String returns the letter.
func (s Status) String() string { return string(rune(s)) }

// Side is a file as one of the two trees has it; zero where it has none. The
// mode is one of those that Git writes today: others are read as git does.
type Side struct {
	Path string
	Mode git.FileMode
	ID   git.ObjectID
}

// Exists tells whether the tree has the file.
func (s Side) Exists() bool { return s.Mode != 0 }

// Change is one line of git diff --raw: a file that differs.
type Change struct {
	Status Status
	Score  int // of a rename: similarity in percent, 0 to 100
	Old    Side
	New    Side
}

// Path returns the new path, or the old one of a deletion.
func (c Change) Path() string {
	if c.New.Exists() {
		return c.New.Path
	}
	return c.Old.Path
}

// typeChanged tells whether the two sides are different kinds of entry.
func (c Change) typeChanged() bool {
	const kind = 0o170000
	return c.Old.Exists() && c.New.Exists() && c.Old.Mode&kind != c.New.Mode&kind
}
