package storagetest

import (
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var jobCases = map[string]func(*testing.T, store){
	"enqueued, claimed, finished": func(t *testing.T, s store) {
		j := newJob("acme", "site", "hook", 2)
		j.Payload = []byte("\x00\xff")
		s.enqueue(j)
		s.dueIs(day(2), nil)
		s.dueIs(day(2).Add(1000), nil, "hook")
		same(t, "job", s.job(j.JobKey), j)

		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			_, err := tx.Jobs().Claim(j.JobKey, day(1), day(9))
			return err
		})
		claimed := s.claim(j, 2, 5)
		want := j
		want.Attempts, want.DueAt, want.Claim = 1, day(5), claimed.Claim
		same(t, "claimed job", claimed, want)
		if claimed.Claim == "" {
			t.Error("the claim has no name")
		}
		s.dueIs(day(5), nil)
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			_, err := tx.Jobs().Claim(j.JobKey, day(4), day(9))
			return err
		})
		s.update(func(tx cairn.Tx) error { return tx.Jobs().Finish(claimed) })
		s.noJob(j.JobKey)
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error {
			_, err := tx.Jobs().Claim(j.JobKey, day(4), day(9))
			return err
		})
	},
	"an aborted transaction enqueues nothing": func(_ *testing.T, s store) {
		j := newJob("acme", "site", "hook", 2)
		s.refuse(cairn.Denied, func(tx cairn.Tx) error {
			if err := tx.Jobs().Enqueue(j); err != nil {
				return err
			}
			return cairn.Denied
		})
		s.noJob(j.JobKey)
	},
	"two of a key become one": func(t *testing.T, s store) {
		j := newJob("acme", "site", "hook", 3)
		s.enqueue(j)
		claimed := s.claim(j, 3, 4)
		s.update(func(tx cairn.Tx) error { return tx.Jobs().Retry(claimed, day(9), "dead") })

		reminder := newJob("acme", "site", "hook", 1)
		reminder.Payload = []byte("other")
		s.update(func(tx cairn.Tx) error { return tx.Jobs().Remind(reminder) })
		waiting := j
		waiting.Attempts, waiting.DueAt, waiting.LastError = 1, day(9), "dead"
		same(t, "reminded", s.job(j.JobKey), waiting)

		later, sooner := newJob("acme", "site", "hook", 12), newJob("acme", "site", "hook", 5)
		later.Payload, sooner.Payload, sooner.CreatedAt = []byte("later"), []byte("sooner"), day(20)
		s.enqueue(later)
		waiting.Attempts, waiting.Payload = 0, []byte("later")
		same(t, "enqueued for later", s.job(j.JobKey), waiting)
		s.enqueue(sooner)
		waiting.DueAt, waiting.Payload = day(5), []byte("sooner")
		same(t, "enqueued for sooner", s.job(j.JobKey), waiting)
	},
	"enqueued while claimed runs once more": func(t *testing.T, s store) {
		for name, again := range map[string]func(cairn.Jobs, cairn.Job) error{"enqueued": cairn.Jobs.Enqueue, "reminded": cairn.Jobs.Remind} {
			j := newJob("acme", cairn.RepositoryID(name), "hook", 2)
			s.enqueue(j)
			claimed := s.claim(j, 2, 5)
			for _, at := range []int{4, 3, 6} {
				s.update(func(tx cairn.Tx) error { return again(tx.Jobs(), newJob("acme", j.Repository, "hook", at)) })
			}
			if got := s.job(j.JobKey); !got.DueAt.Equal(day(5)) || got.Claim != claimed.Claim {
				t.Errorf("%s: the claim was disturbed: %+v", name, got)
			}
			s.update(func(tx cairn.Tx) error { return tx.Jobs().Finish(claimed) })
			want := j
			want.DueAt = day(3)
			same(t, name, s.job(j.JobKey), want)
			claimed = s.claim(j, 3, 5)
			s.update(func(tx cairn.Tx) error { return tx.Jobs().Finish(claimed) })
			s.noJob(j.JobKey)
		}
	},
	"retried and released": func(t *testing.T, s store) {
		j := newJob("acme", "site", "hook", 2)
		s.enqueue(j)
		claimed := s.claim(j, 2, 3)
		s.update(func(tx cairn.Tx) error {
			return tx.Jobs().Retry(claimed, day(4), "bad \xff\x00"+strings.Repeat("ö", cairn.MaxJobError))
		})
		got := s.job(j.JobKey)
		if got.Attempts != 1 || !got.DueAt.Equal(day(4)) || got.Claim != "" {
			t.Errorf("retried: %+v", got)
		}
		if why := got.LastError; !strings.HasPrefix(why, "bad ?ö") || len(why) > cairn.MaxJobError || len(why) < cairn.MaxJobError-4 || strings.Trim(why[5:], "ö") != "" {
			t.Errorf("last error is %q", why)
		}
		claimed = s.claim(j, 4, 5)
		if claimed.Attempts != 2 || claimed.LastError != got.LastError {
			t.Errorf("claimed again: %+v", claimed)
		}
		s.update(func(tx cairn.Tx) error { return tx.Jobs().Release(claimed, day(4)) })
		same(t, "released", s.job(j.JobKey), got)
	},
	"a claim that ended is another's": func(t *testing.T, s store) {
		j := newJob("acme", "site", "hook", 2)
		s.enqueue(j)
		lost := s.claim(j, 2, 3)
		s.update(func(tx cairn.Tx) error { return tx.Jobs().Renew(lost, day(4)) })
		s.dueIs(day(4), nil)
		s.dueIs(day(5), nil, "hook")
		present := s.claim(j, 4, 6)
		if present.Attempts != 2 {
			t.Errorf("got %d attempts, want 2", present.Attempts)
		}
		waiting := newJob("acme", "waiting", "hook", 2)
		s.enqueue(waiting)
		for _, claim := range []cairn.Job{lost, {JobKey: j.JobKey}, waiting, newJob("acme", "gone", "hook", 2)} {
			for name, end := range map[string]func(cairn.Tx) error{
				"renew":   func(tx cairn.Tx) error { return tx.Jobs().Renew(claim, day(9)) },
				"finish":  func(tx cairn.Tx) error { return tx.Jobs().Finish(claim) },
				"retry":   func(tx cairn.Tx) error { return tx.Jobs().Retry(claim, day(9), "") },
				"release": func(tx cairn.Tx) error { return tx.Jobs().Release(claim, day(9)) },
			} {
				if err := s.Update(t.Context(), end); cairn.KindOf(err) != cairn.Conflict {
					t.Errorf("%s: got %v, want a conflict", name, err)
				}
			}
		}
		same(t, "the other's job", s.job(j.JobKey), present)
		same(t, "the job that waits", s.job(waiting.JobKey), waiting)
	},
	"due by kind, time and organization": func(_ *testing.T, s store) {
		for i, j := range []cairn.Job{
			newJob("b", "1", "c", 3), newJob("a", "1", "a", 1), newJob("a", "2", "b", 2), newJob("c", "", "d", 4),
		} {
			other := newJob("a", "1", "other", i+1)
			other.Kind = "other"
			s.enqueue(j)
			s.enqueue(other)
		}
		s.dueIs(day(28), nil, "a", "b", "c", "d")
		s.dueIs(day(3), nil, "a", "b")
		s.dueIs(day(28), []cairn.OrganizationID{"a"}, "c", "d")
		s.dueIs(day(28), []cairn.OrganizationID{"x", "b", "c", ""}, "a", "b")
		s.view(func(tx cairn.Tx) error {
			for limit, want := range []int{0, 1, 2} {
				list, err := tx.Jobs().Due("k", day(28), nil, limit)
				if err != nil || len(list) != want {
					s.t.Errorf("limit %d: got %d jobs, %v", limit, len(list), err)
				}
			}
			return nil
		})
	},
	"gone with their repository or organization": func(_ *testing.T, s store) {
		r := s.repository("site")
		j := newJob("acme", r.Repository, "hook", 1)
		kept := newJob("acme", "other", "hook", 1)
		s.enqueue(j)
		s.enqueue(kept)
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(2)) })
		s.job(j.JobKey)
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(3), 1000); return err })
		s.noJob(j.JobKey)
		s.job(kept.JobKey)
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"})
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
		s.noJob(kept.JobKey)
	},
	"no large payload": func(_ *testing.T, s store) {
		j := newJob("acme", "site", "hook", 1)
		j.Payload = make([]byte, cairn.MaxJobPayload+1)
		s.refuse(cairn.Invalid, func(tx cairn.Tx) error { return tx.Jobs().Enqueue(j) })
		s.refuse(cairn.Invalid, func(tx cairn.Tx) error { return tx.Jobs().Remind(j) })
		j.Payload = j.Payload[1:]
		s.enqueue(j)
	},
}

func newJob(org cairn.OrganizationID, repo cairn.RepositoryID, name string, due int) cairn.Job {
	return cairn.Job{
		JobKey:    cairn.JobKey{RepositoryKey: cairn.RepositoryKey{Organization: org, Repository: repo}, Kind: "k", Name: name},
		CreatedAt: day(1),
		DueAt:     day(due),
	}
}

func (s store) enqueue(j cairn.Job) {
	s.t.Helper()
	s.update(func(tx cairn.Tx) error { return tx.Jobs().Enqueue(j) })
}

func (s store) claim(j cairn.Job, now, until int) (claimed cairn.Job) {
	s.t.Helper()
	s.update(func(tx cairn.Tx) (err error) {
		claimed, err = tx.Jobs().Claim(j.JobKey, day(now), day(until))
		return err
	})
	return claimed
}

func (s store) job(key cairn.JobKey) (j cairn.Job) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) (err error) {
		j, err = tx.Jobs().Get(key)
		return err
	})
	return j
}

func (s store) noJob(key cairn.JobKey) {
	s.t.Helper()
	s.absent(func(tx cairn.Tx) error {
		_, err := tx.Jobs().Get(key)
		return err
	})
}

// dueIs compares the names of the jobs of the kind k that are due.
func (s store) dueIs(before time.Time, except []cairn.OrganizationID, want ...string) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) error {
		list, err := tx.Jobs().Due("k", before, except, 100)
		var got []string
		for _, j := range list {
			got = append(got, j.Name)
		}
		sameList(s.t, "due before "+before.String(), got, want)
		return err
	})
}
