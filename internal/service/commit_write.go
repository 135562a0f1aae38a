package service

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

const (
	// maxMessage is the longest commit message in bytes, and maxIdentity the
	// longest name or email of an author.
	maxMessage  = 1 << 20
	maxIdentity = 1 << 10
	// manyChanges is how many paths make a commit a heavy operation, as more
	// than smallContents bytes do.
	manyChanges = 1000
	// maxTries is how often a write is redone because another one was
	// faster. Writers of one process queue, so only pushes and other nodes
	// can be faster, and each time one of them did get its write done.
	maxTries = 1000
)

// Identity is an author or committer as a caller gives it.
type Identity struct {
	Name  string
	Email string
	When  time.Time // zero means now
}

// CommitTarget says onto which branch a commit goes.
type CommitTarget struct {
	Branch    string // without refs/heads/
	Ephemeral bool   // in the ephemeral namespace
	// Base is the branch on which Branch starts if it does not exist yet.
	Base          string
	BaseEphemeral bool
	// Expected guards the write: the id of the branch's tip, or of the
	// base's if the branch does not exist. Empty means no guard.
	Expected string
}

// CommitInfo is what a commit says about itself.
type CommitInfo struct {
	Message   string
	Author    Identity
	Committer Identity // zero means the author
}

// FileChange is one path that a commit changes.
type FileChange struct {
	Path string
	// ContentID names the content that AddChunk brings. Several paths may
	// share one.
	ContentID string
	// Delete removes the file, or the folder with all that is in it.
	Delete bool
	// Mode is the new mode; zero keeps that of an existing regular file and
	// means 100644 for anything else.
	Mode git.FileMode
}

// CommitRequest is a commit without the bytes of its files.
type CommitRequest struct {
	CommitTarget
	CommitInfo
	Files []FileChange
}

// CommitResult tells what a commit did.
type CommitResult struct {
	Commit, Tree git.ObjectID
	Branch       string
	Old          git.ObjectID // of the branch; zero if the commit made it
	PackBytes    int64        // of what was stored
	Blobs        int
}

// TipError is in the chain of a Stale or Conflict error about a branch, for
// callers who want to know where the branch is.
type TipError struct {
	Branch  string
	Current git.ObjectID // zero if the branch does not exist
}

// Error tells where the branch is.
func (e *TipError) Error() string {
	if e.Current.IsZero() {
		return fmt.Sprintf("branch %q does not exist", cairn.Clip(e.Branch))
	}
	return fmt.Sprintf("branch %q is at %s", cairn.Clip(e.Branch), e.Current)
}

// CommitWriter takes the bytes of a commit's files and then makes the commit.
// It is used by one goroutine. Close it in every case.
type CommitWriter struct {
	service  *Service
	who      cairn.Actor
	repo     cairn.Repository
	ref      git.RefName // stored
	request  CommitRequest
	expected git.ObjectID
	guarded  bool
	author   git.Signature
	by       git.Signature // the committer
	changes  []FileChange  // checked, one per path
	contents *contents

	// pack takes the objects of the commit: first its small contents, once,
	// then trees and commit, as often as they are made.
	pack  *odb.PackBuilder
	blobs int // objects of pack that are contents
}

// BeginCommit checks everything about a commit that can be known before the
// bytes of its files arrive, and returns the writer for them.
func (s *Service) BeginCommit(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, request CommitRequest) (*CommitWriter, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return nil, err
	}
	defer sn.Close()
	w := &CommitWriter{service: s, who: who, repo: sn.Repository(), request: request}
	if err := w.checkTarget(); err != nil {
		return nil, err
	}
	if err := w.checkInfo(); err != nil {
		return nil, err
	}
	if w.changes, err = s.checkChanges(request.Files); err != nil {
		return nil, err
	}
	if err := checkNoPush(who, w.repo, w.ref); err != nil {
		return nil, err
	}
	if _, err := w.start(ctx, &batch{Snapshot: sn}); err != nil {
		return nil, err
	}
	if len(w.changes) > manyChanges {
		if err := admission.Enter(ctx, admission.Commit); err != nil {
			return nil, err
		}
	}
	w.contents = newContents(s, w.repo, request.Files, w.changes)
	return w, nil
}

// AddChunk adds bytes to a content; last says that they are its last. Chunks
// of different contents may come interleaved. The writer keeps data. Content
// that no path needs in the end is dropped.
func (w *CommitWriter) AddChunk(ctx context.Context, contentID string, data []byte, last bool) error {
	if w.contents.total+int64(len(data)) > smallContents {
		if err := admission.Enter(ctx, admission.Commit); err != nil {
			return err
		}
	}
	return w.contents.add(ctx, contentID, data, last)
}

// Close frees what the writer holds.
func (w *CommitWriter) Close() {
	w.contents.close()
	if w.pack != nil {
		w.pack.Close()
	}
}

func (w *CommitWriter) checkTarget() error {
	var err error
	if w.ref, err = storedBranch(w.request.Branch, w.request.Ephemeral); err != nil {
		return err
	}
	if w.request.Base != "" {
		if _, err := storedBranch(w.request.Base, w.request.BaseEphemeral); err != nil {
			return err
		}
	}
	w.expected, w.guarded, err = parseGuard(w.request.Expected, w.repo.Format)
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

func (w *CommitWriter) checkInfo() (err error) {
	if w.request.Message, err = checkMessage(w.request.Message); err != nil {
		return err
	}
	now := w.service.now()
	if w.author, err = signature("author", w.request.Author, now); err != nil {
		return err
	}
	w.by = w.author
	if w.request.Committer != (Identity{}) {
		w.by, err = signature("committer", w.request.Committer, now)
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

// checkChanges returns the changes with clean paths, at most one per path and
// none that a later one undoes.
func (s *Service) checkChanges(files []FileChange) ([]FileChange, error) {
	if len(files) > s.limits.CommitFiles {
		return nil, cairn.Errorf(cairn.TooLarge, "commit changes %d paths, more than the limit of %d (max-commit-files)", len(files), s.limits.CommitFiles)
	}
	changes := make([]FileChange, 0, len(files))
	written := make(map[string]bool, len(files)) // true: a later change writes it; false: deletes it
	for i := len(files) - 1; i >= 0; i-- {       // later wins
		c := files[i]
		if err := c.check(); err != nil {
			return nil, err
		}
		if _, done := written[c.Path]; done {
			continue
		}
		if undone := parentIn(written, c.Path, false); undone != "" {
			continue
		}
		written[c.Path] = !c.Delete
		changes = append(changes, c)
	}
	for i, j := 0, len(changes)-1; i < j; i, j = i+1, j-1 {
		changes[i], changes[j] = changes[j], changes[i]
	}
	for _, c := range changes {
		if parent := parentIn(written, c.Path, true); parent != "" && !c.Delete {
			return nil, cairn.Errorf(cairn.Invalid, "path %q would be a file and a folder", cairn.Clip(parent))
		}
	}
	return changes, nil
}

// parentIn returns the folder of path that is in the map with that value.
func parentIn(m map[string]bool, path string, value bool) string {
	for i := strings.IndexByte(path, '/'); i >= 0; {
		if v, ok := m[path[:i]]; ok && v == value {
			return path[:i]
		}
		next := strings.IndexByte(path[i+1:], '/')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return ""
}

// check cleans a change's path and refuses what no tree may hold.
func (c *FileChange) check() error {
	given := c.Path
	c.Path = strings.TrimLeft(c.Path, "/")
	if c.Delete {
		c.Path = strings.TrimRight(c.Path, "/") // a folder may be written so
	}
	if err := git.CheckPath(c.Path); err != nil {
		return cairn.Errorf(cairn.Invalid, "%w", err)
	}
	if c.Delete {
		return nil
	}
	switch c.Mode {
	case 0, git.ModeFile, git.ModeExecutable, git.ModeSymlink, git.ModeSubmodule:
	default:
		return cairn.Errorf(cairn.Invalid, "mode %s of %q: use 100644, 100755, 120000 or 160000", c.Mode, cairn.Clip(given))
	}
	if c.ContentID == "" {
		return cairn.Errorf(cairn.Invalid, "path %q has no content_id", cairn.Clip(given))
	}
	return nil
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
func (w *CommitWriter) start(ctx context.Context, b *batch) (start, error) {
	var at start
	ref, exists := b.Ref(w.ref)
	switch {
	case exists:
		at.old = ref.Target
	case w.request.Base != "":
		base, err := storedBranch(w.request.Base, w.request.BaseEphemeral)
		if err != nil {
			return at, err
		}
		var ok bool
		if ref, ok = b.Ref(base); !ok {
			return at, cairn.Errorf(cairn.NotFound, "base branch %q not found", cairn.Clip(w.request.Base))
		}
	case len(b.Refs()) == 0:
		if w.guarded && !w.expected.IsZero() {
			return at, w.stale(w.request.Branch, git.ObjectID{})
		}
		return at, nil
	default:
		return at, cairn.Errorf(cairn.NotFound, "branch %q not found: name the branch to start from as base_branch", cairn.Clip(w.request.Branch))
	}
	if w.guarded && ref.Target != w.expected {
		guarded := w.request.Branch
		if !exists {
			guarded = w.request.Base
		}
		return at, w.stale(guarded, ref.Target)
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
func (w *CommitWriter) stale(branch string, current git.ObjectID) error {
	return cairn.Errorf(cairn.Stale, "expected commit %s, but %w", w.expected, &TipError{branch, current})
}

// Commit makes the commit when all contents are complete. Without a guard it
// goes onto whatever the branch's tip is when its turn comes: a lost race is
// run again. With one, a moved tip is Stale and nothing happens. A commit that
// changes no file is made like any other: its caller asked for a commit, and
// its message would be lost otherwise.
//
// Commits to one branch are made in the order in which they come, see batch.
func (w *CommitWriter) Commit(ctx context.Context) (CommitResult, error) {
	if err := w.contents.finish(ctx); err != nil {
		return CommitResult{}, err
	}
	w.pack = w.service.store.NewPack(w.repo.Format)
	if err := w.contents.addSmall(w.pack); err != nil {
		return CommitResult{}, err
	}
	w.blobs = w.pack.Len()
	c := &queuedCommit{CommitWriter: w, ctx: ctx, err: errNotMade}
	if err := w.service.commits.do(ctx, w.branchKey(), c, w.service.makeCommits); err != nil {
		return CommitResult{}, err
	}
	return c.result, c.err
}

// branchKey names the branch among those of all repositories.
func (w *CommitWriter) branchKey() string { return branchKey(w.repo.RepositoryKey, w.ref) }

func branchKey(repo cairn.RepositoryKey, branch git.RefName) string {
	return string(repo.Organization) + "/" + string(repo.Repository) + " " + string(branch)
}

// write makes the commit's objects, onto the state that earlier commits of the
// batch left, and returns the ref update that publishes it. It may be called
// again.
func (w *CommitWriter) write(ctx context.Context, b *batch) (made, error) {
	at, err := w.start(ctx, b)
	if err != nil {
		return made{}, err
	}
	if err := w.pack.Truncate(w.blobs); err != nil {
		return made{}, err
	}
	m := made{trees: map[git.ObjectID][]byte{}}
	commit := git.Commit{Author: w.author, Committer: w.by, Message: w.request.Message}
	if commit.Tree, err = w.writeTrees(ctx, b, at.tree, m.trees); err != nil {
		return made{}, err
	}
	if !at.parent.IsZero() {
		commit.Parents = []git.ObjectID{at.parent}
	}
	m.links = git.CommitLinks{Tree: commit.Tree, Parents: commit.Parents, Date: commit.Committer.When.Unix()}
	m.update = cairn.RefUpdate{Name: w.ref, Old: at.old}
	m.update.New, err = addCommit(w.pack, w.repo.Format, &commit)
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

// writeTrees applies the changes to a tree, zero for none, and returns the new
// one. It collects the trees that it makes.
func (w *CommitWriter) writeTrees(ctx context.Context, src odb.TreeSource, base git.ObjectID, made map[git.ObjectID][]byte) (git.ObjectID, error) {
	changes := make([]odb.TreeChange, len(w.changes))
	for i, c := range w.changes {
		changes[i] = odb.TreeChange{Path: c.Path, Delete: c.Delete, Mode: c.Mode}
		if !c.Delete {
			changes[i].ID = w.contents.id(c.ContentID, c.Mode)
		}
	}
	return odb.EditTree(ctx, w.repo.Format, src, base, changes, func(tree []byte) (git.ObjectID, error) {
		if err := git.CheckObject(w.repo.Format, git.TreeObject, tree); err != nil {
			return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "%w", err)
		}
		id, err := w.pack.Add(git.TreeObject, tree)
		made[id] = tree
		return id, err
	})
}
