package mesa

import (
	"errors"
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// organization is an organization as this face shows it.
type organization struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
}

func showOrganization(o cairn.Organization) organization {
	return organization{ID: o.ID.Public(), Slug: string(o.Name), Name: string(o.Name)}
}

// accessOf is the actor's rights in the API's words.
func accessOf(who cairn.Actor) []cairn.Access {
	list := []cairn.Access{}
	for _, a := range []struct {
		scope  cairn.Scope
		access cairn.Access
	}{{cairn.GitRead, cairn.ReadAccess}, {cairn.GitWrite, cairn.WriteAccess}, {cairn.OrgAdmin, cairn.AdminAccess}} {
		if who.Has(a.scope) {
			list = append(list, a.access)
		}
	}
	return list
}

// whoami tells who a token is for. What was made from an API key is shown with
// that key; a private key's tokens have none.
func (f *face) whoami(w http.ResponseWriter, in *request) error {
	out := struct {
		Org     organization   `json:"org"`
		KeyID   *string        `json:"key_id"`
		KeyName *string        `json:"key_name"`
		Scopes  []cairn.Access `json:"scopes"`
	}{Org: showOrganization(in.who.Organization), Scopes: accessOf(in.who)}
	if in.who.APIKey != "" {
		key, err := f.service.APIKey(in.Context(), in.who)
		if err != nil && !errors.Is(err, cairn.NotFound) {
			return err
		}
		id := service.PublicAPIKeyID(in.who.Organization.ID, in.who.APIKey)
		out.KeyID = &id
		out.KeyName = textOrNull(key.Name)
	}
	return api.Write(w, http.StatusOK, out)
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// newKey is an API key as its creation shows it.
type newKey struct {
	ID        string         `json:"id"`
	Key       string         `json:"key,omitempty"`
	Name      *string        `json:"name"`
	Scopes    []cairn.Access `json:"scopes"`
	RepoIDs   []string       `json:"repo_ids"`
	Tags      cairn.Labels   `json:"tags"`
	CreatedAt string         `json:"created_at"`
}

// apiKey is an API key as listings show it.
type apiKey struct {
	newKey
	// Metadata is null: no published call gives a key any.
	Metadata   *struct{} `json:"metadata"`
	LastUsedAt *string   `json:"last_used_at"`
	ExpiresAt  *string   `json:"expires_at"`
	RevokedAt  *string   `json:"revoked_at"`
}

func showNewKey(k cairn.APIKey, text string) newKey {
	return newKey{
		ID: service.PublicAPIKeyID(k.Organization, k.ID), Key: text, Name: textOrNull(k.Name), Scopes: k.Access,
		RepoIDs: publicRepositoryIDs(k.Repositories), Tags: orNone(k.Labels), CreatedAt: timestamp(k.CreatedAt),
	}
}

func showAPIKey(k cairn.APIKey) apiKey {
	return apiKey{newKey: showNewKey(k, ""), LastUsedAt: moment(k.UsedAt), ExpiresAt: moment(k.ExpiresAt), RevokedAt: moment(k.RevokedAt)}
}

// orNone shows no labels as an empty object.
func orNone(l cairn.Labels) cairn.Labels {
	if l == nil {
		return cairn.Labels{}
	}
	return l
}

// publicRepositoryIDs shows ids of repositories; nil, for all, as null.
func publicRepositoryIDs(ids []cairn.RepositoryID) []string {
	if ids == nil {
		return nil
	}
	shown := make([]string, len(ids))
	for i, id := range ids {
		shown[i] = id.Public()
	}
	return shown
}

// parseRepositoryIDs reads ids of repositories as callers name them; nil stays
// nil.
func parseRepositoryIDs(list []string) ([]cairn.RepositoryID, error) {
	if list == nil {
		return nil, nil
	}
	ids := make([]cairn.RepositoryID, len(list))
	for i, text := range list {
		id, ok := cairn.RepositoryName(text).ID()
		if !ok {
			return nil, cairn.Errorf(cairn.NotFound, "repository %q not found", cairn.Clip(text))
		}
		ids[i] = id
	}
	return ids, nil
}

func (f *face) listAPIKeys(w http.ResponseWriter, in *request) error {
	cursor, limit, err := in.page()
	if err != nil {
		return err
	}
	q := service.APIKeyQuery{Text: in.query.Get("query"), Access: cairn.Access(in.query.Get("scope")), Cursor: cursor, Limit: limit}
	switch status := in.query.Get("status"); status {
	case "", "all":
	case "active", "revoked", "expired":
		q.Status = service.APIKeyStatus(status)
	default:
		return cairn.Errorf(cairn.Invalid, "status %q is not active, revoked, expired or all", cairn.Clip(status))
	}
	if repo := in.query.Get("repo_id"); repo != "" {
		ids, err := parseRepositoryIDs([]string{repo})
		if err != nil {
			return err
		}
		q.Repository = ids[0]
	}
	page, err := f.service.ListAPIKeys(in.Context(), in.who, q)
	if err != nil {
		return err
	}
	out := struct {
		pageMarks
		Keys []apiKey `json:"api_keys"`
	}{marks(page.Next), make([]apiKey, len(page.Keys))}
	for i, k := range page.Keys {
		out.Keys[i] = showAPIKey(k)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createAPIKey(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Name    string         `json:"name"`
		Scopes  []cairn.Access `json:"scopes"`
		RepoIDs []string       `json:"repo_ids"`
		Life    *int64         `json:"expires_in_seconds"`
		Tags    cairn.Labels   `json:"tags"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	wanted := service.NewAPIKey{Name: body.Name, Access: body.Scopes, Labels: body.Tags}
	if body.Life != nil {
		// What is out of bounds stays so when it is made a duration.
		wanted.Life = time.Duration(min(max(*body.Life, 1), 1<<32)) * time.Second
	}
	if wanted.Repositories, err = parseRepositoryIDs(body.RepoIDs); err != nil {
		return err
	}
	made, err := f.service.CreateAPIKey(in.Context(), in.who, wanted)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showNewKey(made.APIKey, made.Text))
}

func (f *face) updateAPIKey(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Tags map[string]*string `json:"tags"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	changed, err := f.service.UpdateAPIKey(in.Context(), in.who, in.value("id"), body.Tags)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Tags cairn.Labels `json:"tags"`
	}{orNone(changed.Labels)})
}

func (f *face) revokeAPIKey(w http.ResponseWriter, in *request) error {
	if err := f.service.RevokeAPIKey(in.Context(), in.who, in.value("id")); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, success)
}
