package codearts

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var repositoryRoutes = []route{
	{method: "GET", pattern: "/v1/repositories/repoid", handle: (*Face).repositoryNumber},
	{method: "POST", pattern: "/v1/repositories", handle: (*Face).createRepository},
	{method: "GET", pattern: "/v1/repositories/{repository}", handle: (*Face).showRepositoryV1},
	{method: "DELETE", pattern: "/v1/repositories/{repository}", handle: (*Face).deleteRepository},
	{method: "GET", pattern: "/v1/repositories/{repository}/status", handle: (*Face).repositoryStatus},
	{method: "GET", pattern: "/v1/repositories/{repository}/master", handle: (*Face).isAdministrator},
	{method: "PUT", pattern: "/v1/repositories/{repository}/pipeline", handle: (*Face).hasPipeline},
	{method: "GET", pattern: "/v2/repositories/{repository}", handle: (*Face).showRepository},

	{method: "GET", pattern: "/v2/projects/repositories", handle: (*Face).listRepositories},
	{method: "POST", pattern: "/v2/projects/repositories", handle: (*Face).createProjectAndRepository},
	{method: "GET", pattern: "/v2/projects/{project}/repositories", handle: (*Face).listProjectRepositories},
	{method: "GET", pattern: "/v1/projects/{project}/repositories", handle: (*Face).listProjectRepositoriesV1},
	{method: "GET", pattern: "/v1/projects/{project}/repositories/validation/{name}", handle: (*Face).isNameFree},
}

// repositoryBody is a repository as /v2 shows it.
type repositoryBody struct {
	CreatedAt        string `json:"created_at"`
	Creator          string `json:"creator_name"`
	Domain           string `json:"domain_name"`
	Group            string `json:"group_name"`
	HTTPSURL         string `json:"https_url"`
	User             string `json:"iam_user_uuid"`
	IsOwner          int    `json:"is_owner"`
	LFSSize          string `json:"lfs_size"`
	ProjectIsDeleted string `json:"project_is_deleted"`
	ProjectUUID      string `json:"project_uuid"`
	ID               int32  `json:"repository_id"`
	Name             string `json:"repository_name"`
	Size             string `json:"repository_size"`
	UUID             string `json:"repository_uuid"`
	SSHURL           string `json:"ssh_url"`
	Star             bool   `json:"star"`
	Status           int    `json:"status"`
	UpdatedAt        string `json:"updated_at"`
	Role             int    `json:"userRole"`
	Visibility       int    `json:"visibility_level"`
	WebURL           string `json:"web_url"`
}

// The roles of users in a repository, and what it is to the public.
const (
	readOnly      = 20
	member        = 30
	administrator = 40
)

// show makes the bodies of some repositories.
func (f *Face) show(r *request, who cairn.Actor, repos ...cairn.Repository) ([]repositoryBody, error) {
	facts, err := f.service.RepositoryFacts(r.Context(), repos...)
	if err != nil {
		return nil, err
	}
	projects, err := f.service.ProjectsOf(r.Context(), who, repos...)
	if err != nil {
		return nil, err
	}
	bodies := make([]repositoryBody, len(repos))
	org := who.Organization.Name
	for i, repo := range repos {
		group, name := groupOf(org, repo.Name)
		b := repositoryBody{
			CreatedAt: clockTime(repo.CreatedAt), Creator: string(org), Domain: string(org), Group: group, HTTPSURL: f.cloneURL(group, name),
			User: userID(string(who.AccessKey)), LFSSize: size(0), ProjectIsDeleted: "false", ID: int32(facts[i].Number), Name: name,
			Size: size(facts[i].Size), UUID: repositoryUUID(repo), Status: status(repo, facts[i]), UpdatedAt: clockTime(facts[i].MovedAt),
			Role: role(who), Visibility: visibility(repo),
		}
		if b.Role == administrator {
			b.IsOwner = 1
		}
		if project, ok := repo.Name.Project(); ok {
			b.ProjectUUID = string(projects[project].ID)
		}
		bodies[i] = b
	}
	return bodies, nil
}

// role is what the caller may do.
func role(who cairn.Actor) int {
	switch {
	case who.Has(cairn.RepoWrite):
		return administrator
	case who.Has(cairn.GitWrite):
		return member
	}
	return readOnly
}

// size writes a number of bytes as this API does.
func size(bytes int64) string {
	const mega, giga = 1 << 20, 1 << 30
	if bytes > giga {
		return strconv.FormatFloat(float64(bytes)/giga, 'f', 2, 64) + "G"
	}
	return strconv.FormatFloat(float64(bytes)/mega, 'f', 2, 64) + "M"
}

// The states of a repository.
const (
	statusNormal   = 0
	statusCreating = 1
	statusFailed   = 2
)

func status(repo cairn.Repository, facts service.RepositoryFacts) int {
	switch {
	case repo.Syncing:
		return statusCreating
	case repo.Upstream.Once && facts.Import == cairn.SyncFailed:
		return statusFailed
	}
	return statusNormal
}

// cloneURL is the address of the Git remote, made of the configured address of
// the server.
func (f *Face) cloneURL(group, name string) string {
	segments := strings.Split(group+"/"+name, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return f.external + "/" + strings.Join(segments, "/") + ".git"
}

func (f *Face) showRepository(w http.ResponseWriter, r *request) error {
	bodies, err := f.show(r, r.who, r.repo)
	if err != nil {
		return err
	}
	return answer(w, bodies[0])
}

// oldRepositoryBody is a repository as /v1 shows it.
type oldRepositoryBody struct {
	CreatedAt       string `json:"createAt"`
	Group           string `json:"groupName"`
	HTTPURL         string `json:"httpUrl"`
	UUID            string `json:"id"`
	Name            string `json:"name"`
	ProjectID       string `json:"projectId"`
	ProjectIsDelete string `json:"projectIsDelete"`
	ID              string `json:"repoId"`
	SSHURL          string `json:"sshUrl"`
	WebURL          string `json:"webUrl"`
	Visibility      int    `json:"visibilityLevel"`
}

func old(b repositoryBody) oldRepositoryBody {
	return oldRepositoryBody{b.CreatedAt, b.Group, b.HTTPSURL, b.UUID, b.Name, b.ProjectUUID, b.ProjectIsDeleted, strconv.Itoa(int(b.ID)), b.SSHURL, b.WebURL, b.Visibility}
}

func (f *Face) showRepositoryV1(w http.ResponseWriter, r *request) error {
	bodies, err := f.show(r, r.who, r.repo)
	if err != nil {
		return err
	}
	return answer(w, old(bodies[0]))
}

func (f *Face) repositoryStatus(w http.ResponseWriter, r *request) error {
	facts, err := f.service.RepositoryFacts(r.Context(), r.repo)
	if err != nil {
		return err
	}
	return answer(w, status(r.repo, facts[0]))
}

func (f *Face) isAdministrator(w http.ResponseWriter, r *request) error {
	return answer(w, role(r.who) == administrator)
}

// hasPipeline says that no pipeline hangs on the repository: there are none.
func (f *Face) hasPipeline(w http.ResponseWriter, _ *request) error { return answer(w, false) }

func (f *Face) deleteRepository(w http.ResponseWriter, r *request) error {
	if _, err := f.service.DeleteRepository(r.Context(), r.who, r.repo.Name); err != nil {
		return hidden(err)
	}
	return answer(w, true)
}

// repositoryNumber tells the number of a repository by its group and name.
func (f *Face) repositoryNumber(w http.ResponseWriter, r *request) error {
	group, name := r.query.Get("group_name"), r.query.Get("repository_name")
	if group == "" || name == "" {
		return cairn.Errorf(cairn.Invalid, "group_name and repository_name are required")
	}
	_, repo, err := f.named(r, group, name)
	if err != nil {
		return err
	}
	numbers, err := f.service.Numbers(r.Context(), cairn.NumberedRepository(repo.RepositoryKey))
	if err != nil {
		return err
	}
	return answer(w, int32(numbers[0]))
}

// maxSearch is the longest text to search repositories for, in characters.
const maxSearch = 512

func (f *Face) listRepositories(w http.ResponseWriter, r *request) error {
	return f.list(w, r, "", 100, func(list []repositoryBody, total int) any {
		return map[string]any{"repositories": list, "total": total}
	})
}

func (f *Face) listProjectRepositories(w http.ResponseWriter, r *request) error {
	project, err := f.project(r, r.path["project"])
	if err != nil {
		return err
	}
	return f.list(w, r, project.Folder(), 20, func(list []repositoryBody, total int) any {
		return map[string]any{"repositories": list, "total": total}
	})
}

func (f *Face) listProjectRepositoriesV1(w http.ResponseWriter, r *request) error {
	project, err := f.project(r, r.path["project"])
	if err != nil {
		return err
	}
	return f.list(w, r, project.Folder(), 20, func(list []repositoryBody, total int) any {
		shown := make([]oldRepositoryBody, len(list))
		for i, b := range list {
			shown[i] = old(b)
		}
		return map[string]any{"repositorys": shown, "total": total} // as the clients spell it
	})
}

// list answers with a page of the repositories of a folder.
func (f *Face) list(w http.ResponseWriter, r *request, folder string, perPage int, result func([]repositoryBody, int) any) error {
	page, err := r.page("page_index", "page_size", perPage)
	if err != nil {
		return err
	}
	search := r.query.Get("search")
	if utf8.RuneCountInString(search) > maxSearch {
		return withCode(codeParameter, "search has more than %d characters", maxSearch)
	}
	repos, total, err := f.service.FindRepositories(r.Context(), r.who, service.RepositoriesQuery{
		Folder: folder, Text: search, Offset: page.offset, Limit: page.size,
	})
	if err != nil {
		return err
	}
	bodies, err := f.show(r, r.who, repos...)
	if err != nil {
		return err
	}
	return answer(w, result(bodies, total))
}

// project finds a project of the caller's organization.
func (f *Face) project(r *request, id string) (cairn.Project, error) {
	project, err := f.service.Project(r.Context(), r.who, cairn.ProjectID(id))
	return project, hidden(err)
}

// isNameFree tells whether a project has no repository of a name.
func (f *Face) isNameFree(w http.ResponseWriter, r *request) error {
	project, err := f.project(r, r.path["project"])
	if err != nil {
		return err
	}
	_, _, err = f.named(r, string(r.who.Organization.Name)+"/"+string(project.Name), r.path["name"])
	if err != nil && !isHidden(err) {
		return err
	}
	return answer(w, err != nil)
}

// flexible is an integer that clients send as a number, as text or as a truth
// value.
type flexible int

// UnmarshalJSON reads any of the three; null is zero.
func (n *flexible) UnmarshalJSON(text []byte) error {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	switch v := value.(type) {
	case nil:
		*n = 0
	case bool:
		*n = 0
		if v {
			*n = 1
		}
	case float64:
		*n = flexible(v)
		if float64(*n) != v {
			return fmt.Errorf("%s is no integer", text)
		}
	case string:
		if v == "true" || v == "false" {
			return n.UnmarshalJSON([]byte(v))
		}
		i, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return cairn.Errorf(cairn.Invalid, "%q is no integer", cairn.Clip(v))
		}
		*n = flexible(i)
	default:
		return cairn.Errorf(cairn.Invalid, "%s is no integer", cairn.Clip(string(text)))
	}
	return nil
}

// paging is a page that is asked for by its number, from 1.
type paging struct{ offset, size int }

// page reads the numbers of a page.
func (r *request) page(index, size string, usual int) (paging, error) {
	n, err := r.number(index, 1, 1, 1<<24)
	if err != nil {
		return paging{}, err
	}
	per, err := r.number(size, usual, 1, 100)
	return paging{(n - 1) * per, per}, err
}

// number reads a number of the query.
func (r *request) number(name string, usual, least, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, withCode(codeParameter, "%s is %q: use a number from %d to %d", name, cairn.Clip(text), least, most)
	}
	return n, nil
}

// isHidden tells whether hidden made the error.
func isHidden(err error) bool { return errors.Is(err, errNoRepository) }
