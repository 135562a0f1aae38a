package pack

import (
	"github.com/cairn-storage/cairn/internal/git"
)

// Kind is what the header of a pack entry says it holds: an object of one of
// the four types, or a delta.
type Kind uint8

// The kinds of entry, with the values of the format.
const (
	Commit   = Kind(git.CommitObject)
	Tree     = Kind(git.TreeObject)
	Blob     = Kind(git.BlobObject)
	Tag      = Kind(git.TagObject)
	OfsDelta = Kind(6) // the base is an earlier entry, named by distance
	RefDelta = Kind(7) // the base is named by its id
)

// IsDelta tells whether the entry needs a base.
func (k Kind) IsDelta() bool { return k == OfsDelta || k == RefDelta }

// Type returns the type of a whole object; 0 for a delta.
func (k Kind) Type() git.ObjectType {
	if k >= Commit && k <= Tag {
		return git.ObjectType(k)
	}
	return 0
}

// Entry is the header of one pack entry.
type Entry struct {
	Kind       Kind
	Size       int64        // inflated size of what is stored: the object or the delta
	DataOffset int64        // of the zlib stream
	BaseOffset int64        // of an OfsDelta
	BaseID     git.ObjectID // of a RefDelta
}

// Raw is a stored entry whose compressed bytes are to be copied as they are.
type Raw struct {
	Kind Kind
	Size int64        // inflated size, as in Entry
	Base git.ObjectID // of a delta, OfsDelta or RefDelta

	Data     Data // holds the zlib stream at [Off, End)
	Off, End int64
}

const (
	signature  = "PACK"
	headerSize = 12
	// maxEntryHeader bounds a header: a size of 64 bits and a base.
	maxEntryHeader = 10 + 32
	// maxStoredSize bounds what a size varint may claim.
	maxStoredSize = 1 << 60
)

// parseEntry reads the header of the entry at off from b, which holds it whole
// unless the pack ends within it. It returns the header's length.
func parseEntry(f git.ObjectFormat, b []byte, off int64) (Entry, int, error) {
	var e Entry
	truncated := func() (Entry, int, error) { return Entry{}, 0, malformed("truncated entry at offset %d", off) }
	if len(b) == 0 {
		return truncated()
	}
	c := b[0]
	e.Kind = Kind(c >> 4 & 7)
	e.Size = int64(c & 15)
	i := 1
	for shift := 4; c&0x80 != 0; shift += 7 {
		if i == len(b) {
			return truncated()
		}
		c = b[i]
		i++
		if shift > 53 || e.Size|int64(c&0x7f)<<shift >= maxStoredSize {
			return Entry{}, 0, malformed("size of the entry at offset %d overflows", off)
		}
		e.Size |= int64(c&0x7f) << shift
	}
	switch e.Kind {
	case Commit, Tree, Blob, Tag:
	case OfsDelta:
		if i == len(b) {
			return truncated()
		}
		c = b[i]
		i++
		distance := int64(c & 0x7f)
		for c&0x80 != 0 {
			if i == len(b) {
				return truncated()
			}
			if distance >= 1<<48 {
				return Entry{}, 0, malformed("base offset of the entry at offset %d overflows", off)
			}
			c = b[i]
			i++
			distance = (distance+1)<<7 | int64(c&0x7f)
		}
		if distance == 0 || distance > off-headerSize {
			return Entry{}, 0, malformed("delta at offset %d has its base %d bytes before", off, distance)
		}
		e.BaseOffset = off - distance
	case RefDelta:
		if len(b)-i < f.Size() {
			return truncated()
		}
		e.BaseID, _ = git.ObjectIDFromBytes(b[i : i+f.Size()])
		i += f.Size()
	default:
		return Entry{}, 0, malformed("entry at offset %d is of unknown type %d", off, e.Kind)
	}
	e.DataOffset = off + int64(i)
	return e, i, nil
}

// appendHeader appends the kind and the size of an entry.
func appendHeader(b []byte, k Kind, size int64) []byte {
	c := byte(k)<<4 | byte(size&15)
	for size >>= 4; size != 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(b, c)
}

// appendDistance appends how far before the entry its base starts.
func appendDistance(b []byte, distance int64) []byte {
	var tmp [10]byte
	i := len(tmp) - 1
	tmp[i] = byte(distance & 0x7f)
	for distance >>= 7; distance != 0; distance >>= 7 {
		distance--
		i--
		tmp[i] = 0x80 | byte(distance&0x7f)
	}
	return append(b, tmp[i:]...)
}
