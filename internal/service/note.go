package service

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

const (
	notesPrefix  = "refs/notes/"
	defaultNotes = "commits"
	// maxNote is the longest text of a note in bytes.
	maxNote = 1 << 20
)

// Note is a note on an object.
type Note struct {
	Object git.ObjectID
	Text   string       // without line feeds at its end
	Tip    git.ObjectID // of the notes
}

// NoteChange is what is to become of a note.
type NoteChange struct {
	// Object is what the note is on: a revision, or the full id of any object.
	Object string
	// Ref is where the notes are: reviews, notes/reviews and
	// refs/notes/reviews are the same. Empty means refs/notes/commits.
	Ref    string
	Action odb.NoteAction
	Text   string
	Author Identity // zero means the name of the token's holder
	// Expected guards the change: the commit that the notes are at, or zeros
	// for none. Empty means no guard.
	Expected string
}

// NoteResult tells what became of a note.
type NoteResult struct {
	Object   git.ObjectID
	Ref      git.RefName
	Old, New git.ObjectID // of the ref; Old is zero if there were no notes
}

// notesRef is the ref of notes that a caller names.
func notesRef(name string) (git.RefName, error) {
	full, err := belowNotes(name)
	if err != nil {
		return "", err
	}
	if full == notesPrefix {
		full += defaultNotes
	}
	ref, err := git.ParseRefName(full)
	if err != nil {
		return "", cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return ref, nil
}

// belowNotes gives the full form of a name, or of its beginning.
func belowNotes(name string) (string, error) {
	short, full := strings.CutPrefix(name, "refs/")
	rest, ok := strings.CutPrefix(short, "notes/")
	if full && !ok {
		return "", cairn.Errorf(cairn.Invalid, "ref %q is not below %s", cairn.Clip(name), notesPrefix)
	}
	return notesPrefix + rest, nil
}

// noteObject finds the object that a note is on. One with a full id need not be
// there any more for its note to be read or removed.
func noteObject(ctx context.Context, sn *odb.Snapshot, name string, there bool) (git.ObjectID, error) {
	if name == "" {
		return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "the object of the note is required")
	}
	id, err := git.ParseObjectID(strings.ToLower(name))
	if err != nil || id.Format() != sn.Repository().Format {
		return Revision{Name: name}.resolve(ctx, sn)
	}
	if there {
		ok, err := sn.Reachable(ctx, odb.FullView, id)
		if err == nil && !ok {
			err = cairn.Errorf(cairn.NotFound, "object %s not found", id)
		}
		return id, err
	}
	return id, nil
}

// findNote returns the blob of a note; false if there is none.
func findNote(ctx context.Context, sn *odb.Snapshot, ref, object git.ObjectID) (git.ObjectID, bool, error) {
	if ref.IsZero() {
		return git.ObjectID{}, false, nil
	}
	commit, err := sn.PeelToCommit(ctx, ref)
	if err != nil {
		return git.ObjectID{}, false, err
	}
	tree, err := treeOf(ctx, sn, commit)
	if err != nil {
		return git.ObjectID{}, false, err
	}
	return sn.FindNote(ctx, tree, object)
}

func noNote(object git.ObjectID, ref git.RefName) error {
	return cairn.Errorf(cairn.NotFound, "no note on %s in %s", object, ref)
}

// Note returns the note on an object.
func (s *Service) Note(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, object, ref string) (Note, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return Note{}, err
	}
	defer sn.Close()
	name, err := notesRef(ref)
	if err != nil {
		return Note{}, err
	}
	var out Note
	if out.Object, err = noteObject(ctx, sn, object, false); err != nil {
		return Note{}, err
	}
	at, _ := sn.Ref(name)
	out.Tip = at.Target
	blob, ok, err := findNote(ctx, sn, out.Tip, out.Object)
	if err == nil && !ok {
		err = noNote(out.Object, name)
	}
	if err != nil {
		return Note{}, err
	}
	o, err := sn.Object(ctx, blob)
	out.Text = strings.TrimRight(string(o.Data), "\n")
	return out, err
}

// noteWriter is a change of a note under way.
type noteWriter struct {
	service *Service
	who     cairn.Actor
	repo    cairn.RepositoryName
	in      NoteChange
	ref     git.RefName
	author  git.Signature
}

// ChangeNote adds, appends to or removes a note, as git notes does. Adding to an
// object that has a note already is a Conflict.
func (s *Service) ChangeNote(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in NoteChange) (NoteResult, error) {
	w := &noteWriter{service: s, who: who, repo: repo, in: in}
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return NoteResult{}, err
	}
	key := sn.Repository().RepositoryKey
	err = w.check(sn)
	sn.Close()
	if err != nil {
		return NoteResult{}, err
	}
	if err := admission.Enter(ctx, admission.Commit); err != nil {
		return NoteResult{}, err
	}
	var done NoteResult
	err = errNotMade
	turn := &queuedCommit{ctx: ctx, alone: func() { done, err = w.write(ctx) }}
	if waited := s.commits.do(ctx, branchKey(key, w.ref), turn, s.makeCommits); waited != nil {
		return NoteResult{}, waited
	}
	return done, err
}

func (w *noteWriter) check(sn *odb.Snapshot) (err error) {
	in := &w.in
	switch in.Action {
	case odb.AddNote, odb.AppendNote:
		switch {
		case strings.TrimSpace(in.Text) == "":
			return cairn.Errorf(cairn.Invalid, "the note is blank")
		case len(in.Text) > maxNote:
			return cairn.Errorf(cairn.TooLarge, "the note is longer than %d bytes", maxNote)
		case !utf8.ValidString(in.Text):
			return cairn.Errorf(cairn.Invalid, "the note is not UTF-8")
		}
	case odb.RemoveNote:
	default:
		return cairn.Errorf(cairn.Invalid, "action %q: use add, append or remove", cairn.Clip(string(in.Action)))
	}
	if w.ref, err = notesRef(in.Ref); err != nil {
		return err
	}
	if in.Author == (Identity{}) {
		// A token may be called anything.
		in.Author = Identity{Name: strings.Map(plain, w.who.Name), Email: "notes@cairn.invalid"}
		if strings.TrimSpace(in.Author.Name) == "" || len(in.Author.Name) > maxIdentity {
			in.Author.Name = "cairn"
		}
	}
	if w.author, err = signature("author", in.Author, w.service.now()); err != nil {
		return err
	}
	return checkNoPush(w.who, sn.Repository(), w.ref)
}

// plain drops what the name of an author cannot have.
func plain(r rune) rune {
	if r < ' ' || r == '<' || r == '>' {
		return -1
	}
	return r
}

// write makes the change on the notes as they are. Only a push can be faster.
func (w *noteWriter) write(ctx context.Context) (done NoteResult, err error) {
	var conflict *cairn.RefConflict
	for range maxMergeTries {
		err = onNewState(ctx, func() (err error) {
			done, err = w.try(ctx)
			return err
		})
		if !errors.As(err, &conflict) {
			return done, err
		}
		if err := ctx.Err(); err != nil {
			return NoteResult{}, err
		}
	}
	return NoteResult{}, cairn.Errorf(cairn.Conflict, "the notes keep moving: try again later")
}

func (w *noteWriter) try(ctx context.Context) (NoteResult, error) {
	s := w.service
	sn, err := s.open(ctx, w.who, w.repo, cairn.GitWrite)
	if err != nil {
		return NoteResult{}, err
	}
	defer sn.Close()
	at, _ := sn.Ref(w.ref)
	done := NoteResult{Ref: w.ref, Old: at.Target}
	if done.Object, err = noteObject(ctx, sn, w.in.Object, w.in.Action != odb.RemoveNote); err != nil {
		return NoteResult{}, err
	}
	guard, guarded, err := parseGuard(w.in.Expected, sn.Repository().Format)
	if err != nil {
		return NoteResult{}, err
	}
	if guarded && guard != done.Old && !(guard.IsZero() && done.Old.IsZero()) {
		return NoteResult{}, cairn.Errorf(cairn.Stale, "expected commit %s, but %w", guard, &TipError{string(w.ref), done.Old})
	}
	_, exists, err := findNote(ctx, sn, done.Old, done.Object)
	switch {
	case err != nil:
		return NoteResult{}, err
	case exists && w.in.Action == odb.AddNote:
		return NoteResult{}, cairn.Errorf(cairn.Conflict, "there is a note on %s in %s already", done.Object, w.ref)
	case !exists && w.in.Action == odb.RemoveNote:
		return NoteResult{}, noNote(done.Object, w.ref)
	}
	return done, w.commit(ctx, sn, &done)
}

// commit makes the commit of the changed notes.
func (w *noteWriter) commit(ctx context.Context, sn *odb.Snapshot, done *NoteResult) (err error) {
	s := w.service
	pack := s.store.NewPack(sn.Repository().Format)
	defer pack.Close()
	commit := &git.Commit{Author: w.author, Committer: w.author, Message: noteMessages[w.in.Action]}
	var tip git.ObjectID
	if !done.Old.IsZero() {
		if tip, err = sn.PeelToCommit(ctx, done.Old); err != nil {
			return err
		}
		commit.Parents = []git.ObjectID{tip}
	}
	if commit.Tree, err = sn.EditNote(ctx, tip, done.Object, w.in.Action, w.in.Text, pack); err != nil {
		return err
	}
	if done.New, err = addCommit(pack, sn.Repository().Format, commit); err != nil {
		return err
	}
	return s.storeOne(ctx, sn, pack, refWrite{
		Who:     w.who,
		Updates: []cairn.RefUpdate{{Name: w.ref, Old: done.Old, New: done.New}},
		History: &batch{Snapshot: sn, commits: map[git.ObjectID]*git.Commit{done.New: commit}},
	})
}

// noteMessages are git's own.
var noteMessages = map[odb.NoteAction]string{
	odb.AddNote:    "Notes added by 'git notes add'\n",
	odb.AppendNote: "Notes added by 'git notes append'\n",
	odb.RemoveNote: "Notes removed by 'git notes remove'\n",
}

// NotesRef is a ref of notes.
type NotesRef struct {
	Ref    git.RefName
	Tip    git.ObjectID
	Cursor string // of the page that begins after it
}

// NotesPage is a part of the list of a repository's refs of notes.
type NotesPage struct {
	Prefix string // that all of them have
	Refs   []NotesRef
	Next   string // the cursor of the next page; empty at the end
}

// ListNotes returns the refs of notes that begin with a prefix, by name.
func (s *Service) ListNotes(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, prefix, cursor string, limit int) (NotesPage, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return NotesPage{}, err
	}
	defer sn.Close()
	page := NotesPage{Refs: []NotesRef{}}
	if page.Prefix, err = belowNotes(prefix); err != nil {
		return NotesPage{}, err
	}
	if len(page.Prefix) > git.MaxRefNameLength {
		return NotesPage{}, cairn.Errorf(cairn.Invalid, "prefix %q is longer than any ref", cairn.Clip(prefix))
	}
	listing := list("notes", sn, page.Prefix)
	position, err := listing.position(cursor, 1)
	if err != nil {
		return NotesPage{}, err
	}
	refs := sn.RefsBelow(page.Prefix)
	if position != nil {
		for len(refs) > 0 && string(refs[0].Name) <= position[0] {
			refs = refs[1:]
		}
	}
	limit = clampLimit(limit, refsPerPage, maxRefsPerPage)
	for _, ref := range refs[:min(limit, len(refs))] {
		page.Refs = append(page.Refs, NotesRef{ref.Name, ref.Target, listing.cursor(string(ref.Name))})
	}
	if len(refs) > limit {
		page.Next = page.Refs[limit-1].Cursor
	}
	return page, nil
}
