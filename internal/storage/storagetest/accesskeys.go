package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var accessKeyCases = map[string]func(*testing.T, store){
	"found, listed oldest first, revoked once": func(t *testing.T, s store) {
		want := []cairn.AccessKey{
			{Organization: "acme", ID: "Z", Name: "robot", Scopes: []cairn.Scope{cairn.GitRead, cairn.OrgRead}, Sealed: []byte("\xff"), CreatedAt: day(1)},
			{Organization: "acme", ID: "A", Repositories: []cairn.RepositoryID{"a", "b"}, Sealed: []byte("s"), CreatedAt: day(2)},
		}
		foreign := cairn.AccessKey{Organization: "other", ID: "B", Sealed: []byte("s"), CreatedAt: day(1)}
		for _, k := range []cairn.AccessKey{want[1], want[0], foreign} {
			s.update(func(tx cairn.Tx) error { return tx.AccessKeys().Create(k) })
		}
		list := func() (keys []cairn.AccessKey) {
			s.view(func(tx cairn.Tx) (err error) {
				keys, err = tx.AccessKeys().List("acme")
				return err
			})
			return keys
		}
		same(t, "keys", list(), want)
		s.update(func(tx cairn.Tx) error { return tx.AccessKeys().Revoke("acme", "Z", day(3)) })
		s.update(func(tx cairn.Tx) error { return tx.AccessKeys().Revoke("acme", "Z", day(4)) })
		want[0].RevokedAt = day(3)
		same(t, "keys with a revoked one", list(), want)
		for _, k := range []cairn.AccessKey{want[0], want[1], foreign} {
			s.view(func(tx cairn.Tx) error {
				got, err := tx.AccessKeys().Find(k.ID)
				same(t, "found", got, k)
				return err
			})
		}
	},
	"an id is taken once in the server": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.AccessKeys().Create(cairn.AccessKey{Organization: "acme", ID: "A", Sealed: []byte("s")})
		})
		for _, org := range []cairn.OrganizationID{"acme", "other"} {
			s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
				return tx.AccessKeys().Create(cairn.AccessKey{Organization: org, ID: "A", Sealed: []byte("s")})
			})
		}
	},
	"absent": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.AccessKeys().Create(cairn.AccessKey{Organization: "acme", ID: "A", Sealed: []byte("s")})
		})
		s.absent(func(tx cairn.Tx) error { _, err := tx.AccessKeys().Find("B"); return err })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.AccessKeys().Revoke("other", "A", day(1)) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.AccessKeys().Revoke("acme", "B", day(1)) })
	},
	"gone with their organization": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			if err := tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"}); err != nil {
				return err
			}
			if err := tx.AccessKeys().Create(cairn.AccessKey{Organization: "acme", ID: "A", Sealed: []byte("s")}); err != nil {
				return err
			}
			return tx.Projects().Create(cairn.Project{Organization: "acme", ID: "1", Name: "web"})
		})
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
		s.absent(func(tx cairn.Tx) error { _, err := tx.AccessKeys().Find("A"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Projects().Get("acme", "1"); return err })
	},
}

var projectCases = map[string]func(*testing.T, store){
	"created, found, listed": func(t *testing.T, s store) {
		var want []cairn.Project
		for i, name := range []cairn.ProjectName{"App", "b-4", "web"} {
			want = append(want, cairn.Project{Organization: "acme", ID: cairn.NewProjectID(), Name: name, CreatedAt: day(9 - i)})
		}
		for _, i := range []int{2, 0, 1} {
			s.update(func(tx cairn.Tx) error { return tx.Projects().Create(want[i]) })
		}
		s.view(func(tx cairn.Tx) error {
			for _, p := range want {
				got, err := tx.Projects().Get("acme", p.ID)
				if err != nil {
					return err
				}
				same(t, "got", got, p)
				if got, err = tx.Projects().Find("acme", p.Name); err != nil {
					return err
				}
				same(t, "found", got, p)
			}
			for _, c := range []struct {
				after cairn.ProjectName
				limit int
				want  []cairn.Project
			}{{"", 10, want}, {"", 2, want[:2]}, {"App", 10, want[1:]}, {"web", 10, nil}, {"", 0, nil}} {
				got, err := tx.Projects().List("acme", c.after, c.limit)
				if err != nil {
					return err
				}
				sameList(t, "listed after "+string(c.after), got, c.want)
			}
			return nil
		})
	},
	"members, gone with their user or organization": func(t *testing.T, s store) {
		ada, bob := s.user("ada"), s.user("bob")
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"})
		})
		set := func(user cairn.User, role cairn.Role) {
			s.update(func(tx cairn.Tx) error { return tx.Projects().SetMember("acme", "1", user.ID, role) })
		}
		expect := func(what string, want ...cairn.Collaborator) {
			t.Helper()
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Projects().Members("acme", "1")
				sameList(t, what, got, want)
				return err
			})
		}
		set(bob, cairn.ReaderRole)
		set(ada, cairn.ReaderRole)
		set(ada, cairn.AdminRole)
		s.update(func(tx cairn.Tx) error { return tx.Projects().SetMember("acme", "2", bob.ID, cairn.AdminRole) })
		expect("members", cairn.Collaborator{User: ada, Role: cairn.AdminRole}, cairn.Collaborator{User: bob, Role: cairn.ReaderRole})
		set(ada, cairn.NoRole)
		set(ada, cairn.NoRole)
		expect("without one", cairn.Collaborator{User: bob, Role: cairn.ReaderRole})
		s.update(func(tx cairn.Tx) error { return tx.Users().Delete(bob.ID) })
		expect("without a user who is gone")
		set(ada, cairn.ReaderRole)
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("acme") })
		expect("without the organization")
	},
	"absent": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.Projects().Create(cairn.Project{Organization: "acme", ID: "1", Name: "web"})
		})
		s.absent(func(tx cairn.Tx) error { _, err := tx.Projects().Get("other", "1"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Projects().Find("other", "web"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Projects().Find("acme", "Web"); return err })
	},
	"a name is taken once in the organization": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.Projects().Create(cairn.Project{Organization: "acme", ID: "1", Name: "web"})
		})
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Projects().Create(cairn.Project{Organization: "acme", ID: "2", Name: "web"})
		})
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Projects().Create(cairn.Project{Organization: "acme", ID: "1", Name: "app"})
		})
		s.update(func(tx cairn.Tx) error {
			return tx.Projects().Create(cairn.Project{Organization: "other", ID: "1", Name: "web"})
		})
	},
}
