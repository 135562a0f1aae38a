package service

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
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

// MetadataPage is a part of a listing of files with their last changes. It may
// be shared: do not write to it.
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
	q.Revision, q.Limit = q.orDefault(sn), clampLimit(q.Limit, metadataPerPage, maxMetadataPerPage)
	commit, err := q.resolve(ctx, sn)
	if err != nil {
		return MetadataPage{}, err
	}
	key := strings.Join(list("metadata", sn, commit.String(), q.Name, flag(q.Ephemeral), q.Path, stamp(q.At), q.Cursor, strconv.Itoa(q.Limit)), "\x00")
	if page, ok := s.metadataPages.get(key); ok {
		return page, nil
	}
	page, err := s.metadataPage(ctx, sn, q)
	if err == nil {
		s.metadataPages.put(key, page)
	}
	return page, err
}

func (s *Service) metadataPage(ctx context.Context, sn *odb.Snapshot, q MetadataQuery) (MetadataPage, error) {
	files := FilesQuery{Revision: q.Revision, Path: q.Path, Recursive: true, Paged: true, Cursor: q.Cursor}
	listed, err := s.filePage(ctx, sn, "metadata", files, q.Limit)
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

// metadataCache keeps pages of listings by all that was asked for and by the
// commit that it led to, which never changes. Who asks has been shown to see that
// commit.
type metadataCache struct {
	mu    sync.Mutex
	pages boundedMap[string, MetadataPage]
}

// Bounds of the cache, in bytes: of one of its two halves, and what a file and a
// commit take beside their texts.
const (
	metadataCacheSize = 8 << 20
	metadataFileSize  = 150
	metadataCommit    = 400
)

func (c *metadataCache) get(key string) (MetadataPage, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pages.get(key)
}

func (c *metadataCache) put(key string, page MetadataPage) {
	weight := len(key)
	for _, f := range page.Files {
		weight += len(f.Path) + metadataFileSize
	}
	for _, commit := range page.Commits {
		weight += len(commit.Message) + metadataCommit
	}
	if weight > metadataCacheSize/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages.size = metadataCacheSize
	c.pages.putWeighed(key, page, weight)
}
