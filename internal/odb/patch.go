package odb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// PatchLimits bound what a patch may be about.
type PatchLimits struct {
	Paths int // that it changes or that lie below a folder that it names
}

// Patched is what a patch makes of some files: the paths of the tree that git
// looked at, and what becomes of them. It is the same for every tree that has
// the same at these paths.
type Patched struct {
	Changes []TreeChange
	names   []string // of files, as the patch names them
	seen    map[string]git.TreeEntry
	limits  PatchLimits
}

// ApplyPatch applies a patch to a tree, zero for none, as git apply --cached
// --binary does, and puts the new blobs into a pack. Of the tree git sees what
// can matter for the paths that the patch names, and nothing else: neither the
// time nor the memory grows with the tree, and a patch that names an object
// learns nothing of it, and gets it not, unless it is the one at its path.
//
// A patch that does not apply is a Conflict, one that cannot be read Invalid,
// as is one that changes nothing, or a path that no tree may have.
func (sn *Snapshot) ApplyPatch(ctx context.Context, tree git.ObjectID, patch *os.File, limits PatchLimits, pack *PackBuilder) (*Patched, error) {
	v, err := sn.emptyWork()
	if err != nil {
		return nil, err
	}
	defer v.close()
	a := patchWork{gitWork: v, patch: patch}
	written, err := a.names(ctx)
	if err != nil {
		return nil, err
	}
	read, err := a.names(ctx, "-R")
	if err != nil {
		return nil, err
	}
	p := &Patched{limits: limits}
	p.names = slices.Compact(slices.Sorted(slices.Values(append(written, read...))))
	if p.seen, err = p.look(ctx, sn, sn.format(), tree); err != nil {
		return nil, err
	}
	if err := a.showBlobs(ctx, read, p.seen); err != nil {
		return nil, err
	}
	after, err := a.apply(ctx, p.seen)
	if err != nil {
		return nil, err
	}
	if p.Changes, err = changesBetween(p.seen, after); err != nil {
		return nil, err
	}
	return p, a.takeBlobs(ctx, p, pack)
}

// Holds tells whether a tree has at all paths that git looked at what it had
// then, so that Changes are what git would make of it.
func (p *Patched) Holds(ctx context.Context, src TreeSource, f git.ObjectFormat, tree git.ObjectID) (bool, error) {
	now, err := p.look(ctx, src, f, tree)
	return maps.Equal(now, p.seen), err
}

// look returns what can matter for the patch: what lies at the paths that it
// names, files where these have folders, and all that is below where a tree has
// folders.
func (p *Patched) look(ctx context.Context, src TreeSource, f git.ObjectFormat, tree git.ObjectID) (map[string]git.TreeEntry, error) {
	l := looker{src: src, format: f, limit: p.limits.Paths, seen: map[string]git.TreeEntry{}, trees: map[git.ObjectID][]byte{}}
	if len(p.names) > l.limit {
		return nil, l.tooMany()
	}
	for _, name := range p.names {
		if err := l.path(ctx, tree, name); err != nil {
			return nil, err
		}
	}
	return l.seen, nil
}

// looker collects entries of a tree.
type looker struct {
	src    TreeSource
	format git.ObjectFormat
	limit  int
	seen   map[string]git.TreeEntry
	trees  map[git.ObjectID][]byte // that were read
}

func (l *looker) tooMany() error {
	return cairn.Errorf(cairn.TooLarge, "the patch is about more than %d paths (max-commit-files)", l.limit)
}

func (l *looker) tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	if data, ok := l.trees[id]; ok {
		return data, nil
	}
	data, err := l.src.Tree(ctx, id)
	l.trees[id] = data
	return data, err
}

func (l *looker) note(path string, e git.TreeEntry) error {
	l.seen[path] = e
	if len(l.seen) > l.limit {
		return l.tooMany()
	}
	return nil
}

// path follows a path as far as the tree has it.
func (l *looker) path(ctx context.Context, tree git.ObjectID, path string) error {
	if tree.IsZero() || len(path) > git.MaxPathLength {
		return nil
	}
	e := git.TreeEntry{Mode: git.ModeTree, ID: tree}
	at := 0
	for name := range strings.SplitSeq(path, "/") {
		data, err := l.tree(ctx, e.ID)
		if err != nil {
			return err
		}
		var ok bool
		if e, ok, err = git.FindTreeEntry(l.format, data, name); err != nil || !ok {
			return err
		}
		at += len(name)
		if !e.Mode.IsTree() {
			return l.note(path[:at], e)
		}
		at++
	}
	return l.below(ctx, e.ID, path, 0)
}

// below notes all files of a folder.
func (l *looker) below(ctx context.Context, tree git.ObjectID, path string, depth int) error {
	if depth > maxTreeDepth {
		return l.tooMany()
	}
	data, err := l.tree(ctx, tree)
	if err != nil {
		return err
	}
	for r := git.NewTreeReader(l.format, data); ; {
		more, err := r.Next()
		if err != nil || !more {
			return err
		}
		name := path + "/" + string(r.Name)
		if r.Mode.IsTree() {
			err = l.below(ctx, r.ID, name, depth+1)
		} else {
			err = l.note(name, r.Entry())
		}
		if err != nil {
			return err
		}
	}
}

// patchWork is a view in which git applies a patch.
type patchWork struct {
	*gitWork
	patch *os.File
}

// git runs git apply on the patch.
func (a *patchWork) git(ctx context.Context, args ...string) ([]byte, error) {
	if _, err := a.patch.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	out, err := a.run(ctx, gitexec.Command{Args: append([]string{"apply", "--whitespace=nowarn"}, args...), Stdin: a.patch})
	var exit *gitexec.ExitError
	if errors.As(err, &exit) && exit.Code > 0 {
		return nil, a.refusal(exit)
	}
	return out, err
}

// names are the paths that the patch writes, or with -R those that it reads.
func (a *patchWork) names(ctx context.Context, options ...string) ([]string, error) {
	out, err := a.git(ctx, append(options, "--numstat", "-z")...)
	if err != nil {
		return nil, err
	}
	var names []string
	for item := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		parts := bytes.SplitN(item, []byte{'\t'}, 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("git apply --numstat says %q", clipBytes(item))
		}
		names = append(names, string(parts[2]))
	}
	return names, nil
}

// showBlobs puts the blobs of some paths into the view.
func (a *patchWork) showBlobs(ctx context.Context, names []string, seen map[string]git.TreeEntry) error {
	b := a.sn.store.NewPack(a.sn.format())
	defer b.Close()
	var total int64
	for _, name := range names {
		e := seen[name]
		if !e.Mode.IsFile() && !e.Mode.IsSymlink() {
			continue
		}
		r, size, err := a.sn.OpenBlob(ctx, e.ID)
		if err != nil {
			return err
		}
		if total += size; total > a.sn.store.options.GitMemory/2 {
			err = cairn.Errorf(cairn.TooLarge, "the files that the patch changes have more than %d bytes, half of git-memory", a.sn.store.options.GitMemory/2)
		} else {
			_, err = b.AddReader(git.BlobObject, size, r)
		}
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		return nil
	}
	checksum, index, err := b.builder.Finish()
	if err != nil {
		return err
	}
	file := gitexec.PackFile{File: b.spool.File()}
	if file.File == nil {
		data, err := b.spool.Bytes()
		if err != nil {
			return err
		}
		file.Data = bytes.NewReader(data)
	} else {
		file.Data = io.NewSectionReader(file.File, 0, b.spool.Size())
	}
	return a.AddPack(hex.EncodeToString(checksum), file, gitexec.PackFile{Data: bytes.NewReader(index)})
}

// apply applies the patch to an index of these entries and returns those after
// it.
func (a *patchWork) apply(ctx context.Context, before map[string]git.TreeEntry) (map[string]git.TreeEntry, error) {
	var index bytes.Buffer
	for path, e := range before {
		fmt.Fprintf(&index, "%s %s 0\t%s\x00", e.Mode, e.ID, path)
	}
	if _, err := a.run(ctx, gitexec.Command{Args: []string{"update-index", "-z", "--index-info"}, Stdin: &index}); err != nil {
		return nil, err
	}
	if _, err := a.git(ctx, "--cached", "--binary"); err != nil {
		return nil, err
	}
	out, err := a.run(ctx, gitexec.Command{Args: []string{"ls-files", "-s", "-z"}})
	if err != nil {
		return nil, err
	}
	after := map[string]git.TreeEntry{}
	for item := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		if len(item) == 0 {
			continue // of an empty index
		}
		path, stage, e, err := parseEntry(item)
		if err != nil || stage != 0 {
			return nil, fmt.Errorf("git ls-files says %q", clipBytes(item))
		}
		after[path] = e
	}
	return after, nil
}

// changesBetween are the changes that make the one set of files of the other.
func changesBetween(before, after map[string]git.TreeEntry) ([]TreeChange, error) {
	var changes []TreeChange
	for path := range before {
		if _, ok := after[path]; !ok {
			changes = append(changes, TreeChange{Path: path, Delete: true})
		}
	}
	// What goes comes first: a file may take the place of its folder.
	slices.SortFunc(changes, func(a, b TreeChange) int { return strings.Compare(a.Path, b.Path) })
	gone := len(changes)
	for path, e := range after {
		if old := before[path]; old.ID == e.ID && canonical(old.Mode) == e.Mode {
			continue
		}
		if err := git.CheckPath(path); err != nil {
			return nil, cairn.Errorf(cairn.Invalid, "%w", err)
		}
		changes = append(changes, TreeChange{Path: path, Mode: e.Mode, ID: e.ID})
	}
	slices.SortFunc(changes[gone:], func(a, b TreeChange) int { return strings.Compare(a.Path, b.Path) })
	if len(changes) == 0 {
		return nil, cairn.Errorf(cairn.Invalid, "the patch changes nothing")
	}
	return changes, nil
}

// canonical is a mode as git writes it: it has been less strict in the past.
func canonical(m git.FileMode) git.FileMode {
	switch {
	case m.IsFile() && m&0o100 != 0:
		return git.ModeExecutable
	case m.IsFile():
		return git.ModeFile
	}
	return m
}

// takeBlobs puts the new blobs into a pack. The others are those of paths that
// git saw.
func (a *patchWork) takeBlobs(ctx context.Context, p *Patched, pack *PackBuilder) error {
	known := map[git.ObjectID]bool{}
	for _, e := range p.seen {
		known[e.ID] = true
	}
	t := taker{view: a.gitWork, pack: pack, done: known}
	for _, c := range p.Changes {
		if c.Delete || c.Mode.IsSubmodule() {
			continue
		}
		if name := c.Path[strings.LastIndexByte(c.Path, '/')+1:]; c.Mode.IsFile() && git.IsGitmodulesName(name) {
			if err := t.checkModules(ctx, c.ID); err != nil {
				return err
			}
		}
		if known[c.ID] {
			continue
		}
		if err := t.written(c.ID); err != nil {
			return err
		}
	}
	return nil
}

// maxRefusal is how much of what git says a caller is told.
const maxRefusal = 1000

// refusal tells a caller why git does not apply a patch, in git's words.
func (a *patchWork) refusal(exit *gitexec.ExitError) error {
	text := strings.ReplaceAll(exit.Stderr, a.Path(""), "")
	var reasons []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"error: ", "fatal: "} {
			line = strings.TrimPrefix(line, prefix)
		}
		if line != "" && !strings.HasPrefix(line, "warning: ") {
			reasons = append(reasons, line)
		}
	}
	reason := strings.Join(reasons, "; ")
	if len(reason) > maxRefusal {
		reason = strings.ToValidUTF8(reason[:maxRefusal], "") + "..."
	}
	// git's code is 1 for what may apply elsewhere, but not always.
	kind := cairn.Conflict
	switch has := func(text string) bool { return strings.Contains(reason, text) }; {
	case has("both a file and as a directory"):
	case exit.Code != 1, has("invalid path"), has("beyond a symbolic link"):
		kind = cairn.Invalid
	}
	return cairn.Errorf(kind, "the patch does not apply: %s", reason)
}
