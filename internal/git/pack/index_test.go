package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

func idOf(t testing.TB, i int) git.ObjectID { return blobID(t, []byte(fmt.Sprint(i))) }

func TestIndexLargeOffsets(t *testing.T) {
	t.Parallel()
	var entries []IndexEntry
	want := map[git.ObjectID]IndexEntry{}
	for i := range 1000 {
		e := IndexEntry{idOf(t, i), int64(i*7919%1000) << 24, uint32(i)}
		entries = append(entries, e)
		want[e.ID] = e
	}
	data := EncodeIndex(git.SHA1, entries, make([]byte, 20))
	x, err := ParseIndex(git.SHA1, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Verify(); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for i, pos := range x.ByOffset() {
		id, off := x.ID(int(pos)), x.Offset(int(pos))
		if w := want[id]; off != w.Offset || x.CRC32(int(pos)) != w.CRC32 {
			t.Fatalf("%s at %d, want %d", id, off, w.Offset)
		}
		if off <= last {
			t.Fatalf("place %d: %d after %d", i, off, last)
		}
		last = off
		if at, ok := x.At(off); !ok || at != int(pos) {
			t.Fatalf("At(%d) = %d, %v; want %d", off, at, ok, pos)
		}
		if _, ok := x.At(off + 1); ok {
			t.Fatal("At finds an entry where there is none")
		}
	}
	if _, ok := x.Find(idOf(t, 1000)); ok {
		t.Error("Find finds what is not there")
	}
	if _, ok := x.Find(git.ObjectID{}); ok {
		t.Error("Find finds the zero id")
	}

	// An offset that points outside the table of large ones.
	first := len(indexMagic) + fanoutSize + 1000*24
	binary.BigEndian.PutUint32(data[first:], math.MaxUint32)
	if off := x.Offset(0); off != math.MaxInt64 {
		t.Errorf("lying offset gives %d", off)
	}
	if err := x.Verify(); !errors.Is(err, ErrMalformed) {
		t.Errorf("Verify: %v", err)
	}
}

func TestIndexPrefix(t *testing.T) {
	t.Parallel()
	var entries []IndexEntry
	for i := range 2000 {
		entries = append(entries, IndexEntry{idOf(t, i), int64(i) + 12, 0})
	}
	x, err := ParseIndex(git.SHA1, EncodeIndex(git.SHA1, entries, make([]byte, 20)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		for _, n := range []int{2, 3, 4, 7, 39, 40} {
			prefix := idOf(t, i).String()[:n]
			var want []git.ObjectID
			for _, e := range entries {
				if e.ID.String()[:n] == prefix {
					want = append(want, e.ID)
				}
			}
			if got := x.Prefix(prefix, 1000); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("prefix %s: %v, want %v", prefix, got, want)
			}
			if got := x.Prefix(prefix, 1); len(got) != 1 || got[0] != want[0] {
				t.Fatalf("first of prefix %s: %v", prefix, got)
			}
		}
	}
	for _, bad := range []string{"", "a", "AB", "xyz", "0g", idOf(t, 1).String() + "0"} {
		if got := x.Prefix(bad, 10); got != nil {
			t.Errorf("prefix %q: %v", bad, got)
		}
	}
}

func TestPackRefusesAnotherIndex(t *testing.T) {
	t.Parallel()
	a := packOf(t, entry{kind: Blob, data: []byte("a")})
	b := packOf(t, entry{kind: Blob, data: []byte("b")})
	c := packOf(t)
	x, err := ParseIndex(git.SHA1, indexPack(t, a))
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{b, c, a[:len(a)-1], a[:31], nil, append([]byte("KCAP"), a[4:]...)} {
		if _, err := New(git.SHA1, Bytes(data), x); !errors.Is(err, ErrMalformed) {
			t.Errorf("pack of %d bytes: %v", len(data), err)
		}
	}
	if _, err := New(git.SHA1, Bytes(a), x); err != nil {
		t.Error(err)
	}
}
