package mesa

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// repository is a repository as this face shows it.
type repository struct {
	ID              string       `json:"id"`
	Org             string       `json:"org"`
	Name            string       `json:"name"`
	DefaultBookmark string       `json:"default_bookmark"`
	HeadChangeID    string       `json:"head_change_id"`
	Upstream        *upstream    `json:"upstream"`
	CreatedAt       string       `json:"created_at"`
	Tags            cairn.Labels `json:"tags"`
}

func showRepository(who cairn.Actor, r service.LabelledRepository) repository {
	return repository{
		ID: r.Repository.Repository.Public(), Org: string(who.Organization.Name), Name: string(r.Name), DefaultBookmark: r.DefaultBranch.Short(),
		HeadChangeID: r.Head.String(), Upstream: showUpstream(r.Link), CreatedAt: timestamp(r.CreatedAt), Tags: orNone(r.Labels),
	}
}

// repositoryName is what a repository may be called through this face, which is
// narrower than elsewhere: a name is one segment of an address here.
var repositoryName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// reservedNames are segments that would be taken for something else.
var reservedNames = map[string]bool{"repo": true, "repos": true, "api-key": true, "api-keys": true, "webhook-targets": true}

func checkName(name string) error {
	lower := strings.ToLower(name)
	if !repositoryName.MatchString(name) || name == "." || name == ".." || strings.HasSuffix(lower, ".git") {
		return cairn.Errorf(cairn.Invalid, "name %q: use 1 to 100 letters, digits, dots, dashes and underscores, without .git at the end", cairn.Clip(name))
	}
	if reservedNames[lower] {
		return cairn.Errorf(cairn.Invalid, "name %q is reserved", name)
	}
	return nil
}

func (f *face) organization(w http.ResponseWriter, in *request) error {
	n, err := f.service.OrganizationSize(in.Context(), in.who)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		CreatedAt string `json:"created_at"`
		NumRepos  int    `json:"num_repos"`
	}{timestamp(in.who.Organization.CreatedAt), n})
}

func (f *face) listRepositories(w http.ResponseWriter, in *request) error {
	cursor, limit, err := in.page()
	if err != nil {
		return err
	}
	text := in.query.Get("tags")
	wanted, err := parseTagFilter(text)
	if err != nil {
		return err
	}
	page, err := f.service.ListLabelled(in.Context(), in.who, service.LabelQuery{Wanted: wanted, Text: text, Cursor: cursor, Limit: limit})
	if err != nil {
		return err
	}
	out := struct {
		pageMarks
		Repos []repository `json:"repos"`
	}{marks(page.Next), make([]repository, len(page.Repositories))}
	for i, r := range page.Repositories {
		out.Repos[i] = showRepository(in.who, r)
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createRepository(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Name            *string         `json:"name"`
		DefaultBookmark string          `json:"default_bookmark"`
		Tags            cairn.Labels    `json:"tags"`
		Upstream        json.RawMessage `json:"upstream"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	name := "repo-" + cairn.NewID() // who gives none gets one that nobody has
	if body.Name != nil {
		name = *body.Name
	}
	if err := checkName(name); err != nil {
		return err
	}
	wanted := service.NewRepository{Name: cairn.RepositoryName(name), DefaultBranch: body.DefaultBookmark, Labels: body.Tags}
	upstream, err := parseUpstream(body.Upstream)
	if err != nil {
		return err
	}
	if upstream != nil {
		wanted.Upstream = *upstream
	}
	made, err := f.service.CreateRepository(in.Context(), in.who, wanted)
	if err != nil {
		return err
	}
	link, err := f.service.UpstreamLink(in.Context(), made)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showRepository(in.who, service.LabelledRepository{Repository: made, Labels: body.Tags, Link: link}))
}

func (f *face) repository(w http.ResponseWriter, in *request) error {
	found, err := f.service.LabelledRepository(in.Context(), in.who, in.repo)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, showRepository(in.who, found))
}

func (f *face) updateRepository(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Name            *string            `json:"name"`
		DefaultBookmark *string            `json:"default_bookmark"`
		Tags            map[string]*string `json:"tags"`
		Upstream        json.RawMessage    `json:"upstream"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	change := service.RepositoryChange{DefaultBranch: body.DefaultBookmark, Labels: body.Tags}
	if body.Name != nil {
		if err := checkName(*body.Name); err != nil {
			return err
		}
		name := cairn.RepositoryName(*body.Name)
		change.Name = &name
	}
	if change.Upstream, err = parseUpstream(body.Upstream); err != nil {
		return err
	}
	changed, err := f.service.UpdateRepository(in.Context(), in.who, in.repo, change)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, showRepository(in.who, changed))
}

func (f *face) deleteRepository(w http.ResponseWriter, in *request) error {
	if _, err := f.service.DeleteRepository(in.Context(), in.who, in.repo); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, success)
}

func (f *face) tagRepositories(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		RepoIDs []string `json:"repo_ids"`
		Action  string   `json:"action"`
		Key     string   `json:"key"`
		Value   *string  `json:"value"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	switch {
	case body.Action == "set" && body.Value != nil:
	case body.Action == "remove":
		body.Value = nil
	case body.Action == "set":
		return cairn.Errorf(cairn.Invalid, "value is required to set a tag")
	default:
		return cairn.Errorf(cairn.Invalid, "action %q is neither set nor remove", cairn.Clip(body.Action))
	}
	ids, err := parseRepositoryIDs(body.RepoIDs)
	if err != nil {
		return err
	}
	n, err := f.service.LabelRepositories(in.Context(), in.who, ids, body.Key, body.Value)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Updated int `json:"updated"`
	}{n})
}
