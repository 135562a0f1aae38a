package service

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// deniedByPolicy is in the text of every refusal by a ref policy: clients of
// the protocol look for it in what a push prints.
const deniedByPolicy = "denied by policy"

// history is what a policy asks about the two ends of a ref update, and what
// webhooks are told of them. A snapshot answers for what is stored, a batch for
// what is about to be.
type history interface {
	Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error)
	FullCommit(ctx context.Context, id git.ObjectID) (*git.Commit, error)
	PeelToCommit(ctx context.Context, id git.ObjectID) (git.ObjectID, error)
}

// refWrite is one change of a repository's refs with the packs that it needs.
type refWrite struct {
	Who     cairn.Actor
	Packs   []odb.Staged
	Updates []cairn.RefUpdate // stored names
	// History knows the new commits as well as the stored ones; nil means
	// that there are no new ones.
	History history
	// Pushed tells that it is a push by Git.
	Pushed bool
	// Written are the commits that it brings to bookmarks or changes through an
	// API; those of a push or a sync are not among them.
	Written []writtenChange
	// Merged is the branch into which it merged another one, if it did.
	Merged git.RefName
	state  *odb.Snapshot // before it; set by apply
	// Mirror tells that the upstream has all of it already: it is not pushed
	// there.
	Mirror bool
	// Also is done in the same transaction, before the refs move; nil is fine.
	Also func(tx cairn.Tx, repo cairn.Repository) error
}

// apply is the one way in which this package moves refs: API calls and pushes
// alike. It asks the policy about each update as it is (ephemeral refs under
// the name that clients see), then does all writes, one after the other, or
// none. A verdict is about one pair of old and new value, and the transaction
// moves a ref only from that very old value: nothing can come between the check
// and the use. Where the upstream is the source of truth it has to accept the
// updates first. Webhooks are told of it in the same transaction.
func (s *Service) apply(ctx context.Context, sn *odb.Snapshot, writes ...refWrite) error {
	updates := make([]odb.Update, len(writes))
	var told facts
	for i := range writes {
		w := &writes[i]
		w.state = sn
		if w.History == nil {
			w.History = sn
		}
		if err := w.check(ctx, sn); err != nil {
			return err
		}
		updates[i] = odb.Update{
			Packs: w.Packs,
			Refs:  w.Updates,
			Actor: w.Who.Name,
			Since: sn.Repository().Version,
			Check: func(tx cairn.Tx, r cairn.Repository) error {
				if err := w.checkInside(tx, r); err != nil {
					return err
				}
				return s.announceRefs(tx, r, w, &told)
			},
		}
	}
	pushed, err := s.pushThrough(ctx, sn, writes)
	if err != nil {
		return err
	}
	var r cairn.Repository
	err = told.whileWanted(ctx, func() (err error) {
		r, err = s.store.Apply(ctx, sn.Repository().RepositoryKey, updates...)
		return err
	})
	if err != nil {
		if pushed {
			s.catchUp(ctx, sn.Repository())
		}
		return err
	}
	var bytes int64
	for _, w := range writes {
		for _, p := range w.Packs {
			bytes += p.Size
		}
	}
	s.changed(r.RepositoryKey, bytes)
	if r.Watched {
		s.enqueued(WebhookJob)
	}
	s.streams.wake(r.RepositoryKey)
	return nil
}

// checkInside is the part of a write that is done in its transaction beside the
// refs.
func (w *refWrite) checkInside(tx cairn.Tx, r cairn.Repository) error {
	if w.Also != nil {
		if err := w.Also(tx, r); err != nil {
			return err
		}
	}
	return checkRefNames(tx, r, w.Updates)
}

// check asks the policy about every update of a write.
func (w *refWrite) check(ctx context.Context, sn *odb.Snapshot) error {
	for _, u := range w.Updates {
		if err := checkRefUpdate(ctx, w.Who, sn, w.History, u); err != nil {
			return err
		}
	}
	return nil
}

// onNewState runs f, which looks at the repository and then writes to it, again
// for as long as a repack began between the two.
func onNewState(ctx context.Context, f func() error) error {
	for range maxTries {
		if err := f(); !errors.Is(err, odb.ErrOutdated) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return odb.ErrOutdated
}

// isRefused tells whether a failed write surely did not happen, so that its
// packs are of no use. Other errors leave that open.
func isRefused(err error) bool {
	switch cairn.KindOf(err) {
	case cairn.Invalid, cairn.Denied, cairn.NotFound, cairn.Conflict, cairn.Stale:
		return true
	}
	return errors.Is(err, cairn.Conflict)
}

// checkRefUpdate answers Denied if the actor's ref policy forbids the update.
// Refs of the ephemeral namespace match under the name that clients see there.
func checkRefUpdate(ctx context.Context, who cairn.Actor, sn *odb.Snapshot, h history, u cairn.RefUpdate) error {
	policy := policyFor(who, sn.Repository())
	if len(policy) == 0 {
		return nil
	}
	name, _ := odb.VisibleName(u.Name)
	if policy.Forbids(cairn.NoPush, name) {
		return cairn.Errorf(cairn.Denied, "push to %s %s", name, deniedByPolicy)
	}
	if policy.Forbids(cairn.NoForcePush, name) && !u.Old.IsZero() {
		if u.New.IsZero() {
			// Else a forced update would only need two steps.
			return cairn.Errorf(cairn.Denied, "deletion of %s %s: the policy forbids force pushes", name, deniedByPolicy)
		}
		forward, err := isFastForward(ctx, h, u.Old, u.New)
		if err != nil {
			return err
		}
		if !forward {
			return cairn.Errorf(cairn.Denied, "force push to %s %s", name, deniedByPolicy)
		}
	}
	if policy.Forbids(cairn.VerifySig, name) && !u.New.IsZero() {
		verified, err := isVerified(ctx, policy, sn, h, u)
		if err != nil {
			return err
		}
		if !verified {
			return cairn.Errorf(cairn.Denied, "update of %s %s: commit %s has no signature by a registered key, and this server has none registered",
				name, deniedByPolicy, u.New)
		}
	}
	return nil
}

// checkNoPush is the part of checkRefUpdate that needs no commit yet, so that
// a request can be refused before its body is read.
func checkNoPush(who cairn.Actor, r cairn.Repository, stored git.RefName) error {
	if name, _ := odb.VisibleName(stored); policyFor(who, r).Forbids(cairn.NoPush, name) {
		return cairn.Errorf(cairn.Denied, "push to %s %s", name, deniedByPolicy)
	}
	return nil
}

// policyFor is the actor's policy with HEAD meaning the default branch, as
// everywhere else in Git.
func policyFor(who cairn.Actor, r cairn.Repository) cairn.RefPolicy {
	i := slices.IndexFunc(who.Policy, func(rule cairn.RefRule) bool { return rule.Pattern == string(git.HEAD) })
	if i < 0 {
		return who.Policy
	}
	policy := slices.Clone(who.Policy)
	for ; i < len(policy); i++ {
		if policy[i].Pattern == string(git.HEAD) {
			policy[i].Pattern = string(r.DefaultBranch)
		}
	}
	return policy
}

// isFastForward tells whether the new value has the old one in its history.
// What is no commit has no history, so it never does.
func isFastForward(ctx context.Context, h history, old, new git.ObjectID) (bool, error) {
	from, err := h.PeelToCommit(ctx, old)
	if err != nil {
		return false, noHistory(err)
	}
	to, err := h.PeelToCommit(ctx, new)
	if err != nil {
		return false, noHistory(err)
	}
	return graph.IsAncestor(ctx, h, from, to)
}

// noHistory drops the error that says that an object leads to no commit.
func noHistory(err error) error {
	if errors.Is(err, cairn.NotFound) || errors.Is(err, cairn.Invalid) || errors.Is(err, odb.ErrNoObject) {
		return nil
	}
	return err
}

// isVerified tells whether the update brings no commit that needs a
// signature. Signing keys cannot be registered, so no signature is known and
// every commit that is new to the verified refs fails: the rule fails closed.
// New means not in the history of a ref that the same policy verifies; what
// came in through an unverified ref is as new as what is in the pack.
func isVerified(ctx context.Context, policy cairn.RefPolicy, sn *odb.Snapshot, h history, u cairn.RefUpdate) (bool, error) {
	to, err := h.PeelToCommit(ctx, u.New)
	if err != nil {
		return false, noHistory(err)
	}
	for _, ref := range sn.Refs() {
		if name, _ := odb.VisibleName(ref.Name); odb.IsHidden(ref.Name) || !policy.Forbids(cairn.VerifySig, name) {
			continue
		}
		tip, err := h.PeelToCommit(ctx, ref.Target)
		if err != nil {
			if err := noHistory(err); err != nil {
				return false, err
			}
			continue
		}
		known, err := graph.IsAncestor(ctx, h, to, tip)
		if known || err != nil {
			return known, err
		}
	}
	return false, nil
}

// checkRefNames holds the rules about the set of refs as it is in the
// transaction: the default branch is not deleted, and no ref is a folder of
// another, which most clients could not clone.
func checkRefNames(tx cairn.Tx, r cairn.Repository, updates []cairn.RefUpdate) error {
	created := make(map[git.RefName]bool, len(updates)) // false: gone, or never there
	for _, u := range updates {
		if u.New.IsZero() && u.Name == r.DefaultBranch {
			return cairn.Errorf(cairn.Conflict, "branch %q is the default branch and cannot be deleted", cairn.Clip(u.Name.Short()))
		}
		created[u.Name] = !u.New.IsZero()
	}
	for _, u := range updates {
		if u.Old.IsZero() && !u.New.IsZero() {
			if err := checkNoFolder(tx, r.RepositoryKey, u.Name, created); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNoFolder refuses a new ref that has a ref for a folder, or is one.
// What the same write makes of other refs counts; what it finds not to be
// there it adds to created.
func checkNoFolder(tx cairn.Tx, key cairn.RepositoryKey, name git.RefName, created map[git.RefName]bool) error {
	for i := strings.LastIndexByte(string(name), '/'); i > 0; i = strings.LastIndexByte(string(name[:i]), '/') {
		parent := name[:i]
		there, touched := created[parent]
		if touched && there {
			return folderClash(name, parent)
		}
		if touched || strings.Count(string(parent), "/") < 2 {
			continue
		}
		switch _, err := tx.Refs().Get(key, parent); {
		case err == nil:
			return folderClash(name, parent)
		case !errors.Is(err, cairn.NotFound):
			return err
		}
		created[parent] = false // the next ref in this folder need not ask
	}
	below, err := tx.Refs().List(key, string(name)+"/")
	if err != nil {
		return err
	}
	for _, ref := range below {
		if there, touched := created[ref.Name]; there || !touched {
			return folderClash(name, ref.Name)
		}
	}
	return nil
}

func folderClash(name, other git.RefName) error {
	visible, _ := odb.VisibleName(name)
	existing, _ := odb.VisibleName(other)
	return cairn.Errorf(cairn.Conflict, "%q cannot be created beside %q: one name is a folder of the other",
		cairn.Clip(visible.Short()), cairn.Clip(existing.Short()))
}
