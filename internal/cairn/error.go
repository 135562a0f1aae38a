package cairn

import (
	"errors"
	"fmt"
	"syscall"
)

// Kind is what went wrong, as far as a caller can act on it. A Kind is itself
// an error, so errors.Is(err, cairn.NotFound) asks for it.
type Kind string

// The kinds of error. Faces map each to their own status in one table.
const (
	Invalid         Kind = "invalid"         // the request can never succeed as it is
	Unauthenticated Kind = "unauthenticated" // no credential, or one that does not verify
	Denied          Kind = "denied"          // the credential does not allow this
	NotFound        Kind = "not found"       // absent, or not to be known of by this caller
	Conflict        Kind = "conflict"        // the state is not the one that the request assumes
	Reused          Kind = "key reused"      // an idempotency key that was used for another request
	Stale           Kind = "stale"           // a guard named another state than the present one
	Unconfigured    Kind = "not configured"  // it needs something that this server was not given
	TooLarge        Kind = "too large"       // over a documented limit
	TimedOut        Kind = "timed out"       // the caller was too slow
	RateLimited     Kind = "rate limited"    // too much at once; later it may do
	Unavailable     Kind = "unavailable"     // a store or the server cannot answer now
	Internal        Kind = "internal"        // a fault of the server
)

// Error makes a Kind an error.
func (k Kind) Error() string { return string(k) }

// Error is an error whose text is written for the caller who made the request.
type Error struct {
	Kind Kind
	Text string
	err  error
}

// Errorf returns an *Error of that kind. A %w in the format is kept in the
// chain.
func Errorf(kind Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Text: err.Error(), err: err}
}

// Error returns the text for the caller.
func (e *Error) Error() string { return e.Text }

// Is matches the error's Kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// Unwrap returns what the text was made of.
func (e *Error) Unwrap() error { return e.err }

// KindOf returns the kind of the outermost *Error in the chain, or else the
// outermost Kind. A disk that is full makes a store Unavailable. Everything
// else is Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var kind Kind
	switch {
	case errors.As(err, &kind):
		return kind
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Unavailable
	}
	return Internal
}
