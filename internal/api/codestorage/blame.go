package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// blameLine is a line of a file and where it comes from.
type blameLine struct {
	Line         int    `json:"line_number"`
	Commit       string `json:"commit_sha"`
	OriginalLine int    `json:"original_line_number"`
	OriginalPath string `json:"original_path"`
	Previous     string `json:"previous_commit_sha,omitempty"`
	blameCommit
}

// blameCommit is the part that all lines of a commit have in common.
type blameCommit struct {
	AuthorName     string `json:"author_name"`
	AuthorEmail    string `json:"author_email"`
	AuthorTime     string `json:"author_time"`
	CommitterName  string `json:"committer_name"`
	CommitterEmail string `json:"committer_email"`
	CommitterTime  string `json:"committer_time"`
	Summary        string `json:"summary"`
}

func (f *face) blame(w http.ResponseWriter, r *request) error {
	q := service.BlameQuery{Path: r.query.Get("path"), Ranges: r.query["range"]}
	var err error
	if q.Revision, err = r.revision("ephemeral", "ref"); err != nil {
		return err
	}
	if q.DetectMoves, err = r.boolean(false, "detect_moves"); err != nil {
		return err
	}
	if q.Path == "" {
		return cairn.Errorf(cairn.Invalid, "path is required")
	}
	found, err := f.service.BlameFile(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	commits := make(map[git.ObjectID]blameCommit, len(found.Commits))
	for id, c := range found.Commits {
		commits[id] = blameCommit{
			c.Author.Name, c.Author.Email, timestamp(c.Author.When),
			c.Committer.Name, c.Committer.Email, timestamp(c.Committer.When), c.Summary(),
		}
	}
	lines := []blameLine{}
	for _, h := range found.Hunks {
		previous := idOrEmpty(h.Previous)
		for i := range h.Lines {
			lines = append(lines, blameLine{h.Line + i, h.Commit.String(), h.OriginalLine + i, h.OriginalPath, previous, commits[h.Commit]})
		}
	}
	return api.Write(w, http.StatusOK, struct {
		Ref    string      `json:"ref"`
		Path   string      `json:"path"`
		Commit string      `json:"commit_sha"`
		Lines  []blameLine `json:"lines"`
	}{found.Ref, found.Path, found.Commit.String(), lines})
}
