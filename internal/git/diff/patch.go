package diff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// FilePatch is one change with its text.
type FilePatch struct {
	Change

	// Additions and Deletions count lines as git diff --numstat does: none in
	// binary files. Where the kind of the file changed they compare the two
	// contents, though the text shows a deletion and a creation.
	Additions, Deletions int

	Binary   bool // a side has a NUL in its first 8000 bytes; not looked for where both contents are the same
	TooLarge bool // a bound of Options was passed: the text says no more than that the files differ

	// Text is the patch, from "diff --git" on. It is empty if all that differs
	// is ignored.
	Text []byte
}

// File writes the patch of one change.
func File(ctx context.Context, src Objects, c Change, opts Options) (FilePatch, error) {
	p := FilePatch{Change: c}
	if c.Old.ID == c.New.ID && !c.typeChanged() {
		p.Text = appendHeader(nil, c, opts, false)
		return p, nil
	}
	old, err := loadContent(ctx, src, c.Old, opts)
	if err != nil {
		return p, fmt.Errorf("read %q: %w", c.Old.Path, err)
	}
	new, err := loadContent(ctx, src, c.New, opts)
	if err != nil {
		return p, fmt.Errorf("read %q: %w", c.New.Path, err)
	}
	if err := p.compare(ctx, old, new, opts); err != nil {
		return p, err
	}
	if !c.typeChanged() {
		return p, nil
	}
	// A change of kind is shown as two patches; what was counted stays.
	p.Text = nil
	if c.Old.ID == c.New.ID {
		p.Additions, p.Deletions = 0, 0 // a submodule may name a blob's id
	}
	for _, half := range []FilePatch{
		{Change: Change{Status: Deleted, Old: c.Old}},
		{Change: Change{Status: Added, New: c.New}},
	} {
		from, to := old, content{}
		if half.New.Exists() {
			from, to = content{}, new
		}
		if err := half.compare(ctx, from, to, opts); err != nil {
			return p, err
		}
		p.Text = append(p.Text, half.Text...)
	}
	return p, nil
}

// compare fills all but Change.
func (p *FilePatch) compare(ctx context.Context, old, new content, opts Options) error {
	p.Binary = old.binary() || new.binary()
	p.TooLarge = old.tooLarge || new.tooLarge
	var a, b *text
	if !p.Binary && !p.TooLarge {
		a, b = newText(old.data), newText(new.data)
		p.TooLarge = a.len()+b.len() > opts.maxLines()
	}
	if p.TooLarge || p.Binary {
		p.Text = appendHeader(nil, p.Change, opts, opts.Binary && !p.TooLarge)
		if opts.Binary && !p.TooLarge {
			p.Text = appendBinaryPatch(p.Text, old.data, new.data)
		} else {
			p.Text = fmt.Appendf(p.Text, "Binary files %s and %s differ\n", oldLabel(p.Change), newLabel(p.Change))
		}
		return nil
	}
	edits, err := compareTexts(ctx, a, b, opts)
	if err != nil {
		return err
	}
	out := appendHeader(make([]byte, 0, 1024), p.Change, opts, false)
	header := len(out)
	out = appendFileLine(out, "--- ", oldLabel(p.Change))
	out = appendFileLine(out, "+++ ", newLabel(p.Change))
	labels := len(out)
	h := appendHunks(out, a, b, edits, opts)
	p.Additions, p.Deletions = h.additions, h.deletions
	switch {
	case len(h.out) > labels:
		p.Text = h.out
	case headerStands(p.Change):
		p.Text = h.out[:header]
	}
	return nil
}

// content is what one side of a change holds.
type content struct {
	data     []byte
	tooLarge bool
}

func loadContent(ctx context.Context, src Objects, s Side, opts Options) (content, error) {
	switch {
	case !s.Exists():
		return content{}, nil
	case s.Mode.IsSubmodule():
		return content{data: []byte("Subproject commit " + s.ID.String() + "\n")}, nil
	}
	data, err := src.Blob(ctx, s.ID, opts.maxFileSize())
	if errors.Is(err, ErrTooLarge) {
		return content{tooLarge: true}, nil
	}
	return content{data: data}, err
}

// binary follows buffer_is_binary of git.
func (c content) binary() bool { return isBinary(c.data) }

func isBinary(data []byte) bool {
	const looked = 8000
	return bytes.IndexByte(data[:min(len(data), looked)], 0) >= 0
}

// headerStands tells whether a change has something to say without hunks.
func headerStands(c Change) bool {
	return !c.Old.Exists() || !c.New.Exists() || c.Status == Renamed || c.Old.Mode != c.New.Mode
}

// appendHeader writes the lines from "diff --git" to "index".
func appendHeader(out []byte, c Change, opts Options, wholeIDs bool) []byte {
	oldPath, newPath := c.Old.Path, c.New.Path
	if !c.Old.Exists() {
		oldPath = newPath
	}
	if !c.New.Exists() {
		newPath = oldPath
	}
	out = fmt.Appendf(out, "diff --git %s %s\n", quoteName("a/", oldPath), quoteName("b/", newPath))
	switch {
	case !c.Old.Exists():
		out = fmt.Appendf(out, "new file mode %s\n", c.New.Mode)
	case !c.New.Exists():
		out = fmt.Appendf(out, "deleted file mode %s\n", c.Old.Mode)
	case c.Old.Mode != c.New.Mode:
		out = fmt.Appendf(out, "old mode %s\nnew mode %s\n", c.Old.Mode, c.New.Mode)
	}
	if c.Status == Renamed {
		out = fmt.Appendf(out, "similarity index %d%%\nrename from %s\nrename to %s\n",
			c.Score, quoteName("", oldPath), quoteName("", newPath))
	}
	if c.Old.ID == c.New.ID {
		return out
	}
	short := opts.Abbrev
	switch {
	case opts.FullIndex || wholeIDs:
		short = git.ObjectID.String
	case short == nil:
		short = sevenDigits
	}
	oldID, newID := c.Old.ID, c.New.ID
	if !c.Old.Exists() {
		oldID = zeroID(newID.Format())
	}
	if !c.New.Exists() {
		newID = zeroID(oldID.Format())
	}
	out = fmt.Appendf(out, "index %s..%s", short(oldID), short(newID))
	if c.Old.Mode == c.New.Mode {
		out = fmt.Appendf(out, " %s", c.Old.Mode)
	}
	return append(out, '\n')
}

// zeroID is the id of the absent side, as long as the others.
func zeroID(f git.ObjectFormat) git.ObjectID {
	id, err := git.ObjectIDFromBytes(make([]byte, f.Size()))
	if err != nil {
		panic(err) // every format has a valid size
	}
	return id
}

func sevenDigits(id git.ObjectID) string { return id.String()[:7] }

func oldLabel(c Change) string {
	if !c.Old.Exists() {
		return "/dev/null"
	}
	return quoteName("a/", c.Old.Path)
}

func newLabel(c Change) string {
	if !c.New.Exists() {
		return "/dev/null"
	}
	return quoteName("b/", c.New.Path)
}

// appendFileLine ends names that hold a space with a tab, as patch(1) needs.
func appendFileLine(out []byte, sign, label string) []byte {
	out = append(append(out, sign...), label...)
	if strings.Contains(label, " ") {
		out = append(out, '\t')
	}
	return append(out, '\n')
}
