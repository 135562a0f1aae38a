package gogs

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var hookRoutes = []route{
	{method: "GET", path: repositoryPath + "/hooks", gate: byToken, role: cairn.AdminRole, handle: (*Face).listHooks},
	{method: "POST", path: repositoryPath + "/hooks", gate: byToken, role: cairn.AdminRole, handle: (*Face).createHook},
	{method: "PATCH", path: repositoryPath + "/hooks/{hook}", gate: byToken, role: cairn.AdminRole, handle: (*Face).editHook},
	{method: "DELETE", path: repositoryPath + "/hooks/{hook}", gate: byToken, role: cairn.AdminRole, handle: (*Face).deleteHook},
}

// hook is a webhook. Its secret is never shown.
type hook struct {
	ID        int64             `json:"id"`
	Type      string            `json:"type"`
	Config    map[string]string `json:"config"`
	Events    []string          `json:"events"`
	Active    bool              `json:"active"`
	UpdatedAt time.Time         `json:"updated_at"`
	CreatedAt time.Time         `json:"created_at"`
}

func (f *Face) writeHooks(w http.ResponseWriter, in *request, status int, one bool, list ...service.Webhook) error {
	things := make([]cairn.Numbered, len(list))
	for i, h := range list {
		things[i] = cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: in.repo.RepositoryKey, ID: string(h.ID)}
	}
	numbers, err := f.service.Numbers(in.Context(), things...)
	if err != nil {
		return err
	}
	shown := make([]hook, len(list))
	for i, h := range list {
		shown[i] = hook{
			ID: int64(numbers[i]), Type: "gogs", Config: map[string]string{"url": h.URL, "content_type": h.Options[service.GogsContentType]},
			Active: h.Paused == "", UpdatedAt: second(h.UpdatedAt), CreatedAt: second(h.CreatedAt),
		}
		for _, e := range h.Events {
			shown[i].Events = append(shown[i].Events, string(e))
		}
	}
	if one {
		return api.Write(w, status, shown[0])
	}
	return api.Write(w, status, shown)
}

func (f *Face) hooksOf(in *request) (list []service.Webhook, err error) {
	for cursor := ""; ; {
		page, err := f.service.ListWebhooks(in.Context(), in.who, cairn.GogsForm, cursor, 0)
		if err != nil {
			return nil, err
		}
		list = append(list, page.Webhooks...)
		if cursor = page.Next; cursor == "" {
			return list, nil
		}
	}
}

func (f *Face) listHooks(w http.ResponseWriter, in *request) error {
	list, err := f.hooksOf(in)
	if err != nil {
		return err
	}
	return f.writeHooks(w, in, http.StatusOK, false, cut(in, list)...)
}

// hookBody is the body of what makes and changes webhooks.
type hookBody struct {
	Type   string            `json:"type"`
	Config map[string]string `json:"config"`
	Events []string          `json:"events"`
	Active bool              `json:"active"`
}

// events are those that are asked for and happen here; a push if there are none.
func (b hookBody) events() []cairn.EventType {
	var events []cairn.EventType
	for _, e := range []cairn.EventType{service.GogsCreate, service.GogsDelete, service.GogsPush} {
		if slices.Contains(b.Events, string(e)) {
			events = append(events, e)
		}
	}
	if events == nil {
		events = []cairn.EventType{service.GogsPush}
	}
	return events
}

func checkContentType(kind string) error {
	if kind != "json" && kind != "form" {
		return cairn.Errorf(cairn.Invalid, "Invalid content type.")
	}
	return nil
}

func (f *Face) createHook(w http.ResponseWriter, in *request) error {
	body, err := bind[hookBody](w, in)
	if err != nil {
		return err
	}
	var c checks
	c.required("Type", body.Type)
	if body.Config == nil {
		c.required("Config", "")
	}
	if err := c.err(); err != nil {
		return err
	}
	switch body.Type {
	case "gogs":
	case "slack", "discord", "dingtalk":
		return cairn.Errorf(cairn.Invalid, "webhooks of type %s are not served here", body.Type)
	default:
		return cairn.Errorf(cairn.Invalid, "Invalid hook type.")
	}
	for _, name := range []string{"url", "content_type"} {
		if body.Config[name] == "" {
			return cairn.Errorf(cairn.Invalid, "Missing config option: %s", name)
		}
	}
	if err := checkContentType(body.Config["content_type"]); err != nil {
		return err
	}
	options := cairn.Labels{service.GogsContentType: body.Config["content_type"]}
	if body.Config["secret"] == "" {
		options[service.GogsUnsigned] = "1"
	}
	made, err := f.service.CreateWebhook(in.Context(), in.who, service.NewWebhook{
		Form: cairn.GogsForm, URL: body.Config["url"], Events: body.events(), Options: options, Secret: body.Config["secret"], Paused: !body.Active,
	})
	if err != nil {
		return err
	}
	return f.writeHooks(w, in, http.StatusCreated, true, made)
}

// findHook finds a webhook of the repository by its number.
func (f *Face) findHook(in *request) (service.Webhook, error) {
	n, err := in.number("hook")
	if err != nil {
		return service.Webhook{}, err
	}
	list, err := f.hooksOf(in)
	if err != nil {
		return service.Webhook{}, err
	}
	for _, h := range list {
		numbers, err := f.service.Numbers(in.Context(), cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: in.repo.RepositoryKey, ID: string(h.ID)})
		if err != nil {
			return service.Webhook{}, err
		}
		if numbers[0] == n {
			return h, nil
		}
	}
	return service.Webhook{}, cairn.Errorf(cairn.NotFound, "the repository has no such webhook")
}

// editHook changes a webhook; its secret stays. Events that the body leaves out
// are a push again.
func (f *Face) editHook(w http.ResponseWriter, in *request) error {
	found, err := f.findHook(in)
	if err != nil {
		return err
	}
	body, err := bind[hookBody](w, in)
	if err != nil {
		return err
	}
	change := service.WebhookChange{Events: body.events(), Active: &body.Active}
	if address, ok := body.Config["url"]; ok {
		change.URL = &address
	}
	if kind, ok := body.Config["content_type"]; ok {
		if err := checkContentType(kind); err != nil {
			return err
		}
		change.Options = cairn.Labels{service.GogsContentType: kind}
		if found.Options[service.GogsUnsigned] != "" {
			change.Options[service.GogsUnsigned] = "1"
		}
	}
	changed, err := f.service.UpdateWebhook(in.Context(), in.who, cairn.GogsForm, found.ID, change)
	if err != nil {
		return err
	}
	return f.writeHooks(w, in, http.StatusOK, true, changed)
}

// deleteHook removes a webhook; that there is none is no error.
func (f *Face) deleteHook(w http.ResponseWriter, in *request) error {
	found, err := f.findHook(in)
	if err == nil {
		err = f.service.DeleteWebhook(in.Context(), in.who, cairn.GogsForm, found.ID)
	}
	if err != nil && !errors.Is(err, cairn.NotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
