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
	var moves []bookmarkMove
	seen := map[git.RefName]bool{}
	for _, u := range m.Updates {
		name, ok := bookmarkOf(u.Name)
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		move, err := a.bookmarkMove(m, name)
		if err != nil {
			return nil, err
		}
		moves = append(moves, move)
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

func (a *announcement) bookmarkMove(m refsMoved, name git.RefName) (bookmarkMove, error) {
	move := bookmarkMove{ref: name}
	move.before.there = name == a.repo.DefaultBranch
	move.after.there = move.before.there
	for _, ref := range []git.RefName{name, emptyBookmark(name)} {
		u := cairn.RefUpdate{Name: ref}
		if i := slices.IndexFunc(m.Updates, func(u cairn.RefUpdate) bool { return u.Name == ref }); i >= 0 {
			u = m.Updates[i]
		} else if present, err := a.tx.Refs().Get(a.repo.RepositoryKey, ref); err == nil {
			u.Old, u.New = present.Target, present.Target
		} else if !errors.Is(err, cairn.NotFound) {
			return move, err
		}
		move.before.there = move.before.there || !u.Old.IsZero()
		move.after.there = move.after.there || !u.New.IsZero()
		if ref == name {
			move.before.commit, move.after.commit = u.Old, u.New
		}
	}
	return move, nil
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
				id, err := changeID(ctx, m.History, commit)
				if err != nil {
					return nil, err
				}
				ids[commit] = id
			}
		}
		return ids, nil
	})
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
		return changeID(ctx, sn, tip.Target)
	})
	return ChangeAt{id, tip.Target}, err
}
