package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Branch is a branch of a repository.
type Branch struct {
	Name      string    `json:"name"`
	Head      string    `json:"head_sha"`
	CreatedAt time.Time `json:"created_at"`
}

// NewBranch says where a branch is to be.
type NewBranch struct {
	Name string `json:"target_branch"`
	// Base is any revision: a branch, a tag, a commit id, main~2.
	Base string `json:"base_ref"`
	// Ephemeral and BaseEphemeral say that the name, and the base, are of the
	// ephemeral namespace. From an ephemeral base to a normal branch it is a
	// promotion.
	Ephemeral     bool `json:"target_is_ephemeral,omitempty"`
	BaseEphemeral bool `json:"base_is_ephemeral,omitempty"`
	// Force moves an existing branch also where that is no fast-forward.
	Force bool `json:"force,omitempty"`
}

// CreateBranch makes a branch, or moves one, and returns where it is.
func (r *Repo) CreateBranch(ctx context.Context, in NewBranch) (sha string, err error) {
	var made struct {
		SHA string `json:"commit_sha"`
	}
	err = r.client.json(ctx, r.write(http.MethodPost, "/branches/create", in), &made)
	return made.SHA, err
}

// Branches goes through the branches in the order of their creation. It ends
// after an error.
func (r *Repo) Branches(ctx context.Context, ephemeral bool) iter.Seq2[Branch, error] {
	return list[Branch](ctx, r.client, r.get("/branches", query("ephemeral", ephemeral, "limit", 100)), "branches")
}

// Branch returns one branch; ErrNotFound if it is not there.
func (r *Repo) Branch(ctx context.Context, name string, ephemeral bool) (Branch, error) {
	var found struct {
		Branch Branch `json:"branch"`
	}
	err := r.client.json(ctx, r.get("/branch", query("name", name, "ephemeral", ephemeral)), &found)
	return found.Branch, err
}

// DeleteBranch deletes a branch; ErrConflict for the default branch.
func (r *Repo) DeleteBranch(ctx context.Context, name string, ephemeral bool) error {
	in := map[string]any{"target_branch": name, "target_is_ephemeral": ephemeral}
	return r.client.json(ctx, r.write(http.MethodDelete, "/branches", in), nil)
}

// Tag is a tag of a repository.
type Tag struct {
	Name string `json:"name"`
	SHA  string `json:"sha"` // the commit, of an annotated tag too
}

// CreateTag makes a lightweight tag of any revision; ErrConflict if the name is
// taken.
func (r *Repo) CreateTag(ctx context.Context, name, revision string) (Tag, error) {
	var made Tag
	err := r.client.json(ctx, r.write(http.MethodPost, "/tags", map[string]string{"name": name, "ref": revision}), &made)
	return made, err
}

// Tags goes through the tags by name. It ends after an error.
func (r *Repo) Tags(ctx context.Context) iter.Seq2[Tag, error] {
	return list[Tag](ctx, r.client, r.get("/tags", query("limit", 100)), "tags")
}

// Tag returns one tag; ErrNotFound if it is not there.
func (r *Repo) Tag(ctx context.Context, name string) (Tag, error) {
	var found struct {
		Tag Tag `json:"tag"`
	}
	err := r.client.json(ctx, r.get("/tag", query("name", name)), &found)
	return found.Tag, err
}

// DeleteTag deletes a tag.
func (r *Repo) DeleteTag(ctx context.Context, name string) error {
	return r.client.json(ctx, r.write(http.MethodDelete, "/tags/"+url.PathEscape(name), nil), nil)
}
