package pack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Spool is bytes that are being written: in memory up to a threshold, then in
// a temporary file. It is Data for what has been written so far. One goroutine
// writes at a time, while any number read what was written before they began.
type Spool struct {
	temp      TempFile
	threshold int64

	mu      sync.Mutex
	size    int64
	memory  []byte   // everything, while there is no file
	file    *os.File // holds the first flushed bytes
	pending []byte   // the rest
	flushed int64
	mapped  [][]byte // every mapping made so far; the last is the largest
	current atomic.Pointer[[]byte]
	closed  bool
}

const spoolBuffer = 256 << 10

var errSpoolClosed = errors.New("spool is closed")

// NewSpool returns an empty spool that keeps up to threshold bytes in memory.
// With a nil temp it keeps everything there.
func NewSpool(threshold int64, temp TempFile) *Spool {
	return &Spool{temp: temp, threshold: threshold}
}

// Size returns how many bytes have been written.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Write appends p.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errSpoolClosed
	}
	s.current.Store(nil)
	if s.file == nil && s.size+int64(len(p)) > s.threshold && s.temp != nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	switch {
	case s.file == nil:
		s.memory = append(s.memory, p...)
	case len(s.pending)+len(p) <= spoolBuffer:
		s.pending = append(s.pending, p...)
	default:
		if err := s.flush(); err != nil {
			return 0, err
		}
		if len(p) < spoolBuffer {
			s.pending = append(s.pending, p...)
			break
		}
		if _, err := s.file.WriteAt(p, s.flushed); err != nil {
			return 0, err
		}
		s.flushed += int64(len(p))
	}
	s.size += int64(len(p))
	return len(p), nil
}

// spill moves what is in memory to a file.
func (s *Spool) spill() error {
	f, err := s.temp()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(s.memory, 0); err != nil {
		f.Close()
		return err
	}
	s.file, s.flushed, s.memory = f, s.size, nil
	return nil
}

func (s *Spool) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	if _, err := s.file.WriteAt(s.pending, s.flushed); err != nil {
		return err
	}
	s.flushed += int64(len(s.pending))
	s.pending = s.pending[:0]
	return nil
}

// WriteAt overwrites bytes that have been written before.
func (s *Spool) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, errSpoolClosed
	case off < 0 || off+int64(len(p)) > s.size:
		return 0, fmt.Errorf("write of %d bytes at %d in a spool of %d", len(p), off, s.size)
	case s.file == nil:
		s.current.Store(nil)
		return copy(s.memory[off:], p), nil
	}
	s.current.Store(nil)
	if err := s.flush(); err != nil {
		return 0, err
	}
	return s.file.WriteAt(p, off)
}

// Truncate forgets what was written from size on.
func (s *Spool) Truncate(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errSpoolClosed
	case size < 0 || size > s.size:
		return fmt.Errorf("truncation to %d of a spool of %d bytes", size, s.size)
	}
	s.current.Store(nil)
	switch {
	case s.file == nil:
		// Views of the bytes beyond stay as they are: what follows goes elsewhere.
		s.memory = s.memory[:size:size]
	case size >= s.flushed:
		s.pending = s.pending[:size-s.flushed]
	default:
		s.pending = s.pending[:0]
		s.flushed = size
		if err := s.file.Truncate(size); err != nil {
			return err
		}
	}
	s.size = size
	return nil
}

// View returns bytes that have been written. They stay valid until Close, but
// for those beyond a later Truncate.
func (s *Spool) View(off int64, n int) ([]byte, error) {
	if m := s.current.Load(); m != nil && off >= 0 && n >= 0 && off+int64(n) <= int64(len(*m)) {
		return (*m)[off : off+int64(n) : off+int64(n)], nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSpoolClosed
	}
	if s.file == nil {
		return viewOf(s.memory, off, n)
	}
	if off < 0 || n < 0 || off > s.size {
		return nil, fmt.Errorf("view of %d bytes at %d in a spool of %d", n, off, s.size)
	}
	if off == s.size {
		return nil, io.EOF
	}
	n = int(min(int64(n), s.size-off))
	if err := s.flush(); err != nil {
		return nil, err
	}
	whole, err := s.mapping()
	if errors.Is(err, errors.ErrUnsupported) {
		b := make([]byte, n)
		_, err = s.file.ReadAt(b, off)
		return b, err
	}
	if err != nil {
		return nil, err
	}
	return whole[off : off+int64(n) : off+int64(n)], nil
}

// mapping returns the whole file, mapped. Mappings are made ahead of what is
// written, each at least twice as large as the one before, so that they are
// few; old ones live on for the views into them.
func (s *Spool) mapping() ([]byte, error) {
	var last []byte
	if len(s.mapped) > 0 {
		last = s.mapped[len(s.mapped)-1]
	}
	if int64(len(last)) < s.size {
		m, err := mapFile(s.file, int(max(s.size*2, 1<<20)), false)
		if err != nil {
			return nil, err
		}
		s.mapped = append(s.mapped, m)
		last = m
	}
	return last[:s.size], nil
}

// Freeze says that writing is over: it makes the spool's last bytes part of
// the file, and reading it needs no lock from now on. A later write undoes it.
func (s *Spool) Freeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errSpoolClosed
	case s.file == nil:
		m := s.memory
		s.current.Store(&m)
		return nil
	case s.size == 0:
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	m, err := s.mapping()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil {
		s.current.Store(&m)
	}
	return err
}

// File returns the temporary file, still the spool's own; nil if the bytes are
// in memory. After Freeze it holds everything.
func (s *Spool) File() *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

// Bytes returns everything at once, without copying.
func (s *Spool) Bytes() ([]byte, error) {
	size := s.Size()
	if size == 0 {
		return nil, nil
	}
	return s.View(0, int(size))
}

// WriteTo writes everything to w. A file is read, not mapped: its pages would
// count as memory of the process, all of them at once.
func (s *Spool) WriteTo(w io.Writer) (int64, error) {
	s.mu.Lock()
	f, size := s.file, s.size
	err := error(nil)
	if f != nil {
		err = s.flush()
	}
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if f != nil {
		return io.CopyBuffer(w, io.NewSectionReader(f, 0, size), make([]byte, spoolBuffer))
	}
	err = eachView(s, 0, size, func(b []byte) error {
		_, err := w.Write(b)
		return err
	})
	return size, err
}

// Close frees the memory and closes the file. No view may be used afterwards.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.current.Store(nil)
	s.memory, s.pending = nil, nil
	var err error
	for _, m := range s.mapped {
		err = errors.Join(err, unmap(m))
	}
	s.mapped = nil
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
