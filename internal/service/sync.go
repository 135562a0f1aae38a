package service

import (
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
	// keptSyncs is how many runs that ended the log has of each repository.
	keptSyncs = 50
	// maxSyncRefs is how many refs move in one transaction, which others wait
	// for.
	maxSyncRefs = 5_000
	// maxHaves is how many commits the upstream is told of. Those of refs that
	// moved come first, so the pack has what is new and little else.
	maxHaves = 2_048
)

// syncActor is who moves the refs of a sync, in the event log.
const syncActor = "upstream sync"

// RunSync does a SyncJob: one attempt at the oldest run of the repository that
// has not ended. What may go well later is tried again, at most maxSyncAttempts
// times; runs that wait come after it.
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
	failure := errCutShort
	if attempts <= maxSyncAttempts {
		limited, cancel := context.WithTimeout(ctx, r.s.limits.SyncTime)
		defer cancel()
		failure = r.run(limited)
		r.close(ctx)
	}
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

// errCutShort ends a run at which the server has ended each time.
var errCutShort error = cairn.Errorf(cairn.Unavailable, "the server ended during each attempt")

// errUpstreamChanged ends a run whose repository was deleted or got another
// upstream meanwhile: nothing is left to be done or told.
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
	log  cairn.SyncRun    // the run's entry
	// noted is what became of the refs so far.
	noted map[git.RefName]cairn.SyncRef

	session *upstream.Session
	theirs  map[git.RefName]git.ObjectID // branches and tags of the upstream that the run is about
	head    git.RefName                  // the upstream's default branch; empty if it does not say
	tracked map[git.RefName]bool

	sn         *odb.Snapshot
	quarantine *odb.Quarantine // nil if nothing had to be fetched
	packs      []odb.Staged
	used       bool // packs are named by the repository, or may be
}

// begin finds the run, marks it as running, and tells of it if it is a new one.
func (r *syncRun) begin(ctx context.Context) error {
	defer r.s.enqueued(WebhookJob)
	err := r.s.metadata.Update(ctx, func(tx cairn.Tx) (err error) {
		r.repo, err = tx.Repositories().Get(r.key)
		if errors.Is(err, cairn.NotFound) || err == nil && (r.repo.Upstream.IsZero() || !r.repo.DeletedAt.IsZero()) {
			return errUpstreamChanged
		}
		if err != nil {
			return err
		}
		waiting, err := tx.Upstreams().Waiting(r.key)
		if err != nil {
			return err
		}
		if len(waiting) == 0 {
			return errUpstreamChanged
		}
		r.log = waiting[0]
		state, err := syncState(tx, r.key)
		if err != nil {
			return err
		}
		isNew := r.log.Status == cairn.SyncQueued
		if isNew {
			r.log.StartedAt = r.s.now().UTC()
			state.StartedAt = r.log.StartedAt
		}
		state.Status, r.log.Status = cairn.SyncRunning, cairn.SyncRunning
		r.log.Attempts++
		if err := tx.Upstreams().PutRun(r.log); err != nil {
			return err
		}
		if err := tx.Upstreams().PutSync(state); err != nil || !isNew {
			return err
		}
		return r.s.announceSync(tx, r.repo, syncEvent{
			Type: cairn.SyncStartedEvent, Run: r.log, Runs: state.Runs, IsFirst: state.SucceededAt.IsZero(), StartedAt: state.StartedAt,
		})
	})
	r.noted = make(map[git.RefName]cairn.SyncRef)
	for _, ref := range r.log.Refs {
		if ref.Outcome == cairn.RefUpdated { // by an attempt before
			r.noted[ref.Name] = ref
		}
	}
	return err
}

// change updates what is known of the run and of the syncs of a repository that
// still has the same upstream.
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
		if r.log, err = tx.Upstreams().Run(r.key, r.log.ID); errors.Is(err, cairn.NotFound) {
			return errUpstreamChanged
		} else if err != nil {
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
	return r.change(ctx, func(tx cairn.Tx, _ cairn.Repository, state *cairn.Sync) error {
		state.Status, state.Error = cairn.SyncRetrying, syncText(failure)
		r.log.Status, r.log.Error = state.Status, state.Error
		return tx.Upstreams().PutRun(r.log)
	})
}

// end notes how the run ended and tells of it, opens the repository if it was
// its first, and has the next run begin.
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
		r.log.Status, r.log.Error, r.log.EndedAt, r.log.Refs = state.Status, state.Error, now, r.refs(nil)
		event.Run, event.Runs, event.Error = r.log, state.Runs, state.Error
		if err := r.s.announceSync(tx, repo, event); err != nil {
			return err
		}
		if err := r.putEnded(tx); err != nil {
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

// putEnded puts a run that ended into the log, which forgets the oldest, and
// has the next one begin.
func (r *syncRun) putEnded(tx cairn.Tx) error {
	if err := tx.Upstreams().PutRun(r.log); err != nil {
		return err
	}
	if err := tx.Upstreams().ForgetRuns(r.key, keptSyncs); err != nil {
		return err
	}
	waiting, err := tx.Upstreams().Waiting(r.key)
	if err != nil || len(waiting) == 0 {
		return err
	}
	return tx.Jobs().Enqueue(r.s.syncJob(r.key))
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

// run does what the run is for.
func (r *syncRun) run(ctx context.Context) error {
	switch {
	case r.log.Direction == cairn.Push:
		return r.push(ctx)
	case r.log.Follow:
		return r.pull(ctx, r.follow)
	}
	return r.pull(ctx, r.forward)
}

// pull lists what the upstream has, fetches what is not here, and has move move
// the refs.
func (r *syncRun) pull(ctx context.Context, move func(context.Context) error) error {
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
		err := move(ctx)
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

// checkFormat refuses an upstream with another kind of ids.
func (r *syncRun) checkFormat() error {
	if format := r.session.Format(); format != r.repo.Format {
		return cairn.Errorf(cairn.Invalid, "the upstream's objects are of format %s, not %s", format, r.repo.Format)
	}
	return nil
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
	if err := r.checkFormat(); err != nil {
		return err
	}
	isChosen, err := refChoice(r.log.Branches, r.log.Tags)
	if err != nil {
		return err
	}
	r.theirs = make(map[git.RefName]git.ObjectID, len(r.session.Refs))
	for _, ref := range r.session.Refs {
		switch {
		case ref.Name == git.HEAD:
			if ref.SymrefTarget.IsBranch() && !isOddShortName(ref.SymrefTarget) {
				r.head = ref.SymrefTarget
			}
		case !isChosen(ref.Name):
		case isOddShortName(ref.Name): // which no client could use
			r.note(cairn.SyncRef{Name: ref.Name, After: ref.ID, Outcome: cairn.RefFiltered})
		default:
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
// that is only here is told. A run that does not follow knows nothing of before.
func (r *syncRun) haves(ctx context.Context) ([]git.ObjectID, error) {
	if !r.log.Follow {
		return r.history(ctx)
	}
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

// applyAll moves refs, not too many in one transaction.
func (r *syncRun) applyAll(ctx context.Context, updates []cairn.RefUpdate) error {
	for batch := range slices.Chunk(updates, maxSyncRefs) {
		if err := r.apply(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// actor is who writes what a run changes here.
func (r *syncRun) actor() cairn.Actor {
	return cairn.Actor{Organization: cairn.Organization{ID: r.key.Organization}, Name: syncActor}
}

// apply moves some of the refs, and notes in the same transaction that it did,
// and that they are upstream, or are not any more.
func (r *syncRun) apply(ctx context.Context, updates []cairn.RefUpdate) error {
	err := r.s.apply(ctx, r.sn, refWrite{
		Who:     r.actor(),
		Packs:   r.packs,
		Updates: updates,
		History: r.objects(),
		Mirror:  true,
		Also: func(tx cairn.Tx, repo cairn.Repository) error {
			if err := r.stillFollows(repo); err != nil {
				return err
			}
			if err := r.putProgress(tx, updates); err != nil || !repo.Upstream.Follows() {
				return err
			}
			return trackUpdates(tx, repo.RepositoryKey, updates)
		},
	})
	if err == nil {
		for _, u := range updates {
			r.note(updated(u))
		}
	}
	r.used = r.used || err == nil || !isRefused(err) && !errors.Is(err, errUpstreamChanged)
	return err
}
