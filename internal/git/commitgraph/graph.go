package commitgraph

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"

	"github.com/cairn-storage/cairn/internal/git"
)

// ErrMalformed is in the chain of every error about bytes that are no valid
// commit-graph.
var ErrMalformed = errors.New("malformed commit-graph")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// The sizes and values of the format.
const (
	magic       = "CGPH\x01" // and the version
	headerSize  = 8
	tableEntry  = 12
	fanoutSize  = 256 * 4
	linkSize    = 16 // of a commit's data after its tree
	noParent    = 0x70000000
	moreParents = 1 << 31 // the rest is a position in the extra edges
	lastParent  = 1 << 31 // ends the extra edges of a commit
	farOffset   = 1 << 31 // the rest is a position in the overflows
	maxCommits  = noParent - 1
	maxLevel    = 1<<30 - 1
	dateBits    = 34
)

// The chunks, in the order in which git writes them.
const (
	chunkFanout      = "OIDF"
	chunkIDs         = "OIDL"
	chunkData        = "CDAT"
	chunkGenerations = "GDA2"
	chunkOverflows   = "GDO2"
	chunkEdges       = "EDGE"
	chunkFilterEnds  = "BIDX"
	chunkFilters     = "BDAT"
)

// Graph is a commit-graph file over bytes that it does not copy. Commits are
// named by their position in the order of their ids. Safe for concurrent use.
type Graph struct {
	format      git.ObjectFormat
	data        []byte
	n           int
	fanout      []byte
	ids         []byte
	commits     []byte
	generations []byte // nil: only topological levels
	overflows   []byte
	edges       []byte

	filterEnds    []byte // nil: no filters
	filters       []byte
	filterVersion uint32
	filterHashes  uint32
}

// Commit is what the file says of a commit.
type Commit struct {
	Tree    git.ObjectID
	Parents []int // positions
	Date    int64 // the committer's, in Unix seconds

	// Level is the topological level: one more than the greatest of the
	// parents', 1 without parents.
	Level uint32
	// CorrectedDate is Date, or one more than the greatest of the parents' if
	// that is later; 0 in files of git before 2.36, which have none.
	CorrectedDate int64
}

// Parse checks the structure of a file, so that no later call can go out of
// bounds, and that every commit has a generation number: four bytes of each
// commit are read. It keeps data, which must not change. Whether the content is
// true, Verify says as far as the file alone can tell.
func Parse(f git.ObjectFormat, data []byte) (*Graph, error) {
	size := f.Size()
	if len(data) < headerSize+tableEntry+size || string(data[:len(magic)]) != magic {
		return nil, malformed("not a commit-graph, version 1")
	}
	switch {
	case data[5] != hashVersion(f):
		return nil, malformed("commits are not named by %s", f)
	case data[7] != 0:
		return nil, malformed("the file is a part of a chain")
	}
	chunks, err := readChunks(data[:len(data)-size], int(data[6]))
	if err != nil {
		return nil, err
	}
	g := &Graph{format: f, data: data, fanout: chunks[chunkFanout]}
	if len(g.fanout) != fanoutSize {
		return nil, malformed("fan-out of %d bytes", len(g.fanout))
	}
	last := uint32(0)
	for i := range 256 {
		v := be32(g.fanout, i)
		if v < last {
			return nil, malformed("fan-out goes down")
		}
		last = v
	}
	if last > maxCommits {
		return nil, malformed("%d commits", last)
	}
	g.n = int(last)
	exact := func(id string, each int) []byte {
		c := chunks[id]
		if err == nil && int64(len(c)) != int64(each)*int64(g.n) {
			err = malformed("chunk %s has %d bytes for %d commits", id, len(c), g.n)
		}
		return c
	}
	g.ids = exact(chunkIDs, size)
	g.commits = exact(chunkData, size+linkSize)
	g.edges, g.overflows = chunks[chunkEdges], chunks[chunkOverflows]
	if _, ok := chunks[chunkGenerations]; ok {
		g.generations = exact(chunkGenerations, 4)
	}
	if filters, ok := chunks[chunkFilters]; ok && len(filters) >= bloomHeaderSize {
		g.filterVersion, g.filterHashes = be32(filters, 0), be32(filters, 1)
		known := g.filterVersion == signedHash || g.filterVersion == unsignedHash
		if _, ok := chunks[chunkFilterEnds]; ok && known && g.filterHashes > 0 && g.filterHashes <= maxHashes {
			g.filters, g.filterEnds = filters[bloomHeaderSize:], exact(chunkFilterEnds, 4)
		}
	}
	if err == nil {
		err = g.checkGenerations()
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// checkGenerations holds the corrected dates to being in the file and in range.
func (g *Graph) checkGenerations() error {
	for i := range len(g.generations) / 4 {
		offset := be32(g.generations, i)
		if offset&farOffset == 0 {
			continue
		}
		at := int(offset &^ farOffset)
		if at >= len(g.overflows)/8 || binary.BigEndian.Uint64(g.overflows[8*at:]) > math.MaxInt64-1<<dateBits {
			return malformed("corrected date of commit %s", g.ID(i))
		}
	}
	return nil
}

// readChunks reads the table of n chunks that follows the header.
func readChunks(data []byte, n int) (map[string][]byte, error) {
	table := data[headerSize:]
	end := headerSize + (n+1)*tableEntry
	if len(data) < end {
		return nil, malformed("too short for its %d chunks", n)
	}
	chunks := make(map[string][]byte, n)
	start := binary.BigEndian.Uint64(table[4:])
	if start < uint64(end) {
		return nil, malformed("the first chunk lies in the table")
	}
	for range n {
		id := string(table[:4])
		table = table[tableEntry:]
		next := binary.BigEndian.Uint64(table[4:])
		if _, ok := chunks[id]; ok || id == "\x00\x00\x00\x00" || next < start || next > uint64(len(data)) {
			return nil, malformed("chunk %q from %d to %d", id, start, next)
		}
		chunks[id] = data[start:next:next]
		start = next
	}
	if binary.BigEndian.Uint32(table) != 0 {
		return nil, malformed("the table of chunks does not end")
	}
	return chunks, nil
}

// hashVersion is how the file names the format.
func hashVersion(f git.ObjectFormat) byte {
	if f == git.SHA256 {
		return 2
	}
	return 1
}

// newChecksum returns the hash of the file's trailer. It guards against
// accidents only, so collision detection would be lost on it.
func newChecksum(f git.ObjectFormat) hash.Hash {
	if f == git.SHA256 {
		return sha256.New()
	}
	return sha1.New()
}

// be32 reads the i-th number of a list.
func be32(list []byte, i int) uint32 { return binary.BigEndian.Uint32(list[4*i:]) }

// Len returns the number of commits.
func (g *Graph) Len() int { return g.n }

// Format returns the format of the ids.
func (g *Graph) Format() git.ObjectFormat { return g.format }

// ID returns the id of the commit at a position, 0 <= pos < Len.
func (g *Graph) ID(pos int) git.ObjectID {
	id, _ := git.ObjectIDFromBytes(g.rawID(pos))
	return id
}

func (g *Graph) rawID(pos int) []byte {
	size := g.format.Size()
	return g.ids[pos*size : (pos+1)*size]
}

// Find returns the position of a commit; false if the file does not have it.
func (g *Graph) Find(id git.ObjectID) (pos int, ok bool) {
	if id.Format() != g.format {
		return 0, false
	}
	raw, prefix := id.Bytes(), id.Prefix()
	lo, hi := g.bucket(raw[0])
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		at := g.rawID(mid)
		// Ids are hashes: their first eight bytes nearly always decide.
		switch p := binary.BigEndian.Uint64(at); {
		case p < prefix:
			lo = mid + 1
			continue
		case p > prefix:
			hi = mid
			continue
		}
		switch c := bytes.Compare(at, raw); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}

// bucket returns the positions of the ids that start with the byte.
func (g *Graph) bucket(first byte) (lo, hi int) {
	if first > 0 {
		lo = int(be32(g.fanout, int(first)-1))
	}
	return lo, int(be32(g.fanout, int(first)))
}

// record is the part of a commit's data that follows its tree: two parents,
// level and date.
func (g *Graph) record(pos int) []byte {
	size := g.format.Size()
	return g.commits[pos*(size+linkSize)+size : (pos+1)*(size+linkSize)]
}

func (g *Graph) tree(pos int) git.ObjectID {
	size := g.format.Size()
	start := pos * (size + linkSize)
	id, _ := git.ObjectIDFromBytes(g.commits[start : start+size])
	return id
}

func recordDate(r []byte) int64 {
	return int64(binary.BigEndian.Uint64(r[8:]) & (1<<dateBits - 1))
}

// Commit returns the commit at a position, 0 <= pos < Len. It fails if what the
// file says of it names no commit.
func (g *Graph) Commit(pos int) (Commit, error) {
	r := g.record(pos)
	c := Commit{Tree: g.tree(pos), Date: recordDate(r), Level: be32(r, 2) >> 2}
	if g.generations != nil {
		c.CorrectedDate = g.correctedDate(pos)
	}
	err := g.eachParent(pos, func(parent int) { c.Parents = append(c.Parents, parent) })
	return c, err
}

// Links returns what a walk needs of the commit at a position, 0 <= pos < Len.
func (g *Graph) Links(pos int) (git.CommitLinks, error) {
	l := git.CommitLinks{Tree: g.tree(pos), Date: recordDate(g.record(pos))}
	err := g.eachParent(pos, func(parent int) { l.Parents = append(l.Parents, g.ID(parent)) })
	return l, err
}

// eachParent calls f with each parent's position, which is within bounds.
func (g *Graph) eachParent(pos int, f func(parent int)) error {
	r := g.record(pos)
	first, second := be32(r, 0), be32(r, 1)
	if first == noParent {
		return nil
	}
	if int64(first) >= int64(g.n) {
		return malformed("commit %s has a parent that is not in the file", g.ID(pos))
	}
	f(int(first))
	switch {
	case second == noParent:
		return nil
	case second&moreParents == 0:
		if int64(second) >= int64(g.n) {
			return malformed("commit %s has a parent that is not in the file", g.ID(pos))
		}
		f(int(second))
		return nil
	}
	for i := int(second &^ moreParents); i < len(g.edges)/4; i++ {
		edge := be32(g.edges, i)
		parent := edge &^ lastParent
		if int64(parent) >= int64(g.n) {
			return malformed("commit %s has a parent that is not in the file", g.ID(pos))
		}
		f(int(parent))
		if edge&lastParent != 0 {
			return nil
		}
	}
	return malformed("the parents of commit %s do not end", g.ID(pos))
}

func (g *Graph) correctedDate(pos int) int64 {
	date, offset := recordDate(g.record(pos)), uint64(be32(g.generations, pos))
	if offset&farOffset != 0 {
		offset = binary.BigEndian.Uint64(g.overflows[8*int(offset&^farOffset):])
	}
	return date + int64(offset)
}

// Generation returns a number of the commit at a position, 0 <= pos < Len, that
// is greater than those of all its ancestors: the corrected date, or the
// topological level in a file without those. Numbers of different files do not
// compare.
func (g *Graph) Generation(pos int) int64 {
	if g.generations == nil {
		return int64(be32(g.record(pos), 2) >> 2)
	}
	return g.correctedDate(pos)
}

// Verify reads the whole file: its checksum, the order of its ids, the parents
// and that the generation numbers rise from parents to children.
func (g *Graph) Verify() error {
	size := g.format.Size()
	h := newChecksum(g.format)
	h.Write(g.data[:len(g.data)-size])
	if !bytes.Equal(h.Sum(nil), g.data[len(g.data)-size:]) {
		return malformed("wrong checksum")
	}
	for pos := range g.n {
		if lo, hi := g.bucket(g.rawID(pos)[0]); pos < lo || pos >= hi {
			return malformed("fan-out is wrong")
		}
		if pos > 0 && bytes.Compare(g.rawID(pos-1), g.rawID(pos)) >= 0 {
			return malformed("ids are not sorted")
		}
		c, err := g.Commit(pos)
		if err != nil {
			return err
		}
		for _, p := range c.Parents {
			parent, err := g.Commit(p)
			if err != nil {
				return err
			}
			if c.Level <= parent.Level && c.Level < maxLevel || g.generations != nil && c.CorrectedDate <= parent.CorrectedDate {
				return malformed("generation of commit %s is not above that of its parent %s", g.ID(pos), g.ID(p))
			}
		}
		if _, ok := g.Filter(pos); g.filterEnds != nil && !ok {
			return malformed("commit %s has no filter", g.ID(pos))
		}
	}
	return nil
}
