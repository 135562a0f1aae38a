package storagetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var accountCases = map[string]func(*testing.T, store){
	"by name, id, member and email address": func(t *testing.T, s store) {
		ada, bob := s.user("ada"), s.user("bob")
		profile := cairn.Profile{Spelling: "Acme", FullName: "Acme Ltd", Website: "w", Location: "l", Description: "d"}
		s.update(func(tx cairn.Tx) error {
			if err := tx.Organizations().Create(cairn.Organization{ID: "acme", Name: "acme", CreatedAt: day(3)}); err != nil {
				return err
			}
			if err := tx.Roles().CreateTeam(cairn.Team{Organization: "acme", ID: "t", Name: "t"}); err != nil {
				return err
			}
			if err := tx.Roles().Join("acme", "t", bob.ID); err != nil {
				return err
			}
			return tx.Organizations().SetProfile("acme", profile)
		})
		n := s.give(cairn.Numbered{Kind: cairn.OrganizationNumber, RepositoryKey: cairn.RepositoryKey{Organization: "acme"}})
		acme := cairn.Account{Organization: cairn.Organization{ID: "acme", Name: "acme", CreatedAt: day(3)}, Profile: profile, Number: n}
		of := func(u cairn.User) cairn.Account {
			return cairn.Account{Organization: cairn.Organization{ID: cairn.OrganizationID(u.ID), Name: u.Name, CreatedAt: u.CreatedAt}, User: true, Email: u.Email}
		}
		many := []cairn.OrganizationID{"nobody", "acme", of(bob).ID, "acme"}
		for i := range 200 {
			many = append(many, cairn.OrganizationID(fmt.Sprint("none ", i)))
		}
		s.view(func(tx cairn.Tx) error {
			for what, c := range map[string]struct {
				find func() ([]cairn.Account, error)
				want []cairn.Account
			}{
				"none":   {func() ([]cairn.Account, error) { return tx.Accounts().Get(nil) }, nil},
				"one":    {func() ([]cairn.Account, error) { return tx.Accounts().Get(many[1:2]) }, []cairn.Account{acme}},
				"many":   {func() ([]cairn.Account, error) { return tx.Accounts().Get(many) }, []cairn.Account{acme, of(bob)}},
				"of bob": {func() ([]cairn.Account, error) { return tx.Accounts().Of(bob.ID) }, []cairn.Account{acme}},
				"of ada": {func() ([]cairn.Account, error) { return tx.Accounts().Of(ada.ID) }, nil},
				"by address": {func() ([]cairn.Account, error) {
					return tx.Accounts().WithEmails([]string{"", "BOB@example.com", "x@y"})
				}, []cairn.Account{of(bob)}},
				"by none": {func() ([]cairn.Account, error) { return tx.Accounts().WithEmails([]string{""}) }, nil},
			} {
				got, err := c.find()
				if err != nil {
					return err
				}
				slices.SortFunc(got, func(a, b cairn.Account) int { return int(a.Name[0]) - int(b.Name[0]) })
				sameList(t, what, slices.Compact(got), c.want)
			}
			got, err := tx.Accounts().Find("ada")
			same(t, "by name", got, of(ada))
			return err
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Accounts().Find("nobody")
			return err
		})
	},
	"facts of repositories": func(t *testing.T, s store) {
		r, empty := s.repository("site"), s.repository("empty")
		fork := newRepository("acme", "fork")
		fork.Parent = r.Repository
		gone := newRepository("acme", "gone")
		gone.Parent = r.Repository
		s.update(func(tx cairn.Tx) error {
			if _, err := tx.Repositories().Create(fork); err != nil {
				return err
			}
			if _, err := tx.Repositories().Create(gone); err != nil {
				return err
			}
			return tx.Repositories().Delete(gone.RepositoryKey, day(4))
		})
		s.write(r.RepositoryKey, func(tx cairn.Tx, version int64) error {
			for i, id := range []cairn.PackID{"p", "q"} {
				if err := tx.Packs().Add(r.RepositoryKey, cairn.Pack{ID: id, Size: int64(10 * (i + 1)), CreatedAt: day(1), Data: []byte("x"), Index: []byte("x")}); err != nil {
					return err
				}
			}
			return tx.Events().Append(r.RepositoryKey, []cairn.Event{
				{Version: version, Ordinal: 0, At: day(5), RefUpdate: cairn.RefUpdate{Name: "refs/heads/a", New: git.MustParseObjectID("1111111111111111111111111111111111111111")}},
				{Version: version, Ordinal: 1, At: day(6), RefUpdate: cairn.RefUpdate{Name: "refs/heads/b", New: git.MustParseObjectID("1111111111111111111111111111111111111111")}},
			})
		})
		n := s.give(cairn.NumberedRepository(r.RepositoryKey))
		keys := []cairn.RepositoryKey{r.RepositoryKey, empty.RepositoryKey, {Organization: "acme", Repository: "nothing"}, {Organization: "other", Repository: r.Repository}}
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Facts(keys)
			if err != nil {
				return err
			}
			found := map[cairn.RepositoryKey]cairn.RepositoryFacts{}
			for _, f := range got {
				found[f.RepositoryKey] = f
			}
			same(t, "repositories", len(found), 2)
			same(t, "facts", found[r.RepositoryKey], cairn.RepositoryFacts{RepositoryKey: r.RepositoryKey, Number: n, Packs: 2, Size: 30, Forks: 1, MovedAt: day(6)})
			same(t, "facts of an empty one", found[empty.RepositoryKey], cairn.RepositoryFacts{RepositoryKey: empty.RepositoryKey})
			if got, err = tx.Repositories().Facts(keys[:1]); err != nil {
				return err
			}
			sameList(t, "facts of one", got, []cairn.RepositoryFacts{found[r.RepositoryKey]})
			some, err := tx.Repositories().Some(append(keys[1:], gone.RepositoryKey))
			if err != nil {
				return err
			}
			var list []cairn.RepositoryName
			for _, r := range some {
				list = append(list, r.Name)
			}
			slices.Sort(list)
			sameList(t, "some", slices.Compact(list), []cairn.RepositoryName{"empty", "gone"})
			return nil
		})
	},
}
