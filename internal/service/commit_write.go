package service

import (
	"context"
	"fmt"
	"strings"
	"time"

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
	*draft
	changes  []FileChange // checked, one per path
	contents *contents
}

// BeginCommit checks everything about a commit that can be known before the
// bytes of its files arrive, and returns the writer for them.
func (s *Service) BeginCommit(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, request CommitRequest) (*CommitWriter, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return nil, err
	}
	defer sn.Close()
	d := &draft{service: s, who: who, repo: sn.Repository(), target: request.CommitTarget, info: request.CommitInfo}
	w := &CommitWriter{draft: d}
	if err := d.check(); err != nil {
		return nil, err
	}
	if w.changes, err = s.checkChanges(request.Files); err != nil {
		return nil, err
	}
	if err := d.checkPlace(ctx, sn); err != nil {
		return nil, err
	}
	if len(w.changes) > manyChanges {
		if err := admission.Enter(ctx, admission.Commit); err != nil {
			return nil, err
		}
	}
	w.contents = newContents(s, w.repo, request.Files, w.changes)
	d.content = w
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
	w.close()
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

// Commit makes the commit when all contents are complete. Without a guard it
// goes onto whatever the branch's tip is when its turn comes: a lost race is
// run again. With one, a moved tip is Stale and nothing happens. A commit that
// changes no file is made like any other: its caller asked for a commit, and
// its message would be lost otherwise.
func (w *CommitWriter) Commit(ctx context.Context) (CommitResult, error) {
	if err := w.contents.finish(ctx); err != nil {
		return CommitResult{}, err
	}
	w.begin()
	if err := w.contents.addSmall(w.pack); err != nil {
		return CommitResult{}, err
	}
	return w.commit(ctx)
}

// writeTree makes the writer the content of its draft.
func (w *CommitWriter) writeTree(ctx context.Context, b *batch, base git.ObjectID, pack *odb.PackBuilder, m *made) (git.ObjectID, error) {
	changes := make([]odb.TreeChange, len(w.changes))
	for i, c := range w.changes {
		changes[i] = odb.TreeChange{Path: c.Path, Delete: c.Delete, Mode: c.Mode}
		if !c.Delete {
			changes[i].ID = w.contents.id(c.ContentID, c.Mode)
		}
	}
	return editTree(ctx, b, base, changes, pack, m)
}

// editTree applies changes to a tree, zero for none, and returns the new one. It
// puts the trees that it makes into a pack and collects them.
func editTree(ctx context.Context, b *batch, base git.ObjectID, changes []odb.TreeChange, pack *odb.PackBuilder, m *made) (git.ObjectID, error) {
	f := b.Repository().Format
	m.changes = changes
	return odb.EditTree(ctx, f, b, base, changes, func(tree []byte) (git.ObjectID, error) {
		if err := git.CheckObject(f, git.TreeObject, tree); err != nil {
			return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "%w", err)
		}
		id, err := pack.Add(git.TreeObject, tree)
		m.trees[id] = tree
		return id, err
	})
}

func (w *CommitWriter) staged() []odb.Staged { return w.contents.staged() }
func (w *CommitWriter) stored()              { w.contents.used = true }
func (w *CommitWriter) blobs() int           { return w.contents.blobs }
