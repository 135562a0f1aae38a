package service

import (
	"context"
	"errors"
	"slices"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of SSH keys.
const (
	maxSSHKeys     = 100 // of one holder
	maxSSHKeyTitle = 255
)

// SSHKey is an SSH key with its number.
type SSHKey struct {
	cairn.SSHKey
	Number cairn.Number
}

// NewSSHKey says what key to add.
type NewSSHKey struct {
	Title   string
	Text    string // a line of authorized_keys
	CanPush bool   // counts for keys of repositories
}

// SSHKeyRing is the SSH keys of one holder, as an actor may see and change
// them. There is no SSH server yet that would let anybody in by them.
type SSHKeyRing struct {
	service *Service
	find    func(cairn.Tx) (cairn.SSHKeyHolder, error) // the holder, if they are the actor's to manage
	deploy  bool
	refused error // of an actor who may not, whatever there is
}

// SSHKeysOf returns the keys of a user, for that user and the operator. With an
// empty name they are the actor's own: those of the user or of the access key
// that it is.
func (s *Service) SSHKeysOf(who cairn.Actor, user string) SSHKeyRing {
	return SSHKeyRing{service: s, find: func(tx cairn.Tx) (cairn.SSHKeyHolder, error) {
		switch {
		case user == "" && who.AccessKey != "":
			return sshKeyOfAccessKey(who.Organization.ID, who.AccessKey), nil
		case user == "" && who.User != "":
			return cairn.SSHKeyOfUser(who.User), nil
		}
		found, err := findOwnUser(tx, who, user)
		return cairn.SSHKeyOfUser(found.ID), err
	}}
}

func sshKeyOfAccessKey(org cairn.OrganizationID, id cairn.AccessKeyID) cairn.SSHKeyHolder {
	return cairn.SSHKeyHolder{RepositoryKey: cairn.RepositoryKey{Organization: org}, AccessKey: id}
}

// DeployKeys returns the keys of a repository, for who may change its settings.
func (s *Service) DeployKeys(who cairn.Actor, repo cairn.RepositoryName) SSHKeyRing {
	refused := authorize(who, repo, cairn.RepoAdmin)
	return SSHKeyRing{service: s, deploy: true, refused: refused, find: func(tx cairn.Tx) (cairn.SSHKeyHolder, error) {
		if refused != nil {
			return cairn.SSHKeyHolder{}, refused
		}
		found, err := findRepository(tx, who, repo)
		return cairn.SSHKeyHolder{RepositoryKey: found.RepositoryKey}, err
	}}
}

func numberedSSHKey(k cairn.SSHKey) cairn.Numbered {
	return cairn.Numbered{Kind: cairn.SSHKeyNumber, RepositoryKey: k.RepositoryKey, ID: string(k.ID)}
}

// Add adds a key and gives it its number. Conflict, as SSHKeys.Create has it, if
// key or title are taken, or if there are too many.
func (r SSHKeyRing) Add(ctx context.Context, in NewSSHKey) (SSHKey, error) {
	if r.refused != nil {
		return SSHKey{}, r.refused
	}
	if in.Title == "" {
		return SSHKey{}, cairn.Errorf(cairn.Invalid, "the SSH key needs a title")
	}
	if err := cairn.CheckText("title of the SSH key", in.Title, maxSSHKeyTitle); err != nil {
		return SSHKey{}, err
	}
	line, fingerprint, err := parseSSHKey(in.Text)
	if err != nil {
		return SSHKey{}, err
	}
	made := SSHKey{SSHKey: cairn.SSHKey{
		ID: cairn.SSHKeyID(cairn.NewID()), Title: in.Title, Text: line, Fingerprint: fingerprint,
		CanPush: r.deploy && in.CanPush, CreatedAt: r.service.now().UTC(),
	}}
	err = r.service.metadata.Update(ctx, func(tx cairn.Tx) error {
		if made.SSHKeyHolder, err = r.find(tx); err != nil {
			return err
		}
		present, err := tx.SSHKeys().List(made.SSHKeyHolder)
		if err != nil {
			return err
		}
		if len(present) >= maxSSHKeys {
			return cairn.Errorf(cairn.Conflict, "there are %d SSH keys, the most there may be; delete one first", len(present))
		}
		if err := tx.SSHKeys().Create(made.SSHKey); err != nil {
			return err
		}
		made.Number, err = tx.Numbers().Give(numberedSSHKey(made.SSHKey))
		return err
	})
	return made, err
}

// List returns the keys, oldest first.
func (r SSHKeyRing) List(ctx context.Context) ([]SSHKey, error) {
	var list []SSHKey
	err := r.service.metadata.View(ctx, func(tx cairn.Tx) error {
		holder, err := r.find(tx)
		if err != nil {
			return err
		}
		keys, err := tx.SSHKeys().List(holder)
		if err != nil {
			return err
		}
		list = make([]SSHKey, len(keys))
		for i, k := range keys {
			list[i].SSHKey = k
			if list[i].Number, err = tx.Numbers().Of(numberedSSHKey(k)); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// ErrSSHKeyOfAnother is the NotFound of a key that another user or access key
// holds.
var ErrSSHKeyOfAnother = cairn.Errorf(cairn.NotFound, "the SSH key is another's")

// Get returns the key of a number. One of another holder is NotFound like one
// that is not there.
func (r SSHKeyRing) Get(ctx context.Context, n cairn.Number) (SSHKey, error) {
	found := SSHKey{Number: n}
	err := r.service.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		found.SSHKey, err = r.get(tx, n)
		return err
	})
	return found, err
}

func (r SSHKeyRing) get(tx cairn.Tx, n cairn.Number) (cairn.SSHKey, error) {
	absent := cairn.Errorf(cairn.NotFound, "there is no SSH key %d", n)
	holder, err := r.find(tx)
	if err != nil {
		return cairn.SSHKey{}, err
	}
	thing, err := tx.Numbers().Find(cairn.SSHKeyNumber, n)
	if errors.Is(err, cairn.NotFound) || err == nil && thing.Repository != holder.Repository {
		return cairn.SSHKey{}, absent
	} else if err != nil {
		return cairn.SSHKey{}, err
	}
	found, err := tx.SSHKeys().Get(thing.RepositoryKey, cairn.SSHKeyID(thing.ID))
	switch {
	case errors.Is(err, cairn.NotFound):
		return cairn.SSHKey{}, absent
	case err == nil && found.SSHKeyHolder != holder:
		return cairn.SSHKey{}, ErrSSHKeyOfAnother
	}
	return found, err
}

// Delete takes the key of a number away; NotFound as Get.
func (r SSHKeyRing) Delete(ctx context.Context, n cairn.Number) error {
	return r.service.metadata.Update(ctx, func(tx cairn.Tx) error {
		found, err := r.get(tx, n)
		if err != nil {
			return err
		}
		return deleteSSHKey(tx, found)
	})
}

func deleteSSHKey(tx cairn.Tx, k cairn.SSHKey) error {
	if err := tx.Numbers().Forget(numberedSSHKey(k)); err != nil {
		return err
	}
	return tx.SSHKeys().Delete(k.RepositoryKey, k.ID)
}

// deleteSSHKeys takes all keys of a holder away.
func deleteSSHKeys(tx cairn.Tx, holder cairn.SSHKeyHolder) error {
	keys, err := tx.SSHKeys().List(holder)
	for _, k := range keys {
		if err == nil {
			err = deleteSSHKey(tx, k)
		}
	}
	return err
}

// errSSHKeyStranger answers a private key that opens nothing here.
var errSSHKeyStranger = cairn.Errorf(cairn.NotFound, "the private key is of no SSH key that may use the repository")

// VerifySSHPrivateKey tells whether a private key, in PEM, is the other half of
// a deploy key of a repository, or of a key of a user or access key that may
// read it: NotFound if not, Invalid if it is no private key. It needs git:read.
// The key is neither kept nor logged.
func (s *Service) VerifySSHPrivateKey(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, private string) error {
	if err := authorize(who, repo, cairn.GitRead); err != nil {
		return err
	}
	fingerprint, err := s.sshFingerprintOf(ctx, private)
	if err != nil {
		return err
	}
	return s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err := findRepository(tx, who, repo)
		if err != nil {
			return err
		}
		keys, err := tx.SSHKeys().List(cairn.SSHKeyHolder{RepositoryKey: found.RepositoryKey})
		if err != nil || slices.ContainsFunc(keys, func(k cairn.SSHKey) bool { return k.Fingerprint == fingerprint }) {
			return err
		}
		key, err := tx.SSHKeys().Find(fingerprint)
		if errors.Is(err, cairn.NotFound) {
			return errSSHKeyStranger
		} else if err != nil {
			return err
		}
		reads, err := mayRead(tx, key.SSHKeyHolder, found)
		if err == nil && !reads {
			err = errSSHKeyStranger
		}
		return err
	})
}

// sshFingerprintOf is sshFingerprint for a key from outside: with a large one
// that is work.
func (s *Service) sshFingerprintOf(ctx context.Context, private string) (string, error) {
	if err := s.passwords.enter(ctx); err != nil {
		return "", err
	}
	defer s.passwords.leave()
	return sshFingerprint(private)
}

// mayRead tells whether a user or an access key may read a repository.
func mayRead(tx cairn.Tx, holder cairn.SSHKeyHolder, repo cairn.Repository) (bool, error) {
	if holder.User != "" {
		user, err := tx.Users().Get(holder.User)
		if err != nil || user.Disabled {
			return false, err
		}
		role, err := roleIn(tx, Login{User: user}, repo)
		return role >= cairn.ReaderRole, err
	}
	key, err := tx.AccessKeys().Find(holder.AccessKey)
	if err != nil || !key.RevokedAt.IsZero() || key.Organization != repo.Organization {
		return false, err
	}
	who := cairn.Actor{Scopes: key.Scopes}
	return who.Has(cairn.GitRead) && (key.Repositories == nil || slices.Contains(key.Repositories, repo.Repository)), nil
}
