package dir_test

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/storage/dir"
)

// BenchmarkPut stores an item of 64 KiB, durable.
func BenchmarkPut(b *testing.B) {
	for name, put := range map[string]func(*dir.Bucket, string, []byte) error{
		"reader": func(bucket *dir.Bucket, key string, data []byte) error {
			return bucket.Put(b.Context(), key, bytes.NewReader(data), int64(len(data)))
		},
		"file": func(bucket *dir.Bucket, key string, data []byte) error {
			f, err := bucket.Temp()
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := f.Write(data); err != nil {
				return err
			}
			return bucket.PutFile(b.Context(), key, f)
		},
	} {
		b.Run(name, func(b *testing.B) {
			bucket := open(b, b.TempDir())
			data := make([]byte, 64<<10)
			var n atomic.Int64
			b.SetBytes(int64(len(data)))
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					if err := put(bucket, fmt.Sprintf("org/packs/%02x%d.pack", i%256, i), data); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkGet reads 4 KiB from the middle.
func BenchmarkGet(b *testing.B) {
	bucket := open(b, b.TempDir())
	if err := bucket.Put(b.Context(), "org/packs/k.pack", bytes.NewReader(make([]byte, 1<<20)), 1<<20); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := bucket.Get(b.Context(), "org/packs/k.pack", 1<<19, 4096)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
