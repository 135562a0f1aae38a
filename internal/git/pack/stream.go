package pack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/cairn-storage/cairn/internal/git"
)

// StreamWriter writes a pack of a known number of objects to a stream: what a
// server sends to a client that fetches. It is for one goroutine, keeps no
// list of what it wrote and checks no ids: its caller sends each object once.
type StreamWriter struct {
	format git.ObjectFormat
	w      *bufio.Writer
	out    io.Writer
	hash   hash.Hash // nil once the checksum is known
	known  []byte    // the checksum
	level  int
	count  uint32
	left   int64
	off    int64
	header []byte
	err    error
}

// NewStreamWriter writes the header of a pack of count objects.
func NewStreamWriter(f git.ObjectFormat, w io.Writer, count uint32, level int) *StreamWriter {
	s := &StreamWriter{format: f, out: w, hash: newChecksum(f), level: level, count: count, left: int64(count)}
	s.w = bufio.NewWriterSize(hashedWriter{s}, 64<<10)
	s.write(packHeader(count))
	return s
}

// hashedWriter is what the buffer is flushed to.
type hashedWriter struct{ s *StreamWriter }

func (w hashedWriter) Write(p []byte) (int, error) {
	if w.s.hash != nil {
		w.s.hash.Write(p)
	}
	return w.s.out.Write(p)
}

// Checksum tells the writer which checksum the pack will have, for a caller that
// wrote the same bytes before: hashing is most of the work of copying a pack.
// The caller answers for it; a client notices.
func (s *StreamWriter) Checksum(checksum []byte) { s.known, s.hash = checksum, nil }

// Offset returns where in the pack the next entry starts.
func (s *StreamWriter) Offset() int64 { return s.off }

func (s *StreamWriter) write(p []byte) error {
	if s.err == nil {
		var n int
		n, s.err = s.w.Write(p)
		s.off += int64(n)
	}
	return s.err
}

// entryWriter is what the zlib stream of an entry is written to.
type entryWriter struct{ s *StreamWriter }

func (w entryWriter) Write(p []byte) (int, error) {
	if err := w.s.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// begin counts entries.
func (s *StreamWriter) begin(n int64) error {
	if s.err == nil && n > s.left {
		s.err = fmt.Errorf("pack was announced with %d objects and gets more", s.count)
	}
	s.left -= n
	return s.err
}

// WriteObject writes a whole object.
func (s *StreamWriter) WriteObject(t git.ObjectType, data []byte) error {
	if err := s.begin(1); err != nil {
		return err
	}
	d := getDeflater(s.level)
	defer d.release()
	stream, err := d.deflate(data)
	if err != nil {
		s.err = err
		return err
	}
	s.header = appendHeader(s.header[:0], Kind(t), int64(len(data)))
	s.write(s.header)
	return s.write(stream)
}

// WriteReader writes a whole object of exactly size bytes as they are read.
func (s *StreamWriter) WriteReader(t git.ObjectType, size int64, r io.Reader) error {
	if err := s.begin(1); err != nil {
		return err
	}
	s.header = appendHeader(s.header[:0], Kind(t), size)
	if err := s.write(s.header); err != nil {
		return err
	}
	if err := deflateFrom(entryWriter{s}, r, size, s.level, io.Discard); err != nil && s.err == nil {
		s.err = err // what is written of the entry cannot be taken back
	}
	return s.err
}

// WriteRaw writes a stored entry without inflating it. The base of a delta is
// named by the offset at which this stream has it, or with an offset of 0 by
// its id: for a thin pack, or a client without ofs-delta.
func (s *StreamWriter) WriteRaw(r Raw, baseOffset int64) error {
	if baseOffset != 0 && (baseOffset < headerSize || baseOffset >= s.off) {
		return fmt.Errorf("base of a delta at %d is not before %d", baseOffset, s.off)
	}
	if err := s.begin(1); err != nil {
		return err
	}
	s.header = s.header[:0]
	switch {
	case !r.Kind.IsDelta():
		s.header = appendHeader(s.header, r.Kind, r.Size)
	case baseOffset != 0:
		s.header = appendHeader(s.header, OfsDelta, r.Size)
		s.header = appendDistance(s.header, s.off-baseOffset)
	default:
		s.header = appendHeader(s.header, RefDelta, r.Size)
		s.header = r.Base.AppendTo(s.header)
	}
	s.write(s.header)
	return s.copy(r.Data, r.Off, r.End)
}

// WriteBody writes all entries of a pack as they are: deltas name their bases
// by distance, which stays true.
func (s *StreamWriter) WriteBody(p *Pack) error {
	if err := s.begin(int64(p.index.n)); err != nil {
		return err
	}
	if p.startsWith(packHeader(s.count)) {
		s.Checksum(p.index.PackChecksum()) // the stream is this very pack
	}
	return s.copy(p.data, headerSize, p.end)
}

// startsWith tells whether the stored pack has the header.
func (p *Pack) startsWith(header []byte) bool {
	var scratch []byte
	stored, err := viewFull(p.data, 0, len(header), &scratch)
	return err == nil && bytes.Equal(stored, header)
}

func (s *StreamWriter) copy(d Data, off, end int64) error {
	err := eachView(d, off, end, s.write)
	if s.err == nil {
		s.err = err
	}
	return s.err
}

// Close writes the trailer, checks that every announced object was written,
// and returns the pack's checksum. It does not close the stream below.
func (s *StreamWriter) Close() ([]byte, error) {
	if s.err == nil && s.left != 0 {
		s.err = fmt.Errorf("pack of %d objects lacks %d", s.count, s.left)
	}
	if s.err == nil {
		s.err = s.w.Flush()
	}
	if s.err != nil {
		return nil, s.err
	}
	checksum := s.known
	if s.hash != nil {
		checksum = s.hash.Sum(nil)
	}
	s.err = errStreamClosed
	if _, err := s.out.Write(checksum); err != nil {
		return nil, err
	}
	s.off += int64(len(checksum))
	return checksum, nil
}

var errStreamClosed = errors.New("pack stream is closed")
