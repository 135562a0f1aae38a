package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var apiKeyCases = map[string]func(*testing.T, store){
	"created, read, listed by id": func(t *testing.T, s store) {
		want := []cairn.APIKey{
			{Organization: "acme", ID: "a", Name: "ci", Access: []cairn.Access{cairn.ReadAccess, cairn.WriteAccess}, Sealed: []byte{1, 0, 255}, CreatedAt: day(1)},
			{Organization: "acme", ID: "b", Access: []cairn.Access{cairn.AdminAccess}, Repositories: []cairn.RepositoryID{"r2", "r1"},
				Labels: cairn.Labels{"env": "prod,test", "x": ""}, Sealed: []byte("s"), CreatedAt: day(2), ExpiresAt: day(9)},
			{Organization: "acme", ID: "c", Repositories: []cairn.RepositoryID{}, Sealed: []byte("s"), CreatedAt: day(3)},
		}
		for _, i := range []int{1, 2, 0} {
			s.update(func(tx cairn.Tx) error { return tx.APIKeys().Create(want[i]) })
		}
		s.update(func(tx cairn.Tx) error {
			return tx.APIKeys().Create(cairn.APIKey{Organization: "other", ID: "a", Sealed: []byte("o")})
		})
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.APIKeys().Create(want[0]) })
		s.view(func(tx cairn.Tx) error {
			for _, k := range want {
				got, err := tx.APIKeys().Get("acme", k.ID)
				if err != nil {
					return err
				}
				same(t, "key", got, k)
			}
			for _, c := range []struct {
				after cairn.APIKeyID
				limit int
				want  []cairn.APIKey
			}{{"", 10, want}, {"", 2, want[:2]}, {"a", 10, want[1:]}, {"c", 10, nil}, {"", 0, nil}} {
				got, err := tx.APIKeys().List("acme", c.after, c.limit)
				if err != nil {
					return err
				}
				sameList(t, "keys after "+string(c.after), got, c.want)
			}
			return nil
		})
	},
	"labelled, used, revoked once": func(t *testing.T, s store) {
		k := cairn.APIKey{Organization: "acme", ID: "k", Labels: cairn.Labels{"a": "1"}, Sealed: []byte("s"), CreatedAt: day(1)}
		s.update(func(tx cairn.Tx) error { return tx.APIKeys().Create(k) })
		s.update(func(tx cairn.Tx) error {
			if err := tx.APIKeys().SetLabels("acme", "k", cairn.Labels{"b": "2"}); err != nil {
				return err
			}
			if err := tx.APIKeys().Used("acme", "k", day(3)); err != nil {
				return err
			}
			if err := tx.APIKeys().Used("acme", "k", day(2)); err != nil {
				return err
			}
			return tx.APIKeys().Revoke("acme", "k", day(4))
		})
		s.update(func(tx cairn.Tx) error { return tx.APIKeys().Revoke("acme", "k", day(5)) })
		k.Labels, k.UsedAt, k.RevokedAt = cairn.Labels{"b": "2"}, day(3), day(4)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.APIKeys().Get("acme", "k")
			same(t, "key", got, k)
			return err
		})
	},
	"absent": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.APIKeys().Create(cairn.APIKey{Organization: "acme", ID: "k", Sealed: []byte("s")})
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.APIKeys().Get("other", "k")
			return err
		})
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.APIKeys().SetLabels("other", "k", nil) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.APIKeys().Revoke("acme", "l", day(1)) })
		s.update(func(tx cairn.Tx) error { return tx.APIKeys().Used("acme", "l", day(1)) })
	},
	"they go with their organization": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			if err := tx.Organizations().Create(cairn.Organization{ID: "1", Name: "acme"}); err != nil {
				return err
			}
			return tx.APIKeys().Create(cairn.APIKey{Organization: "1", ID: "k", Sealed: []byte("s")})
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("1") })
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.APIKeys().Get("1", "k")
			return err
		})
	},
}
