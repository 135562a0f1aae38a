package pack

import (
	"errors"
	"fmt"

	"github.com/cairn-storage/cairn/internal/git"
)

// The causes that callers tell apart. LimitError and git.ErrCollision are the
// others.
var (
	// ErrMalformed is in the chain of every error about bytes that are no
	// valid pack, index or delta.
	ErrMalformed = errors.New("malformed pack")
	// ErrMissingBase is in the chain of errors about a delta whose base is
	// neither in the pack nor given from outside.
	ErrMissingBase = errors.New("base of a delta is missing")
	// ErrDuplicate is returned for a received pack that holds an object twice.
	ErrDuplicate = errors.New("object appears twice in the pack")
)

// LimitError says which limit an object or a pack is over.
type LimitError struct {
	// Name is "object size", "commit size", "tag size", "tree size", "pack size",
	// "objects", "inflated size", "inflate ratio", "delta depth" or "work on
	// deltas".
	Name  string
	Limit int64
	Got   int64 // at least this much
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s %d is over the limit of %d", e.Name, e.Got, e.Limit)
}

// ObjectError says which object of a received pack was refused, and why: what
// Check returned, or git.ErrCollision.
type ObjectError struct {
	Type git.ObjectType
	ID   git.ObjectID // zero if it could not be computed
	Err  error
}

func (e *ObjectError) Error() string {
	if e.ID.IsZero() {
		return fmt.Sprintf("%s: %v", e.Type, e.Err)
	}
	return fmt.Sprintf("object %s: %v", e.ID, e.Err)
}

// Unwrap returns the reason.
func (e *ObjectError) Unwrap() error { return e.Err }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func checkObjectSize(size, limit int64) error {
	if limit > 0 && size > limit {
		return &LimitError{Name: "object size", Limit: limit, Got: size}
	}
	return nil
}

func duplicate(raw []byte) error {
	return fmt.Errorf("%w: %x", ErrDuplicate, raw)
}

func missingBase(id git.ObjectID) error {
	return fmt.Errorf("%w: %s", ErrMissingBase, id)
}
