package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// diffBody is the part that all diffs have in common.
type diffBody struct {
	Stats    diffStats      `json:"stats"`
	Files    []fileDiffBody `json:"files"`
	Filtered []fileDiffBody `json:"filtered_files"`
}

// diffStats sums up a diff. All files count; lines of filtered ones as far as
// they were compared.
type diffStats struct {
	Files     int `json:"files"`
	Additions int `json:"additions"`
	Deletions int `json:"deletions"`
	Changes   int `json:"changes"`
}

type fileDiffBody struct {
	Path      string  `json:"path"`
	State     string  `json:"state"`
	OldPath   string  `json:"old_path"`
	Bytes     int64   `json:"bytes"`
	EOF       bool    `json:"is_eof"`
	Additions *int    `json:"additions,omitempty"`
	Deletions *int    `json:"deletions,omitempty"`
	Raw       *string `json:"raw,omitempty"`
}

func newDiffBody(d service.Diff) diffBody {
	out := diffBody{
		Stats: diffStats{
			Files:     len(d.Files) + len(d.Filtered),
			Additions: d.Additions,
			Deletions: d.Deletions,
			Changes:   d.Additions + d.Deletions,
		},
		Files:    make([]fileDiffBody, len(d.Files)),
		Filtered: make([]fileDiffBody, len(d.Filtered)),
	}
	for i := range d.Files {
		out.Files[i] = newFileDiffBody(&d.Files[i])
		out.Files[i].Raw = &d.Files[i].Raw
		out.Files[i].Additions, out.Files[i].Deletions = &d.Files[i].Additions, &d.Files[i].Deletions
	}
	for i := range d.Filtered {
		out.Filtered[i] = newFileDiffBody(&d.Filtered[i])
	}
	return out
}

func newFileDiffBody(f *service.FileDiff) fileDiffBody {
	out := fileDiffBody{Path: f.Path, State: f.State, OldPath: f.OldPath, Bytes: f.Bytes, EOF: f.EndsInNewline}
	if f.Compared {
		out.Additions, out.Deletions = &f.Additions, &f.Deletions
	}
	return out
}

// diffOptions reads what all diffs can be asked. Blanks are compared only on
// request, for branches as for commits.
func (r *request) diffOptions() (service.DiffOptions, error) {
	exact, err := r.boolean(false, "git_apply_compatible", "gitApplyCompatible")
	o := service.DiffOptions{Exact: exact}
	for _, path := range r.query["path"] {
		if path != "" {
			o.Paths = append(o.Paths, path)
		}
	}
	return o, err
}

func (f *face) commitDiff(w http.ResponseWriter, r *request) error {
	var q service.CommitDiffQuery
	var err error
	if q.Commit, err = r.revision("ref_is_ephemeral", "ref", "sha"); err != nil {
		return err
	}
	if q.Commit.Name == "" {
		return cairn.Errorf(cairn.Invalid, "ref (or sha) is required")
	}
	if q.Base, err = r.revision("base_is_ephemeral", "base_ref", "baseSha"); err != nil {
		return err
	}
	if q.DiffOptions, err = r.diffOptions(); err != nil {
		return err
	}
	found, err := f.service.CommitDiff(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		SHA       string `json:"sha"`
		Base      string `json:"base_sha"`
		MergeBase string `json:"merge_base_sha"`
		diffBody
	}{found.Commit.String(), idOrEmpty(found.Base), idOrEmpty(found.MergeBase), newDiffBody(found.Diff)})
}

// idOrEmpty writes the id of nothing as an empty text.
func idOrEmpty(id git.ObjectID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
