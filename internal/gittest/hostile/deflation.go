package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

const blobKind = byte(git.BlobObject)

// deflation is what lies in or about zlib streams.
func deflation() []Case {
	claims := func(size uint64, stream func() []byte) func() Push {
		return making(func(p *pack) git.ObjectID {
			p.entry(blobKind, size, nil, stream())
			return absent
		})
	}
	ten := func() []byte { return deflate([]byte("0123456789")) }
	changed := func(change func(stream []byte) []byte) func() Push {
		return claims(10, func() []byte { return change(ten()) })
	}
	return []Case{
		{Name: "zlib-bomb", Why: "1 GiB comes of an object that claims 100 bytes", Reason: "longer than its entry claims", Make: claims(100, func() []byte { return zeros(1024) })},
		{Name: "zlib-bomb-large", Why: "the same, where the stream is read piece by piece", Reason: "longer than its entry claims",
			Make: claims(3<<20, func() []byte { return zeros(1024) })},
		{Name: "zlib-bomb-tree", Why: "the same, in an object that is held whole", Reason: "longer than its entry claims",
			Make: making(func(p *pack) git.ObjectID {
				p.entry(byte(git.TreeObject), 3<<20, nil, zeros(1024))
				return absent
			})},
		{Name: "zlib-bombs-honest", Why: "many objects within the limit, 4 GiB together of 4 MB", Reason: "inflated size", Setting: "max-inflated-size",
			Make: making(func(p *pack) git.ObjectID {
				stream := zeros(50)
				for range 80 {
					p.entry(blobKind, 50<<20, nil, stream)
				}
				return absent
			})},
		{Name: "zeros-2GiB", Why: "2 GiB of zeros in 2 MB", Reason: "object size", Setting: "max-object-size",
			Make: claims(2<<30, func() []byte { return zeros(2 << 10) })},
		{Name: "size-too-small", Why: "writes past a buffer", Reason: "malformed pack", Make: claims(9, ten)},
		{Name: "size-too-large", Why: "memory that is not written is read", Reason: "malformed pack", Make: claims(11, ten)},
		{Name: "size-60MiB-of-nothing", Why: "memory is allocated by what the header claims", Reason: "malformed pack", Make: claims(60<<20, ten)},
		{Name: "size-2^59", Why: "the same, by far", Reason: "object size", Setting: "max-object-size", Make: claims(1<<59, ten)},
		{Name: "size-2^63", Why: "a size that turns negative", Reason: "overflows", Make: claims(1<<63, ten)},
		{Name: "size-endless", Why: "a number that never ends", Reason: "overflows",
			Make: making(func(p *pack) git.ObjectID {
				p.body = append(bytes.Repeat([]byte{0xbf}, 1<<20), 0)
				p.count = 1
				return absent
			})},
		{Name: "stream-trailing-bytes", Why: "what follows a stream is hidden in the pack", Reason: "malformed pack",
			Make: changed(func(b []byte) []byte { return append(b, "hidden"...) })},
		{Name: "stream-dictionary", Why: "a preset dictionary that is not there", Reason: "malformed pack",
			Make: changed(func(b []byte) []byte {
				b[0], b[1] = 0x78, 0xbb // the flag, with a right check value
				return b
			})},
		{Name: "stream-bad-checksum", Why: "damage is stored for good", Reason: "malformed pack",
			Make: changed(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{Name: "stream-bad-block", Why: "a kind of block that does not exist", Reason: "malformed pack",
			Make: changed(func(b []byte) []byte { b[2] |= 7; return b })},
		{Name: "stream-never-ends", Why: "4 MiB of deflate blocks that hold nothing", Reason: "malformed pack",
			Make: claims(10, func() []byte {
				return append([]byte{0x78, 0x01}, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 4<<20/5)...)
			})},
		{Name: "stream-never-ends-tree", Why: "the same, in an object that is held whole", Reason: "malformed pack",
			Make: making(func(p *pack) git.ObjectID {
				p.entry(byte(git.TreeObject), 10, nil, append([]byte{0x78, 0x01}, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 4<<20/5)...))
				return absent
			})},
		{Name: "stream-stored-bytes", Why: "a block for each byte: as slow as a stream can be", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				data := []byte(strings.Repeat("0123456789", 100_000))
				p.entry(blobKind, uint64(len(data)), nil, stored(data, 1))
				return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: idOf(git.BlobObject, data)}), "stored")
			})},
		{Name: "stream-nested", Why: "a bomb as the content of a file: it must stay one", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				bomb := p.object(git.BlobObject, zeros(1024))
				return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "bomb.z", ID: bomb}), "nested")
			})},
		{Name: "zeros-60MiB", Why: "60 MiB of zeros in 60 KB, within all limits", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				const size = 60
				p.entry(blobKind, size<<20, nil, zeros(size))
				return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "zeros", ID: zerosID(size)}), "zeros")
			})},
		{Name: "collision", Why: "two files that SHA-1 alone takes for one", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				a, b := Shattered()
				return p.commit(p.tree(
					git.TreeEntry{Mode: git.ModeFile, Name: "a.pdf", ID: p.object(git.BlobObject, a)},
					git.TreeEntry{Mode: git.ModeFile, Name: "b.pdf", ID: p.object(git.BlobObject, b)},
				), "collision")
			})},
		{Name: "same-object-100000-times", Why: "an index with room for what is not there", Reason: "appears twice",
			Make: making(func(p *pack) git.ObjectID {
				stream := deflate(nil)
				for range 100_000 {
					p.entry(blobKind, 0, nil, stream)
				}
				return absent
			})},
		{Name: "tiny-objects", Why: "300,000 objects of three bytes: what a server keeps for each is more than that", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				for i := range uint32(300_000) {
					b := binary.BigEndian.AppendUint32(nil, i)
					p.entry(blobKind, 3, nil, stored(b[1:], 3))
				}
				return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: p.blob("f")}), "tiny")
			})},
	}
}

// zerosID is the id of a blob of that many mebibytes of zeros.
func zerosID(mebibytes int) git.ObjectID {
	h := git.NewHasher(git.SHA1)
	h.Reset(git.BlobObject, int64(mebibytes)<<20)
	piece := make([]byte, 1<<20)
	for range mebibytes {
		h.Write(piece)
	}
	id, err := h.Sum()
	if err != nil {
		panic(fmt.Sprint("zeros collide: ", err))
	}
	return id
}
