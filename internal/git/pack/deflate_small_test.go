package pack

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// inflated is what the standard library makes of a zlib stream.
func inflated(t testing.TB, stream []byte) []byte {
	t.Helper()
	r := bytes.NewReader(stream)
	z, err := zlib.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() > 0 {
		t.Errorf("%d bytes follow the stream", r.Len())
	}
	return data
}

func FuzzDeflateSmall(f *testing.F) {
	f.Add([]byte("one two one two one two"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), smallObject)]
		if got := inflated(t, deflateSmall(nil, data)); !bytes.Equal(got, data) {
			t.Errorf("%x came back as %x", data, got)
		}
	})
}

func TestDeflateSmall(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for size := range smallObject + 1 {
		data := make([]byte, size)
		letters := 1 + rng.IntN(256)
		for i := range data {
			if i > 0 && rng.IntN(3) > 0 {
				data[i] = data[rng.IntN(i)/7*7] // repetitions at all distances
			} else {
				data[i] = byte(rng.IntN(letters))
			}
		}
		if size > 500 {
			copy(data[size-300:], data[:300]) // longer than the longest match
		}
		stream := deflateSmall([]byte("kept"), data)
		if !bytes.HasPrefix(stream, []byte("kept")) {
			t.Fatal("what was there before is gone")
		}
		if got := inflated(t, stream[4:]); !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came back as others", size)
		}
		if len(stream)-4 > size+11 {
			t.Errorf("%d bytes became %d", size, len(stream)-4)
		}
	}
}

// smallObjects are trees and commits as a commit makes them.
func smallObjects() (objects [][]byte) {
	rng := rand.New(rand.NewPCG(3, 4))
	id := func() git.ObjectID {
		raw := make([]byte, 20)
		for i := range raw {
			raw[i] = byte(rng.Uint32())
		}
		id, err := git.ObjectIDFromBytes(raw)
		if err != nil {
			panic(err)
		}
		return id
	}
	for n := range 12 {
		var entries []git.TreeEntry
		for i := range n + 1 {
			entries = append(entries, git.TreeEntry{Mode: git.ModeFile, Name: fmt.Sprintf("name-%02d.go", i), ID: id()})
		}
		objects = append(objects, git.EncodeTree(entries))
		objects = append(objects, fmt.Appendf(nil,
			"tree %s\nparent %s\nauthor Ann Example <ann@example.com> 1767225600 +0000\ncommitter Ann Example <ann@example.com> 1767225600 +0000\n\n%s\n",
			id(), id(), strings.Repeat("Say what it does and why. ", n)))
	}
	return objects
}

// A small object takes no more bytes than the library's streams, or few more.
func TestDeflateSmallIsSmall(t *testing.T) {
	t.Parallel()
	var own, library int
	for _, object := range smallObjects() {
		own += len(deflateSmall(nil, object))
		d := getDeflater(6)
		stream, err := d.deflateLarge(object)
		if err != nil {
			t.Fatal(err)
		}
		library += len(stream)
		d.release()
	}
	t.Logf("%d bytes, the library's level 6 makes %d", own, library)
	if own > library*105/100 {
		t.Errorf("small objects take %d bytes, the library's level 6 makes %d", own, library)
	}
}

func BenchmarkDeflateSmall(b *testing.B) {
	objects := smallObjects()
	d := getDeflater(3)
	defer d.release()
	for name, f := range map[string]func([]byte) ([]byte, error){"own": d.deflate, "library": d.deflateLarge} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, object := range objects {
					if _, err := f(object); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
