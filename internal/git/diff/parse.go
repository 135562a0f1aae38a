package diff

import (
	"bytes"
	"strconv"
)

// Hunk is one place of a patch, its lines apart. Starts count from 1; that of
// no lines is the line before.
type Hunk struct {
	OldStart, OldLines, NewStart, NewLines int
	Lines                                  []HunkLine
}

// HunkLine is a line of a hunk: Sign is ' ', '-', '+', or '\\' for what the
// patch says about the line before it. Text has no line feed.
type HunkLine struct {
	Sign byte
	Text string
}

// ParseHunks reads the hunks of a patch that File wrote.
func ParseHunks(patch []byte) []Hunk {
	var hunks []Hunk
	old, new := 0, 0 // lines that the hunk still has
	for line := range bytes.Lines(patch) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		switch {
		case len(hunks) > 0 && len(line) > 0 && (old > 0 || new > 0 || line[0] == '\\'):
			if line[0] == '-' || line[0] == ' ' {
				old--
			}
			if line[0] == '+' || line[0] == ' ' {
				new--
			}
			h := &hunks[len(hunks)-1]
			h.Lines = append(h.Lines, HunkLine{line[0], string(line[1:])})
		case bytes.HasPrefix(line, []byte("@@ -")):
			h := parseRanges(line)
			old, new = h.OldLines, h.NewLines
			hunks = append(hunks, h)
		}
	}
	return hunks
}

// parseRanges reads "@@ -1,2 +3 @@".
func parseRanges(line []byte) (h Hunk) {
	fields := bytes.Fields(line)
	if len(fields) < 3 {
		return h
	}
	h.OldStart, h.OldLines = parseRange(fields[1])
	h.NewStart, h.NewLines = parseRange(fields[2])
	return h
}

func parseRange(field []byte) (start, lines int) {
	from, count, counted := bytes.Cut(field[1:], []byte{','})
	start, _ = strconv.Atoi(string(from))
	if lines = 1; counted {
		lines, _ = strconv.Atoi(string(count))
	}
	return start, lines
}
