// Package service carries out every operation of the product. Each method
// checks the actor's rights, does the work and returns a *cairn.Error, whose
// text is for the caller, or a wrapped cause, which is for the log. Faces
// translate to and from it and decide nothing; it knows neither HTTP nor
// drivers.
package service

import (
	"log/slog"
	"net/netip"
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
	keys           keyCache
	commits        batcher[*queuedCommit]
	changes        changeCache
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

		streams:    newStreams(),
		streamBeat: streamBeat,
		streamPoll: streamPoll,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.changed == nil {
		s.changed = func(cairn.RepositoryKey, int64) {}
	}
	if s.enqueued == nil {
		s.enqueued = func(cairn.JobKind) {}
	}
	return s
}

// authorize is the one place where rights are checked. It answers Denied when
// the actor lacks the scope or when its credential is bound to another
// repository: both are facts about the caller's own credential, so they tell
// nothing of what exists. An empty repo asks for a right over the organization.
func authorize(who cairn.Actor, repo cairn.RepositoryName, scope cairn.Scope) error {
	if who.Organization.ID == "" {
		return cairn.Errorf(cairn.Unauthenticated, "a credential is required")
	}
	if !who.Has(scope) {
		return cairn.Errorf(cairn.Denied, "the token lacks the %s scope", scope)
	}
	if repo != "" && !who.Admin && who.Repository != repo {
		return cairn.Errorf(cairn.Denied, "the token is not for repository %q", cairn.Clip(string(repo)))
	}
	return nil
}
