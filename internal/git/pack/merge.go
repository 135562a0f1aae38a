package pack

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/cairn-storage/cairn/internal/git"
)

// mergeDepth is how long a chain of deltas Merge lets grow. Packs that hold
// deltas on each other's objects would otherwise add up their depths with
// every merge.
const mergeDepth = 200

// Merge writes all objects of several self-contained packs as one pack without
// duplicates on an empty spool, and returns the pack's checksum and its index.
// Of an object that several packs hold, the first pack's entry is kept; deltas
// on another one are pointed to it. Entries are copied as they are stored:
// nothing is inflated but an object whose chain of deltas would grow too long.
// Every delta of the result names its base by offset.
func Merge(ctx context.Context, f git.ObjectFormat, spool *Spool, packs []*Pack) (checksum, index []byte, err error) {
	m := &merger{
		out:   NewBuilder(f, spool, DefaultCompression),
		spool: spool,
	}
	if m.out.err != nil {
		return nil, nil, m.out.err
	}
	for i, p := range packs {
		if p.format != f {
			return nil, nil, fmt.Errorf("pack %d is of format %s, not %s", i, p.format, f)
		}
		if err := m.add(ctx, p); err != nil {
			return nil, nil, fmt.Errorf("merge pack %x: %w", p.index.PackChecksum(), err)
		}
	}
	return m.out.Finish()
}

// merger adds packs to a Builder.
type merger struct {
	out    *Builder
	spool  *Spool
	depths []uint16 // of the objects in out
	pack   *Pack
	run    run
}

// run is a stretch of entries of one pack that is to be copied as it is.
type run struct{ off, end int64 }

// add writes the objects of one pack in its order.
func (m *merger) add(ctx context.Context, p *Pack) error {
	m.pack = p
	order := p.index.ByOffset()
	for i, pos := range order {
		if i%256 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		if err := m.object(int(pos)); err != nil {
			return err
		}
	}
	return m.flush()
}

// object writes one object, and before it the bases it needs that are stored
// after it.
func (m *merger) object(pos int) error {
	pending := []int{pos}
	for len(pending) > 0 {
		if len(pending) > MaxDeltaDepth+1 {
			return &LimitError{Name: "delta depth", Limit: MaxDeltaDepth, Got: int64(len(pending))}
		}
		next := pending[len(pending)-1]
		base, err := m.entry(next)
		if err != nil {
			return err
		}
		if base < 0 {
			pending = pending[:len(pending)-1]
		} else {
			pending = append(pending, base)
		}
	}
	return nil
}

// entry writes the object at an index position of the pack, unless out has it
// already. If its base must come first, it returns the base's position and
// writes nothing; else -1.
func (m *merger) entry(pos int) (int, error) {
	x := m.pack.index
	raw := x.rawID(pos)
	if _, ok := m.out.table.find(raw); ok {
		return -1, nil
	}
	off := x.Offset(pos)
	e, err := m.pack.Entry(off)
	if err != nil {
		return -1, err
	}
	end := m.pack.EntryEnd(pos)
	if end < e.DataOffset {
		return -1, malformed("entry at offset %d reaches into the next", off)
	}
	if !e.Kind.IsDelta() {
		return -1, m.verbatim(pos, off, end, 0)
	}
	basePos, ok := m.basePosition(e)
	if !ok {
		return -1, malformed("base of the delta at offset %d is no entry of the pack", off)
	}
	base, ok := m.out.table.find(x.rawID(basePos))
	if !ok {
		return basePos, nil
	}
	depth := m.depths[base] + 1
	if depth > mergeDepth {
		return -1, m.whole(pos)
	}
	distance := m.size() - m.out.offsets[base]
	if e.Kind == OfsDelta && off-e.BaseOffset == distance {
		return -1, m.verbatim(pos, off, end, depth)
	}
	return -1, m.pointed(pos, e, end, distance, depth)
}

func (m *merger) basePosition(e Entry) (int, bool) {
	if e.Kind == OfsDelta {
		return m.pack.index.At(e.BaseOffset)
	}
	return m.pack.index.Find(e.BaseID)
}

// size returns where the next entry starts.
func (m *merger) size() int64 { return m.spool.Size() + m.run.end - m.run.off }

// verbatim copies an entry, header included, with those around it.
func (m *merger) verbatim(pos int, off, end int64, depth uint16) error {
	m.note(pos, m.pack.index.CRC32(pos), depth)
	if m.run.end != off {
		if err := m.flush(); err != nil {
			return err
		}
		m.run = run{off, off}
	}
	m.run.end = end
	return nil
}

// note numbers an object that starts at size.
func (m *merger) note(pos int, crc uint32, depth uint16) {
	m.out.table.add(m.pack.index.rawID(pos))
	m.out.offsets = append(m.out.offsets, m.size())
	m.out.crcs = append(m.out.crcs, crc)
	m.depths = append(m.depths, depth)
}

// flush writes the run.
func (m *merger) flush() error {
	r := m.run
	m.run = run{}
	return eachView(m.pack.data, r.off, r.end, func(v []byte) error {
		_, err := m.spool.Write(v)
		return err
	})
}

// pointed copies a delta whose base is elsewhere now.
func (m *merger) pointed(pos int, e Entry, end, distance int64, depth uint16) error {
	if err := m.flush(); err != nil {
		return err
	}
	header := appendDistance(appendHeader(m.out.header[:0], OfsDelta, e.Size), distance)
	m.out.header = header
	m.note(pos, 0, depth)
	crc := crc32.ChecksumIEEE(header)
	if _, err := m.spool.Write(header); err != nil {
		return err
	}
	err := eachView(m.pack.data, e.DataOffset, end, func(v []byte) error {
		crc = crc32.Update(crc, crc32.IEEETable, v)
		_, err := m.spool.Write(v)
		return err
	})
	m.out.crcs[len(m.out.crcs)-1] = crc
	return err
}

// whole writes an object without a base.
func (m *merger) whole(pos int) error {
	if err := m.flush(); err != nil {
		return err
	}
	r, err := m.pack.Open(m.pack.index.Offset(pos), nil)
	if err != nil {
		return err
	}
	defer r.Close()
	id, err := m.out.AddReader(r.Type(), r.Size(), r)
	if err != nil {
		return err
	}
	if want := m.pack.index.ID(pos); id != want {
		return malformed("object %s is really %s", want, id)
	}
	m.depths = append(m.depths, 0)
	return nil
}
