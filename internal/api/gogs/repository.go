package gogs

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/starter"
)

var repositoryRoutes = []route{
	{method: "GET", path: "repos/search", handle: (*Face).searchRepositories},
	{method: "GET", path: "user/repos", gate: byToken, handle: (*Face).myRepositories},
	{method: "POST", path: "user/repos", gate: byToken, handle: (*Face).createMine},
	{method: "GET", path: "users/{user}/repos", gate: byToken, handle: (*Face).repositoriesOf},
	{method: "GET", path: "orgs/{user}/repos", gate: byToken, handle: (*Face).repositoriesOf},
	{method: "POST", path: "org/{org}/repos", gate: byToken, handle: (*Face).createInOrganization},
	{method: "POST", path: "repos/migrate", gate: byToken, handle: (*Face).migrate},
	{method: "GET", path: repositoryPath, role: cairn.ReaderRole, handle: (*Face).repository},
	{method: "DELETE", path: repositoryPath, gate: byToken, role: cairn.OwnerRole, handle: (*Face).deleteRepository},
	{method: "GET", path: repositoryPath + "/forks", gate: byToken, role: cairn.ReaderRole, handle: (*Face).forks},
	{method: "POST", path: repositoryPath + "/mirror-sync", gate: byToken, role: cairn.AdminRole, handle: (*Face).syncMirror},
	{method: "GET", path: repositoryPath + "/collaborators", gate: byToken, role: cairn.AdminRole, handle: (*Face).collaborators},
	{method: "GET", path: repositoryPath + "/collaborators/{user}", gate: byToken, role: cairn.AdminRole, handle: (*Face).isCollaborator},
	{method: "PUT", path: repositoryPath + "/collaborators/{user}", gate: byToken, role: cairn.AdminRole, handle: (*Face).addCollaborator},
	{method: "DELETE", path: repositoryPath + "/collaborators/{user}", gate: byToken, role: cairn.AdminRole, handle: (*Face).removeCollaborator},
}

// searchRepositories looks among what is public or, with uid, among what that
// owner has and the caller may see. Only the last segment of q counts.
func (f *Face) searchRepositories(w http.ResponseWriter, in *request) error {
	query := in.URL.Query()
	text := query.Get("q")
	text = text[strings.LastIndexByte(text, '/')+1:]
	skip, limit, page := in.page(10, maxPage)
	var list []cairn.Repository
	var total int
	var err error
	if uid, _ := strconv.ParseInt(query.Get("uid"), 10, 32); uid > 0 {
		list, err = f.service.SearchRepositoriesOf(in.Context(), in.login, cairn.Number(uid), text)
		total = len(list)
		list = list[min(skip, total):]
		list = list[:min(limit, len(list))]
	} else {
		list, total, err = f.service.SearchPublic(in.Context(), text, skip, limit)
	}
	if err != nil {
		return err
	}
	infos, err := f.service.RepositoryInfos(in.Context(), in.login, list...)
	if err != nil {
		return err
	}
	shown := make([]repository, len(infos))
	for i, info := range infos {
		shown[i] = f.showRepository(info, nil)
	}
	f.link(w, in, page, limit, total)
	return api.Write(w, http.StatusOK, struct {
		OK   bool         `json:"ok"`
		Data []repository `json:"data"`
	}{true, shown})
}

// link sets the header that names the pages around one. The query stays.
func (f *Face) link(w http.ResponseWriter, in *request, page, limit, total int) {
	last := (total + limit - 1) / limit
	var parts []string
	add := func(page int, rel string) {
		query := in.URL.Query()
		query.Del("token")
		query.Set("page", strconv.Itoa(page))
		parts = append(parts, fmt.Sprintf("<%s%s?%s>; rel=%q", f.external, in.URL.EscapedPath(), query.Encode(), rel))
	}
	if page < last {
		add(page+1, "next")
		add(last, "last")
	}
	if page > 1 {
		add(1, "first")
		add(page-1, "prev")
	}
	if parts != nil {
		w.Header().Set("Link", strings.Join(parts, ","))
	}
}

func (f *Face) myRepositories(w http.ResponseWriter, in *request) error {
	list, err := f.service.MyRepositories(in.Context(), in.login)
	if err != nil {
		return err
	}
	return f.writeRepositories(w, in, cut(in, list))
}

func (f *Face) repositoriesOf(w http.ResponseWriter, in *request) error {
	list, err := f.service.RepositoriesOf(in.Context(), in.login, in.PathValue("user"))
	if err != nil {
		return err
	}
	return f.writeRepositories(w, in, cut(in, list))
}

func (f *Face) repository(w http.ResponseWriter, in *request) error {
	return f.writeRepository(w, in, http.StatusOK, in.repo)
}

func (f *Face) deleteRepository(w http.ResponseWriter, in *request) error {
	if _, err := f.service.DeleteRepository(in.Context(), in.who, in.repo.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *Face) forks(w http.ResponseWriter, in *request) error {
	list, err := f.service.ForksOf(in.Context(), in.login, in.repo)
	if err != nil {
		return err
	}
	return f.writeRepositories(w, in, cut(in, list))
}

// newRepository is the body of what makes repositories.
type newRepository struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Private     bool   `json:"private"`
	AutoInit    bool   `json:"auto_init"`
	Gitignores  string `json:"gitignores"`
	License     string `json:"license"`
	Readme      string `json:"readme"`
}

const (
	maxRepositoryName = 100
	maxDescription    = 255 // characters
)

func (in *newRepository) check() error {
	var c checks
	c.name("Name", in.Name, maxRepositoryName)
	c.longest("Description", in.Description, maxDescription)
	if err := c.err(); err != nil {
		return err
	}
	return checkReserved(in.Name)
}

// checkReserved refuses the names that repositories may not have.
func checkReserved(name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "." || name == "..":
		return &problem{http.StatusUnprocessableEntity, "name is not allowed: map[name:" + name + " reason:reserved]"}
	case strings.HasSuffix(lower, ".git"), strings.HasSuffix(lower, ".wiki"):
		return &problem{http.StatusUnprocessableEntity, "name is not allowed: map[pattern:*" + lower[strings.LastIndexByte(lower, '.'):] + " reason:reserved]"}
	}
	return nil
}

func (f *Face) createMine(w http.ResponseWriter, in *request) error {
	body, err := bind[newRepository](w, in)
	if err != nil {
		return err
	}
	return f.createRepository(w, in, in.login, string(in.login.User.Name), body)
}

// createInOrganization is for the owners of the organization alone: not for an
// administrator of the server, who has a route of their own.
func (f *Face) createInOrganization(w http.ResponseWriter, in *request) error {
	body, err := bind[newRepository](w, in)
	if err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	owner, err := f.service.Account(in.Context(), in.PathValue("org"))
	if err != nil {
		return err
	}
	if owner.User {
		return cairn.Errorf(cairn.NotFound, "that is a user")
	}
	login := in.login
	login.User.Admin = false
	err = f.createRepository(w, in, login, string(owner.Name), body)
	if cairn.KindOf(err) == cairn.Denied {
		return &problem{http.StatusForbidden, "Given user is not owner of organization."}
	}
	return err
}

// createRepository makes a repository for somebody in an organization and
// answers with it. If its first commit cannot be made nothing is left behind.
func (f *Face) createRepository(w http.ResponseWriter, in *request, login service.Login, org string, body newRepository) error {
	if err := body.check(); err != nil {
		return err
	}
	var first *service.FirstCommit
	if body.AutoInit {
		files, err := startFiles(body)
		if err != nil {
			return err
		}
		first = &service.FirstCommit{CommitInfo: service.CommitInfo{Message: "Initial commit", Author: identity(login.User)}, Files: files}
	}
	made, err := f.service.CreateRepositoryIn(in.Context(), login, org, service.NewRepository{
		Name: cairn.RepositoryName(body.Name), Description: body.Description, Public: !body.Private, FoldName: true, Number: true, First: first,
	})
	if err != nil {
		return nameTaken(err, body.Name, org)
	}
	return api.Write(w, http.StatusCreated, f.showRepository(made, showPermissions(made.Role)))
}

// nameTaken says in this API's words that an owner has a repository of a name.
func nameTaken(err error, name, owner string) error {
	if cairn.KindOf(err) == cairn.Conflict {
		return &problem{http.StatusUnprocessableEntity, "repository already exists: map[name:" + name + " ownerID:" + owner + "]"}
	}
	return err
}

// startFiles are the files of the first commit, from texts that exist.
func startFiles(body newRepository) ([]service.FirstFile, error) {
	missing := func(what, name string) error {
		return &problem{http.StatusUnprocessableEntity, fmt.Sprintf("there is no %s %q", what, cairn.Clip(name))}
	}
	if body.Readme != "" && body.Readme != "Default" {
		return nil, missing("readme", body.Readme)
	}
	files := []service.FirstFile{{Path: "README.md", Text: "# " + body.Name + "\n\n" + body.Description}}
	if body.Gitignores != "" {
		var all strings.Builder
		for name := range strings.SplitSeq(body.Gitignores, ",") {
			text, ok := starter.Gitignore(name)
			if !ok {
				return nil, missing("gitignore", name)
			}
			all.WriteString("# ---> " + name + "\n" + text + "\n")
		}
		files = append(files, service.FirstFile{Path: ".gitignore", Text: all.String()})
	}
	if body.License != "" {
		text, ok := starter.License(body.License)
		if !ok {
			return nil, missing("license", body.License)
		}
		files = append(files, service.FirstFile{Path: "LICENSE", Text: text})
	}
	return files, nil
}

type collaborator struct {
	user
	Permissions *permissions `json:"permissions"`
}

func (f *Face) collaborators(w http.ResponseWriter, in *request) error {
	list, err := f.service.Collaborators(in.Context(), in.who, in.repo.Name)
	if err != nil {
		return err
	}
	users := make([]cairn.User, len(list))
	for i, c := range list {
		users[i] = c.User
	}
	people, err := f.showUsers(in, users)
	if err != nil {
		return err
	}
	shown := make([]collaborator, len(list))
	for i, c := range list {
		shown[i] = collaborator{people[i], showPermissions(c.Role)}
	}
	return api.Write(w, http.StatusOK, shown)
}

// unknownUser answers 422 for a user of a path who is not there.
func unknownUser(err error) error {
	if cairn.KindOf(err) == cairn.NotFound {
		return &problem{http.StatusUnprocessableEntity, err.Error()}
	}
	return err
}

func (f *Face) isCollaborator(w http.ResponseWriter, in *request) error {
	asked, err := f.service.User(in.Context(), in.PathValue("user"))
	if err != nil {
		return unknownUser(err)
	}
	list, err := f.service.Collaborators(in.Context(), in.who, in.repo.Name)
	if err != nil {
		return err
	}
	status := http.StatusNotFound
	for _, c := range list {
		if c.User.ID == asked.ID {
			status = http.StatusNoContent
		}
	}
	w.WriteHeader(status)
	return nil
}

// roles are the roles by their names here.
var roles = map[string]cairn.Role{"read": cairn.ReaderRole, "write": cairn.WriterRole, "admin": cairn.AdminRole}

// addCollaborator gives a role. Any word but the three is refused: taken for
// one of them it could be more than was meant.
func (f *Face) addCollaborator(w http.ResponseWriter, in *request) error {
	body, err := bind[struct {
		Permission *string `json:"permission"`
	}](w, in)
	if err != nil {
		return err
	}
	role := cairn.WriterRole
	if body.Permission != nil {
		var ok bool
		if role, ok = roles[*body.Permission]; !ok {
			return cairn.Errorf(cairn.Invalid, "permission %q is not read, write or admin", cairn.Clip(*body.Permission))
		}
	}
	if err := f.service.Grant(in.Context(), in.who, in.repo.Name, in.PathValue("user"), role); err != nil {
		return unknownUser(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *Face) removeCollaborator(w http.ResponseWriter, in *request) error {
	if err := f.service.Withdraw(in.Context(), in.who, in.repo.Name, in.PathValue("user")); err != nil {
		return unknownUser(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
