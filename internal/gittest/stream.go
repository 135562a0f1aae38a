package gittest

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// stream is the input of git fast-import.
type stream struct{ strings.Builder }

// data writes content with its length, so that any bytes will do.
func (s *stream) data(content string) {
	fmt.Fprintf(s, "data %d\n", len(content))
	s.WriteString(content)
	s.WriteByte('\n')
}

// quote writes a path as fast-import reads it whatever bytes it holds.
func quote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// sorted goes over a map in the order of its keys, so that what is built from
// it is always the same.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
