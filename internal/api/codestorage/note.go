package codestorage

import (
	"errors"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/service"
)

func (f *face) note(w http.ResponseWriter, r *request) error {
	found, err := f.service.Note(r.Context(), r.who, r.repo, r.first("object_ref", "sha"), r.first("notes_ref", "ref"))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		SHA  string `json:"sha"`
		Note string `json:"note"`
		Tip  string `json:"ref_sha"`
	}{found.Object.String(), found.Text, found.Tip.String()})
}

// noteRequest is the body of a change of a note, in both vocabularies.
type noteRequest struct {
	SHA              string    `json:"sha"`
	ObjectRef        string    `json:"object_ref"`
	Ref              string    `json:"ref"`
	NotesRef         string    `json:"notes_ref"`
	Action           string    `json:"action"`
	Note             string    `json:"note"`
	ExpectedRef      string    `json:"expected_ref_sha"`
	ExpectedNotesRef string    `json:"expected_notes_ref_sha"`
	Author           *identity `json:"author"`
}

func (f *face) writeNote(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[noteRequest](w, r.Request)
	if err != nil {
		return err
	}
	if in.Action == "" {
		in.Action = string(odb.AddNote)
	}
	return f.changeNote(w, r, in)
}

func (f *face) deleteNote(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[noteRequest](w, r.Request)
	if err != nil {
		return err
	}
	in.Action = string(odb.RemoveNote)
	return f.changeNote(w, r, in)
}

// noteBody is the answer to a change of a note.
type noteBody struct {
	SHA       string     `json:"sha"`
	TargetRef string     `json:"target_ref"`
	NotesRef  string     `json:"notes_ref"`
	Base      string     `json:"base_commit,omitempty"`
	New       string     `json:"new_ref_sha"`
	Result    noteResult `json:"result"`
}

type noteResult struct {
	Success bool   `json:"success"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

func (f *face) changeNote(w http.ResponseWriter, r *request, in noteRequest) error {
	q := service.NoteChange{
		Object:   oneOf(in.ObjectRef, in.SHA),
		Ref:      oneOf(in.NotesRef, in.Ref),
		Action:   odb.NoteAction(in.Action),
		Text:     in.Note,
		Expected: oneOf(in.ExpectedNotesRef, in.ExpectedRef),
	}
	author, err := in.Author.identity("author")
	var done service.NoteResult
	if err == nil {
		q.Author = author
		done, err = f.service.ChangeNote(r.Context(), r.who, r.repo, q)
	}
	if err != nil {
		return &noteError{q.Object, q.Ref, err}
	}
	return api.Write(w, http.StatusOK, noteBody{
		SHA: done.Object.String(), TargetRef: string(done.Ref), NotesRef: string(done.Ref),
		Base: idOrEmpty(done.Old), New: done.New.String(), Result: noteResult{Success: true, Status: "ok"},
	})
}

// noteError is why a note was not changed.
type noteError struct {
	object, ref string
	err         error
}

// Error returns the cause's text.
func (e *noteError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *noteError) Unwrap() error { return e.err }

// failNote answers for a change that did not happen in the shape that SDKs make
// an error of.
func failNote(w http.ResponseWriter, r *http.Request, err error) {
	status, label, problem := refused(w, r, err)
	out := struct {
		noteBody
		api.Problem
	}{noteBody{Result: noteResult{Status: label, Message: problem.Error}}, problem}
	var on *noteError
	if errors.As(err, &on) {
		out.SHA = on.object
		ref := "refs/notes/" + oneOf(strings.TrimPrefix(strings.TrimPrefix(on.ref, "refs/"), "notes/"), "commits")
		out.TargetRef, out.NotesRef = ref, ref
	}
	_ = api.Write(w, status, out)
}

// notesRefBody is a ref of notes in a listing.
type notesRefBody struct {
	Cursor string `json:"cursor"`
	Ref    string `json:"ref"`
	SHA    string `json:"sha"`
}

func (f *face) listNotes(w http.ResponseWriter, r *request) error {
	limit, err := r.limit(maxRefsPerPage)
	if err != nil {
		return err
	}
	found, err := f.service.ListNotes(r.Context(), r.who, r.repo, r.query.Get("prefix"), r.query.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := struct {
		Refs   []notesRefBody `json:"refs"`
		Prefix string         `json:"prefix"`
		page
	}{[]notesRefBody{}, found.Prefix, newPage(found.Next)}
	for _, n := range found.Refs {
		out.Refs = append(out.Refs, notesRefBody{n.Cursor, string(n.Ref), n.Tip.String()})
	}
	return api.Write(w, http.StatusOK, out)
}
