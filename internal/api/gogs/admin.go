package gogs

import (
	"context"
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var adminRoutes = []route{
	{method: "POST", path: "admin/users", gate: adminOnly, handle: (*Face).createUser},
	{method: "PATCH", path: "admin/users/{user}", gate: adminOnly, handle: (*Face).editUser},
	{method: "DELETE", path: "admin/users/{user}", gate: adminOnly, handle: (*Face).deleteUser},
	{method: "POST", path: "admin/users/{user}/orgs", gate: adminOnly, handle: (*Face).createOrganizationFor},
	{method: "POST", path: "admin/users/{user}/repos", gate: adminOnly, handle: (*Face).createRepositoryFor},
	{method: "POST", path: "admin/orgs/{org}/teams", gate: adminOnly, handle: (*Face).createTeam},
	{method: "GET", path: "admin/teams/{team}/members", gate: adminOnly, handle: (*Face).teamMembers},
	{method: "PUT", path: "admin/teams/{team}/members/{user}", gate: adminOnly, handle: (*Face).addTeamMember},
	{method: "DELETE", path: "admin/teams/{team}/members/{user}", gate: adminOnly, handle: (*Face).removeTeamMember},
	{method: "PUT", path: "admin/teams/{team}/repos/{repo}", gate: adminOnly, handle: (*Face).addTeamRepository},
	{method: "DELETE", path: "admin/teams/{team}/repos/{repo}", gate: adminOnly, handle: (*Face).removeTeamRepository},
}

// Bounds of what administrators write.
const (
	maxFullName = 100
	maxTeamName = 30
	maxLocation = 50
)

func checkEmail(c *checks, email string) {
	if email == "" {
		c.required("Email", email)
		return
	}
	if _, err := cairn.ParseEmail(email); err != nil {
		c.add("Email", "EmailError", "Email")
	}
}

func (f *Face) createUser(w http.ResponseWriter, in *request) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	body, err := bind[struct {
		UserName string `json:"username"`
		FullName string `json:"full_name"`
		Email    string `json:"email"`
		Password string `json:"password"`
	}](w, in)
	if err != nil {
		return err
	}
	var c checks
	c.name("Username", body.UserName, maxUserName)
	checkEmail(&c, body.Email)
	c.longest("FullName", body.FullName, maxFullName)
	c.longest("Password", body.Password, service.MaxPassword)
	if err := c.err(); err != nil {
		return err
	}
	if err := checkUserName("Username", body.UserName); err != nil {
		return err
	}
	made, err := f.service.CreateUser(in.Context(), who, service.NewUser{
		Name: body.UserName, FullName: body.FullName, Email: body.Email, Password: body.Password,
	})
	if err != nil {
		return err
	}
	return f.writeUser(w, in, http.StatusCreated, made)
}

// editUser changes a user. The texts that the body leaves out become empty; a
// password that it leaves out stays.
func (f *Face) editUser(w http.ResponseWriter, in *request) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	body, err := bind[struct {
		Email    string `json:"email"`
		FullName string `json:"full_name"`
		Website  string `json:"website"`
		Location string `json:"location"`
		Password string `json:"password"`
		Active   *bool  `json:"active"`
		Admin    *bool  `json:"admin"`
	}](w, in)
	if err != nil {
		return err
	}
	var c checks
	checkEmail(&c, body.Email)
	c.longest("FullName", body.FullName, maxFullName)
	c.longest("Website", body.Website, maxLocation)
	c.longest("Location", body.Location, maxLocation)
	c.longest("Password", body.Password, service.MaxPassword)
	if err := c.err(); err != nil {
		return err
	}
	edit := service.UserEdit{Email: &body.Email, FullName: &body.FullName, Website: &body.Website, Location: &body.Location, Admin: body.Admin}
	if body.Password != "" {
		edit.Password = &body.Password
	}
	if body.Active != nil {
		disabled := !*body.Active
		edit.Disabled = &disabled
	}
	changed, err := f.service.UpdateUser(in.Context(), who, in.PathValue("user"), edit)
	if err != nil {
		return err
	}
	return f.writeUser(w, in, http.StatusOK, changed)
}

func (f *Face) deleteUser(w http.ResponseWriter, in *request) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	if err := f.service.DeleteUser(in.Context(), who, in.PathValue("user")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *Face) createOrganizationFor(w http.ResponseWriter, in *request) error {
	owner, err := f.service.User(in.Context(), in.PathValue("user"))
	if err != nil {
		return err
	}
	return f.foundOrganization(w, in, service.Login{User: owner})
}

// createRepositoryFor makes a repository of a user, or of an organization.
func (f *Face) createRepositoryFor(w http.ResponseWriter, in *request) error {
	body, err := bind[newRepository](w, in)
	if err != nil {
		return err
	}
	owner, err := f.service.Account(in.Context(), in.PathValue("user"))
	if err != nil {
		return err
	}
	login := in.login
	login.ByToken = true // an administrator comes in here with a password too
	return f.createRepository(w, in, login, string(owner.Name), body)
}

func (f *Face) createTeam(w http.ResponseWriter, in *request) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	body, err := bind[struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Permission  string `json:"permission"`
	}](w, in)
	if err != nil {
		return err
	}
	var c checks
	c.name("Name", body.Name, maxTeamName)
	c.longest("Description", body.Description, maxDescription)
	if err := c.err(); err != nil {
		return err
	}
	role, ok := roles[body.Permission]
	if body.Permission == "" {
		role, ok = cairn.ReaderRole, true
	}
	if !ok {
		return cairn.Errorf(cairn.Invalid, "permission %q is not read, write or admin", cairn.Clip(body.Permission))
	}
	made, err := f.service.CreateTeam(in.Context(), who, in.PathValue("org"), service.NewTeam{Name: body.Name, Description: body.Description, Role: role})
	if err != nil {
		return err
	}
	shown, err := f.showTeams(in, []cairn.Team{made})
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, shown[0])
}

func (f *Face) teamMembers(w http.ResponseWriter, in *request) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	n, err := in.number("team")
	if err != nil {
		return err
	}
	list, err := f.service.TeamMembers(in.Context(), who, n)
	if err != nil {
		return err
	}
	shown, err := f.showUsers(in, cut(in, list))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) addTeamMember(w http.ResponseWriter, in *request) error {
	return f.setInTeam(w, in, "user", f.service.SetTeamMember, true)
}

func (f *Face) removeTeamMember(w http.ResponseWriter, in *request) error {
	return f.setInTeam(w, in, "user", f.service.SetTeamMember, false)
}

func (f *Face) addTeamRepository(w http.ResponseWriter, in *request) error {
	return f.setInTeam(w, in, "repo", f.service.SetTeamRepository, true)
}

func (f *Face) removeTeamRepository(w http.ResponseWriter, in *request) error {
	return f.setInTeam(w, in, "repo", f.service.SetTeamRepository, false)
}

// setInTeam puts what the path names into a team, or takes it out.
func (f *Face) setInTeam(w http.ResponseWriter, in *request, what string, set func(context.Context, cairn.Actor, cairn.Number, string, bool) error, there bool) error {
	who, err := in.operator()
	if err != nil {
		return err
	}
	n, err := in.number("team")
	if err != nil {
		return err
	}
	if err := set(in.Context(), who, n, in.PathValue(what), there); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
