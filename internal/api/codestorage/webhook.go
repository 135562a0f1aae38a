package codestorage

import (
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxWebhooksPerPage = 100

// webhookBody is a webhook as every answer shows it.
type webhookBody struct {
	ID           string             `json:"id"`
	URL          string             `json:"url"`
	Events       []cairn.EventType  `json:"events"`
	Repository   *webhookRepository `json:"repository"` // null: all of the organization
	Active       bool               `json:"active"`
	PausedReason string             `json:"paused_reason,omitempty"`
	FailingSince string             `json:"failing_since,omitempty"`
	Secret       string             `json:"secret,omitempty"` // of the answers that make it
	CreatedAt    string             `json:"created_at"`
	UpdatedAt    string             `json:"updated_at"`
}

// webhookRepository is a repository as the payloads name it.
type webhookRepository struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

func newWebhookBody(w service.Webhook) webhookBody {
	body := webhookBody{
		ID: service.PublicWebhookID(w.ID), URL: w.URL, Events: w.Events, Active: w.Paused == "", PausedReason: w.Paused,
		Secret: w.Secret, CreatedAt: timestamp(w.CreatedAt), UpdatedAt: timestamp(w.UpdatedAt),
	}
	if len(w.Repositories) == 1 {
		body.Repository = &webhookRepository{"repo_" + string(w.Repositories[0]), string(w.RepositoryName)}
	}
	if !w.FailingSince.IsZero() {
		body.FailingSince = timestamp(w.FailingSince)
	}
	return body
}

// deliveryBody is a delivery as every answer shows it.
type deliveryBody struct {
	ID          string          `json:"id"`
	Event       cairn.EventType `json:"event"`
	State       string          `json:"state"` // waiting, succeeded or failed
	Attempts    int             `json:"attempts"`
	CreatedAt   string          `json:"created_at"`
	AttemptedAt string          `json:"attempted_at,omitempty"`
	DurationMS  int64           `json:"duration_ms"`
	Status      int             `json:"status,omitempty"` // of the last answer
	Answer      string          `json:"answer,omitempty"` // its first KiB, never its header
	Error       string          `json:"error,omitempty"`
	Payload     string          `json:"payload,omitempty"` // of one delivery: exactly what was signed
}

var deliveryStates = map[cairn.DeliveryState]string{
	cairn.DeliveryWaiting: "waiting", cairn.DeliverySucceeded: "succeeded", cairn.DeliveryFailed: "failed",
}

func newDeliveryBody(d cairn.Delivery) deliveryBody {
	body := deliveryBody{
		ID: d.ID, Event: d.Event, State: deliveryStates[d.State], Attempts: d.Attempts, CreatedAt: timestamp(d.CreatedAt),
		DurationMS: d.Duration.Milliseconds(), Status: d.Status, Answer: string(d.Answer), Error: d.Error,
	}
	if !d.AttemptedAt.IsZero() {
		body.AttemptedAt = timestamp(d.AttemptedAt)
	}
	return body
}

// webhookID is the webhook that the path names.
func webhookID(r *request) (cairn.WebhookID, error) {
	named := r.PathValue("webhook")
	id, ok := strings.CutPrefix(named, "wh_")
	if !ok {
		return "", cairn.Errorf(cairn.NotFound, "webhook %q not found", cairn.Clip(named))
	}
	return cairn.WebhookID(id), nil
}

func (f *face) createWebhook(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		URL    string            `json:"url"`
		Events []cairn.EventType `json:"events"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	made, err := f.service.CreateWebhook(r.Context(), r.who, service.NewWebhook{URL: in.URL, Events: in.Events})
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, newWebhookBody(made))
}

func (f *face) listWebhooks(w http.ResponseWriter, r *request) error {
	limit, err := r.limit(maxWebhooksPerPage)
	if err != nil {
		return err
	}
	found, err := f.service.ListWebhooks(r.Context(), r.who, cairn.CodeStorageForm, r.query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Webhooks []webhookBody `json:"webhooks"`
		page
	}{[]webhookBody{}, newPage(found.Next)}
	for _, hook := range found.Webhooks {
		out.Webhooks = append(out.Webhooks, newWebhookBody(hook))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) webhook(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	found, err := f.service.Webhook(r.Context(), r.who, cairn.CodeStorageForm, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, newWebhookBody(found))
}

func (f *face) updateWebhook(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		URL    *string            `json:"url"`
		Events *[]cairn.EventType `json:"events"`
		Active *bool              `json:"active"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	change := service.WebhookChange{URL: in.URL, Active: in.Active}
	if in.Events != nil {
		change.Events = append([]cairn.EventType{}, *in.Events...)
	}
	changed, err := f.service.UpdateWebhook(r.Context(), r.who, cairn.CodeStorageForm, id, change)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, newWebhookBody(changed))
}

func (f *face) rotateWebhookSecret(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	changed, err := f.service.RotateWebhookSecret(r.Context(), r.who, cairn.CodeStorageForm, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, newWebhookBody(changed))
}

func (f *face) deleteWebhook(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	if err := f.service.DeleteWebhook(r.Context(), r.who, cairn.CodeStorageForm, id); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		ID      string `json:"id"`
		Message string `json:"message"`
	}{service.PublicWebhookID(id), "webhook deleted"})
}

func (f *face) pingWebhook(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	made, err := f.service.PingWebhook(r.Context(), r.who, cairn.CodeStorageForm, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusAccepted, newDeliveryBody(made))
}

func (f *face) listDeliveries(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	limit, err := r.limit(maxWebhooksPerPage)
	if err != nil {
		return err
	}
	found, err := f.service.ListDeliveries(r.Context(), r.who, cairn.CodeStorageForm, id, r.query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Deliveries []deliveryBody `json:"deliveries"`
		page
	}{[]deliveryBody{}, newPage(found.Next)}
	for _, d := range found.Deliveries {
		out.Deliveries = append(out.Deliveries, newDeliveryBody(d))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) delivery(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	found, err := f.service.Delivery(r.Context(), r.who, cairn.CodeStorageForm, id, r.PathValue("delivery"))
	if err != nil {
		return err
	}
	body := newDeliveryBody(found)
	body.Payload = string(found.Payload)
	return api.Write(w, http.StatusOK, body)
}

func (f *face) redeliver(w http.ResponseWriter, r *request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	made, err := f.service.Redeliver(r.Context(), r.who, cairn.CodeStorageForm, id, r.PathValue("delivery"))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusAccepted, newDeliveryBody(made))
}
