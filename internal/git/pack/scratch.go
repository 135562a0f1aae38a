package pack

import (
	"fmt"
	"math/bits"
	"os"
	"sync"
)

// TempFile makes a temporary file that is gone when it is closed: a caller
// unlinks it before it hands it over, or removes it afterwards.
type TempFile func() (*os.File, error)

// largeObject is from where on the content of an object is kept in a mapped
// temporary file instead of the heap while deltas are resolved, so that the
// kernel may write it out.
const largeObject = 16 << 20

// buffer is memory for one object's content, with an owner who frees it.
type buffer struct {
	data []byte
	file *os.File // of mapped memory
	pool *[]byte  // of pooled memory
}

var buffers [32]sync.Pool

// newBuffer allocates size bytes: from a pool, or from a temporary file if
// they are many and temp is not nil.
func newBuffer(size int64, temp TempFile) (*buffer, error) {
	if size >= largeObject && temp != nil {
		return newFileBuffer(size, temp)
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("object of %d bytes does not fit into memory", size)
	}
	if size > largeObject || size == 0 {
		return &buffer{data: make([]byte, size)}, nil
	}
	class := max(9, bits.Len64(uint64(size-1)))
	b := &buffer{}
	if p, ok := buffers[class].Get().(*[]byte); ok {
		b.pool = p
	} else {
		p := make([]byte, 1<<class)
		b.pool = &p
	}
	b.data = (*b.pool)[:size]
	return b, nil
}

func newFileBuffer(size int64, temp TempFile) (*buffer, error) {
	f, err := temp()
	if err != nil {
		return nil, err
	}
	if err := reserve(f, size); err != nil {
		f.Close()
		return nil, err
	}
	data, err := mapFile(f, int(size), true)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &buffer{data: data, file: f}, nil
}

// held is how much heap the buffer takes.
func (b *buffer) held() int64 {
	switch {
	case b.file != nil:
		return 0
	case b.pool != nil:
		return int64(cap(*b.pool))
	}
	return int64(cap(b.data))
}

// free gives the memory back. Nothing may use data afterwards.
func (b *buffer) free() {
	if b == nil {
		return
	}
	switch {
	case b.file != nil:
		_ = unmap(b.data) // a mapping of our own, and a file that is to vanish
		_ = b.file.Close()
	case b.pool != nil:
		buffers[bits.Len(uint(len(*b.pool)-1))].Put(b.pool)
	}
	*b = buffer{}
}

func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; {
		n, err := f.WriteAt(zeros[:min(size-off, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}
