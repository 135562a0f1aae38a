package commitgraph

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"sort"

	"github.com/cairn-storage/cairn/internal/git"
)

// Builder makes a commit-graph file. It keeps about a hundred bytes for each
// commit, and its filter; nothing of its message, and no paths. It is for one
// goroutine.
//
// A commit is left out of the file if its date does not fit (34 bits), or if
// one of its parents is not in the file: what the file says is exact, and it
// has all ancestors of each of its commits.
type Builder struct {
	format     git.ObjectFormat
	ids        []byte
	trees      []byte
	dates      []int64
	parents    []byte   // ids, of all commits in turn
	parentEnds []uint64 // in ids
	filters    []byte
	filterEnds []uint64
	wide       bool // a path in a filter is not ASCII
}

// NewBuilder returns a Builder of an empty file.
func NewBuilder(f git.ObjectFormat) *Builder { return &Builder{format: f} }

// Add adds a commit, before or after its parents. A commit may be added once.
func (b *Builder) Add(id git.ObjectID, links git.CommitLinks, filter PathFilter) {
	b.ids = id.AppendTo(b.ids)
	b.trees = links.Tree.AppendTo(b.trees)
	b.dates = append(b.dates, links.Date)
	for _, p := range links.Parents {
		b.parents = p.AppendTo(b.parents)
	}
	b.parentEnds = append(b.parentEnds, uint64(len(b.parents)/b.format.Size()))
	b.filters = append(b.filters, filter.bits...)
	b.wide = b.wide || filter.wide
	b.filterEnds = append(b.filterEnds, uint64(len(b.filters)))
}

// Len returns the number of commits that were added.
func (b *Builder) Len() int { return len(b.dates) }

// Write writes the file. It fails if a commit was added twice, if one is its
// own ancestor, or if there are more commits or filters than a file can hold.
// The Builder is of no further use.
func (b *Builder) Write(w io.Writer) error {
	if len(b.dates) > maxCommits || len(b.filters) > math.MaxUint32-bloomHeaderSize {
		return fmt.Errorf("commit-graph: %d commits with %d bytes of filters are more than a file can hold", len(b.dates), len(b.filters))
	}
	l, err := b.layOut()
	if err != nil {
		return err
	}
	out := fileWriter{hash: newChecksum(b.format)}
	out.w = bufio.NewWriterSize(io.MultiWriter(w, out.hash), 64<<10)
	l.write(&out)
	if err := out.w.Flush(); err != nil {
		return err
	}
	_, err = w.Write(out.hash.Sum(nil))
	return err
}

func (b *Builder) id(i uint32) []byte { return slot(b.ids, b.format.Size(), int(i)) }

func slot(list []byte, size, i int) []byte { return list[i*size : (i+1)*size] }

// span is the part of a list of parts that belongs to i, by where each ends.
func span(ends []uint64, i uint32) (start, end uint64) {
	if i > 0 {
		start = ends[i-1]
	}
	return start, ends[i]
}

// layout is what a file says in the order in which it says it. Commits are
// named by their position there, but by the order of their adding in b.
type layout struct {
	b     *Builder
	order []uint32 // of each position, which commit

	parents    []uint32 // positions, of all commits in turn
	parentEnds []uint64
	levels     []uint32
	corrected  []int64
}

func (b *Builder) layOut() (*layout, error) {
	l := &layout{b: b, order: make([]uint32, len(b.dates))}
	for i := range l.order {
		l.order[i] = uint32(i)
	}
	slices.SortFunc(l.order, func(x, y uint32) int { return bytes.Compare(b.id(x), b.id(y)) })
	for i := 1; i < len(l.order); i++ {
		if bytes.Equal(b.id(l.order[i-1]), b.id(l.order[i])) {
			return nil, fmt.Errorf("commit-graph: commit %x twice", b.id(l.order[i]))
		}
	}
	l.linkParents()
	if err := l.number(); err != nil {
		return nil, err
	}
	if slices.Contains(l.levels, leftOut) {
		l.dropLeftOut()
	}
	return l, nil
}

const (
	absent  = math.MaxUint32 // in place of a parent's position
	leftOut = math.MaxUint32 // in place of a level
)

// linkParents finds the positions of all parents.
func (l *layout) linkParents() {
	var first [257]int // where the ids of each first byte begin
	for i := range first {
		first[i] = sort.Search(len(l.order), func(pos int) bool { return int(l.b.id(l.order[pos])[0]) >= i })
	}
	size := l.b.format.Size()
	l.parents = make([]uint32, 0, len(l.b.parents)/size)
	for _, c := range l.order {
		start, end := span(l.b.parentEnds, c)
		for i := start; i < end; i++ {
			id := slot(l.b.parents, size, int(i))
			bucket := l.order[first[id[0]]:first[int(id[0])+1]]
			n, ok := slices.BinarySearchFunc(bucket, id, func(c uint32, id []byte) int { return bytes.Compare(l.b.id(c), id) })
			pos := uint32(absent)
			if ok {
				pos = uint32(first[id[0]] + n)
			}
			l.parents = append(l.parents, pos)
		}
		l.parentEnds = append(l.parentEnds, uint64(len(l.parents)))
	}
}

func (l *layout) parentsOf(pos uint32) []uint32 {
	start, end := span(l.parentEnds, pos)
	return l.parents[start:end]
}

func (l *layout) date(pos uint32) int64 { return l.b.dates[l.order[pos]] }

// number computes the generation numbers, parents first, and marks the commits
// that are left out.
func (l *layout) number() error {
	const unknown, open = 0, leftOut - 1
	type step struct {
		pos     uint32
		parents []uint32 // not looked at yet
	}
	l.levels, l.corrected = make([]uint32, len(l.order)), make([]int64, len(l.order))
	var path []step
	for start := range l.levels {
		if l.levels[start] != unknown {
			continue
		}
		path = append(path[:0], step{uint32(start), l.parentsOf(uint32(start))})
		for len(path) > 0 {
			top := &path[len(path)-1]
			l.levels[top.pos] = open
			if len(top.parents) == 0 {
				l.numberOne(top.pos)
				path = path[:len(path)-1]
				continue
			}
			p := top.parents[0]
			top.parents = top.parents[1:]
			switch {
			case p == absent:
			case l.levels[p] == open:
				return fmt.Errorf("commit-graph: commit %x is its own ancestor", l.b.id(l.order[p]))
			case l.levels[p] == unknown:
				path = append(path, step{p, l.parentsOf(p)})
			}
		}
	}
	return nil
}

// numberOne gives a commit its numbers, those of its parents being known.
func (l *layout) numberOne(pos uint32) {
	date := l.date(pos)
	level, corrected := uint32(0), int64(0)
	for _, p := range l.parentsOf(pos) {
		if p == absent || l.levels[p] == leftOut {
			l.levels[pos] = leftOut
			return
		}
		level, corrected = max(level, l.levels[p]), max(corrected, l.corrected[p])
	}
	if date < 0 || date >= 1<<dateBits {
		l.levels[pos] = leftOut
		return
	}
	l.levels[pos] = min(level+1, maxLevel)
	l.corrected[pos] = max(date, corrected+1)
}

// dropLeftOut moves the commits that stay together. Their parents stay too.
func (l *layout) dropLeftOut() {
	moved := make([]uint32, len(l.order))
	kept := &layout{b: l.b}
	for pos := range l.order {
		moved[pos] = uint32(len(kept.order))
		if l.levels[pos] != leftOut {
			kept.order = append(kept.order, l.order[pos])
			kept.levels = append(kept.levels, l.levels[pos])
			kept.corrected = append(kept.corrected, l.corrected[pos])
		}
	}
	for pos := range l.order {
		if l.levels[pos] == leftOut {
			continue
		}
		for _, p := range l.parentsOf(uint32(pos)) {
			kept.parents = append(kept.parents, moved[p])
		}
		kept.parentEnds = append(kept.parentEnds, uint64(len(kept.parents)))
	}
	*l = *kept
}

func (l *layout) write(out *fileWriter) {
	chunks := l.chunks()
	out.bytes([]byte(magic))
	out.bytes([]byte{hashVersion(l.b.format), byte(len(chunks)), 0})
	offset := uint64(headerSize + (len(chunks)+1)*tableEntry)
	for _, c := range chunks {
		out.bytes([]byte(c.id))
		out.u64(offset)
		offset += c.size
	}
	out.u32(0)
	out.u64(offset)
	for _, c := range chunks {
		c.write(out)
	}
}

type chunk struct {
	id    string
	size  uint64
	write func(*fileWriter)
}

// chunks are the parts of the file, those without content left out.
func (l *layout) chunks() []chunk {
	n, size := uint64(len(l.order)), uint64(l.b.format.Size())
	var edges, overflows, filters uint64
	for pos := range l.order {
		if p := len(l.parentsOf(uint32(pos))); p > 2 {
			edges += uint64(p - 1)
		}
		if l.offset(pos) >= farOffset {
			overflows++
		}
		filters += uint64(len(l.filter(pos)))
	}
	all := []chunk{
		{chunkFanout, fanoutSize, l.writeFanout},
		{chunkIDs, n * size, l.writeIDs},
		{chunkData, n * (size + linkSize), l.writeData},
		{chunkGenerations, n * 4, l.writeGenerations},
		{chunkOverflows, overflows * 8, l.writeOverflows},
		{chunkEdges, edges * 4, l.writeEdges},
		{chunkFilterEnds, n * 4, l.writeFilterEnds},
		{chunkFilters, bloomHeaderSize + filters, l.writeFilters},
	}
	return slices.DeleteFunc(all, func(c chunk) bool {
		return c.size == 0 && (c.id == chunkOverflows || c.id == chunkEdges)
	})
}

// offset is how much later than the date the corrected date is.
func (l *layout) offset(pos int) uint64 { return uint64(l.corrected[pos] - l.date(uint32(pos))) }

// filter is the filter of a commit: one of any changes if it was given none.
func (l *layout) filter(pos int) []byte {
	start, end := span(l.b.filterEnds, l.order[pos])
	if start == end {
		return TooManyPaths.bits
	}
	return l.b.filters[start:end]
}

func (l *layout) writeFanout(out *fileWriter) {
	pos := 0
	for first := range 256 {
		for pos < len(l.order) && int(l.b.id(l.order[pos])[0]) <= first {
			pos++
		}
		out.u32(uint32(pos))
	}
}

func (l *layout) writeIDs(out *fileWriter) {
	for _, c := range l.order {
		out.bytes(l.b.id(c))
	}
}

func (l *layout) writeData(out *fileWriter) {
	edges := uint32(0)
	for pos, c := range l.order {
		out.bytes(slot(l.b.trees, l.b.format.Size(), int(c)))
		first, second := uint32(noParent), uint32(noParent)
		parents := l.parentsOf(uint32(pos))
		switch len(parents) {
		case 0:
		case 1:
			first = parents[0]
		case 2:
			first, second = parents[0], parents[1]
		default:
			first, second = parents[0], moreParents|edges
			edges += uint32(len(parents) - 1)
		}
		out.u32(first)
		out.u32(second)
		out.u64(uint64(l.levels[pos])<<dateBits | uint64(l.date(uint32(pos))))
	}
}

func (l *layout) writeGenerations(out *fileWriter) {
	overflows := uint32(0)
	for pos := range l.order {
		offset := l.offset(pos)
		if offset >= farOffset {
			offset = uint64(farOffset | overflows)
			overflows++
		}
		out.u32(uint32(offset))
	}
}

func (l *layout) writeOverflows(out *fileWriter) {
	for pos := range l.order {
		if offset := l.offset(pos); offset >= farOffset {
			out.u64(offset)
		}
	}
}

func (l *layout) writeEdges(out *fileWriter) {
	for pos := range l.order {
		parents := l.parentsOf(uint32(pos))
		if len(parents) < 3 {
			continue
		}
		for i, p := range parents[1:] {
			if i == len(parents)-2 {
				p |= lastParent
			}
			out.u32(p)
		}
	}
}

func (l *layout) writeFilterEnds(out *fileWriter) {
	end := 0
	for pos := range l.order {
		end += len(l.filter(pos))
		out.u32(uint32(end))
	}
}

func (l *layout) writeFilters(out *fileWriter) {
	version := uint32(signedHash)
	if l.b.wide {
		version = unsignedHash
	}
	out.u32(version)
	out.u32(filterHashes)
	out.u32(bitsPerPath)
	for pos := range l.order {
		out.bytes(l.filter(pos))
	}
}

// fileWriter writes numbers; its first error stays in the bufio.Writer.
type fileWriter struct {
	w    *bufio.Writer
	hash hash.Hash
	buf  [8]byte
}

func (f *fileWriter) bytes(b []byte) { _, _ = f.w.Write(b) }
func (f *fileWriter) u32(v uint32)   { f.bytes(binary.BigEndian.AppendUint32(f.buf[:0], v)) }
func (f *fileWriter) u64(v uint64)   { f.bytes(binary.BigEndian.AppendUint64(f.buf[:0], v)) }
