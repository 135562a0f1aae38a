package pack

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// ReceiveOptions says how to receive a pack and what to accept.
type ReceiveOptions struct {
	Format git.ObjectFormat

	// TempFile makes the files for the pack itself, once it is larger than
	// SpoolMemory (default 1 MiB), and for very large objects meanwhile. With
	// none everything stays in memory.
	TempFile    TempFile
	SpoolMemory int64
	// SpoolFile makes the file for the pack itself if TempFile is not to: a
	// caller that keeps the file may want it to have a name.
	SpoolFile TempFile

	// Base returns an object that a thin pack builds on, or an error if there
	// is none. One goroutine calls it. nil: thin packs are refused.
	Base func(ctx context.Context, id git.ObjectID) (git.Object, error)

	// Check is called for every commit, tree and tag, from several goroutines
	// at once; its error refuses the pack. The data is gone when it returns.
	Check func(t git.ObjectType, data []byte) error

	Limits  Limits
	Workers int   // default: one per processor
	Memory  int64 // budget for the bases of deltas; default 64 MiB

	// Progress is told now and then how many of the objects have come and how
	// many deltas are resolved. One goroutine at a time calls it.
	Progress func(received, total, resolvedDeltas int)
}

// Limits bounds what Receive accepts; going over one is a *LimitError. Zero
// sets no limit.
type Limits struct {
	PackSize   int64 // bytes of the stream
	ObjectSize int64 // of each object
	CommitSize int64 // of each commit and tag, which readers hold whole
	TreeSize   int64 // of each tree, likewise
	Objects    int64 // their number
	Inflated   int64 // all objects together
	Ratio      int64 // Inflated per byte of the stream, from 64 MiB on
	DeltaDepth int   // 0 and anything larger mean MaxDeltaDepth
}

// Received is a pack that Receive accepted: well-formed, self-contained,
// every object hashed. It must be closed.
type Received struct {
	Pack     *Pack
	Index    []byte
	Checksum []byte // the trailer, the pack's name
	Spool    *Spool // holds the pack

	Objects int // in the pack, appended bases included
	Deltas  int
	Bases   int // appended to complete a thin pack
}

// Close frees the memory and the file of the pack.
func (r *Received) Close() error { return r.Spool.Close() }

// Receive reads a pack from a stream that ends after it. It reads once,
// hashing whole objects as they pass, then resolves the deltas in parallel
// within a budget of memory, completes a thin pack with the bases it lacks, and
// makes the index. It returns ErrMalformed, ErrMissingBase, ErrDuplicate,
// git.ErrCollision, a *LimitError, what Check returned, or what reading, the
// context or TempFile failed with.
func Receive(ctx context.Context, r io.Reader, opts ReceiveOptions) (*Received, error) {
	rc := newReceiver(r, opts)
	received, err := rc.receive(ctx)
	if err != nil {
		rc.spool.Close()
		return nil, err
	}
	return received, nil
}

const (
	// oneShot is the largest entry that is inflated at once while the stream
	// is read. Larger ones are inflated piece by piece.
	oneShot = 1 << 20
	// readAhead is the stream's buffer. It holds the zlib stream of any entry
	// of up to oneShot bytes.
	readAhead = 2 * oneShot
	// smallStream is the buffer of a stream that is no longer than this, which
	// most pushes are.
	smallStream = 64 << 10

	none = ^uint32(0)
)

// receiver is a pack on its way in. Objects are numbered in the order of the
// stream; what is known of them is in parallel arrays.
type receiver struct {
	opts  ReceiveOptions
	spool *Spool
	src   *source
	in    *bufio.Reader
	view  *Pack // reads entries back from the spool; it has no index

	count   int
	offsets []int64
	crcs    []uint32
	kinds   []Kind // as stored
	ids     []byte // zeros until known
	bases   []uint32
	refs    refDeltas

	inflated int64 // all objects together
	deltas   int
	resolved int
}

// refDeltas lists the deltas whose base is named by its id.
type refDeltas struct {
	ids     []byte // of the bases
	objects []uint32
}

func newReceiver(r io.Reader, opts ReceiveOptions) *receiver {
	if opts.SpoolMemory == 0 {
		opts.SpoolMemory = 1 << 20
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Memory <= 0 {
		opts.Memory = 64 << 20
	}
	if d := opts.Limits.DeltaDepth; d <= 0 || d > MaxDeltaDepth {
		opts.Limits.DeltaDepth = MaxDeltaDepth
	}
	if opts.SpoolFile == nil {
		opts.SpoolFile = opts.TempFile
	}
	spool := NewSpool(opts.SpoolMemory, opts.SpoolFile)
	return &receiver{
		opts:  opts,
		spool: spool,
		src:   newSource(r, spool, opts.Format, opts.Limits.PackSize),
		view:  &Pack{format: opts.Format, data: spool},
	}
}

func (rc *receiver) receive(ctx context.Context) (*Received, error) {
	if err := rc.read(ctx); err != nil {
		return nil, err
	}
	checksum := rc.src.trailer()
	if err := rc.spool.Freeze(); err != nil {
		return nil, err
	}
	appended := 0
	if rc.deltas > 0 {
		if err := rc.resolve(ctx, 0); err != nil {
			return nil, err
		}
		if rc.resolved < rc.deltas {
			var err error
			if appended, err = rc.complete(ctx); err != nil {
				return nil, err
			}
		}
	}
	if appended > 0 {
		var err error
		if checksum, err = seal(rc.opts.Format, rc.spool, uint32(len(rc.offsets))); err != nil {
			return nil, err
		}
	}
	index, err := sortedIndex(rc.opts.Format, rc.ids, rc.offsets, rc.crcs, checksum)
	if err != nil {
		return nil, err
	}
	p, err := OpenBuilt(rc.opts.Format, rc.spool, index)
	if err != nil {
		return nil, err
	}
	p.SetTempFile(rc.opts.TempFile)
	return &Received{
		Pack: p, Index: index, Checksum: checksum, Spool: rc.spool,
		Objects: len(rc.offsets), Deltas: rc.deltas, Bases: appended,
	}, nil
}

func (rc *receiver) progress() {
	if rc.opts.Progress != nil {
		rc.opts.Progress(min(len(rc.offsets), rc.count), rc.count, rc.resolved)
	}
}

func (rc *receiver) setID(i uint32, id git.ObjectID) {
	copy(rc.id(i), id.Bytes())
}

func (rc *receiver) id(i uint32) []byte {
	size := rc.opts.Format.Size()
	return rc.ids[int(i)*size : (int(i)+1)*size]
}

// The buffers of streams, by size.
var (
	smallReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, smallStream) }}
	largeReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readAhead) }}
)

// read takes the whole stream in.
func (rc *receiver) read(ctx context.Context) error {
	rc.in = smallReaders.Get().(*bufio.Reader)
	rc.in.Reset(rc.src)
	defer func() { putReader(rc.in) }()
	if _, err := rc.in.Peek(smallStream); err == nil {
		rc.enlarge()
	}
	return rc.readAll(ctx)
}

// enlarge moves what the full small buffer holds to a large one.
func (rc *receiver) enlarge() {
	small := rc.in
	b, _ := small.Peek(small.Buffered())
	rc.in = largeReaders.Get().(*bufio.Reader)
	rc.in.Reset(io.MultiReader(bytes.NewReader(b), rc.src))
	_, _ = rc.in.Peek(len(b)) // copies b, which is no longer used then
	putReader(small)
}

func putReader(in *bufio.Reader) {
	pool := &smallReaders
	if in.Size() > smallStream {
		pool = &largeReaders
	}
	in.Reset(nil)
	pool.Put(in)
}

// readAll takes in everything through rc.in.
func (rc *receiver) readAll(ctx context.Context) error {
	header, err := rc.in.Peek(headerSize)
	if err != nil {
		return cutOff(err)
	}
	n, err := parseHeader(header)
	if err != nil {
		return err
	}
	if limit := rc.opts.Limits.Objects; limit > 0 && int64(n) > limit {
		return &LimitError{Name: "objects", Limit: limit, Got: int64(n)}
	}
	rc.count = int(n)
	rc.discard(headerSize)
	h := newHashing(rc)
	defer h.stop()
	for range n {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := rc.readEntry(h); err != nil {
			return fmt.Errorf("object %d of %d: %w", len(rc.offsets), n, err)
		}
		if len(rc.offsets)%1024 == 0 {
			rc.progress()
		}
	}
	if err := h.finish(); err != nil {
		return err
	}
	rc.view.end = rc.at()
	return rc.readTrailer()
}

// at returns the offset in the pack of the next byte to be read.
func (rc *receiver) at() int64 { return rc.src.n - int64(rc.in.Buffered()) }

// discard skips bytes that have been peeked at.
func (rc *receiver) discard(n int) {
	if _, err := rc.in.Discard(n); err != nil {
		panic(err) // they are in the buffer
	}
}

// cutOff turns the end of the stream into an error about the pack.
func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("pack is cut off")
	}
	return err
}

func (rc *receiver) readTrailer() error {
	size := rc.opts.Format.Size()
	b, err := rc.in.Peek(size + 1)
	switch {
	case err == nil:
		return malformed("bytes after the trailer")
	case err != io.EOF:
		return err
	case len(b) < size:
		return cutOff(err)
	}
	return rc.src.verify()
}

// readEntry takes in the next object.
func (rc *receiver) readEntry(h *hashing) error {
	off := rc.at()
	b, err := rc.in.Peek(maxEntryHeader)
	if err != nil && err != io.EOF {
		return err
	}
	e, n, err := parseEntry(rc.opts.Format, b, off)
	if err != nil {
		return err
	}
	if err := rc.admit(e); err != nil {
		return err
	}
	i, err := rc.note(e, off)
	if err != nil {
		return err
	}
	if e.Size <= oneShot {
		if err := rc.readSmall(h, i, e, n); err != errShort {
			return err
		}
	}
	return rc.readLarge(h, i, e, n)
}

// admit checks a header against the limits.
func (rc *receiver) admit(e Entry) error {
	limit := rc.opts.Limits.ObjectSize
	if !e.Kind.IsDelta() {
		if err := rc.opts.Limits.admit(e.Kind.Type(), e.Size); err != nil {
			return err
		}
		if err := checkObjectSize(e.Size, limit); err != nil {
			return err
		}
		return rc.admitSize(e.Size)
	}
	if limit > 0 && e.Size > 2*limit+maxDeltaHeader {
		return &LimitError{Name: "object size", Limit: limit, Got: e.Size}
	}
	return nil
}

// admit checks the size of an object of a known type against the type's limit.
func (l *Limits) admit(t git.ObjectType, size int64) error {
	limit := int64(0)
	switch t {
	case git.CommitObject, git.TagObject:
		limit = l.CommitSize
	case git.TreeObject:
		limit = l.TreeSize
	}
	if limit > 0 && size > limit {
		return &LimitError{Name: t.String() + " size", Limit: limit, Got: size}
	}
	return nil
}

// ratioFloor is how much a pack may inflate to, whatever its size.
const ratioFloor = 64 << 20

// admitSize counts the size of an object.
func (rc *receiver) admitSize(size int64) error {
	l := &rc.opts.Limits
	rc.inflated += size
	switch {
	case rc.inflated < 0 || l.Inflated > 0 && rc.inflated > l.Inflated:
		return &LimitError{Name: "inflated size", Limit: l.Inflated, Got: rc.inflated}
	case l.Ratio > 0 && rc.inflated > ratioFloor && rc.inflated/l.Ratio > rc.src.n:
		return &LimitError{Name: "inflate ratio", Limit: l.Ratio, Got: rc.inflated / rc.src.n}
	}
	return nil
}

// admitDelta checks the sizes that start a delta.
func (rc *receiver) admitDelta(head []byte) error {
	base, size, _, err := deltaHeader(head)
	if err != nil {
		return err
	}
	if err := checkObjectSize(max(base, size), rc.opts.Limits.ObjectSize); err != nil {
		return err
	}
	return rc.admitSize(size)
}

// note numbers the entry and finds its base among the ones before.
func (rc *receiver) note(e Entry, off int64) (uint32, error) {
	i := uint32(len(rc.offsets))
	base := none
	switch e.Kind {
	case OfsDelta:
		n, ok := slices.BinarySearch(rc.offsets, e.BaseOffset)
		if !ok {
			return 0, malformed("base of the delta at offset %d is no entry", off)
		}
		base = uint32(n)
	case RefDelta:
		rc.refs.ids = e.BaseID.AppendTo(rc.refs.ids)
		rc.refs.objects = append(rc.refs.objects, i)
	}
	if e.Kind.IsDelta() {
		rc.deltas++
	}
	rc.offsets = append(rc.offsets, off)
	rc.crcs = append(rc.crcs, 0)
	rc.kinds = append(rc.kinds, e.Kind)
	rc.bases = append(rc.bases, base)
	rc.ids = append(rc.ids, zeroID[:rc.opts.Format.Size()]...)
	return i, nil
}

var zeroID [32]byte
