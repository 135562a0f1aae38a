package diff

// A run of changed lines may often be moved up or down without changing what
// the diff says: when the line before it equals its last one, or the line
// after it its first. Git moves each run down as far as it goes, joining it
// with others on the way; then to the last place where the other side has
// changes too, or else to where it reads best by indentation.

// run is a maximal range of changed lines of a text; empty between two
// unchanged lines. Both texts have the same number of runs, those of the same
// rank lying beside each other.
type run struct {
	text       *text
	start, end int
}

func firstRun(t *text) run {
	r := run{text: t}
	r.grow()
	return r
}

func (r *run) grow() {
	for r.text.changed[r.end] {
		r.end++
	}
}

func (r *run) growUp() {
	for r.start > 0 && r.text.changed[r.start-1] {
		r.start--
	}
}

func (r *run) empty() bool { return r.start == r.end }
func (r *run) size() int   { return r.end - r.start }

// next moves to the following run; false at the end of the text.
func (r *run) next() bool {
	if r.end == r.text.len() {
		return false
	}
	r.start, r.end = r.end+1, r.end+1
	r.grow()
	return true
}

// previous moves to the run before.
func (r *run) previous() {
	r.end = r.start - 1
	r.start = r.end
	r.growUp()
}

// slideUp moves the run one line up, if it may, and over the run it meets.
func (r *run) slideUp() bool {
	c := r.text.class
	if r.start == 0 || c[r.start-1] != c[r.end-1] {
		return false
	}
	r.start, r.end = r.start-1, r.end-1
	r.text.changed[r.start], r.text.changed[r.end] = true, false
	r.growUp()
	return true
}

// slideDown moves the run one line down, if it may, and over the run it meets.
func (r *run) slideDown() bool {
	c := r.text.class
	if r.end == r.text.len() || c[r.start] != c[r.end] {
		return false
	}
	r.text.changed[r.start], r.text.changed[r.end] = false, true
	r.start, r.end = r.start+1, r.end+1
	r.grow()
	return true
}

// slideChanges moves the runs of t to where git puts them.
func slideChanges(t, other *text, byIndent bool) {
	r, beside := firstRun(t), firstRun(other)
	for {
		if !r.empty() {
			slideRun(&r, &beside, byIndent)
		}
		if !r.next() {
			return
		}
		beside.next()
	}
}

func slideRun(r, beside *run, byIndent bool) {
	var size, highest, aligned int // highest and aligned are values of r.end
	for size = -1; size != r.size(); {
		size, aligned = r.size(), -1
		for r.slideUp() {
			beside.previous()
		}
		highest = r.end
		if !beside.empty() {
			aligned = r.end
		}
		for r.slideDown() {
			beside.next()
			if !beside.empty() {
				aligned = r.end
			}
		}
	}
	target := r.end
	switch {
	case highest == r.end:
	case aligned >= 0:
		target = aligned
	case byIndent:
		target = bestEnd(r, highest)
	}
	for r.end > target {
		r.slideUp()
		beside.previous()
	}
}

const maxSlides = 100 // places that are looked at for the best one

// bestEnd returns the end of the run at the place that reads best, from
// highest down to where the run is now.
func bestEnd(r *run, highest int) int {
	size := r.size()
	end := max(highest, r.end-size-1, r.end-maxSlides)
	best, bestAt := score{}, -1
	for ; end <= r.end; end++ {
		s := boundaryAt(r.text, end).score()
		s.add(boundaryAt(r.text, end-size).score())
		if bestAt < 0 || s.compare(best) <= 0 {
			best, bestAt = s, end
		}
	}
	return bestAt
}

// boundary is what counts about splitting a text before a line. Indents are in
// columns; noIndent stands for a blank line or the end of the text.
type boundary struct {
	atEnd        bool
	indent       int // of the line
	blanksBefore int
	indentBefore int // of the nearest line before that is not blank
	blanksAfter  int // after the line
	indentAfter  int
}

const (
	noIndent  = -1
	maxIndent = 200
	maxBlanks = 20 // after which a text counts as not indented
)

func boundaryAt(t *text, line int) boundary {
	b := boundary{indent: noIndent, indentBefore: noIndent, indentAfter: noIndent}
	if b.atEnd = line >= t.len(); !b.atEnd {
		b.indent = indentOf(t.line(line))
	}
	for i := line - 1; i >= 0; i-- {
		if b.indentBefore = indentOf(t.line(i)); b.indentBefore != noIndent {
			break
		}
		if b.blanksBefore++; b.blanksBefore == maxBlanks {
			b.indentBefore = 0
			break
		}
	}
	for i := line + 1; i < t.len(); i++ {
		if b.indentAfter = indentOf(t.line(i)); b.indentAfter != noIndent {
			break
		}
		if b.blanksAfter++; b.blanksAfter == maxBlanks {
			b.indentAfter = 0
			break
		}
	}
	return b
}

func indentOf(line []byte) int {
	n := 0
	for _, c := range line {
		switch {
		case !isSpace(c):
			return n
		case c == ' ':
			n++
		case c == '\t':
			n += 8 - n%8
		}
		if n >= maxIndent {
			return maxIndent
		}
	}
	return noIndent
}

// score rates a place for a run; less is better.
type score struct{ indent, penalty int }

func (s *score) add(other score) {
	s.indent += other.indent
	s.penalty += other.penalty
}

func (s score) compare(other score) int {
	const weightOfIndent = 60
	c := s.penalty - other.penalty
	switch {
	case s.indent > other.indent:
		c += weightOfIndent
	case s.indent < other.indent:
		c -= weightOfIndent
	}
	return c
}

// score applies the weights that git's authors found by optimization over
// hand-rated diffs.
func (b boundary) score() score {
	const (
		atStart          = 1
		atEnd            = 21
		perBlank         = -30
		perBlankAfter    = 6
		indented         = -4
		indentedAtBlank  = 10
		outdented        = 24 // and what follows is indented further
		outdentedAtBlank = 17
		dedented         = 23
		dedentedAtBlank  = 17
	)
	var s score
	if b.indentBefore == noIndent && b.blanksBefore == 0 {
		s.penalty += atStart
	}
	if b.atEnd {
		s.penalty += atEnd
	}
	after := 0
	if b.indent == noIndent {
		after = 1 + b.blanksAfter
	}
	blanks := b.blanksBefore + after
	s.penalty += perBlank*blanks + perBlankAfter*after

	s.indent = b.indent
	if b.indent == noIndent {
		s.indent = b.indentAfter
	}
	pick := func(plain, atBlank int) int {
		if blanks > 0 {
			return atBlank
		}
		return plain
	}
	switch {
	case s.indent == noIndent || b.indentBefore == noIndent || s.indent == b.indentBefore:
	case s.indent > b.indentBefore:
		s.penalty += pick(indented, indentedAtBlank)
	case b.indentAfter != noIndent && b.indentAfter > s.indent:
		s.penalty += pick(outdented, outdentedAtBlank)
	default:
		s.penalty += pick(dedented, dedentedAtBlank)
	}
	return s
}
