package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// draft is a commit that is to be made on a branch, wherever its content comes
// from. It is used by one goroutine.
type draft struct {
	service  *Service
	who      cairn.Actor
	repo     cairn.Repository
	target   CommitTarget
	info     CommitInfo
	existing bool // the branch must be there
	content  commitContent

	ref      git.RefName // stored
	expected git.ObjectID
	guarded  bool
	author   git.Signature
	by       git.Signature // the committer

	// pack takes the objects of the commit: first its contents, once, then
	// trees and commit, as often as they are made.
	pack *odb.PackBuilder
	kept int // objects of pack that are contents
}

// commitContent is where the tree of a draft comes from.
type commitContent interface {
	// writeTree returns the commit's tree on top of the tree of its parent,
	// zero for none, as it is in the state that b is. It puts new trees into
	// pack and collects them in m. It may be called again.
	writeTree(ctx context.Context, b *batch, base git.ObjectID, pack *odb.PackBuilder, m *made) (git.ObjectID, error)
	// staged are packs that the commit needs beside its own.
	staged() []odb.Staged
	// stored is told that a commit names the staged packs, or may.
	stored()
	// blobs is the number of contents.
	blobs() int
}

// check looks at what can be known of the draft by itself.
func (d *draft) check() error {
	if err := d.checkTarget(); err != nil {
		return err
	}
	return d.checkInfo()
}

// checkPlace makes sure that a commit may be made there, as things are.
func (d *draft) checkPlace(ctx context.Context, sn *odb.Snapshot) error {
	if err := checkNoPush(d.who, d.repo, d.ref); err != nil {
		return err
	}
	_, err := d.start(ctx, &batch{Snapshot: sn})
	return err
}

// begin makes the pack of the draft.
func (d *draft) begin() {
	if d.pack == nil {
		d.pack = d.service.store.NewPack(d.repo.Format)
	}
}

// close frees what the draft holds.
func (d *draft) close() {
	if d.pack != nil {
		d.pack.Close()
	}
}

// commit makes the commit: all contents are in the pack, or staged. Commits to
// one branch are made in the order in which they come, see batch.
func (d *draft) commit(ctx context.Context) (CommitResult, error) {
	d.kept = d.pack.Len()
	c := &queuedCommit{draft: d, ctx: ctx, err: errNotMade}
	if err := d.service.commits.do(ctx, d.branchKey(), c, d.service.makeCommits); err != nil {
		return CommitResult{}, err
	}
	return c.result, c.err
}

func (d *draft) checkTarget() error {
	var err error
	if d.ref, err = storedBranch(d.target.Branch, d.target.Ephemeral); err != nil {
		return err
	}
	if d.target.Base != "" {
		if _, err := storedBranch(d.target.Base, d.target.BaseEphemeral); err != nil {
			return err
		}
	}
	d.expected, d.guarded, err = parseGuard(d.target.Expected, d.repo.Format)
	return err
}

// storedBranch gives the stored name of a branch that a caller names.
func storedBranch(name string, ephemeral bool) (git.RefName, error) {
	ref, err := git.BranchRef(name)
	if err != nil {
		return "", cairn.Errorf(cairn.Invalid, "%w", err)
	}
	if strings.HasPrefix(name, "refs/") {
		return "", cairn.Errorf(cairn.Invalid, "branch name %q must not start with refs/", cairn.Clip(name))
	}
	if ephemeral {
		ref = odb.EphemeralRef(ref)
	}
	return ref, nil
}

// parseGuard reads the id that a guarded write expects. Zeros expect that
// nothing is there.
func parseGuard(s string, f git.ObjectFormat) (id git.ObjectID, guarded bool, err error) {
	if s == "" {
		return id, false, nil
	}
	id, err = git.ParseObjectID(strings.ToLower(s))
	if err != nil || id.Format() != f {
		return id, false, cairn.Errorf(cairn.Invalid, "expected commit %q is not a full object id of %d hexadecimal digits", cairn.Clip(s), f.HexSize())
	}
	return id, true, nil
}

func (d *draft) checkInfo() (err error) {
	if d.info.Message, err = checkMessage(d.info.Message); err != nil {
		return err
	}
	now := d.service.now()
	if d.author, err = signature("author", d.info.Author, now); err != nil {
		return err
	}
	d.by = d.author
	if d.info.Committer != (Identity{}) {
		d.by, err = signature("committer", d.info.Committer, now)
	}
	return err
}

// checkMessage returns the message as it is stored: with one line feed at its
// end.
func checkMessage(message string) (string, error) {
	switch {
	case strings.TrimSpace(message) == "":
		return "", cairn.Errorf(cairn.Invalid, "commit message is blank")
	case len(message) > maxMessage:
		return "", cairn.Errorf(cairn.TooLarge, "commit message is longer than %d bytes", maxMessage)
	case !utf8.ValidString(message):
		return "", cairn.Errorf(cairn.Invalid, "commit message is not UTF-8")
	case strings.IndexByte(message, 0) >= 0:
		return "", cairn.Errorf(cairn.Invalid, "commit message holds a NUL byte, which Git cannot store")
	}
	return strings.TrimRight(message, "\n") + "\n", nil
}

func signature(what string, i Identity, now time.Time) (git.Signature, error) {
	if i.When.IsZero() {
		i.When = now.UTC()
	}
	if len(i.Name) > maxIdentity || len(i.Email) > maxIdentity {
		return git.Signature{}, cairn.Errorf(cairn.Invalid, "%s: name or email is longer than %d bytes", what, maxIdentity)
	}
	sig, err := git.NewSignature(i.Name, i.Email, i.When)
	if err != nil {
		return git.Signature{}, cairn.Errorf(cairn.Invalid, "%s: %w", what, err)
	}
	return sig, nil
}

// start is where a commit begins: the branch's present value and the commit
// that becomes its parent. Both are zero for the first commit of a repository.
type start struct {
	old    git.ObjectID // what the branch names
	parent git.ObjectID
	tree   git.ObjectID // of the parent
}

// start finds the place for the commit. (1) An existing branch is continued.
// (2) A missing one starts at the base. (3) Without a base it is made only by
// the very first commit of the repository. (4) All else is not found.
func (d *draft) start(ctx context.Context, b *batch) (start, error) {
	var at start
	ref, exists := b.Ref(d.ref)
	switch {
	case exists:
		at.old = ref.Target
	case d.existing:
		return at, cairn.Errorf(cairn.NotFound, "branch %q not found", cairn.Clip(d.target.Branch))
	case d.target.Base != "":
		base, err := storedBranch(d.target.Base, d.target.BaseEphemeral)
		if err != nil {
			return at, err
		}
		var ok bool
		if ref, ok = b.Ref(base); !ok {
			return at, cairn.Errorf(cairn.NotFound, "base branch %q not found", cairn.Clip(d.target.Base))
		}
	case !slices.ContainsFunc(b.Refs(), func(r cairn.Ref) bool { return !odb.IsHidden(r.Name) }):
		if d.guarded && !d.expected.IsZero() {
			return at, d.stale(d.target.Branch, git.ObjectID{})
		}
		return at, nil
	default:
		return at, cairn.Errorf(cairn.NotFound, "branch %q not found: name the branch to start from as base_branch", cairn.Clip(d.target.Branch))
	}
	if d.guarded && ref.Target != d.expected {
		guarded := d.target.Branch
		if !exists {
			guarded = d.target.Base
		}
		return at, d.stale(guarded, ref.Target)
	}
	var err error
	if at.parent, err = b.PeelToCommit(ctx, ref.Target); err != nil {
		return at, fmt.Errorf("start of a commit on %s: %w", ref.Name, err)
	}
	links, err := b.Commit(ctx, at.parent)
	if err != nil {
		return at, fmt.Errorf("start of a commit on %s: %w", ref.Name, err)
	}
	at.tree = links.Tree
	return at, nil
}

// stale tells where the branch that the guard is about is instead.
func (d *draft) stale(branch string, current git.ObjectID) error {
	return cairn.Errorf(cairn.Stale, "expected commit %s, but %w", d.expected, &TipError{branch, current})
}

// branchKey names the branch among those of all repositories.
func (d *draft) branchKey() string { return branchKey(d.repo.RepositoryKey, d.ref) }

func branchKey(repo cairn.RepositoryKey, branch git.RefName) string {
	return string(repo.Organization) + "/" + string(repo.Repository) + " " + string(branch)
}

// write makes the commit's objects, onto the state that earlier commits of the
// batch left, and returns the ref update that publishes it. It may be called
// again.
func (d *draft) write(ctx context.Context, b *batch) (made, error) {
	at, err := d.start(ctx, b)
	if err != nil {
		return made{}, err
	}
	if err := d.pack.Truncate(d.kept); err != nil {
		return made{}, err
	}
	m := made{trees: map[git.ObjectID][]byte{}}
	commit := &git.Commit{Author: d.author, Committer: d.by, Message: d.info.Message}
	if commit.Tree, err = d.content.writeTree(ctx, b, at.tree, d.pack, &m); err != nil {
		return made{}, err
	}
	if !at.parent.IsZero() {
		commit.Parents = []git.ObjectID{at.parent}
	}
	m.commit = commit
	m.update = cairn.RefUpdate{Name: d.ref, Old: at.old}
	m.update.New, err = addCommit(d.pack, d.repo.Format, commit)
	return m, err
}

// addCommit encodes, checks and adds a commit.
func addCommit(pack *odb.PackBuilder, f git.ObjectFormat, c *git.Commit) (git.ObjectID, error) {
	data := c.Encode()
	if err := git.CheckObject(f, git.CommitObject, data); err != nil {
		return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return pack.Add(git.CommitObject, data)
}
