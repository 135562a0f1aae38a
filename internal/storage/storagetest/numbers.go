package storagetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var numberCases = map[string]func(*testing.T, store){
	"given once, each kind for itself": func(t *testing.T, s store) {
		site := numbered("acme", "site", "")
		hook := cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: site.RepositoryKey, ID: "h"}
		for _, c := range []struct {
			thing cairn.Numbered
			want  cairn.Number
		}{
			{site, 1}, {numbered("other", "site", ""), 2}, {site, 1}, {hook, 1}, {numbered("acme", "", ""), 3},
			{numbered("acme", "", "site"), 4}, {numbered("", "", ""), 5}, {hook, 1},
		} {
			same(t, "number", s.give(c.thing), c.want)
			s.view(func(tx cairn.Tx) error {
				n, err := tx.Numbers().Of(c.thing)
				if err != nil {
					return err
				}
				same(t, "number of", n, c.want)
				thing, err := tx.Numbers().Find(c.thing.Kind, c.want)
				same(t, "thing", thing, c.thing)
				if err != nil {
					return err
				}
				each, err := tx.Numbers().OfEach([]cairn.Numbered{c.thing, numbered("acme", "nothing", ""), c.thing})
				same(t, "of each", len(each), 1)
				same(t, "number of each", each[c.thing], c.want)
				return err
			})
		}
	},
	"absent": func(_ *testing.T, s store) {
		s.give(numbered("acme", "site", ""))
		s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Of(numbered("acme", "other", "")); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Find(cairn.WebhookNumber, 1); return err })
		for _, n := range []cairn.Number{0, -1, 2, cairn.MaxNumber} {
			s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Find(cairn.RepositoryNumber, n); return err })
		}
	},
	"a View gives none": func(t *testing.T, s store) {
		err := s.View(t.Context(), func(tx cairn.Tx) error { _, err := tx.Numbers().Give(numbered("acme", "site", "")); return err })
		if err == nil {
			t.Fatal("got a number")
		}
	},
	"not given if the transaction fails": func(t *testing.T, s store) {
		failed := errors.New("failed")
		err := s.Update(t.Context(), func(tx cairn.Tx) error {
			if _, err := tx.Numbers().Give(numbered("acme", "site", "")); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatalf("update: got error %v", err)
		}
		s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Of(numbered("acme", "site", "")); return err })
	},
	"never given again": func(t *testing.T, s store) {
		s.give(numbered("acme", "a", ""))
		s.give(numbered("acme", "b", ""))
		forget := func(tx cairn.Tx) error { return tx.Numbers().Forget(numbered("acme", "b", "")) }
		s.update(forget)
		s.update(forget)
		s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Find(cairn.RepositoryNumber, 2); return err })
		same(t, "number", s.give(numbered("acme", "b", "")), 3)
	},
	"gone with their repository or organization": func(_ *testing.T, s store) {
		r := s.repository("site")
		own, hook := cairn.NumberedRepository(r.RepositoryKey), cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: r.RepositoryKey, ID: "h"}
		user := numbered("acme", "", "user")
		for _, thing := range []cairn.Numbered{own, hook, user} {
			s.give(thing)
		}
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(2)) })
		s.view(func(tx cairn.Tx) error { _, err := tx.Numbers().Of(own); return err })
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(3), 1000); return err })
		for _, thing := range []cairn.Numbered{own, hook} {
			s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Of(thing); return err })
		}
		s.view(func(tx cairn.Tx) error { _, err := tx.Numbers().Of(user); return err })
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"})
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Numbers().Of(user); return err })
	},
	"many at once": func(t *testing.T, s store) {
		const things, askers = 20, 4
		var got [askers][things]cairn.Number
		var wg sync.WaitGroup
		for a := range askers {
			wg.Go(func() {
				for i := range things {
					thing := numbered("acme", cairn.RepositoryID(rune('a'+i)), "")
					if err := s.Update(t.Context(), func(tx cairn.Tx) (err error) {
						got[a][i], err = tx.Numbers().Give(thing)
						return err
					}); err != nil {
						t.Errorf("give: %v", err)
					}
				}
			})
		}
		wg.Wait()
		seen := map[cairn.Number]bool{}
		for i := range things {
			for a := range askers {
				same(t, "number for another asker", got[a][i], got[0][i])
			}
			if n := got[0][i]; n < 1 || seen[n] {
				t.Fatalf("the number %d was given twice, or is none", n)
			}
			seen[got[0][i]] = true
		}
	},
}

func numbered(org cairn.OrganizationID, repo cairn.RepositoryID, id string) cairn.Numbered {
	return cairn.Numbered{Kind: cairn.RepositoryNumber, RepositoryKey: cairn.RepositoryKey{Organization: org, Repository: repo}, ID: id}
}

func (s store) give(thing cairn.Numbered) (n cairn.Number) {
	s.t.Helper()
	s.update(func(tx cairn.Tx) (err error) {
		n, err = tx.Numbers().Give(thing)
		return err
	})
	return n
}
