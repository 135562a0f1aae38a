package diff

import (
	"bytes"
	"context"
	"slices"
)

// A sum is made of terms, an odd number of them: the first and every second one
// after it are added, those between taken away. With three it is the merge of
// the first and the last, of which the second is the base.

// Part is a part of a sum of texts.
type Part struct {
	// Text is what the terms come to; nil for a conflict.
	Text []byte
	// Terms are the versions of a conflict, one for each term; nil else. From
	// is the line, from 0, at which each begins, and Lines how many it has.
	Terms       [][]byte
	From, Lines []int
}

// Conflicted tells whether the part is a conflict.
func (p Part) Conflicted() bool { return p.Terms != nil }

// Sum adds texts up by line. Lines that are the same in all terms part those
// that are not; of each such place the sum is made for itself, as Resolve says.
func Sum(ctx context.Context, terms [][]byte) ([]Part, error) {
	texts := make([]*text, len(terms))
	edits := make([][]Edit, len(terms))
	for i, term := range terms {
		texts[i] = newText(term)
	}
	base := terms[min(1, len(terms)-1)]
	anchor := newText(base)
	for i, term := range terms {
		var err error
		if edits[i], err = compareTexts(ctx, newText(base), newText(term), Options{}); err != nil {
			return nil, err
		}
	}
	s := summer{anchor: anchor, texts: texts, edits: edits, next: make([]int, len(terms)), at: make([]int, len(terms))}
	for s.place() {
	}
	return s.parts, nil
}

// summer goes over the places at which terms differ, from the first to the last.
type summer struct {
	anchor *text
	texts  []*text
	edits  [][]Edit
	next   []int // of each term, the edit that comes next
	at     []int // of each term, the line
	line   int   // of the anchor
	parts  []Part
}

// place adds what is the same before the next place, and the place. It returns
// false at the end.
func (s *summer) place() bool {
	from, end := s.anchor.len(), -1
	for i, edits := range s.edits {
		if s.next[i] < len(edits) && edits[s.next[i]].AStart < from || s.next[i] < len(edits) && end < 0 {
			from, end = edits[s.next[i]].AStart, edits[s.next[i]].AEnd
		}
	}
	if from > s.line {
		s.add(Part{Text: s.anchor.between(s.line, from)})
		for i := range s.at {
			s.at[i] += from - s.line
		}
		s.line = from
	}
	if end < 0 {
		return false
	}
	// Edits that touch are one place.
	delta := make([]int, len(s.texts))
	for grown := true; grown; {
		grown = false
		for i, edits := range s.edits {
			for s.next[i] < len(edits) && edits[s.next[i]].AStart <= end {
				e := edits[s.next[i]]
				end = max(end, e.AEnd)
				delta[i] += (e.BEnd - e.BStart) - (e.AEnd - e.AStart)
				s.next[i]++
				grown = true
			}
		}
	}
	p := Part{Terms: make([][]byte, len(s.texts)), From: make([]int, len(s.texts)), Lines: make([]int, len(s.texts))}
	for i, t := range s.texts {
		p.From[i], p.Lines[i] = s.at[i], end-from+delta[i]
		p.Terms[i] = t.between(s.at[i], s.at[i]+p.Lines[i])
		s.at[i] += p.Lines[i]
	}
	s.line = end
	if text, ok := Resolve(p.Terms, bytes.Equal); ok {
		p = Part{Text: text}
	}
	s.add(p)
	return true
}

func (s *summer) add(p Part) {
	if n := len(s.parts); n > 0 && !p.Conflicted() && !s.parts[n-1].Conflicted() {
		s.parts[n-1].Text = append(s.parts[n-1].Text[:len(s.parts[n-1].Text):len(s.parts[n-1].Text)], p.Text...)
		return
	}
	s.parts = append(s.parts, p)
}

func (t *text) between(from, end int) []byte { return t.data[t.start[from]:t.start[end]] }

// Simplify takes away from a sum what it both adds and takes away. What was
// added next to something that is gone takes the place of what it cancelled, as
// in jj, so that what is left of the others stays paired.
func Simplify[T any](terms []T, equal func(a, b T) bool) []T {
	terms = slices.Clone(terms)
	for i := 0; i < len(terms); {
		taken := 1
		for taken < len(terms) && !equal(terms[taken], terms[i]) {
			taken += 2
		}
		if taken >= len(terms) {
			i += 2
			continue
		}
		terms[i] = terms[taken+1]
		terms = slices.Delete(terms, taken, taken+2)
	}
	return terms
}

// Flatten writes out a sum of sums. What is taken away is turned round: its last
// term comes first, and each of its changes is the other way.
func Flatten[T any](sums ...[]T) []T {
	out := slices.Clone(sums[0])
	for i := 1; i < len(sums); i += 2 {
		taken := sums[i]
		for n := 1; n < len(taken); n += 2 {
			out = append(out, taken[n+1], taken[n])
		}
		out = append(append(out, taken[0]), sums[i+1]...)
	}
	return out
}

// Resolve returns what a sum of things that cannot be taken apart comes to: one
// that is left when what is both added and taken away is gone, or one to which
// all sides changed the same.
func Resolve[T any](terms []T, equal func(a, b T) bool) (sum T, ok bool) {
	terms = Simplify(terms, equal)
	for i := range terms {
		if !equal(terms[i], terms[i%2]) {
			return sum, false
		}
	}
	return terms[0], true
}
