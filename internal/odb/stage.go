package odb

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
)

// Staged is a pack that is ready to be named by a manifest: a small one is held
// in memory, a large one lies in the Bucket already. One that Apply never
// names is removed by Discard, or by the next Sweep.
type Staged struct{ cairn.Pack }

// spoolMemory is how much of a pack is kept in memory while it is made.
const spoolMemory = 1 << 20

// packLevel is the effort of compression for new objects. They are compressed
// again when deltas are made of them, so speed counts more than size here.
const packLevel = 3

// packSpool is a Spool whose file keeps its name, so that the Bucket can take
// it over without a copy.
type packSpool struct {
	*pack.Spool
	name string
}

func (s *Store) newPackSpool() *packSpool {
	p := &packSpool{}
	p.Spool = pack.NewSpool(max(spoolMemory, s.options.InlineLimit), func() (*os.File, error) {
		f, err := os.CreateTemp(s.options.ScratchDir, "pack-")
		if err == nil {
			p.name = f.Name()
		}
		return f, err
	})
	return p
}

// Close frees the memory or the file.
func (p *packSpool) Close() error {
	err := p.Spool.Close()
	if p.name != "" {
		err = errors.Join(err, os.Remove(p.name))
		p.name = ""
	}
	return err
}

// PackBuilder collects the new objects of one write. It is not safe for
// concurrent use.
type PackBuilder struct {
	store   *Store
	spool   *packSpool
	builder *pack.Builder
}

// NewPack starts a pack. The caller closes it.
func (s *Store) NewPack(f git.ObjectFormat) *PackBuilder {
	spool := s.newPackSpool()
	return &PackBuilder{s, spool, pack.NewBuilder(f, spool.Spool, packLevel)}
}

// Add puts an object into the pack and returns its id. An object that the pack
// has already is not put in again.
func (b *PackBuilder) Add(t git.ObjectType, data []byte) (git.ObjectID, error) {
	return b.builder.Add(t, data)
}

// AddReader puts in an object of size bytes, of any size, in bounded memory.
func (b *PackBuilder) AddReader(t git.ObjectType, size int64, r io.Reader) (git.ObjectID, error) {
	return b.builder.AddReader(t, size, r)
}

// Append puts in the objects of another pack for the same store.
func (b *PackBuilder) Append(o *PackBuilder) error { return b.builder.Append(o.builder) }

// Truncate takes all objects out but the first n.
func (b *PackBuilder) Truncate(n int) error { return b.builder.Truncate(n) }

// Len is the number of objects in the pack.
func (b *PackBuilder) Len() int { return b.builder.Len() }

// Size is the number of bytes that the pack has by now.
func (b *PackBuilder) Size() int64 { return b.spool.Size() }

// Finish ends the pack and stages it for a repository of that organization.
func (b *PackBuilder) Finish(ctx context.Context, org cairn.OrganizationID) (Staged, error) {
	checksum, index, err := b.builder.Finish()
	if err != nil {
		return Staged{}, err
	}
	return b.store.stage(ctx, org, b.spool, checksum, index, int64(b.builder.Len()))
}

// Close frees what the builder holds; what was staged stays.
func (b *PackBuilder) Close() error { return b.spool.Close() }

// stage makes a finished pack nameable: it copies a small one into memory and
// puts a large one into the Bucket.
func (s *Store) stage(ctx context.Context, org cairn.OrganizationID, spool *packSpool, checksum, index []byte, objects int64) (Staged, error) {
	id := cairn.PackID(hex.EncodeToString(checksum))
	p := Staged{cairn.Pack{
		ID:        id,
		Objects:   objects,
		Size:      spool.Size(),
		IndexSize: int64(len(index)),
		CreatedAt: s.options.Now().UTC(),
	}}
	if p.Size+p.IndexSize <= s.options.InlineLimit {
		data, err := spool.Bytes()
		if err != nil {
			return Staged{}, err
		}
		p.Data, p.Index = bytes.Clone(data), index
		return p, nil
	}
	p.Key = newPackStem(org, id)
	err := s.putPack(ctx, p.Key, spool)
	if err == nil {
		err = s.options.Bucket.Put(ctx, p.Key+indexSuffix, bytes.NewReader(index), p.IndexSize)
	}
	if err != nil {
		s.Discard(ctx, p)
		return Staged{}, fmt.Errorf("store pack %s: %w", id, err)
	}
	return p, nil
}

func (s *Store) putPack(ctx context.Context, stem string, spool *packSpool) error {
	if f := spool.File(); f != nil {
		return s.options.Bucket.PutFile(ctx, stem+packSuffix, f)
	}
	data, err := spool.Bytes()
	if err != nil {
		return err
	}
	return s.options.Bucket.Put(ctx, stem+packSuffix, bytes.NewReader(data), int64(len(data)))
}

// Discard removes staged packs that no manifest names. What cannot be removed
// now is left to the next Sweep.
func (s *Store) Discard(ctx context.Context, staged ...Staged) {
	ctx = context.WithoutCancel(ctx)
	for _, p := range staged {
		if err := s.deletePack(ctx, p.Key); err != nil {
			s.options.Logger.Warn("unused pack left for the janitor", "key", p.Key, "error", err)
		}
	}
}
