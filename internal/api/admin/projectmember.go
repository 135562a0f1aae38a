package admin

import (
	"net/http"
	"slices"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// roleNames are the roles that members of projects may have, by their numbers.
var roleNames = []string{cairn.ReaderRole: "read", cairn.WriterRole: "write", cairn.AdminRole: "admin"}

// projectMember is a member of a project as this face shows it.
type projectMember struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

func (f *face) listProjectMembers(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	list, err := f.service.ProjectMembers(r.Context(), who, cairn.ProjectID(r.PathValue("project")))
	if err != nil {
		return err
	}
	out := struct {
		Members []projectMember `json:"members"`
	}{make([]projectMember, len(list))}
	for i, m := range list {
		out.Members[i] = projectMember{string(m.User.Name), roleNames[m.Role]}
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) setProjectMember(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	in, err := api.Decode[struct {
		Role string `json:"role"`
	}](w, r)
	if err != nil {
		return err
	}
	role := slices.Index(roleNames, in.Role)
	if role <= int(cairn.NoRole) {
		return cairn.Errorf(cairn.Invalid, "role %q: use read, write or admin", cairn.Clip(in.Role))
	}
	return f.changeProjectMember(w, r, who, cairn.Role(role))
}

func (f *face) removeProjectMember(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	return f.changeProjectMember(w, r, who, cairn.NoRole)
}

func (f *face) changeProjectMember(w http.ResponseWriter, r *http.Request, who cairn.Actor, role cairn.Role) error {
	if err := f.service.SetProjectMember(r.Context(), who, cairn.ProjectID(r.PathValue("project")), r.PathValue("user"), role); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
