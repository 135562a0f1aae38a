package odb

import (
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// View says which refs a caller may see. It is the root set of the
// reachability rule.
type View uint8

// The views.
const (
	NormalView    View = iota // all refs but those of namespaces: the normal Git remote
	EphemeralView             // the ephemeral namespace alone: the ephemeral Git remote
	FullView                  // both: the HTTP API
	ChangeView                // NormalView and the changes that no branch leads to
	viewCount
)

// Refs below namespacePrefix belong to a namespace (gitnamespaces(7)): those
// that clients know are ephemeral. Refs below ChangePrefix keep the commits of
// changes to which no branch leads; no remote shows them, nor does any listing.
const (
	namespacePrefix = "refs/namespaces/"
	EphemeralPrefix = namespacePrefix + "ephemeral/"
	ChangePrefix    = namespacePrefix + "changes/"
)

// ChangeRef returns the stored name of the ref that keeps a change.
func ChangeRef(id git.ChangeID) git.RefName { return ChangePrefix + git.RefName(id.String()) }

// IsHidden tells whether no client but that of changes may know of a ref.
func IsHidden(stored git.RefName) bool {
	return strings.HasPrefix(string(stored), namespacePrefix) && !strings.HasPrefix(string(stored), EphemeralPrefix)
}

// EphemeralRef returns the stored name of a ref of the ephemeral namespace.
func EphemeralRef(name git.RefName) git.RefName { return EphemeralPrefix + name }

// VisibleName splits a stored name into the name that clients see and whether
// it is in the ephemeral namespace.
func VisibleName(stored git.RefName) (name git.RefName, ephemeral bool) {
	s, ok := strings.CutPrefix(string(stored), EphemeralPrefix)
	return git.RefName(s), ok
}

// Shows tells whether a caller of this view may see the ref of that stored
// name.
func (v View) Shows(stored git.RefName) bool {
	if !strings.HasPrefix(string(stored), namespacePrefix) {
		return v != EphemeralView
	}
	switch v {
	case EphemeralView, FullView:
		return strings.HasPrefix(string(stored), EphemeralPrefix)
	case ChangeView:
		return strings.HasPrefix(string(stored), ChangePrefix)
	}
	return false
}
