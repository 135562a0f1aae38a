package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// restoreMetadata is what a restore says of itself, in both vocabularies.
type restoreMetadata struct {
	target
	TargetCommit string `json:"target_commit_sha"`
	BaseRef      string `json:"base_ref"`
}

// restoreCommit makes a commit with the files of an earlier one. Its body is one
// JSON value, which may be a line of NDJSON.
func (f *face) restoreCommit(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		Metadata *restoreMetadata `json:"metadata"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	if in.Metadata == nil {
		return cairn.Errorf(cairn.Invalid, "the body has no metadata")
	}
	done, err := f.writeRestore(r, in.Metadata)
	if err != nil {
		return &branchError{in.Metadata.Branch, err}
	}
	return writeCommitted(w, done, nil)
}

func (f *face) writeRestore(r *request, m *restoreMetadata) (service.CommitResult, error) {
	if m.Branch == "" {
		return service.CommitResult{}, cairn.Errorf(cairn.Invalid, "target_branch is required")
	}
	in := service.RestoreRequest{CommitTarget: m.target.target()}
	// base_ref is a revision of either namespace.
	in.From = service.Revision{Name: oneOf(m.BaseRef, m.TargetCommit), Ephemeral: in.BaseEphemeral}
	if in.From.Name == "" {
		return service.CommitResult{}, cairn.Errorf(cairn.Invalid, "base_ref (or target_commit_sha) is required")
	}
	var err error
	if in.CommitInfo, err = m.info(); err != nil {
		return service.CommitResult{}, err
	}
	return f.service.RestoreCommit(r.Context(), r.who, r.repo, in)
}
