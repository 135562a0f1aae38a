package diff

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func show(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		if !p.Conflicted() {
			b.Write(p.Text)
			continue
		}
		b.WriteString("<")
		for i, t := range p.Terms {
			if i > 0 {
				b.WriteString("|")
			}
			b.Write(t)
		}
		b.WriteString(">\n")
	}
	return b.String()
}

func TestSum(t *testing.T) {
	t.Parallel()
	lines := func(s string) string { return strings.ReplaceAll(s, " ", "\n") }
	for _, c := range []struct {
		name, want string
		terms      []string
	}{
		{"one side changed", "a x c ", []string{"a b c ", "a b c ", "a x c "}},
		{"both sides the same", "a x c ", []string{"a x c ", "a b c ", "a x c "}},
		{"apart", "x b y ", []string{"x b c ", "a b c ", "a b y "}},
		{"both at one place", "a <x |b |y >\nc ", []string{"a x c ", "a b c ", "a y c "}},
		{"side by side", "<x b |a b |a y >\n", []string{"x b ", "a b ", "a y "}},
		{"deleted and changed", "a <|b |x >\nc ", []string{"a c ", "a b c ", "a x c "}},
		{"added at one place", "a <x ||y >\nb ", []string{"a x b ", "a b ", "a y b "}},
		{"no line feed at the end", "a <x|b|y>\n", []string{"a x", "a b", "a y"}},
		{"what is taken away and added", "a y ", []string{"a x ", "a b ", "a b ", "a x ", "a y "}},
		{"five at three places", "x b y d z ", []string{"x b c d e ", "a b c d e ", "a b y d e ", "a b c d e ", "a b c d z "}},
		{"all empty", "", []string{"", "", ""}},
		{"from nothing", "<x ||y >\n", []string{"x ", "", "y "}},
	} {
		var terms [][]byte
		for _, s := range c.terms {
			terms = append(terms, []byte(lines(s)))
		}
		parts, err := Sum(t.Context(), terms)
		if got := show(parts); got != lines(c.want) || err != nil {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, lines(c.want))
		}
	}
}

// TestSumGivesBackItsTerms: with the version of one term in the place of each
// conflict and nothing else changed, all of that term is there; a sum in which
// all is taken away but one term is that term.
func TestSumGivesBackItsTerms(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := func() []byte {
			var b []byte
			for range r.IntN(12) {
				b = append(b, "abc"[r.IntN(3)], '\n')
			}
			return b
		}
		base, side := text(), text()
		parts, err := Sum(t.Context(), [][]byte{base, base, side})
		if err != nil || show(parts) != string(side) {
			t.Fatalf("%d: base and side: %q, want %q", seed, show(parts), side)
		}
		terms := [][]byte{text(), base, side, text(), text()}
		if parts, err = Sum(t.Context(), terms); err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			for i := range p.Terms {
				var lines int
				if lines = bytes.Count(p.Terms[i], []byte("\n")); lines != p.Lines[i] {
					t.Fatalf("%d: %d lines, said to be %d", seed, lines, p.Lines[i])
				}
				at := bytes.Join(slices.Collect(slicesOf(terms[i], p.From[i], p.Lines[i])), nil)
				if !bytes.Equal(at, p.Terms[i]) {
					t.Fatalf("%d: term %d at line %d is %q, want %q", seed, i, p.From[i], at, p.Terms[i])
				}
			}
		}
	}
}

func slicesOf(text []byte, from, n int) func(func([]byte) bool) {
	return slices.Values(bytes.SplitAfter(text, []byte("\n"))[from : from+n])
}

// FuzzSum: a sum of any texts comes to an end, and taking a term away again
// gives the other.
func FuzzSum(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("a\nc\n"), []byte("b\n"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		if _, err := Sum(t.Context(), [][]byte{a, b, c}); err != nil {
			t.Fatal(err)
		}
		parts, err := Sum(t.Context(), [][]byte{a, b, b})
		if err != nil || show(parts) != string(a) {
			t.Fatalf("%q - %q + %q is %q, %v", a, b, b, show(parts), err)
		}
	})
}

// The orders are those in which jj stores the terms of conflicts.
func TestOrderOfTerms(t *testing.T) {
	same := func(a, b string) bool { return a == b }
	for _, c := range []struct{ terms, want string }{
		{"a b c", "a b c"},
		{"a b b", "a"},
		{"a a c", "c"},
		{"a b c d b", "a d c"},
		{"a b c c d", "a b d"},
		{"a b c a e", "e b c"},
		{"a b c d e b d", "a b c b e"},
	} {
		if got := strings.Join(Simplify(strings.Fields(c.terms), same), " "); got != c.want {
			t.Errorf("%s is simplified to %s, want %s", c.terms, got, c.want)
		}
	}
	got := strings.Join(Flatten([]string{"a", "b", "c"}, []string{"d", "e", "f", "g", "h"}, []string{"i"}), " ")
	if want := "a b c f e h g d i"; got != want {
		t.Errorf("a sum of sums is %s, want %s", got, want)
	}
}
