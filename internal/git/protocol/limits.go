package protocol

import (
	"errors"
	"fmt"
)

// ErrProtocol is in the chain of every error about input that does not follow
// the protocol. Errors of the underlying reader pass through without it.
var ErrProtocol = errors.New("git protocol error")

// malformed returns an error about what the other side sent.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}

// Limits bounds what one request may hold. A request over a limit is refused
// with a *LimitError that names it. Zero allows none: start from DefaultLimits.
type Limits struct {
	Wants            int // "want" lines of a fetch
	WantRefs         int // "want-ref" lines of a fetch
	Haves            int // "have" lines of a fetch
	Shallow          int // "shallow" lines of a fetch or a push
	DeepenNot        int // "deepen-not" lines of a fetch
	Filters          int // simple filters within one "combine:"
	Prefixes         int // "ref-prefix" lines of ls-refs; more are not an error: then all refs match
	ObjectInfo       int // "oid" lines of object-info
	ServerOptions    int // "server-option" lines of a command
	Commands         int // ref updates of a push
	PushOptions      int // push options of a push
	PushOptionLength int // bytes of one push option or server option
	RefNameLength    int // bytes of a ref name or ref prefix
}

// DefaultLimits allows every request that a stock client makes of a large
// repository, and bounds the memory of a hostile one to tens of megabytes.
func DefaultLimits() Limits {
	return Limits{
		Wants:            200_000,
		WantRefs:         10_000,
		Haves:            200_000,
		Shallow:          200_000,
		DeepenNot:        1_000,
		Filters:          16,
		Prefixes:         65_536,
		ObjectInfo:       10_000,
		ServerOptions:    64,
		Commands:         10_000,
		PushOptions:      64,
		PushOptionLength: 4096,
		RefNameLength:    1024,
	}
}

// RefUpdates is what a LimitError calls Limits.Commands.
const RefUpdates = "ref updates in a push"

// ServerRefs is what a LimitError calls the refs that a client reads.
const ServerRefs = "refs of a server"

// LimitError says which limit a request is over.
type LimitError struct {
	Limit string // the field of Limits, in words
	Max   int
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("request is over the limit of %d %s", e.Max, e.Limit)
}

// within returns a LimitError if n is more than limit.
func within(n, limit int, what string) error {
	if n > limit {
		return &LimitError{Limit: what, Max: limit}
	}
	return nil
}

// clip shortens text from outside for an error message.
func clip[T string | []byte](s T) string {
	if len(s) > 80 {
		return string(s[:77]) + "..."
	}
	return string(s)
}
