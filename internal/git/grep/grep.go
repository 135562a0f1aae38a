// Package grep searches text line by line with regular expressions of RE2's
// kind, in time that grows with the text alone. It looks for what every match
// must hold before it asks the expression, and cuts no line off that does not
// hold it. It reads nothing: its callers have the text.
package grep

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Bounds of a pattern.
const (
	MaxPattern = 1024 // bytes
	// maxProgram is how many steps the compiled pattern may have. A byte of
	// text costs so many at most.
	maxProgram = 2000
	// maxSteps bounds what one line may cost: of a longer one only the
	// beginning is searched.
	maxSteps = 100 << 20
)

// ErrPattern is in the chain of every error about a pattern that is refused.
var ErrPattern = errors.New("invalid pattern")

// Pattern is what to look for. It is safe for concurrent use.
type Pattern struct {
	line    *regexp.Regexp
	needs   [][]literal // every match holds one of each; none are known if empty
	fold    bool        // letters are compared without case; literals are small
	plain   bool        // the pattern is its one literal
	longest int         // of a line that is searched
}

// Compile reads a pattern.
func Compile(pattern string, caseSensitive bool) (*Pattern, error) {
	if pattern == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrPattern)
	}
	if len(pattern) > MaxPattern {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrPattern, MaxPattern)
	}
	flags := syntax.Perl
	expression := pattern
	if !caseSensitive {
		flags |= syntax.FoldCase
		expression = "(?i:" + pattern + ")"
	}
	tree, err := syntax.Parse(pattern, flags)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	tree = tree.Simplify()
	program, err := syntax.Compile(tree)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	if len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("%w: it is too complex", ErrPattern)
	}
	p := &Pattern{fold: !caseSensitive, longest: maxSteps / len(program.Inst)}
	if p.line, err = regexp.Compile(expression); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	for _, alternatives := range required(tree, p.fold) {
		var need []literal
		for _, text := range alternatives {
			need = append(need, newLiteral(text))
		}
		p.needs = append(p.needs, need)
	}
	p.plain = tree.Op == syntax.OpLiteral && len(p.needs) == 1 && !p.fold
	return p, nil
}

// Line is a line of a text. Text is without its line feed and is a part of the
// text that was searched.
type Line struct {
	Number int // from 1
	Text   []byte
	Match  bool // else it is context
}

// Options say how much of a text is wanted.
type Options struct {
	Before, After int // lines of context
	MaxMatches    int // lines that match
	// After and up to this line nothing is returned; what matches there counts.
	SkipTo   int
	MaxLines int
}

// Lines returns the lines of a text that match, with their context, in order.
func (p *Pattern) Lines(text []byte, o Options) []Line {
	c := collector{text: text, o: o, number: 1}
	search := p.newSearch(text)
	matches := 0
	for at := 0; at < len(text) && matches < o.MaxMatches && len(c.lines) < o.MaxLines; {
		start, end := search.next(at)
		if start < 0 {
			break
		}
		c.match(start, end)
		matches++
		at = end + 1
	}
	c.context(o.After, len(text))
	return c.lines[:min(len(c.lines), o.MaxLines)]
}

// search goes over one text.
type search struct {
	*Pattern
	text   []byte
	folded []byte  // the text in which literals are looked for
	places [][]int // where each literal of needs is next; -1 unknown, len(text) nowhere
}

func (p *Pattern) newSearch(text []byte) *search {
	s := &search{Pattern: p, text: text, folded: text}
	if len(p.needs) == 0 {
		return s
	}
	if p.fold {
		// Two letters outside of ASCII are k and s in other clothes.
		if bytes.Contains(text, []byte("\u212a")) || bytes.Contains(text, []byte("\u017f")) {
			return s
		}
		s.folded = lower(text)
	}
	s.places = make([][]int, len(p.needs))
	for i, need := range p.needs {
		s.places[i] = make([]int, len(need))
		for j := range need {
			s.places[i][j] = -1
		}
	}
	return s
}

// lower copies a text with small letters for ASCII capitals.
func lower(text []byte) []byte {
	out := make([]byte, len(text))
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out[i] = c
	}
	return out
}

// next returns the first line that matches and begins at a line's start at or
// behind it; -1 if there is none.
func (s *search) next(at int) (start, end int) {
	for at < len(s.text) {
		start = at
		if s.places != nil {
			if start = s.candidate(at); start == len(s.text) {
				return -1, 0
			}
		}
		end = len(s.text)
		if n := bytes.IndexByte(s.text[start:], '\n'); n >= 0 {
			end = start + n
		}
		if s.plain || s.line.Match(s.text[start:min(end, start+s.longest)]) {
			return start, end
		}
		at = end + 1
	}
	return -1, 0
}

// candidate returns the next line that holds all that a match needs, from the
// start of one on: it goes to the line of what is farthest away until nothing is
// farther. It returns the end of the text if there is none.
func (s *search) candidate(line int) int {
	for {
		farthest := line
		for i := range s.needs {
			if farthest = max(farthest, s.place(i, line)); farthest == len(s.text) {
				return farthest
			}
		}
		start := line + bytes.LastIndexByte(s.text[line:farthest], '\n') + 1
		if start == line {
			return line
		}
		line = start
	}
}

// place is where one of the literals of a need is next.
func (s *search) place(need, at int) int {
	first := len(s.text)
	for i, place := range s.places[need] {
		if place < at {
			place = len(s.text)
			if n := s.needs[need][i].index(s.folded[at:]); n >= 0 {
				place = at + n
			}
			s.places[need][i] = place
		}
		first = min(first, place)
	}
	return first
}

// collector numbers lines and adds their context.
type collector struct {
	text   []byte
	o      Options
	lines  []Line
	at     int // behind what was taken or passed over, at a line's start
	number int // of the line there
	seen   bool
}

// match takes a line and its context before, and the one after the line before.
func (c *collector) match(start, end int) {
	if c.seen {
		c.context(c.o.After, start)
	}
	c.seen = true
	from := start
	for range c.o.Before {
		if from <= c.at {
			break
		}
		from = bytes.LastIndexByte(c.text[:from-1], '\n') + 1
	}
	from = max(from, c.at)
	c.number += bytes.Count(c.text[c.at:from], []byte{'\n'})
	c.at = from
	c.context(c.o.Before, start)
	c.take(end, true)
}

// context takes up to n lines that lie before a place.
func (c *collector) context(n, before int) {
	for ; n > 0 && c.seen && c.at < before; n-- {
		end := before
		if i := bytes.IndexByte(c.text[c.at:before], '\n'); i >= 0 {
			end = c.at + i
		}
		c.take(end, false)
	}
}

// take takes the line up to its end.
func (c *collector) take(end int, match bool) {
	if c.number > c.o.SkipTo {
		c.lines = append(c.lines, Line{c.number, c.text[c.at:end:end], match})
	}
	c.at = min(end+1, len(c.text))
	c.number++
}

// IsBinary tells whether git takes a text for none.
func IsBinary(text []byte) bool {
	return bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0
}
