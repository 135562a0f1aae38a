package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/secret"
)

// Bounds of a credential for an upstream, in bytes.
const (
	maxUpstreamUsername = 255
	maxUpstreamPassword = 4 << 10
)

// defaultUpstreamUsername is what a credential has for a user name where none
// is given: providers that take tokens do not look at it.
const defaultUpstreamUsername = "git"

// anyRepository is the claim that SDKs put into tokens which are for no
// repository.
const anyRepository = "org"

// login is a user name with its password. It is stored sealed only.
type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// String keeps a login out of what is printed.
func (login) String() string { return "***" }

// GoString is String.
func (login) GoString() string { return "***" }

func credentialPlace(org cairn.OrganizationID, repo cairn.RepositoryID) secret.Place {
	return secret.Place{Organization: org, Purpose: "upstream credential", Row: string(repo)}
}

// seal checks a login and encrypts it for a repository.
func (s *Service) seal(key cairn.RepositoryKey, username, password string) ([]byte, error) {
	if username == "" {
		username = defaultUpstreamUsername
	}
	odd := func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }
	switch {
	case password == "":
		return nil, cairn.Errorf(cairn.Invalid, "password is required")
	case len(password) > maxUpstreamPassword, len(username) > maxUpstreamUsername:
		return nil, cairn.Errorf(cairn.Invalid, "a username has at most %d bytes, a password %d", maxUpstreamUsername, maxUpstreamPassword)
	case strings.ContainsFunc(username, odd), strings.ContainsFunc(password, odd), strings.Contains(username, ":"):
		return nil, cairn.Errorf(cairn.Invalid, "username and password may not hold control characters, nor the username a colon")
	}
	plain, err := json.Marshal(login{username, password})
	if err != nil {
		return nil, err
	}
	return s.secrets.Seal(plain, credentialPlace(key.Organization, key.Repository)), nil
}

func (s *Service) newCredential(key cairn.RepositoryKey, username, password string) (cairn.Credential, error) {
	sealed, err := s.seal(key, username, password)
	now := s.now().UTC()
	return cairn.Credential{
		Organization: key.Organization, ID: newCredentialID(), Repository: key.Repository, Kind: loginKind(username),
		Sealed: sealed, CreatedAt: now, UpdatedAt: now,
	}, err
}

// loginKind is the kind of a credential with that user name, where its owner
// does not say it.
func loginKind(username string) cairn.LoginKind {
	if username == "" {
		return cairn.TokenLogin
	}
	return cairn.PasswordLogin
}

// newCredentialID is not to be guessed: who has a token of the organization for
// no repository addresses credentials by it alone.
func newCredentialID() string { return "ggc_" + cairn.NewID() + cairn.NewID() }

// login returns what a repository is let into its upstream with; nil if it has
// nothing.
func (s *Service) login(ctx context.Context, key cairn.RepositoryKey) (*login, error) {
	var stored cairn.Credential
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		stored, err = tx.Credentials().Of(key)
		return err
	})
	if errors.Is(err, cairn.NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	plain, err := s.secrets.Open(stored.Sealed, credentialPlace(key.Organization, key.Repository))
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", stored.ID, err)
	}
	var l login
	if err := json.Unmarshal(plain, &l); err != nil {
		return nil, cairn.Errorf(cairn.Internal, "a stored credential has no known form")
	}
	return &l, nil
}

// CreateCredential stores what a repository is let into its upstream with;
// Conflict if it has a credential. The repository is named by its name or its
// id, and so it may be in the actor's token.
func (s *Service) CreateCredential(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, username, password string) (made cairn.Credential, err error) {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return made, err
	}
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		found, err := findByNameOrID(tx, who, repo)
		if err != nil {
			return err
		}
		if made, err = s.newCredential(found.RepositoryKey, username, password); err != nil {
			return err
		}
		return tx.Credentials().Create(made)
	})
	return made, err
}

// UpdateCredential replaces user name and password of a credential. repo is
// empty where the credential is addressed by its id alone.
func (s *Service) UpdateCredential(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id, username, password string) (changed cairn.Credential, err error) {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return changed, err
	}
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		if changed, err = findCredential(tx, who, repo, id); err != nil {
			return err
		}
		key := cairn.RepositoryKey{Organization: changed.Organization, Repository: changed.Repository}
		if changed.Sealed, err = s.seal(key, username, password); err != nil {
			return err
		}
		changed.UpdatedAt = s.now().UTC()
		changed.Kind = loginKind(username)
		return tx.Credentials().Replace(changed.Organization, id, changed.Kind, changed.Sealed, changed.UpdatedAt)
	})
	return changed, err
}

// DeleteCredential removes a credential, addressed as in UpdateCredential.
func (s *Service) DeleteCredential(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id string) error {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return err
	}
	return s.metadata.Update(ctx, func(tx cairn.Tx) error {
		found, err := findCredential(tx, who, repo, id)
		if err != nil {
			return err
		}
		return tx.Credentials().Delete(found.Organization, id)
	})
}

// findByNameOrID finds a repository of the actor by its name, or else its id,
// and checks that the actor's credential is for it, named in either way.
func findByNameOrID(tx cairn.Tx, who cairn.Actor, repo cairn.RepositoryName) (cairn.Repository, error) {
	found, err := tx.Repositories().Find(who.Organization.ID, repo)
	if id, ok := repo.ID(); ok && errors.Is(err, cairn.NotFound) {
		found, err = tx.Repositories().Get(cairn.RepositoryKey{Organization: who.Organization.ID, Repository: id})
	}
	switch {
	case errors.Is(err, cairn.NotFound), err == nil && !found.DeletedAt.IsZero():
		if err := authorize(who, repo, cairn.RepoWrite); err != nil {
			return found, err
		}
		return found, noRepository(repo)
	case err != nil:
		return found, err
	}
	if !isFor(who, found) {
		return found, authorize(who, found.Name, cairn.RepoWrite)
	}
	return found, nil
}

// isFor tells whether the actor's credential is for the repository, by its name
// or by its id.
func isFor(who cairn.Actor, repo cairn.Repository) bool {
	id, byID := who.Repository.ID()
	return who.Admin || who.Repository == repo.Name || byID && id == repo.Repository
}

// findCredential finds a credential by its id. What the actor may not know of
// is not found.
func findCredential(tx cairn.Tx, who cairn.Actor, repo cairn.RepositoryName, id string) (cairn.Credential, error) {
	absent := cairn.Errorf(cairn.NotFound, "credential %q not found", cairn.Clip(id))
	if repo != "" {
		if err := authorize(who, repo, cairn.RepoWrite); err != nil {
			return cairn.Credential{}, err
		}
	}
	found, err := tx.Credentials().Get(who.Organization.ID, id)
	if errors.Is(err, cairn.NotFound) {
		return found, absent
	} else if err != nil {
		return found, err
	}
	of, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: found.Organization, Repository: found.Repository})
	if errors.Is(err, cairn.NotFound) || err == nil && !of.DeletedAt.IsZero() {
		return found, absent
	} else if err != nil {
		return found, err
	}
	ofOrganization := repo == "" && (who.Repository == "" || who.Repository == anyRepository)
	if !isFor(who, of) && !ofOrganization {
		return found, absent
	}
	return found, nil
}

func deleteCredentialOf(tx cairn.Tx, key cairn.RepositoryKey) error {
	found, err := tx.Credentials().Of(key)
	if errors.Is(err, cairn.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	return tx.Credentials().Delete(found.Organization, found.ID)
}
