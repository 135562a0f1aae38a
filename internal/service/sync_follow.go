package service

import (
	"cmp"
	"context"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// follow makes the refs here what they are upstream: those that it has, and
// those that it had. Branches and tags that it never had stay.
func (r *syncRun) follow(ctx context.Context) error {
	updates := r.updates()
	if err := r.checkObjects(ctx, updates); err != nil {
		return err
	}
	if err := r.stage(ctx); err != nil {
		return err
	}
	if err := r.applyAll(ctx, updates); err != nil {
		return err
	}
	return r.settle(ctx)
}

// updates are the refs to move, deletions first: what comes may be a folder of
// what goes.
func (r *syncRun) updates() []cairn.RefUpdate {
	var gone, moved []cairn.RefUpdate
	for name := range r.tracked {
		if _, is := r.theirs[name]; is {
			continue
		}
		if ref, here := r.sn.Ref(name); here && name != r.sn.Repository().DefaultBranch {
			gone = append(gone, cairn.RefUpdate{Name: name, Old: ref.Target})
		}
	}
	for name, id := range r.theirs {
		ref, _ := r.sn.Ref(name)
		if ref.Target == id {
			r.note(cairn.SyncRef{Name: name, Before: id, After: id, Outcome: cairn.RefUnchanged})
			continue
		}
		moved = append(moved, cairn.RefUpdate{Name: name, Old: ref.Target, New: id})
	}
	byName := func(a, b cairn.RefUpdate) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(gone, byName)
	slices.SortFunc(moved, byName)
	return append(gone, moved...)
}

// trackUpdates notes which refs are upstream after updates that both sides
// have.
func trackUpdates(tx cairn.Tx, key cairn.RepositoryKey, updates []cairn.RefUpdate) error {
	var there, gone []git.RefName
	for _, u := range updates {
		if u.New.IsZero() {
			gone = append(gone, u.Name)
		} else {
			there = append(there, u.Name)
		}
	}
	if err := tx.Upstreams().Track(key, there); err != nil {
		return err
	}
	return tx.Upstreams().Untrack(key, gone)
}

// settle does what is left when the refs are where they are upstream: which of
// them are tracked though they did not move, and the default branch.
func (r *syncRun) settle(ctx context.Context) error {
	var there, gone []git.RefName
	for name, id := range r.theirs {
		if ref, _ := r.sn.Ref(name); ref.Target == id && !r.tracked[name] {
			there = append(there, name)
		}
	}
	for name := range r.tracked {
		if _, is := r.theirs[name]; !is {
			gone = append(gone, name)
		}
	}
	old, branch := r.sn.Repository().DefaultBranch, r.defaultBranch()
	if len(there)+len(gone) == 0 && branch == old {
		return nil
	}
	slices.Sort(there)
	err := r.s.tell(ctx, func(tx cairn.Tx, told *facts) error {
		repo, err := tx.Repositories().Advance(r.key)
		if err != nil {
			return err
		}
		if err := r.stillFollows(repo); err != nil {
			return err
		}
		if branch != old {
			if err := r.setDefaultBranch(tx, repo, branch, told); err != nil {
				return err
			}
		}
		if err := tx.Upstreams().Track(r.key, there); err != nil {
			return err
		}
		return tx.Upstreams().Untrack(r.key, gone)
	})
	if err != nil || branch == old || !r.tracked[old] {
		return err
	}
	return r.dropOld(ctx, old)
}

// setDefaultBranch switches HEAD, and tells webhooks of it.
func (r *syncRun) setDefaultBranch(tx cairn.Tx, repo cairn.Repository, branch git.RefName, told *facts) error {
	if err := tx.Repositories().SetDefaultBranch(r.key, branch); err != nil || !repo.Watched {
		return err
	}
	labels, err := tx.Repositories().Labels(r.key)
	if err != nil {
		return err
	}
	before := repo
	repo.DefaultBranch = branch
	return r.s.announceRepository(tx, repo, repositoryEvent{who: r.actor(), kind: repositoryChanged, before: before, labelsBefore: labels}, told)
}

// dropOld deletes the branch that was the default and is upstream no more.
func (r *syncRun) dropOld(ctx context.Context, old git.RefName) error {
	if _, is := r.theirs[old]; is {
		return nil
	}
	if err := r.reopen(ctx); err != nil {
		return err
	}
	ref, here := r.sn.Ref(old)
	if !here {
		return nil
	}
	return r.apply(ctx, []cairn.RefUpdate{{Name: old, Old: ref.Target}})
}

// defaultBranch is what HEAD is to name. The first sync takes the branch that
// the creator chose, if the upstream has it, else the upstream's own. Later it
// changes only if the upstream has deleted it.
func (r *syncRun) defaultBranch() git.RefName {
	present := r.sn.Repository().DefaultBranch
	_, hasHead := r.theirs[r.head]
	hasHead = hasHead || r.head != "" && len(r.theirs) == 0
	if !r.repo.Syncing {
		if _, is := r.theirs[present]; !is && r.tracked[present] && hasHead {
			return r.head
		}
		return present
	}
	if chosen := r.repo.Upstream.DefaultBranch; chosen != "" {
		if branch, err := parseDefaultBranch(chosen); err == nil {
			if _, is := r.theirs[branch]; is {
				return branch
			}
		}
	}
	if hasHead {
		return r.head
	}
	return present
}
