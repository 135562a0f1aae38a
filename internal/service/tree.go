package service

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of answers that hold whole files.
const (
	maxWholeFile   = 32 << 20 // bytes of one file
	maxWholeFolder = 32 << 20 // bytes of the files of a folder together
	maxTreeLines   = 50_000   // entries of one folder
)

// TreeLine is an entry of a tree with its size.
type TreeLine struct {
	Name string
	Mode git.FileMode
	ID   git.ObjectID
	Size int64 // of a blob in bytes; else 0
	// Content is a file, or where a symbolic link leads; nil where it was not
	// asked for or is left out.
	Content []byte
}

// TreeListing is one tree, without what lies below.
type TreeListing struct {
	ID    git.ObjectID
	Lines []TreeLine
}

// Tree returns the tree that a revision names: the full id of a tree, or a
// commit, whose tree it is. An id that no ref leads to is not found.
func (s *Service) Tree(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, rev string) (TreeListing, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return TreeListing{}, err
	}
	defer sn.Close()
	id, err := findTree(ctx, sn, rev)
	if err != nil {
		return TreeListing{}, err
	}
	lines, err := treeLines(ctx, sn, id, false)
	return TreeListing{id, lines}, err
}

func findTree(ctx context.Context, sn *odb.Snapshot, rev string) (git.ObjectID, error) {
	if id, ok := wholeID(rev); ok {
		reachable, err := sn.Reachable(ctx, odb.FullView, id)
		if err != nil {
			return id, err
		}
		if reachable {
			if kind, _, err := sn.Header(ctx, id); err != nil || kind == git.TreeObject {
				return id, err
			}
		}
	}
	commit, err := Revision{Name: rev}.resolve(ctx, sn)
	if err != nil {
		return git.ObjectID{}, err
	}
	links, err := sn.Commit(ctx, commit)
	return links.Tree, err
}

// wholeID reads a whole object id.
func wholeID(text string) (git.ObjectID, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 20 {
		return git.ObjectID{}, false
	}
	id, err := git.ObjectIDFromBytes(raw)
	return id, err == nil
}

// treeLines reads the entries of a tree; with contents, the files too, as far
// as they fit.
func treeLines(ctx context.Context, sn *odb.Snapshot, tree git.ObjectID, contents bool) ([]TreeLine, error) {
	if err := admission.Enter(ctx, admission.List); err != nil {
		return nil, err
	}
	lines, room := []TreeLine{}, int64(maxWholeFolder)
	err := sn.Walk(ctx, tree, odb.WalkOptions{MaxEntries: maxTreeLines}, func(name string, e git.TreeEntry) error {
		line, err := treeLine(ctx, sn, name, e)
		if err == nil && contents && !e.Mode.IsTree() && !e.Mode.IsSubmodule() && line.Size <= room {
			room -= line.Size
			line.Content, err = sn.Blob(ctx, e.ID, maxWholeFolder)
		}
		lines = append(lines, line)
		return err
	})
	return lines, err
}

func treeLine(ctx context.Context, sn *odb.Snapshot, name string, e git.TreeEntry) (TreeLine, error) {
	line := TreeLine{Name: name, Mode: e.Mode, ID: e.ID}
	var err error
	if !e.Mode.IsTree() && !e.Mode.IsSubmodule() {
		line.Size, err = sn.BlobSize(ctx, e.ID)
	}
	return line, err
}

// Blob returns the bytes of a blob that some ref leads to, by its full id. One
// of more than 32 MiB is TooLarge.
func (s *Service) Blob(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id string) ([]byte, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return nil, err
	}
	defer sn.Close()
	missing := cairn.Errorf(cairn.NotFound, "blob %q not found", cairn.Clip(id))
	blob, ok := wholeID(id)
	if !ok {
		return nil, missing
	}
	reachable, err := sn.Reachable(ctx, odb.FullView, blob)
	if err != nil {
		return nil, err
	}
	if !reachable {
		return nil, missing
	}
	kind, size, err := sn.Header(ctx, blob)
	switch {
	case err != nil:
		return nil, err
	case kind != git.BlobObject:
		return nil, missing
	}
	return wholeFile(ctx, sn, blob, size)
}

func wholeFile(ctx context.Context, sn *odb.Snapshot, blob git.ObjectID, size int64) ([]byte, error) {
	if size > maxWholeFile {
		return nil, cairn.Errorf(cairn.TooLarge, "the file has %d bytes, more than the %d that are given in one piece", size, maxWholeFile)
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return nil, err
	}
	return sn.Blob(ctx, blob, maxWholeFile)
}

// PathContent is what a path of a commit holds.
type PathContent struct {
	Commit git.ObjectID
	Path   string
	Folder bool
	// Lines are the entries of a folder; else the one thing at the path.
	Lines []TreeLine
}

// ReadPath returns a file of a commit with its content, or a folder with the
// contents of the files that lie in it. Of a folder's files those are left out
// that do not fit in 32 MiB with the ones before.
func (s *Service) ReadPath(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, at Revision, path string) (PathContent, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return PathContent{}, err
	}
	defer sn.Close()
	return readPath(ctx, sn, at.orDefault(sn), path)
}

func readPath(ctx context.Context, sn *odb.Snapshot, at Revision, path string) (PathContent, error) {
	var found PathContent
	var err error
	if found.Path, err = cleanPath(path); err != nil {
		return found, err
	}
	if found.Commit, err = at.resolve(ctx, sn); err != nil {
		return found, err
	}
	e, err := lookup(ctx, sn, found.Commit, found.Path)
	if err != nil {
		return found, err
	}
	if e.Mode.IsTree() {
		found.Folder = true
		found.Lines, err = treeLines(ctx, sn, e.ID, true)
		return found, err
	}
	name := found.Path[strings.LastIndexByte(found.Path, '/')+1:]
	line, err := treeLine(ctx, sn, name, e)
	if err == nil && !e.Mode.IsSubmodule() {
		line.Content, err = wholeFile(ctx, sn, e.ID, line.Size)
	}
	found.Lines = []TreeLine{line}
	return found, err
}

// FileWrite is one file to write.
type FileWrite struct {
	Branch  string // empty means the default branch; one that is not there starts on that
	Path    string
	Message string
	Content []byte
	Author  Identity
}

// WriteFile commits one file to a branch and returns the commit: the present
// one if the file has that content already. A path through a symbolic link or
// a submodule, and one that is a folder or a link itself, is Invalid.
func (s *Service) WriteFile(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in FileWrite) (git.ObjectID, error) {
	var stale *TipError
	for range maxTries {
		id, err := s.tryWriteFile(ctx, who, repo, in)
		if !errors.As(err, &stale) {
			return id, err
		}
		if err := ctx.Err(); err != nil {
			return git.ObjectID{}, err
		}
	}
	return git.ObjectID{}, cairn.Errorf(cairn.Conflict, "%w after %d tries: try again later", stale, maxTries)
}

func (s *Service) tryWriteFile(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in FileWrite) (git.ObjectID, error) {
	target, present, err := s.placeOfFile(ctx, who, repo, in)
	if err != nil || !present.IsZero() {
		return present, err
	}
	w, err := s.BeginCommit(ctx, who, repo, CommitRequest{
		CommitTarget: target,
		CommitInfo:   CommitInfo{Message: in.Message, Author: in.Author},
		Files:        []FileChange{{Path: in.Path, ContentID: "file"}},
	})
	if err != nil {
		return git.ObjectID{}, err
	}
	defer w.Close()
	if err := w.AddChunk(ctx, "file", in.Content, true); err != nil {
		return git.ObjectID{}, err
	}
	result, err := w.Commit(ctx)
	return result.Commit, err
}

// placeOfFile says where the commit of a file goes, or if it has that content
// already, which commit has it.
func (s *Service) placeOfFile(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in FileWrite) (target CommitTarget, present git.ObjectID, err error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return target, present, err
	}
	defer sn.Close()
	target.Branch = in.Branch
	first := sn.Repository().DefaultBranch
	if target.Branch == "" {
		target.Branch = first.Short()
	}
	ref, err := storedBranch(target.Branch, false)
	if err != nil {
		return target, present, err
	}
	tip, there := sn.Ref(ref)
	if !there {
		if tip, there = sn.Ref(first); !there {
			return target, present, nil // the first commit of all
		}
		target.Base = first.Short()
	}
	target.Expected = tip.Target.String()
	same, err := checkFilePlace(ctx, sn, tip.Target, in)
	if err == nil && same && target.Base == "" {
		present = tip.Target
	}
	return target, present, err
}

// checkFilePlace refuses a path that leads through anything but folders, or to
// anything but a file, and tells whether the file is there with that content.
func checkFilePlace(ctx context.Context, sn *odb.Snapshot, tip git.ObjectID, in FileWrite) (same bool, err error) {
	for i := range len(in.Path) + 1 {
		if i < len(in.Path) && in.Path[i] != '/' {
			continue
		}
		e, err := lookup(ctx, sn, tip, in.Path[:i])
		switch {
		case errors.Is(err, cairn.NotFound):
			return false, nil
		case err != nil:
			return false, err
		case i < len(in.Path) && !e.Mode.IsTree():
			return false, cairn.Errorf(cairn.Invalid, "path %q leads through %q, which is no folder", cairn.Clip(in.Path), cairn.Clip(in.Path[:i]))
		case i < len(in.Path):
		case !e.Mode.IsFile() || e.Mode.IsSymlink():
			return false, cairn.Errorf(cairn.Invalid, "path %q is no file", cairn.Clip(in.Path))
		default:
			id, err := git.HashObject(sn.Repository().Format, git.BlobObject, in.Content)
			return e.ID == id, err
		}
	}
	return false, nil
}
