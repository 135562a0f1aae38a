package service

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// TestGzipWriter: what it writes is one stream, which the standard library reads
// back, however it is written.
func TestGzipWriter(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, gzipBlock - 1, gzipBlock, gzipBlock + 1, 7*gzipBlock/2 + 5} {
		for _, kinds := range []uint64{1, 4, 256} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(random.Uint64N(kinds))
			}
			var outs [2][]byte
			for i, step := range []int{size + 1, 100_000} {
				var out bytes.Buffer
				g := &gzipWriter{w: &out}
				for rest := data; len(rest) > 0; rest = rest[min(step, len(rest)):] {
					if n, err := g.Write(rest[:min(step, len(rest))]); err != nil || n != min(step, len(rest)) {
						t.Fatal(n, err)
					}
				}
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
				outs[i] = out.Bytes()
			}
			if !bytes.Equal(outs[0], outs[1]) {
				t.Errorf("%d bytes of %d kinds: the steps of writing show", size, kinds)
			}
			rest := bytes.NewReader(outs[0])
			r, err := gzip.NewReader(rest)
			if err != nil {
				t.Fatal(err)
			}
			r.Multistream(false)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) || rest.Len() > 0 {
				t.Errorf("%d bytes of %d kinds: %v, %d bytes are read, %d are left", size, kinds, err, len(got), rest.Len())
			}
		}
	}
}

// TestGzipWriterTellsErrors of every write of the writer beneath.
func TestGzipWriterTellsErrors(t *testing.T) {
	t.Parallel()
	data := make([]byte, 8*gzipBlock)
	for n := 0; ; n++ {
		w := &failing{after: n}
		g := &gzipWriter{w: w}
		_, err := g.Write(data)
		err = errors.Join(err, g.Close())
		if !w.failed {
			if err != nil || n < 10 {
				t.Errorf("%d writes, error %v", n, err)
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Errorf("write %d: got error %v", n, err)
		}
	}
}

var errFull = fmt.Errorf("no room")

// failing fails at one write, and takes all others.
type failing struct {
	after  int
	failed bool
}

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after == -1 {
		f.failed = true
		return 0, errFull
	}
	return len(p), nil
}
