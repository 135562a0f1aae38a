package pack

import (
	"fmt"
	"io"
)

// Data is random access to immutable bytes. View returns up to n bytes at off:
// at least one, unless off is Size, which gives io.EOF. A caller that needs
// more asks again. The bytes must not be written to, and stay valid until the
// owner of the Data closes it. Safe for concurrent use.
type Data interface {
	Size() int64
	View(off int64, n int) ([]byte, error)
}

// Bytes is Data in memory.
type Bytes []byte

// Size returns the length.
func (b Bytes) Size() int64 { return int64(len(b)) }

// View returns the bytes without copying them.
func (b Bytes) View(off int64, n int) ([]byte, error) { return viewOf(b, off, n) }

func viewOf(b []byte, off int64, n int) ([]byte, error) {
	if off < 0 || n < 0 || off > int64(len(b)) {
		return nil, fmt.Errorf("view of %d bytes at %d in %d", n, off, len(b))
	}
	if off == int64(len(b)) {
		return nil, io.EOF
	}
	rest := b[off:]
	return rest[:min(n, len(rest)):min(n, len(rest))], nil
}

// viewFull returns exactly n bytes at off. It copies into scratch, grown as
// needed, only where one view does not hold them all.
func viewFull(d Data, off int64, n int, scratch *[]byte) ([]byte, error) {
	v, err := d.View(off, n)
	if err == nil && len(v) >= n {
		return v[:n], nil
	}
	if n == 0 {
		return nil, nil
	}
	b := append((*scratch)[:0], v...)
	for err == nil && len(b) < n {
		v, err = d.View(off+int64(len(b)), n-len(b))
		b = append(b, v...)
	}
	*scratch = b
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b[:n], nil
}

// eachView calls f with the bytes of [off, end) in order, at most 1 MiB each.
func eachView(d Data, off, end int64, f func([]byte) error) error {
	for off < end {
		v, err := d.View(off, int(min(end-off, 1<<20)))
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if err := f(v); err != nil {
			return err
		}
		off += int64(len(v))
	}
	return nil
}

// dataReader reads [off, end) of a Data in order.
type dataReader struct {
	data     Data
	off, end int64
}

func (r *dataReader) Read(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	v, err := r.data.View(r.off, int(min(int64(len(p)), r.end-r.off)))
	n := copy(p, v)
	r.off += int64(n)
	return n, err
}
