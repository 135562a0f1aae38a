package service

import (
	"context"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// CommitSearch says which commits of a history to find, and which of those to
// return.
type CommitSearch struct {
	Revision
	AllBranches bool      // the history of all branches, whatever the revision
	Path        string    // keep the commits that changed this file or folder; empty keeps all
	Author      string    // keep those whose author's name or email holds it, whatever the case
	Message     string    // keep those whose message holds it, whatever the case
	Since       time.Time // keep those that were committed then or later; zero keeps all
	Until       time.Time // keep those that were committed then or before; zero keeps all
	Offset      int       // how many to pass over
	Limit       int
	Count       bool // go on to the end to learn how many there are
}

// FoundCommits are some commits of a search.
type FoundCommits struct {
	Commits []Commit
	Total   int // how many the search finds; only if that was asked for
}

// SearchCommits finds commits, newest first as git log does. It is for callers
// who name pages by numbers: the history is walked from its tip each time, and
// to its end for the total.
func (s *Service) SearchCommits(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q CommitSearch) (FoundCommits, error) {
	var found FoundCommits
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return found, err
	}
	defer sn.Close()
	log, err := q.open(ctx, sn)
	if err != nil || log == nil {
		return found, err
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return found, err
	}
	q.Limit = clampLimit(q.Limit, commitsPerPage, maxCommitsPerPage)
	filtered := q.Author != "" || q.Message != "" || !q.Since.IsZero() || !q.Until.IsZero()
	for {
		id, more, err := log.next(ctx)
		if err != nil || !more {
			return found, err
		}
		onPage := found.Total >= q.Offset && len(found.Commits) < q.Limit
		if !onPage && !filtered {
			if found.Total >= q.Offset && !q.Count {
				return found, nil
			}
			found.Total++
			continue
		}
		c, err := readCommit(ctx, sn, id)
		switch {
		case err != nil:
			return found, err
		case !q.keeps(c):
			continue
		case onPage:
			found.Commits = append(found.Commits, c)
		case found.Total >= q.Offset && !q.Count:
			return found, nil
		}
		found.Total++
	}
}

// open begins the history; nil if there is none.
func (q *CommitSearch) open(ctx context.Context, sn *odb.Snapshot) (*commitLog, error) {
	path, err := cleanPath(q.Path)
	if err != nil {
		return nil, err
	}
	if !q.AllBranches {
		q.Revision = q.orDefault(sn)
		tip, err := q.resolve(ctx, sn)
		if err != nil {
			return nil, err
		}
		return newCommitLog(ctx, sn, path, tip)
	}
	var tips []git.ObjectID
	for _, ref := range sn.RefsBelow(git.BranchPrefix) {
		tip, err := sn.PeelToCommit(ctx, ref.Target)
		if err != nil {
			return nil, err
		}
		tips = append(tips, tip)
	}
	if len(tips) == 0 {
		return nil, nil
	}
	return newCommitLog(ctx, sn, path, tips...)
}

func (q *CommitSearch) keeps(c Commit) bool {
	holds := func(text, part string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(part)) }
	switch {
	case q.Author != "" && !holds(c.Author.Name+" <"+c.Author.Email+">", q.Author),
		q.Message != "" && !holds(c.Message, q.Message),
		!q.Since.IsZero() && c.Committer.When.Before(q.Since),
		!q.Until.IsZero() && c.Committer.When.After(q.Until):
		return false
	}
	return true
}

// Divergence is how two histories differ.
type Divergence struct {
	Ahead  int // commits that only the branch has
	Behind int // commits that only the base has
}

// Divergences compares branches, by their short names, with the default branch.
// Without a default branch nothing is behind or ahead.
func (s *Service) Divergences(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, branches []string) ([]Divergence, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return nil, err
	}
	defer sn.Close()
	out := make([]Divergence, len(branches))
	base, ok := sn.Ref(sn.Repository().DefaultBranch)
	if !ok {
		return out, nil
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return nil, err
	}
	for i, name := range branches {
		branch, err := findBranch(sn, name, false)
		if err != nil {
			return nil, err
		}
		if branch.Target == base.Target {
			continue
		}
		if out[i].Ahead, err = countCommits(ctx, sn, branch.Target, base.Target); err != nil {
			return nil, err
		}
		if out[i].Behind, err = countCommits(ctx, sn, base.Target, branch.Target); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// countCommits counts the commits that one tip leads to and another does not.
func countCommits(ctx context.Context, sn *odb.Snapshot, of, without git.ObjectID) (n int, err error) {
	walk := graph.NewWalk(sn, []git.ObjectID{of}, []git.ObjectID{without})
	for {
		_, _, more, err := walk.Next(ctx)
		if err != nil || !more {
			return n, err
		}
		n++
	}
}
