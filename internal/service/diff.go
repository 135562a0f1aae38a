package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

const (
	// maxDiffFiles is the most files that a diff lists.
	maxDiffFiles = 100_000
	// maxDiffText is how much text a diff gives in all, in bytes. The files
	// after that are listed without theirs.
	maxDiffText = 64 << 20
)

// DiffOptions say how a diff is shown.
type DiffOptions struct {
	// Paths keeps these files and folders. They are shown whatever their kind
	// and size: who names a file wants to see it.
	Paths []string
	// Exact compares blanks too, so that the texts are a patch for the base;
	// else changes in the amount of blanks are left out (git diff -b).
	Exact bool
}

// Diff is what differs between two commits.
type Diff struct {
	Files []FileDiff
	// Filtered are the files whose text is left out: binary ones, lock files,
	// large ones. They count in the sums as far as they were compared.
	Filtered             []FileDiff
	Additions, Deletions int
}

// FileDiff is one file of a diff.
type FileDiff struct {
	Path string
	// OldPath is the path of a renamed file before; else empty.
	OldPath string
	// State is git's letter of the change, with the similarity of a rename
	// in three digits: R087.
	State string
	// OldMode and NewMode are zero where there is no file.
	OldMode, NewMode git.FileMode
	// Bytes is the size of the file after the change, before it for a deleted
	// one; of a submodule 0.
	Bytes int64
	// EndsInNewline tells it of that same version. A file too large to be
	// looked into counts as one that does.
	EndsInNewline bool
	// Compared tells whether additions and deletions are known.
	Compared             bool
	Additions, Deletions int
	Raw                  string
}

// CommitDiffQuery says which commits to compare.
type CommitDiffQuery struct {
	Commit Revision
	// Base is compared with the commit from where their histories part; if it
	// is empty the commit is compared with its first parent.
	Base Revision
	DiffOptions
}

// CommitDiff is what a commit changed.
type CommitDiff struct {
	Commit git.ObjectID
	// Base is what the query's base resolved to and MergeBase the common
	// ancestor that was compared with. Zero if there is none.
	Base, MergeBase git.ObjectID
	Diff
}

// CommitDiff compares a commit with its first parent, or with the newest
// commit that it has in common with a base (git diff base...commit); with the
// base itself if there is none.
func (s *Service) CommitDiff(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q CommitDiffQuery) (CommitDiff, error) {
	sn, err := s.openAt(ctx, who, repo, q.Commit.At)
	if err != nil {
		return CommitDiff{}, err
	}
	defer sn.Close()
	if q.Commit.Name == "" {
		return CommitDiff{}, cairn.Errorf(cairn.Invalid, "the commit to show is required")
	}
	if err := admission.Enter(ctx, admission.Diff); err != nil {
		return CommitDiff{}, err
	}
	var out CommitDiff
	if out.Commit, err = q.Commit.resolve(ctx, sn); err != nil {
		return CommitDiff{}, err
	}
	from, err := q.from(ctx, sn, &out)
	if err != nil {
		return CommitDiff{}, err
	}
	out.Diff, err = s.diffCommits(ctx, sn, from, out.Commit, q.DiffOptions)
	return out, err
}

// from is the commit that the diff starts at; zero before a root commit.
func (q CommitDiffQuery) from(ctx context.Context, sn *odb.Snapshot, out *CommitDiff) (git.ObjectID, error) {
	var none git.ObjectID
	if q.Base.Name == "" {
		links, err := sn.Commit(ctx, out.Commit)
		if err != nil || len(links.Parents) == 0 {
			return none, err
		}
		return links.Parents[0], nil
	}
	var err error
	if out.Base, err = q.Base.resolve(ctx, sn); err != nil {
		return none, err
	}
	if out.MergeBase, err = mergeBase(ctx, sn, out.Commit, out.Base); err != nil {
		return none, err
	}
	if out.MergeBase.IsZero() {
		return out.Base, nil
	}
	return out.MergeBase, nil
}

// mergeBase is the newest common ancestor of two commits; zero if there is
// none.
func mergeBase(ctx context.Context, sn *odb.Snapshot, a, b git.ObjectID) (git.ObjectID, error) {
	bases, err := graph.MergeBases(ctx, sn, a, b)
	if err != nil || len(bases) == 0 {
		return git.ObjectID{}, err
	}
	return bases[0], nil
}

// diffCommits compares the trees of two commits; a zero one has none.
func (s *Service) diffCommits(ctx context.Context, sn *odb.Snapshot, from, to git.ObjectID, o DiffOptions) (Diff, error) {
	var trees [2]git.ObjectID
	for i, commit := range []git.ObjectID{from, to} {
		if commit.IsZero() {
			continue
		}
		links, err := sn.Commit(ctx, commit)
		if err != nil {
			return Diff{}, err
		}
		trees[i] = links.Tree
	}
	for _, path := range o.Paths {
		if _, err := cleanPath(path); err != nil {
			return Diff{}, err
		}
	}
	changes, err := diff.Trees(ctx, sn.Repository().Format, sn, trees[0], trees[1], diff.TreeOptions{
		Paths:      o.Paths,
		Renames:    true,
		MaxChanges: maxDiffFiles,
		MaxEntries: s.limits.WalkEntries,
	})
	if err != nil {
		return Diff{}, tooLargeDiff(err)
	}
	d := differ{sn: sn, limits: s.limits, DiffOptions: o, left: maxDiffText}
	d.out.Files, d.out.Filtered = []FileDiff{}, []FileDiff{}
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return Diff{}, err
		}
		if err := d.add(ctx, c); err != nil {
			return Diff{}, tooLargeDiff(err)
		}
	}
	return d.out, nil
}

func tooLargeDiff(err error) error {
	switch {
	case errors.Is(err, diff.ErrEntries):
		return cairn.Errorf(cairn.TooLarge, "the diff is too large: ask for some of its paths: %w (max-walk-entries)", err)
	case errors.Is(err, diff.ErrTooLarge):
		return cairn.Errorf(cairn.TooLarge, "the diff is too large: ask for some of its paths: %w", err)
	}
	return err
}

// differ collects the files of a diff.
type differ struct {
	sn     *odb.Snapshot
	limits Limits
	DiffOptions
	out  Diff
	left int // of maxDiffText
}

func (d *differ) add(ctx context.Context, c diff.Change) error {
	f := FileDiff{Path: c.Path(), State: c.Status.String(), OldMode: c.Old.Mode, NewMode: c.New.Mode}
	if c.Status == diff.Renamed {
		f.OldPath = c.Old.Path
		f.State = fmt.Sprintf("R%03d", c.Score)
	}
	size, err := d.describe(ctx, c, &f)
	if err != nil {
		return err
	}
	named := len(d.Paths) > 0
	if !named && (size > d.limits.DiffFileSize || isLockFile(f.Path)) || d.left <= 0 {
		d.out.Filtered = append(d.out.Filtered, f)
		return nil
	}
	p, err := diff.File(ctx, d.sn, c, diff.Options{
		IgnoreSpaceChange: !d.Exact,
		Binary:            d.Exact,
		FullIndex:         d.Exact,
	})
	if err != nil {
		return err
	}
	if len(p.Text) == 0 {
		return nil // only blanks differ
	}
	f.Compared = !p.Binary && !p.TooLarge
	f.Additions, f.Deletions = p.Additions, p.Deletions
	d.out.Additions += f.Additions
	d.out.Deletions += f.Deletions
	if !named && (p.Binary || f.Additions+f.Deletions > d.limits.DiffFileLines) || p.TooLarge {
		d.out.Filtered = append(d.out.Filtered, f)
		return nil
	}
	f.Raw = string(p.Text)
	d.left -= len(p.Text)
	d.out.Files = append(d.out.Files, f)
	return nil
}

// describe fills what is told of the file itself and returns the size of the
// larger version.
func (d *differ) describe(ctx context.Context, c diff.Change, f *FileDiff) (int64, error) {
	var largest int64
	f.EndsInNewline = true
	for _, side := range []diff.Side{c.Old, c.New} {
		if !side.Exists() || side.Mode.IsSubmodule() {
			continue
		}
		size, err := d.sn.BlobSize(ctx, side.ID)
		if err != nil {
			return 0, err
		}
		largest = max(largest, size)
		if c.New.Exists() && side != c.New {
			continue
		}
		f.Bytes = size
		if size > d.limits.DiffFileSize {
			continue
		}
		data, err := d.sn.Blob(ctx, side.ID, size)
		if err != nil {
			return 0, err
		}
		f.EndsInNewline = len(data) == 0 || data[len(data)-1] == '\n'
	}
	return largest, nil
}

// lockFiles are the files that package managers write. Nobody reads their
// diffs, and they are long.
var lockFiles = map[string]bool{
	"Cargo.lock": true, "Gemfile.lock": true, "Package.resolved": true, "Pipfile.lock": true,
	"Podfile.lock": true, "bun.lock": true, "bun.lockb": true, "composer.lock": true,
	"deno.lock": true, "flake.lock": true, "go.sum": true, "gradle.lockfile": true,
	"mix.lock": true, "npm-shrinkwrap.json": true, "package-lock.json": true,
	"packages.lock.json": true, "pdm.lock": true, "pnpm-lock.yaml": true, "poetry.lock": true,
	"pubspec.lock": true, "uv.lock": true, "yarn.lock": true,
}

func isLockFile(path string) bool {
	return lockFiles[path[strings.LastIndexByte(path, '/')+1:]]
}
