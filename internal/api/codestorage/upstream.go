package codestorage

import (
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// baseBody names the upstream of a repository.
type baseBody struct {
	Provider     string `json:"provider"`
	Owner        string `json:"owner"`
	Name         string `json:"name"`
	UpstreamHost string `json:"upstream_host"`
}

// newBaseBody is nil without an upstream.
func newBaseBody(u cairn.Upstream) *baseBody {
	if u.IsZero() {
		return nil
	}
	return &baseBody{string(u.Provider), u.Owner, u.Name, u.Host}
}

// syncBody says how far a repository is with its upstream.
type syncBody struct {
	Status      string `json:"status"`
	RunCount    int64  `json:"run_count"`
	RequestedAt string `json:"requested_at,omitempty"`
	StartedAt   string `json:"started_at,omitempty"`
	CompletedAt string `json:"completed_at,omitempty"`
	SucceededAt string `json:"last_success_at,omitempty"`
	Error       string `json:"error,omitempty"`
}

func newSyncBody(s cairn.Sync) *syncBody {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return timestamp(t)
	}
	return &syncBody{string(s.Status), s.Runs, at(s.RequestedAt), at(s.StartedAt), at(s.EndedAt), at(s.SucceededAt), s.Error}
}

// message is an answer that only says that it is done.
type message struct {
	Message string `json:"message"`
}

func (f *face) pullUpstream(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		Ref string `json:"ref"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	if err := f.service.PullUpstream(r.Context(), r.who, r.repo, in.Ref); err != nil {
		return err
	}
	return api.Write(w, http.StatusAccepted, message{"Repository sync initiated successfully"})
}

func (f *face) detach(w http.ResponseWriter, r *request) error {
	if err := f.service.Detach(r.Context(), r.who, r.repo); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, message{"repository detached"})
}

// credentialRequest is the body of all that is done to a credential. The ids
// are only in v1 bodies; the preferred family has them in the path.
type credentialRequest struct {
	Repository string `json:"repo_id"`
	ID         string `json:"id"`
	Username   string `json:"username"`
	Password   string `json:"password"`
}

type credentialBody struct {
	ID        string `json:"id"`
	CreatedAt string `json:"created_at"`
}

func (f *face) createCredential(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[credentialRequest](w, r.Request)
	if err != nil {
		return err
	}
	repo := cairn.RepositoryName(oneOf(r.PathValue("repo"), in.Repository, string(r.repo)))
	if repo == "" {
		return cairn.Errorf(cairn.Denied, "the token names no repository: its repo claim is missing")
	}
	made, err := f.service.CreateCredential(r.Context(), r.who, repo, in.Username, in.Password)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, credentialBody{made.ID, timestamp(made.CreatedAt)})
}

// credential reads which credential a request is about: by its repository and
// id from the path, or by its id alone.
func (r *request) credential(in credentialRequest) (repo cairn.RepositoryName, id string, err error) {
	repo, id = cairn.RepositoryName(r.PathValue("repo")), oneOf(r.PathValue("id"), in.ID)
	if id == "" {
		err = cairn.Errorf(cairn.Invalid, "id is required")
	}
	return repo, id, err
}

func (f *face) updateCredential(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[credentialRequest](w, r.Request)
	if err != nil {
		return err
	}
	repo, id, err := r.credential(in)
	if err != nil {
		return err
	}
	changed, err := f.service.UpdateCredential(r.Context(), r.who, repo, id, in.Username, in.Password)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, credentialBody{changed.ID, timestamp(changed.CreatedAt)})
}

func (f *face) deleteCredential(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[credentialRequest](w, r.Request)
	if err != nil {
		return err
	}
	repo, id, err := r.credential(in)
	if err != nil {
		return err
	}
	if err := f.service.DeleteCredential(r.Context(), r.who, repo, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
