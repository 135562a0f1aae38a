package admin

import (
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// apiKey is an API key as this face shows it.
type apiKey struct {
	ID     string         `json:"id"`
	Key    string         `json:"key,omitempty"` // where it was made
	Name   string         `json:"name"`
	Scopes []cairn.Access `json:"scopes"`
	// RepositoryIDs are absent for a key that is good for all repositories.
	RepositoryIDs []cairn.RepositoryID `json:"repository_ids,omitempty"`
	Labels        cairn.Labels         `json:"labels,omitempty"`
	CreatedAt     time.Time            `json:"created_at"`
	ExpiresAt     *time.Time           `json:"expires_at,omitempty"`
	RevokedAt     *time.Time           `json:"revoked_at,omitempty"`
	LastUsedAt    *time.Time           `json:"last_used_at,omitempty"`
}

func showAPIKey(k cairn.APIKey, text string) apiKey {
	return apiKey{
		ID: service.PublicAPIKeyID(k.Organization, k.ID), Key: text, Name: k.Name, Scopes: k.Access, RepositoryIDs: k.Repositories, Labels: k.Labels,
		CreatedAt: k.CreatedAt, ExpiresAt: timeOrNone(k.ExpiresAt), RevokedAt: timeOrNone(k.RevokedAt), LastUsedAt: timeOrNone(k.UsedAt),
	}
}

func timeOrNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (f *face) createAPIKey(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Name         string                 `json:"name"`
		Scopes       []cairn.Access         `json:"scopes"`
		Repositories []cairn.RepositoryName `json:"repositories"`
		Life         int64                  `json:"expires_in_seconds"`
		Labels       cairn.Labels           `json:"labels"`
	}](w, r)
	if err != nil {
		return err
	}
	wanted := service.NewAPIKey{Name: in.Name, Access: in.Scopes, Life: time.Duration(min(max(in.Life, 0), 1<<32)) * time.Second, Labels: in.Labels}
	for _, name := range in.Repositories {
		found, err := f.service.Repository(r.Context(), who, name)
		if err != nil {
			return err
		}
		wanted.Repositories = append(wanted.Repositories, found.Repository)
	}
	made, err := f.service.CreateAPIKey(r.Context(), who, wanted)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showAPIKey(made.APIKey, made.Text))
}

func (f *face) listAPIKeys(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := f.service.ListAPIKeys(r.Context(), who, service.APIKeyQuery{Cursor: r.URL.Query().Get("cursor"), Limit: limit})
	if err != nil {
		return err
	}
	out := struct {
		Keys       []apiKey `json:"api_keys"`
		NextCursor string   `json:"next_cursor,omitempty"`
	}{make([]apiKey, len(page.Keys)), page.Next}
	for i, k := range page.Keys {
		out.Keys[i] = showAPIKey(k, "")
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) revokeAPIKey(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	if err := f.service.RevokeAPIKey(r.Context(), who, r.PathValue("key")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
