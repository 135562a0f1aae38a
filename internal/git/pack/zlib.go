package pack

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
)

// DefaultCompression is the deflate level that git writes with by default.
const DefaultCompression = 6

// deflateBound is how long the zlib stream of n bytes can be when a sane
// writer made it. Longer ones are legal and handled, slower.
func deflateBound(n int64) int64 { return n + n>>9 + 64 }

// maxRatio bounds how many bytes one byte of deflate data can make.
const maxRatio = 1032

// checkRatio refuses a size that so few stored bytes cannot hold, before
// anybody allocates that much.
func checkRatio(size, stored int64) error {
	if size/maxRatio > stored {
		return malformed("%d stored bytes cannot hold %d", stored, size)
	}
	return nil
}

type inflater struct {
	buf    *bufio.Reader
	stream io.ReadCloser // a zlib reader, also a zlib.Resetter
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

func (z *inflater) reset(r io.Reader) error {
	if z.stream == nil {
		stream, err := zlib.NewReader(r)
		if err != nil {
			return zlibError(err)
		}
		z.stream = stream
		return nil
	}
	return zlibError(z.stream.(zlib.Resetter).Reset(r, nil))
}

func (z *inflater) release() {
	if z.buf != nil {
		z.buf.Reset(nil)
	}
	inflaters.Put(z)
}

// zlibError tells what is wrong with the stream from what is wrong with its
// source, which is passed on.
func zlibError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil:
		return nil
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return errShort
	case err == zlib.ErrChecksum || err == zlib.ErrHeader || err == zlib.ErrDictionary || errors.As(err, &corrupt):
		return malformed("%v", err)
	}
	return err
}

// entryReader inflates one entry as a stream and holds it to its size.
type entryReader struct {
	z    *inflater
	left int64
	err  error
}

// newEntryReader starts on the zlib stream that src is at. A src that is a
// *bufio.Reader is left just after the stream.
func newEntryReader(src io.Reader, size int64) (*entryReader, error) {
	z := inflaters.Get().(*inflater)
	buffered, ok := src.(*bufio.Reader)
	if !ok {
		if z.buf == nil {
			z.buf = bufio.NewReaderSize(nil, 32<<10)
		}
		z.buf.Reset(src)
		buffered = z.buf
	}
	if err := z.reset(buffered); err != nil {
		z.release()
		return nil, err
	}
	return &entryReader{z: z, left: size}, nil
}

// Read returns io.EOF only where the entry has the size it claims and the
// checksum is true.
func (r *entryReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left > 0 && len(p) == 0 {
		return 0, nil
	}
	var n int
	if r.left > 0 {
		n, r.err = r.z.stream.Read(p[:min(int64(len(p)), r.left)])
		r.left -= int64(n)
	}
	if r.left == 0 && r.err == nil {
		r.err = r.atEnd()
	}
	switch {
	case r.err == nil:
	case r.err == io.EOF && r.left > 0:
		r.err = malformed("zlib stream is shorter than its entry claims")
	case r.err != io.EOF:
		r.err = zlibError(r.err)
	}
	if r.err == io.EOF && n > 0 {
		return n, nil
	}
	return n, r.err
}

// atEnd requires that the stream has no more bytes; io.EOF if so.
func (r *entryReader) atEnd() error {
	var more [1]byte
	n, err := io.ReadFull(r.z.stream, more[:])
	if n > 0 {
		return errLong
	}
	return err
}

func (r *entryReader) release() {
	if r.z != nil {
		r.z.release()
		r.z = nil
		r.err = errors.New("read from a closed object")
	}
}

// deflater compresses whole objects.
type deflater struct {
	level int
	buf   bytes.Buffer
	w     *zlib.Writer
}

var deflaters [10]sync.Pool

func getDeflater(level int) *deflater {
	if level < 0 || level > 9 {
		level = DefaultCompression
	}
	if d, ok := deflaters[level].Get().(*deflater); ok {
		return d
	}
	d := &deflater{level: level}
	d.w, _ = zlib.NewWriterLevel(nil, level) // the level is in range
	return d
}

func (d *deflater) release() {
	if d.buf.Cap() > 4<<20 {
		d.buf = bytes.Buffer{}
	}
	deflaters[d.level].Put(d)
}

// deflate returns the zlib stream of data, valid until the next call.
func (d *deflater) deflate(data []byte) ([]byte, error) {
	d.buf.Reset()
	if len(data) <= smallObject {
		d.buf.Write(deflateSmall(d.buf.AvailableBuffer(), data))
		return d.buf.Bytes(), nil
	}
	return d.deflateLarge(data)
}

func (d *deflater) deflateLarge(data []byte) ([]byte, error) {
	d.buf.Reset()
	d.w.Reset(&d.buf)
	if _, err := d.w.Write(data); err != nil {
		return nil, err
	}
	if err := d.w.Close(); err != nil {
		return nil, err
	}
	return d.buf.Bytes(), nil
}
