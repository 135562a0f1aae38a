package service

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

const (
	// maxChangeDiffFiles is how many files the diff of two changes lists.
	maxChangeDiffFiles = 3000
	// maxChangeDiffFile is the largest file in bytes that it shows.
	maxChangeDiffFile = 1 << 20
	// maxTouched is how many paths of a change are listed.
	maxTouched = 100_000
)

// ConflictFilter says which paths of a diff are meant.
type ConflictFilter string

// The filters. Empty means all paths.
const (
	OnlyConflicts ConflictFilter = "only"
	NoConflicts   ConflictFilter = "exclude"
)

// ChangeDiff is what differs between two changes.
type ChangeDiff struct {
	Base, Head ChangeAt
	Files      []ChangeFileDiff
	Conflicted []ConflictedFile // of the head, which are not among Files
	Truncated  bool             // there are more files

	Additions, Deletions int
	// Patch is all of it as one text; conflicted files have conflict markers.
	Patch []byte
}

// ChangeFileDiff is one file of a diff.
type ChangeFileDiff struct {
	Path, OldPath        string // OldPath only of a renamed file
	Status               diff.Status
	Size                 int64 // after the change; before it of a deleted file
	Omitted              string
	Additions, Deletions int
	Hunks                []diff.Hunk
}

// ChangeDiffQuery says which changes to compare.
type ChangeDiffQuery struct {
	Base, Head git.ChangeID // zero is the virtual root
	Conflicts  ConflictFilter
}

// ChangeDiff compares the files of two changes.
func (s *Service) ChangeDiff(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q ChangeDiffQuery) (ChangeDiff, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return ChangeDiff{}, err
	}
	defer c.Close()
	if err := admission.Enter(ctx, admission.Diff); err != nil {
		return ChangeDiff{}, err
	}
	out := ChangeDiff{Base: ChangeAt{ID: q.Base}, Head: ChangeAt{ID: q.Head}, Files: []ChangeFileDiff{}, Conflicted: []ConflictedFile{}}
	var trees [2][]term
	for i, at := range []*ChangeAt{&out.Base, &out.Head} {
		if !at.ID.IsRoot() {
			if at.Commit, err = c.find(ctx, at.ID); err != nil {
				return ChangeDiff{}, err
			}
		}
		if trees[i], err = c.trees(ctx, at.Commit); err != nil {
			return ChangeDiff{}, err
		}
	}
	conflicts, err := c.conflicts(ctx, trees[1])
	if err != nil {
		return ChangeDiff{}, err
	}
	if q.Conflicts != OnlyConflicts {
		if err := c.diffFiles(ctx, &out, trees[0][0].tree, trees[1][0].tree, conflicts); err != nil {
			return ChangeDiff{}, err
		}
	}
	if q.Conflicts != NoConflicts {
		err = c.diffConflicts(ctx, &out, trees[0][0].tree, conflicts)
	}
	return out, err
}

// compare lists what differs between two trees.
func (c *changeState) compare(ctx context.Context, from, to git.ObjectID, renames bool) ([]diff.Change, error) {
	changes, err := diff.Trees(ctx, c.Repository().Format, c.Snapshot, from, to, diff.TreeOptions{
		Renames: renames, MaxChanges: maxDiffFiles, MaxEntries: c.service.limits.WalkEntries,
	})
	return changes, tooLargeDiff(err)
}

// diffFiles compares the files that are not in conflict.
func (c *changeState) diffFiles(ctx context.Context, out *ChangeDiff, from, to git.ObjectID, conflicts []pathConflict) error {
	changes, err := c.compare(ctx, from, to, true)
	if err != nil {
		return err
	}
	conflicted := conflictPaths(conflicts)
	for _, change := range changes {
		if _, is := slices.BinarySearch(conflicted, change.Path()); is {
			continue
		}
		if len(out.Files) == maxChangeDiffFiles {
			out.Truncated = true
			return nil
		}
		file, patch, err := c.diffFile(ctx, change, len(out.Patch) < maxDiffText)
		if err != nil {
			return err
		}
		out.Additions += file.Additions
		out.Deletions += file.Deletions
		out.Files = append(out.Files, file)
		out.Patch = append(out.Patch, patch...)
	}
	return nil
}

// diffFile compares two versions of a file.
func (c *changeState) diffFile(ctx context.Context, change diff.Change, show bool) (ChangeFileDiff, []byte, error) {
	out := ChangeFileDiff{Path: change.Path(), Status: change.Status}
	if change.Status == diff.Renamed {
		out.OldPath = change.Old.Path
	}
	for _, side := range []diff.Side{change.Old, change.New} {
		if side.Exists() && !side.Mode.IsSubmodule() {
			size, err := c.BlobSize(ctx, side.ID)
			if err != nil {
				return out, nil, err
			}
			out.Size = size
		}
	}
	if !show {
		out.Omitted = OmittedFileLimit
		return out, nil, nil
	}
	p, err := diff.File(ctx, c.Snapshot, change, diff.Options{MaxFileSize: maxChangeDiffFile})
	if err != nil {
		return out, nil, tooLargeDiff(err)
	}
	switch {
	case p.TooLarge:
		out.Omitted = OmittedTooLarge
	case p.Binary:
		out.Omitted = OmittedBinary
	default:
		out.Additions, out.Deletions = p.Additions, p.Deletions
		out.Hunks = diff.ParseHunks(p.Text)
	}
	return out, p.Text, nil
}

// diffConflicts shows the conflicted files, in the patch with markers.
func (c *changeState) diffConflicts(ctx context.Context, out *ChangeDiff, from git.ObjectID, conflicts []pathConflict) (err error) {
	for i, conflict := range conflicts {
		if len(out.Files)+i == maxChangeDiffFiles {
			out.Truncated = true
			break
		}
		file, err := showConflict(ctx, c.Snapshot, conflict)
		if err != nil {
			return err
		}
		out.Conflicted = append(out.Conflicted, file)
		if len(out.Patch) < maxDiffText {
			if err := c.patchConflict(ctx, out, from, conflict); err != nil {
				return err
			}
		}
	}
	return nil
}

// patchConflict appends a conflicted file with markers to the patch.
func (c *changeState) patchConflict(ctx context.Context, out *ChangeDiff, from git.ObjectID, conflict pathConflict) error {
	text, ok, err := markers(ctx, c.Snapshot, conflict)
	if err != nil || !ok {
		return err
	}
	id, err := git.HashObject(c.Repository().Format, git.BlobObject, text)
	if err != nil {
		return err
	}
	change := diff.Change{Status: diff.Added, New: diff.Side{Path: conflict.Path, Mode: git.ModeFile, ID: id}}
	old, err := c.Lookup(ctx, from, conflict.Path)
	switch {
	case err == nil && old.Mode.IsFile():
		change.Status = diff.Modified
		change.Old = diff.Side{Path: conflict.Path, Mode: old.Mode, ID: old.ID}
		change.New.Mode = old.Mode
	case err != nil && !errors.Is(err, cairn.NotFound):
		return err
	}
	p, err := diff.File(ctx, withBlob{c.Snapshot, change.New.ID, text}, change, diff.Options{})
	out.Patch = append(out.Patch, p.Text...)
	return err
}

// withBlob has one more blob.
type withBlob struct {
	diff.Objects
	id   git.ObjectID
	data []byte
}

// Blob returns a blob, the one more too.
func (w withBlob) Blob(ctx context.Context, id git.ObjectID, max int64) ([]byte, error) {
	if id == w.id {
		return w.data, nil
	}
	return w.Objects.Blob(ctx, id, max)
}

// BlobSize returns the size of a blob, of the one more too.
func (w withBlob) BlobSize(ctx context.Context, id git.ObjectID) (int64, error) {
	if id == w.id {
		return int64(len(w.data)), nil
	}
	return w.Objects.BlobSize(ctx, id)
}

// touched lists the paths of a commit that differ from its first parent, or for
// a merge from all of its parents.
func (c *changeState) touched(ctx context.Context, commit git.ObjectID) ([]string, error) {
	links, err := c.Snapshot.Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	to, err := c.trees(ctx, commit)
	if err != nil {
		return nil, err
	}
	parents := links.Parents
	if len(parents) == 0 {
		parents = []git.ObjectID{{}}
	}
	counts := map[string]int{}
	for _, parent := range parents {
		from, err := c.trees(ctx, parent)
		if err != nil {
			return nil, err
		}
		changes, err := c.compare(ctx, from[0].tree, to[0].tree, false)
		if err != nil {
			return nil, err
		}
		for _, change := range changes {
			counts[change.Path()]++
		}
	}
	paths := []string{}
	for path, n := range counts {
		if n == len(parents) && len(paths) < maxTouched {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, strings.Compare)
	return paths, nil
}
