package odb

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// FindNote returns the blob of the note on an object below a tree of notes;
// false if there is none. Such a tree has as many levels of folders, named by
// the first digits of the ids, as git found good.
func (sn *Snapshot) FindNote(ctx context.Context, tree, object git.ObjectID) (git.ObjectID, bool, error) {
	rest := object.String()
	for rest != "" {
		data, err := sn.Tree(ctx, tree)
		if err != nil {
			return git.ObjectID{}, false, err
		}
		e, ok, err := git.FindTreeEntry(sn.format(), data, rest)
		if err != nil || ok && e.Mode.IsFile() {
			return e.ID, ok, err
		}
		e, ok, err = git.FindTreeEntry(sn.format(), data, rest[:2])
		if err != nil || !ok || !e.Mode.IsTree() {
			return git.ObjectID{}, false, err
		}
		tree, rest = e.ID, rest[2:]
	}
	return git.ObjectID{}, false, nil
}

// NoteAction is what becomes of a note.
type NoteAction string

// The actions, as git notes calls them.
const (
	AddNote    NoteAction = "add"    // puts the text in the place of a note
	AppendNote NoteAction = "append" // puts it below one, after a blank line
	RemoveNote NoteAction = "remove"
)

// notesRef is what the notes are called in a view, whatever they are called
// outside.
const notesRef = "refs/notes/commits"

// EditNote does what git notes does to the note on an object, starting with the
// notes of a commit, zero for none, and returns the new tree of notes. It puts
// new objects into a pack.
func (sn *Snapshot) EditNote(ctx context.Context, notes, object git.ObjectID, action NoteAction, text string, pack *PackBuilder) (tree git.ObjectID, err error) {
	v, err := sn.gitWork(ctx)
	if err != nil {
		return tree, err
	}
	defer v.close()
	var bases []git.ObjectID
	if !notes.IsZero() {
		links, err := sn.Commit(ctx, notes)
		if err != nil {
			return tree, err
		}
		bases = append(bases, links.Tree)
		if err := v.SetRefs(map[git.RefName]git.ObjectID{notesRef: notes}); err != nil {
			return tree, err
		}
	}
	c := gitexec.Command{
		Args:     []string{"notes", string(action)},
		Operands: []string{object.String()},
		Config:   []string{"user.name=cairn", "user.email=cairn@localhost"}, // of a commit that nobody keeps
	}
	if action != RemoveNote {
		c.Args = append(c.Args, "-F", "-")
		c.Stdin = strings.NewReader(text)
	}
	if action == AddNote {
		c.Args = append(c.Args, "-f")
	}
	if _, err := v.run(ctx, c); err != nil {
		return tree, err
	}
	if tree, err = v.notesTree(); err != nil {
		return tree, err
	}
	return tree, v.take(ctx, tree, pack, bases...)
}

// notesTree is the tree of the notes that git wrote.
func (v *gitWork) notesTree() (git.ObjectID, error) {
	data, err := os.ReadFile(v.Path(notesRef))
	if errors.Is(err, os.ErrNotExist) {
		return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "the note holds nothing that git keeps")
	}
	if err != nil {
		return git.ObjectID{}, err
	}
	id, err := git.ParseObjectID(strings.TrimSpace(string(data)))
	if err != nil {
		return id, err
	}
	o, err := v.loose(id)
	if err != nil {
		return id, err
	}
	if o == nil {
		return id, noObject(id)
	}
	defer o.Close()
	commit, err := io.ReadAll(o)
	if err != nil {
		return id, err
	}
	links, err := git.ParseCommitLinks(v.sn.format(), commit)
	return links.Tree, err
}
