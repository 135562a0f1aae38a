// Package admin is the operator's face, /admin/v1: organizations, their keys
// and repositories, and the upkeep of the stores. Its rule is that every route
// asks for the admin token; openapi.yaml beside it is its reference, held to
// the routes by a test. It decides nothing else.
package admin

import (
	_ "embed"
	"net/http"
	"strconv"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// OpenAPI describes the face, in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

type face struct {
	service *service.Service
	auth    *api.Auth
}

// routes is the whole face.
func (f *face) routes() map[string]api.Handler {
	return map[string]api.Handler{
		"GET /admin/v1/organizations":                                    f.listOrganizations,
		"POST /admin/v1/organizations":                                   f.createOrganization,
		"DELETE /admin/v1/organizations/{organization}":                  f.deleteOrganization,
		"GET /admin/v1/organizations/{organization}/keys":                f.listKeys,
		"POST /admin/v1/organizations/{organization}/keys":               f.addKey,
		"DELETE /admin/v1/organizations/{organization}/keys/{key}":       f.revokeKey,
		"GET /admin/v1/organizations/{organization}/api-keys":            f.listAPIKeys,
		"POST /admin/v1/organizations/{organization}/api-keys":           f.createAPIKey,
		"DELETE /admin/v1/organizations/{organization}/api-keys/{key}":   f.revokeAPIKey,
		"GET /admin/v1/organizations/{organization}/repositories":        f.listRepositories,
		"POST /admin/v1/organizations/{organization}/repositories":       f.createRepository,
		"GET /admin/v1/organizations/{organization}/repositories/{name}": f.repository,

		"GET /admin/v1/organizations/{organization}/access-keys":          f.listAccessKeys,
		"POST /admin/v1/organizations/{organization}/access-keys":         f.createAccessKey,
		"DELETE /admin/v1/organizations/{organization}/access-keys/{key}": f.revokeAccessKey,
		"GET /admin/v1/organizations/{organization}/projects":             f.listProjects,
		"POST /admin/v1/organizations/{organization}/projects":            f.createProject,

		"GET /admin/v1/organizations/{organization}/projects/{project}/members":           f.listProjectMembers,
		"PUT /admin/v1/organizations/{organization}/projects/{project}/members/{user}":    f.setProjectMember,
		"DELETE /admin/v1/organizations/{organization}/projects/{project}/members/{user}": f.removeProjectMember,

		"DELETE /admin/v1/organizations/{organization}/repositories/{name}":    f.deleteRepository,
		"POST /admin/v1/organizations/{organization}/repositories/{name}/fsck": f.checkRepository,
		"POST /admin/v1/organizations/{organization}/repositories/{name}/gc":   f.repackRepository,
		"POST /admin/v1/gc": f.collectGarbage,

		"GET /admin/v1/users":                          f.listUsers,
		"POST /admin/v1/users":                         f.createUser,
		"DELETE /admin/v1/users/{user}":                f.deleteUser,
		"GET /admin/v1/users/{user}/tokens":            f.listUserTokens,
		"POST /admin/v1/users/{user}/tokens":           f.createUserToken,
		"DELETE /admin/v1/users/{user}/tokens/{token}": f.deleteUserToken,
	}
}

// New returns the face.
func New(svc *service.Service, auth *api.Auth) http.Handler {
	f := &face{svc, auth}
	mux := http.NewServeMux()
	for pattern, handler := range f.routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("/admin/v1/", api.Handler(noRoute))
	return mux
}

// noRoute answers what no other route takes, in the face's shape.
func noRoute(_ http.ResponseWriter, r *http.Request) error {
	return cairn.Errorf(cairn.NotFound, "no route for %s %s; see /openapi.json", r.Method, cairn.Clip(r.URL.Path))
}

// organization is a tenant as this face shows it.
type organization struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func showOrganization(o cairn.Organization) organization {
	return organization{string(o.ID), string(o.Name), o.CreatedAt}
}

func (f *face) listOrganizations(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := f.service.ListOrganizations(r.Context(), who, r.URL.Query().Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Organizations []organization `json:"organizations"`
		NextCursor    string         `json:"next_cursor,omitempty"`
	}{make([]organization, len(page.Organizations)), page.Next}
	for i, o := range page.Organizations {
		out.Organizations[i] = showOrganization(o)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createOrganization(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Name string `json:"name"`
	}](w, r)
	if err != nil {
		return err
	}
	made, err := f.service.CreateOrganization(r.Context(), who, cairn.OrganizationName(in.Name))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showOrganization(made))
}

func (f *face) deleteOrganization(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	if err := f.service.DeleteOrganization(r.Context(), who, organizationName(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// publicKey is a key as this face shows it.
type publicKey struct {
	ID        string     `json:"id"`
	Algorithm string     `json:"algorithm"`
	PublicKey string     `json:"public_key"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

func showKey(k cairn.PublicKey) publicKey {
	shown := publicKey{ID: k.ID, Algorithm: k.Algorithm, PublicKey: k.PEM, CreatedAt: k.CreatedAt}
	if !k.RevokedAt.IsZero() {
		shown.RevokedAt = &k.RevokedAt
	}
	return shown
}

func (f *face) listKeys(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	keys, err := f.service.ListKeys(r.Context(), who, organizationName(r))
	if err != nil {
		return err
	}
	out := struct {
		Keys []publicKey `json:"keys"`
	}{make([]publicKey, len(keys))}
	for i, k := range keys {
		out.Keys[i] = showKey(k)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) addKey(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		PublicKey string `json:"public_key"`
	}](w, r)
	if err != nil {
		return err
	}
	key, err := f.service.AddKey(r.Context(), who, organizationName(r), in.PublicKey)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showKey(key))
}

func (f *face) revokeKey(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	if err := f.service.RevokeKey(r.Context(), who, organizationName(r), r.PathValue("key")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func organizationName(r *http.Request) cairn.OrganizationName {
	return cairn.OrganizationName(r.PathValue("organization"))
}

// queryLimit reads the size of a page; 0 means the default.
func queryLimit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return 0, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 {
		return 0, cairn.Errorf(cairn.Invalid, "limit %q is not a number from 1", cairn.Clip(text))
	}
	return limit, nil
}
