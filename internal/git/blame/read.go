package blame

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// Hunk is some lines of a file that came with one commit.
type Hunk struct {
	Line, OriginalLine, Lines int // numbers of the first line, from 1, and how many
	Commit                    git.ObjectID
	OriginalPath              string
	// Previous is the commit in which something else was in their place; zero
	// if they are older than that.
	Previous git.ObjectID
}

// Read reads what git blame --incremental writes, and returns its hunks in the
// order of their lines.
func Read(r io.Reader) ([]Hunk, error) {
	in := bufio.NewReader(r)
	var hunks []Hunk
	var current Hunk
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" && current.Lines == 0 {
			break
		}
		if err != nil {
			return nil, malformed(err)
		}
		line = line[:len(line)-1]
		if current.Lines == 0 {
			if current, err = readHead(line); err != nil {
				return nil, err
			}
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "previous":
			id, _, _ := strings.Cut(value, " ")
			if current.Previous, err = git.ParseObjectID(id); err != nil {
				return nil, malformed(err)
			}
		case "filename": // the last line of a hunk
			if current.OriginalPath, err = unquote(value); err != nil {
				return nil, err
			}
			hunks = append(hunks, current)
			current = Hunk{}
		}
	}
	slices.SortFunc(hunks, func(a, b Hunk) int { return a.Line - b.Line })
	return hunks, nil
}

// readHead reads the line that a hunk begins with: commit, original line, line,
// lines.
func readHead(line string) (Hunk, error) {
	fields := strings.Split(line, " ")
	if len(fields) != 4 {
		return Hunk{}, malformed(errors.New("no hunk begins so"))
	}
	var h Hunk
	var err error
	if h.Commit, err = git.ParseObjectID(fields[0]); err != nil {
		return Hunk{}, malformed(err)
	}
	for i, to := range []*int{&h.OriginalLine, &h.Line, &h.Lines} {
		if *to, err = strconv.Atoi(fields[i+1]); err != nil || *to < 1 {
			return Hunk{}, malformed(fmt.Errorf("number %q", fields[i+1]))
		}
	}
	return h, nil
}

func malformed(err error) error { return fmt.Errorf("malformed output of git blame: %w", err) }

// unquote undoes the quoting of a path, in the way of C.
func unquote(path string) (string, error) {
	if !strings.HasPrefix(path, `"`) {
		return path, nil
	}
	inner, ok := strings.CutSuffix(path[1:], `"`)
	var b strings.Builder
	for ok && inner != "" {
		c := inner[0]
		inner = inner[1:]
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if ok = inner != ""; !ok {
			break
		}
		c = inner[0]
		if i := strings.IndexByte(`abtnvfr"\`, c); i >= 0 {
			b.WriteByte("\a\b\t\n\v\f\r\"\\"[i])
			inner = inner[1:]
			continue
		}
		n, err := strconv.ParseUint(inner[:min(3, len(inner))], 8, 8)
		if ok = err == nil && len(inner) >= 3; ok {
			b.WriteByte(byte(n))
			inner = inner[3:]
		}
	}
	if !ok {
		return "", malformed(errors.New("a quoted path"))
	}
	return b.String(), nil
}
