package service

import (
	"context"
	"slices"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// FolderQuery says what part of a folder to list.
type FolderQuery struct {
	Revision
	Path          string // of the folder; empty is the root
	Offset, Limit int
}

// FolderPart is a part of a folder.
type FolderPart struct {
	Entries []ChangedEntry
	Total   int // how many entries the folder has
}

// ChangedEntry is a file or folder with the commit that changed it last.
type ChangedEntry struct {
	FileEntry
	LastChange Commit
}

// Folder lists what lies in a folder, each with its last change, for callers
// who name pages by numbers. Of a file it lists the file.
func (s *Service) Folder(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q FolderQuery) (FolderPart, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return FolderPart{}, err
	}
	defer sn.Close()
	listed, err := s.filePage(ctx, sn, "folder", FilesQuery{Revision: q.Revision, Path: q.Path}, maxFilesWhole)
	if err != nil {
		return FolderPart{}, err
	}
	part := FolderPart{Total: len(listed.Entries)}
	shown := listed.Entries[min(q.Offset, part.Total):]
	shown = shown[:min(clampLimit(q.Limit, metadataPerPage, maxMetadataPerPage), len(shown))]
	last, err := s.lastChanges(ctx, sn, listed.Commit, slices.DeleteFunc(slices.Clone(shown), func(e FileEntry) bool { return e.Mode.IsTree() }))
	if err != nil {
		return FolderPart{}, err
	}
	commits := make(map[git.ObjectID]Commit)
	for _, e := range shown {
		id := last[e.Path]
		if e.Mode.IsTree() {
			if id, err = lastChangeOfFolder(ctx, sn, listed.Commit, e.Path); err != nil {
				return FolderPart{}, err
			}
		}
		if _, ok := commits[id]; !ok {
			if commits[id], err = readCommit(ctx, sn, id); err != nil {
				return FolderPart{}, err
			}
		}
		part.Entries = append(part.Entries, ChangedEntry{e, commits[id]})
	}
	return part, nil
}

// lastChangeOfFolder is the first commit of the folder's log.
func lastChangeOfFolder(ctx context.Context, sn *odb.Snapshot, tip git.ObjectID, path string) (git.ObjectID, error) {
	log, err := newCommitLog(ctx, sn, path, tip)
	if err != nil {
		return git.ObjectID{}, err
	}
	if err := admission.Enter(ctx, admission.History); err != nil {
		return git.ObjectID{}, err
	}
	id, _, err := log.next(ctx)
	return id, err
}
