// Package service carries out every operation of the product. Each method
// checks the actor's rights, does the work and returns a *cairn.Error, whose
// text is for the caller, or a wrapped cause, which is for the log. Faces
// translate to and from it and decide nothing; it knows neither HTTP nor
// drivers.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// Service is the product. It is safe for concurrent use.
type Service struct {
	store          *odb.Store
	metadata       cairn.Metadata
	secrets        *secret.Keyring
	egress         *egress.Egress
	upstreams      *upstream.Client
	plainUpstreams []netip.Prefix
	limits         Limits
	upkeep         Upkeep
	logger         *slog.Logger
	now            func() time.Time
	changed        func(cairn.RepositoryKey, int64)
	enqueued       func(cairn.JobKind)
	externalURL    string
	keys           keyCache
	used           keyUses
	passwords      *passwords
	commits        batcher[*queuedCommit]
	changes        changeCache
	metadataPages  metadataCache
	noted          notedVersions
	logs           logCache
	streams        *streams
	attempts       attempts

	streamBeat, streamPoll time.Duration
}

// Options are what a Service is made of.
type Options struct {
	Store  *odb.Store
	Logger *slog.Logger
	// Secrets seals what is stored of credentials and shared secrets.
	Secrets *secret.Keyring
	// Egress calls the addresses of webhooks.
	Egress *egress.Egress
	// Upstreams speaks to the servers that repositories follow. PlainUpstreams
	// are the ranges in which they may be named by address; these are called
	// over http.
	Upstreams      *upstream.Client
	PlainUpstreams []netip.Prefix
	Limits         Limits
	Upkeep         Upkeep
	// ExternalURL is what addresses of repositories begin with, without a slash
	// at its end.
	ExternalURL string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Changed is told of every repository that was written, and how many
	// bytes of packs came, so that background work can follow. It must not
	// block; nil is fine.
	Changed func(key cairn.RepositoryKey, bytes int64)
	// Enqueued is told, after the transaction, that a job of a kind was
	// enqueued, so that it can be run at once. It must not block; nil is fine.
	Enqueued func(cairn.JobKind)
}

// New returns a Service over the store.
func New(o Options) *Service {
	s := &Service{
		store:          o.Store,
		metadata:       o.Store.Metadata(),
		secrets:        o.Secrets,
		egress:         o.Egress,
		upstreams:      o.Upstreams,
		plainUpstreams: o.PlainUpstreams,
		limits:         o.Limits.withDefaults(),
		upkeep:         o.Upkeep.withDefaults(),
		logger:         o.Logger,
		now:            o.Now,
		changed:        o.Changed,
		enqueued:       o.Enqueued,
		externalURL:    o.ExternalURL,

		passwords:  newPasswords(),
		streams:    newStreams(),
		streamBeat: streamBeat,
		streamPoll: streamPoll,
	}
	if s.now == nil {
		// As fine as times are stored, so that the answer to a write says what
		// later reads say.
		s.now = func() time.Time { return time.Now().Truncate(time.Microsecond) }
	}
	if s.changed == nil {
		s.changed = func(cairn.RepositoryKey, int64) {}
	}
	if s.enqueued == nil {
		s.enqueued = func(cairn.JobKind) {}
	}
	return s
}

// cloneURL is the address of a repository for Git.
func (s *Service) cloneURL(org cairn.OrganizationName, repo cairn.RepositoryName) string {
	return s.externalURL + "/" + string(org) + "/" + string(repo) + ".git"
}

// authorize is the one place where rights are checked. It answers Denied when
// the actor lacks the scope or when its credential is not for the repository:
// both are facts about the caller's own credential, so they tell nothing of
// what exists. An empty repo asks for a right over the organization, which a
// credential for some of its repositories does not give. Where that depends on
// which repository has a name now, For has asked it.
func authorize(who cairn.Actor, repo cairn.RepositoryName, scope cairn.Scope) error {
	if who.Organization.ID == "" {
		return cairn.Errorf(cairn.Unauthenticated, "a credential is required")
	}
	if !who.Has(scope) {
		return cairn.Errorf(cairn.Denied, "the token lacks the %s scope", scope)
	}
	switch {
	case who.Admin, who.Reach.All():
		return nil
	case repo == "" && who.Reach != nil:
		return cairn.Errorf(cairn.Denied, "the credential is for some repositories only")
	case repo != "" && who.Repository != repo:
		return notFor(repo)
	}
	return nil
}

func notFor(repo cairn.RepositoryName) error {
	return cairn.Errorf(cairn.Denied, "the token is not for repository %q", cairn.Clip(string(repo)))
}

// For returns the actor as it may act on one repository. Faces ask it before
// whatever they do on a repository, with credentials that are good for many.
// It answers Denied, whether there is such a repository or not, if the
// credential is not for it.
func (s *Service) For(ctx context.Context, who cairn.Actor, name cairn.RepositoryName) (cairn.Actor, error) {
	reach := who.Reach
	if reach == nil || reach.All() {
		return who, nil
	}
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		if reach.Names != nil {
			scopes, ok, err := scopesFor(tx, who, name)
			if err != nil {
				return err
			}
			if !ok {
				return notFor(name)
			}
			who.Scopes = scopes
		}
		if reach.IDs != nil {
			found, err := tx.Repositories().Find(who.Organization.ID, name)
			if errors.Is(err, cairn.NotFound) || err == nil && !slices.Contains(reach.IDs, found.Repository) {
				return notFor(name)
			}
			if err != nil {
				return err
			}
			who.RepositoryID = found.Repository
		}
		return nil
	})
	if err != nil {
		return cairn.Actor{}, err
	}
	who.Reach, who.Repository = nil, name
	return who, nil
}

// scopesFor finds what a credential may do on the repository that has the name
// now. A name that differs in case means it only as long as no repository has
// exactly the name that the credential says.
func scopesFor(tx cairn.Tx, who cairn.Actor, name cairn.RepositoryName) (scopes []cairn.Scope, ok bool, err error) {
	if scopes, ok := who.Reach.Names[name]; ok {
		return scopes, true, nil
	}
	if !who.Reach.FoldNames {
		return nil, false, nil
	}
	for meant, scopes := range who.Reach.Names {
		if !strings.EqualFold(string(meant), string(name)) {
			continue
		}
		_, err := tx.Repositories().Find(who.Organization.ID, meant)
		if errors.Is(err, cairn.NotFound) {
			return scopes, true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return nil, false, nil
}

// isOther tells whether a repository is not the one that the actor's name for
// it stood for when For asked.
func isOther(who cairn.Actor, found cairn.RepositoryID) bool {
	return who.RepositoryID != "" && who.RepositoryID != found
}
