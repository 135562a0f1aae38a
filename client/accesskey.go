package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// AccessKey is a pair of an id and a secret with which programs sign requests
// to the CodeArts Repo API.
type AccessKey struct {
	ID     string   `json:"id"`
	Secret string   `json:"secret,omitempty"` // only of a key that was just made
	Name   string   `json:"name,omitempty"`
	Scopes []string `json:"scopes"`
	// RepositoryIDs are the only repositories that the key is for; all if empty.
	RepositoryIDs []string   `json:"repository_ids,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	RevokedAt     *time.Time `json:"revoked_at,omitempty"`
}

// NewAccessKey says what access key to make.
type NewAccessKey struct {
	Name         string   `json:"name,omitempty"`         // who holds it
	Scopes       []string `json:"scopes,omitempty"`       // all if empty
	Repositories []string `json:"repositories,omitempty"` // by name; all if empty
}

// CreateAccessKey makes an access key. Its secret is not shown again.
func (o *Operator) CreateAccessKey(ctx context.Context, organization string, in NewAccessKey) (AccessKey, error) {
	var made AccessKey
	err := o.call(ctx, http.MethodPost, organizationPath(organization)+"/access-keys", in, &made)
	return made, err
}

// AccessKeys returns an organization's access keys, the oldest first, the
// revoked too.
func (o *Operator) AccessKeys(ctx context.Context, organization string) ([]AccessKey, error) {
	var list struct {
		Keys []AccessKey `json:"access_keys"`
	}
	err := o.call(ctx, http.MethodGet, organizationPath(organization)+"/access-keys", nil, &list)
	return list.Keys, err
}

// RevokeAccessKey ends an access key and the tokens that were made from it.
func (o *Operator) RevokeAccessKey(ctx context.Context, organization, id string) error {
	return o.call(ctx, http.MethodDelete, organizationPath(organization)+"/access-keys/"+url.PathEscape(id), nil, nil)
}

// Project is a folder of repositories with an id.
type Project struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// CreateProject makes a project: the repositories whose names begin with the
// name and a slash.
func (o *Operator) CreateProject(ctx context.Context, organization, name string) (Project, error) {
	var made Project
	err := o.call(ctx, http.MethodPost, organizationPath(organization)+"/projects", map[string]string{"name": name}, &made)
	return made, err
}

// Projects goes through an organization's projects by name. It ends after an
// error.
func (o *Operator) Projects(ctx context.Context, organization string) iter.Seq2[Project, error] {
	return pages(func(cursor string) ([]Project, string, error) {
		var page struct {
			Projects   []Project `json:"projects"`
			NextCursor string    `json:"next_cursor"`
		}
		err := o.call(ctx, http.MethodGet, organizationPath(organization)+"/projects?"+pageQuery(cursor).Encode(), nil, &page)
		return page.Projects, page.NextCursor, err
	})
}

// ProjectMember is a user with a role in a project: "read", "write" or "admin".
type ProjectMember struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// ProjectMembers returns the members of a project, named by its id.
func (o *Operator) ProjectMembers(ctx context.Context, organization, project string) ([]ProjectMember, error) {
	var out struct {
		Members []ProjectMember `json:"members"`
	}
	err := o.call(ctx, http.MethodGet, projectPath(organization, project)+"/members", nil, &out)
	return out.Members, err
}

// SetProjectMember makes a user a member of a project, or changes their role.
// Repositories that are created with import_members begin with them.
func (o *Operator) SetProjectMember(ctx context.Context, organization, project string, m ProjectMember) error {
	return o.call(ctx, http.MethodPut, projectPath(organization, project)+"/members/"+url.PathEscape(m.Name), map[string]string{"role": m.Role}, nil)
}

// RemoveProjectMember takes a user out of a project.
func (o *Operator) RemoveProjectMember(ctx context.Context, organization, project, user string) error {
	return o.call(ctx, http.MethodDelete, projectPath(organization, project)+"/members/"+url.PathEscape(user), nil, nil)
}

func projectPath(organization, project string) string {
	return organizationPath(organization) + "/projects/" + url.PathEscape(project)
}
