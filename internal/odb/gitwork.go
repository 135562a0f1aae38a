package odb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zlib"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// gitWork is a view in which stock git makes new objects for one request. They
// lie in it as loose ones, apart from the repository, until a PackBuilder takes
// them.
type gitWork struct {
	*gitexec.View
	sn    *Snapshot
	leave func() error // ends the use of the view
}

// errNoGit is the error of what only git can do.
var errNoGit = cairn.Errorf(cairn.Unavailable, "this server has no git to do that with")

// emptyWork makes a view that shows no objects yet.
func (sn *Snapshot) emptyWork() (*gitWork, error) {
	if sn.store.options.Git == nil {
		return nil, errNoGit
	}
	v, err := sn.store.options.Git.NewView(sn.store.options.ScratchDir, sn.format())
	if err != nil {
		return nil, err
	}
	return &gitWork{v, sn, v.Close}, nil
}

// gitWork makes a view that shows all of the snapshot's packs, those parts of
// them too that no ref of the repository leads to: what git is asked there must
// follow from objects that the caller may have.
func (sn *Snapshot) gitWork(ctx context.Context) (*gitWork, error) {
	v, err := sn.newGitView(ctx)
	if errors.Is(err, gitexec.ErrUnavailable) {
		return nil, errNoGit
	}
	if err != nil {
		return nil, err
	}
	return &gitWork{v, sn, v.Close}, nil
}

// close removes what git wrote.
func (v *gitWork) close() {
	if err := v.leave(); err != nil {
		v.sn.store.options.Logger.Warn("scratch directory left behind", "error", err)
	}
}

// maxGitOutput bounds what a command may print.
const maxGitOutput = 32 << 20

// run runs a command for a request that waits, within Options.GitTime and
// Options.GitMemory, and returns what it prints.
func (v *gitWork) run(ctx context.Context, c gitexec.Command) ([]byte, error) {
	o := &v.sn.store.options
	limited, cancel := context.WithTimeout(ctx, o.GitTime)
	defer cancel()
	out := &boundedBuffer{left: maxGitOutput}
	c.Stdout, c.Memory = out, o.GitMemory
	err := v.Run(limited, c)
	var exit *gitexec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, o.tooSlow(c.Args[0])
	case out.left < 0:
		return nil, cairn.Errorf(cairn.TooLarge, "git %s has more than %d bytes to tell", c.Args[0], maxGitOutput)
	case errors.As(err, &exit) && strings.Contains(exit.Stderr, "ut of memory"):
		return nil, cairn.Errorf(cairn.TooLarge, "git %s needs more than %d bytes of memory (git-memory)", c.Args[0], o.GitMemory)
	}
	return out.Bytes(), err
}

// tooSlow is the error of a command that ran for GitTime.
func (o *Options) tooSlow(command string) error {
	return cairn.Errorf(cairn.TooLarge, "git %s takes longer than %s (git-time)", command, o.GitTime)
}

// boundedBuffer takes what fits and then fails.
type boundedBuffer struct {
	bytes.Buffer
	left int // negative once something did not fit
}

var errFull = errors.New("more output than is taken")

// Write takes all of p or nothing.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.left = -1
		return 0, errFull
	}
	return b.Buffer.Write(p)
}

// looseObject is an object that git wrote, read from its start.
type looseObject struct {
	Type git.ObjectType
	Size int64
	io.Reader
	file   *os.File
	stream io.ReadCloser
}

// Close closes the object's file.
func (o *looseObject) Close() error { return errors.Join(o.stream.Close(), o.file.Close()) }

// loose opens an object that git wrote in the view; nil if it wrote none of that
// id.
func (v *gitWork) loose(id git.ObjectID) (*looseObject, error) {
	hex := id.String()
	f, err := os.Open(v.Path("objects/" + hex[:2] + "/" + hex[2:]))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stream, err := zlib.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("object %s that git wrote: %w", id, err), f.Close())
	}
	o := &looseObject{file: f, stream: stream}
	if err := o.readHeader(); err != nil {
		return nil, errors.Join(fmt.Errorf("object %s that git wrote: %w", id, err), o.Close())
	}
	return o, nil
}

// readHeader reads "blob 12\0".
func (o *looseObject) readHeader() error {
	r := bufio.NewReader(o.stream)
	header, err := r.ReadString(0)
	if err != nil {
		return err
	}
	kind, size, _ := strings.Cut(strings.TrimSuffix(header, "\x00"), " ")
	if o.Type, err = git.ParseObjectType(kind); err != nil {
		return err
	}
	if o.Size, err = strconv.ParseInt(size, 10, 64); err != nil || o.Size < 0 {
		return fmt.Errorf("malformed size %q", size)
	}
	o.Reader = io.LimitReader(r, o.Size)
	return nil
}

// looseTree returns the bytes of a tree that git wrote; written is false if it
// wrote none of that id.
func (v *gitWork) looseTree(id git.ObjectID) (data []byte, written bool, err error) {
	o, err := v.loose(id)
	if o == nil || err != nil {
		return nil, false, err
	}
	defer o.Close()
	if limit := v.sn.store.options.MaxBuffered; o.Type != git.TreeObject || o.Size > limit {
		return nil, false, cairn.Errorf(cairn.TooLarge, "object %s is a %s of %d bytes, where a tree of at most %d can be", id, o.Type, o.Size, limit)
	}
	data, err = io.ReadAll(o)
	return data, true, err
}

// blob returns up to max bytes of a blob from its start, one that git wrote or
// one of the repository, and its size.
func (v *gitWork) blob(ctx context.Context, id git.ObjectID, max int64) (data []byte, size int64, err error) {
	o, err := v.loose(id)
	if err != nil {
		return nil, 0, err
	}
	var r io.ReadCloser
	if o != nil {
		r, size = o, o.Size
	} else if r, size, err = v.sn.OpenBlob(ctx, id); err != nil {
		return nil, 0, err
	}
	defer r.Close()
	data, err = io.ReadAll(io.LimitReader(r, max))
	return data, size, err
}

// take puts what git wrote below a tree into a pack, the tree last. bases are
// trees of the repository that its parts are expected to come from.
func (v *gitWork) take(ctx context.Context, tree git.ObjectID, pack *PackBuilder, bases ...git.ObjectID) error {
	t := taker{view: v, pack: pack, done: map[git.ObjectID]bool{}}
	written, err := t.tree(ctx, tree, bases)
	if err == nil && !written {
		err = t.keep(ctx, git.TreeEntry{Mode: git.ModeTree, ID: tree})
	}
	return err
}

// taker puts objects that git wrote into a pack. The rule that it holds: what a
// new object names is in the pack or reachable in the repository. That packs of
// the repository hold it is not enough: a repack may drop it the next moment.
type taker struct {
	view *gitWork
	pack *PackBuilder
	done map[git.ObjectID]bool
}

// tree takes a tree with what is below it, if git wrote it.
func (t *taker) tree(ctx context.Context, id git.ObjectID, bases []git.ObjectID) (written bool, err error) {
	if t.done[id] {
		return true, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	data, written, err := t.view.looseTree(id)
	if !written || err != nil {
		return false, err
	}
	t.done[id] = true
	known, below, err := t.readBases(ctx, bases)
	if err != nil {
		return false, err
	}
	f := t.view.sn.format()
	for r := git.NewTreeReader(f, data); ; {
		more, err := r.Next()
		if err != nil {
			return false, err
		}
		if !more {
			break
		}
		if r.Mode.IsFile() && mayBeGitmodules(r.Name) && git.IsGitmodulesName(string(r.Name)) {
			if err := t.checkModules(ctx, r.ID); err != nil {
				return false, err
			}
		}
		if known[r.ID] || r.Mode.IsSubmodule() {
			continue
		}
		if err := t.entry(ctx, r.Entry(), below[string(r.Name)]); err != nil {
			return false, err
		}
	}
	if err := git.CheckObject(f, git.TreeObject, data); err != nil {
		return false, cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return true, t.same(id)(t.pack.Add(git.TreeObject, data))
}

// checkModules refuses a .gitmodules that would harm who clones it: lines that
// are harmless each may come together.
func (t *taker) checkModules(ctx context.Context, id git.ObjectID) error {
	data, size, err := t.view.blob(ctx, id, maxModuleFile)
	if err != nil {
		return err
	}
	if size > maxModuleFile {
		return cairn.Errorf(cairn.Invalid, "object %s: .gitmodules has %d bytes, more than %d", id, size, maxModuleFile)
	}
	if err := git.CheckGitmodules(data); err != nil {
		return cairn.Errorf(cairn.Invalid, "object %s: %w", id, err)
	}
	return nil
}

// readBases returns all that the bases name, and their subtrees by name.
func (t *taker) readBases(ctx context.Context, bases []git.ObjectID) (known map[git.ObjectID]bool, below map[string][]git.ObjectID, err error) {
	known, below = map[git.ObjectID]bool{}, map[string][]git.ObjectID{}
	for _, base := range bases {
		data, err := t.view.sn.Tree(ctx, base)
		if err != nil {
			return nil, nil, err
		}
		for r := git.NewTreeReader(t.view.sn.format(), data); ; {
			more, err := r.Next()
			if err != nil {
				return nil, nil, err
			}
			if !more {
				break
			}
			known[r.ID] = true
			if r.Mode.IsTree() {
				below[string(r.Name)] = append(below[string(r.Name)], r.ID)
			}
		}
	}
	return known, below, nil
}

// entry takes what an entry of a new tree names.
func (t *taker) entry(ctx context.Context, e git.TreeEntry, bases []git.ObjectID) error {
	if t.done[e.ID] {
		return nil
	}
	if e.Mode.IsTree() {
		if written, err := t.tree(ctx, e.ID, bases); written || err != nil {
			return err
		}
		return t.keep(ctx, e)
	}
	t.done[e.ID] = true
	err := t.written(e.ID)
	if isNoObject(err) {
		return t.keep(ctx, e)
	}
	return err
}

// written takes a blob that git wrote; ErrNoObject if it wrote none of that id.
func (t *taker) written(id git.ObjectID) error {
	o, err := t.view.loose(id)
	if err != nil {
		return err
	}
	if o == nil {
		return noObject(id)
	}
	defer o.Close()
	if o.Type != git.BlobObject {
		return fmt.Errorf("object %s that git wrote is a %s, not a blob", id, o.Type)
	}
	return t.same(id)(t.pack.AddReader(git.BlobObject, o.Size, o))
}

// keep makes sure that an object that the packs hold stays: what is not
// reachable is copied.
func (t *taker) keep(ctx context.Context, e git.TreeEntry) error {
	sn := t.view.sn
	ok, err := sn.Reachable(ctx, FullView, e.ID)
	if ok || err != nil {
		return err
	}
	if !e.Mode.IsTree() {
		r, size, err := sn.OpenBlob(ctx, e.ID)
		if err != nil {
			return err
		}
		defer r.Close()
		return t.same(e.ID)(t.pack.AddReader(git.BlobObject, size, r))
	}
	data, err := sn.Tree(ctx, e.ID)
	if err != nil {
		return err
	}
	entries, err := git.ParseTree(sn.format(), data)
	if err != nil {
		return err
	}
	for _, below := range entries {
		if below.Mode.IsSubmodule() || t.done[below.ID] {
			continue
		}
		t.done[below.ID] = true
		if err := t.keep(ctx, below); err != nil {
			return err
		}
	}
	return t.same(e.ID)(t.pack.Add(git.TreeObject, data))
}

// same checks that an object that was added has the id by which it was found.
func (t *taker) same(want git.ObjectID) func(git.ObjectID, error) error {
	return func(got git.ObjectID, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("object %s that git wrote has the bytes of %s", want, got)
		}
		return err
	}
}
