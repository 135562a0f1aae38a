package protocol

import (
	"bytes"
	"io"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// RefUpdate is one update that a push asks for.
type RefUpdate struct {
	Name string       // as the client sent it: not checked to be a valid ref name
	Old  git.ObjectID // zero: the ref does not exist
	New  git.ObjectID // zero: delete the ref
}

// IsDelete tells whether the ref is to be deleted.
func (u RefUpdate) IsDelete() bool { return u.New.IsZero() }

// PushRequest is a push without its pack.
type PushRequest struct {
	Commands     []RefUpdate // of distinct refs; none if the client only probes whether it is let in
	Shallow      []git.ObjectID
	Capabilities Capabilities
	Options      []string // free text without control characters

	// Pack starts exactly where the pack does. It is nil if the push has none:
	// it deletes refs and does nothing else.
	Pack io.Reader
}

// Atomic tells whether all updates are to be done or none.
func (q *PushRequest) Atomic() bool { return q.Capabilities.Has("atomic") }

// Quiet tells whether the client wants no progress.
func (q *PushRequest) Quiet() bool { return q.Capabilities.Has("quiet") }

// Sideband tells whether the answer is multiplexed, in packets of up to
// Sideband64k.
func (q *PushRequest) Sideband() bool { return q.Capabilities.Has("side-band-64k") }

// ReportVersion is 0 if the client wants no report, else which of the two
// forms of report it understands.
func (q *PushRequest) ReportVersion() int {
	switch {
	case q.Capabilities.Has("report-status-v2"):
		return 2
	case q.Capabilities.Has("report-status"):
		return 1
	}
	return 0
}

// Agent returns what the client says it is, for logs.
func (q *PushRequest) Agent() string { return clip(q.Capabilities.Value("agent")) }

// ReadPush reads a push up to its pack. Signed pushes (push-cert) are refused,
// since they are not offered, and so is a push that updates a ref twice. Beside
// an error it returns what was read of the push, which tells how the client
// can be told.
func ReadPush(r *Reader, format git.ObjectFormat, limits Limits) (*PushRequest, error) {
	p := &pushParser{req: &PushRequest{}, format: format, limits: limits, names: map[string]bool{}}
	q := p.req
	if err := eachLine(r, "commands", p.line); err != nil {
		return q, err
	}
	if len(q.Commands) == 0 {
		return q, nil
	}
	if q.Capabilities.Has("push-options") {
		if err := eachLine(r, "push options", p.option); err != nil {
			return q, err
		}
	}
	for _, u := range q.Commands {
		if !u.IsDelete() {
			q.Pack = r.Rest()
		}
	}
	return q, nil
}

// eachLine calls do with each line up to a flush packet.
func eachLine(r *Reader, what string, do func(line []byte) error) error {
	for {
		kind, line, err := r.readText()
		switch {
		case err != nil:
			return err
		case kind == Flush:
			return nil
		case kind != Data:
			return malformed("unexpected %s packet among the %s", kind, what)
		}
		if err := do(line); err != nil {
			return err
		}
	}
}

type pushParser struct {
	req    *PushRequest
	format git.ObjectFormat
	limits Limits
	names  map[string]bool
}

func (p *pushParser) line(line []byte) error {
	q := p.req
	line, capabilities, found := bytes.Cut(line, []byte{0})
	if found {
		if q.Capabilities != "" || len(q.Commands) > 0 {
			return malformed("capabilities in more than the first line")
		}
		q.Capabilities = Capabilities(bytes.TrimSpace(capabilities))
		if f := q.Capabilities.Value("object-format"); f != "" && f != p.format.String() {
			return malformed("mismatched object format: server %s; client %q", p.format, clip(f))
		}
	}
	if string(line) == "push-cert" {
		return malformed("signed pushes are not supported; push without --signed")
	}
	if hex, ok := bytes.CutPrefix(line, []byte("shallow ")); ok {
		id, err := parseID(p.format, hex)
		if err != nil {
			return err
		}
		q.Shallow = append(q.Shallow, id)
		return within(len(q.Shallow), p.limits.Shallow, "shallow commits")
	}
	u, err := p.update(line)
	if err != nil {
		return err
	}
	if p.names[u.Name] {
		return malformed("multiple updates for ref %q", clip(u.Name))
	}
	p.names[u.Name] = true
	q.Commands = append(q.Commands, u)
	return within(len(q.Commands), p.limits.Commands, RefUpdates)
}

// update reads "<old> <new> <name>".
func (p *pushParser) update(line []byte) (u RefUpdate, err error) {
	n := p.format.HexSize()
	if len(line) < 2*n+3 || line[n] != ' ' || line[2*n+1] != ' ' {
		return u, malformed("expected old/new/ref, got %q", clip(line))
	}
	if u.Old, err = parseID(p.format, line[:n]); err != nil {
		return u, err
	}
	if u.New, err = parseID(p.format, line[n+1:2*n+1]); err != nil {
		return u, err
	}
	name := line[2*n+2:]
	if err := checkName(name, p.limits); err != nil {
		return u, err
	}
	u.Name = string(name)
	return u, nil
}

func (p *pushParser) option(line []byte) error {
	option := string(line)
	if err := checkOption(option, p.limits); err != nil {
		return err
	}
	p.req.Options = append(p.req.Options, option)
	return within(len(p.req.Options), p.limits.PushOptions, "push options")
}

// RefResult says what became of one RefUpdate.
type RefResult struct {
	Name   string
	Reason string // why the update was refused; empty if it was done

	// What was done instead of what was asked for; only report version 2 shows
	// it. RefName is another ref that was updated in its place.
	RefName      string
	Old, New     git.ObjectID // shown if New is set
	ForcedUpdate bool
}

// WriteReport writes the report of a push: whether the pack was taken in
// (unpackError is empty) and what became of each ref. With a side-band, w is
// a Writer of its data, and the caller closes the side-band after.
func WriteReport(w *Writer, unpackError string, results []RefResult, version int) error {
	if unpackError == "" {
		unpackError = "ok"
	}
	w.Line("unpack " + reason(unpackError))
	for _, r := range results {
		if r.Reason != "" {
			w.Line("ng " + r.Name + " " + reason(r.Reason))
			continue
		}
		w.Line("ok " + r.Name)
		if version >= 2 {
			r.writeOptions(w)
		}
	}
	return w.Flush()
}

func (r *RefResult) writeOptions(w *Writer) {
	if r.RefName != "" {
		w.Line("option refname " + r.RefName)
	}
	if !r.New.IsZero() {
		w.Line("option old-oid " + r.Old.String())
		w.Line("option new-oid " + r.New.String())
	}
	if r.ForcedUpdate {
		w.Line("option forced-update")
	}
}

// reason makes text fit for the rest of a report's line.
func reason(s string) string {
	const most = 1024
	if len(s) > most {
		s = s[:most-3] + "..."
	}
	return strings.TrimSpace(strings.Map(oneLine, s))
}
