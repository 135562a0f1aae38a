package admin

import (
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// accessKey is an access key as this face shows it.
type accessKey struct {
	ID           string        `json:"id"`
	Secret       string        `json:"secret,omitempty"` // when it is made
	Name         string        `json:"name,omitempty"`
	Scopes       []cairn.Scope `json:"scopes"`
	Repositories []string      `json:"repository_ids,omitempty"`
	CreatedAt    time.Time     `json:"created_at"`
	RevokedAt    *time.Time    `json:"revoked_at,omitempty"`
}

func showAccessKey(k cairn.AccessKey) accessKey {
	shown := accessKey{ID: string(k.ID), Name: k.Name, Scopes: k.Scopes, CreatedAt: k.CreatedAt}
	for _, id := range k.Repositories {
		shown.Repositories = append(shown.Repositories, string(id))
	}
	if !k.RevokedAt.IsZero() {
		shown.RevokedAt = &k.RevokedAt
	}
	return shown
}

func (f *face) listAccessKeys(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	keys, err := f.service.ListAccessKeys(r.Context(), who, organizationName(r))
	if err != nil {
		return err
	}
	out := struct {
		Keys []accessKey `json:"access_keys"`
	}{make([]accessKey, len(keys))}
	for i, k := range keys {
		out.Keys[i] = showAccessKey(k)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createAccessKey(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Name         string                 `json:"name"`
		Scopes       []cairn.Scope          `json:"scopes"`
		Repositories []cairn.RepositoryName `json:"repositories"`
	}](w, r)
	if err != nil {
		return err
	}
	made, err := f.service.CreateAccessKey(r.Context(), who, organizationName(r), service.NewAccessKey{Name: in.Name, Scopes: in.Scopes, Repositories: in.Repositories})
	if err != nil {
		return err
	}
	shown := showAccessKey(made.AccessKey)
	shown.Secret = made.Secret
	return api.Write(w, http.StatusCreated, shown)
}

func (f *face) revokeAccessKey(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	if err := f.service.RevokeAccessKey(r.Context(), who, organizationName(r), cairn.AccessKeyID(r.PathValue("key"))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// project is a project as this face shows it.
type project struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func showProject(p cairn.Project) project {
	return project{string(p.ID), string(p.Name), p.CreatedAt}
}

func (f *face) listProjects(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := f.service.ListProjects(r.Context(), who, r.URL.Query().Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Projects   []project `json:"projects"`
		NextCursor string    `json:"next_cursor,omitempty"`
	}{make([]project, len(page.Projects)), page.Next}
	for i, p := range page.Projects {
		out.Projects[i] = showProject(p)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createProject(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Name string `json:"name"`
	}](w, r)
	if err != nil {
		return err
	}
	made, err := f.service.CreateProject(r.Context(), who, in.Name)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showProject(made))
}
