package codestorage

import (
	"net/http"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// deletedBranchBody is a branch that can be restored.
type deletedBranchBody struct {
	Cursor    string `json:"cursor"`
	Name      string `json:"name"`
	Ephemeral bool   `json:"ephemeral"`
	Head      string `json:"head_sha"`
	DeletedAt string `json:"deleted_at"`
	DeletedBy string `json:"deleted_by"`
}

func (f *face) listDeletedBranches(w http.ResponseWriter, r *request, ephemeral bool, limit int) error {
	if !r.at.IsZero() {
		return cairn.Errorf(cairn.Invalid, "at is not for deleted branches")
	}
	found, err := f.service.ListDeletedBranches(r.Context(), r.who, r.repo, ephemeral, r.query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Branches []deletedBranchBody `json:"branches"`
		page
	}{[]deletedBranchBody{}, newPage(found.Next)}
	for _, b := range found.Branches {
		out.Branches = append(out.Branches, deletedBranchBody{b.Cursor, b.Name, b.Ephemeral, b.Head.String(), exactTime(b.DeletedAt), validText(b.DeletedBy)})
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) restoreBranch(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		Name              string `json:"name"`
		TargetBranch      string `json:"target_branch"`
		Ephemeral         *bool  `json:"ephemeral"`
		TargetIsEphemeral *bool  `json:"target_is_ephemeral"`
		At                string `json:"at"`
		Head              string `json:"head_sha"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	branch := service.RestoredBranch{Name: oneOf(in.TargetBranch, in.Name), Ephemeral: anyOf(in.TargetIsEphemeral, in.Ephemeral), Head: in.Head}
	if branch.Name == "" {
		return cairn.Errorf(cairn.Invalid, "target_branch (or name) is required")
	}
	if in.At != "" && in.Head != "" {
		return cairn.Errorf(cairn.Invalid, "at and head_sha both say which branch to restore: give one")
	}
	if branch.At, err = parseTime("at", in.At); err != nil {
		return err
	}
	made, err := f.service.RestoreBranch(r.Context(), r.who, r.repo, branch)
	if err != nil {
		return err
	}
	return writeMadeBranch(w, "branch restored", made)
}

// deletedRepositoryBody is a repository that can be restored.
type deletedRepositoryBody struct {
	repositoryBody
	DeletedAt string `json:"deleted_at"`
	PurgeAt   string `json:"purge_at"`
}

func (f *face) listDeletedRepositories(w http.ResponseWriter, r *request, limit int) error {
	if r.query.Get("q") != "" {
		return cairn.Errorf(cairn.Invalid, "q is not for deleted repositories")
	}
	found, err := f.service.ListDeletedRepositories(r.Context(), r.who, r.query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Repositories []deletedRepositoryBody `json:"repos"`
		page
	}{[]deletedRepositoryBody{}, newPage(found.Next)}
	for _, d := range found.Repositories {
		out.Repositories = append(out.Repositories, deletedRepositoryBody{f.newRepositoryBody(d.Repository), exactTime(d.DeletedAt), exactTime(d.PurgeAt)})
	}
	return api.Write(w, http.StatusOK, out)
}

// whichDeleted reads which of several deleted repositories of one name is
// meant; empty if the body does not say.
func whichDeleted(w http.ResponseWriter, r *request) (cairn.RepositoryID, error) {
	in, err := api.Decode[struct {
		ID string `json:"repo_id"`
	}](w, r.Request)
	if err != nil || in.ID == "" {
		return "", err
	}
	id, ok := cairn.RepositoryName(in.ID).ID()
	if !ok || id == "" {
		return "", cairn.Errorf(cairn.Invalid, "repo_id %q is not the id of a repository", cairn.Clip(in.ID))
	}
	return id, nil
}

func (f *face) restoreRepository(w http.ResponseWriter, r *request) error {
	id, err := whichDeleted(w, r)
	if err != nil {
		return err
	}
	restored, err := f.service.RestoreRepository(r.Context(), r.who, r.repo, id)
	if err != nil {
		return err
	}
	body := f.newRepositoryBody(restored)
	body.Message = "repository restored"
	return api.Write(w, http.StatusOK, body)
}

// purgedBody answers for a purge. ID is the only one, or the first.
type purgedBody struct {
	IDs     []string `json:"repo_ids"`
	ID      string   `json:"repo_id"`
	Message string   `json:"message"`
}

func (f *face) purgeRepository(w http.ResponseWriter, r *request) error {
	id, err := whichDeleted(w, r)
	if err != nil {
		return err
	}
	purged, err := f.service.PurgeRepository(r.Context(), r.who, r.repo, id)
	if err != nil {
		return err
	}
	body := purgedBody{ID: repositoryID(purged[0]), Message: "repository purged"}
	if purged[0].DeletedAt.IsZero() {
		body.Message = "past purged: no older state is shown; its storage is freed in the background"
	}
	for _, p := range purged {
		body.IDs = append(body.IDs, repositoryID(p))
	}
	return api.Write(w, http.StatusOK, body)
}

// exactTime writes a time with all its digits, for those that can be asked for
// again.
func exactTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// validText writes text that may be any bytes.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
