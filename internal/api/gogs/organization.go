package gogs

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var organizationRoutes = []route{
	{method: "GET", path: "user/orgs", gate: byToken, handle: (*Face).myOrganizations},
	{method: "POST", path: "user/orgs", gate: byToken, handle: (*Face).createOrganization},
	{method: "GET", path: "users/{user}/orgs", handle: (*Face).organizationsOf},
	{method: "GET", path: "orgs/{org}", gate: byToken, handle: (*Face).organization},
	{method: "PATCH", path: "orgs/{org}", gate: byToken, handle: (*Face).editOrganization},
	{method: "GET", path: "orgs/{org}/teams", gate: byToken, handle: (*Face).teams},
}

func (f *Face) myOrganizations(w http.ResponseWriter, in *request) error {
	list, err := f.service.AccountsOf(in.Context(), in.login)
	if err != nil {
		return err
	}
	list = cut(in, list)
	shown := make([]organization, len(list))
	for i, o := range list {
		shown[i] = f.showOrganization(o)
	}
	return api.Write(w, http.StatusOK, shown)
}

// organizationsOf shows the memberships that are public, of which there are
// none: who is in an organization is its own business.
func (f *Face) organizationsOf(w http.ResponseWriter, in *request) error {
	found, err := f.service.User(in.Context(), in.PathValue("user"))
	if err != nil {
		return err
	}
	if found.ID == in.login.User.ID {
		return f.myOrganizations(w, in)
	}
	return api.Write(w, http.StatusOK, []organization{})
}

func (f *Face) organization(w http.ResponseWriter, in *request) error {
	return f.writeOrganization(w, in, http.StatusOK, in.PathValue("org"))
}

func (f *Face) writeOrganization(w http.ResponseWriter, in *request, status int, name string) error {
	info, err := f.service.Account(in.Context(), name)
	if err != nil {
		return err
	}
	return api.Write(w, status, f.showOrganization(info))
}

type organizationBody struct {
	UserName    string `json:"username"`
	FullName    string `json:"full_name"`
	Description string `json:"description"`
	Website     string `json:"website"`
	Location    string `json:"location"`
}

func (b organizationBody) profile() cairn.Profile {
	return cairn.Profile{FullName: b.FullName, Description: b.Description, Website: b.Website, Location: b.Location}
}

const maxUserName = 35

func (f *Face) createOrganization(w http.ResponseWriter, in *request) error {
	return f.foundOrganization(w, in, in.login)
}

// foundOrganization makes an organization that a user owns.
func (f *Face) foundOrganization(w http.ResponseWriter, in *request, owner service.Login) error {
	body, err := bind[organizationBody](w, in)
	if err != nil {
		return err
	}
	if err := checkUserName("UserName", body.UserName); err != nil {
		return err
	}
	made, err := f.service.FoundOrganization(in.Context(), owner, service.NewOrganization{Name: body.UserName, Profile: body.profile()})
	if err != nil {
		return err
	}
	return f.writeOrganization(w, in, http.StatusCreated, string(made.Name))
}

// checkUserName checks the name of a user or an organization that is to be.
func checkUserName(field, name string) error {
	var c checks
	c.name(field, name, maxUserName)
	if err := c.err(); err != nil {
		return err
	}
	if reserved[string(cairn.FoldOrganizationName(name))] {
		return &problem{http.StatusUnprocessableEntity, "name is not allowed: map[name:" + name + " reason:reserved]"}
	}
	return nil
}

// reserved are the names that Gogs's clients know as reserved, beside those
// that this server does not give out itself.
var reserved = map[string]bool{
	"explore": true, "create": true, "assets": true, "css": true, "img": true, "js": true, "less": true, "plugins": true,
	"debug": true, "raw": true, "install": true, "avatar": true, "user": true, "org": true, "help": true, "stars": true,
	"issues": true, "pulls": true, "commits": true, "repo": true, "template": true, "new": true,
}

// editOrganization replaces what an organization says of itself: what the body
// leaves out becomes empty.
func (f *Face) editOrganization(w http.ResponseWriter, in *request) error {
	who, err := f.service.OwnerIn(in.Context(), in.login, in.PathValue("org"), "")
	if err != nil {
		return err
	}
	body, err := bind[organizationBody](w, in)
	if err != nil {
		return err
	}
	if err := f.service.SetProfile(in.Context(), who, body.profile()); err != nil {
		return err
	}
	return f.writeOrganization(w, in, http.StatusOK, string(who.Organization.Name))
}

type team struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Permission  string `json:"permission"`
}

var roleNames = map[cairn.Role]string{cairn.NoRole: "none", cairn.ReaderRole: "read", cairn.WriterRole: "write", cairn.AdminRole: "admin", cairn.OwnerRole: "owner"}

func (f *Face) showTeams(in *request, list []cairn.Team) ([]team, error) {
	things := make([]cairn.Numbered, len(list))
	for i, t := range list {
		things[i] = service.NumberedTeam(t)
	}
	numbers, err := f.service.Numbers(in.Context(), things...)
	if err != nil {
		return nil, err
	}
	shown := make([]team, len(list))
	for i, t := range list {
		shown[i] = team{int64(numbers[i]), t.Name, t.Description, roleNames[t.Role]}
	}
	return shown, nil
}

func (f *Face) teams(w http.ResponseWriter, in *request) error {
	list, err := f.service.Teams(in.Context(), in.login, in.PathValue("org"))
	if err != nil {
		return err
	}
	shown, err := f.showTeams(in, cut(in, list))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, shown)
}
