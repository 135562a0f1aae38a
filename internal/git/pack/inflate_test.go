package pack

import (
	"bytes"
	stdzlib "compress/zlib"
	"errors"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
)

func zlibOf(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := stdzlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// samples are contents of many shapes: repetitive, random, skewed, tiny.
func samples() [][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	s := [][]byte{nil, {0}, []byte("hello hello hello hello"), bytes.Repeat([]byte{'a'}, 100000)}
	for size := 1; size < 80000; size = size*3 + 1 {
		random := make([]byte, size)
		skewed := make([]byte, size)
		text := make([]byte, 0, size+20)
		for i := range random {
			random[i] = byte(r.Uint32())
			skewed[i] = byte(r.ExpFloat64() * 9)
		}
		for len(text) < size {
			text = append(text, "func return if err nil "[r.IntN(16):][:1+r.IntN(7)]...)
		}
		s = append(s, random, skewed, text)
	}
	return s
}

func TestInflate(t *testing.T) {
	t.Parallel()
	for _, want := range samples() {
		for _, level := range []int{0, 1, 6, 9, stdzlib.HuffmanOnly} {
			stream := zlibOf(t, level, want)
			for _, extra := range []int{0, 100} {
				got := make([]byte, len(want))
				used, err := inflate(got, append(bytes.Clone(stream), make([]byte, extra)...))
				if err != nil || used != len(stream) || !bytes.Equal(got, want) {
					t.Fatalf("level %d, %d bytes: used %d of %d, %v", level, len(want), used, len(stream), err)
				}
			}
			for _, cut := range []int{0, 1, 2, 3, len(stream) / 2, len(stream) - 5, len(stream) - 1} {
				if cut < 0 || cut >= len(stream) {
					continue
				}
				if _, err := inflate(make([]byte, len(want)), stream[:cut:cut]); err != errShort {
					t.Fatalf("level %d, %d bytes cut to %d: %v, want errShort", level, len(want), cut, err)
				}
			}
			if _, err := inflate(make([]byte, len(want)+1), stream); !errors.Is(err, ErrMalformed) {
				t.Fatalf("one byte too few: %v", err)
			}
			if len(want) == 0 {
				continue
			}
			if _, err := inflate(make([]byte, len(want)-1), stream); !errors.Is(err, ErrMalformed) {
				t.Fatalf("one byte too many: %v", err)
			}
			head := make([]byte, min(len(want), 20))
			if n, err := inflatePrefix(head, stream); err != nil || !bytes.Equal(head[:n], want[:len(head)]) {
				t.Fatalf("prefix: %d, %v", n, err)
			}
			broken := bytes.Clone(stream)
			broken[len(broken)-1] ^= 1
			if _, err := inflate(make([]byte, len(want)), broken); !errors.Is(err, ErrMalformed) || err == errShort {
				t.Fatalf("wrong checksum: %v", err)
			}
		}
	}
}

// FuzzInflate compares the decoder with the standard library's.
func FuzzInflate(f *testing.F) {
	for _, s := range samples() {
		if len(s) < 4000 {
			f.Add(zlibOf(f, 6, s), uint16(len(s)))
			f.Add(zlibOf(f, 0, s), uint16(len(s)))
			f.Add(zlibOf(f, stdzlib.HuffmanOnly, s), uint16(len(s)+1))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, size uint16) {
		got := make([]byte, size)
		used, err := inflate(got, src)
		r := bytes.NewReader(src)
		z, wantErr := stdzlib.NewReader(r)
		var want []byte
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(z, int64(size)+1))
		}
		if wantErr == nil && len(want) != int(size) {
			wantErr = io.ErrNoProgress
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, standard library %v", err, wantErr)
		}
		if err == nil && (!bytes.Equal(got, want) || used != len(src)-r.Len()) {
			t.Fatalf("used %d, want %d", used, len(src)-r.Len())
		}
		head := make([]byte, min(int(size), 20))
		if n, err := inflatePrefix(head, src); err == nil && wantErr == nil && !bytes.Equal(head[:n], want[:len(head)]) {
			t.Fatal("another prefix")
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	text := []byte(fastImport(1, 1, 5000))
	for _, c := range []struct {
		name string
		size int
	}{{"100", 100}, {"1k", 1000}, {"20k", 20000}} {
		var streams [][]byte
		for range 100 {
			at := r.IntN(len(text) - c.size)
			streams = append(streams, zlibOf(b, 6, text[at:at+c.size]))
		}
		dst := make([]byte, c.size)
		b.Run(c.name+"/own", func(b *testing.B) {
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for i := range b.N {
				if _, err := inflate(dst, streams[i%100]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/stream", func(b *testing.B) {
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			z := &inflater{}
			for i := range b.N {
				z.reset(bytes.NewReader(streams[i%100]))
				if _, err := io.ReadFull(z.stream, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestAdler(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{0, 1, 7, 8, 9, 5551, 5552, 5553, 100_000} {
		data := make([]byte, size)
		for _, fill := range []func() byte{func() byte { return 0xff }, func() byte { return byte(r.Uint32()) }} {
			for i := range data {
				data[i] = fill()
			}
			if got, want := adler(data), adler32.Checksum(data); got != want {
				t.Errorf("%d bytes: got %08x, want %08x", size, got, want)
			}
		}
	}
}
