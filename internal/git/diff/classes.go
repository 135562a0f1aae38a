package diff

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// classCount says how many lines of each side are in a class.
type classCount struct{ a, b int32 }

// classify gives equal lines the same number, so that all that follows
// compares numbers, and returns how often each number occurs.
func classify(a, b *text, opts Options) []classCount {
	total := a.len() + b.len()
	likely := max(a.len(), b.len()) + 16 // classes: most lines are on both sides
	t := classTable{
		seed:   maphash.MakeSeed(),
		slots:  make([]int32, 1<<bits.Len(uint(total+total/2))),
		lines:  make([]hashedLine, 0, likely),
		counts: make([]classCount, 0, likely),
		canon:  canonicalForm(opts),
	}
	classes := make([]int32, total)
	a.class, b.class = classes[:a.len():a.len()], classes[a.len():]
	for i := range a.class {
		a.class[i] = t.class(a.line(i))
		t.counts[a.class[i]].a++
	}
	for i := range b.class {
		b.class[i] = t.class(b.line(i))
		t.counts[b.class[i]].b++
	}
	return t.counts
}

// classTable is a hash table of lines with open addressing.
type classTable struct {
	seed   maphash.Seed
	slots  []int32 // class+1, or 0
	lines  []hashedLine
	counts []classCount

	canon func(dst, line []byte) []byte // nil: lines are compared as they are
	arena []byte                        // canonical lines
}

type hashedLine struct {
	hash uint64
	text []byte
}

func (t *classTable) class(line []byte) int32 {
	kept := len(t.arena)
	if t.canon != nil {
		t.arena = t.canon(t.arena, line)
		line = t.arena[kept:]
	}
	hash := maphash.Bytes(t.seed, line)
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		c := t.slots[i] - 1
		if c < 0 {
			c = int32(len(t.lines))
			t.slots[i] = c + 1
			t.lines = append(t.lines, hashedLine{hash, line})
			t.counts = append(t.counts, classCount{})
			return c
		}
		if l := &t.lines[c]; l.hash == hash && bytes.Equal(l.text, line) {
			t.arena = t.arena[:kept]
			return c
		}
	}
}

// canonicalForm returns what appends a line such that equal results are lines
// that opts calls equal; nil for exact comparison.
func canonicalForm(opts Options) func(dst, line []byte) []byte {
	switch {
	case opts.IgnoreAllSpace:
		return func(dst, line []byte) []byte {
			for _, c := range line {
				if !isSpace(c) {
					dst = append(dst, c)
				}
			}
			return dst
		}
	case opts.IgnoreSpaceChange:
		return func(dst, line []byte) []byte {
			line = trimSpaceRight(line)
			for i, c := range line {
				switch {
				case !isSpace(c):
					dst = append(dst, c)
				case i == 0 || !isSpace(line[i-1]):
					dst = append(dst, ' ')
				}
			}
			return dst
		}
	case opts.IgnoreSpaceAtEOL:
		return func(dst, line []byte) []byte { return append(dst, trimSpaceRight(line)...) }
	}
	return nil
}

// isSpace is git's isspace: neither vertical tabs nor form feeds.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func trimSpaceRight(line []byte) []byte {
	for len(line) > 0 && isSpace(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

// isBlank tells whether --ignore-blank-lines calls a line blank.
func isBlank(line []byte, opts Options) bool {
	if !opts.ignoresSpace() {
		return len(line) <= 1
	}
	return len(trimSpaceRight(line)) == 0
}
