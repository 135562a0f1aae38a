package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// List reads only directories in which keys of the answer can be.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]cairn.BucketItem, error) {
	w := &walk{ctx: ctx, root: b.root, prefix: prefix, after: after, limit: limit}
	start := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if limit <= 0 || start != "" && cairn.CheckBucketKey(start+"x") != nil {
		return nil, nil
	}
	if err := w.segments(start); err != nil && !errors.Is(err, errEnough) {
		return nil, unavailable("list "+prefix, err)
	}
	return w.items, nil
}

var errEnough = errors.New("enough items")

// walk collects items in byte order of their keys.
type walk struct {
	ctx           context.Context
	root          *os.Root
	prefix, after string
	limit         int
	items         []cairn.BucketItem
}

// node is what lies in the directory of some segments: a further segment,
// which ends with a slash, or a name.
type node struct {
	name string
	file fs.DirEntry // nil for a segment
}

// segments walks through the directory of a key's segments; path ends with a
// slash or is empty.
func (w *walk) segments(path string) error {
	entries, err := w.read(itemsDir + "/" + path)
	if err != nil {
		return err
	}
	// Names with the same first characters are handled together, in order.
	groups := map[string][]string{} // the segments in a group
	for _, e := range entries {
		if start, ok := strings.CutPrefix(e.Name(), fanMark); ok {
			groups[start] = append(groups[start], "")
		} else if e.IsDir() {
			groups[fan(e.Name()+"/")] = append(groups[fan(e.Name()+"/")], e.Name()+"/")
		}
	}
	starts := make([]string, 0, len(groups))
	for start := range groups {
		starts = append(starts, start)
	}
	slices.Sort(starts)
	for _, start := range starts {
		if w.wants(path + start) {
			if err := w.group(path, start, groups[start]); err != nil {
				return err
			}
		}
	}
	return nil
}

// group walks through those names and segments in a directory that start with
// the same characters. Among the segments, an empty one stands for names.
func (w *walk) group(path, start string, segments []string) error {
	var nodes []node
	for _, segment := range segments {
		if segment != "" {
			nodes = append(nodes, node{name: segment})
			continue
		}
		files, err := w.read(itemsDir + "/" + path + fanMark + start)
		if err != nil {
			return err
		}
		for _, f := range files {
			nodes = append(nodes, node{f.Name(), f})
		}
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	for _, n := range nodes {
		if err := w.visit(path+n.name, n.file); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) visit(key string, file fs.DirEntry) error {
	if file == nil {
		if !w.wants(key) {
			return nil
		}
		return w.segments(key)
	}
	if !strings.HasPrefix(key, w.prefix) || key <= w.after {
		return nil
	}
	info, err := file.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted since
	}
	if err != nil {
		return err
	}
	w.items = append(w.items, item(key, info))
	if len(w.items) == w.limit {
		return errEnough
	}
	return nil
}

// wants tells whether keys that start with start can be in the answer.
func (w *walk) wants(start string) bool {
	return overlap(start, w.prefix) && (start > w.after || strings.HasPrefix(w.after, start))
}

// read lists a directory; one that is gone is empty.
func (w *walk) read(dir string) ([]fs.DirEntry, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	f, err := w.root.Open(strings.TrimSuffix(dir, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	return entries, errors.Join(err, f.Close())
}
