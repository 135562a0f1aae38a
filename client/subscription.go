package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Webhook is an address that the server sends events to.
type Webhook struct {
	ID     string   `json:"id"`
	URL    string   `json:"url"`
	Events []string `json:"events"` // push, repo.sync.started, repo.sync.succeeded, repo.sync.failed
	Active bool     `json:"active"`
	// PausedReason says why the server stopped sending, FailingSince since when
	// nothing was taken.
	PausedReason string    `json:"paused_reason,omitempty"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	// Secret signs deliveries, see ReadDelivery; it is shown once.
	Secret    string    `json:"secret,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// WebhookChange is what to change of a webhook; nil leaves things as they are.
type WebhookChange struct {
	URL    *string  `json:"url,omitempty"`
	Events []string `json:"events,omitempty"`
	Active *bool    `json:"active,omitempty"` // true resumes one that was paused
}

// WebhookDelivery is a line of the log of a webhook.
type WebhookDelivery struct {
	ID          string    `json:"id"`
	Event       string    `json:"event"`
	State       string    `json:"state"` // waiting, succeeded or failed
	Attempts    int       `json:"attempts"`
	CreatedAt   time.Time `json:"created_at"`
	AttemptedAt time.Time `json:"attempted_at,omitzero"`
	Status      int       `json:"status,omitempty"`  // of the last answer
	Answer      string    `json:"answer,omitempty"`  // the begin of its body
	Error       string    `json:"error,omitempty"`   // why there was none
	Payload     string    `json:"payload,omitempty"` // of WebhookDelivery alone
}

// webhook is a call about the webhooks of the repository. Those of the whole
// organization are the ones of the repository without a name.
func (r *Repo) webhook(method, path string, in any) call {
	q := call{method: method, path: "/webhooks" + path, v1: true, token: r.name, scope: ScopeRepoWrite, in: in, write: method != http.MethodGet}
	if r.name == "" {
		q.scope += " " + ScopeOrgRead
	}
	return q
}

func webhookPath(id string) string { return "/" + url.PathEscape(id) }

// CreateWebhook has events of the repository sent to an address. The answer has
// the secret. Of Repo("") it is about all repositories of the organization, as
// are the other methods about webhooks.
func (r *Repo) CreateWebhook(ctx context.Context, address string, events ...string) (Webhook, error) {
	var made Webhook
	err := r.client.json(ctx, r.webhook(http.MethodPost, "", map[string]any{"url": address, "events": events}), &made)
	return made, err
}

// Webhooks goes through the webhooks. It ends after an error.
func (r *Repo) Webhooks(ctx context.Context) iter.Seq2[Webhook, error] {
	q := r.webhook(http.MethodGet, "", nil)
	q.query = query("limit", 100)
	return list[Webhook](ctx, r.client, q, "webhooks")
}

// Webhook returns one webhook.
func (r *Repo) Webhook(ctx context.Context, id string) (Webhook, error) {
	var found Webhook
	err := r.client.json(ctx, r.webhook(http.MethodGet, webhookPath(id), nil), &found)
	return found, err
}

// UpdateWebhook changes a webhook.
func (r *Repo) UpdateWebhook(ctx context.Context, id string, change WebhookChange) (Webhook, error) {
	var changed Webhook
	err := r.client.json(ctx, r.webhook(http.MethodPatch, webhookPath(id), change), &changed)
	return changed, err
}

// RotateWebhookSecret makes a new secret, which the answer has.
func (r *Repo) RotateWebhookSecret(ctx context.Context, id string) (Webhook, error) {
	var changed Webhook
	err := r.client.json(ctx, r.webhook(http.MethodPost, webhookPath(id)+"/rotate-secret", nil), &changed)
	return changed, err
}

// DeleteWebhook deletes a webhook with all that waits for it.
func (r *Repo) DeleteWebhook(ctx context.Context, id string) error {
	return r.client.json(ctx, r.webhook(http.MethodDelete, webhookPath(id), nil), nil)
}

// PingWebhook sends an event of the type ping.
func (r *Repo) PingWebhook(ctx context.Context, id string) (WebhookDelivery, error) {
	var made WebhookDelivery
	err := r.client.json(ctx, r.webhook(http.MethodPost, webhookPath(id)+"/ping", nil), &made)
	return made, err
}

// Deliveries goes through what was sent, the newest first. It ends after an
// error.
func (r *Repo) Deliveries(ctx context.Context, webhook string) iter.Seq2[WebhookDelivery, error] {
	q := r.webhook(http.MethodGet, webhookPath(webhook)+"/deliveries", nil)
	q.query = query("limit", 100)
	return list[WebhookDelivery](ctx, r.client, q, "deliveries")
}

// WebhookDelivery returns one delivery with its payload.
func (r *Repo) WebhookDelivery(ctx context.Context, webhook, id string) (WebhookDelivery, error) {
	var found WebhookDelivery
	err := r.client.json(ctx, r.webhook(http.MethodGet, webhookPath(webhook)+"/deliveries"+webhookPath(id), nil), &found)
	return found, err
}

// Redeliver sends a delivery once more, as a new one.
func (r *Repo) Redeliver(ctx context.Context, webhook, id string) (WebhookDelivery, error) {
	var made WebhookDelivery
	err := r.client.json(ctx, r.webhook(http.MethodPost, webhookPath(webhook)+"/deliveries"+webhookPath(id)+"/redeliver", nil), &made)
	return made, err
}
