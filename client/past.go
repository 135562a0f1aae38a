package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// getAt is a read of a repository as it was at a time; the zero time is now.
// The past is shown only to who may write.
func (r *Repo) getAt(path string, at time.Time, query url.Values) call {
	q := r.get(path, query)
	if !at.IsZero() {
		q.scope = ScopeGitWrite
	}
	return q
}

// BranchesAt goes through the branches as they were at a time within the
// server's retention. It ends after an error.
func (r *Repo) BranchesAt(ctx context.Context, at time.Time, ephemeral bool) iter.Seq2[Branch, error] {
	return list[Branch](ctx, r.client, r.getAt("/branches", at, query("at", at, "ephemeral", ephemeral, "limit", 100)), "branches")
}

// DeletedBranch is a branch that can be restored.
type DeletedBranch struct {
	Name      string    `json:"name"`
	Ephemeral bool      `json:"ephemeral"`
	Head      string    `json:"head_sha"`
	DeletedAt time.Time `json:"deleted_at"`
	DeletedBy string    `json:"deleted_by"`
}

// DeletedBranches goes through the branches that were deleted within the
// server's retention, the last deleted first. It ends after an error.
func (r *Repo) DeletedBranches(ctx context.Context, ephemeral bool) iter.Seq2[DeletedBranch, error] {
	q := r.get("/branches", query("deleted", true, "ephemeral", ephemeral, "limit", 100))
	q.scope = ScopeGitWrite
	return list[DeletedBranch](ctx, r.client, q, "branches")
}

// RestoreBranch brings a deleted branch back: as it was last, or where it was
// at a commit, and returns where it is. ErrConflict if there is a branch of the
// name, ErrNotFound if nothing of it is kept.
func (r *Repo) RestoreBranch(ctx context.Context, name string, ephemeral bool, head string) (sha string, err error) {
	in := map[string]any{"target_branch": name, "target_is_ephemeral": ephemeral}
	setIf(in, "head_sha", head)
	var made struct {
		SHA string `json:"commit_sha"`
	}
	err = r.client.json(ctx, r.write(http.MethodPost, "/branches/restore", in), &made)
	return made.SHA, err
}

// DeletedRepository is a repository that can be restored.
type DeletedRepository struct {
	Repository
	DeletedAt time.Time `json:"deleted_at"`
	PurgeAt   time.Time `json:"purge_at"` // when it is gone for good
}

// DeletedRepositories goes through the organization's deleted repositories by
// name. It ends after an error.
func (c *Client) DeletedRepositories(ctx context.Context) iter.Seq2[DeletedRepository, error] {
	type wire struct {
		repositoryWire
		DeletedAt time.Time `json:"deleted_at"`
		PurgeAt   time.Time `json:"purge_at"`
	}
	q := call{method: http.MethodGet, scope: ScopeOrgRead, query: query("deleted", true, "limit", 100)}
	return func(yield func(DeletedRepository, error) bool) {
		for w, err := range list[wire](ctx, c, q, "repos") {
			if !yield(DeletedRepository{w.repository(), w.DeletedAt, w.PurgeAt}, err) {
				return
			}
		}
	}
}

// Restore brings the last deleted repository of the name back, or another one
// of the name by its id, as it was. ErrConflict if the name is taken by now.
func (r *Repo) Restore(ctx context.Context, id string) (Repository, error) {
	var found repositoryWire
	err := r.client.json(ctx, r.past("/restore", id), &found)
	return found.repository(), err
}

// Purge removes at once what is kept of the past: of a living repository its
// earlier states, of a name that is free all deleted repositories of it, with
// an id only that one. There is no way back.
func (r *Repo) Purge(ctx context.Context, id string) error {
	return r.client.json(ctx, r.past("/purge", id), nil)
}

func (r *Repo) past(path, id string) call {
	in := map[string]any{}
	setIf(in, "repo_id", id)
	return call{method: http.MethodPost, path: path, repo: r.name, scope: ScopeRepoWrite, in: in, write: true}
}
