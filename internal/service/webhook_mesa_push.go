package service

import (
	"context"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
)

// maxReconciled is how many commits of one push are counted.
const maxReconciled = 100_000

// reconciliation counts what a push came to as changes see it.
type reconciliation struct {
	Commits int `json:"reconciled_commit_count"` // that are new; at most maxReconciled
	Changes int `json:"touched_change_count"`    // that they are of
	Created int `json:"changes_created_count"`   // of these, that nobody knew
	Evolved int `json:"evolog_inserted_count"`   // commits that replace another one of their change
	Invalid int `json:"invalid_change_id_header_count"`
	Dirty   int `json:"dirty_change_skip_count"` // nothing here holds back a change
}

// reconciliation counts the new commits of a push.
func (a *announcement) reconciliation(m refsMoved) (reconciliation, error) {
	if len(m.Packs) == 0 {
		return reconciliation{}, nil // nothing is new
	}
	type key struct{ write *refWrite }
	return fact(a.facts, key{m.refWrite}, func(ctx context.Context) (reconciliation, error) {
		r := reconciler{state: &changeState{m.state, a.service}, write: m.refWrite, told: map[git.ChangeID]int{}}
		return r.run(ctx)
	})
}

// reconciler looks at the commits that a push brings.
type reconciler struct {
	state *changeState // before the push
	write *refWrite
	count reconciliation
	told  map[git.ChangeID]int // how many commits tell each change
}

func (r *reconciler) run(ctx context.Context) (reconciliation, error) {
	if err := r.state.note(ctx); err != nil { // so that it is known what was there
		return r.count, err
	}
	added, removed, err := r.tips(ctx)
	if err != nil {
		return r.count, err
	}
	present, err := r.present(ctx)
	if err != nil {
		return r.count, err
	}
	if err := r.walk(ctx, added, present, r.add); err != nil {
		return r.count, err
	}
	known, err := r.known(ctx, removed, added)
	if err != nil {
		return r.count, err
	}
	for id, commits := range r.told {
		r.count.Changes++
		r.count.Evolved += commits
		if !known[id] {
			r.count.Created++
			r.count.Evolved--
		}
	}
	return r.count, nil
}

// tips are the commits that refs are moved to and from.
func (r *reconciler) tips(ctx context.Context) (added, removed []git.ObjectID, err error) {
	for _, u := range r.write.Updates {
		for _, end := range []struct {
			id   git.ObjectID
			list *[]git.ObjectID
		}{{u.New, &added}, {u.Old, &removed}} {
			if end.id.IsZero() {
				continue
			}
			commit, err := r.write.History.PeelToCommit(ctx, end.id)
			if err == nil {
				*end.list = append(*end.list, commit)
			} else if err := noHistory(err); err != nil {
				return nil, nil, err
			}
		}
	}
	return added, removed, nil
}

// present are the commits that refs led to before.
func (r *reconciler) present(ctx context.Context) (list []git.ObjectID, err error) {
	for _, ref := range r.state.Refs() {
		if list, err = r.state.appendCommit(ctx, list, ref.Target); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// walk calls f for the commits that some lead to and others do not.
func (r *reconciler) walk(ctx context.Context, from, without []git.ObjectID, f func(git.ObjectID, *git.Commit)) error {
	walk := graph.NewWalk(r.write.History, from, without)
	for range maxReconciled {
		id, _, more, err := walk.Next(ctx)
		if err != nil || !more {
			return err
		}
		commit, err := r.write.History.FullCommit(ctx, id)
		if err != nil {
			return err
		}
		f(id, commit)
	}
	return nil
}

func (r *reconciler) add(_ git.ObjectID, c *git.Commit) {
	r.count.Commits++
	id, told, found := c.ChangeID()
	if found && !told {
		r.count.Invalid++
	}
	if told {
		r.told[id]++
		return
	}
	r.count.Changes++ // its own, which nobody knew
	r.count.Created++
}

// known tells which of the told changes were there: those that were noted, and
// those of the commits that the push takes out of refs.
func (r *reconciler) known(ctx context.Context, removed, added []git.ObjectID) (map[git.ChangeID]bool, error) {
	known := map[git.ChangeID]bool{}
	err := r.walk(ctx, removed, added, func(id git.ObjectID, c *git.Commit) { known[git.ChangeIDOf(id, c)] = true })
	if err != nil {
		return nil, err
	}
	err = r.state.service.metadata.View(ctx, func(tx cairn.Tx) error {
		for id := range r.told {
			commits, err := tx.Changes().Of(r.state.Repository().RepositoryKey, id, 1)
			if err != nil {
				return err
			}
			known[id] = known[id] || len(commits) > 0
		}
		return nil
	})
	return known, err
}
