package pack

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest/hostile"
)

// seedPacks are small packs with every kind of entry, and their indexes.
func seedPacks(t testing.TB) (packs, indexes [][]byte) {
	t.Helper()
	text := bytes.Repeat([]byte("text "), 20)
	changed := append([]byte("new "), text...)
	delta := appendSize(appendSize(nil, int64(len(text))), int64(len(changed)))
	delta = append(append(delta, 4), "new "...)
	delta = append(delta, 0x90, byte(len(text)))
	length := int64(len(packOf(t, entry{kind: Blob, data: text})) - headerSize - 20)
	for _, entries := range [][]entry{
		{},
		{{kind: Blob}},
		{{kind: Blob, data: text}, {kind: Commit, data: []byte("tree")}, {kind: Tag, data: []byte("tag")}, {kind: Tree}},
		{{kind: Blob, data: text}, {kind: RefDelta, base: blobID(t, text), data: delta}},
		{{kind: Blob, data: text}, {kind: OfsDelta, base: length, data: delta}},
		{{kind: RefDelta, base: blobID(t, text), data: delta}, {kind: Blob, data: text}},
	} {
		pack := packOf(t, entries...)
		packs = append(packs, pack)
		got, err := receive(t, pack, ReceiveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, got.Index)
	}
	return packs, indexes
}

func FuzzIndex(f *testing.F) {
	_, indexes := seedPacks(f)
	for _, x := range indexes {
		f.Add(x, "00")
	}
	f.Fuzz(func(t *testing.T, data []byte, prefix string) {
		x, err := ParseIndex(git.SHA1, data)
		if err != nil {
			return
		}
		verified := x.Verify() == nil
		for pos := range x.Len() {
			id := x.ID(pos)
			found, ok := x.Find(id)
			if verified && (!ok || found != pos) {
				t.Fatalf("Find(%s) = %d, %v; want %d", id, found, ok, pos)
			}
			x.Offset(pos)
			x.CRC32(pos)
			x.At(x.Offset(pos))
		}
		if n := len(x.Prefix(prefix, 3)); n > 3 {
			t.Fatalf("Prefix gives %d ids", n)
		}
	})
}

// FuzzObject reads every object of a pack that its index describes, where both
// may lie.
func FuzzObject(f *testing.F) {
	packs, indexes := seedPacks(f)
	for i := range packs {
		f.Add(packs[i], indexes[i])
	}
	f.Fuzz(func(t *testing.T, data, index []byte) {
		if len(data) < headerSize+20 {
			return
		}
		x, err := ParseIndex(git.SHA1, index)
		if err != nil {
			return
		}
		p := &Pack{format: git.SHA1, data: Bytes(data), index: x, end: int64(len(data)) - 20, maxBase: 1 << 20}
		remote := &Pack{format: git.SHA1, data: blocks{data, 16}, index: x, end: int64(len(data)) - 20, maxBase: 1 << 20}
		for pos := range x.Len() {
			off := x.Offset(pos)
			o, err := p.Object(off, nil, 1<<20)
			again, againErr := remote.Object(off, &mapCache{}, 1<<20)
			if (err == nil) != (againErr == nil) || !bytes.Equal(o.Data, again.Data) && err == nil {
				t.Fatalf("%v in one piece, %v in blocks", err, againErr)
			}
			kind, size, headErr := p.Header(off)
			if err == nil && (headErr != nil || kind != o.Type || size != int64(len(o.Data))) {
				t.Fatalf("Header: %s, %d, %v; Object: %s, %d", kind, size, headErr, o.Type, len(o.Data))
			}
			p.EntryEnd(pos)
			p.Raw(pos)
			if err == nil {
				r, err := p.Open(off, nil)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, r)
				r.Close()
			}
		}
	})
}

func FuzzApplyDelta(f *testing.F) {
	base := []byte("0123456789")
	for _, d := range [][]byte{{10, 1, 1, 'a'}, {10, 3, 0x90, 3}, {10, 4, 0x91, 6, 3, 1, 'x'}, {10, 0}, {10, 0x80, 0x80, 4, 0x80}} {
		f.Add(base, d)
	}
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		result, err := ApplyDelta(base, delta, 1<<20)
		if err != nil {
			return
		}
		_, size, _, err := deltaHeader(delta)
		if err != nil || size != int64(len(result)) {
			t.Fatalf("%d bytes, %v; want %d", len(result), err, size)
		}
	})
}

// FuzzReceive receives anything, and reads back what was accepted. The trailer
// is made true, or nothing would pass it.
func FuzzReceive(f *testing.F) {
	packs, _ := seedPacks(f)
	for _, p := range packs {
		f.Add(p[:len(p)-20], uint8(1))
	}
	const smallSeed = 8 << 10 // larger ones make the fuzzer slow and say little more
	for _, c := range hostile.Cases() {
		if c.Large {
			continue
		}
		if p := c.Make().Pack; len(p) > 20 && len(p) < smallSeed {
			f.Add(p[:len(p)-20], uint8(len(c.Name)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, workers uint8) {
		text := bytes.Repeat([]byte("text "), 20)
		opts := ReceiveOptions{
			Format:  git.SHA1,
			Workers: int(workers%4) + 1,
			Memory:  int64(workers),
			Limits:  Limits{ObjectSize: 1 << 20, Inflated: 1 << 22},
			Check:   func(git.ObjectType, []byte) error { return nil },
			Base: func(context.Context, git.ObjectID) (git.Object, error) {
				return git.Object{Type: git.BlobObject, Data: text}, nil
			},
		}
		got, err := Receive(t.Context(), bytes.NewReader(withTrailer(bytes.Clone(data))), opts)
		if err != nil {
			return
		}
		defer got.Close()
		x := got.Pack.Index()
		if err := x.Verify(); err != nil {
			t.Fatal(err)
		}
		for pos := range x.Len() {
			o, err := got.Pack.Object(x.Offset(pos), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if id, err := git.HashObject(git.SHA1, o.Type, o.Data); err != nil || id != x.ID(pos) {
				t.Fatalf("object %s is really %s, %v", x.ID(pos), id, err)
			}
		}
		s := NewSpool(1<<30, nil)
		defer s.Close()
		if _, _, err := Merge(t.Context(), git.SHA1, s, []*Pack{got.Pack, got.Pack}); err != nil {
			t.Fatal(err)
		}
	})
}
