package cairn

import (
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// Scope is a right that a credential carries.
type Scope string

// The scopes. GitWrite includes GitRead, RepoWrite includes RepoAdmin.
const (
	GitRead   Scope = "git:read"
	GitWrite  Scope = "git:write"
	RepoAdmin Scope = "repo:admin" // a repository's settings, and who has access to it
	RepoWrite Scope = "repo:write" // to make and to delete it too
	OrgRead   Scope = "org:read"
	// OrgAdmin is the right over the API keys and webhooks of an organization,
	// but for making keys: that is KeyCreate, which no token that was made from
	// a key has.
	OrgAdmin  Scope = "org:admin"
	KeyCreate Scope = "key:create"
)

// Actor is who is asking: what a verified credential says. It is passed as
// the argument after ctx, never inside it.
type Actor struct {
	Organization Organization
	// Repository is the only repository that the credential is good for;
	// empty means that it names none.
	Repository RepositoryName
	// RepositoryID is which repository was found under that name when Reach was
	// asked, if it was: under the same name another one is not meant.
	RepositoryID RepositoryID
	// Reach is for credentials that are good for many repositories; nil for all
	// others.
	Reach  *Reach
	Scopes []Scope
	Policy RefPolicy
	Name   string // for the event log and for people
	// User is who it is, if the credential is that of a user.
	User UserID
	// Admin is the operator of the server, who may do anything to any
	// repository of Organization.
	Admin bool
	// AccessKey is the key that signed, or from which the token was made; empty
	// if none.
	AccessKey AccessKeyID
	// APIKey is the key, or that from which the token was made; empty if none.
	APIKey APIKeyID
	// Authors are who the credential acts for, as the authors of what it
	// writes; empty if it does not say.
	Authors []Person
}

// Person is somebody as commits name them.
type Person struct{ Name, Email string }

// Reach says for which repositories of an organization a credential is good:
// for those that pass both tests.
type Reach struct {
	// IDs are the repositories, nil for all.
	IDs []RepositoryID
	// Names are the names that a repository may have at the moment, each with
	// the scopes for it; nil for all names, with the scopes of the actor. An
	// entry that FoldNames lets match whatever its case.
	Names     map[RepositoryName][]Scope
	FoldNames bool
}

// All tells whether every repository passes.
func (r *Reach) All() bool { return r != nil && r.IDs == nil && r.Names == nil }

// Has tells whether the actor holds the scope.
func (a Actor) Has(s Scope) bool {
	return a.Admin || slices.Contains(a.Scopes, s) ||
		s == GitRead && slices.Contains(a.Scopes, GitWrite) || s == RepoAdmin && slices.Contains(a.Scopes, RepoWrite)
}

// RefOp is something that a policy can forbid.
type RefOp string

// The operations that ref policies name.
const (
	NoForcePush RefOp = "no-force-push" // no update that is not a fast-forward
	NoPush      RefOp = "no-push"       // no update at all
	VerifySig   RefOp = "verify-sig"    // only commits with a known signature
)

// RefRule forbids operations on the refs that its pattern matches: a full ref
// name, a prefix that ends in "/*", or "*". No operations means that
// everything is allowed.
type RefRule struct {
	Pattern string
	Ops     []RefOp
}

// RefPolicy is an ordered list of rules; the first whose pattern matches
// decides, and without a match everything is allowed.
type RefPolicy []RefRule

// Forbids tells whether the policy forbids op on the ref.
func (p RefPolicy) Forbids(op RefOp, ref git.RefName) bool {
	for _, rule := range p {
		if rule.matches(ref) {
			return slices.Contains(rule.Ops, op)
		}
	}
	return false
}

func (r RefRule) matches(ref git.RefName) bool {
	if prefix, ok := strings.CutSuffix(r.Pattern, "*"); ok {
		return strings.HasPrefix(string(ref), prefix)
	}
	return r.Pattern == string(ref)
}
