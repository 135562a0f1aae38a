package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// SyncJob is the kind of the jobs in which repositories take over what their
// upstreams have.
const SyncJob cairn.JobKind = "sync"

func (s *Service) syncJob(key cairn.RepositoryKey) cairn.Job {
	now := s.now().UTC()
	return cairn.Job{JobKey: cairn.JobKey{RepositoryKey: key, Kind: SyncJob}, CreatedAt: now, DueAt: now}
}

// Bounds of syncs.
const (
	// maxSyncAttempts is how often a sync is tried before it fails.
	maxSyncAttempts = 8
	syncWait        = 5 * time.Second // after the first attempt
	maxSyncWait     = 10 * time.Minute
	// maxSyncRefs is how many refs move in one transaction, which others wait
	// for.
	maxSyncRefs = 5_000
	// maxHaves is how many commits the upstream is told of. Those of refs that
	// moved come first, so the pack has what is new and little else.
	maxHaves = 2_048
)

// syncActor is who moves the refs of a sync, in the event log.
const syncActor = "upstream sync"

// RunSync does a SyncJob: one attempt to take over what the upstream has. What
// may go well later is tried again, at most maxSyncAttempts times.
func (s *Service) RunSync(ctx context.Context, job cairn.Job) error {
	r := &syncRun{s: s, key: job.RepositoryKey}
	err := r.attempt(ctx, job.Attempts)
	if errors.Is(err, errUpstreamChanged) {
		return nil
	}
	return err
}

func (r *syncRun) attempt(ctx context.Context, attempts int) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, r.s.limits.SyncTime)
	defer cancel()
	failure := r.run(limited)
	r.close(ctx)
	switch {
	case failure == nil:
		return r.end(ctx, nil)
	case ctx.Err() != nil:
		return failure // the server stops: this run goes on after
	case isPassing(failure) && attempts < maxSyncAttempts:
		if err := r.postpone(ctx, failure); err != nil {
			return err
		}
		return &cairn.RetryAt{Due: r.s.now().Add(cairn.BackOff(attempts, syncWait, maxSyncWait)), Err: failure}
	}
	if err := r.end(ctx, failure); err != nil {
		return err
	}
	return &cairn.GiveUp{Err: failure}
}

// errUpstreamChanged ends a run whose repository was detached or deleted
// meanwhile: nothing is left to be done or told.
var errUpstreamChanged = errors.New("the repository has no such upstream any more")

// isPassing tells whether the same sync may go well later.
func isPassing(err error) bool {
	var failed *upstream.Error
	if errors.As(err, &failed) {
		return failed.Temporary
	}
	switch cairn.KindOf(err) {
	case cairn.Invalid, cairn.Conflict, cairn.TooLarge, cairn.NotFound:
		return false
	}
	return !errors.Is(err, odb.ErrMissingObjects)
}

// syncText is what people may read of why a sync failed.
func syncText(err error) string {
	var failed *upstream.Error
	switch {
	case errors.As(err, &failed):
		return failed.Text
	case errors.Is(err, odb.ErrMissingObjects):
		return "the upstream's pack is not complete: " + err.Error()
	}
	return gitText(err)
}

// syncRun is one attempt of a sync under way.
type syncRun struct {
	s    *Service
	key  cairn.RepositoryKey
	repo cairn.Repository // as it was at the beginning

	session *upstream.Session
	theirs  map[git.RefName]git.ObjectID // branches and tags of the upstream
	head    git.RefName                  // the upstream's default branch; empty if it does not say
	tracked map[git.RefName]bool

	sn         *odb.Snapshot
	quarantine *odb.Quarantine // nil if nothing had to be fetched
	packs      []odb.Staged
	used       bool // packs are named by the repository, or may be
}

// begin marks the run as running, and tells of it if it is a new one.
func (r *syncRun) begin(ctx context.Context) error {
	defer r.s.enqueued(WebhookJob)
	return r.s.metadata.Update(ctx, func(tx cairn.Tx) (err error) {
		r.repo, err = tx.Repositories().Get(r.key)
		if errors.Is(err, cairn.NotFound) || err == nil && (r.repo.Upstream.IsZero() || !r.repo.DeletedAt.IsZero()) {
			return errUpstreamChanged
		}
		if err != nil {
			return err
		}
		state, err := syncState(tx, r.key)
		if err != nil {
			return err
		}
		isNew := state.Status != cairn.SyncRunning && state.Status != cairn.SyncRetrying
		if isNew {
			state.StartedAt = r.s.now().UTC()
		}
		state.Status = cairn.SyncRunning
		if err := tx.Upstreams().PutSync(state); err != nil || !isNew {
			return err
		}
		return r.s.announceSync(tx, r.repo, syncEvent{
			Type: cairn.SyncStartedEvent, Runs: state.Runs, IsFirst: state.SucceededAt.IsZero(), StartedAt: state.StartedAt,
		})
	})
}

// change updates what is known of the syncs of a repository that still follows
// the same upstream.
func (r *syncRun) change(ctx context.Context, f func(tx cairn.Tx, repo cairn.Repository, state *cairn.Sync) error) error {
	return r.s.metadata.Update(ctx, func(tx cairn.Tx) error {
		repo, err := tx.Repositories().Get(r.key)
		if errors.Is(err, cairn.NotFound) {
			return errUpstreamChanged
		}
		if err == nil {
			err = r.stillFollows(repo)
		}
		if err != nil {
			return err
		}
		state, err := syncState(tx, r.key)
		if err != nil {
			return err
		}
		if err := f(tx, repo, &state); err != nil {
			return err
		}
		return tx.Upstreams().PutSync(state)
	})
}

func (r *syncRun) stillFollows(repo cairn.Repository) error {
	if repo.Upstream != r.repo.Upstream || !repo.DeletedAt.IsZero() {
		return errUpstreamChanged
	}
	return nil
}

// postpone notes why an attempt failed that is not the last one.
func (r *syncRun) postpone(ctx context.Context, failure error) error {
	return r.change(ctx, func(_ cairn.Tx, _ cairn.Repository, state *cairn.Sync) error {
		state.Status, state.Error = cairn.SyncRetrying, syncText(failure)
		return nil
	})
}

// end notes how the run ended and tells of it, and opens the repository if it
// was its first.
func (r *syncRun) end(ctx context.Context, failure error) error {
	defer r.s.enqueued(WebhookJob)
	return r.change(ctx, func(tx cairn.Tx, repo cairn.Repository, state *cairn.Sync) error {
		now := r.s.now().UTC()
		event := syncEvent{Type: cairn.SyncSucceededEvent, IsFirst: state.SucceededAt.IsZero(), StartedAt: state.StartedAt, EndedAt: now}
		state.Status, state.Error = cairn.SyncSucceeded, ""
		if failure != nil {
			event.Type = cairn.SyncFailedEvent
			state.Status, state.Error = cairn.SyncFailed, syncText(failure)
		} else {
			state.SucceededAt = now
		}
		state.EndedAt = now
		state.Runs++
		event.Runs, event.Error = int64(state.Runs), state.Error
		if err := r.s.announceSync(tx, repo, event); err != nil {
			return err
		}
		isOver := failure == nil && repo.Upstream.Once
		if !repo.Syncing && !isOver {
			return nil
		}
		if _, err := tx.Repositories().Advance(r.key); err != nil {
			return err
		}
		if isOver {
			repo.Upstream = cairn.Upstream{}
			if err := deleteCredentialOf(tx, r.key); err != nil {
				return err
			}
			if err := tx.Upstreams().Forget(r.key); err != nil { // but for how this run ended, which is put last
				return err
			}
		}
		return tx.Repositories().SetUpstream(r.key, repo.Upstream, false)
	})
}

// close frees what the run holds.
func (r *syncRun) close(ctx context.Context) {
	r.s.discardUnused(ctx, r.used, r.packs)
	if r.quarantine != nil {
		r.quarantine.Close()
	}
	r.sn.Close()
}

// discardUnused removes packs that no write named.
func (s *Service) discardUnused(ctx context.Context, used bool, packs []odb.Staged) {
	if !used {
		s.store.Discard(ctx, packs...)
	}
}

// run lists what the upstream has, fetches what is not here, and moves the
// refs.
func (r *syncRun) run(ctx context.Context) error {
	if err := r.list(ctx); err != nil {
		return err
	}
	var err error
	if r.sn, err = r.s.store.SnapshotOf(ctx, r.key); err != nil {
		return err
	}
	if err := r.fetch(ctx); err != nil {
		return err
	}
	for range maxTries {
		err := r.follow(ctx)
		if conflict := (*cairn.RefConflict)(nil); !errors.As(err, &conflict) && !errors.Is(err, odb.ErrOutdated) {
			return err
		}
		if errors.Is(err, odb.ErrOutdated) {
			// If some refs have moved already, the repack may have replaced
			// the pack: it is stored anew.
			r.s.discardUnused(ctx, r.used, r.packs)
			r.packs, r.used = nil, false
		}
		if err := r.reopen(ctx); err != nil {
			return err
		}
	}
	return cairn.Errorf(cairn.Unavailable, "the repository is written to all the time")
}

// list asks the upstream for its refs.
func (r *syncRun) list(ctx context.Context) error {
	remote, err := r.s.remoteOf(ctx, r.repo)
	if err != nil {
		return err
	}
	if r.session, err = r.s.upstreams.OpenFetch(ctx, remote); err != nil {
		return err
	}
	if format := r.session.Format(); format != r.repo.Format {
		return cairn.Errorf(cairn.Invalid, "the upstream's objects are of format %s, not %s", format, r.repo.Format)
	}
	r.theirs = make(map[git.RefName]git.ObjectID, len(r.session.Refs))
	for _, ref := range r.session.Refs {
		switch {
		case ref.Name == git.HEAD:
			if ref.SymrefTarget.IsBranch() && !isOddShortName(ref.SymrefTarget) {
				r.head = ref.SymrefTarget
			}
		case !isOddShortName(ref.Name): // which no client could use
			r.theirs[ref.Name] = ref.ID
		}
	}
	var names []git.RefName
	err = r.s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		names, err = tx.Upstreams().Tracked(r.key)
		return err
	})
	r.tracked = make(map[git.RefName]bool, len(names))
	for _, name := range names {
		r.tracked[name] = true
	}
	return err
}

// fetch takes in what the upstream's refs name and no ref here leads to.
func (r *syncRun) fetch(ctx context.Context) error {
	wants := make(map[git.ObjectID]bool)
	for _, id := range r.theirs {
		if wants[id] {
			continue
		}
		known, err := r.sn.Reachable(ctx, odb.FullView, id)
		if err != nil {
			return err
		}
		if !known {
			wants[id] = true
		}
	}
	if len(wants) == 0 {
		return nil
	}
	haves, err := r.haves(ctx)
	if err != nil {
		return err
	}
	list := make([]git.ObjectID, 0, len(wants))
	for id := range wants {
		list = append(list, id)
	}
	slices.SortFunc(list, git.ObjectID.Compare)
	return r.session.Fetch(ctx, list, haves, func(pack io.Reader) (err error) {
		r.quarantine, err = r.sn.Receive(ctx, pack, odb.ReceiveOptions{Old: true})
		return err
	})
}

// haves are commits that the upstream knows, as it had them before: nothing
// that is only here is told.
func (r *syncRun) haves(ctx context.Context) ([]git.ObjectID, error) {
	var moved, others []git.ObjectID
	for _, ref := range r.sn.Refs() {
		switch target, is := r.theirs[ref.Name]; {
		case !r.tracked[ref.Name]:
		case is && target != ref.Target:
			moved = append(moved, ref.Target)
		default:
			others = append(others, ref.Target)
		}
	}
	var haves []git.ObjectID
	seen := make(map[git.ObjectID]bool)
	for _, id := range append(moved, others...) {
		commit, err := r.sn.PeelToCommit(ctx, id)
		if err != nil {
			if err := noHistory(err); err != nil {
				return nil, err
			}
			continue // a tag of a tree or blob
		}
		if len(haves) < maxHaves && !seen[commit] {
			seen[commit] = true
			haves = append(haves, commit)
		}
	}
	return haves, nil
}

// reopen goes on with the present state of the repository after another write
// came between.
func (r *syncRun) reopen(ctx context.Context) error {
	now, err := r.s.store.SnapshotOf(ctx, r.key)
	if err != nil {
		return err
	}
	if r.quarantine != nil {
		if err := r.quarantine.MoveTo(ctx, now); err != nil {
			now.Close()
			return err
		}
	}
	r.sn.Close()
	r.sn = now
	return nil
}

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
	for len(updates) > 0 {
		n := min(len(updates), maxSyncRefs)
		if err := r.apply(ctx, updates[:n]); err != nil {
			return err
		}
		updates = updates[n:]
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
		if ref, _ := r.sn.Ref(name); ref.Target != id {
			moved = append(moved, cairn.RefUpdate{Name: name, Old: ref.Target, New: id})
		}
	}
	byName := func(a, b cairn.RefUpdate) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(gone, byName)
	slices.SortFunc(moved, byName)
	return append(gone, moved...)
}

// checkObjects makes sure that all that the refs are to name is there, as a
// push would.
func (r *syncRun) checkObjects(ctx context.Context, updates []cairn.RefUpdate) error {
	for _, u := range updates {
		if u.New.IsZero() {
			continue
		}
		if err := r.connected(ctx, u.New); err != nil {
			return fmt.Errorf("%s: %w", cairn.Clip(string(u.Name)), err)
		}
		t, _, err := r.objects().Header(ctx, u.New)
		if err != nil {
			return err
		}
		if u.Name.IsBranch() && t != git.CommitObject {
			return cairn.Errorf(cairn.Invalid, "the upstream's branch %q names a %s", cairn.Clip(u.Name.Short()), t)
		}
	}
	return nil
}

func (r *syncRun) connected(ctx context.Context, id git.ObjectID) error {
	if r.quarantine != nil {
		return r.quarantine.Connected(ctx, id)
	}
	known, err := r.sn.Reachable(ctx, odb.FullView, id)
	if err == nil && !known {
		// It was when the list was read; a repack has dropped it since.
		err = cairn.Errorf(cairn.Unavailable, "object %s is gone; try again", id)
	}
	return err
}

// objects knows what is here and what was fetched.
func (r *syncRun) objects() *odb.Snapshot {
	if r.quarantine != nil {
		return r.quarantine.Snapshot
	}
	return r.sn
}

// stage makes the fetched pack ready, if it is not yet.
func (r *syncRun) stage(ctx context.Context) error {
	if r.quarantine == nil || len(r.packs) > 0 {
		return nil
	}
	staged, ok, err := r.quarantine.Stage(ctx)
	if err != nil {
		return err
	}
	if ok {
		r.packs = []odb.Staged{staged}
	}
	return nil
}

// apply moves some of the refs, and notes that they are upstream, or are not
// any more.
func (r *syncRun) apply(ctx context.Context, updates []cairn.RefUpdate) error {
	err := r.s.apply(ctx, r.sn, refWrite{
		Who:     cairn.Actor{Organization: cairn.Organization{ID: r.key.Organization}, Name: syncActor},
		Packs:   r.packs,
		Updates: updates,
		History: r.objects(),
		Mirror:  true,
		Also: func(tx cairn.Tx, repo cairn.Repository) error {
			if err := r.stillFollows(repo); err != nil {
				return err
			}
			return trackUpdates(tx, repo.RepositoryKey, updates)
		},
	})
	r.used = r.used || err == nil || !isRefused(err) && !errors.Is(err, errUpstreamChanged)
	return err
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
	err := r.s.metadata.Update(ctx, func(tx cairn.Tx) error {
		repo, err := tx.Repositories().Advance(r.key)
		if err != nil {
			return err
		}
		if err := r.stillFollows(repo); err != nil {
			return err
		}
		if branch != old {
			if err := tx.Repositories().SetDefaultBranch(r.key, branch); err != nil {
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
