package apitest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// RunJobs does the jobs of a kind that are due, one after the other, until there
// are none, as a server does but without waiting before it tries again. It
// returns the errors of those that failed.
func RunJobs(t testing.TB, metadata cairn.Metadata, kind cairn.JobKind, run func(context.Context, cairn.Job) error) (failures []error) {
	t.Helper()
	for {
		var due []cairn.Job
		now := time.Now()
		err := metadata.View(t.Context(), func(tx cairn.Tx) (err error) {
			due, err = tx.Jobs().Due(kind, now, nil, 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			return failures
		}
		if err := runJob(t, metadata, due[0].JobKey, now, run); err != nil {
			failures = append(failures, err)
		}
	}
}

// runJob claims a job, runs it, and ends it.
func runJob(t testing.TB, metadata cairn.Metadata, key cairn.JobKey, now time.Time, run func(context.Context, cairn.Job) error) error {
	t.Helper()
	var job cairn.Job
	err := metadata.Update(t.Context(), func(tx cairn.Tx) (err error) {
		job, err = tx.Jobs().Claim(key, now, now.Add(time.Hour))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := run(t.Context(), job)
	err = metadata.Update(t.Context(), func(tx cairn.Tx) error {
		if again := (*cairn.RetryAt)(nil); errors.As(failed, &again) {
			return tx.Jobs().Retry(job, now, failed.Error())
		}
		return tx.Jobs().Finish(job)
	})
	if err != nil {
		t.Fatal(err)
	}
	return failed
}
