package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cairn-storage/cairn/internal/git"
)

// Builder makes a pack of objects whose number is not known in advance. It is
// for one goroutine. After an error other than those that say so, the pack
// cannot be finished.
type Builder struct {
	format  git.ObjectFormat
	spool   *Spool
	level   int
	hasher  *git.Hasher
	table   idTable
	offsets []int64
	crcs    []uint32
	header  []byte
	deltas  bool // some entry is a delta
	err     error
}

// NewBuilder starts a pack on an empty spool, which stays the caller's. Level
// is that of zlib, 0 to 9; any other means DefaultCompression.
func NewBuilder(f git.ObjectFormat, spool *Spool, level int) *Builder {
	b := &Builder{format: f, spool: spool, level: level, hasher: git.NewHasher(f), table: newIDTable(f.Size())}
	if spool.Size() != 0 {
		b.err = fmt.Errorf("spool of a new pack holds %d bytes", spool.Size())
		return b
	}
	_, b.err = spool.Write(packHeader(0))
	return b
}

func packHeader(n uint32) []byte {
	h := binary.BigEndian.AppendUint32([]byte(signature), 2)
	return binary.BigEndian.AppendUint32(h, n)
}

// Len returns the number of objects.
func (b *Builder) Len() int { return b.table.len() }

// Size returns the bytes written so far.
func (b *Builder) Size() int64 { return b.spool.Size() }

// Has tells whether the pack holds the object.
func (b *Builder) Has(id git.ObjectID) bool {
	_, ok := b.table.find(id.Bytes())
	return ok
}

// Add writes an object, unless the pack has it, and returns its id.
// git.ErrCollision leaves the pack as it was.
func (b *Builder) Add(t git.ObjectType, data []byte) (git.ObjectID, error) {
	if b.err != nil {
		return git.ObjectID{}, b.err
	}
	b.hasher.Reset(t, int64(len(data)))
	b.hasher.Write(data)
	id, err := b.hasher.Sum()
	if err != nil || b.Has(id) {
		return id, err
	}
	d := getDeflater(b.level)
	defer d.release()
	stream, err := d.deflate(data)
	if err != nil {
		return id, b.fail(err)
	}
	b.header = appendHeader(b.header[:0], Kind(t), int64(len(data)))
	b.begin(id)
	b.write(b.header)
	b.write(stream)
	return id, b.err
}

// AddReader is Add for an object that is too large to be held: exactly size
// bytes of r. If r has fewer or more, or fails, the pack is as it was.
func (b *Builder) AddReader(t git.ObjectType, size int64, r io.Reader) (git.ObjectID, error) {
	if b.err != nil {
		return git.ObjectID{}, b.err
	}
	start := b.spool.Size()
	crc := crc32.NewIEEE()
	id, err := b.stream(t, size, r, io.MultiWriter(crc, b.spool))
	if err == nil && !b.Has(id) {
		b.table.add(id.Bytes())
		b.offsets = append(b.offsets, start)
		b.crcs = append(b.crcs, crc.Sum32())
		return id, nil
	}
	if undo := b.spool.Truncate(start); undo != nil {
		return id, b.fail(undo)
	}
	return id, err
}

func (b *Builder) stream(t git.ObjectType, size int64, r io.Reader, w io.Writer) (git.ObjectID, error) {
	if _, err := w.Write(appendHeader(b.header[:0], Kind(t), size)); err != nil {
		return git.ObjectID{}, err
	}
	b.hasher.Reset(t, size)
	if err := deflateFrom(w, r, size, b.level, b.hasher); err != nil {
		return git.ObjectID{}, err
	}
	return b.hasher.Sum()
}

// deflateFrom compresses exactly size bytes of r to w and shows them to also.
func deflateFrom(w io.Writer, r io.Reader, size int64, level int, also io.Writer) error {
	d := getDeflater(level)
	defer d.release()
	d.w.Reset(w)
	n, err := io.CopyN(io.MultiWriter(d.w, also), r, size)
	if err == io.EOF {
		return fmt.Errorf("object of %d bytes ends after %d: %w", size, n, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	var more [1]byte
	switch n, err := io.ReadFull(r, more[:]); {
	case n > 0:
		return fmt.Errorf("object is longer than the %d bytes that were announced", size)
	case err != io.EOF:
		return err
	}
	return d.w.Close()
}

// AddRaw writes an object, unless the pack has it, as it is stored elsewhere,
// without inflating it: the caller vouches that r makes the object id. A delta
// needs its base to be in this pack already; if it is not, AddRaw returns
// ErrMissingBase and leaves the pack as it was.
func (b *Builder) AddRaw(id git.ObjectID, r Raw) error {
	if b.err != nil || b.Has(id) {
		return b.err
	}
	b.header = b.header[:0]
	if r.Kind.IsDelta() {
		base, ok := b.table.find(r.Base.Bytes())
		if !ok {
			return missingBase(r.Base)
		}
		b.deltas = true
		b.header = appendHeader(b.header, OfsDelta, r.Size)
		b.header = appendDistance(b.header, b.spool.Size()-b.offsets[base])
	} else {
		b.header = appendHeader(b.header, r.Kind, r.Size)
	}
	b.begin(id)
	b.write(b.header)
	if err := eachView(r.Data, r.Off, r.End, func(v []byte) error { return b.write(v) }); err != nil {
		return b.fail(err)
	}
	return b.err
}

// Append writes the objects of another pack of the same format that is being
// built and has no deltas, as they are stored there; those that this one has
// are left out. The other pack stays as it is.
func (b *Builder) Append(o *Builder) error {
	switch {
	case b.err != nil:
		return b.err
	case o.err != nil:
		return o.err
	case o.deltas || o.format != b.format:
		return b.fail(errors.New("append to a pack: the objects are deltas, or of another format"))
	}
	for i := range o.Len() {
		if _, have := b.table.find(o.table.id(i)); have {
			continue
		}
		b.table.add(o.table.id(i))
		b.offsets = append(b.offsets, b.spool.Size())
		b.crcs = append(b.crcs, o.crcs[i])
		err := eachView(o.spool, o.offsets[i], o.end(i), func(v []byte) error {
			_, err := b.spool.Write(v)
			return err
		})
		if err != nil {
			return b.fail(err)
		}
	}
	return nil
}

// end is where the entry of an object ends.
func (b *Builder) end(i int) int64 {
	if i+1 < len(b.offsets) {
		return b.offsets[i+1]
	}
	return b.spool.Size()
}

// Truncate takes all objects out but the first n.
func (b *Builder) Truncate(n int) error {
	if b.err != nil || n >= b.Len() {
		return b.err
	}
	if err := b.spool.Truncate(b.offsets[n]); err != nil {
		return b.fail(err)
	}
	b.table.truncate(n)
	b.offsets, b.crcs = b.offsets[:n], b.crcs[:n]
	return nil
}

// begin notes that the entry of an object starts here.
func (b *Builder) begin(id git.ObjectID) {
	b.table.add(id.Bytes())
	b.offsets = append(b.offsets, b.spool.Size())
	b.crcs = append(b.crcs, 0)
}

// write appends to the entry that was begun last.
func (b *Builder) write(p []byte) error {
	if b.err == nil {
		last := len(b.crcs) - 1
		b.crcs[last] = crc32.Update(b.crcs[last], crc32.IEEETable, p)
		_, b.err = b.spool.Write(p)
	}
	return b.err
}

func (b *Builder) fail(err error) error {
	if b.err == nil {
		b.err = err
	}
	return err
}

// Finish completes the pack on the spool and returns its checksum, which is
// the name that git gives it, and its index.
func (b *Builder) Finish() (checksum, index []byte, err error) {
	if b.err != nil {
		return nil, nil, b.err
	}
	checksum, err = seal(b.format, b.spool, uint32(b.Len()))
	if err != nil {
		return nil, nil, b.fail(err)
	}
	b.err = errFinished
	index, err = sortedIndex(b.format, b.table.ids, b.offsets, b.crcs, checksum)
	return checksum, index, err
}

var errFinished = fmt.Errorf("pack is finished")

// seal writes the number of objects and the trailer of a pack on a spool.
func seal(f git.ObjectFormat, s *Spool, n uint32) ([]byte, error) {
	if _, err := s.WriteAt(packHeader(n), 0); err != nil {
		return nil, err
	}
	h := newChecksum(f)
	if _, err := s.WriteTo(h); err != nil {
		return nil, err
	}
	checksum := h.Sum(nil)
	if _, err := s.Write(checksum); err != nil {
		return nil, err
	}
	return checksum, s.Freeze()
}

// OpenBuilt returns the pack that a finished Builder or Merge left on a spool.
func OpenBuilt(f git.ObjectFormat, s *Spool, index []byte) (*Pack, error) {
	x, err := ParseIndex(f, index)
	if err != nil {
		return nil, err
	}
	return New(f, s, x)
}
