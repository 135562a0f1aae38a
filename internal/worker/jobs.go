package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// JobKind is how the jobs of one kind are run.
type JobKind struct {
	Kind cairn.JobKind
	// Run does a job; the same one may be run again, after a crash even if it
	// was done. After nil the job is removed, after a *cairn.GiveUp as well,
	// after a *cairn.RetryAt it runs again at that time, and after any other
	// error when BackOff says.
	Run func(context.Context, cairn.Job) error
	// AtOnce is how many of them run at a time in this process, and
	// OrganizationAtOnce how many of those for one organization. Defaults: 1
	// and AtOnce. AtOnce / OrganizationAtOnce is at most cairn.MaxDueExcept.
	AtOnce, OrganizationAtOnce int
	// BackOff is the time to wait after that many failed attempts; false
	// gives up. Default: from 10 seconds to 6 hours, 20 times.
	BackOff func(attempts int) (time.Duration, bool)
}

// JobOptions are what a JobRunner is made of.
type JobOptions struct {
	Metadata cairn.Metadata
	Logger   *slog.Logger
	Kinds    []JobKind
	// Poll is the time between two looks for jobs that other processes
	// enqueued, Lease how long a job is another's after the process that had
	// it is gone. Defaults: 10 seconds, 1 minute.
	Poll, Lease time.Duration
	// Alone says that no other process runs these jobs: what is claimed at the
	// start was claimed by one that is gone, and is due soon.
	Alone bool
	// Now is the clock by which jobs are due; nil means time.Now.
	Now func() time.Time
	// Ended is told of every run: how long the job waited beyond the time at
	// which it was due, how long it ran, and the error. Nil is fine.
	Ended func(kind cairn.JobKind, result JobResult, waited, ran time.Duration)
}

// JobResult is how a run of a job ended.
type JobResult string

// The results of jobs.
const (
	JobDone        JobResult = "done"
	JobRetried     JobResult = "retried"     // it failed, and will run again
	JobGivenUp     JobResult = "given up"    // it failed, and will not
	JobInterrupted JobResult = "interrupted" // it is due again: the process stopped
	JobLost        JobResult = "lost"        // another process has it: this one was too slow
)

// JobRunner runs jobs until it is closed. Any number of processes may run the
// same ones: a job is claimed before it is run, for as long as its process
// lives. It is safe for concurrent use.
type JobRunner struct {
	options JobOptions
	kinds   map[cairn.JobKind]*jobQueue
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// jobQueue is what a JobRunner knows of one kind.
type jobQueue struct {
	JobKind
	wake chan struct{} // holds one: look again

	mu      sync.Mutex
	running map[cairn.OrganizationID]int
	count   int
}

// StartJobs returns a JobRunner that is at work.
func StartJobs(o JobOptions) *JobRunner {
	if o.Poll == 0 {
		o.Poll = 10 * time.Second
	}
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ended == nil {
		o.Ended = func(cairn.JobKind, JobResult, time.Duration, time.Duration) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &JobRunner{options: o, kinds: make(map[cairn.JobKind]*jobQueue), cancel: cancel}
	for _, kind := range o.Kinds {
		kind.AtOnce = max(kind.AtOnce, 1)
		if kind.OrganizationAtOnce <= 0 {
			kind.OrganizationAtOnce = kind.AtOnce
		}
		if kind.BackOff == nil {
			kind.BackOff = defaultBackOff
		}
		q := &jobQueue{JobKind: kind, wake: make(chan struct{}, 1), running: make(map[cairn.OrganizationID]int)}
		r.kinds[kind.Kind] = q
		r.done.Go(func() { r.serve(ctx, q) })
	}
	return r
}

func defaultBackOff(attempts int) (time.Duration, bool) {
	return cairn.BackOff(attempts, 10*time.Second, 6*time.Hour), attempts < 20
}

// Wake has the runner look for jobs of a kind at once: this process has just
// enqueued one. It never blocks.
func (r *JobRunner) Wake(kind cairn.JobKind) {
	if q := r.kinds[kind]; q != nil {
		q.look()
	}
}

// Running returns how many jobs of each kind are running.
func (r *JobRunner) Running() map[cairn.JobKind]int {
	running := make(map[cairn.JobKind]int)
	for kind, q := range r.kinds {
		q.mu.Lock()
		running[kind] = q.count
		q.mu.Unlock()
	}
	return running
}

// Close stops the work, interrupting what is under way, and waits for it. What
// it interrupts is due again.
func (r *JobRunner) Close() {
	r.cancel()
	r.done.Wait()
}

func (q *jobQueue) look() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// maxReclaimed bounds how many jobs are looked at for claims at the start.
const maxReclaimed = 1000

// reclaim makes jobs due whose process is gone: soon the first time, and after
// an ever longer time, up to the lease, those at which it ended more often, as
// they may be why. Those beyond the bound wait until their claims end.
func (r *JobRunner) reclaim(ctx context.Context, kind cairn.JobKind) error {
	now := r.options.Now()
	ends := now.Add(r.options.Lease)
	return r.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		claimed, err := tx.Jobs().Due(kind, ends, nil, maxReclaimed)
		if err != nil {
			return err
		}
		for _, job := range claimed {
			due := now.Add(cairn.BackOff(job.Attempts, time.Second, r.options.Lease))
			if job.Claim == "" || !due.Before(job.DueAt) {
				continue
			}
			if err := tx.Jobs().Retry(job, due, "the process ended while it had the job"); err != nil {
				return err
			}
		}
		return nil
	})
}

// serve starts the jobs of one kind as they come due and places are free.
func (r *JobRunner) serve(ctx context.Context, q *jobQueue) {
	if r.options.Alone {
		if err := r.reclaim(ctx, q.Kind); err != nil && ctx.Err() == nil {
			r.options.Logger.Warn("jobs of a process that is gone wait until their claims end", "kind", q.Kind, "error", err)
		}
	}
	var failures int
	for {
		wait, err := r.startDue(ctx, q)
		if failures++; err == nil {
			failures = 0
		} else if ctx.Err() == nil {
			r.options.Logger.Error("jobs cannot be claimed", "kind", q.Kind, "error", err)
			wait = cairn.BackOff(failures, time.Second, time.Minute)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-q.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// startDue starts what is due as far as there are places, and returns after
// what time there is something to do again, unless a wake comes before.
func (r *JobRunner) startDue(ctx context.Context, q *jobQueue) (time.Duration, error) {
	for {
		free, full := q.places()
		if free == 0 {
			return math.MaxInt64, nil // a job that ends wakes
		}
		var due []cairn.Job
		err := r.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
			due, err = tx.Jobs().Due(q.Kind, farFuture, full, free)
			return err
		})
		if err != nil {
			return 0, err
		}
		now := r.options.Now()
		if len(due) == 0 {
			return r.options.Poll, nil
		}
		if wait := due[0].DueAt.Sub(now); wait > 0 {
			return min(wait, r.options.Poll), nil
		}
		claimed, err := r.claim(ctx, q, due, now)
		if err != nil {
			return 0, err
		}
		for _, job := range claimed {
			waited := now.Sub(due[slices.IndexFunc(due, func(j cairn.Job) bool { return j.JobKey == job.JobKey })].DueAt)
			r.done.Go(func() { r.run(ctx, q, job, waited) })
		}
	}
}

var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// places returns how many more jobs may run, and the organizations that have
// their share.
func (q *jobQueue) places() (free int, full []cairn.OrganizationID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for org, n := range q.running {
		if n >= q.OrganizationAtOnce {
			full = append(full, org)
		}
	}
	return q.AtOnce - q.count, full
}

// claim takes those of the jobs that are due and within the share of their
// organization.
func (r *JobRunner) claim(ctx context.Context, q *jobQueue, due []cairn.Job, now time.Time) (claimed []cairn.Job, err error) {
	err = r.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		claimed = nil
		share := make(map[cairn.OrganizationID]int)
		for _, job := range due {
			if job.DueAt.After(now) || !q.hasPlace(job.Organization, share[job.Organization]) {
				continue
			}
			got, err := tx.Jobs().Claim(job.JobKey, now, now.Add(r.options.Lease))
			if errors.Is(err, cairn.Conflict) || errors.Is(err, cairn.NotFound) {
				continue // another process was quicker
			}
			if err != nil {
				return err
			}
			share[job.Organization]++
			claimed = append(claimed, got)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, job := range claimed {
		q.running[job.Organization]++
		q.count++
	}
	return claimed, nil
}

// hasPlace tells whether an organization may have one more job running beside
// those that it is about to get.
func (q *jobQueue) hasPlace(org cairn.OrganizationID, more int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running[org]+more < q.OrganizationAtOnce
}

// ended gives the place of a job back.
func (q *jobQueue) ended(org cairn.OrganizationID) {
	q.mu.Lock()
	q.count--
	if q.running[org]--; q.running[org] == 0 {
		delete(q.running, org)
	}
	q.mu.Unlock()
	q.look()
}

// run runs a claimed job and notes how it ended.
func (r *JobRunner) run(ctx context.Context, q *jobQueue, job cairn.Job, waited time.Duration) {
	defer q.ended(job.Organization)
	begun := time.Now()
	held, release := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() { defer close(kept); r.keep(held, release, job) }()
	err := runSafely(held, q.Run, job)
	lost := errors.Is(context.Cause(held), errLost)
	release(nil)
	<-kept
	result := JobLost
	if !lost {
		// What the stop of the server interrupts is still noted.
		result, err = r.settle(context.WithoutCancel(ctx), ctx.Err() != nil, q, job, err)
	}
	r.options.Ended(job.Kind, result, waited, time.Since(begun))
	if err == nil && !lost {
		return
	}
	level := slog.LevelWarn
	var at *cairn.RetryAt
	if result == JobInterrupted || errors.As(err, &at) {
		level = slog.LevelDebug // expected, and noted by whoever asked for it
	}
	r.options.Logger.Log(context.WithoutCancel(ctx), level, "job did not succeed", "kind", job.Kind, "result", string(result), "organization_id", job.Organization,
		"repository_id", job.Repository, "name", job.Name, "attempts", job.Attempts, "error", err)
}

// runSafely makes a panic of a job its error, so that it ends neither the
// process nor the other jobs.
func runSafely(ctx context.Context, run func(context.Context, cairn.Job) error, job cairn.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return run(ctx, job)
}

var errLost = errors.New("the claim of the job is over")

// keep renews the claim of a job until ctx is done. When that fails for as long
// as the claim lasts, another process may have the job: it is interrupted.
func (r *JobRunner) keep(ctx context.Context, interrupt context.CancelCauseFunc, job cairn.Job) {
	ticker := time.NewTicker(r.options.Lease / 3)
	defer ticker.Stop()
	ends := job.DueAt
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		until := r.options.Now().Add(r.options.Lease)
		err := r.options.Metadata.Update(ctx, func(tx cairn.Tx) error { return tx.Jobs().Renew(job, until) })
		switch {
		case err == nil:
			ends = until
		case errors.Is(err, cairn.Conflict), r.options.Now().Add(r.options.Lease / 3).After(ends):
			interrupt(errLost)
			return
		}
	}
}

// settle notes how a run ended, and returns what is to be logged.
func (r *JobRunner) settle(ctx context.Context, stopped bool, q *jobQueue, job cairn.Job, err error) (JobResult, error) {
	now := r.options.Now()
	var end func(cairn.Jobs) error
	var result JobResult
	var at *cairn.RetryAt
	var giveUp *cairn.GiveUp
	wait, again := q.BackOff(job.Attempts)
	switch {
	case err == nil:
		result, end = JobDone, func(jobs cairn.Jobs) error { return jobs.Finish(job) }
	case errors.As(err, &giveUp):
		result, end = JobGivenUp, func(jobs cairn.Jobs) error { return jobs.Finish(job) }
	case errors.As(err, &at):
		result, end = JobRetried, func(jobs cairn.Jobs) error { return jobs.Retry(job, at.Due, err.Error()) }
	case stopped:
		result, end = JobInterrupted, func(jobs cairn.Jobs) error { return jobs.Release(job, now) }
	case again:
		result, end = JobRetried, func(jobs cairn.Jobs) error { return jobs.Retry(job, now.Add(wait), err.Error()) }
	default:
		result, end = JobGivenUp, func(jobs cairn.Jobs) error { return jobs.Finish(job) }
	}
	failed := r.options.Metadata.Update(ctx, func(tx cairn.Tx) error { return end(tx.Jobs()) })
	if errors.Is(failed, cairn.Conflict) {
		return JobLost, errors.Join(err, failed)
	}
	return result, errors.Join(err, failed) // the job is due again when the claim ends
}
