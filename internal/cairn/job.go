package cairn

import (
	"math/rand/v2"
	"time"
)

// JobKind says what a job does, and so who runs it.
type JobKind string

// JobKey names a job. There is at most one of a key.
type JobKey struct {
	RepositoryKey // Repository is empty for a job of the whole organization
	Kind          JobKind
	Name          string // tells the jobs of one kind and repository apart; may be empty
}

// Job is work that is to be done after the transaction that enqueued it, once
// at least, by any process of the server.
type Job struct {
	JobKey
	Payload   []byte // what its handler needs beside the key; small
	CreatedAt time.Time
	// DueAt is when it may run. While it is claimed, it is when the claim ends.
	DueAt time.Time
	// Attempts counts the claims since it was enqueued, the present one too.
	Attempts  int
	LastError string // why the last attempt failed; for display
	// Claim tells this run of the job from any other; empty while it waits.
	Claim string
}

// Bounds of jobs.
const (
	MaxJobPayload = 64 << 10 // bytes
	MaxJobError   = 1 << 10  // bytes of LastError; what is longer is cut
	MaxDueExcept  = 16       // organizations that Jobs.Due leaves out
)

// Jobs are the jobs that are not done yet.
type Jobs interface {
	// Enqueue adds a job, of which it takes all but Attempts, LastError and
	// Claim. If there is one of the key already, the two become one: it keeps
	// its CreatedAt, gets the new payload, is due at the earlier time of both,
	// and its attempts count from zero again. If that one is claimed at the
	// moment, it runs once more after the claim. A payload over MaxJobPayload
	// is Invalid.
	Enqueue(Job) error
	// Remind is Enqueue for a job that looks itself for what there is to do: of
	// one that waits already nothing is changed, so that it goes on waiting
	// for its next attempt.
	Remind(Job) error
	// Get returns NotFound if there is no such job.
	Get(JobKey) (Job, error)
	// Due returns up to limit jobs of a kind that are due before the time,
	// the longest due first, without those of some organizations, at most
	// MaxDueExcept. A job whose claim has ended is among them.
	Due(kind JobKind, before time.Time, except []OrganizationID, limit int) ([]Job, error)
	// Claim makes the job the caller's until a time, and counts an attempt. It
	// returns Conflict if the job is not due at now, NotFound if it is gone.
	Claim(key JobKey, now, until time.Time) (Job, error)
	// Renew lets the claim last longer. It returns Conflict if the claim is
	// over: it ended, and another has the job now or did it.
	Renew(claimed Job, until time.Time) error
	// Finish removes a job whose work is done, or given up. If it was enqueued
	// again since it was claimed, it stays, due at the time that was asked for
	// then. Conflict as Renew.
	Finish(claimed Job) error
	// Retry lets a job run again at a time, with the reason why this attempt
	// failed. If it was enqueued again since, that attempt is for both.
	// Conflict as Renew.
	Retry(claimed Job, due time.Time, reason string) error
	// Release gives a job back as it was before it was claimed, due now.
	// Conflict as Renew.
	Release(claimed Job, now time.Time) error
}

// RetryAt is the error of a job that is to run again at a certain time.
type RetryAt struct {
	Due time.Time
	Err error
}

// Error tells why the job did not succeed.
func (e *RetryAt) Error() string { return e.Err.Error() }

// Unwrap returns why the job did not succeed.
func (e *RetryAt) Unwrap() error { return e.Err }

// GiveUp is the error of a job that must not run again.
type GiveUp struct{ Err error }

// Error tells why the job did not succeed.
func (e *GiveUp) Error() string { return e.Err.Error() }

// Unwrap returns why the job did not succeed.
func (e *GiveUp) Unwrap() error { return e.Err }

// BackOff returns how long to wait after that many failed attempts: about
// first after one, twice that after each further one, never more than most.
// It varies by a quarter either way, so that what failed together is not tried
// again together.
func BackOff(attempts int, first, most time.Duration) time.Duration {
	wait := first
	for n := 1; n < attempts && wait < most; n++ {
		wait *= 2
	}
	wait = min(wait, most)
	return wait*3/4 + rand.N(wait/2+1)
}
