package pack

import (
	"encoding/binary"
	"hash/adler32"
	"math/bits"
)

// smallObject is the size in bytes up to which an object is compressed by
// deflateSmall. Codes of its own, as the library makes them, cost a small object
// more bytes than they save, and most of the time that its commit takes.
const smallObject = 1 << 10

// fixedCodes are the codes of RFC 1951, 3.2.6, as they are written: the first
// bit is the lowest.
var fixedCodes = func() (codes [288]fixedCode) {
	for symbol := range codes {
		var code, n int
		switch {
		case symbol < 144:
			code, n = 0x30+symbol, 8
		case symbol < 256:
			code, n = 0x190+symbol-144, 9
		case symbol < 280:
			code, n = symbol-256, 7
		default:
			code, n = 0xc0+symbol-280, 8
		}
		codes[symbol] = fixedCode{bits.Reverse16(uint16(code)) >> (16 - n), uint8(n)}
	}
	return codes
}()

type fixedCode struct {
	bits uint16
	n    uint8
}

const (
	endOfBlock = 256
	minMatch   = 4 // bytes; shorter ones gain next to nothing
	maxMatch   = 258
	hashBits   = 9
)

// bitWriter appends bits to bytes, the lowest first.
type bitWriter struct {
	out  []byte
	bits uint64
	n    uint
}

func (w *bitWriter) write(bits uint64, n uint) {
	w.bits |= bits << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.bits))
		w.bits >>= 8
	}
}

func (w *bitWriter) symbol(s int) {
	c := fixedCodes[s]
	w.write(uint64(c.bits), uint(c.n))
}

// match writes a length of 3 to maxMatch and a distance: each is a code for
// its power of two, with some bits below that, and the bits that are left.
func (w *bitWriter) match(length, distance int) {
	if length == maxMatch {
		w.symbol(285)
	} else {
		code, extra, n := rangeCode(length-3, 2)
		w.symbol(257 + code)
		w.write(extra, n)
	}
	code, extra, n := rangeCode(distance-1, 1)
	w.write(uint64(bits.Reverse8(uint8(code))>>3), 5)
	w.write(extra, n)
}

// rangeCode is the code of a number whose codes tell that many bits below its
// highest one, and the n bits that are left to tell.
func rangeCode(v, below int) (code int, extra uint64, n uint) {
	if v < 2<<below {
		return v, 0, 0
	}
	n = uint(bits.Len(uint(v)) - 1 - below)
	return int(n)<<below + v>>n, uint64(v) & (1<<n - 1), n
}

// deflateSmall appends the zlib stream of at most smallObject bytes to dst: one
// block with the fixed codes, or as they are if that is shorter.
func deflateSmall(dst, data []byte) []byte {
	start := len(dst)
	w := bitWriter{out: append(dst, 0x78, 0x01)}
	w.write(1|1<<1, 3)             // the last block, with fixed codes
	var seen [1 << hashBits]uint16 // where a hash was met last, plus one
	for i := 0; i < len(data); {
		if i+minMatch > len(data) {
			w.symbol(int(data[i]))
			i++
			continue
		}
		v := binary.LittleEndian.Uint32(data[i:])
		slot := &seen[v*0x9e3779b1>>(32-hashBits)]
		at := int(*slot) - 1
		*slot = uint16(i + 1)
		if at < 0 || binary.LittleEndian.Uint32(data[at:]) != v {
			w.symbol(int(data[i]))
			i++
			continue
		}
		n := minMatch
		for n < maxMatch && i+n < len(data) && data[at+n] == data[i+n] {
			n++
		}
		w.match(n, i-at)
		i += n
	}
	w.symbol(endOfBlock)
	w.write(0, (8-w.n)%8)
	if stored := 2 + 5 + len(data); len(w.out)-start > stored {
		w.out = append(w.out[:start], 0x78, 0x01, 1)
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(len(data)))
		w.out = binary.LittleEndian.AppendUint16(w.out, ^uint16(len(data)))
		w.out = append(w.out, data...)
	}
	return binary.BigEndian.AppendUint32(w.out, adler32.Checksum(data))
}
