package mesa

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// webhookTarget is a webhook as this face shows it.
type webhookTarget struct {
	ID        string            `json:"id"`
	Name      *string           `json:"name"`
	URL       string            `json:"url"`
	Events    []cairn.EventType `json:"events"`
	RepoIDs   []string          `json:"repo_ids"` // null: all of the organization
	CreatedAt string            `json:"created_at"`
	UpdatedAt string            `json:"updated_at"`
	Secret    string            `json:"secret,omitempty"` // of the answer that makes it
}

func showTarget(w service.Webhook) webhookTarget {
	return webhookTarget{
		ID: targetPrefix + string(w.ID), Name: textOrNull(w.Name), URL: w.URL, Events: w.Events, RepoIDs: publicRepositoryIDs(w.Repositories),
		CreatedAt: timestamp(w.CreatedAt), UpdatedAt: timestamp(w.UpdatedAt), Secret: w.Secret,
	}
}

// targetPrefix begins the id of a webhook target as it is shown.
const targetPrefix = "wht_"

// target is the webhook target that the path names.
func (in *request) target() (cairn.WebhookID, error) {
	named := in.value("target")
	id, ok := strings.CutPrefix(named, targetPrefix)
	if !ok {
		return "", cairn.Errorf(cairn.NotFound, "webhook target %q not found", cairn.Clip(named))
	}
	return cairn.WebhookID(id), nil
}

func (f *face) listTargets(w http.ResponseWriter, in *request) error {
	cursor, limit, err := in.page()
	if err != nil {
		return err
	}
	page, err := f.service.ListWebhooks(in.Context(), in.who, cairn.MesaForm, cursor, limit)
	if err != nil {
		return err
	}
	out := struct {
		pageMarks
		Targets []webhookTarget `json:"webhook_targets"`
	}{marks(page.Next), make([]webhookTarget, len(page.Webhooks))}
	for i, hook := range page.Webhooks {
		out.Targets[i] = showTarget(hook)
	}
	return api.Write(w, http.StatusOK, out)
}

// defaultEvents are those of a target that is made without saying which.
var defaultEvents = []cairn.EventType{cairn.PushEvent}

func (f *face) createTarget(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Name    *string            `json:"name"`
		URL     string             `json:"url"`
		Events  *[]cairn.EventType `json:"events"`
		RepoIDs []string           `json:"repo_ids"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	wanted := service.NewWebhook{Form: cairn.MesaForm, URL: body.URL, Events: defaultEvents}
	if body.Name != nil {
		wanted.Name = *body.Name
	}
	if body.Events != nil {
		wanted.Events = *body.Events
	}
	if wanted.Repositories, err = parseRepositoryIDs(body.RepoIDs); err != nil {
		return err
	}
	made, err := f.service.CreateWebhook(in.Context(), in.who, wanted)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showTarget(made))
}

func (f *face) targetOf(w http.ResponseWriter, in *request) error {
	id, err := in.target()
	if err != nil {
		return err
	}
	found, err := f.service.Webhook(in.Context(), in.who, cairn.MesaForm, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, showTarget(found))
}

func (f *face) updateTarget(w http.ResponseWriter, in *request) error {
	id, err := in.target()
	if err != nil {
		return err
	}
	body, err := api.Decode[struct {
		Name    optional[string]   `json:"name"`
		URL     *string            `json:"url"`
		Events  *[]cairn.EventType `json:"events"`
		RepoIDs optional[[]string] `json:"repo_ids"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	goOn := true // the API shows no pause, and has no other call to end one
	change := service.WebhookChange{URL: body.URL, Active: &goOn}
	if body.Name.given {
		change.Name = &body.Name.value // null: none
	}
	if body.Events != nil {
		change.Events = append([]cairn.EventType{}, *body.Events...)
	}
	if body.RepoIDs.given {
		ids, err := parseRepositoryIDs(body.RepoIDs.value)
		if err != nil {
			return err
		}
		change.Repositories = &ids
	}
	changed, err := f.service.UpdateWebhook(in.Context(), in.who, cairn.MesaForm, id, change)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, showTarget(changed))
}

func (f *face) deleteTarget(w http.ResponseWriter, in *request) error {
	id, err := in.target()
	if err != nil {
		return err
	}
	if err := f.service.DeleteWebhook(in.Context(), in.who, cairn.MesaForm, id); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, success)
}

// optional is a member of an object that may be left out, which is not the same
// as null.
type optional[T any] struct {
	given bool
	value T // zero for null
}

// UnmarshalJSON notes that the member is there.
func (o *optional[T]) UnmarshalJSON(text []byte) error {
	o.given = true
	return json.Unmarshal(text, &o.value)
}
