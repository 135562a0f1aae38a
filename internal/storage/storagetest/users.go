package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// user adds a user of that name, with the organization that is theirs.
func (s store) user(name cairn.OrganizationName) cairn.User {
	s.t.Helper()
	u := cairn.User{ID: cairn.UserID("id-" + name), Name: name, Email: string(name) + "@Example.com", Password: "digest", CreatedAt: day(1)}
	s.update(func(tx cairn.Tx) error {
		if err := tx.Organizations().Create(cairn.Organization{ID: cairn.OrganizationID(u.ID), Name: name, CreatedAt: u.CreatedAt}); err != nil {
			return err
		}
		return tx.Users().Create(u)
	})
	return u
}

func names(users []cairn.User) (list []cairn.OrganizationName) {
	for _, u := range users {
		list = append(list, u.Name)
	}
	return list
}

var userCases = map[string]func(*testing.T, store){
	"created, found, listed": func(t *testing.T, s store) {
		ada, bob := s.user("ada"), s.user("bob")
		ada.Organization = cairn.Profile{Spelling: "Ada", FullName: "Augusta Ada King", Website: "w", Location: "l", Description: "d"}
		s.update(func(tx cairn.Tx) error {
			if err := tx.Organizations().SetProfile(cairn.OrganizationID(ada.ID), ada.Organization); err != nil {
				return err
			}
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"}) // of no user
		})
		s.view(func(tx cairn.Tx) error {
			for _, find := range []func() (cairn.User, error){
				func() (cairn.User, error) { return tx.Users().Get(ada.ID) },
				func() (cairn.User, error) { return tx.Users().Find("ada") },
				func() (cairn.User, error) { return tx.Users().FindEmail("ADA@example.COM") },
			} {
				got, err := find()
				if err != nil {
					return err
				}
				same(t, "found", got, ada)
			}
			for _, c := range []struct {
				text  string
				after cairn.OrganizationName
				limit int
				want  []cairn.OrganizationName
			}{
				{"", "", 9, []cairn.OrganizationName{"ada", "bob"}}, {"", "", 1, []cairn.OrganizationName{"ada"}}, {"", "ada", 9, []cairn.OrganizationName{"bob"}},
				{"KING", "", 9, []cairn.OrganizationName{"ada"}}, {"OB", "", 9, []cairn.OrganizationName{"bob"}}, {"%", "", 9, nil}, {"_da", "", 9, nil},
			} {
				got, err := tx.Users().List(c.text, c.after, c.limit)
				if err != nil {
					return err
				}
				sameList(t, "listed "+c.text, names(got), c.want)
			}
			return nil
		})
		_ = bob
	},
	"an email address is one user's": func(t *testing.T, s store) {
		ada, bob := s.user("ada"), s.user("bob")
		bob.Email = "ADA@example.com"
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Users().Update(bob) })
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Users().Create(cairn.User{ID: "other", Email: bob.Email}) })
		for _, u := range []*cairn.User{&ada, &bob} {
			u.Email = "" // which many may have
			s.update(func(tx cairn.Tx) error { return tx.Users().Update(*u) })
		}
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Users().FindEmail("")
			return err
		})
		ada.Email, ada.Password, ada.Admin, ada.Disabled = "Ada@example.com", "other", true, true
		s.update(func(tx cairn.Tx) error { return tx.Users().Update(ada) })
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Users().Get(ada.ID)
			same(t, "updated", got, ada)
			return err
		})
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Users().Update(cairn.User{ID: "nobody"}) })
	},
	"tokens": func(t *testing.T, s store) {
		ada, bob := s.user("ada"), s.user("bob")
		tokens := []cairn.UserToken{
			{User: ada.ID, Name: "z", Digest: cairn.TokenDigest{1}, CreatedAt: day(1)},
			{User: ada.ID, Name: "a", Digest: cairn.TokenDigest{2}, CreatedAt: day(2)},
			{User: bob.ID, Name: "z", Digest: cairn.TokenDigest{3}, CreatedAt: day(1)},
		}
		for _, k := range tokens {
			s.update(func(tx cairn.Tx) error { return tx.Users().AddToken(k) })
		}
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Users().AddToken(cairn.UserToken{User: ada.ID, Name: "a", Digest: cairn.TokenDigest{4}})
		})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Users().Tokens(ada.ID)
			if err != nil {
				return err
			}
			sameList(t, "tokens", got, tokens[:2])
			who, err := tx.Users().TokenUser(cairn.TokenDigest{3})
			same(t, "user of the token", who, bob)
			return err
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Users().TokenUser(cairn.TokenDigest{4})
			return err
		})
		s.update(func(tx cairn.Tx) error { return tx.Users().DeleteToken(ada.ID, "z") })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Users().DeleteToken(ada.ID, "z") })
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Users().TokenUser(cairn.TokenDigest{1})
			return err
		})
	},
	"deletion takes tokens and access along": func(t *testing.T, s store) {
		ada := s.user("ada")
		r := s.repository("site")
		s.update(func(tx cairn.Tx) error {
			if err := tx.Roles().Grant(r.RepositoryKey, ada.ID, cairn.ReaderRole); err != nil {
				return err
			}
			if err := tx.Roles().CreateTeam(cairn.Team{Organization: "acme", ID: "t", Name: "t", Role: cairn.OwnerRole}); err != nil {
				return err
			}
			if err := tx.Roles().Join("acme", "t", ada.ID); err != nil {
				return err
			}
			return tx.Users().AddToken(cairn.UserToken{User: ada.ID, Name: "a", Digest: cairn.TokenDigest{1}})
		})
		s.update(func(tx cairn.Tx) error { return tx.Users().Delete(ada.ID) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Users().Delete(ada.ID) })
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Users().TokenUser(cairn.TokenDigest{1})
			return err
		})
		s.view(func(tx cairn.Tx) error {
			for _, ask := range []func() (cairn.Role, error){
				func() (cairn.Role, error) { return tx.Roles().Of(ada.ID, r.RepositoryKey) },
				func() (cairn.Role, error) { return tx.Roles().In(ada.ID, "acme") },
			} {
				got, err := ask()
				if err != nil {
					return err
				}
				same(t, "access", got, cairn.NoRole)
			}
			_, err := tx.Organizations().Get(cairn.OrganizationID(ada.ID))
			return err
		})
	},
}

var roleCases = map[string]func(*testing.T, store){
	"the highest counts": func(t *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme"})
		})
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "other", Name: "other"})
		})
		ada := s.user("ada")
		r, second, elsewhere := s.repository("site"), s.repository("shop"), s.repositoryOf("other", "site")
		expect := func(what string, first, another, foreign, in cairn.Role, organizations, repositories int) {
			t.Helper()
			s.view(func(tx cairn.Tx) error {
				for i, c := range []struct {
					key  cairn.RepositoryKey
					want cairn.Role
				}{{r.RepositoryKey, first}, {second.RepositoryKey, another}, {elsewhere.RepositoryKey, foreign}} {
					got, err := tx.Roles().Of(ada.ID, c.key)
					if err != nil {
						return err
					}
					if got != c.want {
						t.Errorf("%s: access to repository %d is %d, want %d", what, i, got, c.want)
					}
				}
				each, err := tx.Roles().OfEach(ada.ID, []cairn.RepositoryKey{r.RepositoryKey, second.RepositoryKey, elsewhere.RepositoryKey})
				if err != nil {
					return err
				}
				same(t, what+": each", [3]cairn.Role{each[r.RepositoryKey], each[second.RepositoryKey], each[elsewhere.RepositoryKey]}, [3]cairn.Role{first, another, foreign})
				if first < cairn.OwnerRole { // owners see all, whatever is given
					visible, err := tx.Repositories().Visible("acme", ada.ID, 10)
					if err != nil {
						return err
					}
					same(t, what+": visible", len(visible), repositories)
				}
				got, err := tx.Roles().In(ada.ID, "acme")
				if err != nil {
					return err
				}
				same(t, what+": access in the organization", got, in)
				orgs, err := tx.Roles().Organizations(ada.ID)
				if err != nil {
					return err
				}
				same(t, what+": organizations", len(orgs), organizations)
				repos, err := tx.Roles().Repositories(ada.ID, 10)
				same(t, what+": repositories", len(repos), repositories)
				return err
			})
		}
		expect("nothing", 0, 0, 0, 0, 0, 0)
		s.update(func(tx cairn.Tx) error { return tx.Roles().Grant(r.RepositoryKey, ada.ID, cairn.AdminRole) })
		s.update(func(tx cairn.Tx) error { return tx.Roles().Grant(r.RepositoryKey, ada.ID, cairn.ReaderRole) })
		expect("a collaborator", 1, 0, 0, 0, 0, 1)
		writers := cairn.Team{Organization: "acme", ID: "w", Name: "Writers", Role: cairn.WriterRole, Description: "They write.", CreatedAt: day(1)}
		owners := cairn.Team{Organization: "acme", ID: "o", Name: "Owners", Role: cairn.OwnerRole, CreatedAt: day(2)}
		for _, team := range []cairn.Team{owners, writers} {
			s.update(func(tx cairn.Tx) error { return tx.Roles().CreateTeam(team) })
		}
		join := func(team cairn.TeamID) {
			s.update(func(tx cairn.Tx) error { return tx.Roles().Join("acme", team, ada.ID) })
		}
		join("w")
		join("w")
		expect("a member", 1, 0, 0, 2, 1, 1)
		s.update(func(tx cairn.Tx) error { return tx.Roles().Give("w", r.RepositoryKey) })
		s.update(func(tx cairn.Tx) error { return tx.Roles().Give("w", r.RepositoryKey) })
		expect("a member with a repository", 2, 0, 0, 2, 1, 1)
		join("o")
		expect("an owner", 4, 4, 0, 4, 1, 2)
		s.update(func(tx cairn.Tx) error { return tx.Roles().Leave("acme", "o", ada.ID) })
		s.update(func(tx cairn.Tx) error { return tx.Roles().Take("w", r.RepositoryKey) })
		s.update(func(tx cairn.Tx) error { return tx.Roles().Withdraw(r.RepositoryKey, ada.ID) })
		s.update(func(tx cairn.Tx) error { return tx.Roles().Withdraw(r.RepositoryKey, ada.ID) })
		expect("a member again", 0, 0, 0, 2, 1, 0)
		s.view(func(tx cairn.Tx) error {
			teams, err := tx.Roles().Teams("acme")
			if err != nil {
				return err
			}
			sameList(t, "teams", teams, []cairn.Team{writers, owners})
			team, err := tx.Roles().Team("acme", "o")
			same(t, "team", team, owners)
			return err
		})
	},
	"collaborators and members by name": func(t *testing.T, s store) {
		bob, ada := s.user("bob"), s.user("ada")
		r := s.repository("site")
		s.update(func(tx cairn.Tx) error {
			for u, a := range map[cairn.UserID]cairn.Role{bob.ID: cairn.WriterRole, ada.ID: cairn.ReaderRole} {
				if err := tx.Roles().Grant(r.RepositoryKey, u, a); err != nil {
					return err
				}
				if err := tx.Roles().Join("acme", "w", u); err != nil {
					return err
				}
			}
			return nil
		})
		s.view(func(tx cairn.Tx) error {
			list, err := tx.Roles().Collaborators(r.RepositoryKey)
			if err != nil {
				return err
			}
			sameList(t, "collaborators", list, []cairn.Collaborator{{User: ada, Role: cairn.ReaderRole}, {User: bob, Role: cairn.WriterRole}})
			members, err := tx.Roles().Members("acme", "w")
			sameList(t, "members", names(members), []cairn.OrganizationName{"ada", "bob"})
			return err
		})
	},
	"teams": func(_ *testing.T, s store) {
		s.update(func(tx cairn.Tx) error {
			return tx.Roles().CreateTeam(cairn.Team{Organization: "acme", ID: "1", Name: "Dev"})
		})
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Roles().CreateTeam(cairn.Team{Organization: "acme", ID: "2", Name: "dev"})
		})
		s.update(func(tx cairn.Tx) error {
			return tx.Roles().CreateTeam(cairn.Team{Organization: "other", ID: "2", Name: "dev"})
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Roles().Team("acme", "2")
			return err
		})
	},
	"public repositories and forks": func(t *testing.T, s store) {
		one, two := s.repository("One"), s.repositoryOf("other", "two")
		s.repository("hidden")
		fork := newRepository("acme", "fork")
		fork.Parent = one.Repository
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Create(fork); return err })
		for _, r := range []cairn.Repository{one, two} {
			s.refuse(cairn.Internal, func(tx cairn.Tx) error { return tx.Repositories().Describe(r.RepositoryKey, "", true) })
			s.update(func(tx cairn.Tx) error {
				if _, err := tx.Repositories().Advance(r.RepositoryKey); err != nil {
					return err
				}
				return tx.Repositories().Describe(r.RepositoryKey, "It is "+string(r.Name), true)
			})
		}
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct {
				text  string
				after cairn.RepositoryKey
				limit int
				want  []cairn.RepositoryName
			}{
				{"", cairn.RepositoryKey{}, 9, []cairn.RepositoryName{"One", "two"}}, {"", cairn.RepositoryKey{}, 1, []cairn.RepositoryName{"One"}},
				{"", one.RepositoryKey, 9, []cairn.RepositoryName{"two"}}, {"IS TWO", cairn.RepositoryKey{}, 9, []cairn.RepositoryName{"two"}},
				{"oNe", cairn.RepositoryKey{}, 9, []cairn.RepositoryName{"One"}}, {"hidden", cairn.RepositoryKey{}, 9, nil},
			} {
				list, err := tx.Repositories().Public(c.text, c.after, c.limit)
				if err != nil {
					return err
				}
				var got []cairn.RepositoryName
				for _, r := range list {
					got = append(got, r.Name)
				}
				sameList(t, "public "+c.text, got, c.want)
			}
			visible, err := tx.Repositories().Visible("acme", "nobody", 9)
			if err != nil {
				return err
			}
			same(t, "visible to nobody", len(visible), 1)
			forks, err := tx.Repositories().Forks(one.RepositoryKey, 9)
			if err != nil {
				return err
			}
			sameList(t, "forks", forks, []cairn.Repository{fork})
			forks, err = tx.Repositories().Forks(fork.RepositoryKey, 9)
			sameList(t, "forks of the fork", forks, nil)
			return err
		})
	},
	"names but for case": func(t *testing.T, s store) {
		s.repository("Site")
		s.repository("SITE")
		s.repository("shop")
		s.repository("Mixed")
		s.view(func(tx cairn.Tx) error {
			for ask, want := range map[cairn.RepositoryName]cairn.RepositoryName{"Site": "Site", "SITE": "SITE", "site": "SITE", "SHOP": "shop", "mIXED": "Mixed"} {
				got, err := tx.Repositories().FindFolded("acme", ask)
				if err != nil {
					return err
				}
				same(t, "found for "+string(ask), got.Name, want)
			}
			return nil
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Repositories().FindFolded("other", "site")
			return err
		})
	},
}
