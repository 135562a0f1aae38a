package service

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// AllRefs is the pattern that every name matches.
const AllRefs = "*"

// syncIDPrefix begins the ids of runs as they are shown.
const syncIDPrefix = "sync_"

// PublicSyncID is the id of a run as it is shown and sent.
func PublicSyncID(id cairn.SyncRunID) string { return syncIDPrefix + string(id) }

// maxWaitingSyncs is how many runs of one repository may wait.
const maxWaitingSyncs = 20

// Bounds of pages of the log.
const (
	syncsPerPage    = 20
	maxSyncsPerPage = 100
)

// SyncRequest says what to exchange with an upstream: refs by the short names of
// branches and of tags, in which "*" stands for any text and "?" for one
// character. An empty pattern chooses none.
type SyncRequest struct {
	Direction      cairn.SyncDirection
	Branches, Tags string
}

// RequestSync has a repository exchange refs with its upstream, in the
// background and after all that was asked for before. Refs are moved forward
// only, and none is deleted, whether the repository follows the upstream or not.
func (s *Service) RequestSync(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, in SyncRequest) (run cairn.SyncRun, err error) {
	if err := authorize(who, name, cairn.GitWrite); err != nil {
		return run, err
	}
	if in.Direction != cairn.Pull && in.Direction != cairn.Push {
		return run, cairn.Errorf(cairn.Invalid, "direction %q is neither pull nor push", cairn.Clip(string(in.Direction)))
	}
	if _, err := refChoice(in.Branches, in.Tags); err != nil {
		return run, err
	}
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		repo, err := findRepository(tx, who, name)
		switch {
		case err != nil:
			return err
		case repo.Upstream.IsZero():
			return noUpstream(name)
		case repo.Syncing:
			return errFirstSync
		}
		run, err = s.enqueueForward(tx, repo, in)
		return err
	})
	if err == nil {
		s.syncEnqueued()
	}
	return run, err
}

func noUpstream(name cairn.RepositoryName) error {
	return cairn.Errorf(cairn.Invalid, "repository %q has no upstream", cairn.Clip(string(name)))
}

// syncEnqueued has a run that was enqueued begin, and be told of.
func (s *Service) syncEnqueued() {
	s.enqueued(SyncJob)
	s.enqueued(WebhookJob)
}

// enqueueForward enqueues a run that moves refs forward, unless too many wait.
func (s *Service) enqueueForward(tx cairn.Tx, repo cairn.Repository, in SyncRequest) (cairn.SyncRun, error) {
	waiting, err := tx.Upstreams().Waiting(repo.RepositoryKey)
	if err != nil {
		return cairn.SyncRun{}, err
	}
	if len(waiting) >= maxWaitingSyncs {
		return cairn.SyncRun{}, cairn.Errorf(cairn.RateLimited, "%d syncs of this repository wait already", len(waiting))
	}
	return s.enqueueRun(tx, repo, cairn.SyncRun{Direction: in.Direction, Branches: in.Branches, Tags: in.Tags})
}

// requestFollow enqueues a run that takes over all that the upstream has, or
// becomes one with such a run that has not begun. If none succeeded yet, the
// repository is closed until this one ends.
func (s *Service) requestFollow(tx cairn.Tx, repo cairn.Repository) error {
	state, err := syncState(tx, repo.RepositoryKey)
	if err != nil {
		return err
	}
	if state.SucceededAt.IsZero() && !repo.Syncing {
		if _, err := tx.Repositories().Advance(repo.RepositoryKey); err != nil {
			return err
		}
		if err := tx.Repositories().SetUpstream(repo.RepositoryKey, repo.Upstream, true); err != nil {
			return err
		}
	}
	run := cairn.SyncRun{Direction: cairn.Pull, Follow: true, Branches: AllRefs, Tags: AllRefs}
	waiting, err := tx.Upstreams().Waiting(repo.RepositoryKey)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(waiting, func(r cairn.SyncRun) bool { return r.Follow && r.Status != cairn.SyncRunning }); i >= 0 {
		run = waiting[i]
	}
	_, err = s.enqueueRun(tx, repo, run)
	return err
}

// enqueueRun puts a run into the log, a new one unless it has an id, and
// enqueues the job that does it. A new one is told of; the caller calls
// s.syncEnqueued after the transaction.
func (s *Service) enqueueRun(tx cairn.Tx, repo cairn.Repository, run cairn.SyncRun) (cairn.SyncRun, error) {
	key := repo.RepositoryKey
	state, err := syncState(tx, key)
	if err != nil {
		return run, err
	}
	run.RequestedAt = s.now().UTC()
	if run.ID == "" {
		run.RepositoryKey, run.ID, run.Status = key, cairn.SyncRunID(cairn.NewID()), cairn.SyncQueued
		if err := s.announceSync(tx, repo, syncEvent{Run: run, Runs: state.Runs, IsFirst: state.SucceededAt.IsZero()}); err != nil {
			return run, err
		}
	}
	if state.Status != cairn.SyncRunning && state.Status != cairn.SyncRetrying {
		state.Status = cairn.SyncQueued
	}
	state.RequestedAt = run.RequestedAt
	if err := tx.Upstreams().PutSync(state); err != nil {
		return run, err
	}
	if err := tx.Upstreams().PutRun(run); err != nil {
		return run, err
	}
	return run, tx.Jobs().Enqueue(s.syncJob(key))
}

// SyncPage is a part of the log of syncs.
type SyncPage struct {
	Runs []cairn.SyncRun
	Next string // the cursor of the next page; empty at the end
}

// SyncRuns returns a repository's log of syncs, the newest first.
func (s *Service) SyncRuns(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, cursor string, limit int) (page SyncPage, err error) {
	if err := authorize(who, name, cairn.GitRead); err != nil {
		return page, err
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return page, err
	}
	limit = clampLimit(limit, syncsPerPage, maxSyncsPerPage)
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		repo, err := findRepository(tx, who, name)
		if err != nil {
			return err
		}
		listing := query{"syncs", string(repo.Organization), string(repo.Repository)}
		position, err := listing.position(cursor, 1)
		if err != nil {
			return err
		}
		var before cairn.SyncRunID
		if position != nil {
			before = cairn.SyncRunID(position[0])
		}
		page = SyncPage{}
		if page.Runs, err = tx.Upstreams().Runs(repo.RepositoryKey, before, limit+1); err != nil {
			return err
		}
		if len(page.Runs) > limit {
			page.Runs = page.Runs[:limit]
			page.Next = listing.cursor(string(page.Runs[limit-1].ID))
		}
		return nil
	})
	return page, err
}

// SyncRun returns a run of a repository that the log still has, by its public
// id.
func (s *Service) SyncRun(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, id string) (run cairn.SyncRun, err error) {
	if err := authorize(who, name, cairn.GitRead); err != nil {
		return run, err
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		repo, err := findRepository(tx, who, name)
		if err != nil {
			return err
		}
		stored, ok := strings.CutPrefix(id, syncIDPrefix)
		run, err = tx.Upstreams().Run(repo.RepositoryKey, cairn.SyncRunID(stored))
		if !ok || errors.Is(err, cairn.NotFound) {
			return cairn.Errorf(cairn.NotFound, "sync %q not found", cairn.Clip(id))
		}
		return err
	})
	return run, err
}

// note notes what became of a ref.
func (r *syncRun) note(ref cairn.SyncRef) { noteIn(r.noted, ref) }

// noteIn notes what became of a ref beside what became of it in an earlier
// attempt, or try: one that was moved did not stay unchanged.
func noteIn(noted map[git.RefName]cairn.SyncRef, ref cairn.SyncRef) {
	if before, again := noted[ref.Name]; again && before.Outcome == cairn.RefUpdated {
		if ref.Outcome == cairn.RefUnchanged && before.After == ref.After {
			return
		}
		ref.Before = before.Before
	}
	noted[ref.Name] = ref
}

// updated is a ref that was moved.
func updated(u cairn.RefUpdate) cairn.SyncRef {
	return cairn.SyncRef{Name: u.Name, Before: u.Old, After: u.New, Outcome: cairn.RefUpdated}
}

// putProgress notes that refs move, in the transaction that moves them.
func (r *syncRun) putProgress(tx cairn.Tx, updates []cairn.RefUpdate) error {
	entry := r.log
	entry.Refs = r.refs(updates)
	return tx.Upstreams().PutRun(entry)
}

// refs is what the log has of a run's refs, by name: of too many, those of which
// there is more to say than that they stayed. Deletions are not in it.
func (r *syncRun) refs(updates []cairn.RefUpdate) []cairn.SyncRef {
	noted := maps.Clone(r.noted)
	for _, u := range updates {
		noteIn(noted, updated(u))
	}
	list := slices.Collect(maps.Values(noted))
	list = slices.DeleteFunc(list, func(ref cairn.SyncRef) bool { return ref.After.IsZero() })
	slices.SortFunc(list, func(a, b cairn.SyncRef) int {
		return cmp.Or(cmp.Compare(interest[a.Outcome], interest[b.Outcome]), cmp.Compare(a.Name, b.Name))
	})
	list = list[:min(len(list), cairn.MaxSyncRefs)]
	slices.SortFunc(list, func(a, b cairn.SyncRef) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// interest orders outcomes by how much there is to say of them.
var interest = map[cairn.SyncOutcome]int{cairn.RefUpdated: 0, cairn.RefRejected: 1, cairn.RefFiltered: 2, cairn.RefUnchanged: 3}
