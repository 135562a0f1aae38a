package pack

import (
	"bufio"
	"bytes"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// source reads the stream in large pieces, spools them, and hashes all but
// what may be the trailer.
type source struct {
	r     io.Reader
	spool *Spool
	hash  hash.Hash
	limit int64
	n     int64  // bytes read
	tail  []byte // the last ones, as many as the trailer has
	size  int    // of the trailer
	err   error  // how the stream ended
}

// readAtLeast keeps a slow stream from handing over a few bytes at a time.
const readAtLeast = 256 << 10

func newSource(r io.Reader, spool *Spool, f git.ObjectFormat, limit int64) *source {
	return &source{r: r, spool: spool, hash: newChecksum(f), limit: limit, size: f.Size()}
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := io.ReadAtLeast(s.r, p, min(len(p), readAtLeast))
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	s.err = err
	s.n += int64(n)
	if s.limit > 0 && s.n > s.limit {
		s.err = &LimitError{Name: "pack size", Limit: s.limit, Got: s.n}
		return 0, s.err
	}
	if _, err := s.spool.Write(p[:n]); err != nil {
		s.err = err
		return 0, err
	}
	s.hold(p[:n])
	return n, nil
}

// hold hashes what is certainly before the trailer.
func (s *source) hold(p []byte) {
	if len(p) >= s.size {
		s.hash.Write(s.tail)
		s.hash.Write(p[:len(p)-s.size])
		s.tail = append(s.tail[:0], p[len(p)-s.size:]...)
		return
	}
	s.tail = append(s.tail, p...)
	if over := len(s.tail) - s.size; over > 0 {
		s.hash.Write(s.tail[:over])
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
}

// verify compares the trailer at the end of the stream.
func (s *source) verify() error {
	if !bytes.Equal(s.hash.Sum(nil), s.tail) {
		return malformed("checksum of the pack is wrong")
	}
	return nil
}

func (s *source) trailer() []byte { return bytes.Clone(s.tail) }

// readSmall inflates an entry at once. It returns errShort, with nothing
// consumed, if the zlib stream is longer than any sane one, or cut off.
func (rc *receiver) readSmall(h *hashing, i uint32, e Entry, header int) error {
	b, err := rc.in.Peek(header + int(deflateBound(e.Size)))
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return err // a full buffer is a small one, which holds all of the stream
	}
	dst, err := h.room(e)
	if err != nil {
		return err
	}
	used, err := inflate(dst, b[header:])
	if err != nil {
		return err
	}
	if e.Kind.IsDelta() {
		if err := rc.admitDelta(dst); err != nil {
			return err
		}
	}
	used += header
	rc.crcs[i] = crc32.ChecksumIEEE(b[:used])
	rc.discard(used)
	return h.add(i, e)
}

// readLarge inflates an entry piece by piece.
func (rc *receiver) readLarge(h *hashing, i uint32, e Entry, header int) error {
	off := rc.at()
	rc.discard(header)
	r, err := newEntryReader(rc.in, e.Size)
	if err != nil {
		return err
	}
	defer r.release()
	switch {
	case e.Kind.IsDelta():
		err = rc.skipDelta(r, e)
	case e.Kind == Blob:
		h.hasher.Reset(git.BlobObject, e.Size)
		if _, err = io.CopyBuffer(struct{ io.Writer }{h.hasher}, r, h.piece(0)); err == nil {
			var id git.ObjectID
			id, err = h.hasher.Sum()
			rc.setID(i, id)
		}
	default:
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, h.piece(0))
	}
	if err != nil {
		return err
	}
	crc := uint32(0)
	err = eachView(rc.spool, off, rc.at(), func(v []byte) error {
		crc = crc32.Update(crc, crc32.IEEETable, v)
		return nil
	})
	rc.crcs[i] = crc
	if err != nil || e.Kind.IsDelta() || e.Kind == Blob {
		return err
	}
	return rc.rereadLarge(h, i, e)
}

// skipDelta reads over a delta, but for the sizes that start it.
func (rc *receiver) skipDelta(r *entryReader, e Entry) error {
	var head [maxDeltaHeader]byte
	n, err := io.ReadFull(r, head[:min(e.Size, maxDeltaHeader)])
	if err != nil {
		return streamError(err)
	}
	if err := rc.admitDelta(head[:n]); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// rereadLarge hashes and checks an object that must be held whole for it, once
// it is known to be as large as it claims.
func (rc *receiver) rereadLarge(h *hashing, i uint32, e Entry) error {
	b, err := newBuffer(e.Size, rc.opts.TempFile)
	if err != nil {
		return err
	}
	defer b.free()
	view := &Pack{format: rc.opts.Format, data: rc.spool, end: rc.at()}
	if err := view.inflateInto(b.data, e); err != nil {
		return err
	}
	id, err := rc.identify(h.hasher, e.Kind.Type(), b.data)
	if err == nil {
		rc.setID(i, id)
	}
	return err
}

// identify hashes an object and checks it.
func (rc *receiver) identify(h *git.Hasher, t git.ObjectType, data []byte) (git.ObjectID, error) {
	h.Reset(t, int64(len(data)))
	h.Write(data)
	id, err := h.Sum()
	if err == nil && t != git.BlobObject && rc.opts.Check != nil {
		err = rc.opts.Check(t, data)
	}
	if err != nil {
		return id, &ObjectError{Type: t, ID: id, Err: err}
	}
	return id, nil
}

// hashing hands whole objects to workers in batches and collects their ids.
// The workers start with the first batch that is full.
type hashing struct {
	rc      *receiver
	hasher  *git.Hasher
	scratch []byte
	now     *batch
	work    chan *batch
	done    chan *batch
	flying  int // batches that are with workers
	workers sync.WaitGroup
}

// batch is a few objects, one after the other in arena.
type batch struct {
	arena []byte
	items []batchItem
	ids   []git.ObjectID
	err   error
}

type batchItem struct {
	object uint32
	kind   git.ObjectType
	end    int
}

const (
	batchSize    = 256 << 10
	batchObjects = 512
)

var batches = sync.Pool{New: func() any { return &batch{arena: make([]byte, 0, batchSize)} }}

func newHashing(rc *receiver) *hashing {
	return &hashing{rc: rc, hasher: git.NewHasher(rc.opts.Format)}
}

// piece returns at least 64 KiB of memory to copy through.
func (h *hashing) piece(size int) []byte {
	if len(h.scratch) < size {
		h.scratch = make([]byte, max(size, 64<<10))
	}
	return h.scratch
}

// room returns memory for what an entry stores.
func (h *hashing) room(e Entry) ([]byte, error) {
	size := int(e.Size)
	if e.Kind.IsDelta() {
		return h.piece(size)[:size], nil
	}
	if b := h.now; b != nil && cap(b.arena)-len(b.arena) < size {
		if err := h.send(); err != nil {
			return nil, err
		}
	}
	if h.now == nil {
		h.now = batches.Get().(*batch)
		if cap(h.now.arena) < size {
			h.now.arena = make([]byte, 0, size)
		}
	}
	start := len(h.now.arena)
	return h.now.arena[start : start+size], nil
}

// add queues the object that was written to the last room.
func (h *hashing) add(i uint32, e Entry) error {
	if e.Kind.IsDelta() {
		return nil
	}
	b := h.now
	b.arena = b.arena[:len(b.arena)+int(e.Size)]
	b.items = append(b.items, batchItem{i, e.Kind.Type(), len(b.arena)})
	if len(b.arena) < batchSize*3/4 && len(b.items) < batchObjects {
		return nil
	}
	return h.send()
}

// send gives the batch to a worker, and waits for one if all are busy.
func (h *hashing) send() error {
	if h.work == nil {
		h.start()
	}
	if h.flying == cap(h.work) {
		if err := h.collect(); err != nil {
			return err
		}
	}
	h.work <- h.now
	h.now = nil
	h.flying++
	return nil
}

func (h *hashing) start() {
	n := h.rc.opts.Workers
	h.work, h.done = make(chan *batch, n+1), make(chan *batch, n+1)
	for range n {
		h.workers.Go(func() {
			hasher := git.NewHasher(h.rc.opts.Format)
			for b := range h.work {
				h.rc.identifyBatch(hasher, b)
				h.done <- b
			}
		})
	}
}

func (rc *receiver) identifyBatch(hasher *git.Hasher, b *batch) {
	start := 0
	for _, item := range b.items {
		id, err := rc.identify(hasher, item.kind, b.arena[start:item.end])
		if err != nil {
			b.err = err
			return
		}
		b.ids = append(b.ids, id)
		start = item.end
	}
}

// collect takes a batch back.
func (h *hashing) collect() error {
	b := <-h.done
	h.flying--
	return h.take(b)
}

// take stores the ids of a batch.
func (h *hashing) take(b *batch) error {
	if b.err != nil {
		return b.err
	}
	for i, item := range b.items {
		h.rc.setID(item.object, b.ids[i])
	}
	*b = batch{arena: b.arena[:0], items: b.items[:0], ids: b.ids[:0]}
	batches.Put(b)
	return nil
}

// finish waits for everything that was added.
func (h *hashing) finish() error {
	if h.now != nil && h.work == nil {
		h.rc.identifyBatch(h.hasher, h.now)
		b := h.now
		h.now = nil
		return h.take(b)
	}
	if h.now != nil {
		if err := h.send(); err != nil {
			return err
		}
	}
	for h.flying > 0 {
		if err := h.collect(); err != nil {
			return err
		}
	}
	return nil
}

// stop ends the workers.
func (h *hashing) stop() {
	if h.work != nil {
		close(h.work)
		h.workers.Wait()
	}
}
