package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxRefsPerPage = 100

func (f *face) createBranch(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		TargetBranch      string `json:"target_branch"`
		BaseRef           string `json:"base_ref"`
		BaseBranch        string `json:"base_branch"`
		BaseIsEphemeral   bool   `json:"base_is_ephemeral"`
		TargetIsEphemeral bool   `json:"target_is_ephemeral"`
		Force             bool   `json:"force"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	if in.TargetBranch == "" {
		return cairn.Errorf(cairn.Invalid, "target_branch is required")
	}
	made, err := f.service.CreateBranch(r.Context(), r.who, r.repo, service.NewBranch{
		Name:          in.TargetBranch,
		Ephemeral:     in.TargetIsEphemeral,
		Base:          in.BaseRef,
		BaseBranch:    in.BaseBranch,
		BaseEphemeral: in.BaseIsEphemeral,
		Force:         in.Force,
	})
	if err != nil {
		return err
	}
	return writeMadeBranch(w, "branch created", made)
}

// writeMadeBranch answers a request that made a branch.
func writeMadeBranch(w http.ResponseWriter, message string, made service.Branch) error {
	return api.Write(w, http.StatusOK, struct {
		Message   string `json:"message"`
		Target    string `json:"target_branch"`
		Ephemeral bool   `json:"target_is_ephemeral"`
		Commit    string `json:"commit_sha"`
	}{message, made.Name, made.Ephemeral, made.Head.String()})
}

// branchBody is a branch in answers.
type branchBody struct {
	Cursor    string `json:"cursor,omitempty"`
	Name      string `json:"name"`
	Head      string `json:"head_sha"`
	CreatedAt string `json:"created_at"`
}

func newBranchBody(b service.Branch) branchBody {
	return branchBody{b.Cursor, b.Name, b.Head.String(), timestamp(b.CreatedAt)}
}

func (f *face) listBranches(w http.ResponseWriter, r *request) error {
	ephemeral, err := r.boolean(false, "ephemeral")
	if err != nil {
		return err
	}
	limit, err := r.limit(maxRefsPerPage)
	if err != nil {
		return err
	}
	deleted, err := r.boolean(false, "deleted")
	if err != nil {
		return err
	}
	if deleted {
		return f.listDeletedBranches(w, r, ephemeral, limit)
	}
	q := service.BranchesQuery{Ephemeral: ephemeral, At: r.at, Cursor: r.query.Get("cursor"), Limit: limit}
	found, err := f.service.ListBranches(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	out := struct {
		Branches []branchBody `json:"branches"`
		page
	}{[]branchBody{}, newPage(found.Next)}
	for _, b := range found.Branches {
		out.Branches = append(out.Branches, newBranchBody(b))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) branch(w http.ResponseWriter, r *request) error {
	ephemeral, err := r.boolean(false, "ephemeral")
	if err != nil {
		return err
	}
	name := r.query.Get("name")
	if name == "" {
		return cairn.Errorf(cairn.Invalid, "name is required")
	}
	found, err := f.service.Branch(r.Context(), r.who, r.repo, service.Revision{Name: name, Ephemeral: ephemeral, At: r.at})
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Branch branchBody `json:"branch"`
	}{newBranchBody(found)})
}

func (f *face) deleteBranch(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		Name              string `json:"name"`
		TargetBranch      string `json:"target_branch"`
		Ephemeral         *bool  `json:"ephemeral"`
		TargetIsEphemeral *bool  `json:"target_is_ephemeral"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	name, ephemeral := oneOf(in.TargetBranch, in.Name), anyOf(in.TargetIsEphemeral, in.Ephemeral)
	if name == "" {
		return cairn.Errorf(cairn.Invalid, "target_branch (or name) is required")
	}
	if err := f.service.DeleteBranch(r.Context(), r.who, r.repo, name, ephemeral); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Name      string `json:"name"`
		Target    string `json:"target_branch"`
		Message   string `json:"message"`
		Ephemeral bool   `json:"ephemeral"`
	}{name, name, "branch deleted", ephemeral})
}

func (f *face) branchDiff(w http.ResponseWriter, r *request) error {
	q := service.BranchDiffQuery{Branch: r.query.Get("branch"), Base: r.query.Get("base"), At: r.at}
	if err := r.flags(map[string]*bool{"ephemeral": &q.Ephemeral, "ephemeral_base": &q.BaseEphemeral}); err != nil {
		return err
	}
	if q.Branch == "" {
		return cairn.Errorf(cairn.Invalid, "branch is required")
	}
	var err error
	if q.DiffOptions, err = r.diffOptions(); err != nil {
		return err
	}
	found, err := f.service.BranchDiff(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	out := struct {
		Branch    string `json:"branch"`
		Base      string `json:"base"`
		MergeBase string `json:"merge_base_sha,omitempty"`
		diffBody
	}{Branch: found.Branch, Base: found.Base, diffBody: newDiffBody(found.Diff)}
	if !found.MergeBase.IsZero() {
		out.MergeBase = found.MergeBase.String()
	}
	return api.Write(w, http.StatusOK, out)
}
