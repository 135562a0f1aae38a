package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// codeStorageWebhooks is the form of the Code Storage API, and of the CodeArts
// Repo API, whose receivers know no signatures.
var codeStorageWebhooks = webhookForm{
	events: []cairn.EventType{cairn.PushEvent, cairn.SyncStartedEvent, cairn.SyncSucceededEvent, cairn.SyncFailedEvent},
	tell:   tellCodeStorage,
	ping:   pingCodeStorage,
	header: func(_ cairn.Webhook, d cairn.Delivery, secret []byte, at time.Time) map[string]string {
		return map[string]string{
			"Content-Type":       "application/json",
			"User-Agent":         "Pierre-Webhook/1.0",
			"X-Pierre-Event":     string(d.Event),
			"X-Pierre-Signature": timedSignature(secret, at, d.Payload),
			"X-Cairn-Delivery":   d.ID, // the same in every attempt
		}
	},
}

// timedSignature is what the receiver verifies: a replay later than its
// tolerance fails, as the time is part of what is signed.
func timedSignature(secret []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",sha256=" + hex.EncodeToString(mac.Sum(nil))
}

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

// tellCodeStorage tells of each ref for itself.
func tellCodeStorage(a *announcement, w cairn.Webhook) ([]message, error) {
	switch what := a.what.(type) {
	case refsMoved:
		updates := what.shown()
		told := make([]message, len(updates))
		for i, u := range updates {
			body, err := json.Marshal(pushPayload{
				payloadRepository(a.repo), string(u.Name), fullID(a.repo, u.Old), fullID(a.repo, u.New), w.Customer, payloadTime(a.at),
			})
			if err != nil {
				return nil, err
			}
			told[i] = message{cairn.PushEvent, body}
		}
		return told, nil
	case syncEvent:
		if what.Type == "" {
			return nil, nil
		}
		payload := syncPayload{
			Type: what.Type, Repository: payloadRepository(a.repo), Runs: what.Runs, IsFirst: what.IsFirst,
			StartedAt: payloadTime(what.StartedAt), Error: what.Error,
		}
		if !what.EndedAt.IsZero() {
			payload.CompletedAt = payloadTime(what.EndedAt)
		}
		body, err := json.Marshal(payload)
		return []message{{what.Type, body}}, err
	}
	return nil, nil
}

func pingCodeStorage(w cairn.Webhook) (message, error) {
	body, err := json.Marshal(struct {
		Type     cairn.EventType        `json:"type"`
		Webhook  string                 `json:"webhook_id"`
		Customer cairn.OrganizationName `json:"customer_id"`
	}{cairn.PingEvent, PublicWebhookID(w.ID), w.Customer})
	return message{cairn.PingEvent, body}, err
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
