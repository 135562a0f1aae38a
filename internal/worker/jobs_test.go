package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// jobFixture is a store, and the runs that its jobs had.
type jobFixture struct {
	t    *testing.T
	m    cairn.Metadata
	ends chan string // result of each run, with the job's name
}

func newJobFixture(t *testing.T) *jobFixture {
	t.Helper()
	m, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "m.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &jobFixture{t: t, m: m, ends: make(chan string, 1000)}
}

func (f *jobFixture) start(o JobOptions) *JobRunner {
	o.Metadata, o.Logger = f.m, slog.New(slog.DiscardHandler)
	if o.Poll == 0 {
		o.Poll = time.Hour // only a wake counts
	}
	o.Ended = func(kind cairn.JobKind, result JobResult, _, _ time.Duration) {
		f.ends <- string(kind) + " " + string(result)
	}
	r := StartJobs(o)
	f.t.Cleanup(r.Close)
	return r
}

func (f *jobFixture) enqueue(org, name string, due time.Time) cairn.JobKey {
	f.t.Helper()
	key := cairn.JobKey{RepositoryKey: cairn.RepositoryKey{Organization: cairn.OrganizationID(org)}, Kind: "k", Name: name}
	err := f.m.Update(f.t.Context(), func(tx cairn.Tx) error { return tx.Jobs().Enqueue(cairn.Job{JobKey: key, DueAt: due}) })
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

func (f *jobFixture) job(key cairn.JobKey) (j cairn.Job, err error) {
	err = f.m.View(f.t.Context(), func(tx cairn.Tx) (err error) {
		j, err = tx.Jobs().Get(key)
		return err
	})
	return j, err
}

func (f *jobFixture) ended(want string) {
	f.t.Helper()
	select {
	case got := <-f.ends:
		if got != want {
			f.t.Errorf("a run ended with %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		f.t.Fatalf("no run ended, want %q", want)
	}
}

func TestJobRunsWhenItIsEnqueued(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	before := f.enqueue("a", "before the start", time.Now())
	r := f.start(JobOptions{Kinds: []JobKind{{Kind: "k", Run: func(context.Context, cairn.Job) error { return nil }}}})
	f.ended("k done")
	key := f.enqueue("a", "after it", time.Now())
	r.Wake("k")
	r.Wake("unknown")
	f.ended("k done")
	f.enqueue("a", "soon", time.Now().Add(100*time.Millisecond))
	r.Wake("k") // from then on, the runner knows when
	f.ended("k done")
	r.Close()
	for _, key := range []cairn.JobKey{before, key} {
		if _, err := f.job(key); !errors.Is(err, cairn.NotFound) {
			t.Errorf("%s is still there: %v", key.Name, err)
		}
	}
}

func TestJobOfAnotherProcessIsFoundByPolling(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	f.start(JobOptions{Poll: 10 * time.Millisecond, Kinds: []JobKind{{Kind: "k", Run: func(context.Context, cairn.Job) error { return nil }}}})
	f.enqueue("a", "", time.Now())
	f.ended("k done")
}

func TestFailedJobs(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	later := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	var runs sync.Map
	r := f.start(JobOptions{Kinds: []JobKind{{
		Kind: "k",
		Run: func(_ context.Context, j cairn.Job) error {
			runs.Store(j.Name+fmt.Sprint(j.Attempts), true)
			switch j.Name {
			case "later":
				return fmt.Errorf("wrapped: %w", &cairn.RetryAt{Due: later, Err: errors.New("busy")})
			case "never":
				return &cairn.GiveUp{Err: errors.New("gone")}
			case "panic":
				panic("at the disco")
			}
			return errors.New("not yet")
		},
		BackOff: func(attempts int) (time.Duration, bool) { return time.Millisecond, attempts < 3 },
	}}})
	key := f.enqueue("a", "later", time.Now())
	r.Wake("k")
	f.ended("k retried")
	if j, err := f.job(key); err != nil || !j.DueAt.Equal(later) || j.LastError != "wrapped: busy" || j.Attempts != 1 || j.Claim != "" {
		t.Errorf("got %+v, %v", j, err)
	}
	for _, c := range []struct {
		name string
		want []string
	}{{"never", []string{"k given up"}}, {"panic", []string{"k retried", "k retried", "k given up"}}, {"error", []string{"k retried", "k retried", "k given up"}}} {
		key := f.enqueue("a", c.name, time.Now())
		r.Wake("k")
		for _, want := range c.want {
			f.ended(want)
		}
		if _, err := f.job(key); !errors.Is(err, cairn.NotFound) {
			t.Errorf("%s is still there: %v", c.name, err)
		}
	}
	if _, ok := runs.Load("error3"); !ok {
		t.Error("the attempts were not counted")
	}
}

// No more run at a time than may, and one organization does not take the places
// of another.
func TestJobsAtOnce(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	for i := range 6 {
		f.enqueue("greedy", fmt.Sprint(i), time.Now())
	}
	f.enqueue("modest", "", time.Now())
	started, proceed := make(chan cairn.OrganizationID, 10), make(chan struct{})
	var mu sync.Mutex
	running, most := map[cairn.OrganizationID]int{}, map[cairn.OrganizationID]int{}
	count := func(org cairn.OrganizationID, by int) {
		mu.Lock()
		defer mu.Unlock()
		for _, of := range []cairn.OrganizationID{org, "all"} {
			running[of] += by
			most[of] = max(most[of], running[of])
		}
	}
	f.start(JobOptions{Kinds: []JobKind{{Kind: "k", AtOnce: 3, OrganizationAtOnce: 2, Run: func(_ context.Context, j cairn.Job) error {
		count(j.Organization, 1)
		started <- j.Organization
		<-proceed
		count(j.Organization, -1)
		return nil
	}}}})
	first := map[cairn.OrganizationID]int{}
	for range 3 {
		first[<-started]++
	}
	if first["greedy"] != 2 || first["modest"] != 1 {
		t.Errorf("first ran %v, want two and one", first)
	}
	close(proceed)
	for range 7 {
		f.ended("k done")
	}
	if most["all"] > 3 || most["greedy"] != 2 {
		t.Errorf("at most %v ran at a time", most)
	}
}

func TestInterruptedJobIsDueAgain(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	key := f.enqueue("a", "", time.Now())
	started := make(chan struct{})
	r := f.start(JobOptions{Kinds: []JobKind{{Kind: "k", Run: func(ctx context.Context, _ cairn.Job) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}}}})
	<-started
	r.Close()
	f.ended("k interrupted")
	j, err := f.job(key)
	if err != nil || j.Attempts != 0 || j.Claim != "" || j.DueAt.After(time.Now()) {
		t.Errorf("got %+v, %v, want it due without an attempt", j, err)
	}
}

// A process that has the store for itself does not wait for the claims of one
// that was killed, unless jobs may be what ended it.
func TestJobsOfAProcessThatIsGone(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	keys := map[string]cairn.JobKey{}
	now := time.Now()
	for name, attempts := range map[string]int{"once": 1, "always": 9} {
		keys[name] = f.enqueue("a", name, now.Add(-time.Hour))
		for i := range attempts {
			at := now.Add(time.Duration(1+i-attempts) * time.Hour / 60)
			err := f.m.Update(t.Context(), func(tx cairn.Tx) error {
				_, err := tx.Jobs().Claim(keys[name], at, at.Add(time.Minute))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	f.start(JobOptions{Alone: true, Kinds: []JobKind{{Kind: "k", Run: func(_ context.Context, j cairn.Job) error {
		if j.Name != "once" || j.Attempts != 2 {
			t.Errorf("ran %s, attempt %d", j.Name, j.Attempts)
		}
		return nil
	}}}})
	f.ended("k done")
	if j, err := f.job(keys["always"]); err != nil || j.Attempts != 9 || j.DueAt.Before(now.Add(30*time.Second)) {
		t.Errorf("got %+v, %v, want that it waits", j, err)
	}
}

// The claim of a long job is renewed; who lost it is told to stop.
func TestLongJobKeepsItsClaim(t *testing.T) {
	t.Parallel()
	f := newJobFixture(t)
	key := f.enqueue("a", "", time.Now())
	const lease = 300 * time.Millisecond
	f.start(JobOptions{Lease: lease, Kinds: []JobKind{{Kind: "k", Run: func(ctx context.Context, j cairn.Job) error {
		for { // until the claim was renewed
			now, err := f.job(key)
			if err != nil {
				return err
			}
			if now.DueAt.After(j.DueAt) {
				break
			}
		}
		// A node whose clock is ahead takes it away.
		err := f.m.Update(context.WithoutCancel(ctx), func(tx cairn.Tx) error {
			_, err := tx.Jobs().Claim(key, time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
			return err
		})
		if err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return ctx.Err()
	}}}})
	f.ended("k lost")
	if j, err := f.job(key); err != nil || j.Attempts != 2 || j.Claim == "" {
		t.Errorf("got %+v, %v, want the other's claim", j, err)
	}
}
