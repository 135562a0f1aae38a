package codearts

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var hookRoutes = []route{
	{method: "POST", pattern: "/v1/repositories/{group...}/{name}/hooks", handle: (*Face).addHook},
	{method: "GET", pattern: "/v1/repositories/{group...}/{name}/hooks", handle: (*Face).listHooks},
	{method: "DELETE", pattern: "/v1/repositories/{group...}/{name}/hooks/{hook}", handle: (*Face).deleteHook},
}

// hookBody is a webhook as this API shows it: neither its address nor its token.
// Branches and tags are told of together. What else there is here does not
// happen in this server.
type hookBody struct {
	ID                     int32  `json:"id"`
	ProjectID              int32  `json:"project_id"` // the number of the repository
	CreatedAt              string `json:"created_at"`
	BuildEvents            bool   `json:"build_events"`
	EnableSSLVerification  bool   `json:"enable_ssl_verification"`
	IssuesEvents           bool   `json:"issues_events"`
	MergeRequestsEvents    bool   `json:"merge_requests_events"`
	NoteEvents             bool   `json:"note_events"`
	PipelineEvents         bool   `json:"pipeline_events"`
	PushEvents             bool   `json:"push_events"`
	RepositoryUpdateEvents bool   `json:"repository_update_events"`
	TagPushEvents          bool   `json:"tag_push_events"`
	WikiPageEvents         bool   `json:"wiki_page_events"`
}

// The events that a hook may ask for: those that this server has, and those that
// are known but do not happen here.
var (
	pushEvents  = []string{"push_events", "tag_push_events"}
	otherEvents = []string{
		"build_events", "issues_events", "merge_requests_events", "note_events", "pipeline_events", "repository_update_events", "wiki_page_events",
	}
)

// showHooks makes the bodies of webhooks of the repository.
func (f *Face) showHooks(r *request, hooks ...service.Webhook) ([]hookBody, error) {
	things := []cairn.Numbered{cairn.NumberedRepository(r.repo.RepositoryKey)}
	for _, h := range hooks {
		things = append(things, cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: r.repo.RepositoryKey, ID: string(h.ID)})
	}
	numbers, err := f.service.Numbers(r.Context(), things...)
	if err != nil {
		return nil, err
	}
	bodies := make([]hookBody, len(hooks))
	for i, h := range hooks {
		push := slices.Contains(h.Events, cairn.PushEvent)
		bodies[i] = hookBody{
			ID: int32(numbers[i+1]), ProjectID: int32(numbers[0]), CreatedAt: sdkTime(h.CreatedAt),
			EnableSSLVerification: true, PushEvents: push, TagPushEvents: push,
		}
	}
	return bodies, nil
}

func (f *Face) addHook(w http.ResponseWriter, r *request) error {
	if err := f.name(r); err != nil {
		return err
	}
	in, err := decode[struct {
		URL    string   `json:"hook_url"`
		Source string   `json:"service"`
		Token  string   `json:"token"`
		Events []string `json:"hook_events"`
	}](r)
	if err != nil {
		return err
	}
	pushes := false
	for _, event := range in.Events {
		switch {
		case slices.Contains(pushEvents, event):
			pushes = true
		case !slices.Contains(otherEvents, event):
			return cairn.Errorf(cairn.Invalid, "hook_events: there is no %q", cairn.Clip(event))
		}
	}
	if !pushes {
		return cairn.Errorf(cairn.Invalid, "hook_events: name push_events or tag_push_events; the others do not happen here")
	}
	made, err := f.service.CreateWebhook(r.Context(), r.who, service.NewWebhook{URL: in.URL, Events: []cairn.EventType{cairn.PushEvent}, Secret: in.Token})
	if err != nil {
		return err
	}
	bodies, err := f.showHooks(r, made)
	if err != nil {
		return err
	}
	return answer(w, bodies[0])
}

// name finds the repository that the path names by group and name.
func (f *Face) name(r *request) (err error) {
	r.who, r.repo, err = f.named(r, r.path["group"], r.path["name"])
	if err == nil {
		r.who.Reach, r.who.Repository = nil, r.repo.Name // its webhooks are meant, not the organization's
	}
	return err
}

// hooks returns the webhooks of the repository, those of the Code Storage API
// too: what is sent is the same.
func (f *Face) hooks(r *request) (list []service.Webhook, err error) {
	if err := f.name(r); err != nil {
		return nil, err
	}
	for cursor := ""; ; {
		page, err := f.service.ListWebhooks(r.Context(), r.who, cairn.CodeStorageForm, cursor, refsPerPage)
		if err != nil {
			return nil, err
		}
		list = append(list, page.Webhooks...)
		if cursor = page.Next; cursor == "" {
			return list, nil
		}
	}
}

func (f *Face) listHooks(w http.ResponseWriter, r *request) error {
	hooks, err := f.hooks(r)
	if err != nil {
		return err
	}
	bodies, err := f.showHooks(r, hooks...)
	if err != nil {
		return err
	}
	if id := r.query.Get("hook_id"); id != "" {
		bodies = slices.DeleteFunc(bodies, func(b hookBody) bool { return strconv.Itoa(int(b.ID)) != id })
	}
	return answer(w, map[string]any{"hooks": bodies})
}

func (f *Face) deleteHook(w http.ResponseWriter, r *request) error {
	hooks, err := f.hooks(r)
	if err != nil {
		return err
	}
	bodies, err := f.showHooks(r, hooks...)
	if err != nil {
		return err
	}
	for i, b := range bodies {
		if strconv.Itoa(int(b.ID)) == r.path["hook"] {
			if err := f.service.DeleteWebhook(r.Context(), r.who, cairn.CodeStorageForm, hooks[i].ID); err != nil {
				return err
			}
			return answer(w, true)
		}
	}
	return cairn.Errorf(cairn.NotFound, "there is no hook %s", cairn.Clip(r.path["hook"]))
}
