package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var organizationCases = map[string]func(*testing.T, store){
	"created, found, listed": func(t *testing.T, s store) {
		want := make([]cairn.Organization, 0, 3)
		for i, name := range []cairn.OrganizationName{"acme", "b-4", "zoo"} {
			want = append(want, cairn.Organization{ID: cairn.OrganizationID(cairn.NewID()), Name: name, CreatedAt: day(9 - i)})
		}
		for _, i := range []int{2, 0, 1} {
			s.update(func(tx cairn.Tx) error { return tx.Organizations().Create(want[i]) })
		}
		s.view(func(tx cairn.Tx) error {
			for _, o := range want {
				got, err := tx.Organizations().Find(o.Name)
				if err != nil {
					return err
				}
				same(t, "found", got, o)
				if got, err = tx.Organizations().Get(o.ID); err != nil {
					return err
				}
				same(t, "found by id", got, o)
			}
			for _, c := range []struct {
				after cairn.OrganizationName
				limit int
				want  []cairn.Organization
			}{{"", 10, want}, {"", 2, want[:2]}, {"acme", 10, want[1:]}, {"b", 1, want[1:2]}, {"zoo", 10, nil}, {"", 0, nil}} {
				got, err := tx.Organizations().List(c.after, c.limit)
				if err != nil {
					return err
				}
				sameList(t, "listed after "+string(c.after), got, c.want)
			}
			return nil
		})
	},
	"absent": func(_ *testing.T, s store) {
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Organizations().Find("nobody")
			return err
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Organizations().Get("nobody")
			return err
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Organizations().Profile("nobody")
			return err
		})
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Organizations().SetProfile("nobody", cairn.Profile{}) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Organizations().Delete("nobody") })
	},
	"a profile is replaced whole": func(t *testing.T, s store) {
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Create(cairn.Organization{ID: "1", Name: "acme"}) })
		for _, want := range []cairn.Profile{
			{}, {Spelling: "Acme", FullName: "Acme Ltd", Description: "Anvils.", Website: "https://acme.example", Location: "Ayers Rock"}, {Spelling: "ACME"},
		} {
			s.update(func(tx cairn.Tx) error { return tx.Organizations().SetProfile("1", want) })
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Organizations().Profile("1")
				same(t, "profile", got, want)
				return err
			})
		}
	},
	"a name is taken once": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Create(cairn.Organization{ID: "1", Name: "acme"}) })
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "2", Name: "acme"})
		})
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "1", Name: "other"})
		})
	},
	"deletion takes the keys along and frees the name": func(t *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			if err := tx.Organizations().Create(cairn.Organization{ID: "1", Name: "acme"}); err != nil {
				return err
			}
			return tx.Keys().Add(cairn.PublicKey{Organization: "1", ID: "k"})
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("1") })
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Organizations().Find("acme")
			return err
		})
		s.view(func(tx cairn.Tx) error {
			keys, err := tx.Keys().List("1")
			sameList(t, "keys", keys, nil)
			return err
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Create(cairn.Organization{ID: "2", Name: "acme"}) })
	},
	"none is deleted with living repositories": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"})
		})
		r := s.repository("site")
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(2)) })
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
	},
}

var keyCases = map[string]func(*testing.T, store){
	"listed oldest first, revoked once": func(t *testing.T, s store) {
		want := []cairn.PublicKey{
			{Organization: "acme", ID: "z", Algorithm: "ES256", PEM: "-----BEGIN PUBLIC KEY-----\n", CreatedAt: day(1)},
			{Organization: "acme", ID: "a", Algorithm: "EdDSA", PEM: "x", CreatedAt: day(2)},
		}
		s.update(func(tx cairn.Tx) error {
			for _, k := range []cairn.PublicKey{want[1], want[0], {Organization: "other", ID: "z"}} {
				if err := tx.Keys().Add(k); err != nil {
					return err
				}
			}
			return nil
		})
		list := func() (keys []cairn.PublicKey) {
			s.view(func(tx cairn.Tx) (err error) {
				keys, err = tx.Keys().List("acme")
				return err
			})
			return keys
		}
		same(t, "keys", list(), want)
		s.update(func(tx cairn.Tx) error { return tx.Keys().Revoke("acme", "z", day(3)) })
		s.update(func(tx cairn.Tx) error { return tx.Keys().Revoke("acme", "z", day(4)) })
		want[0].RevokedAt = day(3)
		same(t, "keys with a revoked one", list(), want)
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Keys().Add(want[0]) })
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Keys().Add(want[1]) })
	},
	"absent": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error { return tx.Keys().Add(cairn.PublicKey{Organization: "acme", ID: "k"}) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Keys().Revoke("other", "k", day(1)) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Keys().Revoke("acme", "l", day(1)) })
	},
}
