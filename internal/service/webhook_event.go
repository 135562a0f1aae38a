package service

import (
	"errors"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// WebhookJob is the kind of the jobs that send what waits for one webhook and
// repository.
const WebhookJob cairn.JobKind = "webhook"

// refsMoved is a write that moved refs, through whatever face.
type refsMoved struct{ *refWrite }

// shown returns the updates of all refs but hidden ones.
func (m refsMoved) shown() []cairn.RefUpdate {
	return slices.DeleteFunc(slices.Clone(m.Updates), func(u cairn.RefUpdate) bool { return odb.IsHidden(u.Name) })
}

// writtenChange is a commit that an API wrote.
type writtenChange struct {
	Commit git.ObjectID
	// Previous is the commit of the same change that it replaces; zero for a new
	// change.
	Previous git.ObjectID
}

// repositoryEvent is something that happened to a repository as a whole.
type repositoryEvent struct {
	who  cairn.Actor
	kind repositoryEventKind
	// before is the repository as it was before it changed, labelsBefore its
	// labels.
	before       cairn.Repository
	labelsBefore cairn.Labels
}

type repositoryEventKind int

const (
	repositoryCreated repositoryEventKind = iota
	repositoryForked                      // created as a fork of its Parent
	repositoryRestored
	repositoryChanged
	repositoryDeleted
)

// syncEvent is something to tell of an exchange with an upstream.
type syncEvent struct {
	Run cairn.SyncRun // as it is now
	// Type is the event of CodeStorageForm; empty for a run that is only asked
	// for.
	Type cairn.EventType
	// Runs is how many runs ended, this one too if it did; IsFirst that none
	// had succeeded before it.
	Runs      int64
	IsFirst   bool
	StartedAt time.Time
	EndedAt   time.Time // zero for SyncStartedEvent
	Error     string    // of SyncFailedEvent
}

func (refsMoved) happens()       {}
func (repositoryEvent) happens() {}
func (syncEvent) happens()       {}

// announceRefs tells webhooks of the refs that a write moves, in its
// transaction, after Advance. A write of whatever face is told of. The caller
// calls s.enqueued(WebhookJob) if the repository is watched.
func (s *Service) announceRefs(tx cairn.Tx, r cairn.Repository, w *refWrite, f *facts) error {
	if !r.Watched {
		return nil
	}
	return s.announce(&announcement{tx: tx, repo: r, what: refsMoved{w}, facts: f})
}

// announceRepository tells webhooks what happened to a repository as a whole, in
// the transaction of Service.tell in which it did.
func (s *Service) announceRepository(tx cairn.Tx, r cairn.Repository, e repositoryEvent, f *facts) error {
	return s.announce(&announcement{tx: tx, repo: r, what: e, facts: f})
}

// announceSync tells webhooks of an exchange with an upstream, in the transaction
// that notes it. The caller calls s.enqueued(WebhookJob) after it. No form needs
// facts for it.
func (s *Service) announceSync(tx cairn.Tx, r cairn.Repository, e syncEvent) error {
	return s.announce(&announcement{tx: tx, repo: r, what: e, facts: new(facts)})
}

// announce makes the deliveries to all webhooks that want to be told, and the
// jobs that send them.
func (s *Service) announce(a *announcement) error {
	hooks, err := a.tx.Webhooks().Watching(a.repo.RepositoryKey)
	if err != nil {
		return err
	}
	a.service, a.at = s, s.now().UTC()
	told := make([][]message, len(hooks))
	var wanted error
	for i, w := range hooks {
		if told[i], err = webhookForms[w.Form].tell(a, w); errors.Is(err, errFactsWanted) {
			wanted = err
		} else if err != nil {
			return err
		}
	}
	if wanted != nil {
		return wanted
	}
	for i, w := range hooks {
		var deliveries []cairn.Delivery
		for _, m := range told[i] {
			if slices.Contains(w.Events, m.Event) {
				deliveries = append(deliveries, newDelivery(w, a.repo.Repository, m, a.at))
			}
		}
		if len(deliveries) == 0 {
			continue
		}
		a.facts.told = true
		if err := a.tx.Webhooks().Announce(w.Organization, w.ID, a.repo.Repository, deliveries); err != nil {
			return err
		}
		if err := a.tx.Jobs().Remind(s.webhookJob(w, a.repo.Repository)); err != nil {
			return err
		}
	}
	return nil
}

func newDelivery(w cairn.Webhook, repo cairn.RepositoryID, m message, now time.Time) cairn.Delivery {
	return cairn.Delivery{
		Organization: w.Organization, Webhook: w.ID, Repository: repo, ID: cairn.NewID(), Event: m.Event, Payload: m.Body, CreatedAt: now,
	}
}

// webhookJob sends what waits for a webhook and repository. There is one of
// them, so that deliveries keep their order.
func (s *Service) webhookJob(w cairn.Webhook, repo cairn.RepositoryID) cairn.Job {
	now := s.now().UTC()
	return cairn.Job{
		JobKey:    cairn.JobKey{RepositoryKey: cairn.RepositoryKey{Organization: w.Organization, Repository: repo}, Kind: WebhookJob, Name: string(w.ID)},
		CreatedAt: now,
		DueAt:     now,
	}
}
