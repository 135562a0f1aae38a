package gogs

import (
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
func (f *Face) showUser(o cairn.Account, email bool) user {
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

func (f *Face) showOrganization(o cairn.Account) organization {
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
	infos, err := f.service.RepositoryInfos(in.Context(), in.login, list...)
	if err != nil {
		return err
	}
	shown := make([]repository, len(infos))
	for i, info := range infos {
		shown[i] = f.showRepository(info, showPermissions(info.Role))
	}
	return api.Write(w, http.StatusOK, shown)
}

// writeRepository answers with one of them.
func (f *Face) writeRepository(w http.ResponseWriter, in *request, status int, r cairn.Repository) error {
	infos, err := f.service.RepositoryInfos(in.Context(), in.login, r)
	if err != nil {
		return err
	}
	return api.Write(w, status, f.showRepository(infos[0], showPermissions(infos[0].Role)))
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

// people are the users who have the email addresses that commits name.
type people map[string]cairn.Account

// people finds those of some signatures, all at once.
func (f *Face) people(in *request, signatures []git.Signature) (people, error) {
	seen := map[string]bool{}
	var emails []string
	for _, s := range signatures {
		if !seen[s.Email] {
			seen[s.Email] = true
			emails = append(emails, s.Email)
		}
	}
	return f.service.AccountsWithEmails(in.Context(), emails)
}

// authors are the signatures of commits.
func authors(commits ...service.Commit) []git.Signature {
	list := make([]git.Signature, 0, 2*len(commits))
	for _, c := range commits {
		list = append(list, c.Author, c.Committer)
	}
	return list
}

// userOf is nil if nobody has the address.
func (f *Face) userOf(p people, s git.Signature) *user {
	a, ok := p[strings.ToLower(s.Email)]
	if !ok {
		return nil
	}
	u := f.showUser(a, true)
	return &u
}

func (p people) person(s git.Signature) *person {
	shown := &person{Name: s.Name, Email: s.Email}
	if a, ok := p[strings.ToLower(s.Email)]; ok {
		shown.UserName = shownName(a.Name, a.Profile)
	}
	return shown
}

func (f *Face) showPayloadCommit(p people, in *request, c service.Commit) *payloadCommit {
	return &payloadCommit{
		ID: c.ID.String(), Message: c.Message + "\n", URL: f.commitURL(in, c.ID.String()),
		Author: p.person(c.Author), Committer: p.person(c.Committer), Timestamp: c.Author.When,
	}
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
