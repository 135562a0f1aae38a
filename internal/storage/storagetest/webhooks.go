package storagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var webhookCases = map[string]func(*testing.T, store){
	"created, changed, listed, deleted": func(t *testing.T, s store) {
		a, b, c := newWebhook("a", "site"), newWebhook("b", ""), newWebhook("c", "site")
		other := newWebhook("a", "site")
		other.Organization = "other"
		formed := newWebhook("d", "")
		formed.Form, formed.Name, formed.Repositories, formed.Options = "f", "n", []cairn.RepositoryID{"site", "elsewhere"}, cairn.Labels{"k": "v"}
		for _, w := range []cairn.Webhook{b, a, c, other, formed} {
			s.update(func(tx cairn.Tx) error { return tx.Webhooks().Create(w) })
		}
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Webhooks().Create(a) })
		a.URL, a.Events, a.Secret, a.UpdatedAt, a.Paused, a.FailingSince = "https://b", []cairn.EventType{"x", "y"}, []byte("\xff"), day(3), "dead", day(2)
		a.Name, a.Options = "name", cairn.Labels{"o": "p"}
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Update(a) })
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Webhooks().Get("acme", "a")
			same(t, "changed", got, a)
			return err
		})
		for _, l := range []struct {
			form  cairn.WebhookForm
			repo  cairn.RepositoryID
			after cairn.WebhookID
			limit int
			want  []cairn.Webhook
		}{
			{"", "", "", 9, []cairn.Webhook{a, b, c}}, {"", "", "a", 1, []cairn.Webhook{b}}, {"", "site", "", 9, []cairn.Webhook{a, c}},
			{"", "site", "a", 9, []cairn.Webhook{c}}, {"", "elsewhere", "", 9, nil},
			{"f", "", "", 9, []cairn.Webhook{formed}}, {"f", "site", "", 9, []cairn.Webhook{formed}}, {"f", "elsewhere", "", 9, []cairn.Webhook{formed}},
		} {
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Webhooks().List("acme", l.form, l.repo, l.after, l.limit)
				sameList(t, fmt.Sprintf("list of %q after %q in the form %q", l.repo, l.after, l.form), got, l.want)
				return err
			})
		}
		for _, c := range []struct {
			form cairn.WebhookForm
			repo cairn.RepositoryID
			want int
		}{{"", "", 1}, {"", "site", 2}, {"f", "", 0}, {"f", "elsewhere", 1}} {
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Webhooks().Count("acme", c.form, c.repo)
				same(t, fmt.Sprintf("webhooks of the form %q that name %q", c.form, c.repo), got, c.want)
				return err
			})
		}
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Delete("acme", "a") })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Get("acme", "a"); return err })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Webhooks().Delete("acme", "a") })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Webhooks().Update(a) })
		s.view(func(tx cairn.Tx) error { _, err := tx.Webhooks().Get("other", "a"); return err })
	},
	"a write knows whether it is watched": func(t *testing.T, s store) {
		r, other := s.repository("site"), s.repository("other")
		isWatched := func(r cairn.Repository) (watched bool) {
			s.update(func(tx cairn.Tx) error {
				row, err := tx.Repositories().Advance(r.RepositoryKey)
				watched = row.Watched
				return err
			})
			return watched
		}
		hooks := func(r cairn.Repository) (ids []cairn.WebhookID) {
			s.view(func(tx cairn.Tx) error {
				list, err := tx.Webhooks().Watching(r.RepositoryKey)
				ids = nil
				for _, w := range list {
					ids = append(ids, w.ID)
				}
				return err
			})
			return ids
		}
		same(t, "without webhooks", isWatched(r), false)
		own, paused, foreign := newWebhook("own", r.Repository), newWebhook("paused", r.Repository), newWebhook("foreign", "")
		paused.Paused, foreign.Organization = "dead", "other"
		for _, w := range []cairn.Webhook{own, paused, foreign} {
			s.update(func(tx cairn.Tx) error { return tx.Webhooks().Create(w) })
		}
		same(t, "with its own", isWatched(r), true)
		same(t, "with that of another", isWatched(other), false)
		create := func(name cairn.RepositoryName) (watched bool) {
			s.update(func(tx cairn.Tx) (err error) {
				watched, err = tx.Repositories().Create(newRepository("acme", name))
				return err
			})
			return watched
		}
		same(t, "new, without that of all", create("new"), false)
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Create(newWebhook("all", "")) })
		same(t, "new, with that of all", create("newer"), true)
		same(t, "with that of all", isWatched(other), true)
		sameList(t, "watching", hooks(r), []cairn.WebhookID{"all", "own"})
		sameList(t, "watching another", hooks(other), []cairn.WebhookID{"all"})
		s.view(func(tx cairn.Tx) error {
			row, err := tx.Repositories().Get(r.RepositoryKey)
			same(t, "read", row.Watched, false)
			return err
		})
	},
	"a webhook watches the repositories that it names": func(t *testing.T, s store) {
		a, b := s.repository("a"), s.repository("b")
		hook := newWebhook("h", "")
		want := func(what string, watched ...bool) {
			t.Helper()
			for i, r := range []cairn.Repository{a, b} {
				s.update(func(tx cairn.Tx) error {
					row, err := tx.Repositories().Advance(r.RepositoryKey)
					same(t, fmt.Sprintf("%s, repository %d", what, i), row.Watched, watched[i])
					return err
				})
				s.view(func(tx cairn.Tx) error {
					list, err := tx.Webhooks().Watching(r.RepositoryKey)
					same(t, fmt.Sprintf("%s, webhooks that watch %d", what, i), len(list) == 1, watched[i])
					return err
				})
			}
		}
		hook.Repositories = []cairn.RepositoryID{a.Repository, b.Repository}
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Create(hook) })
		want("both", true, true)
		for _, c := range []struct {
			what string
			list []cairn.RepositoryID
			want []bool
		}{
			{"one", []cairn.RepositoryID{b.Repository}, []bool{false, true}}, {"the other", []cairn.RepositoryID{a.Repository}, []bool{true, false}},
			{"all", nil, []bool{true, true}}, {"both again", []cairn.RepositoryID{b.Repository, a.Repository}, []bool{true, true}},
		} {
			hook.Repositories = c.list
			s.update(func(tx cairn.Tx) error { return tx.Webhooks().Update(hook) })
			want(c.what, c.want...)
		}
		purge := func(r cairn.Repository) {
			s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(2)) })
			s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(3), 1000); return err })
		}
		purge(b)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Webhooks().Get("acme", "h")
			sameList(t, "without what is gone", got.Repositories, []cairn.RepositoryID{a.Repository})
			return err
		})
		purge(a)
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Get("acme", "h"); return err })
		s.view(func(tx cairn.Tx) error {
			list, err := tx.Webhooks().Watching(cairn.RepositoryKey{Organization: "acme", Repository: "c"})
			same(t, "webhooks that watch others", len(list), 0)
			return err
		})
	},
	"deliveries wait in order and end": func(t *testing.T, s store) {
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Create(newWebhook("h", "")) })
		want := make([]cairn.Delivery, 150)
		for i := range want {
			want[i] = newDelivery(i + 1)
		}
		s.announce("site", want[:140])
		s.announce("other", []cairn.Delivery{newDelivery(1000)})
		s.announce("site", want[140:])
		same(t, "waiting", s.waiting("site"), want)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Webhooks().Waiting("acme", "h", "site", 2)
			sameList(t, "first waiting", got, want[:2])
			return err
		})

		s.view(func(tx cairn.Tx) error {
			for limit, want := range [][]cairn.Backlog{nil, {{Repository: "other", Waiting: 1}}, {{Repository: "other", Waiting: 1}, {Repository: "site", Waiting: 150}}} {
				got, err := tx.Webhooks().Backlog("acme", "h", limit)
				if err != nil {
					return err
				}
				sameList(t, "backlog", got, want)
			}
			return nil
		})

		tried := want[0]
		tried.Attempts, tried.AttemptedAt, tried.Duration, tried.Status, tried.Answer, tried.Error = 1, day(3), 1500*time.Microsecond, 500, []byte("\xff"), "no"
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Attempted(tried) })
		want[0] = tried
		same(t, "waiting after an attempt", s.waiting("site"), want)
		tried.State, tried.EndedAt = cairn.DeliverySucceeded, day(4)
		s.update(func(tx cairn.Tx) error { return tx.Webhooks().Attempted(tried) })
		same(t, "waiting after a success", s.waiting("site"), want[1:])
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Webhooks().Delivery("acme", "h", tried.ID)
			same(t, "delivery", got, tried)
			return err
		})

		s.update(func(tx cairn.Tx) error { return tx.Webhooks().EndWaiting("acme", "h", day(5), "paused") })
		sameList(t, "waiting after the end", s.waiting("site"), nil)
		sameList(t, "waiting elsewhere after the end", s.waiting("other"), nil)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Webhooks().Delivery("acme", "h", want[1].ID)
			ended := want[1]
			ended.State, ended.EndedAt, ended.Error = cairn.DeliveryFailed, day(5), "paused"
			same(t, "ended", got, ended)
			return err
		})
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("acme", "h", "no"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("other", "h", tried.ID); return err })
	},
	"deliveries are listed backwards": func(t *testing.T, s store) {
		s.announce("site", []cairn.Delivery{newDelivery(1), newDelivery(3)})
		s.announce("other", []cairn.Delivery{newDelivery(2)})
		for _, c := range []struct {
			before string
			limit  int
			want   []string
		}{{"", 9, []string{"000003", "000002", "000001"}}, {"000003", 1, []string{"000002"}}, {"000001", 9, nil}} {
			s.view(func(tx cairn.Tx) error {
				list, err := tx.Webhooks().Deliveries("acme", "h", c.before, c.limit)
				var got []string
				for _, d := range list {
					got = append(got, d.ID)
				}
				sameList(t, "before "+c.before, got, c.want)
				return err
			})
		}
	},
	"what ended is forgotten": func(t *testing.T, s store) {
		list := make([]cairn.Delivery, cairn.DeliveriesKept+2)
		for i := range list {
			list[i] = newDelivery(i + 1)
		}
		s.announce("site", list)
		s.update(func(tx cairn.Tx) error {
			for _, d := range list {
				if d.Sequence == 2 {
					continue // waits on
				}
				d.State, d.EndedAt = cairn.DeliverySucceeded, day(int(min(d.Sequence, 5)))
				if err := tx.Webhooks().Attempted(d); err != nil {
					return err
				}
			}
			return tx.Webhooks().Attempted(cairn.Delivery{Organization: "acme", Webhook: "gone"})
		})
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("acme", "h", list[0].ID); return err })
		for _, n := range []int{1, 1, 0} { // the third and the fourth
			s.update(func(tx cairn.Tx) error {
				got, err := tx.Webhooks().Forget(day(5), 1)
				same(t, "forgotten", got, n)
				return err
			})
		}
		for i, there := range []bool{false, true, false, false, true} {
			err := s.View(t.Context(), func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("acme", "h", list[i].ID); return err })
			if (err == nil) != there {
				t.Errorf("delivery %d: got %v", i, err)
			}
		}
	},
	"gone with their repository or organization": func(_ *testing.T, s store) {
		r := s.repository("site")
		own, all := newWebhook("own", r.Repository), newWebhook("h", "")
		for _, w := range []cairn.Webhook{own, all} {
			s.update(func(tx cairn.Tx) error { return tx.Webhooks().Create(w) })
		}
		s.announce(r.Repository, []cairn.Delivery{newDelivery(1)})
		s.announce("other", []cairn.Delivery{newDelivery(2)})
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(2)) })
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(3), 1000); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Get("acme", "own"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("acme", "h", "000001"); return err })
		s.view(func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("acme", "h", "000002"); return err })
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"})
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Get("acme", "h"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Webhooks().Delivery("acme", "h", "000002"); return err })
	},
}

// newWebhook is one for a repository, or for all if that is empty.
func newWebhook(id cairn.WebhookID, repo cairn.RepositoryID) cairn.Webhook {
	w := cairn.Webhook{
		Organization: "acme", ID: id, Customer: "acme", URL: "https://a", Events: []cairn.EventType{cairn.PushEvent},
		Secret: []byte("sealed"), CreatedAt: day(1), UpdatedAt: day(2),
	}
	if repo != "" {
		w.Repositories = []cairn.RepositoryID{repo}
	}
	return w
}

// newDelivery is one to the webhook h of acme, from the repository site.
func newDelivery(n int) cairn.Delivery {
	return cairn.Delivery{
		Organization: "acme", Webhook: "h", Repository: "site", Sequence: int64(n), ID: fmt.Sprintf("%06d", n),
		Event: cairn.PushEvent, Payload: []byte("{\x00}"), CreatedAt: day(1),
	}
}

func (s store) announce(repo cairn.RepositoryID, list []cairn.Delivery) {
	s.t.Helper()
	s.update(func(tx cairn.Tx) error { return tx.Webhooks().Announce("acme", "h", repo, list) })
}

func (s store) waiting(repo cairn.RepositoryID) (list []cairn.Delivery) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) (err error) {
		list, err = tx.Webhooks().Waiting("acme", "h", repo, 1000)
		return err
	})
	return list
}
