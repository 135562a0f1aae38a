package diff

import (
	"bytes"
	"context"
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

// Simplify takes away from a sum what it both adds and takes away. It keeps the
// order of the others.
func Simplify[T any](terms []T, equal func(a, b T) bool) []T {
	var added, taken []T
	for i, t := range terms {
		if i%2 == 0 {
			added = append(added, t)
		} else {
			taken = append(taken, t)
		}
	}
	for i := 0; i < len(taken); {
		found := false
		for j := range added {
			if equal(added[j], taken[i]) {
				added = append(added[:j:j], added[j+1:]...)
				taken = append(taken[:i:i], taken[i+1:]...)
				found = true
				break
			}
		}
		if !found {
			i++
		}
	}
	out := make([]T, 0, len(added)+len(taken))
	for i, t := range added {
		if out = append(out, t); i < len(taken) {
			out = append(out, taken[i])
		}
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
