package service

import (
	"errors"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
)

// WebhookJob is the kind of the jobs that send what waits for one webhook and
// repository.
const WebhookJob cairn.JobKind = "webhook"

// refsMoved is a write that moved refs, through whatever face.
type refsMoved struct {
	who     cairn.Actor
	updates []cairn.RefUpdate // stored names; none of hidden refs
	history history           // knows what the refs named and name
}

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

func (refsMoved) happens() {}
func (syncEvent) happens() {}

// announceRefs tells webhooks of the refs that a write moves, in its
// transaction, after Advance. A write of whatever face is told of, to whatever
// refs but hidden ones. The caller calls s.enqueued(WebhookJob) if the repository
// is watched.
func (s *Service) announceRefs(tx cairn.Tx, r cairn.Repository, w *refWrite, f *facts) error {
	if !r.Watched {
		return nil
	}
	updates := slices.DeleteFunc(slices.Clone(w.Updates), func(u cairn.RefUpdate) bool { return odb.IsHidden(u.Name) })
	if len(updates) == 0 {
		return nil
	}
	return s.announce(&announcement{tx: tx, repo: r, what: refsMoved{w.Who, updates, w.History}, facts: f})
}

// announceSync tells webhooks of an exchange with an upstream, in the transaction
// that notes it. The caller calls s.enqueued(WebhookJob) after it.
func (s *Service) announceSync(tx cairn.Tx, r cairn.Repository, e syncEvent) error {
	return s.announce(&announcement{tx: tx, repo: r, what: e})
}

// announce makes the deliveries to all webhooks that want to be told, and the
// jobs that send them.
func (s *Service) announce(a *announcement) error {
	hooks, err := a.tx.Webhooks().Watching(a.repo.RepositoryKey)
	if err != nil {
		return err
	}
	a.at = s.now().UTC()
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
