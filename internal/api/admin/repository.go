package admin

import (
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// repository is a repository as this face shows it.
type repository struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	DefaultBranch string    `json:"default_branch"`
	CreatedAt     time.Time `json:"created_at"`
	Version       int64     `json:"version"`
}

func showRepository(r cairn.Repository) repository {
	return repository{string(r.Repository), string(r.Name), r.DefaultBranch.Short(), r.CreatedAt, r.Version}
}

func (f *face) listRepositories(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	page, err := f.service.ListRepositories(r.Context(), who, query.Get("q"), query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Repositories []repository `json:"repositories"`
		NextCursor   string       `json:"next_cursor,omitempty"`
	}{make([]repository, len(page.Repositories)), page.Next}
	for i, found := range page.Repositories {
		out.Repositories[i] = showRepository(found)
	}
	return api.Write(w, http.StatusOK, out)
}

// newRepository is the body that creates or forks.
type newRepository struct {
	Name          string `json:"name"`
	DefaultBranch string `json:"default_branch"`
	ForkOf        *struct {
		Name string `json:"name"`
		Ref  string `json:"ref"`
		SHA  string `json:"sha"`
	} `json:"fork_of"`
}

func (f *face) createRepository(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	in, err := api.Decode[newRepository](w, r)
	if err != nil {
		return err
	}
	name, err := cairn.ParseRepositoryName(in.Name)
	if err != nil {
		return err
	}
	made, err := f.make(r, who, name, in)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showRepository(made))
}

func (f *face) make(r *http.Request, who cairn.Actor, name cairn.RepositoryName, in newRepository) (cairn.Repository, error) {
	if in.ForkOf == nil {
		return f.service.CreateRepository(r.Context(), who, service.NewRepository{Name: name, DefaultBranch: in.DefaultBranch})
	}
	return f.service.ForkRepository(r.Context(), who, service.NewFork{
		Name:          name,
		Source:        cairn.RepositoryName(in.ForkOf.Name),
		SourceActor:   who,
		Ref:           in.ForkOf.Ref,
		SHA:           in.ForkOf.SHA,
		DefaultBranch: in.DefaultBranch,
	})
}

func (f *face) repository(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	found, err := f.service.Repository(r.Context(), who, cairn.RepositoryName(r.PathValue("name")))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, showRepository(found))
}

func (f *face) deleteRepository(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	if _, err := f.service.DeleteRepository(r.Context(), who, cairn.RepositoryName(r.PathValue("name"))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
