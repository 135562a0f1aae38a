package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// PullUpstream asks the server to fetch from the repository's upstream. It is
// done in the background: the server goes on until it is, and announces its end
// to webhooks. ErrInvalid if there is no upstream.
func (r *Repo) PullUpstream(ctx context.Context) error {
	return r.client.json(ctx, r.write(http.MethodPost, "/pull-upstream", struct{}{}), nil)
}

// Detach ends that the repository follows its upstream. What was fetched stays.
func (r *Repo) Detach(ctx context.Context) error {
	return r.client.json(ctx, r.write(http.MethodDelete, "/base", nil), nil)
}

// Credential is a stored credential for a repository's upstream. The password
// is never told.
type Credential struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
}

// CreateCredential stores the user name and password with which the server
// fetches from the upstream; ErrConflict if there is one already.
func (r *Repo) CreateCredential(ctx context.Context, username, password string) (Credential, error) {
	return r.credential(ctx, http.MethodPost, "", username, password)
}

// UpdateCredential replaces a credential.
func (r *Repo) UpdateCredential(ctx context.Context, id, username, password string) (Credential, error) {
	return r.credential(ctx, http.MethodPut, "/"+url.PathEscape(id), username, password)
}

func (r *Repo) credential(ctx context.Context, method, path, username, password string) (Credential, error) {
	body := map[string]any{"password": password}
	setIf(body, "username", username)
	var made Credential
	err := r.client.json(ctx, call{
		method: method, path: "/git-credentials" + path, repo: r.name, scope: ScopeRepoWrite, in: body, write: true,
	}, &made)
	return made, err
}

// DeleteCredential removes a credential.
func (r *Repo) DeleteCredential(ctx context.Context, id string) error {
	return r.client.json(ctx, call{
		method: http.MethodDelete, path: "/git-credentials/" + url.PathEscape(id), repo: r.name, scope: ScopeRepoWrite, write: true,
	}, nil)
}
