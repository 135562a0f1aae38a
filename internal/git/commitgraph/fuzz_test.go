package commitgraph_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
)

// sampleFile is a small file with every chunk.
func sampleFile(tb testing.TB) []byte {
	b := commitgraph.NewBuilder(git.SHA1)
	var ids []git.ObjectID
	for i := range 6 {
		raw := bytes.Repeat([]byte{byte(40 * i)}, git.SHA1.Size())
		id, err := git.ObjectIDFromBytes(raw)
		if err != nil {
			tb.Fatal(err)
		}
		links := git.CommitLinks{Tree: id, Date: int64(i) * 1000}
		if i == 4 {
			links.Parents = ids
		} else if i > 0 {
			links.Parents = ids[i-1:]
		}
		if i == 2 {
			links.Date = 1<<34 - 1
		}
		b.Add(id, links, commitgraph.NewPathFilter([]string{"dir/file"}))
		ids = append(ids, id)
	}
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// readAll asks a file everything.
func readAll(t *testing.T, data []byte) {
	g, err := commitgraph.Parse(git.SHA1, data)
	if err != nil {
		if !errors.Is(err, commitgraph.ErrMalformed) {
			t.Errorf("%v is not ErrMalformed", err)
		}
		return
	}
	if g.Len() > len(data)/36 {
		t.Fatalf("%d commits in %d bytes", g.Len(), len(data))
	}
	key := g.NewKey("dir/file")
	for pos := range g.Len() {
		if found, ok := g.Find(g.ID(pos)); ok && g.ID(found) != g.ID(pos) {
			t.Errorf("%s is found where %s is", g.ID(pos), g.ID(found))
		}
		c, err := g.Commit(pos)
		if err == nil {
			for _, p := range c.Parents {
				g.ID(p)
			}
		}
		if len(c.Parents) > 2+len(data)/4 {
			t.Errorf("%d parents", len(c.Parents))
		}
		_, _ = g.Links(pos)
		if g.Generation(pos) < 0 {
			t.Errorf("generation %d", g.Generation(pos))
		}
		if f, ok := g.Filter(pos); ok {
			f.MayContain(key)
		}
	}
	_ = g.Verify()
}

func FuzzParse(f *testing.F) {
	sample := sampleFile(f)
	f.Add(sample)
	f.Add(sample[:len(sample)/2])
	f.Add([]byte("CGPH\x01\x01\x00\x00"))
	f.Fuzz(readAll)
}

// TestBytesThatLie changes each word of a file in turn to values that are
// wrong in an interesting way.
func TestBytesThatLie(t *testing.T) {
	t.Parallel()
	sample := sampleFile(t)
	readAll(t, sample)
	for at := 0; at+4 <= len(sample); at += 2 {
		for _, v := range []uint32{0, 1, 5, 6, 0x6fffffff, 0x70000000, 0x7fffffff, 0x80000000, 0x80000001, 0x80000004, 0xffffffff} {
			data := bytes.Clone(sample)
			binary.BigEndian.PutUint32(data[at:], v)
			readAll(t, data)
		}
	}
	for n := range sample {
		readAll(t, sample[:n])
	}
}

// TestVerifySeesDamage changes each byte of a file, and then what a checksum
// that is right does not hide.
func TestVerifySeesDamage(t *testing.T) {
	t.Parallel()
	sample := sampleFile(t)
	for at := range sample {
		data := bytes.Clone(sample)
		data[at] ^= 1
		if g, err := commitgraph.Parse(git.SHA1, data); err == nil && g.Verify() == nil {
			t.Errorf("byte %d is wrong and nobody noticed", at)
		}
	}
	// A commit whose child has the same level.
	data := bytes.Clone(sample[:len(sample)-sha1.Size])
	start := len(data) - len(chunkOf(sample, "BDAT")) - len(chunkOf(sample, "BIDX")) - len(chunkOf(sample, "EDGE")) -
		len(chunkOf(sample, "GDO2")) - len(chunkOf(sample, "GDA2")) - len(chunkOf(sample, "CDAT"))
	binary.BigEndian.PutUint32(data[start+36+20+8:], 1<<2) // the second commit's level is that of a root
	sum := sha1.Sum(data)
	g, err := commitgraph.Parse(git.SHA1, append(data, sum[:]...))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Verify(); !errors.Is(err, commitgraph.ErrMalformed) {
		t.Errorf("a child with its parent's level: got %v, want ErrMalformed", err)
	}
}
