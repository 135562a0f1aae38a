package mesa

import (
	"errors"
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// maxBody bounds the body of a request with files: 16 MiB of them, in base64,
// and what is around them.
const maxBody = 24 << 20

// maxOps is how many paths one request may change.
const maxOps = 10_000

// identity is an author or committer.
type identity struct {
	Name  string  `json:"name"`
	Email string  `json:"email"`
	Date  *string `json:"date,omitempty"`
}

func showIdentity(s git.Signature) identity {
	date := s.When.UTC().Format(time.RFC3339)
	return identity{s.Name, s.Email, &date}
}

// parse reads an identity; none is the zero one.
func (i *identity) parse(what string) (service.Identity, error) {
	if i == nil {
		return service.Identity{}, nil
	}
	out := service.Identity{Name: i.Name, Email: i.Email}
	if i.Name == "" {
		return out, cairn.Errorf(cairn.Invalid, "%s: name is required", what)
	}
	if i.Date != nil {
		when, err := time.Parse(time.RFC3339, *i.Date)
		if err != nil {
			return out, cairn.Errorf(cairn.Invalid, "%s: date %q is not of RFC 3339", what, cairn.Clip(*i.Date))
		}
		out.When = when
	}
	return out, nil
}

// change is a change as listings show it.
type change struct {
	ID         string   `json:"id"`
	Commit     string   `json:"current_commit_oid"`
	Conflicted bool     `json:"is_conflicted"`
	Message    string   `json:"message"`
	Author     identity `json:"author"`
	Committer  identity `json:"committer"`
	Parents    []string `json:"parents"`
	CreatedAt  string   `json:"created_at"`
	UpdatedAt  string   `json:"updated_at"`
}

func showChange(c service.Change) change {
	out := change{
		ID: c.ID.String(), Commit: c.Commit.String(), Conflicted: c.Conflicted, Message: c.Message,
		Author: showIdentity(c.Author), Committer: showIdentity(c.Committer), Parents: []string{},
		CreatedAt: timestamp(c.CreatedAt), UpdatedAt: timestamp(c.UpdatedAt),
	}
	for _, p := range c.Parents {
		out.Parents = append(out.Parents, p.String())
	}
	return out
}

// parseChange reads the id of a change.
func parseChange(what, text string) (git.ChangeID, error) {
	if text == "" {
		return git.ChangeID{}, cairn.Errorf(cairn.Invalid, "%s is required", what)
	}
	id, err := git.ParseChangeID(text)
	if err != nil {
		return id, cairn.Errorf(cairn.Invalid, "%s %q: %w", what, cairn.Clip(text), err)
	}
	return id, nil
}

// fileOp is a path that a change changes.
type fileOp struct {
	Path     string  `json:"path"`
	Action   string  `json:"action"`
	Content  *[]byte `json:"content"`
	Encoding string  `json:"encoding"`
	Mode     string  `json:"mode"`
}

func parseFiles(ops []fileOp) ([]service.ChangeFile, error) {
	if len(ops) > maxOps {
		return nil, cairn.Errorf(cairn.TooLarge, "more than %d files", maxOps)
	}
	files := make([]service.ChangeFile, len(ops))
	for i, op := range ops {
		file := service.ChangeFile{Path: op.Path}
		bad := func(why string) error { return cairn.Errorf(cairn.Invalid, "file %q: %s", cairn.Clip(op.Path), why) }
		if err := checkEncoding(op.Encoding); err != nil {
			return nil, err
		}
		switch {
		case op.Action == "delete":
			file.Delete = true
		case op.Action != "" && op.Action != "upsert":
			return nil, bad("action is upsert or delete")
		case op.Content == nil:
			return nil, bad("content is required")
		default:
			file.Content = *op.Content
		}
		switch op.Mode {
		case "":
		case "100644":
			file.Mode = git.ModeFile
		case "100755":
			file.Mode = git.ModeExecutable
		default:
			return nil, bad("mode is 100644 or 100755")
		}
		files[i] = file
	}
	return files, nil
}

func checkEncoding(encoding string) error {
	if encoding != "" && encoding != "base64" {
		return cairn.Errorf(cairn.Invalid, "encoding %q: use base64", cairn.Clip(encoding))
	}
	return nil
}

// resolution says what becomes of a conflicted path, or of its hunks.
type resolution struct {
	Path string `json:"path"`
	choice
	Hunks *[]struct {
		ID string `json:"hunk_id"`
		choice
	} `json:"hunks"`
}

type choice struct {
	Content  *[]byte `json:"content"`
	Take     string  `json:"take"`
	Encoding string  `json:"encoding"`
}

func (c choice) parse() (service.Choice, error) {
	return service.Choice{Content: c.Content, Take: service.ConflictSide(c.Take)}, checkEncoding(c.Encoding)
}

func parseResolutions(list []resolution) ([]service.Resolution, error) {
	if len(list) > maxOps {
		return nil, cairn.Errorf(cairn.TooLarge, "more than %d resolutions", maxOps)
	}
	out := make([]service.Resolution, len(list))
	for i, r := range list {
		var err error
		out[i].Path = r.Path
		if out[i].Choice, err = r.parse(); err != nil {
			return nil, err
		}
		if r.Hunks == nil {
			continue
		}
		out[i].Hunks = []service.HunkResolution{}
		for _, h := range *r.Hunks {
			chosen, err := h.parse()
			if err != nil {
				return nil, err
			}
			out[i].Hunks = append(out[i].Hunks, service.HunkResolution{ID: h.ID, Choice: chosen})
		}
	}
	return out, nil
}

// decodeFiles reads a body that may be large.
func decodeFiles[T any](w http.ResponseWriter, in *request) (T, error) {
	if in.ContentLength < 0 || in.ContentLength > api.MaxJSON {
		if err := admission.Enter(in.Context(), admission.Commit); err != nil {
			var none T
			return none, err
		}
	}
	return api.DecodeUpTo[T](w, in.Request, maxBody)
}

// conflicted gives what could not be merged its own code, with what is known
// of it.
func conflicted(err error) error {
	var conflict *service.ConflictError
	if !errors.As(err, &conflict) {
		return err
	}
	details := struct {
		Paths   []string         `json:"conflict_paths"`
		Entries []conflictedFile `json:"conflicted_entries"`
	}{conflict.Paths, showConflicts(conflict.Files)}
	return &problem{code: "MERGE_CONFLICT", details: details, err: err}
}

func (f *face) listChanges(w http.ResponseWriter, in *request) error {
	cursor, limit, err := in.page()
	if err != nil {
		return err
	}
	page, err := f.service.ListChanges(in.Context(), in.who, in.repo, in.query.Get("bookmark"), cursor, limit)
	if err != nil {
		return err
	}
	out := struct {
		pageMarks
		Changes []change `json:"changes"`
	}{marks(page.Next), []change{}}
	for _, c := range page.Changes {
		out.Changes = append(out.Changes, showChange(c))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createChange(w http.ResponseWriter, in *request) error {
	body, err := decodeFiles[struct {
		Base      string    `json:"base_change_id"`
		Message   string    `json:"message"`
		Author    *identity `json:"author"`
		Committer *identity `json:"committer"`
		Files     []fileOp  `json:"files"`
	}](w, in)
	if err != nil {
		return err
	}
	n := service.NewChange{CommitInfo: service.CommitInfo{Message: body.Message}}
	if n.Base, err = parseChange("base_change_id", body.Base); err != nil {
		return err
	}
	if n.Author, err = body.Author.parse("author"); err != nil {
		return err
	}
	if n.Committer, err = body.Committer.parse("committer"); err != nil {
		return err
	}
	if n.Files, err = parseFiles(body.Files); err != nil {
		return err
	}
	made, err := f.service.CreateChange(in.Context(), in.who, in.repo, n)
	if err != nil {
		return conflicted(err)
	}
	return api.Write(w, http.StatusCreated, showChange(made))
}

func (f *face) change(w http.ResponseWriter, in *request) error {
	id, err := parseChange("change_id", in.value("change"))
	if err != nil {
		return err
	}
	found, err := f.service.Change(in.Context(), in.who, in.repo, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		change
		Files     []string `json:"files"`
		Conflicts []string `json:"conflicts"`
	}{showChange(found.Change), found.Files, found.Conflicts})
}

func (f *face) updateChange(w http.ResponseWriter, in *request) error {
	id, err := parseChange("change_id", in.value("change"))
	if err != nil {
		return err
	}
	body, err := decodeFiles[struct {
		Message     *string      `json:"message"`
		Author      *identity    `json:"author"`
		Committer   *identity    `json:"committer"`
		Files       *[]fileOp    `json:"files"`
		Expected    string       `json:"base_commit_oid"`
		Resolutions []resolution `json:"resolutions"`
	}](w, in)
	if err != nil {
		return err
	}
	u := service.ChangeUpdate{Message: body.Message, Expected: body.Expected}
	if u.Author, err = body.Author.parse("author"); err != nil {
		return err
	}
	if u.Committer, err = body.Committer.parse("committer"); err != nil {
		return err
	}
	if body.Files != nil {
		if len(*body.Files) == 0 {
			return cairn.Errorf(cairn.Invalid, "files is empty: leave it out")
		}
		if u.Files, err = parseFiles(*body.Files); err != nil {
			return err
		}
	}
	if u.Resolutions, err = parseResolutions(body.Resolutions); err != nil {
		return err
	}
	made, err := f.service.UpdateChange(in.Context(), in.who, in.repo, id, u)
	if err != nil {
		return conflicted(err)
	}
	return api.Write(w, http.StatusOK, showChange(made))
}
