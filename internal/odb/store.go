package odb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// Options are what a Store is made of. A zero field means its default.
type Options struct {
	Metadata cairn.Metadata
	Bucket   cairn.FileBucket
	// ScratchDir takes the files of requests under way. It must be on the
	// Bucket's file system for large packs to be stored without a copy, and
	// belong to this process alone: Open empties it.
	ScratchDir string
	Logger     *slog.Logger
	// Git packs anew what a full repack writes, merges and applies patches;
	// without one, packs are only merged, and what needs git is Unavailable.
	Git *gitexec.Git
	// GitTime and GitMemory bound one command of git that a request waits for.
	GitTime   time.Duration // default 2 minutes
	GitMemory int64         // bytes beside the packs that it maps; default 1 GiB

	CacheBytes  int64         // decoded objects kept in memory; default 64 MiB
	InlineLimit int64         // largest pack kept in its row; default 256 KiB
	MaxBuffered int64         // largest object held in memory whole; default 32 MiB
	Snapshots   int           // repositories whose last state is kept; default 4,096
	Responses   int64         // bytes of packs kept for identical shallow and partial clones, in ScratchDir; default 1 GiB, negative: none
	Push        PushLimits    // of what a push may bring
	CompactAt   int           // small packs that make a repository due for compaction; default 32
	SegmentSize int64         // largest pack of blobs that a full repack aims at; default 512 MiB
	Retention   time.Duration // how long what refs named is kept when they name it no more; default 7 days
	Now         func() time.Time
}

// PushLimits bound one push. A zero field means its default.
type PushLimits struct {
	PackSize   int64 // bytes of the pack; default 16 GiB
	ObjectSize int64 // bytes of one object, inflated; default 4 GiB
	Objects    int64 // objects in the pack; default 20,000,000
	Inflated   int64 // bytes of all objects, inflated; default 256 GiB
}

func (o Options) withDefaults() Options {
	setDefault(&o.GitTime, 2*time.Minute)
	setDefault(&o.GitMemory, 1<<30)
	setDefault(&o.CacheBytes, 64<<20)
	setDefault(&o.InlineLimit, 256<<10)
	setDefault(&o.MaxBuffered, 32<<20)
	setDefault(&o.Snapshots, 4096)
	setDefault(&o.Responses, 1<<30)
	setDefault(&o.CompactAt, 32)
	setDefault(&o.SegmentSize, 512<<20)
	setDefault(&o.Retention, 7*24*time.Hour)
	setDefault(&o.Push.PackSize, 16<<30)
	setDefault(&o.Push.ObjectSize, 4<<30)
	setDefault(&o.Push.Objects, 20_000_000)
	setDefault(&o.Push.Inflated, 256<<30)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store is every repository's objects. It is safe for concurrent use.
type Store struct {
	options Options

	objects *otter.Cache[objectKey, git.Object]
	commits *otter.Cache[git.ObjectID, git.CommitLinks]

	packsMu sync.Mutex
	packs   map[packKey]*openPack
	serial  uint64

	snapshots snapshotCache
	marks     cairn.RowMarks // nil if the Metadata has none
	responses responseCache
	past      pastStates
	views     keptViews

	noMergeProcess atomic.Bool // git's merges do not work in a process that stays

	repacksMu sync.Mutex
	repacks   map[cairn.RepositoryKey]map[cairn.PackID]bool // under way, with the packs that they replace

	// packObjects makes a pack of a repack; tests that are about everything
	// else replace it.
	packObjects func(context.Context, *gitexec.View, packOrder) (stem string, err error)
}

// objectKey is where a decoded object lies: packs never change, so what is
// cached under it is never stale.
type objectKey struct {
	pack   uint64
	offset int64
}

// Open returns a Store. It creates the scratch directory and removes what a
// crashed process left there.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	marks, _ := o.Metadata.(cairn.RowMarks)
	o.Metadata = cairn.StoringReceipts(o.Metadata)
	if err := emptyDir(o.ScratchDir); err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	s := &Store{
		options: o, marks: marks, packs: map[packKey]*openPack{},
		repacks: map[cairn.RepositoryKey]map[cairn.PackID]bool{}, packObjects: gitPackObjects,
	}
	s.snapshots.limit = o.Snapshots
	s.responses = responseCache{limit: o.Responses, scratch: s.scratch, items: map[responseKey]*response{}}
	var err error
	s.objects, err = otter.New(&otter.Options[objectKey, git.Object]{
		MaximumWeight: uint64(o.CacheBytes),
		Weigher:       func(_ objectKey, v git.Object) uint32 { return uint32(len(v.Data) + 160) },
	})
	if err != nil {
		return nil, err
	}
	s.commits, err = otter.New(&otter.Options[git.ObjectID, git.CommitLinks]{
		MaximumWeight: uint64(o.CacheBytes / 2),
		Weigher: func(_ git.ObjectID, v git.CommitLinks) uint32 {
			return uint32(200 + 33*len(v.Parents))
		},
	})
	return s, err
}

func emptyDir(dir string) error {
	if dir == "" {
		return errors.New("none is given")
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(dir, 0o700)
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(dir+string(os.PathSeparator)+e.Name()))
	}
	return err
}

// Close lets go of all packs. No snapshot may be in use any more; the two
// stores stay open.
func (s *Store) Close() error {
	s.closeViews()
	s.responses.close()
	s.snapshots.clear()
	s.objects.InvalidateAll()
	s.objects.StopAllGoroutines()
	s.commits.InvalidateAll()
	s.commits.StopAllGoroutines()
	return nil
}

// Metadata returns the records that are not objects.
func (s *Store) Metadata() cairn.Metadata { return s.options.Metadata }

// scratch opens a new file that is gone when it is closed.
func (s *Store) scratch() (*os.File, error) {
	f, err := os.CreateTemp(s.options.ScratchDir, "scratch-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

// Stats are figures for the metrics of a Store.
type Stats struct {
	CachedBytes int64 // of decoded objects
	OpenPacks   int
	Snapshots   int
	Responses   ResponseStats
}

// Stats returns the figures of this moment.
func (s *Store) Stats() Stats {
	s.packsMu.Lock()
	defer s.packsMu.Unlock()
	return Stats{
		CachedBytes: int64(s.objects.WeightedSize()),
		OpenPacks:   len(s.packs),
		Snapshots:   s.snapshots.len(),
		Responses:   s.responses.stats(),
	}
}

// Snapshot opens the present state of the living repository of that name,
// NotFound if there is none. It sees every Apply that returned before.
func (s *Store) Snapshot(ctx context.Context, org cairn.OrganizationID, name cairn.RepositoryName) (*Snapshot, error) {
	key := s.snapshots.named(org, name)
	sn := s.known(ctx, key, func(r cairn.Repository) bool { return r.Name == name && r.DeletedAt.IsZero() })
	if sn != nil {
		return sn, nil
	}
	return s.open(ctx, key, func(tx cairn.Tx) (cairn.Repository, error) {
		return tx.Repositories().Find(org, name)
	})
}

// SnapshotOf opens the present state of a repository by its key, a deleted
// one too.
func (s *Store) SnapshotOf(ctx context.Context, key cairn.RepositoryKey) (*Snapshot, error) {
	if sn := s.known(ctx, key, func(cairn.Repository) bool { return true }); sn != nil {
		return sn, nil
	}
	return s.open(ctx, key, func(tx cairn.Tx) (cairn.Repository, error) {
		return tx.Repositories().Get(key)
	})
}

// known returns the present state of a repository without a View, or nil if it
// takes one: the kept state, if no write to the repository's row has ended since
// it was found to be the present one.
func (s *Store) known(ctx context.Context, key cairn.RepositoryKey, good func(cairn.Repository) bool) *Snapshot {
	if s.marks == nil || ctx.Err() != nil {
		return nil
	}
	sn := s.snapshots.marked(key, s.marks.RowMark(key), good)
	if sn != nil && sn.load(ctx) != nil {
		sn.Close()
		return nil
	}
	return sn
}

// rowMark returns the mark of a repository's row; 0 without marks.
func (s *Store) rowMark(key cairn.RepositoryKey) uint64 {
	if s.marks == nil {
		return 0
	}
	return s.marks.RowMark(key)
}

// openAttempts bounds how often open starts again because the packs of the
// state that it read were collected before it held them.
const openAttempts = 10

// open opens the present state of the repository that find finds. The key may
// be known before, or be another one.
func (s *Store) open(ctx context.Context, key cairn.RepositoryKey, find func(cairn.Tx) (cairn.Repository, error)) (*Snapshot, error) {
	for attempt := 1; ; attempt++ {
		mark := s.rowMark(key) // before the View, else it may be of a later row
		sn, err := s.read(ctx, find)
		if err != nil {
			return nil, err
		}
		if err = sn.load(ctx); err == nil {
			s.snapshots.put(sn)
			if sn.repo.RepositoryKey == key {
				s.snapshots.mark(sn, mark)
			}
			return sn, nil
		}
		sn.Close()
		if attempt == openAttempts || cairn.KindOf(err) != cairn.Unavailable {
			return nil, err
		}
	}
}

func (s *Store) read(ctx context.Context, find func(cairn.Tx) (cairn.Repository, error)) (*Snapshot, error) {
	var found *Snapshot
	err := s.options.Metadata.View(ctx, func(tx cairn.Tx) error {
		found.Close() // of an earlier run of this function
		found = nil
		repo, err := find(tx)
		if err != nil {
			return err
		}
		if found = s.snapshots.get(repo); found != nil {
			return nil
		}
		refs, err := tx.Refs().List(repo.RepositoryKey, "")
		if err != nil {
			return err
		}
		manifest, err := tx.Packs().Manifest(repo.RepositoryKey)
		if err != nil {
			return err
		}
		found = s.newSnapshot(repo, refs, manifest)
		return nil
	})
	if err != nil {
		found.Close()
		return nil, err
	}
	return found, nil
}
