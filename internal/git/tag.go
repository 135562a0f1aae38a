package git

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Tag is a parsed annotated tag.
type Tag struct {
	Target  ObjectID
	Type    ObjectType // of Target
	Name    string
	Tagger  Signature // zero in very old tags
	Extra   []Header
	Message string // everything after the blank line, a signature included
}

// ParseTag reads an annotated tag. Its object, type and name must be well
// formed; the tagger and further headers are read leniently, as history
// demands.
func ParseTag(f ObjectFormat, data []byte) (*Tag, error) {
	var fields [3]string
	for i, name := range []string{"object ", "type ", "tag "} {
		line, rest, found := bytes.Cut(data, []byte{'\n'})
		value, ok := bytes.CutPrefix(line, []byte(name))
		if !found || !ok {
			return nil, fmt.Errorf("tag: malformed %sheader", name)
		}
		fields[i], data = string(value), rest
	}
	t := &Tag{Name: fields[2]}
	var err error
	if t.Target, err = ParseObjectID(fields[0]); err != nil {
		return nil, fmt.Errorf("tag: malformed object header: %w", err)
	}
	if t.Target.Format() != f {
		return nil, fmt.Errorf("tag: its object %s is not of format %s", t.Target, f)
	}
	if t.Type, err = ParseObjectType(fields[1]); err != nil {
		return nil, fmt.Errorf("tag: malformed type header: %w", err)
	}
	tagged := false
	t.Message = string(eachHeader(data, func(name, value []byte) {
		if string(name) == "tagger" && !tagged {
			t.Tagger, tagged = ParseSignature(value), true
			return
		}
		t.Extra = append(t.Extra, Header{string(name), string(value)})
	}))
	return t, nil
}

// Encode returns the tag's bytes.
func (t *Tag) Encode() []byte {
	b := fmt.Appendf(nil, "object %s\ntype %s\ntag %s\n", t.Target, t.Type, t.Name)
	if t.Tagger != (Signature{}) {
		b = append(t.Tagger.AppendTo(append(b, "tagger "...)), '\n')
	}
	b = appendHeaders(b, t.Extra)
	b = append(b, '\n')
	return append(b, t.Message...)
}

// signatureLines begin the signature at the end of a tag's message, by its
// kind (gpg-interface.c).
var signatureLines = []string{
	"-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----", "-----BEGIN SSH SIGNATURE-----", "-----BEGIN SIGNED MESSAGE-----",
}

// Text parts the message as git for-each-ref does: the first paragraph as one
// line, and what follows it, without a signature and line feeds at the end.
func (t *Tag) Text() (subject, body string) {
	text := t.Message
	for at := len(text); at > 0; {
		at = strings.LastIndexByte(text[:at-1], '\n') + 1
		if slices.ContainsFunc(signatureLines, func(s string) bool { return strings.HasPrefix(text[at:], s) }) {
			text = text[:at]
			break
		}
	}
	text = strings.Trim(text, "\r\n")
	end := strings.Index(text, "\n\n")
	if end < 0 {
		end = strings.Index(text, "\r\n\r\n")
	}
	if end < 0 {
		end = len(text)
	}
	return strings.NewReplacer("\r\n", " ", "\n", " ").Replace(text[:end]), strings.TrimLeft(text[end:], "\r\n")
}
