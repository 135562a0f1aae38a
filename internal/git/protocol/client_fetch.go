package protocol

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// WriteFetch asks for a pack with all that the wants lead to and the haves do
// not, in one request of any version: whoever asks says at once all that it
// has. The pack may be thin.
func (a *ServerAdvertisement) WriteFetch(w *Writer, agent string, wants, haves []git.ObjectID) error {
	if a.Version >= 2 {
		a.command(w, "fetch", agent)
		for _, option := range []string{"thin-pack", "no-progress", "ofs-delta"} {
			w.Line(option)
		}
		for _, id := range wants {
			w.Line("want " + id.String())
		}
	} else {
		for i, id := range wants {
			line := "want " + id.String()
			if i == 0 {
				line += " " + a.chosen(agent, detailed, "thin-pack", "side-band-64k", "ofs-delta", "no-progress")
			}
			w.Line(line)
		}
		w.Flush()
	}
	if a.Version < 2 && !a.Capabilities.Has(detailed) {
		haves = nil // the end of the acknowledgements could not be told
	}
	for _, id := range haves {
		w.Line("have " + id.String())
	}
	w.Line("done")
	if a.Version >= 2 {
		return w.Flush()
	}
	return w.Err()
}

// detailed is the form of acknowledgements of which the last one is known.
const detailed = "multi_ack_detailed"

// chosen returns those of the capabilities that the server has, with what
// needs a value.
func (a *ServerAdvertisement) chosen(agent string, names ...string) string {
	var words []string
	for _, name := range names {
		if a.Capabilities.Has(name) {
			words = append(words, name)
		}
	}
	if a.Capabilities.Has("object-format") {
		words = append(words, "object-format="+a.Format.String())
	}
	if a.Capabilities.Has("agent") {
		words = append(words, "agent="+token(agent))
	}
	return strings.Join(words, " ")
}

// ReadFetch reads the answer to WriteFetch up to the pack and returns the
// pack's bytes.
func (a *ServerAdvertisement) ReadFetch(r *Reader) (io.Reader, error) {
	if a.Version >= 2 {
		line, err := r.answerLine()
		if err != nil {
			return nil, err
		}
		if string(line) != "packfile" {
			return nil, malformed("expected a pack, got %q", clip(line))
		}
		return NewDemux(r), nil
	}
	for {
		line, err := r.answerLine()
		if err != nil {
			return nil, err
		}
		id, acknowledged := bytes.CutPrefix(line, []byte("ACK "))
		if !acknowledged && string(line) != "NAK" {
			return nil, malformed("expected ACK or NAK, got %q", clip(line))
		}
		if bytes.IndexByte(id, ' ') < 0 { // with a status, others follow
			break
		}
	}
	if !a.Capabilities.Has("side-band-64k") {
		return r.Rest(), nil
	}
	return NewDemux(r), nil
}

// Demux reads the data of a side-band stream. What the other side says beside
// the data is dropped, but for the first of it; its fatal error is a
// *RemoteError. The stream ends with its flush packet.
type Demux struct {
	r        *Reader
	data     []byte // of the present packet
	messages []byte
	err      error
}

// NewDemux returns the data of the stream that follows.
func NewDemux(r *Reader) *Demux { return &Demux{r: r} }

// Messages returns what the other side said for people, as far as it was kept.
func (d *Demux) Messages() string { return remoteText(d.messages) }

// Read returns data.
func (d *Demux) Read(p []byte) (int, error) {
	for len(d.data) == 0 && d.err == nil {
		d.err = d.next()
	}
	if len(d.data) == 0 {
		return 0, d.err
	}
	n := copy(p, d.data)
	d.data = d.data[n:]
	return n, nil
}

// next reads one packet.
func (d *Demux) next() error {
	p, err := d.r.ReadPacket()
	switch {
	case err == io.EOF:
		return malformed("the side-band stream is not complete: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return err
	case p.Kind == Flush, p.Kind == ResponseEnd:
		return io.EOF
	case p.Kind != Data, len(p.Payload) == 0:
		return malformed("unexpected %s packet in a side-band stream", p.Kind)
	}
	switch text := p.Payload[1:]; p.Payload[0] {
	case dataBand:
		d.data = text
	case progressBand:
		room := maxRemoteText - len(d.messages)
		d.messages = append(d.messages, text[:min(len(text), room)]...)
	case fatalBand:
		return &RemoteError{remoteText(text)}
	default:
		return malformed("side-band %d", p.Payload[0])
	}
	return nil
}

// IsRemote tells whether an error is the other side's fault: its own words, or
// an answer that is malformed or over a limit.
func IsRemote(err error) bool {
	var told *RemoteError
	var limit *LimitError
	return errors.As(err, &told) || errors.As(err, &limit) || errors.Is(err, ErrProtocol)
}
