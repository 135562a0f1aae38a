package codearts

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var memberRoutes = []route{
	{method: "GET", pattern: "/v1/repositories/{repository}/members", handle: (*Face).listMembers},
	{method: "POST", pattern: "/v1/repositories/{repository}/members", handle: (*Face).addMembers},
	{method: "PUT", pattern: "/v1/repositories/{repository}/members/{member}", handle: (*Face).setMemberRole},
	{method: "DELETE", pattern: "/v1/repositories/{repository}/members/{member}", handle: (*Face).removeMember},
}

// maxMembers bounds how many members one request adds: each is a write.
const maxMembers = 100

// memberRole is a role that a request names by its number.
type memberRole cairn.Role

// UnmarshalJSON reads 20, 30 or 40. Any other number is refused: taken for one
// of them it could be more than was meant.
func (r *memberRole) UnmarshalJSON(text []byte) error {
	var n flexible
	if err := n.UnmarshalJSON(text); err != nil {
		return err
	}
	switch n {
	case readOnly:
		*r = memberRole(cairn.ReaderRole)
	case member:
		*r = memberRole(cairn.WriterRole)
	case administrator:
		*r = memberRole(cairn.AdminRole)
	default:
		return cairn.Errorf(cairn.Invalid, "role is %d: use %d, %d or %d", n, readOnly, member, administrator)
	}
	return nil
}

// showMemberRole is the number of a role.
func showMemberRole(role cairn.Role) int {
	switch {
	case role >= cairn.AdminRole:
		return administrator
	case role == cairn.WriterRole:
		return member
	}
	return readOnly
}

// memberBody is a user who was given a role in a repository. Their domain is the
// organization that is their own, which has their id and name.
type memberBody struct {
	ID          string `json:"user_id"`
	Name        string `json:"name"`
	Email       string `json:"email"`
	DomainID    string `json:"domain_id"`
	Domain      string `json:"domain_name"`
	Description string `json:"description"`
	Enabled     string `json:"enabled"`
	Role        int    `json:"role"`
}

func memberID(u cairn.User) string { return uuid(string(u.ID)) }

func showMember(c cairn.Collaborator) memberBody {
	u := c.User
	return memberBody{
		ID: memberID(u), Name: string(u.Name), Email: u.Email, DomainID: memberID(u), Domain: string(u.Name),
		Description: u.Organization.FullName, Enabled: strconv.FormatBool(!u.Disabled), Role: showMemberRole(c.Role),
	}
}

// members returns the members of the repository, to who may say who they are.
func (f *Face) members(r *request) ([]cairn.Collaborator, error) {
	return f.service.Collaborators(r.Context(), r.who, r.repo.Name)
}

// listMembers answers with a page of those members in whose name, full name or
// email address a text occurs, whatever its case.
func (f *Face) listMembers(w http.ResponseWriter, r *request) error {
	page, err := r.page("page_index", "page_size", 20)
	if err != nil {
		return err
	}
	all, err := f.members(r)
	if err != nil {
		return err
	}
	text := strings.ToLower(r.query.Get("subject"))
	found := slices.DeleteFunc(all, func(c cairn.Collaborator) bool {
		return !strings.Contains(strings.ToLower(string(c.User.Name)+"\n"+c.User.Organization.FullName+"\n"+c.User.Email), text)
	})
	from := min(page.offset, len(found))
	shown := []memberBody{}
	for _, c := range found[from:min(from+page.size, len(found))] {
		shown = append(shown, showMember(c))
	}
	return answer(w, map[string]any{"users": shown, "total": len(found)})
}

// newMember is a user to add, whom name and id both name.
type newMember struct {
	ID   string     `json:"id"`
	Name string     `json:"name"`
	Role memberRole `json:"role"`
}

// addedMember tells what became of one of them.
type addedMember struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

// addMembers gives users roles. Of each it is told alone what became of them;
// the request fails if none got a role.
func (f *Face) addMembers(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Users []newMember `json:"users"`
	}](r)
	if err != nil {
		return err
	}
	if len(in.Users) < 1 || len(in.Users) > maxMembers {
		return cairn.Errorf(cairn.Invalid, "there are %d users: use 1 to %d", len(in.Users), maxMembers)
	}
	if _, err := f.members(r); err != nil { // who may not give roles learns of no user
		return err
	}
	added := make([]addedMember, len(in.Users))
	var first error
	failed := 0
	for i, u := range in.Users {
		id, err := f.addMember(r, u)
		added[i] = addedMember{ID: id, Name: u.Name, Status: "success"}
		if err == nil {
			continue
		}
		if cairn.KindOf(err) != cairn.Invalid {
			return err
		}
		added[i].Status, added[i].Message = "failed", err.Error()
		first = cmp.Or(first, err)
		failed++
	}
	if failed == len(added) {
		return first
	}
	return answer(w, added)
}

// addMember gives one user a role, and returns their id. An id is that of the
// list of members or that of the operator's list of users; who knows none, says
// the name twice.
func (f *Face) addMember(r *request, in newMember) (id string, err error) {
	u, err := f.service.User(r.Context(), in.Name)
	if errors.Is(err, cairn.NotFound) {
		err = withCode(codeNoUser, "there is no user %q", cairn.Clip(in.Name))
	}
	if err != nil {
		return in.ID, err
	}
	if !slices.Contains([]string{memberID(u), string(u.ID), in.Name}, in.ID) {
		return in.ID, cairn.Errorf(cairn.Invalid, "user %q has another id than %q", u.Name, cairn.Clip(in.ID))
	}
	return memberID(u), f.service.Grant(r.Context(), r.who, r.repo.Name, string(u.Name), cairn.Role(in.Role))
}

// changeMember gives the member whom the path names another role, or with none
// takes theirs away.
func (f *Face) changeMember(r *request, role cairn.Role) error {
	asked := r.path["member"]
	is := func(u cairn.User) bool { return u.Name == cairn.FoldOrganizationName(asked) }
	if _, ok := parseUUID(asked); ok {
		is = func(u cairn.User) bool { return memberID(u) == asked }
	}
	err := f.service.ChangeCollaborator(r.Context(), r.who, r.repo.Name, is, role)
	if errors.Is(err, cairn.NotFound) {
		err = cairn.Errorf(cairn.NotFound, "there is no member %q", cairn.Clip(asked))
	}
	return err
}

// setMemberRole gives a member another role.
func (f *Face) setMemberRole(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Role memberRole `json:"role"`
	}](r)
	if err != nil {
		return err
	}
	if in.Role == memberRole(cairn.NoRole) {
		return cairn.Errorf(cairn.Invalid, "role is required")
	}
	if err := f.changeMember(r, cairn.Role(in.Role)); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (f *Face) removeMember(w http.ResponseWriter, r *request) error {
	if err := f.changeMember(r, cairn.NoRole); err != nil {
		return err
	}
	return answer(w, struct{}{})
}
