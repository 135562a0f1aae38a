package pack

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

func benchPack(b *testing.B) []byte {
	b.Helper()
	return packObjects(b, history(b, 300, 100), "--delta-base-offset")
}

func BenchmarkReceive(b *testing.B) {
	data := benchPack(b)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint(workers, " workers"), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				got, err := Receive(b.Context(), bytes.NewReader(data), ReceiveOptions{Format: git.SHA1, Workers: workers, TempFile: tempFile(b)})
				if err != nil {
					b.Fatal(err)
				}
				got.Close()
			}
		})
	}
}

// BenchmarkReceiveSmall is a push of a few objects.
func BenchmarkReceiveSmall(b *testing.B) {
	data := packObjects(b, history(b, 2, 3))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		got, err := Receive(b.Context(), bytes.NewReader(data), ReceiveOptions{Format: git.SHA1})
		if err != nil {
			b.Fatal(err)
		}
		got.Close()
	}
}

func BenchmarkObject(b *testing.B) {
	data := benchPack(b)
	got, err := Receive(b.Context(), bytes.NewReader(data), ReceiveOptions{Format: git.SHA1})
	if err != nil {
		b.Fatal(err)
	}
	defer got.Close()
	x := got.Pack.Index()
	for _, c := range []struct {
		name  string
		cache Cache
	}{{"no cache", nil}, {"bases cached", &mapCache{}}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				o, err := got.Pack.Object(x.Offset(i*7919%x.Len()), c.cache, 0)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(o.Data)))
				i++
			}
		})
	}
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, _, err := got.Pack.Header(x.Offset(i * 7919 % x.Len())); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("find", func(b *testing.B) {
		i := 0
		for b.Loop() {
			if _, ok := x.Find(x.ID(i * 7919 % x.Len())); !ok {
				b.Fatal("lost")
			}
			i++
		}
	})
}

// BenchmarkBuilder is the pack of one small commit: blob, trees, commit.
func BenchmarkBuilder(b *testing.B) {
	blob := []byte(fastImport(1, 1, 100))
	tree := bytes.Repeat([]byte("100644 file.go\x0001234567890123456789"), 20)
	commit := bytes.Repeat([]byte("line of a commit\n"), 12)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		blob[0], tree[10], commit[0] = byte(i), byte(i), byte(i)
		s := NewSpool(1<<20, nil)
		p := NewBuilder(git.SHA1, s, DefaultCompression)
		p.Add(git.BlobObject, blob)
		p.Add(git.TreeObject, tree)
		p.Add(git.CommitObject, commit)
		if _, _, err := p.Finish(); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkMerge(b *testing.B) {
	dir := history(b, 300, 100)
	var packs []*Pack
	var size int64
	for i := range 10 {
		revs := fmt.Sprintf("main~%d\n", 29*(9-i))
		if i > 0 {
			revs += fmt.Sprintf("^main~%d\n", 29*(10-i))
		}
		data := []byte(gitRun(b, dir, revs, "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"))
		got, err := Receive(b.Context(), bytes.NewReader(data), ReceiveOptions{Format: git.SHA1})
		if err != nil {
			b.Fatal(err)
		}
		defer got.Close()
		size += int64(len(data))
		packs = append(packs, got.Pack)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		s := NewSpool(1<<20, tempFile(b))
		if _, _, err := Merge(b.Context(), git.SHA1, s, packs); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkStreamWriter(b *testing.B) {
	data := benchPack(b)
	p := openPack(b, data, indexPack(b, data))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s := NewStreamWriter(git.SHA1, io.Discard, uint32(p.Index().Len()), 1)
		if err := s.WriteBody(p); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
