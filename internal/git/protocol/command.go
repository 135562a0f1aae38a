package protocol

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// Command is the head of a version 2 request. The arguments are still to be
// read, by the one method that fits Name.
type Command struct {
	Name          string // "ls-refs", "fetch" or "object-info"
	Agent         string
	ServerOptions []string

	r      *Reader
	format git.ObjectFormat
	limits Limits
	ended  bool // by the flush packet
}

// ReadCommand reads a version 2 request up to its arguments. It returns io.EOF
// for a body that is empty or holds a flush packet only: the client wants
// nothing, and gets an empty answer.
func ReadCommand(r *Reader, format git.ObjectFormat, limits Limits) (*Command, error) {
	c := &Command{r: r, format: format, limits: limits}
	for first := true; ; first = false {
		packet, err := r.ReadPacket()
		switch {
		case err == io.EOF && !first:
			return nil, malformed("the request is not complete: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, err
		}
		switch packet.Kind {
		case Data:
			if err := c.line(string(packet.Text())); err != nil {
				return nil, err
			}
		case Flush, Delim:
			c.ended = packet.Kind == Flush
			if first && c.ended {
				return nil, io.EOF
			}
			if c.Name == "" {
				return nil, malformed("no command requested")
			}
			return c, nil
		default:
			return nil, malformed("unexpected %s packet", packet.Kind)
		}
	}
}

func (c *Command) line(line string) error {
	name, value, _ := strings.Cut(line, "=")
	switch name {
	case "command":
		if c.Name != "" {
			return malformed("command %q requested after %q", clip(value), c.Name)
		}
		switch value {
		case "ls-refs", "fetch", "object-info":
			c.Name = value
			return nil
		}
		return malformed("invalid command %q", clip(value))
	case "agent":
		c.Agent = clip(value)
	case "session-id":
	case "object-format":
		if value != c.format.String() {
			return malformed("mismatched object format: server %s; client %q", c.format, clip(value))
		}
	case "server-option":
		if err := checkOption(value, c.limits); err != nil {
			return err
		}
		c.ServerOptions = append(c.ServerOptions, value)
		return within(len(c.ServerOptions), c.limits.ServerOptions, "server options")
	default:
		return malformed("unknown capability %q", clip(line))
	}
	return nil
}

// checkOption checks a push option or a server option, which are free text
// that ends up in events and logs.
func checkOption(value string, limits Limits) error {
	if err := within(len(value), limits.PushOptionLength, "bytes in an option"); err != nil {
		return err
	}
	if hasControl([]byte(value)) {
		return malformed("option %q holds a control character", clip(value))
	}
	return nil
}

// eachArgument calls argument for each line up to the flush packet that ends
// the request.
func (c *Command) eachArgument(name string, argument func(line []byte) error) error {
	if c.Name != name {
		panic(fmt.Sprintf("arguments of %s read as those of %s", c.Name, name))
	}
	for !c.ended {
		kind, line, err := c.r.readText()
		if err != nil {
			return err
		}
		switch kind {
		case Flush:
			c.ended = true
		case Data:
			if err := argument(line); err != nil {
				return err
			}
		default:
			return malformed("unexpected %s packet among the arguments of %s", kind, name)
		}
	}
	return nil
}

// LsRefsRequest asks for refs.
type LsRefsRequest struct {
	Peel     bool     // say what annotated tags name
	Symrefs  bool     // say what symbolic refs name
	Unborn   bool     // show HEAD even if what it names does not exist
	Prefixes []string // show refs that start with one of these; all if there are none; in order, none within another
}

// LsRefs reads the arguments of ls-refs.
func (c *Command) LsRefs() (LsRefsRequest, error) {
	var q LsRefsRequest
	tooMany := false
	err := c.eachArgument("ls-refs", func(line []byte) error {
		prefix, isPrefix := bytes.CutPrefix(line, []byte("ref-prefix "))
		switch {
		case string(line) == "peel":
			q.Peel = true
		case string(line) == "symrefs":
			q.Symrefs = true
		case string(line) == "unborn":
			q.Unborn = true
		case isPrefix && len(q.Prefixes) >= c.limits.Prefixes:
			tooMany = true
		case isPrefix:
			if err := within(len(prefix), c.limits.RefNameLength, "bytes in a ref prefix"); err != nil {
				return err
			}
			q.Prefixes = append(q.Prefixes, string(prefix))
		default:
			return malformed("unexpected argument of ls-refs %q", clip(line))
		}
		return nil
	})
	if tooMany {
		q.Prefixes = nil // they are a hint: more refs than asked for do no harm
	}
	q.Prefixes = shortestPrefixes(q.Prefixes)
	return q, err
}

// shortestPrefixes sorts prefixes and leaves out those that start with another.
func shortestPrefixes(prefixes []string) []string {
	slices.Sort(prefixes)
	kept := prefixes[:0]
	for _, p := range prefixes {
		if n := len(kept); n == 0 || !strings.HasPrefix(p, kept[n-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Matches tells whether a ref is asked for. It looks at one prefix, however
// many there are: none of them starts with another, so only the last that is
// not after the name can be its start.
func (q *LsRefsRequest) Matches(name git.RefName) bool {
	if len(q.Prefixes) == 0 {
		return true
	}
	i, exact := slices.BinarySearch(q.Prefixes, string(name))
	return exact || i > 0 && strings.HasPrefix(string(name), q.Prefixes[i-1])
}

// Write writes the answer: those of refs that are asked for. Refs are given as
// to AdvertiseUploadPack, an unborn HEAD among them.
func (q *LsRefsRequest) Write(w *Writer, refs []Ref) error {
	for i := range refs {
		r := &refs[i]
		unborn := r.ID.IsZero()
		if !q.Matches(r.Name) || unborn && (!q.Unborn || r.SymrefTarget == "") {
			continue
		}
		w.begin()
		if unborn {
			w.buf = append(w.buf, "unborn"...)
		} else {
			w.buf = appendHex(w.buf, r.ID)
		}
		w.buf = append(append(w.buf, ' '), r.Name...)
		if q.Symrefs && r.SymrefTarget != "" {
			w.buf = append(append(w.buf, " symref-target:"...), r.SymrefTarget...)
		}
		if q.Peel && !r.Peeled.IsZero() {
			w.buf = appendHex(append(w.buf, " peeled:"...), r.Peeled)
		}
		w.buf = append(w.buf, '\n')
		w.end()
	}
	return w.Flush()
}

// Fetch reads the arguments of fetch.
func (c *Command) Fetch() (*FetchRequest, error) {
	q := &FetchRequest{Version: 2, Agent: c.Agent, ServerOptions: c.ServerOptions, Sideband: Sideband64k}
	p := fetchParser{req: q, format: c.format, limits: c.limits}
	if err := c.eachArgument("fetch", p.argument); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return q, nil
}

func (p *fetchParser) argument(line []byte) (err error) {
	q := p.req
	word, arg, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "want":
		q.Wants, err = p.appendID(q.Wants, arg, p.limits.Wants, "wants")
		return err
	case "have":
		q.Haves, err = p.appendID(q.Haves, arg, p.limits.Haves, "haves")
		return err
	case "want-ref":
		q.WantRefs, err = p.appendName(q.WantRefs, arg, p.limits.WantRefs, "wanted refs")
		return err
	}
	if known, err := p.shared(line); known {
		return err
	}
	switch string(line) {
	case "done":
		q.Done = true
	case "thin-pack":
		q.ThinPack = true
	case "no-progress":
		q.NoProgress = true
	case "include-tag":
		q.IncludeTag = true
	case "ofs-delta":
		q.OfsDelta = true
	case "deepen-relative":
		q.DeepenRelative = true
	case "wait-for-done":
		q.WaitForDone = true
	default:
		return malformed("unexpected argument of fetch %q", clip(line))
	}
	return nil
}

// ObjectInfoRequest asks for facts about objects without the objects.
type ObjectInfoRequest struct {
	Size bool
	IDs  []git.ObjectID
}

// ObjectInfo reads the arguments of object-info.
func (c *Command) ObjectInfo() (ObjectInfoRequest, error) {
	var q ObjectInfoRequest
	err := c.eachArgument("object-info", func(line []byte) error {
		if string(line) == "size" {
			q.Size = true
			return nil
		}
		hex, ok := bytes.CutPrefix(line, []byte("oid "))
		if !ok {
			return malformed("unexpected argument of object-info %q", clip(line))
		}
		id, err := parseID(c.format, hex)
		if err != nil {
			return err
		}
		q.IDs = append(q.IDs, id)
		return within(len(q.IDs), c.limits.ObjectInfo, "object ids")
	})
	return q, err
}

// Write writes the answer: the size in bytes of each object asked for, in the
// same order; a negative size says that there is no such object.
func (q *ObjectInfoRequest) Write(w *Writer, sizes []int64) error {
	if q.Size && len(q.IDs) > 0 {
		w.Packetf("size")
		for i, id := range q.IDs {
			if sizes[i] < 0 {
				w.Packetf("%s ", id)
			} else {
				w.Packetf("%s %d", id, sizes[i])
			}
		}
	}
	return w.Flush()
}
