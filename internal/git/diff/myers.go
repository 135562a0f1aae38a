package diff

import (
	"context"
	"math"
	"math/bits"
)

// The comparison is Myers' O(ND) algorithm in linear space, with the three
// shortcuts that git (through LibXDiff) takes: lines that cannot or hardly
// match are set aside before the search, a search that has gone on for some
// time settles for a long run of equal lines, and one that has gone on for too
// long splits where it got furthest. The result depends on each, so their
// constants are git's.
const (
	minMaxCost   = 256  // steps after which a search may give up, at least
	longRun      = 20   // equal lines that make a run worth splitting at
	longRunAfter = 256  // steps before such runs are looked for
	longRunGain  = 4    // progress per step that a split must have made
	maxFrequent  = 1024 // occurrences above which any line is frequent
	loneWindow   = 100  // lines looked at around a frequent one
	loneRatio    = 4    // see amongUnmatched
)

// roughSqrt is the power of two that git takes for a square root.
func roughSqrt(n int) int {
	return 1 << ((bits.Len(uint(n)) + 1) / 2)
}

// markChanges marks the lines of both texts that have no partner in the other.
func markChanges(ctx context.Context, a, b *text, counts []classCount) error {
	from, aEnd, bEnd := 0, a.len(), b.len()
	for from < aEnd && from < bEnd && a.class[from] == b.class[from] {
		from++
	}
	for aEnd > from && bEnd > from && a.class[aEnd-1] == b.class[bEnd-1] {
		aEnd, bEnd = aEnd-1, bEnd-1
	}
	if from == aEnd || from == bEnd {
		a.mark(from, aEnd)
		b.mark(from, bEnd)
		return nil
	}
	s := search{ctx: ctx}
	s.a = setAside(a, from, aEnd, func(c int32) int32 { return counts[c].b })
	s.b = setAside(b, from, bEnd, func(c int32) int32 { return counts[c].a })
	return s.run()
}

// sequence is the lines of a text that take part in the search.
type sequence struct {
	text  *text
	class []int32
	line  []int32 // their numbers in text
}

func (s *sequence) mark(from, end int) {
	for _, n := range s.line[from:end] {
		s.text.changed[n] = true
	}
}

// setAside marks those lines of t in from to end as changed that the other
// side does not have, and frequent ones among them; the others are returned.
func setAside(t *text, from, end int, inOther func(class int32) int32) sequence {
	frequent := int32(min(roughSqrt(t.len()), maxFrequent))
	occurs := make([]occurrence, end-from)
	kept := 0
	for i := range occurs {
		switch n := inOther(t.class[from+i]); {
		case n == 0:
			occurs[i] = never
		case n >= frequent:
			occurs[i] = often
			kept++
		default:
			occurs[i] = rarely
			kept++
		}
	}
	s := sequence{text: t, class: make([]int32, 0, kept), line: make([]int32, 0, kept)}
	for i, o := range occurs {
		if o == never || o == often && amongUnmatched(occurs, i) {
			t.changed[from+i] = true
			continue
		}
		s.class = append(s.class, t.class[from+i])
		s.line = append(s.line, int32(from+i))
	}
	return s
}

// occurrence says how often a line is in the other text.
type occurrence byte

const (
	never occurrence = iota
	rarely
	often
)

// amongUnmatched tells whether the frequent line i lies in a run of lines that
// do not match, frequent ones between them, that goes on to both sides of it.
func amongUnmatched(occurs []occurrence, i int) bool {
	first, last := max(0, i-loneWindow), min(len(occurs)-1, i+loneWindow)
	unmatched, frequent := 0, 1
	for j := i - 1; j >= first && occurs[j] != rarely; j-- {
		if occurs[j] == never {
			unmatched++
		} else {
			frequent++
		}
	}
	if unmatched == 0 {
		return false
	}
	before := unmatched
	frequent++
	for j := i + 1; j <= last && occurs[j] != rarely; j++ {
		if occurs[j] == never {
			unmatched++
		} else {
			frequent++
		}
	}
	if unmatched == before {
		return false
	}
	return frequent*loneRatio < unmatched+frequent
}

// search finds which lines of two sequences are changed.
type search struct {
	ctx     context.Context
	a, b    sequence
	maxCost int

	// Diagonals are positions in a less positions in b; see front.
	reachedForward, reachedBackward []int32
	base                            int
}

func (s *search) run() error {
	diagonals := len(s.a.class) + len(s.b.class) + 3
	s.maxCost = max(roughSqrt(diagonals), minMaxCost)
	s.reachedForward, s.reachedBackward = make([]int32, diagonals), make([]int32, diagonals)
	s.base = len(s.b.class) + 1
	return s.box(box{0, len(s.a.class), 0, len(s.b.class)}, false)
}

// box is a part of the search: some lines of a against some of b.
type box struct{ aFrom, aEnd, bFrom, bEnd int }

// split is a point at which a box falls into two. A half is minimal if its
// cost is known to be small, so that it needs no shortcuts.
type split struct {
	a, b                    int
	minimalLow, minimalHigh bool
}

func (s *search) box(r box, minimal bool) error {
	for {
		for r.aFrom < r.aEnd && r.bFrom < r.bEnd && s.a.class[r.aFrom] == s.b.class[r.bFrom] {
			r.aFrom, r.bFrom = r.aFrom+1, r.bFrom+1
		}
		for r.aFrom < r.aEnd && r.bFrom < r.bEnd && s.a.class[r.aEnd-1] == s.b.class[r.bEnd-1] {
			r.aEnd, r.bEnd = r.aEnd-1, r.bEnd-1
		}
		if r.aFrom == r.aEnd || r.bFrom == r.bEnd {
			s.a.mark(r.aFrom, r.aEnd)
			s.b.mark(r.bFrom, r.bEnd)
			return nil
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		at, err := s.split(r, minimal)
		if err != nil {
			return err
		}
		if err := s.box(box{r.aFrom, at.a, r.bFrom, at.b}, at.minimalLow); err != nil {
			return err
		}
		r.aFrom, r.bFrom, minimal = at.a, at.b, at.minimalHigh
	}
}

// front is how far the search got in one direction: on each diagonal from low
// to high, every second one in turn, the position in a it has reached.
type front struct {
	reached   []int32 // by diagonal+base
	base      int
	low, high int
}

func (f *front) at(diagonal int) int { return int(f.reached[f.base+diagonal]) }

// window is what the diagonals from low to high have reached, and one to each
// side.
func (f *front) window() []int32 {
	if f.low > f.high {
		return nil
	}
	return f.reached[f.base+f.low-1 : f.base+f.high+2]
}

// widen adds a diagonal at both ends, within the box, and sets what lies
// beyond them to a value that no real one loses against.
func (f *front) widen(least, most int, beyond int32) {
	if f.low > least {
		f.low--
		f.reached[f.base+f.low-1] = beyond
	} else {
		f.low++
	}
	if f.high < most {
		f.high++
		f.reached[f.base+f.high+1] = beyond
	} else {
		f.high--
	}
}

// forward goes one step from the start, and on as far as lines are equal. It
// returns the length of the longest run of equal lines.
func (s *search) forward(r box, f *front) int {
	a, b := s.a.class[:r.aEnd], s.b.class[:r.bEnd]
	longest, d := 0, f.high
	window := f.window()
	for k := len(window) - 2; k > 0; k -= 2 {
		from := int(max(window[k-1]+1, window[k+1]))
		i, j := from, from-d
		for uint(i) < uint(len(a)) && uint(j) < uint(len(b)) && a[i] == b[j] {
			i, j = i+1, j+1
		}
		window[k] = int32(i)
		longest = max(longest, i-from)
		d -= 2
	}
	return longest
}

// backward is forward from the end.
func (s *search) backward(r box, g *front) int {
	a, b := s.a.class[r.aFrom:r.aEnd], s.b.class[r.bFrom:r.bEnd]
	longest, d := 0, g.high
	window := g.window()
	for k := len(window) - 2; k > 0; k -= 2 {
		from := int(min(window[k-1], window[k+1]-1))
		i, j := from-r.aFrom-1, from-d-r.bFrom-1
		for uint(i) < uint(len(a)) && uint(j) < uint(len(b)) && a[i] == b[j] {
			i, j = i-1, j-1
		}
		i += r.aFrom + 1
		window[k] = int32(i)
		longest = max(longest, from-i)
		d -= 2
	}
	return longest
}

// meeting looks for a diagonal of last, the front that moved last, on which
// the two have met.
func meeting(f, g, last front) (split, bool) {
	for d := last.high; d >= last.low; d -= 2 {
		if f.low <= d && d <= f.high && g.low <= d && d <= g.high && g.at(d) <= f.at(d) {
			i := last.at(d)
			return split{i, i - d, true, true}, true
		}
	}
	return split{}, false
}

// split searches a box from both ends until the two meet or a shortcut is due.
func (s *search) split(r box, minimal bool) (split, error) {
	start, end := r.aFrom-r.bFrom, r.aEnd-r.bEnd // the diagonals of the corners
	least, most := r.aFrom-r.bEnd, r.aEnd-r.bFrom
	f := front{s.reachedForward, s.base, start, start}
	g := front{s.reachedBackward, s.base, end, end}
	f.reached[f.base+start] = int32(r.aFrom)
	g.reached[g.base+end] = int32(r.aEnd)
	odd := (start-end)&1 != 0

	for cost := 1; ; cost++ {
		if cost&255 == 0 {
			if err := s.ctx.Err(); err != nil {
				return split{}, err
			}
		}
		f.widen(least, most, -1)
		longest := s.forward(r, &f)
		if odd {
			if at, ok := meeting(f, g, f); ok {
				return at, nil
			}
		}
		g.widen(least, most, math.MaxInt32)
		longest = max(longest, s.backward(r, &g))
		if !odd {
			if at, ok := meeting(f, g, g); ok {
				return at, nil
			}
		}
		if minimal {
			continue
		}
		if longest > longRun && cost > longRunAfter {
			if at, ok := s.longRunForward(r, f, start, cost); ok {
				return at, nil
			}
			if at, ok := s.longRunBackward(r, g, end, cost); ok {
				return at, nil
			}
		}
		if cost >= s.maxCost {
			return furthest(r, f, g), nil
		}
	}
}

// longRunForward looks for the diagonal that came furthest from the start and
// ends in a long run of equal lines.
func (s *search) longRunForward(r box, f front, start, cost int) (split, bool) {
	var found split
	best := 0
	for d := f.high; d >= f.low; d -= 2 {
		i := f.at(d)
		j := i - d
		gain := (i - r.aFrom) + (j - r.bFrom) - abs(d-start)
		if gain <= longRunGain*cost || gain <= best ||
			i < r.aFrom+longRun || i >= r.aEnd || j < r.bFrom+longRun || j >= r.bEnd {
			continue
		}
		if equalClasses(s.a.class[i-longRun:i], s.b.class[j-longRun:j]) {
			best = gain
			found = split{i, j, true, false}
		}
	}
	return found, best > 0
}

// longRunBackward is longRunForward from the end.
func (s *search) longRunBackward(r box, g front, end, cost int) (split, bool) {
	var found split
	best := 0
	for d := g.high; d >= g.low; d -= 2 {
		i := g.at(d)
		j := i - d
		gain := (r.aEnd - i) + (r.bEnd - j) - abs(d-end)
		if gain <= longRunGain*cost || gain <= best ||
			i <= r.aFrom || i > r.aEnd-longRun || j <= r.bFrom || j > r.bEnd-longRun {
			continue
		}
		if equalClasses(s.a.class[i:i+longRun], s.b.class[j:j+longRun]) {
			best = gain
			found = split{i, j, false, true}
		}
	}
	return found, best > 0
}

// furthest splits at the point that is furthest from the start, or from the
// end where the search from there got further.
func furthest(r box, f, g front) split {
	forward, atForward := -1, -1
	for d := f.high; d >= f.low; d -= 2 {
		i := min(f.at(d), r.aEnd)
		j := i - d
		if j > r.bEnd {
			i, j = r.bEnd+d, r.bEnd
		}
		if i+j > forward {
			forward, atForward = i+j, i
		}
	}
	backward, atBackward := math.MaxInt, math.MaxInt
	for d := g.high; d >= g.low; d -= 2 {
		i := max(g.at(d), r.aFrom)
		j := i - d
		if j < r.bFrom {
			i, j = r.bFrom+d, r.bFrom
		}
		if i+j < backward {
			backward, atBackward = i+j, i
		}
	}
	if r.aEnd+r.bEnd-backward < forward-r.aFrom-r.bFrom {
		return split{atForward, forward - atForward, true, false}
	}
	return split{atBackward, backward - atBackward, false, true}
}

func equalClasses(a, b []int32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
