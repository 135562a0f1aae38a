package odb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
)

// ErrMissingObjects is in the chain of the error for new refs that lead to
// objects which are neither in the received pack nor reachable in the
// repository.
var ErrMissingObjects = errors.New("missing necessary objects")

// Quarantine is a pack from outside that is not of the repository yet, together
// with the state of the repository that it was checked against. As a Snapshot
// it shows both, so that what is asked of a repository can be asked of what a
// push would make of it. It is for one goroutine. Close it in every case; what
// was staged stays.
type Quarantine struct {
	*Snapshot // the new pack and the repository's packs

	before   *Snapshot
	received *pack.Received
	spool    *packSpool
	known    *connectivity
	cleanup  []func()
}

// inflateRatio bounds how many bytes one byte of a pushed pack may make, all
// in all. Text that repeats itself comes to some hundreds.
const inflateRatio = 4096

// maxCommitSize is the largest commit or tag that is accepted: with its message
// room for a hundred thousand parents. Every log holds commits whole.
const maxCommitSize = 8 << 20

// limitSettings are the settings of the limits that can be set, by their names
// in package pack.
var limitSettings = map[string]string{
	"pack size":     "max-pack-size",
	"objects":       "max-pack-objects",
	"object size":   "max-object-size",
	"inflated size": "max-inflated-size",
}

// ReceiveOptions say how a pack is received.
type ReceiveOptions struct {
	// Old lets objects pass that git.CheckOldObject does.
	Old bool
	// Progress, if not nil, is told how many deltas of a large pack have been
	// resolved, once all of it is read.
	Progress func(resolved int)
}

// Receive takes in a pack, checks every object by itself, and keeps it apart.
// Deltas may build on what is reachable in the repository, from any ref, and on
// nothing else: the packs may hold objects of other forks. The snapshot must
// stay open until the Quarantine is closed.
func (sn *Snapshot) Receive(ctx context.Context, r io.Reader, options ReceiveOptions) (*Quarantine, error) {
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	s := sn.store
	q := &Quarantine{before: sn, spool: &packSpool{}}
	modules := &moduleFiles{format: sn.format(), checkObject: git.CheckObject, ids: map[git.ObjectID]struct{}{}}
	if options.Old {
		modules.checkObject = git.CheckOldObject
	}
	limits := s.options.Push
	o := pack.ReceiveOptions{
		Format:      sn.format(),
		TempFile:    s.scratch,
		SpoolMemory: max(spoolMemory, s.options.InlineLimit),
		SpoolFile:   func() (*os.File, error) { return s.namedScratch(&q.spool.name) },
		Base:        q.base,
		Check:       modules.check,
		Limits: pack.Limits{
			PackSize: limits.PackSize, ObjectSize: limits.ObjectSize, Objects: limits.Objects,
			CommitSize: maxCommitSize, TreeSize: s.options.MaxBuffered, Inflated: limits.Inflated, Ratio: inflateRatio,
		},
		Memory: receiveMemory,
	}
	if options.Progress != nil {
		o.Progress = func(_, _, resolved int) {
			if resolved > 0 {
				options.Progress(resolved)
			}
		}
	}
	var err error
	if q.received, err = pack.Receive(ctx, r, o); err != nil {
		q.Close()
		return nil, refusal(err)
	}
	q.spool.Spool = q.received.Spool
	q.join()
	if err := modules.checkFiles(ctx, q); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

// receiveMemory is what one push may hold of bases of deltas.
const receiveMemory = 32 << 20

// refusal makes what is wrong with a pack an error for its sender.
func refusal(err error) error {
	var object *pack.ObjectError
	var limit *pack.LimitError
	switch {
	case errors.As(err, &limit):
		if setting, ok := limitSettings[limit.Name]; ok {
			return cairn.Errorf(cairn.TooLarge, "%w (%s)", err, setting)
		}
		return cairn.Errorf(cairn.TooLarge, "%w", err)
	case errors.As(err, &object), errors.Is(err, pack.ErrMalformed), errors.Is(err, pack.ErrMissingBase),
		errors.Is(err, pack.ErrDuplicate), errors.Is(err, git.ErrCollision):
		return cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return err
}

// namedScratch opens a new file and tells its name, which is the caller's to
// remove.
func (s *Store) namedScratch(name *string) (*os.File, error) {
	f, err := os.CreateTemp(s.options.ScratchDir, "pack-")
	if err == nil {
		*name = f.Name()
	}
	return f, err
}

// join makes the Snapshot that shows the new pack before all others.
func (q *Quarantine) join() {
	sn, s := q.before, q.before.store
	s.packsMu.Lock()
	s.serial++
	p := &openPack{serial: s.serial, pack: q.received.Pack}
	s.packsMu.Unlock()
	p.cache = packCache{s, p.serial}
	q.Snapshot = &Snapshot{store: s, repo: sn.repo, refs: sn.refs, packs: append([]*openPack{p}, sn.packs...)}
	q.Snapshot.loaded.Store(true)
	q.known = newConnectivity(q)
}

// MoveTo puts the quarantine over a newer state of the repository: what is asked
// from now on is asked of that. sn must stay open until the Quarantine is closed.
func (q *Quarantine) MoveTo(ctx context.Context, sn *Snapshot) error {
	if err := sn.load(ctx); err != nil {
		return err
	}
	q.before = sn
	q.join()
	return nil
}

// Close frees what the quarantine holds.
func (q *Quarantine) Close() {
	for _, f := range q.cleanup {
		f()
	}
	q.cleanup = nil
	if q.spool.Spool == nil {
		q.spool.Spool = pack.NewSpool(0, nil) // Receive failed and closed its own
	}
	if err := q.spool.Close(); err != nil {
		q.before.store.options.Logger.Warn("scratch file left behind", "error", err)
	}
}

// Reachable is that of the repository as it is: what is in quarantine is not
// reachable.
func (q *Quarantine) Reachable(ctx context.Context, view View, id git.ObjectID) (bool, error) {
	return q.before.Reachable(ctx, view, id)
}

// Len is the number of objects in the received pack.
func (q *Quarantine) Len() int { return q.received.Objects }

// Stage makes the pack ready to be named by the repository's manifest. ok is
// false if it holds nothing.
func (q *Quarantine) Stage(ctx context.Context) (staged Staged, ok bool, err error) {
	if q.received.Objects == 0 {
		return Staged{}, false, nil
	}
	staged, err = q.before.store.stage(ctx, q.repo.Organization, q.spool, q.received.Checksum, q.received.Index, int64(q.received.Objects))
	return staged, err == nil, err
}

// base returns an object that a delta of the pack builds on.
func (q *Quarantine) base(ctx context.Context, id git.ObjectID) (git.Object, error) {
	ok, err := q.before.Reachable(ctx, FullView, id)
	if err != nil {
		return git.Object{}, err
	}
	if !ok {
		return git.Object{}, noObject(id)
	}
	t, size, err := q.before.Header(ctx, id)
	if err != nil {
		return git.Object{}, err
	}
	if size <= q.before.store.options.MaxBuffered {
		return q.before.Object(ctx, id)
	}
	data, err := q.mapLarge(ctx, id, size)
	return git.Object{Type: t, Data: data}, err
}

// mapLarge puts an object into a file of its own and maps that: a base must be
// at hand whole, but it need not be on the heap.
func (q *Quarantine) mapLarge(ctx context.Context, id git.ObjectID, size int64) ([]byte, error) {
	p, pos, err := q.before.find(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := p.pack.Open(p.pack.Index().Offset(pos), nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := q.before.store.scratch()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.Copy(contextWriter{ctx, f}, r); err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map base %s: %w", id, err)
	}
	q.cleanup = append(q.cleanup, func() { _ = unix.Munmap(data) })
	return data, nil
}

// Connected returns an error in whose chain is ErrMissingObjects if following
// the object that a ref is to name leads anywhere but into the received pack
// and to what is reachable in the repository. It remembers what it saw.
func (q *Quarantine) Connected(ctx context.Context, tip git.ObjectID) error {
	return q.known.tip(ctx, tip)
}

// moduleFiles checks objects one by one and notes the files from which Git
// reads submodules, to look at them when the whole pack is there.
type moduleFiles struct {
	format      git.ObjectFormat
	checkObject func(git.ObjectFormat, git.ObjectType, []byte) error

	mu  sync.Mutex
	ids map[git.ObjectID]struct{}
}

// maxModuleFiles bounds the files named .gitmodules of one push, of which a
// long history may have many.
const maxModuleFiles = 100_000

func (m *moduleFiles) check(t git.ObjectType, data []byte) error {
	if err := m.checkObject(m.format, t, data); err != nil || t != git.TreeObject {
		return err
	}
	for r := git.NewTreeReader(m.format, data); ; {
		more, err := r.Next()
		if err != nil || !more {
			return err
		}
		if r.Mode.IsFile() && mayBeGitmodules(r.Name) && git.IsGitmodulesName(string(r.Name)) {
			if err := m.note(r.ID); err != nil {
				return err
			}
		}
	}
}

// mayBeGitmodules rules most names out: one that is taken for .gitmodules
// starts like it, or with a character that some file system does not see, or
// follows a backslash.
func mayBeGitmodules(name []byte) bool {
	if len(name) < len("gitmod~1") {
		return false
	}
	c := name[0]
	return c == '.' || c == 'g' || c == 'G' || c >= 0x80 || bytes.IndexByte(name, '\\') >= 0
}

func (m *moduleFiles) note(id git.ObjectID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids[id] = struct{}{}
	if len(m.ids) > maxModuleFiles {
		return fmt.Errorf("more than %d versions of .gitmodules", maxModuleFiles)
	}
	return nil
}

// maxModuleFile is the largest .gitmodules that is accepted.
const maxModuleFile = 1 << 20

// checkFiles looks at the noted files that are there. One that is not makes the
// push fail later.
func (m *moduleFiles) checkFiles(ctx context.Context, q *Quarantine) error {
	for id := range m.ids {
		t, size, err := q.Header(ctx, id)
		if isNoObject(err) || err == nil && t != git.BlobObject {
			continue
		}
		if err != nil {
			return err
		}
		if size > maxModuleFile {
			return cairn.Errorf(cairn.Invalid, "object %s: gitmodulesLarge: .gitmodules has %d bytes, more than %d", id, size, maxModuleFile)
		}
		o, err := q.Object(ctx, id)
		if err != nil {
			return err
		}
		if err := git.CheckGitmodules(o.Data); err != nil {
			return cairn.Errorf(cairn.Invalid, "object %s: %w", id, err)
		}
	}
	return nil
}
