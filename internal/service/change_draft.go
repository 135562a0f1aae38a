package service

import (
	"context"
	"math"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/odb"
)

// ChangeFile is a path that a change changes.
type ChangeFile struct {
	Path    string
	Content []byte
	// Mode is that of a regular file; zero keeps the mode of an existing one.
	Mode   git.FileMode
	Delete bool // of the file, or the folder with all that is in it
}

// changeDraft makes new commits of changes. What it makes can be read as if it
// were stored.
type changeDraft struct {
	*changeState
	who        cairn.Actor
	pack       *odb.PackBuilder
	made       map[git.ObjectID][]byte // trees and blobs
	commits    map[git.ObjectID]*git.Commit
	notes      []cairn.ChangeCommit // Version and Ordinal are set when they are stored
	updates    []cairn.RefUpdate
	written    []writtenChange
	mergedInto git.RefName // the branch into which another was merged; empty if none
	merging    *odb.Merge  // what git made for it lies there; nil if nothing

	// relied has the last noted commit, if any, of each change whose present
	// commit was asked for: it must be the same still when the write is done.
	relied map[git.ChangeID]git.ObjectID
	// alone tells that no ref may have been moved since the state that the
	// write was made on: it is about all that refs lead to.
	alone bool
}

func (c *changeState) draft(who cairn.Actor) *changeDraft {
	return &changeDraft{
		changeState: c, who: who, pack: c.service.store.NewPack(c.Repository().Format),
		made: map[git.ObjectID][]byte{}, commits: map[git.ObjectID]*git.Commit{}, relied: map[git.ChangeID]git.ObjectID{},
	}
}

func (d *changeDraft) close() {
	d.pack.Close()
	if d.merging != nil {
		d.merging.Close()
	}
}

// Tree returns a tree, a new one too.
func (d *changeDraft) Tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	if data, ok := d.made[id]; ok {
		return data, nil
	}
	if d.merging != nil {
		return d.merging.ReadTree(ctx, id)
	}
	return d.Snapshot.Tree(ctx, id)
}

// Blob returns a blob, a new one too.
func (d *changeDraft) Blob(ctx context.Context, id git.ObjectID, max int64) ([]byte, error) {
	if data, ok := d.made[id]; ok && int64(len(data)) <= max {
		return data, nil
	} else if ok {
		return nil, diff.ErrTooLarge
	}
	if d.merging != nil {
		data, size, err := d.merging.Blob(ctx, id, max)
		if err == nil && size > max {
			err = diff.ErrTooLarge
		}
		return data, err
	}
	return d.Snapshot.Blob(ctx, id, max)
}

// BlobSize returns the size of a blob, a new one too.
func (d *changeDraft) BlobSize(ctx context.Context, id git.ObjectID) (int64, error) {
	if data, ok := d.made[id]; ok {
		return int64(len(data)), nil
	}
	if d.merging != nil {
		_, size, err := d.merging.Blob(ctx, id, 0)
		return size, err
	}
	return d.Snapshot.BlobSize(ctx, id)
}

// FullCommit returns a commit, a new one too.
func (d *changeDraft) FullCommit(ctx context.Context, id git.ObjectID) (*git.Commit, error) {
	if commit, ok := d.commits[id]; ok {
		return commit, nil
	}
	return d.Snapshot.FullCommit(ctx, id)
}

// Commit returns the links of a commit, a new one too.
func (d *changeDraft) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	if c, ok := d.commits[id]; ok {
		return c.Links(), nil
	}
	return d.Snapshot.Commit(ctx, id)
}

// PeelToCommit follows tags to a commit, a new one too.
func (d *changeDraft) PeelToCommit(ctx context.Context, id git.ObjectID) (git.ObjectID, error) {
	if _, ok := d.commits[id]; ok {
		return id, nil
	}
	return d.Snapshot.PeelToCommit(ctx, id)
}

// treesOf is changeState.trees for new commits too.
func (d *changeDraft) treesOf(ctx context.Context, id git.ObjectID) ([]term, error) {
	if id.IsZero() {
		return d.trees(ctx, id)
	}
	full, err := d.FullCommit(ctx, id)
	if err != nil {
		return nil, err
	}
	return commitTrees(ctx, d.Repository().Format, d, full)
}

// maxMade bounds what one write of changes may make, in bytes.
const maxMade = 64 << 20

// emit puts a new object into the pack.
func (d *changeDraft) emit(t git.ObjectType, data []byte) (git.ObjectID, error) {
	if t == git.TreeObject {
		if err := git.CheckObject(d.Repository().Format, t, data); err != nil {
			return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "%w", err)
		}
	}
	if d.pack.Size() > maxMade {
		return git.ObjectID{}, cairn.Errorf(cairn.TooLarge, "the write makes more than %d bytes of new objects", int64(maxMade))
	}
	id, err := d.pack.Add(t, data)
	if err == nil {
		d.made[id] = data
	}
	return id, blobError(err)
}

// addBlob is emit of a file's content.
func (d *changeDraft) addBlob(name string, data []byte) (git.ObjectID, error) {
	if limit := d.service.limits.FileSize; int64(len(data)) > limit {
		return git.ObjectID{}, cairn.Errorf(cairn.TooLarge, "%q has more than the limit of %d bytes (max-file-size)", cairn.Clip(name), limit)
	}
	if git.IsGitmodulesName(path.Base(name)) {
		if err := git.CheckGitmodules(data); err != nil {
			return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "%q: %w", cairn.Clip(name), err)
		}
	}
	return d.emit(git.BlobObject, data)
}

// checkFiles returns the changes of paths, at most one for each, as odb has
// them, their contents in the pack.
func (d *changeDraft) checkFiles(ctx context.Context, files []ChangeFile) ([]odb.TreeChange, error) {
	list := make([]FileChange, len(files))
	contents := make(map[string][]byte, len(files))
	for i, f := range files {
		name := strings.TrimLeft(f.Path, "/")
		list[i] = FileChange{Path: name, ContentID: name, Delete: f.Delete, Mode: f.Mode}
		switch f.Mode {
		case 0, git.ModeFile, git.ModeExecutable:
		default:
			return nil, cairn.Errorf(cairn.Invalid, "mode %s of %q: use 100644 or 100755", f.Mode, cairn.Clip(f.Path))
		}
		if !f.Delete {
			contents[name] = f.Content // later wins
		}
		if first, _, _ := strings.Cut(name, "/"); git.IsConflictEntry(first) {
			return nil, cairn.Errorf(cairn.Invalid, "path %q is one of those in which conflicts are stored", cairn.Clip(f.Path))
		}
	}
	checked, err := d.service.checkChanges(list)
	if err != nil {
		return nil, err
	}
	if len(checked) > manyChanges {
		if err := admission.Enter(ctx, admission.Commit); err != nil {
			return nil, err
		}
	}
	changes := make([]odb.TreeChange, len(checked))
	for i, c := range checked {
		changes[i] = odb.TreeChange{Path: c.Path, Delete: c.Delete, Mode: c.Mode}
		if !c.Delete {
			if changes[i].ID, err = d.addBlob(c.Path, contents[c.Path]); err != nil {
				return nil, err
			}
		}
	}
	return changes, nil
}

// edit applies changes to a tree, or to each tree of a conflict. Of a conflict
// it is enough if one of them has what is deleted.
func (d *changeDraft) edit(ctx context.Context, trees []term, changes []odb.TreeChange) ([]term, error) {
	out := slices.Clone(trees)
	missing := make([]int, len(changes))
	for i, t := range trees {
		apply := changes
		if len(trees) > 1 {
			apply = nil
			for n, c := range changes {
				if c.Delete {
					if _, err := d.lookup(ctx, t.tree, c.Path); err != nil {
						if err := noHistory(err); err != nil {
							return nil, err
						}
						missing[n]++
						if missing[n] < len(trees) {
							continue
						}
					}
				}
				apply = append(apply, c)
			}
		}
		id, err := odb.EditTree(ctx, d.Repository().Format, d, t.tree, apply, func(tree []byte) (git.ObjectID, error) { return d.emit(git.TreeObject, tree) })
		if err != nil {
			return nil, err
		}
		out[i].tree = id
	}
	return d.sum(ctx, out)
}

// lookup finds what lies at a path of a tree; NotFound if nothing does.
func (d *changeDraft) lookup(ctx context.Context, tree git.ObjectID, name string) (git.TreeEntry, error) {
	entry := git.TreeEntry{Mode: git.ModeTree, ID: tree}
	for part := range strings.SplitSeq(name, "/") {
		if !entry.Mode.IsTree() {
			return entry, cairn.NotFound
		}
		data, err := d.Tree(ctx, entry.ID)
		if err != nil {
			return entry, err
		}
		var ok bool
		if entry, ok, err = git.FindTreeEntry(d.Repository().Format, data, part); err != nil {
			return entry, err
		} else if !ok {
			return entry, cairn.NotFound
		}
	}
	return entry, nil
}

// sum adds trees up. What comes of it is one tree, or as few as the conflict
// can be told with.
func (d *changeDraft) sum(ctx context.Context, terms []term) ([]term, error) {
	terms = diff.Simplify(terms, sameTree)
	if len(terms) == 1 {
		return []term{{tree: terms[0].tree}}, nil
	}
	if len(terms) > git.MaxConflictTerms {
		return nil, cairn.Errorf(cairn.TooLarge, "the conflict would have more than %d terms: resolve some first", git.MaxConflictTerms)
	}
	sum := odb.TreeSum{Format: d.Repository().Format, Source: d, Entries: d.service.limits.WalkEntries, Emit: d.emit}
	trees, err := sum.Sum(ctx, treeIDs(terms))
	if err != nil {
		return nil, err
	}
	if len(trees) == 1 {
		return []term{{tree: trees[0]}}, nil
	}
	for i := range terms {
		terms[i].tree = trees[i]
	}
	return diff.Simplify(terms, sameTree), nil
}

// put makes a commit of a change with these trees and returns its id. It
// replaces an old one, unless that is zero.
func (d *changeDraft) put(ctx context.Context, id git.ChangeID, old git.ObjectID, commit *git.Commit, trees []term) (git.ObjectID, error) {
	conflict := git.Conflict{}
	commit.Tree = trees[0].tree
	if len(trees) > 1 {
		readme, err := d.emit(git.BlobObject, []byte(git.ConflictReadmeText))
		if err != nil {
			return git.ObjectID{}, err
		}
		conflict = git.Conflict{Trees: treeIDs(trees), Labels: labels(trees)}
		data, err := d.Tree(ctx, trees[0].tree)
		if err != nil {
			return git.ObjectID{}, err
		}
		first, err := git.ParseTree(d.Repository().Format, data)
		if err != nil {
			return git.ObjectID{}, err
		}
		if commit.Tree, err = d.emit(git.TreeObject, git.EncodeTree(git.ConflictEntries(first, conflict.Trees, readme))); err != nil {
			return git.ObjectID{}, err
		}
	}
	if slices.ContainsFunc(trees, func(t term) bool { return t.tree == d.Repository().Format.EmptyTree() }) {
		if _, err := d.emit(git.TreeObject, nil); err != nil { // stored like any other
			return git.ObjectID{}, err
		}
	}
	commit.SetChange(id, conflict)
	made, err := addCommit(d.pack, d.Repository().Format, commit)
	if err != nil {
		return made, err
	}
	d.commits[made] = commit
	d.written = append(d.written, writtenChange{made, old})
	d.notes = append(d.notes, cairn.ChangeCommit{Change: id, Commit: made, At: d.service.now().UTC()})
	return made, nil
}

// labels are the labels of a conflict; none if nothing is said of any tree.
func labels(trees []term) []string {
	out := make([]string, len(trees))
	said := false
	for i, t := range trees {
		out[i] = strings.ReplaceAll(t.label, "\n", " ")
		said = said || t.label != ""
	}
	if !said {
		return nil
	}
	return out
}

// move puts a ref at an object, or takes it away, whatever was to become of it
// before.
func (d *changeDraft) move(name git.RefName, to git.ObjectID) {
	present, _ := d.Ref(name)
	d.updates = slices.DeleteFunc(d.updates, func(u cairn.RefUpdate) bool { return u.Name == name })
	if present.Target != to {
		d.updates = append(d.updates, cairn.RefUpdate{Name: name, Old: present.Target, New: to})
	}
}

// store makes all of it happen. A write that moves no ref has nothing to store.
func (d *changeDraft) store(ctx context.Context) error {
	if len(d.updates) == 0 {
		return nil
	}
	w := refWrite{Who: d.who, Updates: d.updates, History: d, Also: d.noteIn, Written: d.written, Merged: d.mergedInto}
	if d.pack.Len() == 0 {
		return d.service.apply(ctx, d.Snapshot, w)
	}
	return d.service.storeOne(ctx, d.Snapshot, d.pack, w)
}

// find is changeState.find for a change that the write relies on.
func (d *changeDraft) find(ctx context.Context, id git.ChangeID) (git.ObjectID, error) {
	if err := d.rely(ctx, id); err != nil {
		return git.ObjectID{}, err
	}
	return d.changeState.find(ctx, id)
}

// rely has the write fail, with a RefConflict, if a change gets another commit
// before it, or got one after the state that the write is made on.
func (d *changeDraft) rely(ctx context.Context, id git.ChangeID) error {
	return d.service.metadata.View(ctx, func(tx cairn.Tx) error {
		last, err := lastNoted(tx, d.Repository().RepositoryKey, id)
		if err != nil {
			return err
		}
		if last.Version > d.Repository().Version {
			return &cairn.RefConflict{Update: cairn.RefUpdate{Name: odb.ChangeRef(id)}, Current: last.Commit}
		}
		d.relied[id] = last.Commit
		return nil
	})
}

// lastNoted is the commit of a change that was noted last; zero if none was.
func lastNoted(tx cairn.Tx, key cairn.RepositoryKey, id git.ChangeID) (cairn.ChangeCommit, error) {
	commits, err := tx.Changes().Of(key, id, 1)
	if err != nil || len(commits) == 0 {
		return cairn.ChangeCommit{}, err
	}
	return commits[0], nil
}

// checkState makes sure, in the transaction of a write, that the changes that it
// relies on are as they were. Another write that came between makes it a
// RefConflict.
func (d *changeDraft) checkState(tx cairn.Tx, r cairn.Repository) error {
	for id, expected := range d.relied {
		last, err := lastNoted(tx, r.RepositoryKey, id)
		if err != nil {
			return err
		}
		if last.Commit != expected {
			return &cairn.RefConflict{Update: cairn.RefUpdate{Name: odb.ChangeRef(id), Old: expected}, Current: last.Commit}
		}
	}
	since := d.Repository().Version
	if !d.alone || r.Version == since+1 {
		return nil
	}
	events, err := tx.Events().List(r.RepositoryKey, since, math.MaxInt32, maxBetween)
	if err != nil {
		return err
	}
	for i, e := range events {
		if odb.ChangeView.Shows(e.Name) || i == maxBetween-1 {
			return &cairn.RefConflict{Update: e.RefUpdate, Current: e.New}
		}
	}
	return nil
}

// maxBetween is how many events are looked at to see whether they stand in the
// way of a write.
const maxBetween = 100

// noteIn notes the new commits in their own transaction. If all was noted
// before it, all is noted after it.
func (d *changeDraft) noteIn(tx cairn.Tx, r cairn.Repository) error {
	if err := d.checkState(tx, r); err != nil {
		return err
	}
	notes := slices.Clone(d.notes)
	for i := range notes {
		notes[i].Version, notes[i].Ordinal = r.Version, i
	}
	if err := tx.Changes().Note(r.RepositoryKey, notes); err != nil {
		return err
	}
	if d.service.noted.get(r.RepositoryKey) < r.Version-1 {
		return nil
	}
	return tx.Changes().SetNoted(r.RepositoryKey, r.Version)
}

// changeMessage returns a message as it is stored; none is fine.
func changeMessage(message string) (string, error) {
	if message == "" {
		return "", nil
	}
	if strings.TrimSpace(message) == "" && utf8.ValidString(message) {
		return "", nil
	}
	return checkMessage(message)
}

// caller is who makes a commit that names nobody: the first author whom the
// credential acts for, or what it is called.
func (d *changeDraft) caller() Identity {
	if len(d.who.Authors) > 0 {
		return Identity{Name: d.who.Authors[0].Name, Email: d.who.Authors[0].Email}
	}
	name := d.who.Name
	if name == "" {
		name = string(d.who.Organization.Name)
	}
	return Identity{Name: strings.Map(func(r rune) rune {
		if strings.ContainsRune("<>\n\x00", r) {
			return -1
		}
		return r
	}, name)}
}
