package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of listings of branches and tags.
const (
	refsPerPage    = 20
	maxRefsPerPage = 100
)

// Branch is a branch as callers see it.
type Branch struct {
	Name      string
	Ephemeral bool
	Head      git.ObjectID
	CreatedAt time.Time
	Cursor    string // of the page that begins after it; only in listings
}

// NewBranch says what branch to create.
type NewBranch struct {
	Name      string
	Ephemeral bool // in the ephemeral namespace
	// Base is any revision. If it is empty BaseBranch, the name of a branch,
	// is used.
	Base, BaseBranch string
	BaseEphemeral    bool // the base is of the ephemeral namespace
	// Force moves an existing branch also where that is no fast-forward.
	Force bool
}

// CreateBranch makes a branch at a base. From an ephemeral base to a normal
// branch it is a promotion: the commits are shared, only a ref is new. An
// existing branch is moved if that is a fast-forward or forced; it stays if it
// is there already; else the answer is Conflict.
func (s *Service) CreateBranch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in NewBranch) (Branch, error) {
	if err := authorize(who, repo, cairn.GitWrite); err != nil {
		return Branch{}, err
	}
	ref, err := storedBranch(in.Name, in.Ephemeral)
	if err != nil {
		return Branch{}, err
	}
	var conflict *cairn.RefConflict
	for range maxTries {
		var branch Branch
		err := onNewState(ctx, func() (err error) {
			branch, err = s.tryCreateBranch(ctx, who, repo, ref, in)
			return err
		})
		if !errors.As(err, &conflict) {
			return branch, err
		}
		if err := ctx.Err(); err != nil {
			return Branch{}, err
		}
	}
	return Branch{}, cairn.Errorf(cairn.Conflict, "%w after %d tries: try again later", &TipError{in.Name, conflict.Current}, maxTries)
}

func (s *Service) tryCreateBranch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, ref git.RefName, in NewBranch) (Branch, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return Branch{}, err
	}
	defer sn.Close()
	head, err := in.base(ctx, sn)
	if err != nil {
		return Branch{}, err
	}
	made := Branch{Name: in.Name, Ephemeral: in.Ephemeral, Head: head}
	old, exists := sn.Ref(ref)
	if exists && old.Target == head {
		made.CreatedAt = old.CreatedAt
		return made, checkNoPush(who, sn.Repository(), ref)
	}
	if exists && !in.Force {
		forward, err := isFastForward(ctx, sn, old.Target, head)
		if err != nil {
			return Branch{}, err
		}
		if !forward {
			return Branch{}, cairn.Errorf(cairn.Conflict, "branch %q exists and %s is not ahead of it: use force to move it", cairn.Clip(in.Name), head)
		}
	}
	err = s.apply(ctx, sn, refWrite{Who: who, Updates: []cairn.RefUpdate{{Name: ref, Old: old.Target, New: head}}})
	if err != nil {
		return Branch{}, err
	}
	if made.CreatedAt = old.CreatedAt; !exists {
		made.CreatedAt = s.now().UTC()
	}
	return made, nil
}

// base is the commit at which the branch is to be.
func (in NewBranch) base(ctx context.Context, sn *odb.Snapshot) (git.ObjectID, error) {
	if in.Base != "" {
		return Revision{Name: in.Base, Ephemeral: in.BaseEphemeral}.resolve(ctx, sn)
	}
	if in.BaseBranch == "" {
		return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "a base is required: base_ref, or base_branch")
	}
	ref, err := findBranch(sn, in.BaseBranch, in.BaseEphemeral)
	if err != nil {
		return git.ObjectID{}, err
	}
	return sn.PeelToCommit(ctx, ref.Target)
}

// findBranch finds a branch by its exact name.
func findBranch(sn *odb.Snapshot, name string, ephemeral bool) (cairn.Ref, error) {
	stored, err := storedBranch(strings.TrimPrefix(name, git.BranchPrefix), ephemeral)
	if err != nil {
		return cairn.Ref{}, err
	}
	ref, ok := sn.Ref(stored)
	if !ok {
		return cairn.Ref{}, cairn.Errorf(cairn.NotFound, "branch %q not found", cairn.Clip(name))
	}
	return ref, nil
}

// branchPrefix is what the stored names of branches start with.
func branchPrefix(ephemeral bool) string {
	if ephemeral {
		return odb.EphemeralPrefix + git.BranchPrefix
	}
	return git.BranchPrefix
}

// BranchPage is a part of the list of a repository's branches.
type BranchPage struct {
	Branches []Branch
	Next     string // the cursor of the next page; empty at the end
}

// BranchesQuery says which branches to list.
type BranchesQuery struct {
	Ephemeral bool      // those of the ephemeral namespace
	At        time.Time // as they were then; zero is now; needs git:write
	Cursor    string
	Limit     int
}

// ListBranches returns branches in the order of their creation.
func (s *Service) ListBranches(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q BranchesQuery) (BranchPage, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return BranchPage{}, err
	}
	defer sn.Close()
	listing := list("branches", sn, flag(q.Ephemeral), stamp(q.At))
	position, err := listing.position(q.Cursor, 2)
	if err != nil {
		return BranchPage{}, err
	}
	after := cairn.Ref{Created: -1}
	if position != nil {
		after.Name = git.RefName(position[1])
		if after.Created, err = strconv.ParseInt(position[0], 10, 64); err != nil {
			return BranchPage{}, cairn.Errorf(cairn.Invalid, "invalid cursor")
		}
	}
	prefix := branchPrefix(q.Ephemeral)
	var refs []cairn.Ref
	for _, ref := range sn.RefsBelow(prefix) {
		if byCreation(ref, after) > 0 {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, byCreation)
	limit := clampLimit(q.Limit, refsPerPage, maxRefsPerPage)
	page := BranchPage{Branches: []Branch{}}
	for _, ref := range refs[:min(limit, len(refs))] {
		page.Branches = append(page.Branches, Branch{
			Name:      strings.TrimPrefix(string(ref.Name), prefix),
			Ephemeral: q.Ephemeral,
			Head:      ref.Target,
			CreatedAt: ref.CreatedAt,
			Cursor:    listing.cursor(strconv.FormatInt(ref.Created, 10), string(ref.Name)),
		})
	}
	if len(refs) > limit {
		page.Next = page.Branches[limit-1].Cursor
	}
	return page, nil
}

// byCreation orders refs by the write that made them, then by name.
func byCreation(a, b cairn.Ref) int {
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
}

// Branch returns the branch of exactly the revision's name.
func (s *Service) Branch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, at Revision) (Branch, error) {
	sn, err := s.openAt(ctx, who, repo, at.At)
	if err != nil {
		return Branch{}, err
	}
	defer sn.Close()
	if _, err := storedBranch(at.Name, at.Ephemeral); err != nil {
		return Branch{}, err
	}
	ref, err := findBranch(sn, at.Name, at.Ephemeral)
	if err != nil {
		return Branch{}, err
	}
	return Branch{Name: at.Name, Ephemeral: at.Ephemeral, Head: ref.Target, CreatedAt: ref.CreatedAt}, nil
}

// DeleteBranch deletes a branch where it is; Conflict for the default branch.
// Its commits stay for the retention time.
func (s *Service) DeleteBranch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string, ephemeral bool) error {
	if err := authorize(who, repo, cairn.GitWrite); err != nil {
		return err
	}
	ref, err := storedBranch(name, ephemeral)
	if err != nil {
		return err
	}
	return s.deleteRef(ctx, who, repo, ref, func() error {
		return cairn.Errorf(cairn.NotFound, "branch %q not found", cairn.Clip(name))
	})
}

// deleteRef deletes a ref whatever it names at that moment.
func (s *Service) deleteRef(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name git.RefName, absent func() error) error {
	for range maxTries {
		err := onNewState(ctx, func() error { return s.tryDeleteRef(ctx, who, repo, name, absent) })
		if conflict := (*cairn.RefConflict)(nil); !errors.As(err, &conflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return cairn.Errorf(cairn.Conflict, "%q keeps moving: try again later", name.Short())
}

func (s *Service) tryDeleteRef(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name git.RefName, absent func() error) error {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return err
	}
	defer sn.Close()
	ref, ok := sn.Ref(name)
	if !ok {
		return absent()
	}
	err = s.apply(ctx, sn, refWrite{Who: who, Updates: []cairn.RefUpdate{{Name: name, Old: ref.Target}}})
	return err
}

// BranchDiffQuery says which branches to compare and how to show it.
type BranchDiffQuery struct {
	Branch        string
	Ephemeral     bool
	Base          string // empty means the default branch
	BaseEphemeral bool
	At            time.Time // both as they were then; zero is now; needs git:write
	DiffOptions
}

// BranchDiff is what a branch brings that its base has not.
type BranchDiff struct {
	Branch, Base string
	MergeBase    git.ObjectID // zero if the two have no history in common
	Diff
}

// BranchDiff compares a branch with the newest commit that it has in common
// with its base (git diff base...branch): what a merge would bring. Without
// such a commit it is compared with the base itself.
func (s *Service) BranchDiff(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q BranchDiffQuery) (BranchDiff, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return BranchDiff{}, err
	}
	defer sn.Close()
	if q.Base == "" {
		q.Base = sn.Repository().DefaultBranch.Short()
	}
	out := BranchDiff{Branch: q.Branch, Base: q.Base}
	tips := [2]git.ObjectID{}
	for i, b := range []Revision{{Name: q.Branch, Ephemeral: q.Ephemeral}, {Name: q.Base, Ephemeral: q.BaseEphemeral}} {
		ref, err := findBranch(sn, b.Name, b.Ephemeral)
		if err != nil {
			return BranchDiff{}, err
		}
		if tips[i], err = sn.PeelToCommit(ctx, ref.Target); err != nil {
			return BranchDiff{}, err
		}
	}
	if err := admission.Enter(ctx, admission.Diff); err != nil {
		return BranchDiff{}, err
	}
	from := tips[1]
	if out.MergeBase, err = mergeBase(ctx, sn, tips[0], tips[1]); err != nil {
		return BranchDiff{}, err
	}
	if !out.MergeBase.IsZero() {
		from = out.MergeBase
	}
	out.Diff, err = s.diffCommits(ctx, sn, from, tips[0], q.DiffOptions)
	return out, err
}
