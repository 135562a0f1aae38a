package chaintest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

func id(n int) git.ObjectID { return git.MustParseObjectID(fmt.Sprintf("%040x", n+1)) }

func TestCheck(t *testing.T) {
	t.Parallel()
	w := func(from, to int, start, end int64) Op { return Op{Write, id(from), id(to), start, end} }
	see := func(kind Kind, at int, start, end int64) Op {
		return Op{Kind: kind, New: id(at), Start: start, End: end}
	}
	for _, c := range []struct {
		name string
		ops  []Op
		want string // part of the error; empty: linearizable
	}{
		{"one after the other", []Op{w(0, 1, 1, 2), w(1, 2, 3, 4), see(Read, 2, 5, 6)}, ""},
		{"overlapping read of the old value", []Op{w(0, 1, 1, 5), see(Read, 0, 2, 3)}, ""},
		{"refusal that saw the new head", []Op{w(0, 1, 1, 5), see(Refused, 1, 2, 6)}, ""},
		{"lost update", []Op{w(0, 1, 1, 2), w(0, 2, 3, 4)}, "lost"},
		{"gap", []Op{w(0, 1, 1, 2), w(3, 4, 3, 4)}, "chain"},
		{"stale read", []Op{w(0, 1, 1, 2), see(Read, 0, 3, 4)}, "earlier value"},
		{"stale refusal", []Op{w(0, 1, 1, 2), see(Refused, 0, 3, 4)}, "earlier value"},
		{"read from the future", []Op{see(Read, 1, 1, 2), w(0, 1, 3, 4)}, "before it was written"},
		{"value from nowhere", []Op{see(Read, 7, 1, 2)}, "no update made"},
		{"unknown that happened", []Op{{Unknown, id(0), id(1), 1, 2}, w(1, 2, 3, 4)}, ""},
		{"unknown that did not", []Op{{Unknown, id(0), id(1), 1, 2}, w(0, 2, 3, 4)}, ""},
		{"unknown that took effect late", []Op{{Unknown, id(0), id(1), 1, 2}, see(Read, 0, 3, 4), see(Read, 1, 5, 6)}, ""},
		{"two reads in the wrong order", []Op{w(0, 1, 1, 9), see(Read, 1, 2, 3), see(Read, 0, 4, 5)}, "earlier value"},
	} {
		_, err := Check(id(0), c.ops)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want an error about %q", c.name, err, c.want)
		}
	}
}
