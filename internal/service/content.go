package service

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// ContentQuery says what of a repository to look at.
type ContentQuery struct {
	Change *git.ChangeID // nil means that at the tip of the default branch
	Path   string        // empty means the root
	// Depth is how many levels of a folder are listed; 0 lists none.
	Depth int
}

// Content is a file, a symbolic link or a folder, open for reading. It is used
// by one goroutine and must be closed.
type Content struct {
	FileEntry
	Size     int64 // of a file or link, in bytes
	Children int   // of a folder: how many entries it has
	// IsConflicted tells of a file or link that its change holds a conflict about
	// it. It is shown as its first side has it.
	IsConflicted bool
	// Entries are those of a folder down to the depth that was asked for, each
	// folder before what it holds. Submodules are left out.
	Entries []ContentEntry

	sn *odb.Snapshot
}

// ContentEntry is an entry of a folder.
type ContentEntry struct {
	FileEntry
	Size int64 // of a file or link, in bytes
}

// OpenContent opens what lies at a path. An empty repository has an empty root.
func (s *Service) OpenContent(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q ContentQuery) (*Content, error) {
	path, err := cleanPath(q.Path)
	if err != nil {
		return nil, err
	}
	if q.Depth > 1 {
		if err := admission.Enter(ctx, admission.List); err != nil {
			return nil, err
		}
	}
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return nil, err
	}
	c := &Content{FileEntry: FileEntry{Path: path}, sn: sn}
	if err := s.fillContent(ctx, c, q); err != nil {
		sn.Close()
		return nil, err
	}
	return c, nil
}

func (s *Service) fillContent(ctx context.Context, c *Content, q ContentQuery) error {
	entry, err := s.contentRoot(ctx, c, q)
	if err != nil {
		return err
	}
	c.Mode, c.ID = entry.Mode, entry.ID
	switch {
	case entry.Mode.IsSubmodule():
		return cairn.Errorf(cairn.NotFound, "path %q is a submodule, not a file", cairn.Clip(c.Path))
	case !entry.Mode.IsTree():
		c.Size, err = c.sn.BlobSize(ctx, entry.ID)
		return err
	}
	listing := contentListing{content: c, max: min(s.limits.WalkEntries, maxFilesWhole)}
	prefix := ""
	if c.Path != "" {
		prefix = c.Path + "/"
	}
	return listing.add(ctx, entry.ID, prefix, q.Depth, true)
}

// contentRoot finds the entry that a query means. What lies beside the first
// side of a conflict is not among what is found.
func (s *Service) contentRoot(ctx context.Context, c *Content, q ContentQuery) (git.TreeEntry, error) {
	changes := &changeState{c.sn, s}
	empty := git.TreeEntry{Mode: git.ModeTree, ID: c.sn.Repository().Format.EmptyTree()}
	commit, err := changes.commitAt(ctx, q.Change)
	if err != nil {
		return empty, err
	}
	if commit.IsZero() {
		if c.Path != "" {
			err = cairn.Errorf(cairn.NotFound, "path %q not found", cairn.Clip(c.Path))
		}
		return empty, err
	}
	full, err := c.sn.FullCommit(ctx, commit)
	if err != nil {
		return empty, err
	}
	trees, err := commitTrees(ctx, c.sn.Repository().Format, c.sn, full)
	if err != nil {
		return empty, err
	}
	entry, err := c.sn.Lookup(ctx, trees[0].tree, c.Path)
	if err == nil && len(trees) > 1 && !entry.Mode.IsTree() {
		var conflicts []pathConflict
		if conflicts, err = changes.conflicts(ctx, trees); err == nil {
			c.IsConflicted = slices.Contains(conflictPaths(conflicts), c.Path)
		}
	}
	return entry, err
}

// commitAt is the present commit of a change, or that of the default branch if
// none is named; zero for the virtual root.
func (c *changeState) commitAt(ctx context.Context, change *git.ChangeID) (git.ObjectID, error) {
	if change == nil {
		ref, _ := c.Ref(c.Repository().DefaultBranch)
		at, err := c.at(ctx, ref.Target)
		return at.Commit, err
	}
	if change.IsRoot() {
		return git.ObjectID{}, nil
	}
	return c.find(ctx, *change)
}

// contentListing gathers the entries of a folder.
type contentListing struct {
	content *Content
	max     int64
	text    int
}

// add lists a tree: itself if depth is not 0, and what it holds as far down as
// that says. The first one also counts its children.
func (l *contentListing) add(ctx context.Context, tree git.ObjectID, prefix string, depth int, first bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sn := l.content.sn
	data, err := sn.Tree(ctx, tree)
	if err != nil {
		return err
	}
	r := git.NewTreeReader(sn.Repository().Format, data)
	for {
		more, err := r.Next()
		if err != nil || !more {
			return err
		}
		e := r.Entry()
		if e.Mode.IsSubmodule() {
			continue
		}
		if first {
			l.content.Children++
		}
		if depth == 0 {
			continue
		}
		if err := l.addEntry(ctx, prefix+string(r.Name), e); err != nil {
			return err
		}
		if e.Mode.IsTree() && depth > 1 {
			if err := l.add(ctx, e.ID, prefix+string(r.Name)+"/", depth-1, false); err != nil {
				return err
			}
		}
	}
}

func (l *contentListing) addEntry(ctx context.Context, path string, e git.TreeEntry) error {
	if l.text += len(path); int64(len(l.content.Entries)) >= l.max || l.text > maxFilesText {
		return cairn.Errorf(cairn.TooLarge, "more than %d entries, or %d bytes of paths: ask for a smaller depth or a part of the tree", l.max, maxFilesText)
	}
	entry := ContentEntry{FileEntry: FileEntry{path, e.Mode, e.ID}}
	if !e.Mode.IsTree() {
		var err error
		if entry.Size, err = l.content.sn.BlobSize(ctx, e.ID); err != nil {
			return err
		}
	}
	l.content.Entries = append(l.content.Entries, entry)
	return nil
}

// Open streams a file, or the text of a link, from its first byte. The caller
// closes it, before the content.
func (c *Content) Open(ctx context.Context) (io.ReadCloser, error) {
	r, _, err := c.sn.OpenBlob(ctx, c.ID)
	return r, err
}

// Close lets go of the repository's state that the content belongs to.
func (c *Content) Close() { c.sn.Close() }

// headChange returns the change at the tip of the default branch; that of the
// virtual root if the branch is not there.
func (s *Service) headChange(ctx context.Context, r cairn.Repository) (git.ChangeID, error) {
	var tip cairn.Ref
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		tip, err = tx.Refs().Get(r.RepositoryKey, r.DefaultBranch)
		return err
	})
	if errors.Is(err, cairn.NotFound) {
		return git.ChangeID{}, nil
	} else if err != nil {
		return git.ChangeID{}, err
	}
	sn, err := s.store.SnapshotOf(ctx, r.RepositoryKey)
	if err != nil {
		return git.ChangeID{}, err
	}
	defer sn.Close()
	at, err := (&changeState{sn, s}).at(ctx, tip.Target)
	return at.ID, err
}
