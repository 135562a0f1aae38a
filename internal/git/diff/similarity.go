package diff

import (
	"slices"
	"sync"
)

// fingerprint says of which chunks a content consists: how many bytes of it
// are in chunks of each hash, in the order of the hashes.
type fingerprint []chunks

type chunks struct{ hash, bytes uint32 }

// common returns how many bytes two contents share.
func (f fingerprint) common(g fingerprint) int64 {
	var n int64
	for i, j := 0, 0; i < len(f) && j < len(g); {
		switch {
		case f[i].hash < g[j].hash:
			i++
		case f[i].hash > g[j].hash:
			j++
		default:
			n += int64(min(f[i].bytes, g[j].bytes))
			i, j = i+1, j+1
		}
	}
	return n
}

const (
	chunkHashes = 107927 // the number of hashes
	maxChunk    = 64     // bytes in a chunk that does not end with its line
)

// chunkTables holds empty tables: they are large.
var chunkTables = sync.Pool{New: func() any { return new(chunkTable) }}

// chunkTable makes fingerprints; it is empty before and after.
type chunkTable struct {
	bytes  [chunkHashes]uint32
	hashes []uint32 // those that occur
}

// fingerprint splits a content at its line feeds, and longer lines every 64
// bytes. A last chunk that ends in neither way is not counted, as in git 2.39.
// Carriage returns at the end of lines do not count in texts.
func (t *chunkTable) fingerprint(data []byte) fingerprint {
	isText := !isBinary(data)
	var a, b, n uint32
	for i, c := range data {
		if c == '\r' && isText && i+1 < len(data) && data[i+1] == '\n' {
			continue
		}
		a, b = a<<7^b>>25, b<<7^a>>25
		a += uint32(c)
		if n++; n < maxChunk && c != '\n' {
			continue
		}
		hash := (a + b*0x61) % chunkHashes
		if t.bytes[hash] == 0 {
			t.hashes = append(t.hashes, hash)
		}
		t.bytes[hash] += n
		a, b, n = 0, 0, 0
	}
	slices.Sort(t.hashes)
	f := make(fingerprint, len(t.hashes))
	for i, hash := range t.hashes {
		f[i] = chunks{hash, t.bytes[hash]}
		t.bytes[hash] = 0
	}
	t.hashes = t.hashes[:0]
	return f
}
