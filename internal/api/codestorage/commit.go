package codestorage

import (
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxCommitsPerPage = 100

// commitBody is a commit in answers. Date is the committer's, by which
// histories are ordered.
type commitBody struct {
	SHA            string   `json:"sha"`
	Parents        []string `json:"parent_shas"`
	Message        string   `json:"message"`
	AuthorName     string   `json:"author_name"`
	AuthorEmail    string   `json:"author_email"`
	CommitterName  string   `json:"committer_name"`
	CommitterEmail string   `json:"committer_email"`
	Date           string   `json:"date"`
	Signature      string   `json:"signature,omitempty"`
	Payload        string   `json:"payload,omitempty"`
}

func newCommitBody(c service.Commit) commitBody {
	out := commitBody{
		SHA:            c.ID.String(),
		Parents:        make([]string, len(c.Parents)),
		Message:        c.Message,
		AuthorName:     c.Author.Name,
		AuthorEmail:    c.Author.Email,
		CommitterName:  c.Committer.Name,
		CommitterEmail: c.Committer.Email,
		Date:           timestamp(c.Committer.When),
	}
	for i, p := range c.Parents {
		out.Parents[i] = p.String()
	}
	return out
}

func (f *face) listCommits(w http.ResponseWriter, r *request) error {
	q := service.CommitsQuery{Path: r.query.Get("path"), Cursor: r.query.Get("cursor")}
	var err error
	if q.Revision, err = r.revision("ephemeral", "ref", "branch"); err != nil {
		return err
	}
	if q.Limit, err = r.limit(maxCommitsPerPage); err != nil {
		return err
	}
	found, err := f.service.ListCommits(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	out := struct {
		Commits []commitBody `json:"commits"`
		page
	}{[]commitBody{}, newPage(found.Next)}
	for _, c := range found.Commits {
		out.Commits = append(out.Commits, newCommitBody(c))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) commit(w http.ResponseWriter, r *request) error {
	at, err := r.revision("ephemeral", "ref", "sha")
	if err != nil {
		return err
	}
	if strings.TrimSpace(at.Name) == "" {
		return cairn.Errorf(cairn.Invalid, "ref (or sha) is required")
	}
	found, err := f.service.Commit(r.Context(), r.who, r.repo, at)
	if err != nil {
		return err
	}
	body := newCommitBody(found.Commit)
	body.Signature, body.Payload = found.Signature, found.Payload
	return api.Write(w, http.StatusOK, struct {
		Commit commitBody `json:"commit"`
	}{body})
}
