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
	if u := when.Unix(); u < 0 || u > maxDate {
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
// leniently, as git log does (ident.c, split_ident_line): history holds
// malformed ones. What cannot be read is empty, and a date is the epoch; so is
// one that RFC 3339 has no words for.
func ParseSignature(line []byte) Signature {
	s := Signature{When: time.Unix(0, 0).UTC()}
	name, rest, _ := bytes.Cut(line, []byte{'<'})
	email, _, found := bytes.Cut(rest, []byte{'>'})
	if !found {
		return s
	}
	s.Name, s.Email = string(bytes.TrimRight(name, blanks)), string(email)
	// The date follows the last '>', as emails hold some too.
	rest = bytes.TrimLeft(rest[bytes.LastIndexByte(rest, '>')+1:], blanks)
	digits := countDigits(rest)
	zone := bytes.TrimLeft(rest[digits:], blanks)
	if digits == 0 || len(zone) < 2 || zone[0] != '+' && zone[0] != '-' {
		return s
	}
	width := countDigits(zone[1:])
	if width == 0 {
		return s
	}
	seconds, err := strconv.ParseInt(string(rest[:digits]), 10, 64)
	if err != nil || seconds > maxDate {
		return s
	}
	s.When = time.Unix(seconds, 0).In(parseZone(string(zone[:1+width])))
	return s
}

// maxDate is the last date that is a day away from the year 10000.
const maxDate = 253402300799 - 86400

// blanks are what git takes for white space.
const blanks = " \t\r\n"

func countDigits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

func parseZone(s string) *time.Location {
	n, err := strconv.Atoi(s)
	if err != nil || n < -2359 || n > 2359 || n == 0 || n%100 >= 60 || n%100 <= -60 {
		return time.UTC
	}
	return time.FixedZone("", n/100*3600+n%100*60)
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
	hours, minutes := offset/3600%100, offset%3600/60
	return append(b, ' ', sign, '0'+byte(hours/10), '0'+byte(hours%10), '0'+byte(minutes/10), '0'+byte(minutes%10))
}

// String returns the signature as Git stores it.
func (s Signature) String() string { return string(s.AppendTo(nil)) }
