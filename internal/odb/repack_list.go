package odb

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// listing takes down the objects of an enumeration in the order in which they
// are visited, parents first, with the end of their paths: git looks for bases
// of deltas among objects of like paths. It takes twelve bytes for each object
// and each distinct path once. A nil listing takes nothing down.
type listing struct {
	history, blobs []listed
	graph          *commitgraph.Builder
	path           []byte // of the folder being visited
	names          map[string]uint32
	texts          []string
}

// listed is an object and the number of the end of its path.
type listed struct {
	pack, pos, name uint32
}

func (l listed) at() place { return place{int(l.pack), int(l.pos)} }

// maxTail is how much of a path is kept. What git's heuristic looks at is
// shorter.
const maxTail = 48

func newListing(f git.ObjectFormat) *listing {
	return &listing{graph: commitgraph.NewBuilder(f), names: map[string]uint32{"": 0}, texts: []string{""}}
}

// add takes down an object of that name in the present folder, or the folder
// itself.
func (l *listing) add(at place, t git.ObjectType, name []byte) {
	if l == nil {
		return
	}
	o := listed{uint32(at.pack), uint32(at.pos), 0}
	switch t {
	case git.BlobObject:
		o.name = l.tail(append(l.path, name...))
		l.blobs = append(l.blobs, o)
		return
	case git.TreeObject:
		o.name = l.tail(bytes.TrimSuffix(l.path, []byte("/")))
	}
	l.history = append(l.history, o)
}

func (l *listing) tail(path []byte) uint32 {
	path = path[max(0, len(path)-maxTail):]
	if n, ok := l.names[string(path)]; ok {
		return n
	}
	n := uint32(len(l.texts))
	text := string(path)
	l.names[text] = n
	l.texts = append(l.texts, text)
	return n
}

// enter goes down into a folder until leave is called.
func (l *listing) enter(name []byte) (leave func()) {
	if l == nil {
		return func() {}
	}
	length := len(l.path)
	l.path = append(append(l.path, name...), '/')
	return func() { l.path = l.path[:length] }
}

// commit adds a commit to the commit-graph, with the paths that it changed.
func (l *listing) commit(ctx context.Context, e *enumeration, at place, links git.CommitLinks) error {
	if l == nil {
		return nil
	}
	var before git.ObjectID
	if len(links.Parents) > 0 {
		parent, ok := e.sn.place(links.Parents[0])
		if !ok {
			return missing(links.Parents[0])
		}
		first, err := e.commitLinks(links.Parents[0], parent)
		if err != nil {
			return err
		}
		before = first.Tree
	}
	filter, err := commitgraph.ChangedPaths(ctx, e.sn.format(), walkObjects{e.sn, e.read}, before, links.Tree)
	if err != nil {
		return err
	}
	l.graph.Add(e.sn.idAt(at), links, filter)
	return nil
}

// take returns what was taken down since the last call, newest first.
func (l *listing) take() (history, blobs []listed) {
	history, blobs = l.history, l.blobs
	l.history, l.blobs = nil, nil
	slices.Reverse(history)
	slices.Reverse(blobs)
	return history, blobs
}

// walkObjects shows the trees that a walk reads to a diff.
type walkObjects struct {
	sn   *Snapshot
	read objectReader
}

var _ diff.Objects = walkObjects{}

func (o walkObjects) Tree(_ context.Context, id git.ObjectID) ([]byte, error) {
	at, ok := o.sn.place(id)
	if !ok {
		if id == o.sn.format().EmptyTree() {
			return nil, nil
		}
		return nil, missing(id)
	}
	return o.read.object(at, git.TreeObject)
}

func (o walkObjects) Blob(ctx context.Context, id git.ObjectID, max int64) ([]byte, error) {
	return o.sn.Blob(ctx, id, max)
}

func (o walkObjects) BlobSize(ctx context.Context, id git.ObjectID) (int64, error) {
	return o.sn.BlobSize(ctx, id)
}

// segments parts objects into lists of about size stored bytes each. If there
// is more than one, versions of the same path stay together.
func (l *listing) segments(sn *Snapshot, objects []listed, size int64) [][]listed {
	if len(objects) == 0 {
		return nil
	}
	var sum int64
	for _, o := range objects {
		sum += sn.storedSize(o.at())
	}
	if sum <= size {
		return [][]listed{objects}
	}
	slices.SortStableFunc(objects, func(a, b listed) int { return cmp.Compare(l.texts[a.name], l.texts[b.name]) })
	var parts [][]listed
	start := 0
	sum = 0
	for i, o := range objects {
		stored := sn.storedSize(o.at())
		if sum+stored > size && i > start {
			parts = append(parts, objects[start:i])
			start, sum = i, 0
		}
		sum += stored
	}
	return append(parts, objects[start:])
}

// storedSize is the length of an object's entry in bytes.
func (sn *Snapshot) storedSize(at place) int64 {
	p := sn.packs[at.pack].pack
	return p.EntryEnd(at.pos) - p.Index().Offset(at.pos)
}

// packInput is what git pack-objects reads: an id and a path in each line.
type packInput struct {
	sn      *Snapshot
	texts   []string
	objects []listed
	line    []byte // what is left of one
}

func (r *packInput) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if len(r.line) == 0 && !r.next() {
			break
		}
		m := copy(b[n:], r.line)
		r.line = r.line[m:]
		n += m
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *packInput) next() bool {
	if len(r.objects) == 0 {
		return false
	}
	o := r.objects[0]
	r.objects = r.objects[1:]
	r.line = append(r.line[:0:0], r.sn.idAt(o.at()).String()...)
	r.line = append(r.line, ' ')
	start := len(r.line)
	r.line = append(r.line, r.texts[o.name]...)
	for i, c := range r.line[start:] {
		if c == '\n' || c == 0 {
			r.line[start+i] = '?' // it only serves to find objects that are alike
		}
	}
	r.line = append(r.line, '\n')
	return true
}
