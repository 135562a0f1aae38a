package client

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Repository describes a repository of an organization.
type Repository struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	DefaultBranch string    `json:"default_branch"`
	CreatedAt     time.Time `json:"created_at"`
	// Version grows with every write; only an Operator is told.
	Version int64 `json:"version,omitempty"`
	// URL is where Git clones it from, and Upstream what it follows; an
	// Operator is not told.
	URL      string    `json:"url,omitempty"`
	Upstream *Upstream `json:"upstream,omitempty"`
}

// Upstream is a repository elsewhere that one follows.
type Upstream struct {
	Provider      string `json:"provider"`                 // github, gitlab, bitbucket, gitea, forgejo, codeberg, sr.ht
	Host          string `json:"upstream_host,omitempty"`  // where the provider has many; else empty
	Owner         string `json:"owner"`                    //
	Name          string `json:"name"`                     //
	DefaultBranch string `json:"default_branch,omitempty"` //
	// Public follows a public repository of GitHub without a credential.
	Public bool `json:"-"`
}

// NewRepository says what to create: an empty repository, a fork, or one that
// follows an upstream.
type NewRepository struct {
	Name          string    `json:"name"`
	DefaultBranch string    `json:"default_branch,omitempty"` // empty: main, or the source's
	ForkOf        *ForkOf   `json:"fork_of,omitempty"`
	Upstream      *Upstream `json:"-"` // not for an Operator
}

// ForkOf says what to fork: all branches and tags of a repository, or one
// commit of it.
type ForkOf struct {
	Name string `json:"name"`
	Ref  string `json:"ref,omitempty"` // a branch or tag
	SHA  string `json:"sha,omitempty"` // a commit; wins over Ref
}

// repositoryWire is a repository in the answers to a Client.
type repositoryWire struct {
	ID            string    `json:"repo_id"`
	Name          string    `json:"repo_name"`
	URL           string    `json:"url"` // the name, in an old word
	HTTP          string    `json:"http_url"`
	DefaultBranch string    `json:"default_branch"`
	CreatedAt     time.Time `json:"created_at"`
	Base          *Upstream `json:"base_repo"`
}

func (w repositoryWire) repository() Repository {
	if w.Name == "" {
		w.Name = w.URL
	}
	return Repository{ID: w.ID, Name: w.Name, DefaultBranch: w.DefaultBranch, CreatedAt: w.CreatedAt, URL: w.HTTP, Upstream: w.Base}
}

// CreateRepository makes a repository; ErrConflict if the name is taken. A fork
// has all branches and tags of its source and no link to it.
func (c *Client) CreateRepository(ctx context.Context, in NewRepository) (Repository, error) {
	body := map[string]any{}
	if in.DefaultBranch != "" {
		body["default_branch"] = in.DefaultBranch
	}
	switch {
	case in.ForkOf != nil:
		source, err := c.tokens(ctx, Need{in.ForkOf.Name, ScopeGitRead})
		if err != nil {
			return Repository{}, err
		}
		base := map[string]any{"provider": "code", "operation": "fork", "name": in.ForkOf.Name, "auth": map[string]string{"token": source}}
		setIf(base, "ref", in.ForkOf.Ref)
		setIf(base, "sha", in.ForkOf.SHA)
		body["base_repo"] = base
	case in.Upstream != nil:
		u := in.Upstream
		base := map[string]any{"provider": u.Provider, "operation": "sync", "owner": u.Owner, "name": u.Name}
		setIf(base, "upstream_host", u.Host)
		setIf(base, "default_branch", u.DefaultBranch)
		if u.Public {
			base["auth"] = map[string]string{"auth_type": "public"}
		}
		body["base_repo"] = base
	}
	var made repositoryWire
	err := c.json(ctx, call{method: http.MethodPost, token: in.Name, scope: ScopeRepoWrite, in: body, write: true}, &made)
	return made.repository(), err
}

// Repositories goes through the organization's repositories by name: those
// whose name contains the text, whatever the case, all if it is empty. It ends
// after an error.
func (c *Client) Repositories(ctx context.Context, text string) iter.Seq2[Repository, error] {
	q := call{method: http.MethodGet, scope: ScopeOrgRead, query: query("q", text, "limit", 100)}
	return func(yield func(Repository, error) bool) {
		for w, err := range list[repositoryWire](ctx, c, q, "repos") {
			if !yield(w.repository(), err) {
				return
			}
		}
	}
}

// Describe returns what the repository is; ErrNotFound if it is not there.
func (r *Repo) Describe(ctx context.Context) (Repository, error) {
	var found repositoryWire
	err := r.client.json(ctx, r.get("", nil), &found)
	return found.repository(), err
}

// Delete takes the repository away and frees its name.
func (r *Repo) Delete(ctx context.Context) error {
	return r.client.json(ctx, call{method: http.MethodDelete, repo: r.name, scope: ScopeRepoWrite, write: true}, nil)
}

func setIf(m map[string]any, name, value string) {
	if value = strings.TrimSpace(value); value != "" {
		m[name] = value
	}
}
