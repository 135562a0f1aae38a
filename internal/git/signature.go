package git

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Signature says who made a commit or tag, and when. It keeps the time zone as
// an offset only, which is all that Git stores.
type Signature struct {
	Name  string
	Email string
	When  time.Time
}

// NewSignature checks a name and an email that come from outside and cleans
// them as git does: the characters that would end the field ('<', '>', line
// feed, NUL) are refused, surrounding blanks and crud are trimmed.
func NewSignature(name, email string, when time.Time) (Signature, error) {
	for _, f := range []struct{ what, text string }{{"name", name}, {"email", email}} {
		if i := strings.IndexAny(f.text, "<>\n\x00"); i >= 0 {
			return Signature{}, fmt.Errorf("%s %q holds %q, which Git cannot store", f.what, clip(f.text), f.text[i])
		}
	}
	s := Signature{Name: trimCrud(name), Email: trimCrud(email), When: when}
	if s.Name == "" {
		return Signature{}, fmt.Errorf("name is empty")
	}
	if u := when.Unix(); u < 0 || u > 1<<40 {
		return Signature{}, fmt.Errorf("date %s cannot be stored", when.Format(time.RFC3339))
	}
	return s, nil
}

// trimCrud removes what git's strip_crud does from both ends (ident.c).
func trimCrud(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return r <= ' ' || strings.ContainsRune(".,:;<>\"\\'", r)
	})
}

// ParseSignature reads the value of an author, committer or tagger header
// leniently, as git log does: history holds malformed ones.
func ParseSignature(line []byte) Signature {
	var s Signature
	open := bytes.IndexByte(line, '<')
	if open < 0 {
		s.Name = string(bytes.TrimSpace(line))
		return s
	}
	s.Name = string(bytes.TrimSpace(line[:open]))
	rest := line[open+1:]
	end := bytes.IndexByte(rest, '>')
	if end < 0 {
		s.Email = string(rest)
		return s
	}
	s.Email = string(rest[:end])
	// The date follows the last '>', as in git's split_ident_line.
	rest = rest[bytes.LastIndexByte(rest, '>')+1:]
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		s.When = time.Unix(0, 0).UTC()
		return s
	}
	seconds, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<55 {
		seconds = 0
	}
	zone := time.UTC
	if err == nil && len(fields) > 1 {
		zone = parseZone(string(fields[1]))
	}
	s.When = time.Unix(seconds, 0).In(zone)
	return s
}

func parseZone(s string) *time.Location {
	n, err := strconv.Atoi(s)
	if err != nil || n < -9999 || n > 9999 || n == 0 {
		return time.UTC
	}
	sign := 1
	if n < 0 {
		sign, n = -1, -n
	}
	return time.FixedZone("", sign*(n/100*3600+n%100*60))
}

// AppendTo appends the signature as Git stores it.
func (s Signature) AppendTo(b []byte) []byte {
	b = append(b, s.Name...)
	b = append(b, " <"...)
	b = append(b, s.Email...)
	b = append(b, "> "...)
	b = strconv.AppendInt(b, s.When.Unix(), 10)
	_, offset := s.When.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	return fmt.Appendf(b, " %c%02d%02d", sign, offset/3600, offset%3600/60)
}

// String returns the signature as Git stores it.
func (s Signature) String() string { return string(s.AppendTo(nil)) }
