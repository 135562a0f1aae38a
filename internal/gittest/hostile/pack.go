package hostile

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"math"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// The kinds of pack entry that are no whole objects.
const (
	ofsDelta = 6
	refDelta = 7
)

const headerSize = 12

// pack is a pack that is written entry by entry. It checks nothing.
type pack struct {
	body  []byte // what follows the header
	count uint32
}

// at is the offset at which the next entry starts.
func (p *pack) at() int64 { return headerSize + int64(len(p.body)) }

// entry writes an entry that claims a size, whatever its zlib stream holds.
func (p *pack) entry(kind byte, size uint64, base, stream []byte) {
	c := kind<<4 | byte(size&15)
	for size >>= 4; size != 0; size >>= 7 {
		p.body = append(p.body, c|0x80)
		c = byte(size & 0x7f)
	}
	p.body = append(append(append(p.body, c), base...), stream...)
	p.count++
}

// object writes a whole object and returns its id.
func (p *pack) object(t git.ObjectType, data []byte) git.ObjectID {
	p.entry(byte(t), uint64(len(data)), nil, deflate(data))
	return idOf(t, data)
}

func (p *pack) blob(data string) git.ObjectID { return p.object(git.BlobObject, []byte(data)) }

// tree writes a tree of entries as they are given, in any order.
func (p *pack) tree(entries ...git.TreeEntry) git.ObjectID {
	return p.object(git.TreeObject, git.EncodeTree(entries))
}

const author = "A <a@example.com> 1700000000 +0000"

func commitBytes(tree git.ObjectID, message string, parents ...git.ObjectID) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, parent := range parents {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", author, author, message)
	return b.Bytes()
}

func (p *pack) commit(tree git.ObjectID, message string, parents ...git.ObjectID) git.ObjectID {
	return p.object(git.CommitObject, commitBytes(tree, message, parents...))
}

func (p *pack) tag(target git.ObjectID, t git.ObjectType, name string) git.ObjectID {
	return p.object(git.TagObject, fmt.Appendf(nil, "object %s\ntype %s\ntag %s\ntagger %s\n\nx\n", target, t, name, author))
}

// delta writes a delta on an object that is named by its id.
func (p *pack) delta(base git.ObjectID, d delta) {
	p.entry(refDelta, uint64(len(d)), base.Bytes(), deflate(d))
}

// deltaBack writes a delta on the entry that starts so many bytes before.
func (p *pack) deltaBack(distance uint64, d delta) {
	p.entry(ofsDelta, uint64(len(d)), distanceBytes(distance), deflate(d))
}

func distanceBytes(distance uint64) []byte {
	b := []byte{byte(distance & 0x7f)}
	for distance >>= 7; distance != 0; distance >>= 7 {
		distance--
		b = append([]byte{0x80 | byte(distance&0x7f)}, b...)
	}
	return b
}

// bytes returns the pack.
func (p *pack) bytes() []byte { return p.claiming(p.count) }

// claiming returns the pack with a number of objects in its header that need
// not be true.
func (p *pack) claiming(count uint32) []byte { return seal(append(packHeader(count), p.body...)) }

func packHeader(count uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK"), 2)
	return binary.BigEndian.AppendUint32(b, count)
}

// seal appends the checksum that belongs there.
func seal(b []byte) []byte {
	sum := sha1.Sum(b)
	return append(b[:len(b):len(b)], sum[:]...)
}

func idOf(t git.ObjectType, data []byte) git.ObjectID {
	id, err := git.HashObject(git.SHA1, t, data)
	if err != nil {
		panic(err) // no case holds a collision
	}
	return id
}

// deflate returns the zlib stream of data. That of little data is stored: to
// compress it would only take time.
func deflate(data []byte) []byte {
	const little = 1 << 10
	if len(data) <= little {
		return stored(data, little)
	}
	w := deflaters.Get().(*zlib.Writer)
	defer deflaters.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	_, _ = w.Write(data) // neither fails on a buffer
	_ = w.Close()
	return b.Bytes()
}

var deflaters = sync.Pool{New: func() any {
	w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed) // the level is in range
	return w
}}

// zeros returns the zlib stream of n mebibytes of zeros, made without making
// them: the same deflate block over and over.
func zeros(mebibytes int) []byte {
	const mebibyte = 1 << 20
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.BestCompression)
	_, _ = w.Write(make([]byte, mebibyte))
	_ = w.Flush()
	const zlibHeader = 2
	block := b.Bytes()[zlibHeader:]
	stream := append(bytes.Clone(b.Bytes()[:zlibHeader]), bytes.Repeat(block, mebibytes)...)
	stream = append(stream, 1, 0, 0, 0xff, 0xff) // the last block, empty and stored
	const adlerBase = 65521
	return binary.BigEndian.AppendUint32(stream, uint32(int64(mebibytes)*mebibyte%adlerBase)<<16|1)
}

// stored returns a zlib stream of stored blocks of so many bytes each.
func stored(data []byte, size int) []byte {
	stream := []byte{0x78, 0x01}
	for start := 0; start < len(data); start += size {
		block := data[start:min(start+size, len(data))]
		stream = append(stream, 0)
		stream = binary.LittleEndian.AppendUint16(stream, uint16(len(block)))
		stream = binary.LittleEndian.AppendUint16(stream, ^uint16(len(block)))
		stream = append(stream, block...)
	}
	stream = append(stream, 1, 0, 0, 0xff, 0xff)
	return binary.BigEndian.AppendUint32(stream, adler32.Checksum(data))
}

// delta is a delta's instructions after the two sizes that start it.
type delta []byte

func newDelta(base, result uint64) delta {
	return binary.AppendUvarint(binary.AppendUvarint(nil, base), result)
}

// copy appends the instruction to copy n bytes, at most 16 MiB, of the base.
func (d delta) copy(off uint32, n int) delta {
	op := len(d)
	d = append(d, 0x80)
	for i := range 4 {
		if b := byte(off >> (8 * i)); b != 0 {
			d[op] |= 1 << i
			d = append(d, b)
		}
	}
	if n == math.MaxUint16+1 {
		return d // without a size it is 64 KiB
	}
	for i := range 3 {
		if b := byte(n >> (8 * i)); b != 0 {
			d[op] |= 0x10 << i
			d = append(d, b)
		}
	}
	return d
}

// insert appends the instruction to insert at most 127 bytes.
func (d delta) insert(data string) delta { return append(append(d, byte(len(data))), data...) }
