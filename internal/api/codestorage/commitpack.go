package codestorage

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// identity is an author or committer as requests give it.
type identity struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Date  string `json:"date"`
}

func (i *identity) identity(what string) (service.Identity, error) {
	if i == nil {
		return service.Identity{}, nil
	}
	if i.Name == "" || i.Email == "" {
		return service.Identity{}, cairn.Errorf(cairn.Invalid, "%s: name and email are required", what)
	}
	when, err := parseDate(i.Date)
	if err != nil {
		return service.Identity{}, cairn.Errorf(cairn.Invalid, "%s: %w", what, err)
	}
	return service.Identity{Name: i.Name, Email: i.Email, When: when}, nil
}

// parseDate reads the forms of ISO 8601 that people use; without a zone the
// time is UTC.
func parseDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05 -0700", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, cairn.Errorf(cairn.Invalid, "date %q is not of the form 2006-01-02T15:04:05Z", cairn.Clip(s))
}

// target is the part of a commit's metadata that says where it goes, in both
// vocabularies.
type target struct {
	Branch            string    `json:"target_branch"`
	Ephemeral         *bool     `json:"ephemeral"`
	TargetIsEphemeral *bool     `json:"target_is_ephemeral"`
	Base              string    `json:"base_branch"`
	EphemeralBase     *bool     `json:"ephemeral_base"`
	BaseIsEphemeral   *bool     `json:"base_is_ephemeral"`
	ExpectedHeadSHA   string    `json:"expected_head_sha"`
	ExpectedTargetSHA string    `json:"expected_target_sha"`
	Message           string    `json:"commit_message"`
	Author            *identity `json:"author"`
	Committer         *identity `json:"committer"`
}

func (t target) target() service.CommitTarget {
	return service.CommitTarget{
		Branch:        t.Branch,
		Ephemeral:     anyOf(t.TargetIsEphemeral, t.Ephemeral),
		Base:          t.Base,
		BaseEphemeral: anyOf(t.BaseIsEphemeral, t.EphemeralBase),
		Expected:      oneOf(t.ExpectedTargetSHA, t.ExpectedHeadSHA),
	}
}

func (t target) info() (service.CommitInfo, error) {
	if t.Author == nil {
		return service.CommitInfo{}, cairn.Errorf(cairn.Invalid, "author is required")
	}
	info := service.CommitInfo{Message: t.Message}
	var err error
	info.Author, info.Committer, err = identities(t.Author, t.Committer)
	return info, err
}

// identities are those of a request's author and committer.
func identities(author, committer *identity) (a, c service.Identity, err error) {
	if a, err = author.identity("author"); err == nil {
		c, err = committer.identity("committer")
	}
	return a, c, err
}

// fileChange is a path that a commit changes.
type fileChange struct {
	Path      string `json:"path"`
	ContentID string `json:"content_id"`
	Operation string `json:"operation"`
	Mode      string `json:"mode"`
}

func (c fileChange) change() (service.FileChange, error) {
	out := service.FileChange{Path: c.Path, ContentID: c.ContentID}
	switch c.Operation {
	case "", "upsert":
	case "delete":
		out.Delete = true
		return out, nil
	default:
		return out, cairn.Errorf(cairn.Invalid, "operation %q of path %q: use upsert or delete", cairn.Clip(c.Operation), cairn.Clip(c.Path))
	}
	if c.Mode != "" {
		mode, err := git.ParseFileMode(c.Mode)
		if err != nil || mode == 0 {
			return out, cairn.Errorf(cairn.Invalid, "mode %q of path %q: use 100644, 100755, 120000 or 160000", cairn.Clip(c.Mode), cairn.Clip(c.Path))
		}
		out.Mode = mode
	}
	return out, nil
}

// commitWritten and writeResult are the two halves of the answer to a write.
type commitWritten struct {
	Commit    string `json:"commit_sha"`
	Tree      string `json:"tree_sha"`
	Target    string `json:"target_branch"`
	PackBytes int64  `json:"pack_bytes"`
	Blobs     *int   `json:"blob_count,omitempty"`
}

type writeResult struct {
	Branch  string `json:"branch"`
	Target  string `json:"target_branch"`
	Old     string `json:"old_sha"`
	New     string `json:"new_sha"`
	Success bool   `json:"success"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

// commitPack makes a commit from a stream: a line of metadata, then lines with
// the content of files.
func (f *face) commitPack(w http.ResponseWriter, r *request) error {
	body := newLines(r.Body, f.lineSize)
	metadata, err := readMetadata(body)
	if err != nil {
		return err
	}
	done, err := f.writeCommit(r, metadata, body)
	if err != nil {
		return &branchError{metadata.Branch, err}
	}
	return writeCommitted(w, done, &done.Blobs)
}

// writeCommitted answers with the commit that was made.
func writeCommitted(w http.ResponseWriter, done service.CommitResult, blobs *int) error {
	return api.Write(w, http.StatusCreated, struct {
		Commit commitWritten `json:"commit"`
		Result writeResult   `json:"result"`
	}{
		commitWritten{done.Commit.String(), done.Tree.String(), done.Branch, done.PackBytes, blobs},
		writeResult{Branch: done.Branch, Target: done.Branch, Old: done.Old.String(), New: done.Commit.String(), Success: true, Status: "ok"},
	})
}

// metadata is what the first line of a commit-pack holds.
type metadata struct {
	target
	Files []fileChange `json:"files"`
}

func readMetadata(body *lines) (metadata, error) {
	var first struct {
		Metadata *metadata `json:"metadata"`
	}
	line, err := body.next()
	if errors.Is(err, io.EOF) {
		return metadata{}, cairn.Errorf(cairn.Invalid, "the body is empty: its first line holds the metadata")
	} else if err != nil {
		return metadata{}, err
	}
	if err := json.Unmarshal(line, &first); err != nil {
		return metadata{}, cairn.Errorf(cairn.Invalid, "the first line of the body is not JSON of the form of the metadata: %w", err)
	}
	if first.Metadata == nil {
		return metadata{}, cairn.Errorf(cairn.Invalid, "the first line of the body has no metadata")
	}
	return *first.Metadata, nil
}

func (f *face) writeCommit(r *request, m metadata, body *lines) (service.CommitResult, error) {
	var none service.CommitResult
	if m.Branch == "" {
		return none, cairn.Errorf(cairn.Invalid, "target_branch is required")
	}
	in := service.CommitRequest{CommitTarget: m.target.target()}
	var err error
	if in.CommitInfo, err = m.info(); err != nil {
		return none, err
	}
	in.Files = make([]service.FileChange, len(m.Files))
	for i, file := range m.Files {
		if in.Files[i], err = file.change(); err != nil {
			return none, err
		}
	}
	writer, err := f.service.BeginCommit(r.Context(), r.who, r.repo, in)
	if err != nil {
		return none, err
	}
	defer writer.Close()
	for {
		line, err := body.next()
		if errors.Is(err, io.EOF) {
			return writer.Commit(r.Context())
		}
		if err != nil {
			return none, err
		}
		c, err := parseChunk(line)
		if err != nil {
			return none, err
		}
		if err := writer.AddChunk(r.Context(), c.contentID, c.data, c.last); err != nil {
			return none, err
		}
	}
}

// branchError is why a branch was not written.
type branchError struct {
	branch string
	err    error
}

// Error returns the cause's text.
func (e *branchError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *branchError) Unwrap() error { return e.err }

// labels are the words of result.status, by the status that goes with them.
var labels = map[int]string{
	http.StatusBadRequest:            "invalid",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusConflict:              "conflict",
	http.StatusPreconditionFailed:    "precondition_failed",
	http.StatusRequestEntityTooLarge: "invalid",
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusTooManyRequests:       "unavailable",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusRequestTimeout:        "timeout",
	http.StatusGatewayTimeout:        "timeout",
	http.StatusInternalServerError:   "internal",
}

// refused is what all refusals of writes have in common: the status, the word
// for it, and headers that go with them. A guard that did not hold is 409 here,
// not 412.
func refused(w http.ResponseWriter, r *http.Request, err error) (status int, label string, p api.Problem) {
	api.NoteError(r, err)
	status = api.Status(err)
	label, ok := labels[status]
	if !ok {
		label = "failed"
	}
	if status == http.StatusPreconditionFailed {
		status = http.StatusConflict
	}
	api.SetRetryAfter(w.Header(), status, err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="cairn"`)
	}
	p = api.Problem{Error: api.Text(err), Status: status, Title: http.StatusText(status)}
	if p.Title == "" {
		p.Title = "Client Closed Request"
	}
	return status, label, p
}

// failCommit answers for a write that did not happen in the shape that SDKs
// make an error of: with a result whose status is a word.
func failCommit(w http.ResponseWriter, r *http.Request, err error) {
	status, label, problem := refused(w, r, err)
	out := struct {
		Commit *commitWritten `json:"commit"`
		Result writeResult    `json:"result"`
		api.Problem
	}{Result: writeResult{Status: label, Message: problem.Error}, Problem: problem}
	var on *branchError
	if errors.As(err, &on) {
		out.Result.Branch, out.Result.Target = on.branch, on.branch
	}
	var tip *service.TipError
	if errors.As(err, &tip) {
		out.Result.Old = tip.Current.String()
	}
	_ = api.Write(w, status, out)
}
