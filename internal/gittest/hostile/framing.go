package hostile

import (
	"bytes"
	"math"

	"github.com/cairn-storage/cairn/internal/git"
)

// small is a good pack: a commit with one file and a delta.
func small() (*pack, git.ObjectID) {
	p := &pack{}
	first := p.blob("one line\n")
	p.delta(first, newDelta(9, 18).copy(0, 9).copy(0, 9))
	second := idOf(git.BlobObject, []byte("one line\none line\n"))
	tree := p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "a", ID: first}, git.TreeEntry{Mode: git.ModeFile, Name: "b", ID: second})
	return p, p.commit(tree, "small")
}

// framing is what lies about the pack as a whole.
func framing() []Case {
	cut := func(keep func(whole, body int) int) func() Push {
		return func() Push {
			p, tip := small()
			whole := p.bytes()
			return Push{whole[:keep(len(whole), len(p.body))], tip}
		}
	}
	changed := func(change func(pack []byte) []byte) func() Push {
		return func() Push {
			p, tip := small()
			return Push{change(p.bytes()), tip}
		}
	}
	claiming := func(change func(count uint32) uint32) func() Push {
		return func() Push {
			p, tip := small()
			return Push{p.claiming(change(p.count)), tip}
		}
	}
	return []Case{
		{Name: "count-4294967295", Why: "memory is allocated by what the header claims", Reason: "objects 4294967295 is over the limit", Setting: "max-pack-objects",
			Make: claiming(func(uint32) uint32 { return math.MaxUint32 })},
		{Name: "count-999999", Why: "the same, within the limit", Reason: "object 4 of 999999",
			Make: claiming(func(uint32) uint32 { return Objects - 1 })},
		{Name: "count-one-too-many", Why: "the trailer is read as an object", Reason: "of 5: malformed pack", Make: claiming(func(n uint32) uint32 { return n + 1 })},
		{Name: "count-one-too-few", Why: "an object is read as the trailer", Reason: "bytes after the trailer", Make: claiming(func(n uint32) uint32 { return n - 1 })},
		{Name: "count-zero", Why: "all objects are read as the trailer", Reason: "bytes after the trailer", Make: claiming(func(uint32) uint32 { return 0 })},
		{Name: "trailing-garbage", Why: "what follows is stored, or taken for another pack", Reason: "bytes after the trailer",
			Make: changed(func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) })},
		{Name: "trailing-pack", Why: "the same, with a second pack", Reason: "bytes after the trailer",
			Make: changed(func(b []byte) []byte { return append(b, b...) })},
		{Name: "wrong-trailer", Why: "damage on the way is stored for good", Reason: "checksum of the pack is wrong",
			Make: changed(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{Name: "version-9", Why: "a format that nobody knows", Reason: "pack of version 9",
			Make: changed(func(b []byte) []byte { b[7] = 9; return b })},
		{Name: "not-a-pack", Why: "any bytes at all", Reason: "no pack signature",
			Make: func() Push { return broken(bytes.Repeat([]byte("hello, pack "), 100_000)) }},
		{Name: "truncated-header", Why: "reads past the end", Reason: "cut off", Make: cut(func(_, _ int) int { return 7 })},
		{Name: "truncated-entry", Why: "reads past the end", Reason: "malformed pack", Make: cut(func(_, _ int) int { return headerSize + 3 })},
		{Name: "truncated-between", Why: "a shorter pack is taken for the whole", Reason: "malformed pack",
			Make: func() Push {
				p := &pack{}
				id := p.blob("alone\n")
				return Push{append(packHeader(2), p.body...), id}
			}},
		{Name: "truncated-stream", Why: "reads past the end", Reason: "malformed pack", Make: cut(func(_, body int) int { return headerSize + body - 9 })},
		{Name: "truncated-trailer", Why: "reads past the end", Reason: "cut off", Make: cut(func(whole, _ int) int { return whole - 7 })},
		{Name: "no-trailer", Why: "reads past the end", Reason: "cut off", Make: cut(func(whole, _ int) int { return whole - 20 })},
		{Name: "nothing", Why: "reads past the end", Reason: "cut off", Make: cut(func(_, _ int) int { return 0 })},
		{Name: "type-0", Why: "a kind of entry that does not exist", Reason: "unknown type 0",
			Make: making(func(p *pack) git.ObjectID { p.entry(0, 1, nil, deflate([]byte("x"))); return absent })},
		{Name: "type-5", Why: "a kind of entry that is reserved", Reason: "unknown type 5",
			Make: making(func(p *pack) git.ObjectID { p.entry(5, 1, nil, deflate([]byte("x"))); return absent })},
		{Name: "pack-too-large", Why: "the disk is filled", Reason: "pack size", Setting: "max-pack-size",
			Make: making(func(p *pack) git.ObjectID {
				data := make([]byte, PackSize)
				p.entry(byte(git.BlobObject), uint64(len(data)), nil, stored(data, math.MaxUint16))
				return absent
			})},
	}
}
