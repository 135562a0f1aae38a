package storagetest

import (
	"errors"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var sshKeyCases = map[string]func(*testing.T, store){
	"got, listed oldest first, found, deleted": func(t *testing.T, s store) {
		ada, r := s.user("ada"), s.repository("site")
		mine, theirs := cairn.SSHKeyOfUser(ada.ID), cairn.SSHKeyHolder{RepositoryKey: r.RepositoryKey}
		robot := cairn.SSHKeyHolder{RepositoryKey: cairn.RepositoryKey{Organization: "acme"}, AccessKey: "AK"}
		keys := []cairn.SSHKey{
			{SSHKeyHolder: mine, ID: "z", Title: "laptop", Text: "ssh-ed25519 A ada", Fingerprint: "SHA256:1", CreatedAt: day(1)},
			{SSHKeyHolder: mine, ID: "a", Title: "desktop", Text: "ssh-ed25519 B", Fingerprint: "SHA256:2", CreatedAt: day(2)},
			{SSHKeyHolder: theirs, ID: "a", Title: "laptop", Text: "ssh-ed25519 C", Fingerprint: "SHA256:3", CanPush: true, CreatedAt: day(1)},
			{SSHKeyHolder: robot, ID: "a", Title: "laptop", Text: "ssh-ed25519 D", Fingerprint: "SHA256:4", CreatedAt: day(1)},
		}
		for _, k := range keys {
			s.update(func(tx cairn.Tx) error { return tx.SSHKeys().Create(k) })
		}
		for holder, want := range map[cairn.SSHKeyHolder][]cairn.SSHKey{mine: keys[:2], theirs: keys[2:3], robot: keys[3:], {}: nil} {
			sameList(t, "keys", s.sshKeys(holder), want)
		}
		for _, k := range keys {
			s.view(func(tx cairn.Tx) error {
				got, err := tx.SSHKeys().Get(k.RepositoryKey, k.ID)
				if err != nil {
					return err
				}
				same(t, "got", got, k)
				if k.Repository != "" {
					return nil
				}
				got, err = tx.SSHKeys().Find(k.Fingerprint)
				same(t, "found", got, k)
				return err
			})
		}
		s.absent(func(tx cairn.Tx) error { _, err := tx.SSHKeys().Find(keys[2].Fingerprint); return err }) // of a repository
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.SSHKeys().Delete(r.RepositoryKey, "z") })
		s.update(func(tx cairn.Tx) error { return tx.SSHKeys().Delete(r.RepositoryKey, "a") })
		s.absent(func(tx cairn.Tx) error { _, err := tx.SSHKeys().Get(r.RepositoryKey, "a"); return err })
		sameList(t, "keys of others", append(s.sshKeys(mine), s.sshKeys(robot)...), append(keys[:2:2], keys[3]))
	},
	"a key is one's alone, but many repositories may have it": func(t *testing.T, s store) {
		ada, bob := s.user("ada"), s.user("bob")
		site, shop := s.repository("site"), s.repository("shop")
		create := func(holder cairn.SSHKeyHolder, title, fingerprint string) error {
			return s.Update(t.Context(), func(tx cairn.Tx) error {
				return tx.SSHKeys().Create(cairn.SSHKey{SSHKeyHolder: holder, ID: cairn.SSHKeyID(cairn.NewID()), Title: title, Fingerprint: fingerprint, CreatedAt: day(1)})
			})
		}
		of := func(r cairn.Repository) cairn.SSHKeyHolder { return cairn.SSHKeyHolder{RepositoryKey: r.RepositoryKey} }
		robot := cairn.SSHKeyHolder{RepositoryKey: cairn.RepositoryKey{Organization: "acme"}, AccessKey: "AK"}
		for i, c := range []struct {
			holder             cairn.SSHKeyHolder
			title, fingerprint string
			want               error
		}{
			{cairn.SSHKeyOfUser(ada.ID), "laptop", "1", nil},
			{cairn.SSHKeyOfUser(ada.ID), "other", "1", cairn.ErrSSHKeyUsed},
			{cairn.SSHKeyOfUser(ada.ID), "laptop", "2", cairn.ErrSSHKeyTitle},
			{cairn.SSHKeyOfUser(bob.ID), "laptop", "1", cairn.ErrSSHKeyUsed},
			{cairn.SSHKeyOfUser(bob.ID), "laptop", "2", nil},
			{robot, "laptop", "2", cairn.ErrSSHKeyUsed},
			{robot, "laptop", "3", nil},
			{of(site), "laptop", "1", cairn.ErrSSHKeyUsed},
			{of(site), "laptop", "3", cairn.ErrSSHKeyUsed},
			{of(site), "laptop", "4", nil},
			{of(site), "other", "4", cairn.ErrSSHKeyUsed},
			{of(site), "laptop", "5", cairn.ErrSSHKeyTitle},
			{of(shop), "laptop", "4", nil},
			{cairn.SSHKeyOfUser(ada.ID), "of repositories", "4", nil},
		} {
			if err := create(c.holder, c.title, c.fingerprint); !errors.Is(err, c.want) || err != nil && !errors.Is(err, cairn.Conflict) {
				t.Errorf("%d: got error %v, want %v", i, err, c.want)
			}
		}
		s.view(func(tx cairn.Tx) error {
			found, err := tx.SSHKeys().Find("4")
			same(t, "user of the key", found.User, ada.ID)
			return err
		})
	},
	"gone with their user, organization or repository": func(t *testing.T, s store) {
		ada, bob, r := s.user("ada"), s.user("bob"), s.repository("site")
		s.update(func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: "other", Name: "other"})
		})
		robot := cairn.SSHKeyHolder{RepositoryKey: cairn.RepositoryKey{Organization: "other"}, AccessKey: "AK"}
		holders := []cairn.SSHKeyHolder{cairn.SSHKeyOfUser(ada.ID), robot, {RepositoryKey: r.RepositoryKey}, cairn.SSHKeyOfUser(bob.ID)}
		for i, holder := range holders {
			s.update(func(tx cairn.Tx) error {
				return tx.SSHKeys().Create(cairn.SSHKey{SSHKeyHolder: holder, ID: "k", Title: "t", Fingerprint: string(rune('a' + i))})
			})
		}
		s.update(func(tx cairn.Tx) error { return tx.Users().Delete(ada.ID) })
		s.update(func(tx cairn.Tx) error { return tx.Organizations().Delete("other") })
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(2)) })
		same(t, "keys of a deleted repository", len(s.sshKeys(holders[2])), 1) // which may be restored
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(3), 1000); return err })
		for i, holder := range holders {
			want := 0
			if i == 3 {
				want = 1
			}
			same(t, "keys that are left", len(s.sshKeys(holder)), want)
		}
	},
}

func (s store) sshKeys(holder cairn.SSHKeyHolder) (keys []cairn.SSHKey) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) (err error) {
		keys, err = tx.SSHKeys().List(holder)
		return err
	})
	return keys
}
