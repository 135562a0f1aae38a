package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxPacket is the length of the longest pkt-line, its four digits included.
const MaxPacket = 65520

// MaxPayload is the longest payload of a pkt-line.
const MaxPayload = MaxPacket - 4

// Kind tells a pkt-line with a payload from the special ones.
type Kind uint8

// The kinds of pkt-line.
const (
	Data        Kind = iota // a payload, which may be empty
	Flush                   // 0000: the end of a list or a message
	Delim                   // 0001: the end of a section, version 2
	ResponseEnd             // 0002: the end of a stateless response, version 2
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Flush:
		return "flush"
	case Delim:
		return "delimiter"
	case ResponseEnd:
		return "response end"
	}
	return "data"
}

// Packet is one pkt-line.
type Packet struct {
	Kind    Kind
	Payload []byte // valid until the next call of the Reader
}

// Text returns the payload without the line feed that may end it.
func (p Packet) Text() []byte { return bytes.TrimSuffix(p.Payload, []byte{'\n'}) }

// Reader reads pkt-lines. It is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	big []byte // for payloads that r cannot hold
}

// NewReader returns a Reader of r. It may read ahead: what follows the last
// packet is to be read from Rest.
func NewReader(r io.Reader) *Reader {
	if b, ok := r.(*bufio.Reader); ok {
		return &Reader{r: b}
	}
	return &Reader{r: bufio.NewReaderSize(r, 8<<10)}
}

// Rest returns the reader of what follows the packets read so far. It ends
// the use of Reader until it is read to where packets go on.
func (r *Reader) Rest() io.Reader { return r.r }

// AtEnd tells whether nothing follows the packets read so far.
func (r *Reader) AtEnd() (bool, error) {
	_, err := r.r.Peek(1)
	if err == io.EOF {
		return true, nil
	}
	return false, err
}

// ReadPacket returns the next packet, or io.EOF if the input ends before it.
// Input that ends inside a packet is ErrProtocol and io.ErrUnexpectedEOF.
func (r *Reader) ReadPacket() (Packet, error) {
	head, err := r.r.Peek(4)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			return Packet{}, malformed("pkt-line length: %w", io.ErrUnexpectedEOF)
		}
		return Packet{}, err
	}
	length, ok := parseLength(head)
	if !ok {
		return Packet{}, malformed("pkt-line length %q is not hexadecimal", head)
	}
	if length == 3 || length > MaxPacket {
		return Packet{}, malformed("bad pkt-line length %d", length)
	}
	r.discard(4)
	switch length {
	case 0:
		return Packet{Kind: Flush}, nil
	case 1:
		return Packet{Kind: Delim}, nil
	case 2:
		return Packet{Kind: ResponseEnd}, nil
	}
	payload, err := r.payload(length - 4)
	if err != nil {
		return Packet{}, err
	}
	return Packet{Kind: Data, Payload: payload}, nil
}

func (r *Reader) payload(n int) ([]byte, error) {
	if n <= r.r.Size() {
		b, err := r.r.Peek(n)
		if err != nil {
			return nil, truncated(err)
		}
		r.discard(n)
		return b, nil
	}
	if len(r.big) < n {
		r.big = make([]byte, MaxPayload)
	}
	if _, err := io.ReadFull(r.r, r.big[:n]); err != nil {
		return nil, truncated(err)
	}
	return r.big[:n], nil
}

// discard drops n bytes that have been peeked at.
func (r *Reader) discard(n int) {
	if _, err := r.r.Discard(n); err != nil {
		panic(err) // they are in the buffer
	}
}

func truncated(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("pkt-line: %w", io.ErrUnexpectedEOF)
	}
	return err
}

func parseLength(head []byte) (int, bool) {
	n := 0
	for _, c := range head {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int(c)
	}
	return n, true
}

// readText reads the next packet of a message that must not end here: the end
// of the input is ErrProtocol.
func (r *Reader) readText() (kind Kind, line []byte, err error) {
	p, err := r.ReadPacket()
	if err == io.EOF {
		return 0, nil, malformed("the request is not complete: %w", io.ErrUnexpectedEOF)
	}
	return p.Kind, p.Text(), err
}

// Writer writes pkt-lines, each with one Write: it does not buffer, so that
// what is written is on its way. Wrap the underlying writer where many short
// packets go to something slow. After an error every call returns that error.
// It is not safe for concurrent use.
type Writer struct {
	w   io.Writer
	buf []byte
	err error
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Err returns the first error of the underlying writer.
func (w *Writer) Err() error { return w.err }

// Packet writes one packet. A payload longer than MaxPayload is an error.
func (w *Writer) Packet(payload []byte) error {
	w.begin()
	w.buf = append(w.buf, payload...)
	return w.end()
}

// Packetf writes one packet of formatted text, as it is.
func (w *Writer) Packetf(format string, args ...any) error {
	w.begin()
	w.buf = fmt.Appendf(w.buf, format, args...)
	return w.end()
}

// Line writes one packet of text with a line feed at its end.
func (w *Writer) Line(text string) error {
	w.begin()
	w.buf = append(append(w.buf, text...), '\n')
	return w.end()
}

// Error writes the packet that makes a client print the text and stop. Line
// feeds in the text become blanks.
func (w *Writer) Error(text string) error {
	const most = 4096
	if len(text) > most {
		text = text[:most]
	}
	return w.Packetf("ERR %s", strings.Map(oneLine, text))
}

// Flush writes a flush packet. It has nothing to do with buffers.
func (w *Writer) Flush() error { return w.raw("0000") }

// Delim writes a delimiter packet.
func (w *Writer) Delim() error { return w.raw("0001") }

// ResponseEnd writes a response-end packet.
func (w *Writer) ResponseEnd() error { return w.raw("0002") }

func (w *Writer) raw(s string) error {
	w.buf = append(w.buf[:0], s...)
	return w.write()
}

func (w *Writer) begin() { w.buf = append(w.buf[:0], "0000"...) }

func (w *Writer) end() error {
	if len(w.buf) > MaxPacket {
		return fmt.Errorf("payload of %d bytes is too long for a pkt-line", len(w.buf)-4)
	}
	putLength(w.buf, len(w.buf))
	return w.write()
}

func (w *Writer) write() error {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	return w.err
}

// putLength writes the four digits of a pkt-line's length to b.
func putLength(b []byte, n int) {
	const digits = "0123456789abcdef"
	_ = b[3]
	b[0], b[1], b[2], b[3] = digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]
}

// oneLine maps what would end or distort a line of text to blanks.
func oneLine(r rune) rune {
	if r == '\n' || r == '\r' || r == 0 {
		return ' '
	}
	return r
}
