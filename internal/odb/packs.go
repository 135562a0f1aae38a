package odb

import (
	"context"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/git/pack"
)

type packKey struct {
	org cairn.OrganizationID
	id  cairn.PackID
}

// openPack is a pack that at least one snapshot uses. Its bytes are loaded at
// the first read and let go when the last snapshot closes.
type openPack struct {
	key    packKey
	serial uint64
	info   cairn.Pack
	users  int // guarded by Store.packsMu

	mu     sync.Mutex // guards loading
	pack   *pack.Pack // nil until loaded
	mapped [][]byte
	cache  packCache

	closureMu   sync.Mutex // guards reading the closure
	closureRead bool
	closure     closure

	graphRead bool // guarded by mu, as is graph
	graph     *commitgraph.Graph
}

// packCache shows one pack's part of the object cache.
type packCache struct {
	store  *Store
	serial uint64
}

func (c packCache) Get(offset int64) (git.Object, bool) {
	return c.store.objects.GetIfPresent(objectKey{c.serial, offset})
}

func (c packCache) Put(offset int64, o git.Object) {
	if int64(len(o.Data)) <= c.store.options.CacheBytes/8 {
		c.store.objects.Set(objectKey{c.serial, offset}, o)
	}
}

// acquire returns the open pack of that key, for one more user.
func (s *Store) acquire(org cairn.OrganizationID, info cairn.Pack) *openPack {
	key := packKey{org, info.ID}
	s.packsMu.Lock()
	defer s.packsMu.Unlock()
	p, ok := s.packs[key]
	if !ok {
		s.serial++
		p = &openPack{key: key, serial: s.serial, info: info}
		p.cache = packCache{s, p.serial}
		s.packs[key] = p
	}
	p.users++
	return p
}

// retain adds a user to packs that have one.
func (s *Store) retain(packs []*openPack) {
	s.packsMu.Lock()
	defer s.packsMu.Unlock()
	for _, p := range packs {
		p.users++
	}
}

// release ends one use of each pack.
func (s *Store) release(packs []*openPack) {
	var last []*openPack
	s.packsMu.Lock()
	for _, p := range packs {
		if p.users--; p.users == 0 {
			delete(s.packs, p.key)
			last = append(last, p)
		}
	}
	s.packsMu.Unlock()
	for _, p := range last {
		p.unload()
	}
}

func (p *openPack) unload() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mapped {
		_ = unix.Munmap(m)
	}
	p.mapped, p.pack, p.graph, p.graphRead = nil, nil, nil, false
}

// forgetPages takes the pack's pages out of the process; the next read brings
// them back.
func (p *openPack) forgetPages() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mapped {
		_ = unix.Madvise(m, unix.MADV_DONTNEED)
	}
}

func (p *openPack) loaded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pack != nil
}

// setInline gives an inline pack its bytes.
func (p *openPack) setInline(f git.ObjectFormat, data, index []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pack != nil {
		return nil
	}
	return p.set(f, data, index)
}

func (p *openPack) set(f git.ObjectFormat, data, index []byte) error {
	x, err := pack.ParseIndex(f, index)
	if err != nil {
		return fmt.Errorf("index of pack %s: %w", p.key.id, err)
	}
	opened, err := pack.New(f, pack.Bytes(data), x)
	if err != nil {
		return fmt.Errorf("pack %s: %w", p.key.id, err)
	}
	opened.SetTempFile(p.cache.store.scratch)
	p.pack = opened
	return nil
}

// mapFiles gives a pack of the Bucket its bytes.
func (p *openPack) mapFiles(ctx context.Context, f git.ObjectFormat, bucket cairn.FileBucket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pack != nil {
		return nil
	}
	data, err := mapItem(ctx, bucket, p.info.Key+packSuffix)
	if err != nil {
		return err
	}
	index, err := mapItem(ctx, bucket, p.info.Key+indexSuffix)
	if err == nil {
		err = p.set(f, data, index)
	}
	p.mapped = [][]byte{data, index}
	if err != nil {
		for _, m := range p.mapped {
			_ = unix.Munmap(m)
		}
		p.mapped = nil
	}
	return err
}

func mapItem(ctx context.Context, bucket cairn.FileBucket, key string) ([]byte, error) {
	f, err := bucket.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mapFile(f)
}

func mapFile(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return m, nil
}

// load gives all packs of a snapshot their bytes: the inline ones in a single
// View.
func (sn *Snapshot) load(ctx context.Context) error {
	if sn.loaded.Load() {
		return nil
	}
	var inline []*openPack
	for _, p := range sn.packs {
		switch {
		case p.loaded():
		case p.info.Inline():
			inline = append(inline, p)
		default:
			if err := p.mapFiles(ctx, sn.format(), sn.store.options.Bucket); err != nil {
				return fmt.Errorf("open pack %s: %w", p.key.id, lost(err))
			}
		}
	}
	if len(inline) > 0 {
		err := sn.store.options.Metadata.View(ctx, func(tx cairn.Tx) error {
			for _, p := range inline {
				stored, err := tx.Packs().Get(p.key.org, p.key.id)
				if err != nil {
					return fmt.Errorf("open pack %s: %w", p.key.id, lost(err))
				}
				if err := p.setInline(sn.format(), stored.Data, stored.Index); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	sn.loaded.Store(true)
	return nil
}

// lost turns the NotFound of a store into what it means for a reader: not that
// its question has no answer, but that the snapshot outlived its packs.
func lost(err error) error {
	if cairn.KindOf(err) == cairn.NotFound {
		return cairn.Errorf(cairn.Unavailable, "the repository changed during a long read; try again (%s)", err)
	}
	return err
}
