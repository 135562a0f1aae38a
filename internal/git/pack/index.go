package pack

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// Index is a pack index, version 2, over bytes that it does not copy. Safe for
// concurrent use.
type Index struct {
	format  git.ObjectFormat
	data    []byte
	n       int
	ids     []byte
	crcs    []byte
	offsets []byte
	large   []byte

	order sync.Once
	byOff []uint32
}

const (
	indexMagic  = "\xfftOc\x00\x00\x00\x02"
	fanoutSize  = 256 * 4
	largeOffset = 1 << 31
)

// ParseIndex checks the structure of an index, in time that does not depend on
// its length, so that no later call can go out of bounds. It keeps data, which
// must not change. Whether the content is true, Verify says.
func ParseIndex(f git.ObjectFormat, data []byte) (*Index, error) {
	size := f.Size()
	if len(data) < len(indexMagic)+fanoutSize+2*size || string(data[:len(indexMagic)]) != indexMagic {
		return nil, malformed("not a pack index, version 2")
	}
	fanout := data[len(indexMagic):]
	last := uint32(0)
	for i := range 256 {
		v := binary.BigEndian.Uint32(fanout[4*i:])
		if v < last {
			return nil, malformed("fan-out of the index goes down")
		}
		last = v
	}
	rest := data[len(indexMagic)+fanoutSize : len(data)-2*size]
	n := int64(last)
	if n*int64(size+8) > int64(len(rest)) {
		return nil, malformed("index is too short for its %d objects", n)
	}
	x := &Index{format: f, data: data, n: int(n)}
	x.ids, rest = rest[:x.n*size], rest[x.n*size:]
	x.crcs, rest = rest[:x.n*4], rest[x.n*4:]
	x.offsets, x.large = rest[:x.n*4], rest[x.n*4:]
	if len(x.large)%8 != 0 || len(x.large)/8 > x.n {
		return nil, malformed("index has %d stray bytes", len(x.large))
	}
	return x, nil
}

// Len returns the number of objects.
func (x *Index) Len() int { return x.n }

// Format returns the format of the ids.
func (x *Index) Format() git.ObjectFormat { return x.format }

// Bytes returns the whole index as it is stored.
func (x *Index) Bytes() []byte { return x.data }

func (x *Index) rawID(pos int) []byte {
	size := x.format.Size()
	return x.ids[pos*size : (pos+1)*size]
}

// ID returns the id at a position, 0 <= pos < Len, in the order of ids.
func (x *Index) ID(pos int) git.ObjectID {
	id, _ := git.ObjectIDFromBytes(x.rawID(pos))
	return id
}

// Offset returns where the entry of the object at pos starts in the pack. A
// lying index gives an offset that no pack has.
func (x *Index) Offset(pos int) int64 {
	v := binary.BigEndian.Uint32(x.offsets[4*pos:])
	if v < largeOffset {
		return int64(v)
	}
	i := int(v &^ largeOffset)
	if i >= len(x.large)/8 {
		return math.MaxInt64
	}
	return int64(binary.BigEndian.Uint64(x.large[8*i:]) & math.MaxInt64)
}

// CRC32 returns the checksum of the stored entry, header included.
func (x *Index) CRC32(pos int) uint32 { return binary.BigEndian.Uint32(x.crcs[4*pos:]) }

// PackChecksum returns the trailer of the pack that the index describes.
func (x *Index) PackChecksum() []byte {
	size := x.format.Size()
	return x.data[len(x.data)-2*size : len(x.data)-size]
}

// bucket returns the positions of the ids that start with the byte.
func (x *Index) bucket(first byte) (lo, hi int) {
	fanout := x.data[len(indexMagic):]
	if first > 0 {
		lo = int(binary.BigEndian.Uint32(fanout[4*(int(first)-1):]))
	}
	return lo, int(binary.BigEndian.Uint32(fanout[4*int(first):]))
}

// Find returns the position of an object.
func (x *Index) Find(id git.ObjectID) (pos int, ok bool) {
	if id.Format() != x.format {
		return 0, false
	}
	return x.find(id.Bytes())
}

func (x *Index) find(raw []byte) (int, bool) {
	size := len(raw)
	lo, hi := x.bucket(raw[0])
	// Ids are hashes: their first eight bytes nearly always decide.
	prefix := binary.BigEndian.Uint64(raw)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		id := x.ids[mid*size : mid*size+size]
		switch p := binary.BigEndian.Uint64(id); {
		case p < prefix:
			lo = mid + 1
			continue
		case p > prefix:
			hi = mid
			continue
		}
		switch c := bytes.Compare(id, raw); {
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

// Prefix returns up to limit of the ids that start with lower-case hexadecimal
// digits, at least two of them; none for any other text.
func (x *Index) Prefix(prefix string, limit int) []git.ObjectID {
	if len(prefix) < 2 || len(prefix) > x.format.HexSize() || strings.ToLower(prefix) != prefix {
		return nil
	}
	low, err := hex.DecodeString(prefix + strings.Repeat("0", x.format.HexSize()-len(prefix)))
	if err != nil {
		return nil
	}
	lo, hi := x.bucket(low[0])
	pos := lo + sort.Search(hi-lo, func(i int) bool { return bytes.Compare(x.rawID(lo+i), low) >= 0 })
	var found []git.ObjectID
	for ; pos < hi && len(found) < limit; pos++ {
		id := x.ID(pos)
		if !strings.HasPrefix(id.String(), prefix) {
			break
		}
		found = append(found, id)
	}
	return found
}

// Suffix returns the ids that end in these bytes. It looks at all.
func (x *Index) Suffix(suffix [16]byte) (ids []git.ObjectID) {
	size := x.format.Size()
	last := binary.NativeEndian.Uint64(suffix[8:])
	for pos, end := 0, size; end <= len(x.ids); pos, end = pos+1, end+size {
		if binary.NativeEndian.Uint64(x.ids[end-8:]) == last && string(x.ids[end-16:end]) == string(suffix[:]) {
			ids = append(ids, x.ID(pos))
		}
	}
	return ids
}

// ByOffset returns the positions of all objects in the order of the pack. It
// is computed at the first call and shared: do not change it.
func (x *Index) ByOffset() []uint32 {
	x.order.Do(func() {
		keys := make([]uint64, x.n)
		large := false
		for i := range keys {
			off := x.Offset(i)
			large = large || off > math.MaxUint32
			keys[i] = uint64(off)<<32 | uint64(i)
		}
		x.byOff = make([]uint32, x.n)
		if large {
			for i := range x.byOff {
				x.byOff[i] = uint32(i)
			}
			slices.SortFunc(x.byOff, func(a, b uint32) int {
				return compare(x.Offset(int(a)), x.Offset(int(b)))
			})
			return
		}
		slices.Sort(keys)
		for i, k := range keys {
			x.byOff[i] = uint32(k)
		}
	})
	return x.byOff
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rank returns the place in ByOffset of the first entry at or after off.
func (x *Index) rank(off int64) int {
	order := x.ByOffset()
	return sort.Search(len(order), func(i int) bool { return x.Offset(int(order[i])) >= off })
}

// At returns the position of the object whose entry starts at off.
func (x *Index) At(off int64) (pos int, ok bool) {
	order := x.ByOffset()
	i := x.rank(off)
	if i == len(order) || x.Offset(int(order[i])) != off {
		return 0, false
	}
	return int(order[i]), true
}

// Verify reads the whole index: its checksum, the order of its ids and the
// fan-out's agreement with them.
func (x *Index) Verify() error {
	size := x.format.Size()
	h := newChecksum(x.format)
	h.Write(x.data[:len(x.data)-size])
	if !bytes.Equal(h.Sum(nil), x.data[len(x.data)-size:]) {
		return malformed("checksum of the index is wrong")
	}
	for pos := range x.n {
		if lo, hi := x.bucket(x.rawID(pos)[0]); pos < lo || pos >= hi {
			return malformed("fan-out of the index is wrong")
		}
		if pos > 0 && bytes.Compare(x.rawID(pos-1), x.rawID(pos)) >= 0 {
			return malformed("index is not sorted")
		}
	}
	return nil
}

// IndexEntry is what an index says of one object.
type IndexEntry struct {
	ID     git.ObjectID
	Offset int64
	CRC32  uint32
}

// EncodeIndex returns the index of a pack, byte for byte as git writes it. It
// sorts entries by id; each id must appear once.
func EncodeIndex(f git.ObjectFormat, entries []IndexEntry, packChecksum []byte) []byte {
	slices.SortFunc(entries, func(a, b IndexEntry) int { return a.ID.Compare(b.ID) })
	return encodeIndex(f, len(entries), packChecksum,
		func(i int) []byte { return entries[i].ID.Bytes() },
		func(i int) int64 { return entries[i].Offset },
		func(i int) uint32 { return entries[i].CRC32 })
}

// encodeIndex writes n objects that are already in the order of their ids.
func encodeIndex(f git.ObjectFormat, n int, packChecksum []byte, id func(int) []byte, offset func(int) int64, crc func(int) uint32) []byte {
	b := make([]byte, 0, len(indexMagic)+fanoutSize+n*(f.Size()+8)+2*f.Size())
	b = append(b, indexMagic...)
	i := 0
	for first := range 256 {
		for i < n && int(id(i)[0]) == first {
			i++
		}
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	for i := range n {
		b = append(b, id(i)...)
	}
	for i := range n {
		b = binary.BigEndian.AppendUint32(b, crc(i))
	}
	var large []byte
	for i := range n {
		off := offset(i)
		if off < largeOffset {
			b = binary.BigEndian.AppendUint32(b, uint32(off))
			continue
		}
		b = binary.BigEndian.AppendUint32(b, largeOffset|uint32(len(large)/8))
		large = binary.BigEndian.AppendUint64(large, uint64(off))
	}
	b = append(b, large...)
	b = append(b, packChecksum...)
	h := newChecksum(f)
	h.Write(b)
	return h.Sum(b)
}

// sortedIndex encodes the index of objects in any order, given as parallel
// arrays, ids flat. It returns ErrDuplicate if an id appears twice.
func sortedIndex(f git.ObjectFormat, ids []byte, offsets []int64, crcs []uint32, packChecksum []byte) ([]byte, error) {
	size := f.Size()
	raw := func(i uint32) []byte { return ids[int(i)*size : int(i)*size+size] }
	order := make([]uint32, len(offsets))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(raw(a), raw(b)) })
	for i := 1; i < len(order); i++ {
		if bytes.Equal(raw(order[i-1]), raw(order[i])) {
			return nil, duplicate(raw(order[i]))
		}
	}
	return encodeIndex(f, len(order), packChecksum,
		func(i int) []byte { return raw(order[i]) },
		func(i int) int64 { return offsets[order[i]] },
		func(i int) uint32 { return crcs[order[i]] }), nil
}
