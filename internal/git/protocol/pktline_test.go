package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cairn-storage/cairn/internal/git/protocol"
)

func TestWriterWritesTheExamplesOfTheDocumentation(t *testing.T) {
	t.Parallel()
	// gitprotocol-common(5) has these.
	for _, c := range []struct {
		write func(w *protocol.Writer) error
		want  string
	}{
		{func(w *protocol.Writer) error { return w.Line("a") }, "0006a\n"},
		{func(w *protocol.Writer) error { return w.Packet([]byte("a")) }, "0005a"},
		{func(w *protocol.Writer) error { return w.Line("foobar") }, "000bfoobar\n"},
		{func(w *protocol.Writer) error { return w.Packet(nil) }, "0004"},
		{func(w *protocol.Writer) error { return w.Packetf("%s %d", "x", 7) }, "0007x 7"},
		{(*protocol.Writer).Flush, "0000"},
		{(*protocol.Writer).Delim, "0001"},
		{(*protocol.Writer).ResponseEnd, "0002"},
		{func(w *protocol.Writer) error { return w.Error("not\nhere\x00") }, "0011ERR not here "},
	} {
		var out bytes.Buffer
		if err := c.write(protocol.NewWriter(&out)); err != nil {
			t.Errorf("%q: %v", c.want, err)
		}
		if got := out.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestReaderReadsWhatWriterWrites(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 4, 1000, 8187, 8188, 8192, 8193, 30_000, protocol.MaxPayload} {
		payload := bytes.Repeat([]byte("0123456789abcde"), n/15+1)[:n]
		var out bytes.Buffer
		w := protocol.NewWriter(&out)
		if err := w.Packet(payload); err != nil {
			t.Fatal(err)
		}
		w.Delim()
		w.Flush()
		io.WriteString(&out, "rest")
		r := protocol.NewReader(iotest.HalfReader(&out))
		p, err := r.ReadPacket()
		if err != nil || p.Kind != protocol.Data || !bytes.Equal(p.Payload, payload) {
			t.Fatalf("%d bytes: got %v and %d bytes, %v", n, p.Kind, len(p.Payload), err)
		}
		for _, want := range []protocol.Kind{protocol.Delim, protocol.Flush} {
			if p, err := r.ReadPacket(); p.Kind != want || err != nil {
				t.Fatalf("got %v, %v, want %v", p.Kind, err, want)
			}
		}
		rest, err := io.ReadAll(r.Rest())
		if string(rest) != "rest" || err != nil {
			t.Fatalf("got %q, %v, want the rest", rest, err)
		}
	}
}

func TestWriterRefusesWhatNoPacketHolds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := protocol.NewWriter(&out)
	if err := w.Packet(make([]byte, protocol.MaxPayload+1)); err == nil || out.Len() > 0 {
		t.Errorf("got %v and %d bytes written", err, out.Len())
	}
}

func TestReaderRefusesMalformedPackets(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"0003", "fff1", "ffff", "FFFF", "-001", "+005a", " 005a", "0x05a", "00g0", "zzzz", "\x00\x00\x00\x00", // lengths
		"0", "00", "000", // cut in the length
		"0005", "0006a", "fff0abc", "2001" + strings.Repeat("x", 100), // cut in the payload
	} {
		_, err := protocol.NewReader(strings.NewReader(in)).ReadPacket()
		if !errors.Is(err, protocol.ErrProtocol) {
			t.Errorf("%q: got %v, want ErrProtocol", in, err)
		}
	}
}

func TestReaderEndsWithEOFBetweenPackets(t *testing.T) {
	t.Parallel()
	r := protocol.NewReader(strings.NewReader("0005a"))
	if end, err := r.AtEnd(); end || err != nil {
		t.Errorf("AtEnd before the packet: got %t, %v", end, err)
	}
	if _, err := r.ReadPacket(); err != nil {
		t.Fatal(err)
	}
	if end, err := r.AtEnd(); !end || err != nil {
		t.Errorf("AtEnd after the packet: got %t, %v", end, err)
	}
	if _, err := r.ReadPacket(); err != io.EOF {
		t.Errorf("got %v, want io.EOF itself", err)
	}
}

func TestReaderPassesErrorsOfItsSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, before := range []string{"", "00", "0010abc", "2001abc"} {
		r := protocol.NewReader(io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)))
		_, err := r.ReadPacket()
		if !errors.Is(err, broken) || errors.Is(err, protocol.ErrProtocol) {
			t.Errorf("after %q: got %v, want just the source's error", before, err)
		}
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestWriterKeepsItsFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	w := protocol.NewWriter(failingWriter{broken})
	w.Line("a")
	for name, err := range map[string]error{"Err": w.Err(), "Flush": w.Flush(), "Sideband": protocol.NewSideband(w, 1000).Close()} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// demultiplex returns what came over each side-band up to the flush packet.
func demultiplex(t testing.TB, r *protocol.Reader, most int) (bands [4]string) {
	t.Helper()
	var text [4]strings.Builder
	for {
		p, err := r.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind == protocol.Flush {
			break
		}
		if len(p.Payload)+4 > most || len(p.Payload) < 1 || p.Payload[0] < 1 || p.Payload[0] > 3 {
			t.Fatalf("packet of %d bytes on side-band %q", len(p.Payload)+4, p.Payload[:1])
		}
		text[p.Payload[0]].Write(p.Payload[1:])
	}
	for i := range text {
		bands[i] = text[i].String()
	}
	return bands
}

func TestSidebandSplitsAtTheMaximum(t *testing.T) {
	t.Parallel()
	for _, size := range []int{protocol.Sideband64k, protocol.SidebandShort} {
		data := strings.Repeat("0123456789", 100_000)
		progress := strings.Repeat("working\r", 500)
		var out bytes.Buffer
		band := protocol.NewSideband(protocol.NewWriter(&out), size)
		for _, part := range []string{data[:1], data[1:1000], data[1000:130_000], data[130_000:500_000], data[500_000:]} {
			if _, err := io.WriteString(band.DataWriter(), part); err != nil {
				t.Fatal(err)
			}
			if err := band.Progress(progress); err != nil {
				t.Fatal(err)
			}
		}
		band.KeepAlive()
		band.Fatal("sorry")
		if err := band.Close(); err != nil {
			t.Fatal(err)
		}
		got := demultiplex(t, protocol.NewReader(&out), size)
		if got[1] != data || got[2] != strings.Repeat(progress, 5) || got[3] != "sorry\n" {
			t.Errorf("size %d: got %d bytes of data, %d of progress, error %q", size, len(got[1]), len(got[2]), got[3])
		}
	}
}

func TestSidebandFillsPackets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	band := protocol.NewSideband(protocol.NewWriter(&out), protocol.SidebandShort)
	for range 2000 {
		band.Data([]byte("x"))
	}
	band.Close()
	// 995 bytes of data fit a packet: 2000 = 995 + 995 + 10.
	if got, want := out.Len(), 1000+1000+15+4; got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{"", "0000", "0001", "0002", "0003", "0004", "0005a0006a\n0000", "ffff", "fff0", "000"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := protocol.NewReader(bytes.NewReader(data))
		var out bytes.Buffer
		w := protocol.NewWriter(&out)
		for {
			p, err := r.ReadPacket()
			if err != nil {
				if err != io.EOF && !errors.Is(err, protocol.ErrProtocol) {
					t.Fatalf("unexpected kind of error: %v", err)
				}
				break
			}
			switch p.Kind {
			case protocol.Data:
				w.Packet(p.Payload)
			case protocol.Flush:
				w.Flush()
			case protocol.Delim:
				w.Delim()
			case protocol.ResponseEnd:
				w.ResponseEnd()
			}
		}
		if !bytes.HasPrefix(bytes.ToLower(data), bytes.ToLower(out.Bytes())) {
			t.Fatalf("wrote %q for %q", out.Bytes(), data)
		}
	})
}

func BenchmarkSideband(b *testing.B) {
	chunk := make([]byte, 32<<10)
	b.SetBytes(int64(len(chunk)))
	band := protocol.NewSideband(protocol.NewWriter(io.Discard), protocol.Sideband64k)
	b.ReportAllocs()
	for b.Loop() {
		band.Data(chunk)
	}
}
