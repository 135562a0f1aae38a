package diff

import (
	"bytes"
	"context"
)

// Edit says that lines AStart to AEnd of a text were replaced by lines BStart
// to BEnd of another. Numbers count from 0, the ends are exclusive, and one of
// the two ranges may be empty.
type Edit struct{ AStart, AEnd, BStart, BEnd int }

// Lines compares two texts by line, as git diff does, and returns what differs
// in order. Between two edits, before the first and after the last, the lines
// are equal (as opts compares them) and as many on both sides. A line ends
// with its line feed; what follows the last line feed is a line too. Texts of
// more than opts.MaxLines lines are compared at their common ends only.
func Lines(a, b []byte, opts Options) []Edit {
	edits, err := compareTexts(context.Background(), newText(a), newText(b), opts)
	if err != nil {
		panic(err) // only a cancelled context fails
	}
	return edits
}

// text is one side of a comparison.
type text struct {
	data    []byte
	start   []int   // where each line starts, then where the last ends
	class   []int32 // of each line: equal for equal lines of both sides
	changed []bool  // by line, then one false
}

func newText(data []byte) *text {
	n := bytes.Count(data, []byte{'\n'})
	if len(data) > 0 && data[len(data)-1] != '\n' {
		n++
	}
	t := &text{data: data, start: make([]int, 1, n+1)}
	for at := 0; at < len(data); {
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			at += i + 1
		} else {
			at = len(data)
		}
		t.start = append(t.start, at)
	}
	return t
}

func (t *text) len() int { return len(t.start) - 1 }

func (t *text) line(i int) []byte { return t.data[t.start[i]:t.start[i+1]] }

// mark notes that lines from to end were changed.
func (t *text) mark(from, end int) {
	for i := from; i < end; i++ {
		t.changed[i] = true
	}
}

// compareTexts returns the edits between two texts. It fails only when ctx is
// done.
func compareTexts(ctx context.Context, a, b *text, opts Options) ([]Edit, error) {
	if opts.context() == 0 {
		cut := commonTail(a.data, b.data)
		a, b = a.without(cut), b.without(cut)
	}
	if a.len() == 0 || b.len() == 0 || a.len()+b.len() > opts.maxLines() {
		return compareEnds(a, b), nil
	}
	a.changed, b.changed = make([]bool, a.len()+1), make([]bool, b.len()+1)
	counts := classify(a, b, opts)
	if err := markChanges(ctx, a, b, counts); err != nil {
		return nil, err
	}
	slideChanges(a, b, !opts.NoIndentHeuristic)
	slideChanges(b, a, !opts.NoIndentHeuristic)
	return collectEdits(a, b), nil
}

// commonTail returns how many bytes git leaves out at the end of both texts
// when no context is asked for: whole blocks, less what starts inside a line.
// It shows in the result only because heuristics depend on the length.
func commonTail(a, b []byte) int {
	const block = 1024
	tail := 0
	for {
		x, y := len(a)-tail, len(b)-tail
		if x < block || y < block || !bytes.Equal(a[x-block:x], b[y-block:y]) {
			break
		}
		tail += block
	}
	if i := bytes.IndexByte(a[len(a)-tail:], '\n'); i >= 0 {
		return tail - i - 1
	}
	return 0
}

// without returns the text less its last n bytes, which start a line.
func (t *text) without(n int) *text {
	if n == 0 {
		return t
	}
	end := len(t.data) - n
	lines := t.len()
	for t.start[lines] > end {
		lines--
	}
	return &text{data: t.data[:end], start: t.start[:lines+1]}
}

// compareEnds is the comparison of texts that are empty, or too long for any
// other.
func compareEnds(a, b *text) []Edit {
	from, n := 0, min(a.len(), b.len())
	for from < n && bytes.Equal(a.line(from), b.line(from)) {
		from++
	}
	x, y := a.len(), b.len()
	for x > from && y > from && bytes.Equal(a.line(x-1), b.line(y-1)) {
		x, y = x-1, y-1
	}
	if x == from && y == from {
		return nil
	}
	return []Edit{{from, x, from, y}}
}

// collectEdits reads the edits off the marks.
func collectEdits(a, b *text) []Edit {
	var edits []Edit
	i, j := 0, 0
	for i < a.len() || j < b.len() {
		if !a.changed[i] && !b.changed[j] {
			i, j = i+1, j+1
			continue
		}
		e := Edit{AStart: i, BStart: j}
		for a.changed[i] {
			i++
		}
		for b.changed[j] {
			j++
		}
		e.AEnd, e.BEnd = i, j
		edits = append(edits, e)
	}
	return edits
}
