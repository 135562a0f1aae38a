package client

import (
	"context"
	"iter"
	"net/http"
)

// Note is a note on an object.
type Note struct {
	Object string `json:"sha"`
	Text   string `json:"note"`
	RefSHA string `json:"ref_sha"` // the tip of the notes ref
}

// NewNote is a note to write.
type NewNote struct {
	Object string `json:"object_ref"`          // any revision
	Text   string `json:"note"`                //
	Ref    string `json:"notes_ref,omitempty"` // such as reviews; empty is refs/notes/commits
	// ExpectedRef is a guard: the tip of the notes ref.
	ExpectedRef string     `json:"expected_notes_ref_sha,omitempty"`
	Author      *Signature `json:"author,omitempty"`
}

// NoteResult is the commit that a change of notes made.
type NoteResult struct {
	Object string `json:"sha"`
	Ref    string `json:"notes_ref"`
	Old    string `json:"base_commit,omitempty"`
	New    string `json:"new_ref_sha"`
}

// Note returns the note on an object, which any revision may name; an empty
// notes ref is refs/notes/commits. ErrNotFound if there is none.
func (r *Repo) Note(ctx context.Context, object, notesRef string) (Note, error) {
	var found Note
	err := r.client.json(ctx, r.get("/notes", query("object_ref", object, "notes_ref", notesRef)), &found)
	return found, err
}

// AddNote writes a note; ErrConflict if the object has one.
func (r *Repo) AddNote(ctx context.Context, in NewNote) (NoteResult, error) {
	return r.writeNote(ctx, http.MethodPost, "add", in)
}

// AppendNote adds to a note, or writes one.
func (r *Repo) AppendNote(ctx context.Context, in NewNote) (NoteResult, error) {
	return r.writeNote(ctx, http.MethodPost, "append", in)
}

// RemoveNote removes a note; its Text does not matter.
func (r *Repo) RemoveNote(ctx context.Context, in NewNote) (NoteResult, error) {
	return r.writeNote(ctx, http.MethodDelete, "", in)
}

func (r *Repo) writeNote(ctx context.Context, method, action string, in NewNote) (NoteResult, error) {
	body := struct {
		Action string `json:"action,omitempty"`
		NewNote
	}{action, in}
	var made NoteResult
	err := r.client.json(ctx, r.write(method, "/notes", body), &made)
	return made, err
}

// NotesRef is a ref with notes.
type NotesRef struct {
	Ref string `json:"ref"`
	SHA string `json:"sha"`
}

// NotesRefs goes through the refs with notes whose name begins so; an empty
// prefix is all. It ends after an error.
func (r *Repo) NotesRefs(ctx context.Context, prefix string) iter.Seq2[NotesRef, error] {
	return list[NotesRef](ctx, r.client, r.get("/notes/refs", query("prefix", prefix, "limit", 100)), "refs")
}
