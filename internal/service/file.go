package service

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of listings of files.
const (
	filesPerPage    = 1000
	maxFilesPerPage = 5000
	// maxFilesWhole is the longest listing that is given without pages.
	maxFilesWhole = 200_000
	// maxFilesText is how long the paths of one answer may be together, in
	// bytes. A page ends there; a whole listing is refused.
	maxFilesText = 32 << 20
)

// FilesQuery says which files to list.
type FilesQuery struct {
	Revision
	Path      string // a folder, or one file; empty means all
	Recursive bool   // list files at any depth; else what lies in the folder, folders too
	// Paged asks for a page of at most Limit entries. Without it the whole
	// listing is given.
	Paged  bool
	Cursor string
	Limit  int
}

// FileEntry is a line of a listing.
type FileEntry struct {
	Path string
	Mode git.FileMode
	ID   git.ObjectID
}

// FilePage is a part of a listing of files.
type FilePage struct {
	Ref     string // the revision as asked for, or the default branch
	Commit  git.ObjectID
	Entries []FileEntry
	Next    string // the cursor of the next page; empty at the end
}

// ListFiles returns what a commit's tree holds, in the order of git ls-tree.
func (s *Service) ListFiles(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q FilesQuery) (FilePage, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return FilePage{}, err
	}
	defer sn.Close()
	limit := maxFilesWhole
	if q.Paged {
		limit = clampLimit(q.Limit, filesPerPage, maxFilesPerPage)
	}
	return s.filePage(ctx, sn, "files", q, limit)
}

// filePage lists up to limit files. Cursors belong to the listing of that name.
func (s *Service) filePage(ctx context.Context, sn *odb.Snapshot, name string, q FilesQuery, limit int) (FilePage, error) {
	q.Revision = q.orDefault(sn)
	path, err := cleanPath(q.Path)
	if err != nil {
		return FilePage{}, err
	}
	listing := list(name, sn, q.Name, flag(q.Ephemeral), path, flag(q.Recursive), stamp(q.At))
	position, err := listing.position(q.Cursor, 1)
	if err != nil {
		return FilePage{}, err
	}
	if q.Recursive {
		if err := admission.Enter(ctx, admission.List); err != nil {
			return FilePage{}, err
		}
	}
	page := FilePage{Ref: q.Name, Entries: []FileEntry{}}
	if page.Commit, err = q.resolve(ctx, sn); err != nil {
		return FilePage{}, err
	}
	root, err := lookup(ctx, sn, page.Commit, path)
	if err != nil {
		return FilePage{}, err
	}
	if !root.Mode.IsTree() {
		if position == nil {
			page.Entries = append(page.Entries, FileEntry{path, root.Mode, root.ID})
		}
		return page, nil
	}
	walk := odb.WalkOptions{Recursive: q.Recursive, MaxEntries: s.limits.WalkEntries}
	if path != "" {
		walk.Prefix = path + "/"
	}
	if position != nil {
		walk.After = position[0]
	}
	text := 0
	err = sn.Walk(ctx, root.ID, walk, func(path string, e git.TreeEntry) error {
		if text += len(path); len(page.Entries) < limit && text <= maxFilesText {
			page.Entries = append(page.Entries, FileEntry{path, e.Mode, e.ID})
			return nil
		}
		if !q.Paged {
			return cairn.Errorf(cairn.TooLarge, "more than %d files, or %d bytes of paths: ask for pages with limit and cursor", maxFilesWhole, maxFilesText)
		}
		last := page.Entries[len(page.Entries)-1]
		page.Next = last.Path
		if last.Mode.IsTree() {
			page.Next += "/"
		}
		page.Next = listing.cursor(page.Next)
		return odb.ErrStop
	})
	return page, err
}

// lookup finds a path in a commit.
func lookup(ctx context.Context, sn *odb.Snapshot, commit git.ObjectID, path string) (git.TreeEntry, error) {
	links, err := sn.Commit(ctx, commit)
	if err != nil {
		return git.TreeEntry{}, err
	}
	return sn.Lookup(ctx, links.Tree, path)
}

// File is one file of a commit, open for reading. It is used by one goroutine
// and must be closed.
type File struct {
	Path   string
	Mode   git.FileMode
	Blob   git.ObjectID
	Size   int64
	Commit git.ObjectID // in which the file was looked up
	// LastCommit is the newest commit, from Commit back, that changed the
	// file, and LastModified when it was committed.
	LastCommit   git.ObjectID
	LastModified time.Time

	sn *odb.Snapshot
}

// OpenFile opens a file of a commit. A symbolic link is what Git stores for
// it, the text of its target: it is never followed, for its target may be
// anything. A folder or a submodule is no file and not found.
func (s *Service) OpenFile(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, at Revision, path string) (*File, error) {
	sn, err := s.openAt(ctx, who, repo, at.At)
	if err != nil {
		return nil, err
	}
	f, err := s.openFile(ctx, sn, at.orDefault(sn), path)
	if err != nil {
		sn.Close()
		return nil, err
	}
	return f, nil
}

func (s *Service) openFile(ctx context.Context, sn *odb.Snapshot, at Revision, given string) (*File, error) {
	path, err := cleanPath(given)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, cairn.Errorf(cairn.Invalid, "a path is required")
	}
	f := &File{Path: path, sn: sn}
	if f.Commit, err = at.resolve(ctx, sn); err != nil {
		return nil, err
	}
	e, err := lookup(ctx, sn, f.Commit, path)
	if err != nil {
		return nil, err
	}
	switch {
	case e.Mode.IsTree():
		return nil, cairn.Errorf(cairn.NotFound, "path %q is a folder, not a file", cairn.Clip(path))
	case e.Mode.IsSubmodule():
		return nil, cairn.Errorf(cairn.NotFound, "path %q is a submodule, not a file", cairn.Clip(path))
	case strings.HasSuffix(given, "/"):
		return nil, cairn.Errorf(cairn.NotFound, "path %q not found", cairn.Clip(given))
	}
	f.Mode, f.Blob = e.Mode, e.ID
	if f.Size, err = sn.BlobSize(ctx, e.ID); err != nil {
		return nil, err
	}
	if f.LastCommit, err = s.lastChange(ctx, sn, f.Commit, FileEntry{path, e.Mode, e.ID}); err != nil {
		return nil, err
	}
	links, err := sn.Commit(ctx, f.LastCommit)
	if err != nil {
		return nil, err
	}
	f.LastModified = time.Unix(links.Date, 0).UTC()
	return f, nil
}

// Content streams the file from its first byte. The caller closes it, before
// the file.
func (f *File) Content(ctx context.Context) (io.ReadCloser, error) {
	r, _, err := f.sn.OpenBlob(ctx, f.Blob)
	return r, err
}

// Close lets go of the repository's state that the file belongs to.
func (f *File) Close() { f.sn.Close() }
