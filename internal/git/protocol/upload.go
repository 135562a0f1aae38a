package protocol

import (
	"bytes"
	"io"

	"github.com/cairn-storage/cairn/internal/git"
)

// ReadUploadRequest reads a fetch request of version 0 or 1 as a stateless
// client posts it: its wants and how deep, then what it has, up to a flush
// packet or "done". The client repeats the whole with each round.
func ReadUploadRequest(r *Reader, format git.ObjectFormat, limits Limits) (*FetchRequest, error) {
	p := &uploadParser{fetchParser: fetchParser{req: &FetchRequest{}, format: format, limits: limits}}
	if err := p.wants(r); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(p.req.Wants) == 0 {
		return p.req, nil
	}
	if err := p.haves(r); err != nil {
		return nil, err
	}
	return p.req, nil
}

type uploadParser struct {
	fetchParser
	filters bool // the client asked for the capability
}

// wants reads up to the flush packet that ends the wants.
func (p *uploadParser) wants(r *Reader) error {
	for {
		kind, line, err := r.readText()
		switch {
		case err != nil:
			return err
		case kind == Flush:
			return nil
		case kind != Data:
			return malformed("unexpected %s packet among the wants", kind)
		}
		if err := p.wantsLine(line); err != nil {
			return err
		}
	}
}

func (p *uploadParser) wantsLine(line []byte) error {
	if bytes.HasPrefix(line, []byte("filter ")) && !p.filters {
		return malformed("filter without the capability")
	}
	if known, err := p.shared(line); known {
		return err
	}
	arg, ok := bytes.CutPrefix(line, []byte("want "))
	if !ok {
		return malformed("expected a want, got %q", clip(line))
	}
	id, capabilities, _ := bytes.Cut(arg, []byte{' '})
	first := len(p.req.Wants) == 0
	var err error
	if p.req.Wants, err = p.appendID(p.req.Wants, id, p.limits.Wants, "wants"); err != nil {
		return err
	}
	if first {
		return p.capabilities(Capabilities(capabilities))
	}
	if len(capabilities) > 0 {
		return malformed("expected an object id, got %q", clip(arg))
	}
	return nil
}

func (p *uploadParser) capabilities(c Capabilities) error {
	q := p.req
	if f := c.Value("object-format"); f != "" && f != p.format.String() {
		return malformed("mismatched object format: server %s; client %q", p.format, clip(f))
	}
	switch {
	case c.Has("multi_ack_detailed"):
		q.Acks = MultiAckDetailed
	case c.Has("multi_ack"):
		q.Acks = MultiAck
	}
	switch {
	case c.Has("side-band-64k"):
		q.Sideband = Sideband64k
	case c.Has("side-band"):
		q.Sideband = SidebandShort
	}
	q.NoDone = c.Has("no-done")
	q.DeepenRelative = c.Has("deepen-relative")
	q.ThinPack = c.Has("thin-pack")
	q.OfsDelta = c.Has("ofs-delta")
	q.NoProgress = c.Has("no-progress")
	q.IncludeTag = c.Has("include-tag")
	q.Agent = clip(c.Value("agent"))
	p.filters = c.Has("filter")
	return nil
}

// haves reads up to the flush packet or "done" that ends a round. A body that
// ends before the first have is whole: its client wants the shallow list.
func (p *uploadParser) haves(r *Reader) error {
	q := p.req
	for first := true; ; first = false {
		packet, err := r.ReadPacket()
		if err == io.EOF {
			if first {
				q.OnlyWants = true
				return nil
			}
			return malformed("the haves end without flush or done: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
		line := packet.Text()
		switch {
		case packet.Kind == Flush:
			return nil
		case packet.Kind != Data:
			return malformed("unexpected %s packet among the haves", packet.Kind)
		case string(line) == "done":
			q.Done = true
			return nil
		}
		id, ok := bytes.CutPrefix(line, []byte("have "))
		if !ok {
			return malformed("expected a have or done, got %q", clip(line))
		}
		if q.Haves, err = p.appendID(q.Haves, id, p.limits.Haves, "haves"); err != nil {
			return err
		}
	}
}
