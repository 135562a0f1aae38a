package protocol

import (
	"io"
	"strings"
	"sync"
)

// The packet lengths that the capabilities side-band-64k and side-band allow.
const (
	Sideband64k   = MaxPacket
	SidebandShort = 1000
)

// The side-bands.
const (
	dataBand     = 1
	progressBand = 2
	fatalBand    = 3
)

// gathered is how many bytes of packets go out with one Write: few calls for
// much data, and still little memory for each of many slow clients.
const gathered = 256 << 10

// Sideband multiplexes data with progress text and a final error in packets
// of a Writer, each as long as the size allows. Data is gathered until several
// packets are full, so Close (or Send) must follow the last of it. It is safe
// for concurrent use: progress may come from another goroutine than data.
// Nothing else may use the Writer until Close returns.
type Sideband struct {
	mu      sync.Mutex
	w       *Writer
	packets []byte // full packets, then the one being filled: length, band, data
	last    int    // where that one starts
	text    []byte // scratch for the other bands
	size    int    // of a full packet
	most    int    // bytes of packets, a multiple of size
}

// NewSideband returns a Sideband of packets no longer than size, which is
// Sideband64k or SidebandShort.
func NewSideband(w *Writer, size int) *Sideband {
	size = min(max(size, SidebandShort), MaxPacket)
	return &Sideband{w: w, size: size, most: gathered / size * size}
}

// Data adds to the primary data.
func (s *Sideband) Data(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 && s.w.err == nil {
		if len(s.packets)-s.last == s.size {
			s.finish()
		}
		if len(s.packets) == s.last {
			s.begin()
		}
		room := s.last + s.size - len(s.packets)
		n := min(len(p), room)
		s.packets = append(s.packets, p[:n]...)
		p = p[n:]
		if len(s.packets) == s.most {
			_ = s.send() // s.w keeps the error
		}
	}
	return s.w.err
}

// begin starts a packet. The first one gets little memory, as most answers are
// small; an answer that goes on gets all.
func (s *Sideband) begin() {
	if s.last > 0 && cap(s.packets) < s.most {
		s.packets = append(make([]byte, 0, s.most), s.packets...)
	}
	s.packets = append(s.packets, "0000\x01"...)
}

// finish ends the packet being filled.
func (s *Sideband) finish() {
	putLength(s.packets[s.last:], len(s.packets)-s.last)
	s.last = len(s.packets)
}

// DataWriter returns a writer of the primary data.
func (s *Sideband) DataWriter() io.Writer { return dataWriter{s} }

type dataWriter struct{ s *Sideband }

func (d dataWriter) Write(p []byte) (int, error) {
	if err := d.s.Data(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Progress sends text that the client prints with the prefix "remote: ". The
// caller ends lines with a line feed, or a carriage return to print over them.
func (s *Sideband) Progress(text string) error { return s.other(progressBand, text) }

// Fatal sends the text of an error that makes the client give up, after the
// data so far. Nothing but Close may follow.
func (s *Sideband) Fatal(text string) error {
	return s.other(fatalBand, strings.TrimRight(text, "\n")+"\n")
}

// KeepAlive sends an empty packet, so that nobody on the way takes the
// connection for dead.
func (s *Sideband) KeepAlive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.send(); err != nil {
		return err
	}
	return s.w.Packet([]byte{dataBand})
}

// Send sends the data so far without waiting for a full packet.
func (s *Sideband) Send() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send()
}

// Close sends the rest of the data and the flush packet that ends the stream.
func (s *Sideband) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.send(); err != nil {
		return err
	}
	return s.w.Flush()
}

// send writes what is gathered.
func (s *Sideband) send() error {
	if len(s.packets) > s.last {
		s.finish()
	}
	if len(s.packets) > 0 && s.w.err == nil {
		_, s.w.err = s.w.w.Write(s.packets)
	}
	s.packets, s.last = s.packets[:0], 0
	return s.w.err
}

func (s *Sideband) other(band byte, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.send(); err != nil {
		return err
	}
	for len(text) > 0 {
		n := min(len(text), s.size-5)
		s.text = append(append(s.text[:0], band), text[:n]...)
		if err := s.w.Packet(s.text); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}
