package codestorage

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxRepositoriesPerPage = 100

// repositoryBody is a repository as every answer shows it.
type repositoryBody struct {
	ID            string `json:"repo_id"`
	Name          string `json:"repo_name"`
	URL           string `json:"url"` // the old name of the name
	HTTPURL       string `json:"http_url"`
	DefaultBranch string `json:"default_branch"`
	CreatedAt     string `json:"created_at"`
	Message       string `json:"message,omitempty"`

	BaseRepo *baseBody `json:"base_repo,omitempty"`
	Sync     *syncBody `json:"sync,omitempty"`
}

func (f *face) newRepositoryBody(r cairn.Repository) repositoryBody {
	return repositoryBody{
		ID:            repositoryID(r),
		Name:          string(r.Name),
		URL:           string(r.Name),
		HTTPURL:       f.cloneURL(r.Name),
		DefaultBranch: r.DefaultBranch.Short(),
		CreatedAt:     timestamp(r.CreatedAt),
		BaseRepo:      newBaseBody(r.Upstream),
	}
}

func repositoryID(r cairn.Repository) string { return r.Repository.Public() }

// cloneURL is the address of the Git remote. It is made of the configured
// address of the server, never of what a request says.
func (f *face) cloneURL(name cairn.RepositoryName) string {
	segments := strings.Split(string(name), "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return f.external + "/" + strings.Join(segments, "/") + ".git"
}

// newRepository is the body of a creation.
type newRepository struct {
	DefaultBranch string          `json:"default_branch"`
	BaseRepo      *baseRepository `json:"base_repo"`
	InitialCommit any             `json:"initial_commit"`
}

// baseRepository is what a new repository begins with, or follows.
type baseRepository struct {
	Provider      string `json:"provider"`
	Owner         string `json:"owner"`
	Name          string `json:"name"`
	DefaultBranch string `json:"default_branch"`
	Operation     string `json:"operation"`
	UpstreamHost  string `json:"upstream_host"`
	Ref           string `json:"ref"`
	SHA           string `json:"sha"`
	Auth          struct {
		Type     string `json:"auth_type"`
		Token    string `json:"token"`
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"auth"`
}

func (f *face) createRepository(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[newRepository](w, r.Request)
	if err != nil {
		return err
	}
	branch := oneOf(in.DefaultBranch, r.query.Get("default_branch"))
	var made cairn.Repository
	switch base := in.BaseRepo; {
	case in.InitialCommit != nil:
		return cairn.Errorf(cairn.Invalid, "initial_commit is not supported: create the repository, then commit to it")
	case base == nil:
		made, err = f.service.CreateRepository(r.Context(), r.who, service.NewRepository{Name: r.repo, DefaultBranch: branch})
	case base.Provider == "code", base.Provider == "code.storage":
		made, err = f.fork(r, oneOf(base.DefaultBranch, branch), *base)
	default:
		made, err = f.mirror(r, branch, *base)
	}
	if err != nil {
		return err
	}
	body := f.newRepositoryBody(made)
	body.Message = "repository created"
	return api.Write(w, http.StatusCreated, body)
}

// mirror makes a repository that follows one on another server.
func (f *face) mirror(r *request, branch string, base baseRepository) (cairn.Repository, error) {
	if base.Operation != "" && base.Operation != "sync" {
		return cairn.Repository{}, cairn.Errorf(cairn.Invalid, "base_repo.operation %q is not for provider %q: use sync", cairn.Clip(base.Operation), cairn.Clip(base.Provider))
	}
	made, err := f.service.CreateMirror(r.Context(), r.who, service.NewMirror{
		Name:           r.repo,
		DefaultBranch:  oneOf(base.DefaultBranch, branch),
		Provider:       base.Provider,
		Host:           base.UpstreamHost,
		Owner:          base.Owner,
		UpstreamName:   base.Name,
		UpstreamBranch: base.DefaultBranch,
		Access:         service.Access(base.Auth.Type),
		Username:       base.Auth.Username,
		Password:       base.Auth.Password,
	})
	if told := (*cairn.Error)(nil); errors.As(err, &told) && told.Kind == cairn.Invalid {
		err = cairn.Errorf(cairn.Invalid, "base_repo: %w", err)
	}
	return made, err
}

// fork makes a repository from another one of this server. Who may read the
// source is said by a token of its own in the body, or by the request's.
func (f *face) fork(r *request, branch string, base baseRepository) (cairn.Repository, error) {
	if base.Operation != "" && base.Operation != "fork" {
		return cairn.Repository{}, cairn.Errorf(cairn.Invalid, "base_repo.operation %q is not supported: use fork", cairn.Clip(base.Operation))
	}
	if base.Name == "" {
		return cairn.Repository{}, cairn.Errorf(cairn.Invalid, "base_repo.name is required")
	}
	reader := r.who
	if base.Auth.Token != "" {
		var err error
		if reader, err = f.service.Authenticate(r.Context(), base.Auth.Token); err != nil {
			return cairn.Repository{}, cairn.Errorf(cairn.KindOf(err), "base_repo.auth.token: %w", err)
		}
	}
	return f.service.ForkRepository(r.Context(), r.who, service.NewFork{
		Name:          r.repo,
		Source:        cairn.RepositoryName(base.Name),
		SourceActor:   reader,
		Ref:           base.Ref,
		SHA:           base.SHA,
		DefaultBranch: branch,
	})
}

func (f *face) listRepositories(w http.ResponseWriter, r *request) error {
	limit, err := r.limit(maxRepositoriesPerPage)
	if err != nil {
		return err
	}
	deleted, err := r.boolean(false, "deleted")
	if err != nil {
		return err
	}
	if deleted {
		return f.listDeletedRepositories(w, r, limit)
	}
	found, err := f.service.ListRepositories(r.Context(), r.who, r.query.Get("q"), r.query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Repositories []repositoryBody `json:"repos"`
		page
	}{[]repositoryBody{}, newPage(found.Next)}
	for _, repo := range found.Repositories {
		out.Repositories = append(out.Repositories, f.newRepositoryBody(repo))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) repository(w http.ResponseWriter, r *request) error {
	found, err := f.service.Repository(r.Context(), r.who, r.repo)
	if err != nil {
		return err
	}
	body := f.newRepositoryBody(found)
	if !found.Upstream.IsZero() {
		state, err := f.service.SyncState(r.Context(), r.who, found)
		if err != nil {
			return err
		}
		body.Sync = newSyncBody(state)
	}
	return api.Write(w, http.StatusOK, body)
}

// deleteRepository deletes, and with purge=true purges what it deleted at once.
func (f *face) deleteRepository(w http.ResponseWriter, r *request) error {
	purge, err := r.boolean(false, "purge")
	if err != nil {
		return err
	}
	gone, err := f.service.DeleteRepository(r.Context(), r.who, r.repo)
	if err != nil {
		return err
	}
	id := repositoryID(gone)
	if purge {
		if _, err := f.service.PurgeRepository(r.Context(), r.who, r.repo, gone.Repository); err != nil {
			return err
		}
		return api.Write(w, http.StatusOK, purgedBody{[]string{id}, id, "repository purged"})
	}
	return api.Write(w, http.StatusOK, struct {
		ID      string `json:"repo_id"`
		Message string `json:"message"`
	}{id, "Repository " + id + " deletion initiated. Physical storage cleanup will complete asynchronously."})
}
