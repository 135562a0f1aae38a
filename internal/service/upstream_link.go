package service

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// UpstreamChange says which upstream a repository is to have. It does not follow
// it: refs are exchanged when it is asked for, see RequestSync.
type UpstreamChange struct {
	URL string // empty: none
	// Login is the credential: nil keeps what is stored, and one without a
	// password is none.
	Login *UpstreamLogin
}

// UpstreamLogin is a credential for an upstream.
type UpstreamLogin struct {
	Kind               cairn.LoginKind
	Username, Password string
}

// change gives a repository the upstream. One that has it already goes on as it
// is, following it or not.
func (in UpstreamChange) change(tx cairn.Tx, s *Service, repo *cairn.Repository) error {
	if in.URL == "" {
		if repo.Upstream.IsZero() {
			return nil
		}
		repo.Upstream, repo.Syncing = cairn.Upstream{}, false
		return detach(tx, repo.RepositoryKey)
	}
	u, err := s.parseUpstreamURL(in.URL)
	if err != nil {
		return err
	}
	u.OnDemand = true
	present := s.upstreamURL(repo.Upstream)
	if repo.Upstream.IsZero() || present != u.URL {
		if err := in.keepsSecret(tx, repo.RepositoryKey, present, u.URL); err != nil {
			return err
		}
		repo.Upstream, repo.Syncing = u, false
		if err := link(tx, repo.RepositoryKey, u); err != nil {
			return err
		}
	}
	return in.changeLogin(tx, s, repo.RepositoryKey)
}

// keepsSecret refuses to give a stored credential to another server, which would
// show it to whoever may change the address.
func (in UpstreamChange) keepsSecret(tx cairn.Tx, key cairn.RepositoryKey, before, after string) error {
	if in.Login != nil || sameServer(before, after) {
		return nil
	}
	_, err := tx.Credentials().Of(key)
	switch {
	case errors.Is(err, cairn.NotFound):
		return nil
	case err != nil:
		return err
	}
	return cairn.Errorf(cairn.Invalid, "upstream: the address is on another server, which does not get the stored credential: give auth, or null for none")
}

func sameServer(a, b string) bool {
	one, err := url.Parse(a)
	if err != nil {
		return false
	}
	other, err := url.Parse(b)
	return err == nil && one.Scheme == other.Scheme && strings.EqualFold(one.Host, other.Host)
}

// changeLogin stores the credential, or takes it away.
func (in UpstreamChange) changeLogin(tx cairn.Tx, s *Service, key cairn.RepositoryKey) error {
	switch {
	case in.Login == nil:
		return nil
	case in.Login.Password == "":
		return deleteCredentialOf(tx, key)
	}
	made, err := s.newCredential(key, in.Login.Username, in.Login.Password)
	if err != nil {
		return err
	}
	made.Kind = in.Login.Kind
	stored, err := tx.Credentials().Of(key)
	if errors.Is(err, cairn.NotFound) {
		return tx.Credentials().Create(made)
	} else if err != nil {
		return err
	}
	return tx.Credentials().Replace(key.Organization, stored.ID, made.Kind, made.Sealed, made.UpdatedAt)
}

// UpstreamLink is what is known of a repository's upstream.
type UpstreamLink struct {
	URL    string
	Login  cairn.LoginKind // of the stored credential; empty: there is none
	Latest *cairn.SyncRun  // nil before the first
}

// readLink reads the link of a repository to its upstream; nil: it has none.
func (s *Service) readLink(tx cairn.Tx, repo cairn.Repository) (*UpstreamLink, error) {
	if repo.Upstream.IsZero() {
		return nil, nil
	}
	link := &UpstreamLink{URL: s.upstreamURL(repo.Upstream)}
	stored, err := tx.Credentials().Of(repo.RepositoryKey)
	if err != nil && !errors.Is(err, cairn.NotFound) {
		return nil, err
	}
	link.Login = stored.Kind
	newest, err := tx.Upstreams().Runs(repo.RepositoryKey, "", 1)
	if len(newest) > 0 {
		link.Latest = &newest[0]
	}
	return link, err
}

// UpstreamLink returns what is known of the upstream of a repository that the
// caller was shown already; nil: it has none.
func (s *Service) UpstreamLink(ctx context.Context, repo cairn.Repository) (link *UpstreamLink, err error) {
	if repo.Upstream.IsZero() {
		return nil, nil
	}
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		link, err = s.readLink(tx, repo)
		return err
	})
	return link, err
}
