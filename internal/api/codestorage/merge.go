package codestorage

import (
	"errors"
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// mergeRequest is the body of a merge, in both vocabularies.
type mergeRequest struct {
	SourceBranch      string    `json:"source_branch"`
	SourceRef         string    `json:"source_ref"`
	SourceIsEphemeral bool      `json:"source_is_ephemeral"`
	TargetBranch      string    `json:"target_branch"`
	TargetIsEphemeral bool      `json:"target_is_ephemeral"`
	Strategy          string    `json:"strategy"`
	Squash            bool      `json:"squash"`
	Unrelated         bool      `json:"allow_unrelated_histories"`
	ExpectedTargetSHA string    `json:"expected_target_sha"`
	Message           string    `json:"commit_message"`
	Author            *identity `json:"author"`
	Committer         *identity `json:"committer"`
}

func (in *mergeRequest) request() (service.MergeRequest, error) {
	out := service.MergeRequest{
		MergePair: service.MergePair{
			Source:          service.Revision{Name: oneOf(in.SourceRef, in.SourceBranch), Ephemeral: in.SourceIsEphemeral},
			Target:          in.TargetBranch,
			TargetEphemeral: in.TargetIsEphemeral,
		},
		Strategy:   service.MergeStrategy(in.Strategy),
		Squash:     in.Squash,
		Unrelated:  in.Unrelated,
		Expected:   in.ExpectedTargetSHA,
		CommitInfo: service.CommitInfo{Message: in.Message},
	}
	switch {
	case out.Source.Name == "":
		return out, cairn.Errorf(cairn.Invalid, "source_ref (or source_branch) is required")
	case out.Target == "":
		return out, cairn.Errorf(cairn.Invalid, "target_branch is required")
	case in.Strategy == "":
		return out, cairn.Errorf(cairn.Invalid, "strategy is required: merge, ff_only or ff_prefer")
	}
	var err error
	out.Author, out.Committer, err = identities(in.Author, in.Committer)
	return out, err
}

// mergeSource and mergeTarget are the two sides in the answer to a merge.
type mergeSource struct {
	Branch    string `json:"branch"`
	Ref       string `json:"ref"`
	Ephemeral bool   `json:"ephemeral"`
	SHA       string `json:"sha"`
}

type mergeTarget struct {
	Branch    string `json:"branch"`
	Ephemeral bool   `json:"ephemeral"`
	Old       string `json:"old_sha"`
	New       string `json:"new_sha"`
}

func (f *face) merge(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[mergeRequest](w, r.Request)
	if err != nil {
		return err
	}
	q, err := in.request()
	if err != nil {
		return err
	}
	done, err := f.service.Merge(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Result    string      `json:"result"`
		Commit    string      `json:"commit_sha"`
		Tree      string      `json:"tree_sha"`
		Source    mergeSource `json:"source"`
		Target    mergeTarget `json:"target"`
		MergeBase string      `json:"merge_base_sha,omitempty"`
		Promoted  int         `json:"promoted_commits"`
	}{
		string(done.Kind), done.New.String(), done.Tree.String(),
		mergeSource{q.Source.Name, q.Source.Name, q.Source.Ephemeral, done.Source.String()},
		mergeTarget{q.Target, q.TargetEphemeral, done.Old.String(), done.New.String()},
		idOrEmpty(done.Base), done.Promoted,
	})
}

// failMerge is api.Fail with what is known of a conflict.
func failMerge(w http.ResponseWriter, r *http.Request, err error) {
	var conflict *service.MergeConflict
	if !errors.As(err, &conflict) || api.Status(err) != http.StatusConflict {
		api.Fail(w, r, err)
		return
	}
	api.NoteError(r, err)
	const status = http.StatusConflict
	_ = api.Write(w, status, struct {
		api.Problem
		Type      string   `json:"conflict_type"`
		Paths     []string `json:"conflict_paths,omitempty"`
		MergeBase string   `json:"merge_base_sha,omitempty"`
	}{
		api.Problem{Error: api.Text(err), Status: status, Title: http.StatusText(status)},
		string(conflict.Type), conflict.Paths, idOrEmpty(conflict.Base),
	})
}

// conflictVersion is one version of a file in a conflict.
type conflictVersion struct {
	OID       string  `json:"oid,omitempty"`
	Content   *string `json:"content,omitempty"`
	Truncated bool    `json:"truncated"`
	Binary    bool    `json:"binary"`
}

func newConflictVersion(v service.ConflictVersion) conflictVersion {
	return conflictVersion{idOrEmpty(v.ID), v.Content, v.Truncated, v.Binary}
}

type conflictDetail struct {
	Path   string          `json:"path"`
	Result conflictVersion `json:"result"`
	Base   conflictVersion `json:"base"`
	Ours   conflictVersion `json:"ours"`
	Theirs conflictVersion `json:"theirs"`
}

type filteredConflict struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// mergePreview is the answer to a preview.
type mergePreview struct {
	Status    string             `json:"status"`
	Result    string             `json:"result"`
	Source    string             `json:"source_branch"`
	Target    string             `json:"target_branch"`
	SourceTip string             `json:"source_tip_sha"`
	TargetTip string             `json:"target_tip_sha"`
	MergeBase string             `json:"merge_base_sha,omitempty"`
	Paths     []string           `json:"conflict_paths,omitempty"`
	Conflicts []conflictDetail   `json:"conflicts,omitempty"`
	Filtered  []filteredConflict `json:"filtered_conflicts,omitempty"`
}

func (f *face) previewMerge(w http.ResponseWriter, r *request) error {
	in := service.MergePair{
		Source: service.Revision{Name: r.first("source_ref", "source_branch")},
		Target: r.query.Get("target_branch"),
	}
	switch {
	case in.Source.Name == "":
		return cairn.Errorf(cairn.Invalid, "source_branch is required")
	case in.Target == "":
		return cairn.Errorf(cairn.Invalid, "target_branch is required")
	}
	var content bool
	err := r.flags(map[string]*bool{
		"source_is_ephemeral": &in.Source.Ephemeral, "target_is_ephemeral": &in.TargetEphemeral, "include_content": &content,
	})
	if err != nil {
		return err
	}
	found, err := f.service.PreviewMerge(r.Context(), r.who, r.repo, in, content)
	if err != nil {
		return err
	}
	out := mergePreview{
		Status: "clean", Result: string(found.Kind), Source: in.Source.Name, Target: in.Target,
		SourceTip: found.Source.String(), TargetTip: found.Target.String(), MergeBase: idOrEmpty(found.Base), Paths: found.Paths,
	}
	if len(found.Paths) > 0 {
		out.Status = "conflicted"
	}
	for _, c := range found.Conflicts {
		out.Conflicts = append(out.Conflicts, conflictDetail{
			c.Path, newConflictVersion(c.Result), newConflictVersion(c.Base), newConflictVersion(c.Ours), newConflictVersion(c.Theirs),
		})
	}
	for _, c := range found.Filtered {
		out.Filtered = append(out.Filtered, filteredConflict(c))
	}
	return api.Write(w, http.StatusOK, out)
}
