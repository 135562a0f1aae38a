package odb

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/cairn-storage/cairn/internal/git/pack"
)

// sendLevel is how hard objects are compressed that cannot be sent as they are
// stored: such are few, and the client waits.
const sendLevel = 3

// bufferedSend is the largest object that is held whole to be sent.
const bufferedSend = 4 << 20

// Write sends the pack. Objects go out pack by pack in the order in which they
// are stored, so that reading is sequential and the base of a delta comes
// before the delta: a pack that is planned whole is copied as it is, and of
// others each entry, compressed bytes and all. Only a delta whose base the
// client will not have is resolved and compressed again.
func (p *PackPlan) Write(ctx context.Context, w io.Writer, progress func(string)) error {
	count := p.Len()
	if count > math.MaxUint32 {
		return fmt.Errorf("%d objects are more than one pack can hold", count)
	}
	s := &sender{
		plan:   p,
		out:    pack.NewStreamWriter(p.sn.format(), contextWriter{ctx, w}, uint32(count), sendLevel),
		starts: make([]int64, len(p.sn.packs)),
		sent:   make([]sentEntries, len(p.sn.packs)),
	}
	remember := p.shared != nil && p.ofsDelta
	if remember {
		if known := p.shared.checksum.Load(); known != nil {
			s.out.Checksum(*known)
		}
	}
	for i := range p.sn.packs {
		if err := s.pack(ctx, i); err != nil {
			return err
		}
	}
	checksum, err := s.out.Close()
	if err != nil {
		return err
	}
	if remember {
		p.shared.checksum.Store(&checksum)
	}
	progress(fmt.Sprintf("Total %d (delta %d), reused %d (delta %d), pack-reused %d\n", count, s.deltas, s.reused, s.deltas, s.copied))
	return nil
}

// contextWriter ends a long copy when whoever wants it has gone.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(b)
}

type sender struct {
	plan   *PackPlan
	out    *pack.StreamWriter
	starts []int64       // where packs that were copied whole start; 0 for the others
	sent   []sentEntries // of the others

	deltas, reused, copied int64
}

// sentEntries holds where the planned objects of a pack were written.
type sentEntries struct {
	ranks   ranks
	offsets []int64 // by rank; 0 if not yet written
}

func (s *sender) pack(ctx context.Context, i int) error {
	n := s.plan.objects.count[i]
	if n == 0 {
		return nil
	}
	p := s.plan.sn.packs[i].pack
	if n == p.Index().Len() && s.plan.ofsDelta {
		s.starts[i] = s.out.Offset()
		s.copied += int64(n)
		s.reused += int64(n)
		return s.out.WriteBody(p)
	}
	s.sent[i] = sentEntries{s.plan.objects.ranks(i), make([]int64, n)}
	for steps, pos := range s.positions(i, n) {
		if steps%64 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := s.entry(place{i, int(pos)}); err != nil {
			return err
		}
	}
	return nil
}

// positions returns the planned objects of a pack in the order of the pack.
func (s *sender) positions(i, n int) []uint32 {
	index := s.plan.sn.packs[i].pack.Index()
	list := make([]uint32, 0, n)
	if n > index.Len()/16 {
		for _, pos := range index.ByOffset() {
			if s.plan.objects.has(place{i, int(pos)}) {
				list = append(list, pos)
			}
		}
		return list
	}
	s.plan.objects.each(i, func(pos int) { list = append(list, uint32(pos)) })
	slices.SortFunc(list, func(a, b uint32) int {
		if index.Offset(int(a)) < index.Offset(int(b)) {
			return -1
		}
		return 1
	})
	return list
}

func (s *sender) entry(at place) error {
	raw, err := s.plan.sn.packs[at.pack].pack.Raw(at.pos)
	if err != nil {
		return s.failed(at, err)
	}
	s.sent[at.pack].offsets[s.sent[at.pack].ranks.of(at.pos)] = s.out.Offset()
	if !raw.Kind.IsDelta() {
		s.reused++
		return s.out.WriteRaw(raw, 0)
	}
	base, ok := s.plan.sn.place(raw.Base)
	switch {
	case ok && s.plan.objects.has(base):
		// Without its offset the base is named by its id: it comes later, or
		// the client wants it so.
		offset := int64(0)
		if s.plan.ofsDelta {
			offset = s.offset(base)
		}
		err = s.out.WriteRaw(raw, offset)
	case ok && s.plan.has != nil && s.plan.has.has(base):
		err = s.out.WriteRaw(raw, 0)
	default:
		return s.whole(at)
	}
	s.deltas++
	s.reused++
	return err
}

// offset returns where a planned object was written; 0 if it was not yet.
func (s *sender) offset(at place) int64 {
	if start := s.starts[at.pack]; start > 0 {
		const header = 12
		return start - header + s.plan.sn.packs[at.pack].pack.Index().Offset(at.pos)
	}
	sent := s.sent[at.pack]
	if sent.offsets == nil {
		return 0
	}
	return sent.offsets[sent.ranks.of(at.pos)]
}

// whole sends an object that is stored as a delta without its base. What it is
// made of is not cached: it is the older versions, which few ask for.
func (s *sender) whole(at place) error {
	p := s.plan.sn.packs[at.pack]
	offset := p.pack.Index().Offset(at.pos)
	t, size, err := p.pack.Header(offset)
	if err != nil {
		return s.failed(at, err)
	}
	if size <= bufferedSend {
		o, err := p.pack.Object(offset, nil, bufferedSend)
		if err != nil {
			return s.failed(at, err)
		}
		return s.out.WriteObject(o.Type, o.Data)
	}
	r, err := p.pack.Open(offset, nil)
	if err != nil {
		return s.failed(at, err)
	}
	defer r.Close()
	return s.out.WriteReader(t, size, r)
}

func (s *sender) failed(at place, err error) error {
	return fmt.Errorf("send object %s of pack %s: %w", s.plan.sn.idAt(at), s.plan.sn.packs[at.pack].key.id, err)
}
