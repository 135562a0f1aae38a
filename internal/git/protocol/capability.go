package protocol

import "strings"

// Capabilities is a list of capabilities as the other side sent it: words
// separated by blanks, some with "=value".
type Capabilities string

// Has tells whether the list holds the capability, with or without a value.
func (c Capabilities) Has(name string) bool {
	_, ok := c.find(name)
	return ok
}

// Value returns the value of the capability; empty if it has none or is not
// in the list. Of several, the first counts.
func (c Capabilities) Value(name string) string {
	v, _ := c.find(name)
	return v
}

func (c Capabilities) find(name string) (string, bool) {
	for word := range strings.FieldsSeq(string(c)) {
		if n, value, _ := strings.Cut(word, "="); n == name {
			return value, true
		}
	}
	return "", false
}

// token makes text fit for the value of a capability, as git does with the
// agent: what is not printable ASCII becomes a dot.
func token(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '.'
		}
		return r
	}, s)
}
