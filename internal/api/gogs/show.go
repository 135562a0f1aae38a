package gogs

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// user is a user, or the owner of a repository, as this face shows them.
type user struct {
	ID        int64  `json:"id"`
	UserName  string `json:"username"`
	Login     string `json:"login"`
	FullName  string `json:"full_name"`
	Email     string `json:"email"`
	AvatarURL string `json:"avatar_url"`
}

// shownName is a name as its owner wrote it.
func shownName(name cairn.OrganizationName, p cairn.Profile) string {
	if p.Spelling != "" {
		return p.Spelling
	}
	return string(name)
}

// showUser shows an owner; who has no credential sees no email address.
func (f *Face) showUser(o service.OrganizationInfo, email bool) user {
	name := shownName(o.Name, o.Profile)
	u := user{ID: int64(o.Number), UserName: name, Login: name, FullName: o.FullName, AvatarURL: f.external + "/" + string(o.Name)}
	if email {
		u.Email = o.Email
	}
	return u
}

type organization struct {
	ID          int64  `json:"id"`
	UserName    string `json:"username"`
	FullName    string `json:"full_name"`
	AvatarURL   string `json:"avatar_url"`
	Description string `json:"description"`
	Website     string `json:"website"`
	Location    string `json:"location"`
}

func (f *Face) showOrganization(o service.OrganizationInfo) organization {
	return organization{int64(o.Number), shownName(o.Name, o.Profile), o.FullName, f.external + "/" + string(o.Name), o.Description, o.Website, o.Location}
}

type permissions struct {
	Admin bool `json:"admin"`
	Push  bool `json:"push"`
	Pull  bool `json:"pull"`
}

func showPermissions(r cairn.Role) *permissions {
	return &permissions{Admin: r >= cairn.AdminRole, Push: r >= cairn.WriterRole, Pull: r >= cairn.ReaderRole}
}

type repository struct {
	ID            int64        `json:"id"`
	Owner         user         `json:"owner"`
	Name          string       `json:"name"`
	FullName      string       `json:"full_name"`
	Description   string       `json:"description"`
	Private       bool         `json:"private"`
	Fork          bool         `json:"fork"`
	Parent        *repository  `json:"parent"`
	Empty         bool         `json:"empty"`
	Mirror        bool         `json:"mirror"`
	Size          int64        `json:"size"`
	HTMLURL       string       `json:"html_url"`
	SSHURL        string       `json:"ssh_url"`
	CloneURL      string       `json:"clone_url"`
	Website       string       `json:"website"`
	Stars         int          `json:"stars_count"`
	Forks         int          `json:"forks_count"`
	Watchers      int          `json:"watchers_count"`
	OpenIssues    int          `json:"open_issues_count"`
	DefaultBranch string       `json:"default_branch"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
	Permissions   *permissions `json:"permissions,omitempty"`
}

// showRepository shows a repository. What this server does not have, stars,
// watchers, issues, SSH, is none.
func (f *Face) showRepository(r service.RepositoryInfo, may *permissions) repository {
	full := shownName(r.Owner.Name, r.Owner.Profile) + "/" + string(r.Name)
	shown := repository{
		ID: int64(r.Number), Owner: f.showUser(r.Owner, false), Name: string(r.Name), FullName: full, Description: r.Description,
		Private: !r.Public, Empty: r.Empty, Mirror: isMirror(r.Repository), Size: r.Size,
		HTMLURL: f.external + "/" + full, CloneURL: f.external + "/" + full + ".git", Forks: r.Forks,
		DefaultBranch: r.DefaultBranch.Short(), CreatedAt: second(r.CreatedAt), UpdatedAt: second(r.UpdatedAt), Permissions: may,
	}
	if r.ForkedAt != nil {
		parent := f.showRepository(*r.ForkedAt, &permissions{Pull: true})
		shown.Fork, shown.Parent = true, &parent
	}
	return shown
}

// second drops what is below a second, which clients do not expect.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// writeRepositories answers with repositories and what the caller may do with
// each.
func (f *Face) writeRepositories(w http.ResponseWriter, in *request, list []cairn.Repository) error {
	shown, err := f.showRepositories(in, list, true)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) showRepositories(in *request, list []cairn.Repository, may bool) ([]repository, error) {
	infos, err := f.service.RepositoryInfos(in.Context(), in.login, list...)
	if err != nil {
		return nil, err
	}
	var roles []cairn.Role
	if may {
		if roles, err = f.service.RoleOf(in.Context(), in.login, list...); err != nil {
			return nil, err
		}
	}
	shown := make([]repository, len(infos))
	for i, info := range infos {
		var p *permissions
		if may {
			p = showPermissions(roles[i])
		}
		shown[i] = f.showRepository(info, p)
	}
	return shown, nil
}

func (f *Face) writeRepository(w http.ResponseWriter, in *request, status int, r cairn.Repository) error {
	shown, err := f.showRepositories(in, []cairn.Repository{r}, true)
	if err != nil {
		return err
	}
	return api.Write(w, status, shown[0])
}

// person is an author or committer in a branch's commit.
type person struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	UserName string `json:"username"`
}

// payloadCommit is the commit of a branch or a tag.
type payloadCommit struct {
	ID        string    `json:"id"`
	Message   string    `json:"message"`
	URL       string    `json:"url"`
	Author    *person   `json:"author"`
	Committer *person   `json:"committer"`
	Added     []string  `json:"added"`
	Removed   []string  `json:"removed"`
	Modified  []string  `json:"modified"`
	Timestamp time.Time `json:"timestamp"`
}

// people finds the users whose email addresses commits name, each once.
type people struct {
	face  *Face
	ctx   context.Context
	known map[string]*user
}

func (f *Face) people(ctx context.Context) *people { return &people{f, ctx, map[string]*user{}} }

// find returns nil if nobody has the address.
func (p *people) find(email string) (*user, error) {
	key := strings.ToLower(email)
	if u, ok := p.known[key]; ok || email == "" {
		return u, nil
	}
	found, err := p.face.service.UserByEmail(p.ctx, email)
	switch {
	case cairn.KindOf(err) == cairn.NotFound && err != nil:
		p.known[key] = nil
		return nil, nil
	case err != nil:
		return nil, err
	}
	infos, err := p.face.service.UserInfos(p.ctx, found)
	if err != nil {
		return nil, err
	}
	u := p.face.showUser(infos[0], true)
	p.known[key] = &u
	return &u, nil
}

func (p *people) person(s git.Signature) (*person, error) {
	u, err := p.find(s.Email)
	shown := &person{Name: s.Name, Email: s.Email}
	if u != nil {
		shown.UserName = u.UserName
	}
	return shown, err
}

func (f *Face) showPayloadCommit(p *people, in *request, c service.Commit) (*payloadCommit, error) {
	author, err := p.person(c.Author)
	if err != nil {
		return nil, err
	}
	committer, err := p.person(c.Committer)
	if err != nil {
		return nil, err
	}
	return &payloadCommit{
		ID: c.ID.String(), Message: c.Message + "\n", URL: f.commitURL(in, c.ID.String()),
		Author: author, Committer: committer, Timestamp: c.Author.When,
	}, nil
}

// address is where the API has the repository of a request.
func (f *Face) address(in *request) string {
	return f.external + prefix + "repos/" + in.PathValue("owner") + "/" + url.PathEscape(in.PathValue("repo"))
}

// page is where people would look at the repository of a request.
func (f *Face) pageOf(in *request) string {
	return f.external + "/" + in.PathValue("owner") + "/" + in.PathValue("repo")
}

func (f *Face) commitURL(in *request, id string) string { return f.address(in) + "/commits/" + id }
