package hostile

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
)

// deltas is what lies in or about deltas.
func deltas() []Case {
	const text = "0123456789"
	// on writes one delta on a blob of ten bytes.
	on := func(d delta) func() Push {
		return making(func(p *pack) git.ObjectID {
			p.delta(p.blob(text), d)
			return absent
		})
	}
	back := func(distance func(p *pack, first int64) uint64) func() Push {
		return making(func(p *pack) git.ObjectID {
			first := p.at()
			p.blob(text)
			p.deltaBack(distance(p, first), newDelta(10, 1).insert("x"))
			return absent
		})
	}
	return slices.Concat([]Case{
		{Name: "delta-base-size", Why: "copies from beyond the base", Reason: "delta is for a base of 11 bytes, not 10", Make: on(newDelta(11, 1).insert("x"))},
		{Name: "delta-base-size-2^58", Why: "memory is allocated by what a delta claims", Reason: "object size", Setting: "max-object-size", Make: on(newDelta(1<<58, 1).insert("x"))},
		{Name: "delta-result-too-small", Why: "writes past a buffer", Reason: "makes more than the 1 bytes", Make: on(newDelta(10, 1).insert("xy"))},
		{Name: "delta-result-too-large", Why: "memory that is not written is read", Reason: "makes 1 bytes, not the 9", Make: on(newDelta(10, 9).insert("x"))},
		{Name: "delta-result-2^63", Why: "a size that turns negative", Reason: "delta without its sizes", Make: on(newDelta(10, 1<<63).insert("x"))},
		{Name: "delta-sizes-endless", Why: "a number that never ends", Reason: "delta without its sizes", Make: on(bytes.Repeat([]byte{0xff}, 1<<20))},
		{Name: "delta-empty", Why: "reads past the end", Reason: "delta without its sizes", Make: on(nil)},
		{Name: "delta-copy-out-of-range", Why: "reads what is not the base's", Reason: "beyond its base", Make: on(newDelta(10, 5).copy(6, 5))},
		{Name: "delta-copy-far-out", Why: "an offset that overflows", Reason: "beyond its base", Make: on(newDelta(10, 5).copy(0xffffffff, 0xffffff))},
		{Name: "delta-insert-past-end", Why: "reads past the end", Reason: "truncated delta", Make: on(append(newDelta(10, 20), 20, 'x'))},
		{Name: "delta-copy-past-end", Why: "reads past the end", Reason: "truncated delta", Make: on(append(newDelta(10, 1), 0xff, 0))},
		{Name: "delta-reserved", Why: "an instruction that does not exist", Reason: "reserved instruction", Make: on(append(newDelta(10, 1), 0))},

		{Name: "ofs-delta-self", Why: "an object that is its own base", Reason: "base 0 bytes before", Make: back(func(*pack, int64) uint64 { return 0 })},
		{Name: "ofs-delta-before-start", Why: "reads before the pack", Reason: "malformed pack", Make: back(func(p *pack, _ int64) uint64 { return uint64(p.at()) + 1 })},
		{Name: "ofs-delta-header", Why: "the header is read as an object", Reason: "malformed pack", Make: back(func(p *pack, _ int64) uint64 { return uint64(p.at()) })},
		{Name: "ofs-delta-middle", Why: "the inside of an entry is read as another", Reason: "is no entry", Make: back(func(p *pack, first int64) uint64 { return uint64(p.at() - first - 1) })},
		{Name: "ofs-delta-overflow", Why: "an offset that turns negative", Reason: "malformed pack", Make: back(func(*pack, int64) uint64 { return 1<<63 + 5 })},

		{Name: "ref-delta-self", Why: "an object that is its own base", Reason: "base of a delta is missing",
			Make: making(func(p *pack) git.ObjectID {
				id := idOf(git.BlobObject, []byte("x"))
				p.delta(id, newDelta(1, 1).copy(0, 1))
				return id
			})},
		{Name: "ref-delta-cycle", Why: "two deltas that wait for each other", Reason: "base of a delta is missing",
			Make: making(func(p *pack) git.ObjectID {
				x, y := idOf(git.BlobObject, []byte("x")), idOf(git.BlobObject, []byte("y"))
				p.delta(x, newDelta(1, 1).insert("y"))
				p.delta(y, newDelta(1, 1).insert("x"))
				return x
			})},
		{Name: "ref-delta-long-cycle", Why: "the same with 10,000", Reason: "base of a delta is missing",
			Make: making(func(p *pack) git.ObjectID {
				const length = 10_000
				content := func(i int) string { return fmt.Sprintf("%04d", i%length) }
				for i := range length {
					p.delta(idOf(git.BlobObject, []byte(content(i))), newDelta(4, 4).insert(content(i+1)))
				}
				return absent
			})},
		{Name: "ref-delta-missing", Why: "a base that nobody has", Reason: "base of a delta is missing",
			Make: making(func(p *pack) git.ObjectID {
				p.delta(absent, newDelta(1, 1).insert("x"))
				return absent
			})},
		{Name: "ref-delta-100000-missing", Why: "as many questions about bases that nobody has", Reason: "base of a delta is missing",
			Make: making(func(p *pack) git.ObjectID {
				for i := range 100_000 {
					p.delta(idOf(git.BlobObject, fmt.Append(nil, "no ", i)), newDelta(1, 1).insert("x"))
				}
				return absent
			})},
	}, deltaBombs(), duplicates())
}

// deltaBombs is what makes much of little.
func deltaBombs() []Case {
	const piece = 1<<16 - 1
	// times repeats a base and appends a text.
	times := func(n int, text string) delta {
		d := newDelta(piece, uint64(n)*piece+uint64(len(text)))
		for range n {
			d = d.copy(0, piece)
		}
		if text != "" {
			d = d.insert(text)
		}
		return d
	}
	return []Case{
		{Name: "delta-bomb", Why: "15 GiB of a few KB, by copying", Reason: "object size", Setting: "max-object-size",
			Make: making(func(p *pack) git.ObjectID {
				p.delta(p.object(git.BlobObject, make([]byte, piece)), times(250_000, ""))
				return absent
			})},
		{Name: "delta-bombs-within-limit", Why: "the same with objects within the limit", Reason: "inflate ratio",
			Make: making(func(p *pack) git.ObjectID {
				base := p.object(git.BlobObject, make([]byte, piece))
				for i := range 200 {
					p.delta(base, times(1000, fmt.Sprintf("%04d", i)))
				}
				return absent
			})},
		{Name: "delta-chain-doubling", Why: "each delta makes twice its base", Reason: "inflate ratio",
			Make: making(func(p *pack) git.ObjectID {
				at := p.at()
				p.blob("0123456789abcdef")
				for size := uint64(16); size < ObjectSize; size *= 2 {
					d := newDelta(size, 2*size)
					for range 2 {
						for off := uint64(0); off < size; off += 0xffffff {
							d = d.copy(uint32(off), int(min(size-off, 0xffffff)))
						}
					}
					next := p.at()
					p.deltaBack(uint64(next-at), d)
					at = next
				}
				return absent
			})},
		{Name: "delta-depth-100000", Why: "a chain that each read has to follow", Reason: "delta depth",
			Make: making(func(p *pack) git.ObjectID {
				at := p.at()
				p.blob("000000")
				for i := range 100_000 {
					next := p.at()
					p.deltaBack(uint64(next-at), newDelta(6, 6).insert(fmt.Sprintf("%06d", i+1)))
					at = next
				}
				return absent
			})},
		{Name: "delta-depth-100000-backwards", Why: "the same, each base after what is made of it", Reason: "delta depth",
			Make: making(func(p *pack) git.ObjectID {
				content := func(i int) string { return fmt.Sprintf("%06d", i) }
				for i := 100_000; i > 0; i-- {
					p.delta(idOf(git.BlobObject, []byte(content(i-1))), newDelta(6, 6).insert(content(i)))
				}
				p.blob(content(0))
				return absent
			})},
		{Name: "delta-depth-4000", Why: "the longest chain that git follows", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				at := p.at()
				last := fmt.Sprintf("%06d", 0)
				p.blob(last)
				for i := range 4000 {
					next := p.at()
					last = fmt.Sprintf("%06d", i+1)
					p.deltaBack(uint64(next-at), newDelta(6, 6).insert(last))
					at = next
				}
				return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: idOf(git.BlobObject, []byte(last))}), "deep")
			})},
		{Name: "delta-comb", Why: "a chain with one more delta on each link: what is given up must be made again", Verdict: Legal,
			Make: making(comb)},
		{Name: "delta-one-byte-copies", Why: "as many instructions as bytes", Verdict: Legal,
			Make: making(func(p *pack) git.ObjectID {
				const size = 1 << 20
				d := newDelta(256, size)
				base := make([]byte, 256)
				result := make([]byte, size)
				for i := range size {
					d = d.copy(uint32(i%256), 1)
				}
				p.delta(p.object(git.BlobObject, base), d)
				return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: idOf(git.BlobObject, result)}), "copies")
			})},
	}
}

// comb is the tree of deltas that a walk finds hardest.
func comb(p *pack) git.ObjectID {
	const depth, size = 1500, 20_000
	change := func(i int) delta { return newDelta(size, size).insert(fmt.Sprintf("%06d", i)).copy(6, size-6) }
	content := append([]byte(fmt.Sprintf("%06d", 0)), make([]byte, size-6)...)
	at := p.at()
	p.object(git.BlobObject, content)
	for i := 1; i < 2*depth; i += 2 {
		link := p.at()
		p.deltaBack(uint64(link-at), change(i))
		p.deltaBack(uint64(p.at()-at), change(i+1))
		at = link
	}
	copy(content, fmt.Sprintf("%06d", 2*depth))
	return p.commit(p.tree(git.TreeEntry{Mode: git.ModeFile, Name: "f", ID: idOf(git.BlobObject, content)}), "comb")
}

// duplicates is what is in a pack more than once.
func duplicates() []Case {
	return []Case{
		{Name: "twice-whole", Why: "two places for one object", Reason: "appears twice",
			Make: making(func(p *pack) git.ObjectID { p.blob("x"); return p.blob("x") })},
		{Name: "twice-as-delta", Why: "the same, one of them a delta", Reason: "appears twice",
			Make: making(func(p *pack) git.ObjectID {
				x := p.blob("x")
				p.delta(p.blob("y"), newDelta(1, 1).insert("x"))
				return x
			})},
		{Name: "twice-with-deltas", Why: "a delta that has two bases to choose from", Reason: "appears twice",
			Make: making(func(p *pack) git.ObjectID {
				p.blob("x")
				x := p.blob("x")
				for i := range 1000 {
					p.delta(x, newDelta(1, 4).insert(fmt.Sprintf("%04d", i)))
				}
				return x
			})},
	}
}
