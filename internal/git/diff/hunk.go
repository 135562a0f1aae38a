package diff

import (
	"strconv"
	"unicode/utf8"
)

// hunks writes the hunks of a patch.
type hunks struct {
	a, b    *text
	edits   []Edit
	context int
	out     []byte

	additions, deletions int
	heading              []byte // what follows the @@ of a hunk
	searched             int    // headings were looked for up to this line of a
}

// appendHunks appends the hunks that show edits.
func appendHunks(out []byte, a, b *text, edits []Edit, opts Options) hunks {
	h := hunks{a: a, b: b, edits: edits, context: opts.context(), out: out, searched: -1}
	ignored := ignoredEdits(a, b, edits, opts)
	for at := 0; at < len(edits); {
		var end int
		at, end = nextHunk(edits, ignored, at, h.context)
		if at == end {
			break
		}
		h.hunk(edits[at:end])
		at = end
	}
	return h
}

// ignoredEdits marks the edits that --ignore-blank-lines leaves out; nil
// without it.
func ignoredEdits(a, b *text, edits []Edit, opts Options) []bool {
	if !opts.IgnoreBlankLines {
		return nil
	}
	ignored := make([]bool, len(edits))
	for i, e := range edits {
		ignored[i] = allBlank(a, e.AStart, e.AEnd, opts) && allBlank(b, e.BStart, e.BEnd, opts)
	}
	return ignored
}

func allBlank(t *text, from, end int, opts Options) bool {
	for i := from; i < end; i++ {
		if !isBlank(t.line(i), opts) {
			return false
		}
	}
	return true
}

// nextHunk returns the range of edits, from the one at on, that the next hunk
// shows: those whose contexts touch. Ignored edits are shown only near others.
func nextHunk(edits []Edit, ignored []bool, at, context int) (first, end int) {
	skip := func(i int) bool { return ignored != nil && ignored[i] }
	first = at
	for i := at; i < len(edits) && skip(i); i++ {
		if i+1 == len(edits) || edits[i+1].AStart-edits[i].AEnd >= context {
			first = i + 1
		}
	}
	if first == len(edits) {
		return first, first
	}
	last := first
	passed := 0 // lines that ignored edits since last added
	for i := first + 1; i < len(edits); i++ {
		distance := edits[i].AStart - edits[i-1].AEnd
		if distance > 2*context {
			break
		}
		near := distance < context
		switch {
		case near && (!skip(i) || last == i-1):
			last, passed = i, 0
		case near && skip(i):
			passed += edits[i].BEnd - edits[i].BStart
		case last != i-1 && edits[i].AStart+passed-edits[last].AEnd > 2*context:
			return first, last + 1
		case !skip(i):
			last, passed = i, 0
		default:
			passed += edits[i].BEnd - edits[i].BStart
		}
	}
	return first, last + 1
}

func (h *hunks) hunk(edits []Edit) {
	first, last := edits[0], edits[len(edits)-1]
	after := min(h.context, h.a.len()-last.AEnd, h.b.len()-last.BEnd)
	aFrom, aEnd := max(0, first.AStart-h.context), last.AEnd+after
	bFrom, bEnd := max(0, first.BStart-h.context), last.BEnd+after

	h.out = append(h.out, "@@ -"...)
	h.out = appendRange(h.out, aFrom, aEnd)
	h.out = append(h.out, " +"...)
	h.out = appendRange(h.out, bFrom, bEnd)
	h.out = append(h.out, " @@"...)
	h.findHeading(aFrom - 1)
	if len(h.heading) > 0 {
		h.out = append(append(h.out, ' '), h.heading...)
	}
	h.out = append(h.out, '\n')

	// Unchanged lines are shown as the new text has them: with blanks ignored,
	// the old one may differ.
	at := bFrom
	for _, e := range edits {
		h.lines(' ', h.b, at, e.BStart)
		h.lines('-', h.a, e.AStart, e.AEnd)
		h.lines('+', h.b, e.BStart, e.BEnd)
		h.deletions += e.AEnd - e.AStart
		h.additions += e.BEnd - e.BStart
		at = e.BEnd
	}
	h.lines(' ', h.b, at, bEnd)
}

// appendRange writes the first line and the number of lines, which is left out
// if it is 1. Lines count from 1; an empty range names the line before it.
func appendRange(out []byte, from, end int) []byte {
	n := end - from
	if n > 0 {
		from++
	}
	out = strconv.AppendInt(out, int64(from), 10)
	if n != 1 {
		out = strconv.AppendInt(append(out, ','), int64(n), 10)
	}
	return out
}

func (h *hunks) lines(sign byte, t *text, from, end int) {
	for i := from; i < end; i++ {
		line := t.line(i)
		h.out = append(append(h.out, sign), line...)
		if line[len(line)-1] != '\n' {
			h.out = append(h.out, "\n\\ No newline at end of file\n"...)
		}
	}
}

// findHeading looks backward from a line for one that heads a section, but no
// further than it looked before: then the last heading stays.
func (h *hunks) findHeading(from int) {
	for i := from; i > h.searched; i-- {
		if heading, ok := headingOf(h.a.line(i)); ok {
			h.heading = heading
			break
		}
	}
	h.searched = from
}

// headingOf returns what a hunk shows of a line that starts with a letter, an
// underscore or a dollar sign.
func headingOf(line []byte) ([]byte, bool) {
	const longest = 80
	c := line[0] | 0x20
	if (c < 'a' || c > 'z') && line[0] != '_' && line[0] != '$' {
		return nil, false
	}
	return validPrefix(trimSpaceRight(line[:min(len(line), longest)])), true
}

// validPrefix cuts a heading where it is not, or no longer, UTF-8 as git reads
// it: without U+FFFE and U+FFFF.
func validPrefix(s []byte) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 || r == 0xfffe || r == 0xffff {
			return s[:i]
		}
		i += n
	}
	return s
}
