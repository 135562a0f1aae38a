package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// MaxDeltaDepth is the longest chain of deltas that is followed, as in git.
const MaxDeltaDepth = 4095

// Pack gives random access to the objects of a pack. Safe for concurrent use,
// and valid as long as its Data and Index are.
type Pack struct {
	format git.ObjectFormat
	data   Data
	index  *Index
	end    int64 // of the entries, where the trailer starts
	temp   TempFile

	maxBase int64 // the largest object that may be a step on the way to another
}

// Cache keeps whole objects of one pack by the offset of their entries. It
// must be safe for concurrent use if the Pack is used so; what it is given is
// shared and must not be written to.
type Cache interface {
	Get(off int64) (git.Object, bool)
	Put(off int64, o git.Object)
}

// New opens a pack with its index. It checks the header, the number of objects
// and that the index is of this pack; it reads no entries. Whether the bytes
// are still those that were indexed, Verify tells.
func New(f git.ObjectFormat, data Data, idx *Index) (*Pack, error) {
	if data.Size() < int64(headerSize+f.Size()) {
		return nil, malformed("pack of %d bytes", data.Size())
	}
	if idx.format != f {
		return nil, malformed("index of format %s for a pack of format %s", idx.format, f)
	}
	p := &Pack{format: f, data: data, index: idx, end: data.Size() - int64(f.Size()), maxBase: 4 << 30}
	var scratch []byte
	header, err := viewFull(data, 0, headerSize, &scratch)
	if err != nil {
		return nil, err
	}
	n, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	if int64(n) != int64(idx.n) {
		return nil, malformed("pack of %d objects with an index of %d", n, idx.n)
	}
	trailer, err := viewFull(data, p.end, f.Size(), &scratch)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(trailer, idx.PackChecksum()) {
		return nil, malformed("index is of another pack")
	}
	return p, nil
}

// parseHeader returns the number of objects.
func parseHeader(b []byte) (uint32, error) {
	if len(b) < headerSize || string(b[:4]) != signature {
		return 0, malformed("no pack signature")
	}
	if v := binary.BigEndian.Uint32(b[4:]); v != 2 && v != 3 {
		return 0, malformed("pack of version %d", v)
	}
	return binary.BigEndian.Uint32(b[8:]), nil
}

// SetTempFile lets the pack keep the very large bases that it meets while it
// resolves deltas in temporary files instead of the heap. Call it before the
// first use.
func (p *Pack) SetTempFile(temp TempFile) { p.temp = temp }

// Index returns the pack's index.
func (p *Pack) Index() *Index { return p.index }

// Data returns the pack's bytes.
func (p *Pack) Data() Data { return p.data }

// Format returns the format of the pack's ids.
func (p *Pack) Format() git.ObjectFormat { return p.format }

// Entry reads the header of the entry at an offset.
func (p *Pack) Entry(off int64) (Entry, error) {
	if off < headerSize || off >= p.end {
		return Entry{}, malformed("no entry at offset %d", off)
	}
	n := int(min(maxEntryHeader, p.end-off))
	if v, err := p.data.View(off, n); err == nil && len(v) == n {
		e, _, err := parseEntry(p.format, v, off)
		return e, err
	}
	scratch := make([]byte, 0, maxEntryHeader)
	v, err := viewFull(p.data, off, n, &scratch)
	if err != nil {
		return Entry{}, err
	}
	e, _, err := parseEntry(p.format, v, off)
	return e, err
}

// EntryEnd returns where the stored entry of the object at an index position
// ends.
func (p *Pack) EntryEnd(pos int) int64 {
	order := p.index.ByOffset()
	i := p.index.rank(p.index.Offset(pos) + 1)
	if i == len(order) {
		return p.end
	}
	return min(p.end, p.index.Offset(int(order[i])))
}

// base returns where the base of a delta starts.
func (p *Pack) base(e Entry) (int64, error) {
	if e.Kind == OfsDelta {
		return e.BaseOffset, nil
	}
	pos, ok := p.index.Find(e.BaseID)
	if !ok {
		return 0, missingBase(e.BaseID)
	}
	return p.index.Offset(pos), nil
}

// Raw returns the stored entry of the object at an index position.
func (p *Pack) Raw(pos int) (Raw, error) {
	off := p.index.Offset(pos)
	e, err := p.Entry(off)
	if err != nil {
		return Raw{}, err
	}
	r := Raw{Kind: e.Kind, Size: e.Size, Base: e.BaseID, Data: p.data, Off: e.DataOffset, End: p.EntryEnd(pos)}
	if r.End < r.Off {
		return Raw{}, malformed("entry at offset %d reaches into the next", off)
	}
	if e.Kind == OfsDelta {
		base, ok := p.index.At(e.BaseOffset)
		if !ok {
			return Raw{}, malformed("base of the delta at offset %d is no entry", off)
		}
		r.Base = p.index.ID(base)
	}
	return r, nil
}

// Object returns the object whose entry starts at off. It refuses one larger
// than maxSize, if positive, with a *LimitError before it allocates. It takes
// bases from cache, if not nil, and puts what it resolves there, the object
// included.
func (p *Pack) Object(off int64, cache Cache, maxSize int64) (git.Object, error) {
	if cache != nil {
		if o, ok := cache.Get(off); ok {
			return o, checkObjectSize(int64(len(o.Data)), maxSize)
		}
	}
	r := resolver{pack: p, cache: cache, maxSize: maxSize}
	defer r.free()
	if err := r.walk(off); err != nil {
		return git.Object{}, err
	}
	o, _, err := r.resolve(false)
	return o, err
}

// Use calls f with the object whose entry starts at off, whose content is gone
// when f returns. Else it is like Object, but for what it leaves in cache: the
// bases alone.
func (p *Pack) Use(off int64, cache Cache, maxSize int64, f func(git.Object) error) error {
	if cache != nil {
		if o, ok := cache.Get(off); ok {
			if err := checkObjectSize(int64(len(o.Data)), maxSize); err != nil {
				return err
			}
			return f(o)
		}
	}
	r := resolver{pack: p, cache: cache, maxSize: maxSize}
	defer r.free()
	if err := r.walk(off); err != nil {
		return err
	}
	o, memory, err := r.resolve(true)
	if err != nil {
		return err
	}
	defer memory.free()
	return f(o)
}

// link is one delta on the way from an object to its base.
type link struct {
	off   int64
	entry Entry
}

// resolver makes one object of a chain of deltas.
type resolver struct {
	pack    *Pack
	cache   Cache
	maxSize int64

	inline [16]link
	chain  []link     // from the object to just above the base
	top    *buffer    // the first delta of the chain, inflated
	size   int64      // of the object
	base   git.Object // from the cache
	cached bool
	root   link    // the base, if not cached
	held   *buffer // memory of the base at hand, if it is ours
}

func (r *resolver) free() {
	r.top.free()
	r.held.free()
}

// walk follows the chain to a whole object and checks the final size.
func (r *resolver) walk(off int64) error {
	r.chain = r.inline[:0]
	for {
		if r.cache != nil && len(r.chain) > 0 {
			if r.base, r.cached = r.cache.Get(off); r.cached {
				return nil
			}
		}
		e, err := r.pack.Entry(off)
		if err != nil {
			return err
		}
		if !e.Kind.IsDelta() {
			r.root = link{off, e}
			if err := checkRatio(e.Size, r.pack.end-e.DataOffset); err != nil {
				return err
			}
			if len(r.chain) == 0 {
				r.size = e.Size
				return checkObjectSize(e.Size, r.maxSize)
			}
			return checkObjectSize(e.Size, r.pack.maxBase)
		}
		if len(r.chain) == MaxDeltaDepth {
			return &LimitError{Name: "delta depth", Limit: MaxDeltaDepth, Got: MaxDeltaDepth + 1}
		}
		r.chain = append(r.chain, link{off, e})
		if len(r.chain) == 1 {
			if err := r.head(); err != nil {
				return err
			}
		}
		if off, err = r.pack.base(e); err != nil {
			return err
		}
	}
}

// head inflates the delta that makes the object itself, whose size it has.
func (r *resolver) head() error {
	e := r.chain[0].entry
	if r.maxSize > 0 && e.Size > 2*r.maxSize+maxDeltaHeader {
		return &LimitError{Name: "object size", Limit: r.maxSize, Got: e.Size}
	}
	var err error
	if r.top, err = r.pack.inflate(e, r.pack.temp); err != nil {
		return err
	}
	_, r.size, _, err = deltaHeader(r.top.data)
	if err != nil {
		return err
	}
	return checkObjectSize(r.size, r.maxSize)
}

// resolve applies the chain. With borrowed the result is in memory that the
// caller must free, else on the heap for good.
func (r *resolver) resolve(borrowed bool) (git.Object, *buffer, error) {
	o := r.base
	if !r.cached {
		kept := !borrowed
		if len(r.chain) > 0 {
			kept = r.cache != nil && r.root.entry.Size < largeObject
		}
		b, err := r.memory(r.root.entry.Size, kept, func(dst []byte) error { return r.pack.inflateInto(dst, r.root.entry) })
		if err != nil {
			return o, nil, err
		}
		o = git.Object{Type: r.root.entry.Kind.Type(), Data: b.data}
		r.keep(r.root.off, o, b)
	}
	for i := len(r.chain) - 1; i >= 0; i-- {
		delta := r.top
		if i > 0 {
			var err error
			if delta, err = r.pack.inflate(r.chain[i].entry, r.pack.temp); err != nil {
				return o, nil, err
			}
		} else {
			r.top = nil
		}
		b, err := r.apply(o.Data, delta.data, i == 0, borrowed)
		delta.free()
		if err != nil {
			return o, nil, err
		}
		r.held.free()
		r.held = nil
		o.Data = b.data
		r.keep(r.chain[i].off, o, b)
	}
	b := r.held
	r.held = nil
	return o, b, nil
}

// apply makes the next object of the chain.
func (r *resolver) apply(base, delta []byte, last, borrowed bool) (*buffer, error) {
	baseSize, size, ops, err := deltaHeader(delta)
	if err != nil {
		return nil, err
	}
	if err := checkDelta(int64(len(base)), baseSize, size, ops); err != nil {
		return nil, err
	}
	if err := checkObjectSize(size, r.pack.maxBase); err != nil && (!last || borrowed) {
		return nil, err
	}
	kept := !borrowed
	if !last {
		kept = r.cache != nil && size < largeObject
	}
	return r.memory(size, kept, func(dst []byte) error {
		patch(dst, base, ops)
		return nil
	})
}

// memory allocates for good or borrows, then fills.
func (r *resolver) memory(size int64, kept bool, fill func([]byte) error) (*buffer, error) {
	var b *buffer
	if kept {
		b = &buffer{data: make([]byte, size)}
	} else {
		var err error
		if b, err = newBuffer(size, r.pack.temp); err != nil {
			return nil, err
		}
	}
	if err := fill(b.data); err != nil {
		b.free()
		return nil, err
	}
	return b, nil
}

// keep gives an object for good to the cache and remembers to free any other.
func (r *resolver) keep(off int64, o git.Object, b *buffer) {
	if b.pool != nil || b.file != nil {
		r.held = b
		return
	}
	if r.cache != nil {
		r.cache.Put(off, o)
	}
}

// inflate returns what an entry stores, an object or a delta.
func (p *Pack) inflate(e Entry, temp TempFile) (*buffer, error) {
	if err := checkRatio(e.Size, p.end-e.DataOffset); err != nil {
		return nil, err
	}
	b, err := newBuffer(e.Size, temp)
	if err != nil {
		return nil, err
	}
	if err := p.inflateInto(b.data, e); err != nil {
		b.free()
		return nil, err
	}
	return b, nil
}

var scratches = sync.Pool{New: func() any { return new([]byte) }}

// inflateInto fills dst, of the entry's size, with what it stores.
func (p *Pack) inflateInto(dst []byte, e Entry) error {
	rest := p.end - e.DataOffset
	if len(dst) < largeObject {
		n := min(rest, deflateBound(int64(len(dst))))
		v, err := p.data.View(e.DataOffset, int(n))
		if err != nil {
			return err
		}
		if int64(len(v)) == n {
			_, err = inflate(dst, v)
		} else if _, err = inflate(dst, v); err == errShort {
			scratch := scratches.Get().(*[]byte)
			defer scratches.Put(scratch)
			if v, err = viewFull(p.data, e.DataOffset, int(n), scratch); err == nil {
				_, err = inflate(dst, v)
			}
		}
		if err != errShort || n == rest {
			return err
		}
	}
	r, err := newEntryReader(&dataReader{p.data, e.DataOffset, p.end}, e.Size)
	if err != nil {
		return err
	}
	defer r.release()
	if _, err := io.ReadFull(r, dst); err != nil {
		return streamError(err)
	}
	return streamEnd(r)
}

// streamEnd requires that an entry's stream is over.
func streamEnd(r *entryReader) error {
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		return err
	}
	return nil
}

func streamError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errShort
	}
	return err
}

// Header returns the type and the size of the object whose entry starts at
// off. It inflates no more than the first bytes of one delta.
func (p *Pack) Header(off int64) (git.ObjectType, int64, error) {
	size := int64(-1)
	for depth := 0; ; depth++ {
		e, err := p.Entry(off)
		if err != nil {
			return 0, 0, err
		}
		if size < 0 {
			if size, err = p.finalSize(e); err != nil {
				return 0, 0, err
			}
		}
		if !e.Kind.IsDelta() {
			return e.Kind.Type(), size, nil
		}
		if depth == MaxDeltaDepth {
			return 0, 0, &LimitError{Name: "delta depth", Limit: MaxDeltaDepth, Got: MaxDeltaDepth + 1}
		}
		if off, err = p.base(e); err != nil {
			return 0, 0, err
		}
	}
}

// Type returns the type of the object whose entry starts at off. It inflates
// nothing.
func (p *Pack) Type(off int64) (git.ObjectType, error) {
	for range MaxDeltaDepth + 1 {
		e, err := p.Entry(off)
		if err != nil {
			return 0, err
		}
		if !e.Kind.IsDelta() {
			return e.Kind.Type(), nil
		}
		if off, err = p.base(e); err != nil {
			return 0, err
		}
	}
	return 0, &LimitError{Name: "delta depth", Limit: MaxDeltaDepth, Got: MaxDeltaDepth + 1}
}

// finalSize returns the size of the object that an entry makes.
func (p *Pack) finalSize(e Entry) (int64, error) {
	if !e.Kind.IsDelta() {
		return e.Size, nil
	}
	var head [maxDeltaHeader]byte
	n, err := p.peek(head[:min(e.Size, maxDeltaHeader)], e)
	if err != nil {
		return 0, err
	}
	_, size, _, err := deltaHeader(head[:n])
	return size, err
}

// peek inflates the first bytes of what an entry stores.
func (p *Pack) peek(dst []byte, e Entry) (int, error) {
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	rest := p.end - e.DataOffset
	for n := min(rest, 512); ; n = min(rest, n*8) {
		v, err := viewFull(p.data, e.DataOffset, int(n), scratch)
		if err != nil {
			return 0, err
		}
		got, err := inflatePrefix(dst, v)
		if err != errShort || n == rest || n > 1<<20 {
			return got, err
		}
	}
}

// Verify reads the whole pack and compares it with its checksum and with the
// index: every entry starts where the one before ends, and has the checksum
// that was noted when it was hashed.
func (p *Pack) Verify(ctx context.Context) error {
	whole := newChecksum(p.format)
	feed := func(v []byte) error {
		whole.Write(v)
		return context.Cause(ctx)
	}
	if err := eachView(p.data, 0, headerSize, feed); err != nil {
		return err
	}
	at := int64(headerSize)
	order := p.index.ByOffset()
	for i, pos := range order {
		off, end := p.index.Offset(int(pos)), p.end
		if i+1 < len(order) {
			end = p.index.Offset(int(order[i+1]))
		}
		if off != at || end <= off || end > p.end {
			return malformed("no entry at offset %d, where the index has object %s", off, p.index.ID(int(pos)))
		}
		crc := uint32(0)
		err := eachView(p.data, off, end, func(v []byte) error {
			crc = crc32.Update(crc, crc32.IEEETable, v)
			return feed(v)
		})
		if err != nil {
			return err
		}
		if crc != p.index.CRC32(int(pos)) {
			return malformed("stored object %s is damaged", p.index.ID(int(pos)))
		}
		at = end
	}
	if at != p.end || !bytes.Equal(whole.Sum(nil), p.index.PackChecksum()) {
		return malformed("checksum of the pack is wrong")
	}
	return nil
}

// Reader reads one object. It must be closed.
type Reader struct {
	kind   git.ObjectType
	size   int64
	whole  bytes.Reader
	held   *buffer
	stream *entryReader
}

// streamed is from where on a whole object is inflated as it is read.
const streamed = 1 << 20

// Open returns a reader of the object whose entry starts at off. A whole
// object is inflated as it is read, in constant memory; one that is stored as
// a delta must be resolved at once, in a mapped temporary file if it is large
// (SetTempFile). Small ones go through cache, which may be nil. It sets no
// limit: ask Size before reading.
func (p *Pack) Open(off int64, cache Cache) (*Reader, error) {
	e, err := p.Entry(off)
	if err != nil {
		return nil, err
	}
	if !e.Kind.IsDelta() && e.Size > streamed {
		s, err := newEntryReader(&dataReader{p.data, e.DataOffset, p.end}, e.Size)
		if err != nil {
			return nil, err
		}
		return &Reader{kind: e.Kind.Type(), size: e.Size, stream: s}, nil
	}
	r := &Reader{}
	var o git.Object
	size := e.Size
	if e.Kind.IsDelta() {
		if size, err = p.finalSize(e); err != nil {
			return nil, err
		}
	}
	if size < largeObject {
		o, err = p.Object(off, cache, 0)
	} else {
		s := resolver{pack: p, cache: cache}
		defer s.free()
		if err = s.walk(off); err == nil {
			o, r.held, err = s.resolve(true)
		}
	}
	if err != nil {
		return nil, err
	}
	r.kind, r.size = o.Type, int64(len(o.Data))
	r.whole.Reset(o.Data)
	return r, nil
}

// Type returns the object's type.
func (r *Reader) Type() git.ObjectType { return r.kind }

// Size returns the object's size.
func (r *Reader) Size() int64 { return r.size }

// Read reads content. It returns io.EOF only at the true end of an intact
// entry.
func (r *Reader) Read(b []byte) (int, error) {
	if r.stream != nil {
		return r.stream.Read(b)
	}
	return r.whole.Read(b)
}

// WriteTo writes what is left of the content. It lets io.Copy do without a
// buffer of its own, which would cost more than most objects.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.stream != nil {
		return io.Copy(w, struct{ io.Reader }{r.stream})
	}
	return r.whole.WriteTo(w)
}

// Close frees what the reader holds.
func (r *Reader) Close() error {
	if r.stream != nil {
		r.stream.release()
	}
	r.whole.Reset(nil)
	r.held.free()
	r.held = nil
	return nil
}
