package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/odb"
)

const (
	// maxConflictPaths bounds the paths that one change may leave in conflict.
	maxConflictPaths = 10_000
	// maxConflictFile is the largest version of a file in bytes of which hunks
	// are shown, and that can be resolved by hunk.
	maxConflictFile = 1 << 20
	// maxHunkFiles is how many conflicted files are shown with their hunks.
	maxHunkFiles = 1000
)

// ConflictedFile is a path of which the versions could not be merged.
type ConflictedFile struct {
	Path string
	// Hunks are the places of a text; none if it is no text in all versions.
	Hunks   []ConflictHunk
	Size    int64  // of the largest version; 0 if Omitted says nothing
	Omitted string // why there are no hunks: OmittedBinary, OmittedTooLarge; empty if there is nothing to show
}

// Why the text of a file is not shown.
const (
	OmittedBinary    = "binary"
	OmittedTooLarge  = "too_large"
	OmittedFileLimit = "file_limit"
)

// ConflictHunk is one place of a conflict, with its versions. Where more than
// two sides were merged, Target is the first and Source the last.
type ConflictHunk struct {
	ID string // made of what is in conflict: the same again for the same
	// Lines of the base and of the target, counted from 1 as in a patch.
	OldStart, OldLines, NewStart, NewLines int
	Target, Base, Source                   *[]byte // nil where a version has no such file
}

// ConflictError is in the chain of a Conflict about what could not be merged.
type ConflictError struct {
	Paths []string
	Files []ConflictedFile // the first of them, if they were looked at
}

// Error tells how many paths are in conflict.
func (e *ConflictError) Error() string {
	if len(e.Paths) == 1 {
		return fmt.Sprintf("%q is in conflict", cairn.Clip(e.Paths[0]))
	}
	return fmt.Sprintf("%d paths are in conflict", len(e.Paths))
}

// pathConflict is what the terms of a sum have at a path that could not be
// merged.
type pathConflict struct {
	Path  string
	Terms []git.TreeEntry // as in odb.TreeSum
}

func conflictPaths(conflicts []pathConflict) []string {
	paths := make([]string, len(conflicts))
	for i, c := range conflicts {
		paths[i] = c.Path
	}
	return paths
}

// term is one tree of a sum with what it is.
type term struct {
	tree  git.ObjectID
	label string
}

func sameTree(a, b term) bool { return a.tree == b.tree }

// trees returns the trees of a commit: its own or, if it is in conflict, those
// that it is a sum of. The virtual root, with the zero id, has the empty tree.
func (c *changeState) trees(ctx context.Context, commit git.ObjectID) ([]term, error) {
	if commit.IsZero() {
		return []term{{tree: c.Repository().Format.EmptyTree()}}, nil
	}
	full, err := c.FullCommit(ctx, commit)
	if err != nil {
		return nil, err
	}
	return commitTrees(ctx, c.Repository().Format, c.Snapshot, full)
}

// commitTrees is trees of a commit at hand. A conflict that cannot be read is
// none: the commit is what plain Git sees. Nor is one whose trees are not in the
// commit's own tree: a header could name any object that the packs hold.
func commitTrees(ctx context.Context, f git.ObjectFormat, src odb.TreeSource, commit *git.Commit) ([]term, error) {
	plain := []term{{tree: commit.Tree}}
	conflict, ok, err := commit.Conflict(f)
	if err != nil || !ok {
		return plain, nil
	}
	data, err := src.Tree(ctx, commit.Tree)
	if err != nil {
		return nil, err
	}
	entries, err := git.ParseTree(f, data)
	if err != nil {
		return nil, err
	}
	terms := make([]term, len(conflict.Trees))
	for i, tree := range conflict.Trees {
		if !slices.Contains(entries, git.TreeEntry{Mode: git.ModeTree, Name: git.ConflictEntryName(i), ID: tree}) {
			return plain, nil
		}
		terms[i] = term{tree, conflict.Label(i)}
	}
	return terms, nil
}

func treeIDs(terms []term) []git.ObjectID {
	ids := make([]git.ObjectID, len(terms))
	for i, t := range terms {
		ids[i] = t.tree
	}
	return ids
}

// conflicts returns the paths of a sum that could not be merged.
func (c *changeState) conflicts(ctx context.Context, terms []term) ([]pathConflict, error) {
	return findConflicts(ctx, c.Repository().Format, c.Snapshot, c.service.limits, terms)
}

func findConflicts(ctx context.Context, f git.ObjectFormat, src diff.Objects, limits Limits, terms []term) (found []pathConflict, err error) {
	if len(terms) == 1 {
		return nil, nil
	}
	sum := odb.TreeSum{Format: f, Source: src, Entries: limits.WalkEntries, Conflict: func(path string, terms []git.TreeEntry) error {
		if found = append(found, pathConflict{path, slices.Clone(terms)}); len(found) > maxConflictPaths {
			return cairn.Errorf(cairn.TooLarge, "more than %d paths are in conflict", maxConflictPaths)
		}
		return nil
	}}
	_, err = sum.Sum(ctx, treeIDs(terms))
	slices.SortFunc(found, func(a, b pathConflict) int { return strings.Compare(a.Path, b.Path) })
	return found, err
}

// conflictTexts are the versions of a conflicted file, one for each term that
// is left when what cancels out is gone.
type conflictTexts struct {
	terms   []git.TreeEntry
	texts   [][]byte
	size    int64  // of the largest
	omitted string // why there are no texts; "-" if some version is no file
}

const notText = "-"

// loadTexts reads the versions of a conflicted file. A base may be missing:
// both sides added the file.
func loadTexts(ctx context.Context, src diff.Objects, conflict pathConflict) (conflictTexts, error) {
	c := conflictTexts{terms: diff.Simplify(conflict.Terms, func(a, b git.TreeEntry) bool { return a.Mode == b.Mode && a.ID == b.ID })}
	for i, e := range c.terms {
		if e.Mode == 0 && i%2 == 1 {
			c.texts = append(c.texts, nil)
			continue
		}
		if !e.Mode.IsFile() {
			return conflictTexts{terms: c.terms, omitted: notText}, nil
		}
		size, err := src.BlobSize(ctx, e.ID)
		if err != nil {
			return c, err
		}
		c.size = max(c.size, size)
		data, err := src.Blob(ctx, e.ID, maxConflictFile)
		if errors.Is(err, diff.ErrTooLarge) {
			c.omitted = OmittedTooLarge
			continue
		}
		if err != nil {
			return c, err
		}
		if odb.IsBinary(data) && c.omitted == "" {
			c.omitted = OmittedBinary
		}
		c.texts = append(c.texts, data)
	}
	return c, nil
}

// showConflict shows a conflicted file.
func showConflict(ctx context.Context, src diff.Objects, conflict pathConflict) (ConflictedFile, error) {
	out := ConflictedFile{Path: conflict.Path}
	c, err := loadTexts(ctx, src, conflict)
	if err != nil || c.omitted == notText {
		return out, err
	}
	if out.Size, out.Omitted = c.size, c.omitted; c.omitted != "" {
		return out, nil
	}
	parts, err := diff.Sum(ctx, c.texts)
	if err != nil {
		return out, err
	}
	for _, p := range parts {
		if p.Conflicted() {
			out.Hunks = append(out.Hunks, c.hunk(conflict.Path, len(out.Hunks), p))
		}
	}
	return out, nil
}

// hunk shows one place of a conflicted file.
func (c conflictTexts) hunk(path string, index int, p diff.Part) ConflictHunk {
	last := len(p.Terms) - 1
	h := ConflictHunk{
		ID:       hunkID(path, index, p),
		OldStart: startOf(p.From[1], p.Lines[1]), OldLines: p.Lines[1],
		NewStart: startOf(p.From[0], p.Lines[0]), NewLines: p.Lines[0],
		Target: &p.Terms[0], Source: &p.Terms[last],
	}
	if c.terms[1].Mode != 0 {
		h.Base = &p.Terms[1]
	}
	return h
}

// startOf is the number of a first line as patches have it: of no lines, that
// of the line before.
func startOf(from, lines int) int {
	if lines == 0 {
		return from
	}
	return from + 1
}

func hunkID(path string, index int, p diff.Part) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d", path, index)
	for _, t := range p.Terms {
		fmt.Fprintf(h, " %q", t)
	}
	return "h" + hex.EncodeToString(h.Sum(nil)[:8])
}

// showConflicts shows conflicted files, the first with their hunks.
func showConflicts(ctx context.Context, src diff.Objects, conflicts []pathConflict) ([]ConflictedFile, error) {
	files := []ConflictedFile{}
	for i, c := range conflicts {
		if i == maxHunkFiles {
			break
		}
		file, err := showConflict(ctx, src, c)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// conflictError is what a caller is told who does not take a conflict.
func conflictError(ctx context.Context, src diff.Objects, conflicts []pathConflict) error {
	files, err := showConflicts(ctx, src, conflicts)
	if err != nil {
		return err
	}
	return cairn.Errorf(cairn.Conflict, "%w", &ConflictError{Paths: conflictPaths(conflicts), Files: files})
}

// markers writes a conflicted file as one text with conflict markers, as jj
// shows them; false if it is no text.
func markers(ctx context.Context, src diff.Objects, conflict pathConflict) ([]byte, bool, error) {
	c, err := loadTexts(ctx, src, conflict)
	if err != nil || c.omitted != "" {
		return nil, false, err
	}
	parts, err := diff.Sum(ctx, c.texts)
	if err != nil {
		return nil, false, err
	}
	n := 0
	length := 7
	for _, p := range parts {
		if p.Conflicted() {
			n++
		}
		for _, text := range append([][]byte{p.Text}, p.Terms...) {
			length = max(length, longestMarker(text)+1)
		}
	}
	marker := func(r byte) []byte { return bytes.Repeat([]byte{r}, length) }
	var out []byte
	at := 0
	for _, p := range parts {
		if !p.Conflicted() {
			out = append(out, p.Text...)
			continue
		}
		at++
		out = fmt.Appendf(out, "%s conflict %d of %d\n", marker('<'), at, n)
		for i, text := range p.Terms {
			kind, name := byte('+'), fmt.Sprintf("side #%d", i/2+1)
			if i%2 == 1 {
				kind, name = '-', "base"
			}
			if len(text) > 0 && text[len(text)-1] != '\n' {
				text, name = append(slices.Clip(text), '\n'), name+" (no terminating newline)"
			}
			out = append(fmt.Appendf(out, "%s %s\n", marker(kind), name), text...)
		}
		out = fmt.Appendf(out, "%s conflict %d of %d ends\n", marker('>'), at, n)
	}
	return out, true, nil
}

// longestMarker is the length of the longest beginning of a line that looks
// like a conflict marker; 6 if none does.
func longestMarker(text []byte) int {
	longest := 6
	for line := range bytes.Lines(text) {
		if c := line[0]; bytes.IndexByte([]byte("<>+-"), c) >= 0 {
			longest = max(longest, len(line)-len(bytes.TrimLeft(line, string(c))))
		}
	}
	return longest
}

// Resolution says what becomes of one conflicted path.
type Resolution struct {
	Path string
	Choice
	Hunks []HunkResolution // of each hunk, instead of one choice for all
}

// HunkResolution says what becomes of one hunk.
type HunkResolution struct {
	ID string
	Choice
}

// Choice is a content, or one of the sides.
type Choice struct {
	Content *[]byte
	Take    ConflictSide
}

// ConflictSide is a side of a merge.
type ConflictSide string

// The sides.
const (
	TakeTarget ConflictSide = "target"
	TakeSource ConflictSide = "source"
)

func (c Choice) check(path string) error {
	switch {
	case c.Take != "" && c.Take != TakeTarget && c.Take != TakeSource:
		return cairn.Errorf(cairn.Invalid, "resolution of %q: take is target or source", cairn.Clip(path))
	case (c.Content == nil) == (c.Take == ""):
		return cairn.Errorf(cairn.Invalid, "resolution of %q: give either content or take", cairn.Clip(path))
	}
	return nil
}

// checkResolutions refuses what could never be right.
func checkResolutions(list []Resolution) error {
	seen := map[string]bool{}
	for _, r := range list {
		if seen[r.Path] {
			return cairn.Errorf(cairn.Invalid, "path %q is resolved twice", cairn.Clip(r.Path))
		}
		seen[r.Path] = true
		if r.Hunks == nil {
			if err := r.check(r.Path); err != nil {
				return err
			}
			continue
		}
		if r.Content != nil || r.Take != "" {
			return cairn.Errorf(cairn.Invalid, "resolution of %q: give hunks or one choice for all, not both", cairn.Clip(r.Path))
		}
		for _, h := range r.Hunks {
			if err := h.check(r.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve returns what a path becomes; a zero Mode means that it is gone. New
// content is given to emit.
func (r Resolution) resolve(ctx context.Context, src diff.Objects, conflict pathConflict, emit func(git.ObjectType, []byte) (git.ObjectID, error)) (git.TreeEntry, error) {
	if r.Hunks == nil && r.Content == nil {
		return r.side(conflict.Terms), nil
	}
	content := r.Content
	if r.Hunks != nil {
		merged, err := r.mergeHunks(ctx, src, conflict)
		if err != nil {
			return git.TreeEntry{}, err
		}
		content = &merged
	}
	mode := git.ModeFile
	for _, e := range []git.TreeEntry{conflict.Terms[len(conflict.Terms)-1], conflict.Terms[0]} {
		if e.Mode.IsFile() {
			mode = e.Mode
		}
	}
	id, err := emit(git.BlobObject, *content)
	return git.TreeEntry{Mode: mode, ID: id}, err
}

func (c Choice) side(terms []git.TreeEntry) git.TreeEntry {
	if c.Take == TakeSource {
		return terms[len(terms)-1]
	}
	return terms[0]
}

// mergeHunks puts a file together whose hunks are all resolved.
func (r Resolution) mergeHunks(ctx context.Context, src diff.Objects, conflict pathConflict) ([]byte, error) {
	c, err := loadTexts(ctx, src, conflict)
	if err != nil {
		return nil, err
	}
	if c.omitted != "" {
		return nil, cairn.Errorf(cairn.Invalid, "%q has no hunks: resolve it as a whole", cairn.Clip(r.Path))
	}
	parts, err := diff.Sum(ctx, c.texts)
	if err != nil {
		return nil, err
	}
	choices := make(map[string]Choice, len(r.Hunks))
	for _, h := range r.Hunks {
		choices[h.ID] = h.Choice
	}
	var out []byte
	index := 0
	for _, p := range parts {
		if !p.Conflicted() {
			out = append(out, p.Text...)
			continue
		}
		id := hunkID(r.Path, index, p)
		choice, ok := choices[id]
		index++
		switch {
		case !ok:
			return nil, cairn.Errorf(cairn.Conflict, "%w: the hunk %s is not resolved: each hunk of a path has to be", &ConflictError{Paths: []string{r.Path}}, id)
		case choice.Content != nil:
			out = append(out, *choice.Content...)
		case choice.Take == TakeSource:
			out = append(out, p.Terms[len(p.Terms)-1]...)
		default:
			out = append(out, p.Terms[0]...)
		}
		delete(choices, id)
	}
	for id := range choices {
		return nil, cairn.Errorf(cairn.Conflict, "%w: there is no hunk %q now", &ConflictError{Paths: []string{r.Path}}, cairn.Clip(id))
	}
	return out, nil
}
