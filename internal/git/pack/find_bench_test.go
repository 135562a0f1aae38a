package pack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// BenchmarkFind looks objects of a large index up.
func BenchmarkFind(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	entries := make([]IndexEntry, 200_000)
	ids := make([]git.ObjectID, len(entries))
	for i := range entries {
		var raw [20]byte
		binary.BigEndian.PutUint64(raw[:], random.Uint64())
		ids[i], _ = git.ObjectIDFromBytes(raw[:])
		entries[i].ID = ids[i]
	}
	x, err := ParseIndex(git.SHA1, EncodeIndex(git.SHA1, entries, make([]byte, 20)))
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		if _, ok := x.Find(ids[i%len(ids)]); !ok {
			b.Fatal("an object is missing")
		}
		i++
	}
}
