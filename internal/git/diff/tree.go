package diff

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// Trees returns the files that differ between two trees, directories followed,
// in git's order, which is that of the bytes of the paths (a renamed file
// stands at its new one). A zero id is the empty tree, which need not be
// stored. What the trees have in common is not read. It fails with ErrTooLarge
// rather than return a part.
func Trees(ctx context.Context, f git.ObjectFormat, src Objects, a, b git.ObjectID, opts TreeOptions) ([]Change, error) {
	w := treeWalk{ctx: ctx, format: f, src: src, opts: opts, empty: f.EmptyTree(), left: orDefault(opts.MaxEntries, DefaultMaxEntries)}
	if err := w.walk("", a, b, newPathFilter(opts.Paths), 0); err != nil {
		return nil, err
	}
	if !opts.Renames {
		return w.changes, nil
	}
	return findRenames(ctx, src, w.changes, opts)
}

const (
	maxDepth     = 2048      // of trees: git's core.maxTreeDepth
	maxPathBytes = 256 << 20 // of all changes together
)

type treeWalk struct {
	ctx     context.Context
	format  git.ObjectFormat
	src     Objects
	opts    TreeOptions
	empty   git.ObjectID
	left    int64 // entries that may still be read
	names   int64 // bytes of the paths in changes
	changes []Change
}

// treeCursor is a tree being read, at an entry or after the last.
type treeCursor struct {
	git.TreeReader
	mode git.FileMode // canonical
	done bool
}

func (w *treeWalk) open(id git.ObjectID) (treeCursor, error) {
	if id.IsZero() || id == w.empty {
		return treeCursor{done: true}, nil
	}
	data, err := w.src.Tree(w.ctx, id)
	if err != nil {
		return treeCursor{}, fmt.Errorf("read tree %s: %w", id, err)
	}
	c := treeCursor{TreeReader: git.NewTreeReader(w.format, data)}
	if err := w.advance(&c); err != nil {
		return treeCursor{}, fmt.Errorf("read tree %s: %w", id, err)
	}
	return c, nil
}

func (w *treeWalk) advance(c *treeCursor) error {
	ok, err := c.Next()
	if err != nil {
		return err
	}
	if w.left--; w.left < 0 {
		return fmt.Errorf("%w: more than %d", ErrEntries, orDefault(w.opts.MaxEntries, DefaultMaxEntries))
	}
	c.done, c.mode = !ok, canonicalMode(c.Mode)
	return nil
}

// canonicalMode reads a mode as git does where history holds others than are
// written today.
func canonicalMode(m git.FileMode) git.FileMode {
	switch {
	case m.IsFile() && m&0o100 != 0:
		return git.ModeExecutable
	case m.IsFile():
		return git.ModeFile
	case m.IsSymlink():
		return git.ModeSymlink
	case m.IsTree():
		return git.ModeTree
	}
	return git.ModeSubmodule
}

// walk compares two trees that lie at the same directory: dir is its path with
// a slash, or empty.
func (w *treeWalk) walk(dir string, aID, bID git.ObjectID, filter *pathFilter, depth int) error {
	if aID == bID {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: trees are nested deeper than %d", ErrTooLarge, maxDepth)
	}
	if len(dir) > git.MaxPathLength {
		return fmt.Errorf("%w: a path is longer than %d bytes", ErrTooLarge, git.MaxPathLength)
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	a, err := w.open(aID)
	if err != nil {
		return err
	}
	b, err := w.open(bID)
	if err != nil {
		return err
	}
	for !a.done || !b.done {
		order := compareEntries(&a, &b)
		if order != 0 || a.ID != b.ID || a.mode != b.mode {
			var old, new *treeCursor
			if order <= 0 {
				old = &a
			}
			if order >= 0 {
				new = &b
			}
			if err := w.differ(dir, old, new, filter, depth); err != nil {
				return err
			}
		}
		if order <= 0 {
			if err := w.advance(&a); err != nil {
				return fmt.Errorf("read tree %s: %w", aID, err)
			}
		}
		if order >= 0 {
			if err := w.advance(&b); err != nil {
				return fmt.Errorf("read tree %s: %w", bID, err)
			}
		}
	}
	return nil
}

// compareEntries orders the current entries as trees are; the end comes last.
func compareEntries(a, b *treeCursor) int {
	switch {
	case a.done:
		return 1
	case b.done:
		return -1
	}
	n := min(len(a.Name), len(b.Name))
	if c := cmp.Compare(string(a.Name[:n]), string(b.Name[:n])); c != 0 {
		return c
	}
	return cmp.Compare(a.byteAt(n), b.byteAt(n))
}

// byteAt returns a byte of the name, where a directory's ends in a slash.
func (c *treeCursor) byteAt(i int) byte {
	switch {
	case i < len(c.Name):
		return c.Name[i]
	case c.mode.IsTree():
		return '/'
	}
	return 0
}

// differ notes that an entry differs; nil is an absent one. If both are there,
// they are both directories or neither is.
func (w *treeWalk) differ(dir string, old, new *treeCursor, filter *pathFilter, depth int) error {
	either := old
	if old == nil {
		either = new
	}
	below, wanted := filter.entry(either.Name, either.mode)
	if !wanted {
		return nil
	}
	path := dir + string(either.Name)
	if either.mode.IsTree() {
		var a, b git.ObjectID
		if old != nil {
			a = old.ID
		}
		if new != nil {
			b = new.ID
		}
		return w.walk(path+"/", a, b, below, depth+1)
	}
	c := Change{Status: Modified}
	if old != nil {
		c.Old = Side{path, old.mode, old.ID}
	}
	if new != nil {
		c.New = Side{path, new.mode, new.ID}
	}
	switch {
	case old == nil:
		c.Status = Added
	case new == nil:
		c.Status = Deleted
	case c.typeChanged():
		c.Status = TypeChanged
	}
	if limit := orDefault(w.opts.MaxChanges, DefaultMaxChanges); len(w.changes) >= limit {
		return fmt.Errorf("%w: more than %d files differ", ErrTooLarge, limit)
	}
	if w.names += int64(len(path)); w.names > maxPathBytes {
		return fmt.Errorf("%w: the paths of the files that differ are too long", ErrTooLarge)
	}
	w.changes = append(w.changes, c)
	return nil
}

// pathFilter is TreeOptions.Paths below one directory; nil means everything. An
// entry costs the same however many paths there are.
type pathFilter struct {
	named bool // by one of the paths
	file  bool // by one that does not end in a slash, and may mean a file
	names map[string]*pathFilter
}

func newPathFilter(paths []string) *pathFilter {
	if len(paths) == 0 {
		return nil
	}
	root := &pathFilter{}
	for _, p := range paths {
		name := strings.Trim(p, "/")
		if name == "" {
			return nil
		}
		f := root
		for component := range strings.SplitSeq(name, "/") {
			if f.names == nil {
				f.names = map[string]*pathFilter{}
			}
			if f.names[component] == nil {
				f.names[component] = &pathFilter{}
			}
			f = f.names[component]
		}
		f.named = true
		f.file = f.file || !strings.HasSuffix(p, "/")
	}
	return root
}

// entry tells whether an entry of the directory is among the paths, lies below
// one, or is a directory that one of them lies below; and what is wanted below
// it.
func (f *pathFilter) entry(name []byte, mode git.FileMode) (below *pathFilter, wanted bool) {
	if f == nil {
		return nil, true
	}
	e := f.names[string(name)]
	switch {
	case e == nil:
		return nil, false
	case mode.IsTree() && !e.named:
		return e, true
	case mode.IsTree(), mode.IsSubmodule():
		return nil, e.named
	}
	return nil, e.file
}
