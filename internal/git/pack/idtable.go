package pack

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// idTable is a set of object ids that numbers them in the order they came: a
// flat array of ids and a hash table of numbers, a third of what a map takes.
type idTable struct {
	size  int // of an id
	seed  uint64
	ids   []byte
	slots []uint32 // 1 + number; 0 if free; a power of two of them
}

func newIDTable(size int) idTable {
	return idTable{size: size, seed: maphash.Bytes(maphash.MakeSeed(), nil) | 1}
}

func (t *idTable) len() int { return len(t.ids) / t.size }

func (t *idTable) id(i int) []byte { return t.ids[i*t.size : (i+1)*t.size] }

// slot returns where the id is or belongs.
func (t *idTable) slot(raw []byte) int {
	mask := uint64(len(t.slots) - 1)
	h := (binary.LittleEndian.Uint64(raw) ^ t.seed) * 0x9e3779b97f4a7c15
	for i := h >> 20 & mask; ; i = (i + 1) & mask {
		if n := t.slots[i]; n == 0 || bytes.Equal(t.id(int(n-1)), raw) {
			return int(i)
		}
	}
}

// find returns the number of an id.
func (t *idTable) find(raw []byte) (int, bool) {
	if len(t.slots) == 0 || len(raw) != t.size {
		return 0, false
	}
	n := t.slots[t.slot(raw)]
	return int(n) - 1, n != 0
}

// add numbers an id that the table does not have.
func (t *idTable) add(raw []byte) {
	if n := t.len(); 4*(n+1) > 3*len(t.slots) {
		t.slots = make([]uint32, max(16, 2*len(t.slots)))
		for i := range n {
			t.slots[t.slot(t.id(i))] = uint32(i + 1)
		}
	}
	s := t.slot(raw)
	t.ids = append(t.ids, raw...)
	t.slots[s] = uint32(t.len())
}

// truncate forgets all ids but the first n. What was added last was the last
// to look for a free slot, so taking ids out in that order breaks no search.
func (t *idTable) truncate(n int) {
	for i := t.len() - 1; i >= n; i-- {
		t.slots[t.slot(t.id(i))] = 0
		t.ids = t.ids[:i*t.size]
	}
}
