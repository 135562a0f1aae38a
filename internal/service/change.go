package service

import (
	"cmp"
	"context"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Change is a change as callers see it: the present commit of it.
type Change struct {
	ID         git.ChangeID
	Commit     git.ObjectID
	Conflicted bool
	Message    string // without line feeds at its end
	Author     git.Signature
	Committer  git.Signature
	Parents    []git.ChangeID // the virtual root for a root commit
	CreatedAt  time.Time      // when it got its first commit, as far as is known
	UpdatedAt  time.Time      // when it got this one
}

// ChangeDetail is a change with its paths.
type ChangeDetail struct {
	Change
	Files     []string // that differ from its parents
	Conflicts []string // of those that could not be merged
}

// maxEvolution is how many commits of one change are looked at.
const maxEvolution = 1000

// changeState is a state of a repository in which all changes can be found.
type changeState struct {
	*odb.Snapshot
	service *Service
}

// openChanges opens the present state of a repository for questions about
// changes.
func (s *Service) openChanges(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, scope cairn.Scope) (*changeState, error) {
	sn, err := s.open(ctx, who, repo, scope)
	if err != nil {
		return nil, err
	}
	return &changeState{sn, s}, nil
}

func noChange(id git.ChangeID) error {
	return cairn.Errorf(cairn.NotFound, "change %q not found", id)
}

// find returns the present commit of a change. Several commits may tell the
// same change (jj calls it divergent): of those that refs lead to, the last
// that was noted counts.
func (c *changeState) find(ctx context.Context, id git.ChangeID) (git.ObjectID, error) {
	if id.IsRoot() {
		return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "the root change has no commit")
	}
	if err := c.note(ctx); err != nil {
		return git.ObjectID{}, err
	}
	commits, err := c.evolution(ctx, id)
	if err != nil {
		return git.ObjectID{}, err
	}
	for _, known := range commits {
		if ok, err := c.Reachable(ctx, odb.ChangeView, known.Commit); ok || err != nil {
			return known.Commit, err
		}
	}
	return c.findSynthetic(ctx, id)
}

// findSynthetic finds the commit of a change that does not tell it.
func (c *changeState) findSynthetic(ctx context.Context, id git.ChangeID) (git.ObjectID, error) {
	commit, ok, err := c.CommitBySuffix(ctx, id.CommitSuffix())
	if err != nil || !ok {
		return git.ObjectID{}, cmp.Or(err, noChange(id))
	}
	if ok, err := c.Reachable(ctx, odb.ChangeView, commit); err != nil || !ok {
		return git.ObjectID{}, cmp.Or(err, noChange(id))
	}
	if told, err := c.idOf(ctx, commit); err != nil || told != id {
		return git.ObjectID{}, cmp.Or(err, noChange(id))
	}
	return commit, nil
}

// evolution returns the commits that were noted of a change, newest first.
func (c *changeState) evolution(ctx context.Context, id git.ChangeID) (commits []cairn.ChangeCommit, err error) {
	err = c.service.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		commits, err = tx.Changes().Of(c.Repository().RepositoryKey, id, maxEvolution)
		return err
	})
	return commits, err
}

// idOf returns the change that a commit belongs to.
func (c *changeState) idOf(ctx context.Context, commit git.ObjectID) (git.ChangeID, error) {
	return changeID(ctx, c, commit)
}

// describe shows a commit as one of its change.
func (c *changeState) describe(ctx context.Context, commit git.ObjectID) (Change, error) {
	out, full, err := describeChange(ctx, c, commit)
	if err != nil {
		return Change{}, err
	}
	trees, err := commitTrees(ctx, c.Repository().Format, c.Snapshot, full)
	if err != nil {
		return Change{}, err
	}
	out.Conflicted = len(trees) > 1
	known, err := c.evolution(ctx, out.ID)
	if err != nil {
		return Change{}, err
	}
	out.date(known)
	return out, nil
}

// fullCommits is what has commits.
type fullCommits interface {
	FullCommit(ctx context.Context, id git.ObjectID) (*git.Commit, error)
}

// describeChange is what a commit itself tells of its change, and the commit.
func describeChange(ctx context.Context, commits fullCommits, commit git.ObjectID) (Change, *git.Commit, error) {
	full, err := commits.FullCommit(ctx, commit)
	if err != nil {
		return Change{}, nil, err
	}
	shown := newCommit(commit, full)
	out := Change{
		ID: git.ChangeIDOf(commit, full), Commit: commit, Message: shown.Message, Author: shown.Author, Committer: shown.Committer,
		CreatedAt: shown.Author.When.UTC(), UpdatedAt: shown.Committer.When.UTC(),
	}
	if len(full.Parents) == 0 {
		out.Parents = []git.ChangeID{{}}
	}
	for _, parent := range full.Parents {
		id, err := changeID(ctx, commits, parent)
		if err != nil {
			return Change{}, nil, err
		}
		out.Parents = append(out.Parents, id)
	}
	return out, full, nil
}

// changeID returns the change that a commit belongs to.
func changeID(ctx context.Context, commits fullCommits, commit git.ObjectID) (git.ChangeID, error) {
	full, err := commits.FullCommit(ctx, commit)
	if err != nil {
		return git.ChangeID{}, err
	}
	return git.ChangeIDOf(commit, full), nil
}

// date says when the change was made and when it got its commit, as far as its
// evolution, newest first, knows of it.
func (c *Change) date(evolution []cairn.ChangeCommit) {
	for _, k := range evolution {
		if k.Commit == c.Commit {
			c.UpdatedAt = k.At
			c.CreatedAt = evolution[len(evolution)-1].At
		}
	}
}

// Change returns the present state of a change.
func (s *Service) Change(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id git.ChangeID) (ChangeDetail, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return ChangeDetail{}, err
	}
	defer c.Close()
	commit, err := c.find(ctx, id)
	if err != nil {
		return ChangeDetail{}, err
	}
	out := ChangeDetail{}
	if out.Change, err = c.describe(ctx, commit); err != nil {
		return ChangeDetail{}, err
	}
	if out.Files, err = c.touched(ctx, commit); err != nil {
		return ChangeDetail{}, err
	}
	trees, err := c.trees(ctx, commit)
	if err != nil {
		return ChangeDetail{}, err
	}
	conflicts, err := c.conflicts(ctx, trees)
	out.Conflicts = conflictPaths(conflicts)
	return out, err
}

// ChangeEvolution returns the commits that a change has had, the present one
// first. The objects of the others are kept for the retention time.
func (s *Service) ChangeEvolution(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id git.ChangeID) ([]cairn.ChangeCommit, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	present, err := c.find(ctx, id)
	if err != nil {
		return nil, err
	}
	commits, err := c.evolution(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(commits) == 0 {
		full, err := c.FullCommit(ctx, present)
		if err != nil {
			return nil, err
		}
		commits = []cairn.ChangeCommit{{Change: id, Commit: present, At: full.Committer.When.UTC()}}
	}
	return commits, nil
}

// ChangeAt finds the change at a branch: the virtual root if the branch is
// empty. The zero id of the commit says the same.
type ChangeAt struct {
	ID     git.ChangeID
	Commit git.ObjectID
}

// HeadChange returns the change at the tip of the default branch.
func (s *Service) HeadChange(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName) (ChangeAt, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return ChangeAt{}, err
	}
	defer c.Close()
	ref, _ := c.Ref(c.Repository().DefaultBranch)
	return c.at(ctx, ref.Target)
}

// FindChange returns the present commit of a change; zero for the virtual root.
func (s *Service) FindChange(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id git.ChangeID) (ChangeAt, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return ChangeAt{}, err
	}
	defer c.Close()
	if id.IsRoot() {
		return ChangeAt{}, nil
	}
	commit, err := c.find(ctx, id)
	return ChangeAt{id, commit}, err
}

// at is the change of a ref's target; zero for none.
func (c *changeState) at(ctx context.Context, target git.ObjectID) (ChangeAt, error) {
	if target.IsZero() {
		return ChangeAt{}, nil
	}
	commit, err := c.PeelToCommit(ctx, target)
	if err != nil {
		return ChangeAt{}, err
	}
	id, err := c.idOf(ctx, commit)
	return ChangeAt{id, commit}, err
}

// ChangePage is a part of a list of changes.
type ChangePage struct {
	Changes []Change
	Next    string // the cursor of the next page; empty at the end
}

// Bounds of listings of changes and bookmarks.
const (
	changesPerPage    = 50
	maxChangesPerPage = 100
)

// ListChanges returns the changes of a bookmark, the newest first; of the
// default one if none is named. The virtual root is not among them.
func (s *Service) ListChanges(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, bookmark, cursor string, limit int) (ChangePage, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return ChangePage{}, err
	}
	defer c.Close()
	at, err := c.bookmark(bookmark)
	if err != nil || at.target.IsZero() && cursor == "" {
		return ChangePage{}, err
	}
	q := CommitsQuery{Revision: Revision{Name: string(at.ref)}, Cursor: cursor, Limit: cmp.Or(limit, changesPerPage)}
	page, err := s.ListCommits(ctx, who, repo, q)
	if err != nil {
		return ChangePage{}, err
	}
	out := ChangePage{Next: page.Next}
	for _, commit := range page.Commits {
		change, err := c.describe(ctx, commit.ID)
		if err != nil {
			return ChangePage{}, err
		}
		out.Changes = append(out.Changes, change)
	}
	return out, nil
}
