package service

import (
	"context"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Bounds of listings of files with their last changes.
const (
	metadataPerPage    = 200
	maxMetadataPerPage = 1000
)

// MetadataQuery says of which files to tell the last change.
type MetadataQuery struct {
	Revision
	Path   string // a folder, or one file; empty means all
	Cursor string
	Limit  int
}

// FileMetadata is a file with the commit that changed it last.
type FileMetadata struct {
	FileEntry
	Size       int64 // in bytes; 0 of a submodule
	LastCommit git.ObjectID
}

// MetadataPage is a part of a listing of files with their last changes.
type MetadataPage struct {
	Ref     string // the revision as asked for, or the default branch
	Files   []FileMetadata
	Commits map[git.ObjectID]Commit // those that changed the files
	Next    string                  // the cursor of the next page; empty at the end
}

// FilesMetadata lists files at any depth, each with its size and the commit
// that git log -1 names for it.
func (s *Service) FilesMetadata(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q MetadataQuery) (MetadataPage, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return MetadataPage{}, err
	}
	defer sn.Close()
	files := FilesQuery{Revision: q.Revision, Path: q.Path, Recursive: true, Paged: true, Cursor: q.Cursor}
	listed, err := s.filePage(ctx, sn, "metadata", files, clampLimit(q.Limit, metadataPerPage, maxMetadataPerPage))
	if err != nil {
		return MetadataPage{}, err
	}
	last, err := s.lastChanges(ctx, sn, listed.Commit, listed.Entries)
	if err != nil {
		return MetadataPage{}, err
	}
	page := MetadataPage{
		Ref: listed.Ref, Files: make([]FileMetadata, len(listed.Entries)), Commits: map[git.ObjectID]Commit{}, Next: listed.Next,
	}
	for i, e := range listed.Entries {
		f := FileMetadata{FileEntry: e, LastCommit: last[e.Path]}
		if !e.Mode.IsSubmodule() {
			if f.Size, err = sn.BlobSize(ctx, e.ID); err != nil {
				return MetadataPage{}, err
			}
		}
		if _, ok := page.Commits[f.LastCommit]; !ok {
			if page.Commits[f.LastCommit], err = readCommit(ctx, sn, f.LastCommit); err != nil {
				return MetadataPage{}, err
			}
		}
		page.Files[i] = f
	}
	return page, nil
}
