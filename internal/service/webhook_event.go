package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// WebhookJob is the kind of the jobs that send what waits for one webhook and
// repository.
const WebhookJob cairn.JobKind = "webhook"

// eventRepository is a repository as payloads name it.
type eventRepository struct {
	ID  string `json:"id"`
	URL string `json:"url"` // its name
}

// pushPayload tells of one ref. Creation has a before of zeros, deletion such
// an after; a ref of the ephemeral namespace has its stored name, so that none
// is taken for a normal one.
type pushPayload struct {
	Repository eventRepository        `json:"repository"`
	Ref        string                 `json:"ref"`
	Before     string                 `json:"before"`
	After      string                 `json:"after"`
	Customer   cairn.OrganizationName `json:"customer_id"`
	PushedAt   string                 `json:"pushed_at"`
}

// syncPayload tells how a run of following an upstream goes.
type syncPayload struct {
	Type        cairn.EventType `json:"type"`
	Repository  eventRepository `json:"repository"`
	Runs        int64           `json:"run_count"`
	IsFirst     bool            `json:"is_first_sync"`
	StartedAt   string          `json:"started_at"`
	CompletedAt string          `json:"completed_at,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// syncEvent is something to tell of a run of following an upstream.
type syncEvent struct {
	Type cairn.EventType
	// Runs is how many runs ended, this one too if it did; IsFirst that none
	// had succeeded before it.
	Runs      int64
	IsFirst   bool
	StartedAt time.Time
	EndedAt   time.Time // zero for SyncStartedEvent
	Error     string    // of SyncFailedEvent
}

// announcePush tells webhooks of the refs that a write moves, in its
// transaction, after Advance. A write of whatever face is told of, to whatever
// refs but hidden ones. The caller calls s.enqueued(WebhookJob) if the repository
// is watched.
func (s *Service) announcePush(tx cairn.Tx, r cairn.Repository, updates []cairn.RefUpdate) error {
	if !r.Watched {
		return nil
	}
	updates = slices.DeleteFunc(slices.Clone(updates), func(u cairn.RefUpdate) bool { return odb.IsHidden(u.Name) })
	at := payloadTime(s.now())
	return s.announce(tx, r, cairn.PushEvent, len(updates), func(i int, customer cairn.OrganizationName) any {
		u := updates[i]
		return pushPayload{payloadRepository(r), string(u.Name), fullID(r, u.Old), fullID(r, u.New), customer, at}
	})
}

// announceSync tells webhooks of a run of following an upstream, in the
// transaction that notes it. The caller calls s.enqueued(WebhookJob) after it.
func (s *Service) announceSync(tx cairn.Tx, r cairn.Repository, e syncEvent) error {
	return s.announce(tx, r, e.Type, 1, func(int, cairn.OrganizationName) any {
		body := syncPayload{Type: e.Type, Repository: payloadRepository(r), Runs: e.Runs, IsFirst: e.IsFirst, StartedAt: payloadTime(e.StartedAt), Error: e.Error}
		if !e.EndedAt.IsZero() {
			body.CompletedAt = payloadTime(e.EndedAt)
		}
		return body
	})
}

// announce makes n deliveries to each webhook that wants them, and the jobs
// that send them.
func (s *Service) announce(tx cairn.Tx, r cairn.Repository, event cairn.EventType, n int, payload func(i int, customer cairn.OrganizationName) any) error {
	hooks, err := tx.Webhooks().Watching(r.RepositoryKey)
	if err != nil || n == 0 {
		return err
	}
	now := s.now().UTC()
	for _, w := range hooks {
		if !slices.Contains(w.Events, event) {
			continue
		}
		deliveries := make([]cairn.Delivery, n)
		for i := range deliveries {
			body, err := json.Marshal(payload(i, w.Customer))
			if err != nil {
				return fmt.Errorf("payload of a webhook: %w", err)
			}
			deliveries[i] = newDelivery(w, r.Repository, event, body, now)
		}
		if err := tx.Webhooks().Announce(w.Organization, w.ID, r.Repository, deliveries); err != nil {
			return err
		}
		if err := tx.Jobs().Remind(s.webhookJob(w, r.Repository)); err != nil {
			return err
		}
	}
	return nil
}

func newDelivery(w cairn.Webhook, repo cairn.RepositoryID, event cairn.EventType, body []byte, now time.Time) cairn.Delivery {
	return cairn.Delivery{
		Organization: w.Organization, Webhook: w.ID, Repository: repo, ID: cairn.NewID(), Event: event, Payload: body, CreatedAt: now,
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

// pingPayload is an event that tells nothing but that events arrive.
func pingPayload(w cairn.Webhook) ([]byte, error) {
	return json.Marshal(struct {
		Type     cairn.EventType        `json:"type"`
		Webhook  string                 `json:"webhook_id"`
		Customer cairn.OrganizationName `json:"customer_id"`
	}{cairn.PingEvent, PublicWebhookID(w.ID), w.Customer})
}

// PublicWebhookID is the id of a webhook as it is shown and sent.
func PublicWebhookID(id cairn.WebhookID) string { return "wh_" + string(id) }

func payloadRepository(r cairn.Repository) eventRepository {
	return eventRepository{"repo_" + string(r.Repository), string(r.Name)}
}

// fullID is an id as text, as many zeros for none.
func fullID(r cairn.Repository, id git.ObjectID) string {
	if id.IsZero() {
		return strings.Repeat("0", r.Format.HexSize())
	}
	return id.String()
}

func payloadTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
