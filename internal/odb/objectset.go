package odb

import (
	"math/bits"

	"github.com/cairn-storage/cairn/internal/git"
)

// place is where an object lies in a snapshot: which pack, and the position in
// that pack's index. An object that several packs hold has one place only, in
// the newest of them, so that places can be compared.
type place struct{ pack, pos int }

// place finds an object; false if no pack holds it. The snapshot is loaded.
func (sn *Snapshot) place(id git.ObjectID) (place, bool) {
	for i, p := range sn.packs {
		if pos, ok := p.pack.Index().Find(id); ok {
			return place{i, pos}, true
		}
	}
	return place{}, false
}

func (sn *Snapshot) idAt(at place) git.ObjectID { return sn.packs[at.pack].pack.Index().ID(at.pos) }

// objectSet is a set of a snapshot's objects that takes a bit for each object
// of the packs that it has any of.
type objectSet struct {
	sn    *Snapshot
	words [][]uint64 // by pack
	count []int      // by pack
}

func newObjectSet(sn *Snapshot) *objectSet {
	return &objectSet{sn, make([][]uint64, len(sn.packs)), make([]int, len(sn.packs))}
}

func (s *objectSet) has(at place) bool {
	w := s.words[at.pack]
	return w != nil && w[at.pos/64]&(1<<(at.pos%64)) != 0
}

// add tells whether the object is new to the set.
func (s *objectSet) add(at place) bool {
	w := s.words[at.pack]
	if w == nil {
		w = make([]uint64, (s.sn.packs[at.pack].pack.Index().Len()+63)/64)
		s.words[at.pack] = w
	}
	bit := uint64(1) << (at.pos % 64)
	if w[at.pos/64]&bit != 0 {
		return false
	}
	w[at.pos/64] |= bit
	s.count[at.pack]++
	return true
}

// addAll adds all objects of a pack.
func (s *objectSet) addAll(pack int) {
	n := s.sn.packs[pack].pack.Index().Len()
	words := make([]uint64, (n+63)/64)
	for i := range words {
		words[i] = ^uint64(0)
	}
	if n%64 != 0 {
		words[n/64] = 1<<(n%64) - 1
	}
	s.words[pack], s.count[pack] = words, n
}

// packsOnly tells whether the set has no objects but those of the first n
// packs.
func (s *objectSet) packsOnly(n int) bool {
	for _, count := range s.count[n:] {
		if count > 0 {
			return false
		}
	}
	return true
}

func (s *objectSet) remove(at place) {
	if s.has(at) {
		s.words[at.pack][at.pos/64] &^= 1 << (at.pos % 64)
		s.count[at.pack]--
	}
}

func (s *objectSet) len() int64 {
	var n int64
	for _, c := range s.count {
		n += int64(c)
	}
	return n
}

// each calls f with the positions of one pack in the order of its index.
func (s *objectSet) each(pack int, f func(pos int)) {
	for i, w := range s.words[pack] {
		for ; w != 0; w &= w - 1 {
			f(i*64 + bits.TrailingZeros64(w))
		}
	}
}

// ranks counts the objects of a pack that come before a position, in constant
// time.
type ranks struct {
	words  []uint64
	before []uint32
}

const ranksStep = 8 // words for each number in before

func (s *objectSet) ranks(pack int) ranks {
	r := ranks{words: s.words[pack]}
	n := uint32(0)
	for i, w := range r.words {
		if i%ranksStep == 0 {
			r.before = append(r.before, n)
		}
		n += uint32(bits.OnesCount64(w))
	}
	return r
}

func (r ranks) of(pos int) int {
	word := pos / 64
	start := word / ranksStep * ranksStep
	n := int(r.before[word/ranksStep])
	for _, w := range r.words[start:word] {
		n += bits.OnesCount64(w)
	}
	return n + bits.OnesCount64(r.words[word]&(1<<(pos%64)-1))
}
