package protocol

import (
	"bytes"
	"io"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// RemoteError is what the other side says of why it does not do what was
// asked. Its text is from outside: short, and without control characters.
type RemoteError struct{ Text string }

// Error returns the other side's words.
func (e *RemoteError) Error() string { return "remote error: " + e.Text }

// maxRemoteText is how much of what the other side says is kept.
const maxRemoteText = 1024

// remoteText makes text of the other side fit for people.
func remoteText(text []byte) string {
	text = text[:min(len(text), maxRemoteText)]
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' {
			return ' '
		}
		return r
	}, string(text))
	return strings.TrimSpace(clean)
}

// ServerAdvertisement is what a server says first, as a client reads it.
type ServerAdvertisement struct {
	Version      int // 0 stands for version 1 too; else 2
	Capabilities Capabilities
	Format       git.ObjectFormat
	// Refs are those of versions 0 and 1; in version 2 they are asked for.
	// Refs whose names Git does not allow are left out.
	Refs []Ref
}

// maxAdvertised bounds the capabilities of a server in bytes.
const maxAdvertised = 64 << 10

// ReadAdvertisement reads the answer to the first request of a client of the
// service. More than maxRefs lines of refs are a *LimitError.
func ReadAdvertisement(r *Reader, service string, maxRefs int) (*ServerAdvertisement, error) {
	a := &ServerAdvertisement{Format: git.SHA1}
	line, err := r.answerLine()
	if err != nil {
		return nil, err
	}
	if word, ok := bytes.CutPrefix(line, []byte("# service=")); ok {
		if string(word) != service {
			return nil, malformed("the server answers for service %q", clip(word))
		}
		if line, err = r.answerLine(); err != nil {
			return nil, err
		}
		if line == nil { // the flush after it
			if line, err = r.answerLine(); err != nil {
				return nil, err
			}
		}
	}
	switch string(line) {
	case "version 2":
		a.Version = 2
		return a, a.readCapabilities(r)
	case "version 1":
		if line, err = r.answerLine(); err != nil {
			return nil, err
		}
	}
	return a, a.readRefs(r, line, maxRefs)
}

// answerLine reads a line of an answer; nil stands for a flush packet. The
// server's own error is a *RemoteError.
func (r *Reader) answerLine() ([]byte, error) {
	p, err := r.ReadPacket()
	switch {
	case err == io.EOF:
		return nil, malformed("the answer is not complete: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return nil, err
	case p.Kind == Flush:
		return nil, nil
	case p.Kind != Data:
		return nil, malformed("unexpected %s packet in an answer", p.Kind)
	}
	if text, ok := bytes.CutPrefix(p.Payload, []byte("ERR ")); ok {
		return nil, &RemoteError{remoteText(text)}
	}
	line := p.Text()
	if line == nil {
		line = []byte{}
	}
	return line, nil
}

// readCapabilities reads those of version 2, one a line.
func (a *ServerAdvertisement) readCapabilities(r *Reader) error {
	var all strings.Builder
	for {
		line, err := r.answerLine()
		if err != nil {
			return err
		}
		if line == nil {
			a.Capabilities = Capabilities(all.String())
			return a.readFormat()
		}
		if all.Len()+len(line) > maxAdvertised {
			return &LimitError{Limit: "bytes of capabilities", Max: maxAdvertised}
		}
		all.Write(line)
		all.WriteByte(' ')
	}
}

func (a *ServerAdvertisement) readFormat() error {
	name := a.Capabilities.Value("object-format")
	if name == "" {
		return nil
	}
	format, err := git.ParseObjectFormat(name)
	if err != nil {
		return malformed("object format %q", clip(name))
	}
	a.Format = format
	return nil
}

// readRefs reads the refs of versions 0 and 1, of which the first carries the
// capabilities.
func (a *ServerAdvertisement) readRefs(r *Reader, line []byte, maxRefs int) (err error) {
	for n := 0; line != nil; n++ {
		if err := within(n, maxRefs, ServerRefs); err != nil {
			return err
		}
		if n == 0 {
			var capabilities []byte
			line, capabilities, _ = bytes.Cut(line, []byte{0})
			a.Capabilities = Capabilities(capabilities)
			if err := a.readFormat(); err != nil {
				return err
			}
		}
		if err := a.addRef(line); err != nil {
			return err
		}
		if line, err = r.answerLine(); err != nil {
			return err
		}
	}
	a.addSymrefs()
	return nil
}

// addRef reads a line of versions 0 and 1. What annotated tags finally name is
// passed over, and so are the roots of a server whose history is cut off.
func (a *ServerAdvertisement) addRef(line []byte) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		return nil
	}
	hex, name, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return malformed("expected a ref, got %q", clip(line))
	}
	id, err := parseID(a.Format, hex)
	if err != nil {
		return err
	}
	if bytes.HasSuffix(name, []byte("^{}")) { // and the "capabilities^{}" of a server without refs
		return nil
	}
	if ref, ok := serverRef(string(name), id); ok {
		a.Refs = append(a.Refs, ref)
	}
	return nil
}

// serverRef checks the name of a ref of a server.
func serverRef(name string, id git.ObjectID) (Ref, bool) {
	if name == string(git.HEAD) {
		return Ref{Name: git.HEAD, ID: id}, true
	}
	parsed, err := git.ParseRefName(name)
	return Ref{Name: parsed, ID: id}, err == nil && !id.IsZero()
}

// addSymrefs adds what symbolic refs name, as the capabilities say.
func (a *ServerAdvertisement) addSymrefs() {
	for word := range strings.FieldsSeq(string(a.Capabilities)) {
		value, ok := strings.CutPrefix(word, "symref=")
		if !ok {
			continue
		}
		name, target, _ := strings.Cut(value, ":")
		for i := range a.Refs {
			if string(a.Refs[i].Name) == name {
				a.Refs[i].SymrefTarget = symrefTarget(target)
			}
		}
	}
}

// symrefTarget is empty for what is no ref name.
func symrefTarget(s string) git.RefName {
	name, err := git.ParseRefName(s)
	if err != nil {
		return ""
	}
	return name
}

// WriteLsRefs asks a server of version 2 for HEAD and the refs below the
// prefixes.
func (a *ServerAdvertisement) WriteLsRefs(w *Writer, agent string, prefixes ...string) error {
	a.command(w, "ls-refs", agent)
	w.Line("symrefs")
	if strings.Contains(string(a.Capabilities), "ls-refs=unborn") {
		w.Line("unborn")
	}
	w.Line("ref-prefix " + string(git.HEAD))
	for _, p := range prefixes {
		w.Line("ref-prefix " + p)
	}
	return w.Flush()
}

// command writes what every request of version 2 begins with.
func (a *ServerAdvertisement) command(w *Writer, name, agent string) {
	w.Line("command=" + name)
	if a.Capabilities.Has("agent") {
		w.Line("agent=" + token(agent))
	}
	if a.Capabilities.Has("object-format") {
		w.Line("object-format=" + a.Format.String())
	}
	w.Delim()
}

// ReadLsRefs reads the answer to WriteLsRefs. An unborn HEAD has no id. More
// than maxRefs lines are a *LimitError.
func (a *ServerAdvertisement) ReadLsRefs(r *Reader, maxRefs int) ([]Ref, error) {
	var refs []Ref
	for n := 0; ; n++ {
		line, err := r.answerLine()
		if err != nil || line == nil {
			return refs, err
		}
		if err := within(n+1, maxRefs, ServerRefs); err != nil {
			return nil, err
		}
		ref, ok, err := a.lsRef(string(line))
		if err != nil {
			return nil, err
		}
		if ok {
			refs = append(refs, ref)
		}
	}
}

// lsRef reads "<id or unborn> <name> [symref-target:<name>]…".
func (a *ServerAdvertisement) lsRef(line string) (Ref, bool, error) {
	hex, rest, ok := strings.Cut(line, " ")
	if !ok {
		return Ref{}, false, malformed("expected a ref, got %q", clip(line))
	}
	var id git.ObjectID
	if hex != "unborn" {
		var err error
		if id, err = parseID(a.Format, []byte(hex)); err != nil {
			return Ref{}, false, err
		}
	}
	name, attributes, _ := strings.Cut(rest, " ")
	ref, ok := serverRef(name, id)
	for word := range strings.FieldsSeq(attributes) {
		if target, found := strings.CutPrefix(word, "symref-target:"); found {
			ref.SymrefTarget = symrefTarget(target)
		}
	}
	return ref, ok, nil
}
