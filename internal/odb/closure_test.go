package odb

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

func testClosureID(n int) git.ObjectID { return git.MustParseObjectID(fmt.Sprintf("%040x", n)) }

func testPackID(n int) cairn.PackID { return cairn.PackID(fmt.Sprintf("%040x", n)) }

func testClosure() closure {
	return closure{[]closureLevel{
		{
			tips:     []git.ObjectID{testClosureID(1)},
			history:  []cairn.PackID{testPackID(1)},
			blobs:    []cairn.PackID{testPackID(2), testPackID(3)},
			checksum: testClosureID(7), historyChecksum: testClosureID(8),
		},
		{
			tips:     []git.ObjectID{testClosureID(2), testClosureID(3)},
			blobs:    []cairn.PackID{testPackID(4)},
			checksum: testClosureID(9), historyChecksum: testClosureID(10),
		},
	}}
}

func encodeClosure(t testing.TB, c closure) []byte {
	t.Helper()
	data, err := c.encode(git.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestClosureIsReadAsWritten(t *testing.T) {
	t.Parallel()
	for _, want := range []closure{{}, testClosure()} {
		got, err := decodeClosure(git.SHA1, encodeClosure(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// sealed gives damaged bytes a right checksum, so that what is behind it is
// looked at.
func sealed(data []byte) []byte {
	body := data[:max(len(data)-sha256.Size, 0)]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func TestDamagedClosureIsRefused(t *testing.T) {
	t.Parallel()
	good := encodeClosure(t, testClosure())
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := decodeClosure(git.SHA1, bad); err == nil {
			t.Errorf("accepted with a bit of byte %d turned", i)
		}
		if _, err := decodeClosure(git.SHA1, good[:i]); err == nil {
			t.Errorf("accepted when cut off at byte %d", i)
		}
	}
	twice := testClosure()
	twice.levels[1].history = []cairn.PackID{testPackID(3)}
	empty := testClosure()
	empty.levels[1].tips = nil
	for name, bad := range map[string][]byte{
		"a pack twice":         encodeClosure(t, twice),
		"a level without tips": encodeClosure(t, empty),
		"of a later version":   sealed(bytes.Replace(good, []byte("\n\x01\x14"), []byte("\n\x02\x14"), 1)),
		"too many levels":      sealed(bytes.Replace(good, []byte("\n\x01\x14\x02"), []byte("\n\x01\x14\x03"), 1)),
		"stray levels":         sealed(bytes.Replace(good, []byte("\n\x01\x14\x02"), []byte("\n\x01\x14\x01"), 1)),
	} {
		if _, err := decodeClosure(git.SHA1, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := decodeClosure(git.SHA256, good); err == nil {
		t.Error("accepted for another object format")
	}
}

// A closure counts as far as its packs are there.
func TestClosureWithoutSomePacks(t *testing.T) {
	t.Parallel()
	for missing, want := range map[int]int{1: 0, 2: 0, 3: 0, 4: 1, 5: 2} {
		packs := map[cairn.PackID]bool{}
		for n := 1; n <= 6; n++ {
			packs[testPackID(n)] = n != missing
		}
		if got := testClosure().present(packs); got != want {
			t.Errorf("without pack %d: got %d levels, want %d", missing, got, want)
		}
	}
}

func FuzzClosure(f *testing.F) {
	f.Add(encodeClosure(f, closure{}))
	f.Add(encodeClosure(f, testClosure()))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = sealed(data)
		c, err := decodeClosure(git.SHA1, data)
		if err != nil {
			return
		}
		if again := encodeClosure(t, c); !bytes.Equal(again, data) {
			t.Errorf("read %x, wrote %x", data, again)
		}
	})
}
