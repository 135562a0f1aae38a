package service

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// gzipBlock is how many bytes are compressed by one goroutine, and gzipWindow
	// how many before them it may refer to.
	gzipBlock  = 512 << 10
	gzipWindow = 32 << 10
	// maxGzipBlocks is how many blocks are compressed side by side.
	maxGzipBlocks = 4
)

// gzipWriter compresses as gzip does, in blocks that several goroutines take. The
// bytes that come out depend on those that go in alone. It is used by one
// goroutine, which writes them all.
type gzipWriter struct {
	w       io.Writer
	begun   bool
	block   []byte
	window  []byte        // what the block may refer to
	pending []chan []byte // compressed blocks, in their order
	crc     uint32
	size    uint32
}

// Write takes bytes of any number. An error is that of the writer beneath.
func (g *gzipWriter) Write(p []byte) (int, error) {
	n := len(p)
	g.crc = crc32.Update(g.crc, crc32.IEEETable, p)
	g.size += uint32(n)
	for len(p) > 0 {
		if g.block == nil {
			g.block = make([]byte, 0, gzipBlock)
		}
		room := min(gzipBlock-len(g.block), len(p))
		g.block = append(g.block, p[:room]...)
		p = p[room:]
		if len(g.block) == gzipBlock {
			if err := g.compress(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// Close writes what is left and the end of the stream.
func (g *gzipWriter) Close() error {
	if len(g.block) > 0 {
		if err := g.compress(); err != nil {
			return err
		}
	}
	for len(g.pending) > 0 {
		if err := g.next(); err != nil {
			return err
		}
	}
	if err := g.begin(); err != nil {
		return err
	}
	end := []byte{3, 0} // a last block, of no bytes
	end = binary.LittleEndian.AppendUint32(end, g.crc)
	_, err := g.w.Write(binary.LittleEndian.AppendUint32(end, g.size))
	return err
}

// compress has the block compressed.
func (g *gzipWriter) compress() error {
	done := make(chan []byte, 1)
	block, window := g.block, g.window
	go func() { done <- deflateBlock(block, window) }()
	g.pending = append(g.pending, done)
	g.window, g.block = block[max(0, len(block)-gzipWindow):], nil
	if len(g.pending) > min(runtime.GOMAXPROCS(0), maxGzipBlocks) {
		return g.next()
	}
	return nil
}

// next writes the first of the blocks that are being compressed.
func (g *gzipWriter) next() error {
	if err := g.begin(); err != nil {
		return err
	}
	block := <-g.pending[0]
	g.pending = g.pending[1:]
	_, err := g.w.Write(block)
	return err
}

// begin writes the header, once: deflate, no name, no time, any system.
func (g *gzipWriter) begin() error {
	if g.begun {
		return nil
	}
	g.begun = true
	_, err := g.w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	return err
}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(nil, flate.DefaultCompression, nil)
	if err != nil {
		panic(err) // of the level alone
	}
	return w
}}

// deflateBlock compresses a part of a stream, up to a whole byte: others may
// follow.
func deflateBlock(block, window []byte) []byte {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var out bytes.Buffer
	out.Grow(len(block) / 2)
	w.ResetDict(&out, window)
	// The writer beneath takes everything.
	_, _ = w.Write(block)
	_ = w.Flush()
	return out.Bytes()
}
