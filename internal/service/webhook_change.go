package service

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// What happened, as changes and bookmarks see it.

// isAboutChanges tells whether the write moved a ref by which changes are found.
func (m refsMoved) isAboutChanges() bool {
	return slices.ContainsFunc(m.Updates, func(u cairn.RefUpdate) bool { return odb.ChangeView.Shows(u.Name) })
}

// bookmarkMove is what a write did to a bookmark.
type bookmarkMove struct {
	ref           git.RefName
	before, after bookmarkAt
}

// bookmarkAt is where a bookmark is, if it is there.
type bookmarkAt struct {
	there  bool
	commit git.ObjectID // zero at the virtual root
}

// bookmarkMoves returns what a write does to bookmarks, in the order of its
// updates.
func (a *announcement) bookmarkMoves(m refsMoved) ([]bookmarkMove, error) {
	updates := map[git.RefName]cairn.RefUpdate{}
	empties, err := a.tx.Refs().List(a.repo.RepositoryKey, emptyBookmarkPrefix)
	if err != nil {
		return nil, err
	}
	for _, ref := range empties {
		updates[ref.Name] = cairn.RefUpdate{Name: ref.Name, Old: ref.Target, New: ref.Target} // unless it is moved
	}
	for _, u := range m.Updates {
		updates[u.Name] = u
	}
	var moves []bookmarkMove
	seen := map[git.RefName]bool{}
	for _, u := range m.Updates {
		name, ok := bookmarkOf(u.Name)
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		branch, moved := updates[name]
		if !moved {
			if ref, err := a.tx.Refs().Get(a.repo.RepositoryKey, name); err == nil {
				branch.Old, branch.New = ref.Target, ref.Target
			} else if !errors.Is(err, cairn.NotFound) {
				return nil, err
			}
		}
		empty, isDefault := updates[emptyBookmark(name)], name == a.repo.DefaultBranch
		moves = append(moves, bookmarkMove{
			ref:    name,
			before: bookmarkAt{isDefault || !branch.Old.IsZero() || !empty.Old.IsZero(), branch.Old},
			after:  bookmarkAt{isDefault || !branch.New.IsZero() || !empty.New.IsZero(), branch.New},
		})
	}
	return moves, nil
}

// bookmarkOf returns the branch of the bookmark that a ref stands for: a branch,
// or the hidden ref of a bookmark at the virtual root.
func bookmarkOf(ref git.RefName) (branch git.RefName, ok bool) {
	if name, ok := strings.CutPrefix(string(ref), emptyBookmarkPrefix); ok {
		return git.BranchPrefix + git.RefName(name), true
	}
	return ref, ref.IsBranch()
}

// ids returns the changes of the commits where bookmarks are and were. That of
// the virtual root is there too.
func (a *announcement) ids(m refsMoved, moves []bookmarkMove) (map[git.ObjectID]git.ChangeID, error) {
	type key struct{ write *refWrite }
	return fact(a.facts, key{m.refWrite}, func(ctx context.Context) (map[git.ObjectID]git.ChangeID, error) {
		ids := map[git.ObjectID]git.ChangeID{{}: {}}
		for _, move := range moves {
			for _, commit := range []git.ObjectID{move.before.commit, move.after.commit} {
				if _, known := ids[commit]; known {
					continue
				}
				var err error
				if ids[commit], err = anyChangeID(ctx, m.History, commit); err != nil {
					return nil, err
				}
			}
		}
		return ids, nil
	})
}

// anyChangeID is changeID for what a branch names, be it a commit that is there or
// not: a branch that is broken can be told of, and so be deleted.
func anyChangeID(ctx context.Context, commits fullCommits, commit git.ObjectID) (git.ChangeID, error) {
	id, err := changeID(ctx, commits, commit)
	if err != nil && noHistory(err) == nil {
		return git.SyntheticChangeID(commit), nil
	}
	return id, err
}

// written describes the changes that a write wrote.
func (a *announcement) written(m refsMoved) ([]Change, error) {
	type key struct{ write *refWrite }
	found, err := fact(a.facts, key{m.refWrite}, func(ctx context.Context) ([]Change, error) {
		list := make([]Change, len(m.Written))
		for i, w := range m.Written {
			var err error
			if list[i], _, err = describeChange(ctx, m.History, w.Commit); err != nil {
				return nil, err
			}
		}
		return list, nil
	})
	return slices.Clone(found), err
}

// head is the change at the default branch of a repository to which something
// happened as a whole.
func (a *announcement) head(e repositoryEvent) (ChangeAt, error) {
	tip, err := a.tx.Refs().Get(a.repo.RepositoryKey, a.repo.DefaultBranch)
	if errors.Is(err, cairn.NotFound) {
		return ChangeAt{}, nil
	}
	if err != nil {
		return ChangeAt{}, err
	}
	from := a.repo.RepositoryKey
	if e.kind == repositoryForked { // it is not there yet where this is read
		from.Repository = a.repo.Parent
	}
	type key struct {
		cairn.RepositoryKey
		commit git.ObjectID
	}
	id, err := fact(a.facts, key{from, tip.Target}, func(ctx context.Context) (git.ChangeID, error) {
		sn, err := a.service.store.SnapshotOf(ctx, from)
		if err != nil {
			return git.ChangeID{}, err
		}
		defer sn.Close()
		return anyChangeID(ctx, sn, tip.Target)
	})
	return ChangeAt{id, tip.Target}, err
}
