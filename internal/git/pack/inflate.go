package pack

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// This file decodes whole zlib streams (RFC 1950, RFC 1951) from one slice to
// another. A pack says how long each object is, so there is no window to keep
// and nothing to resume, which makes this about twice as fast as a streaming
// decoder on the short streams that packs are made of. Streams that are too
// long to be held go through the streaming decoder in zlib.go.

// errShort says that a zlib stream goes on beyond the bytes at hand.
var errShort = malformed("zlib stream is cut off")

// inflate fills dst with the zlib stream at the start of src, which must make
// exactly that many bytes, and returns the length of the stream.
func inflate(dst, src []byte) (int, error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	used, n, err := d.stream(dst, src, false)
	if err != nil {
		return 0, err
	}
	if n < len(dst) {
		return 0, malformed("zlib stream is shorter than its entry claims")
	}
	if len(src)-used < 4 {
		return 0, errShort
	}
	if adler(dst) != binary.BigEndian.Uint32(src[used:]) {
		return 0, malformed("zlib checksum is wrong")
	}
	return used + 4, nil
}

// adler is the checksum of a zlib stream, eight bytes at a time: the first sum
// grows by the bytes, the second by what the first one is after each.
func adler(data []byte) uint32 {
	const (
		modulus = 65521
		block   = 5552 // bytes for which the sums fit into 32 bits
		even    = 0x00ff00ff00ff00ff
	)
	a, b := uint64(1), uint64(0)
	for len(data) > 0 {
		part := data[:min(len(data), block)]
		data = data[len(part):]
		for ; len(part) >= 8; part = part[8:] {
			w := binary.LittleEndian.Uint64(part)
			x, y := w&even, w>>8&even
			b += 8*a + (x*0x0008000600040002+y*0x0007000500030001)>>48
			a += (x + y) * 0x0001000100010001 >> 48
		}
		for _, c := range part {
			a += uint64(c)
			b += a
		}
		a, b = a%modulus, b%modulus
	}
	return uint32(b<<16 | a)
}

// inflatePrefix fills as much of dst as the zlib stream at the start of src
// has, and returns how much that is. It checks no checksum.
func inflatePrefix(dst, src []byte) (int, error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	_, n, err := d.stream(dst, src, true)
	return n, err
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// An element of a decoding table:
//
//	bits 0-4    how many bits of input it takes
//	bits 8-11   how many extra bits follow, or the width of a subtable
//	bits 12-15  flags
//	bits 16-31  the literal, the base of a length or distance, or the start
//	            of a subtable
const (
	flagEnd      = 1 << 12
	flagSubtable = 1 << 13
	flagSpecial  = 1 << 14 // end of block, subtable or, alone, an invalid code
	flagLiteral  = 1 << 15

	invalidCode = flagSpecial | 1

	litBits  = 10
	distBits = 8
	preBits  = 7

	// The sizes of the tables at their worst, subtables included, for complete
	// codes of up to 15 bits (examples/enough.c of zlib counts them).
	litTable  = 1334
	distTable = 402
)

type decoder struct {
	lit  [litTable]uint32
	dist [distTable]uint32
	pre  [1 << preBits]uint32
	lens [286 + 30]uint8
	sort [288]uint16
}

var (
	litCodes  [288]uint32
	distCodes [32]uint32
	preCodes  [19]uint32

	fixedLit  [litTable]uint32
	fixedDist [distTable]uint32
)

func init() {
	for i := range 256 {
		litCodes[i] = flagLiteral | uint32(i)<<16
	}
	litCodes[256] = flagSpecial | flagEnd
	base := 3
	for i := range 28 {
		extra := max(0, i/4-1)
		litCodes[257+i] = uint32(base)<<16 | uint32(extra)<<8
		base += 1 << extra
	}
	litCodes[285] = 258 << 16
	litCodes[286], litCodes[287] = flagSpecial, flagSpecial
	base = 1
	for i := range 30 {
		extra := max(0, i/2-1)
		distCodes[i] = uint32(base)<<16 | uint32(extra)<<8
		base += 1 << extra
	}
	distCodes[30], distCodes[31] = flagSpecial, flagSpecial
	for i := range preCodes {
		preCodes[i] = uint32(i) << 16
	}
	var d decoder
	var lens [288]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	ok := d.build(fixedLit[:], lens[:], litCodes[:], litBits, false)
	for i := range 32 {
		lens[i] = 5
	}
	if !d.build(fixedDist[:], lens[:32], distCodes[:], distBits, false) || !ok {
		panic("the fixed codes of RFC 1951 are complete")
	}
}

// build makes the decoding table of the canonical code whose symbol i has
// lens[i] bits. It accepts what zlib does: complete codes, and with lone codes
// without symbols or of a single bit.
func (d *decoder) build(table []uint32, lens []uint8, codes []uint32, width uint, lone bool) bool {
	var count [16]int
	for _, l := range lens {
		count[l]++
	}
	longest := 15
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	left := 1
	var start [17]int
	for l := 1; l <= 15; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return false
		}
		start[l+1] = start[l] + count[l]
	}
	if left > 0 {
		if !lone || longest > 1 {
			return false
		}
		for i := range 1 << width {
			table[i] = invalidCode
		}
		for s, l := range lens {
			if l == 1 {
				for i := 0; i < 1<<width; i += 2 {
					table[i] = codes[s] | 1
				}
			}
		}
		return true
	}
	sorted := d.sort[:start[16]]
	for s, l := range lens {
		if l != 0 {
			sorted[start[l]] = uint16(s)
			start[l]++
		}
	}

	// Codes come in ascending order, their bits reversed, as the input has
	// them. The table of one length is that of the shorter ones, twice.
	var code uint32 // reversed
	size := uint32(1)
	next := 0
	for l := uint(1); l <= min(width, uint(longest)); l++ {
		copy(table[size:2*size], table[:size])
		size *= 2
		for range count[l] {
			table[code] = codes[sorted[next]] | uint32(l)
			next++
			code = following(code, size)
		}
	}
	if uint(longest) <= width {
		for ; size < 1<<width; size *= 2 {
			copy(table[size:2*size], table[:size])
		}
		return true
	}

	end := uint32(1) << width // of the tables so far
	prefix := ^uint32(0)
	var sub, subBits uint32
	for l := width + 1; l <= uint(longest); l++ {
		for ; count[l] > 0; count[l]-- {
			if code&(1<<width-1) != prefix {
				prefix = code & (1<<width - 1)
				// The subtable is as wide as the codes that share the prefix need.
				subBits = uint32(l - width)
				for room := 1<<subBits - count[l]; room > 0; {
					subBits++
					room = room<<1 - count[width+uint(subBits)]
				}
				sub = end
				end += 1 << subBits
				if int(end) > len(table) {
					return false
				}
				table[prefix] = flagSpecial | flagSubtable | sub<<16 | subBits<<8 | uint32(width)
			}
			element := codes[sorted[next]] | uint32(l-width)
			next++
			for i := code >> width; i < 1<<subBits; i += 1 << (l - width) {
				table[sub+i] = element
			}
			code = following(code, 1<<l)
		}
	}
	return true
}

// following returns the code after a reversed one whose length is log2(size).
func following(code, size uint32) uint32 {
	free := code ^ (size - 1)
	if free == 0 {
		return code
	}
	bit := uint32(1) << (bits.Len32(free) - 1)
	return code&(bit-1) | bit
}

var preOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

var (
	errDeflate = malformed("invalid deflate data")
	errLong    = malformed("zlib stream is longer than its entry claims")
)

// stream decodes a zlib stream up to its checksum. It returns how much of src
// it used and how much of dst it filled. With prefix, a full dst ends it.
func (d *decoder) stream(dst, src []byte, prefix bool) (used, filled int, err error) {
	if len(src) < 2 {
		return 0, 0, errShort
	}
	if src[0]&15 != 8 || src[0]>>4 > 7 || src[1]&0x20 != 0 || (uint(src[0])<<8|uint(src[1]))%31 != 0 {
		return 0, 0, malformed("invalid zlib header")
	}
	in := bitReader{src: src, at: 2}
	op := 0
	for {
		in.fill()
		if in.n < 3 {
			return 0, op, errShort
		}
		final := in.bits&1 != 0
		kind := in.bits >> 1 & 3
		in.take(3)
		switch kind {
		case 0:
			op, err = in.stored(dst, op, prefix)
		case 1:
			op, err = in.block(dst, op, &fixedLit, &fixedDist, prefix)
		case 2:
			if err = d.codes(&in); err == nil {
				op, err = in.block(dst, op, &d.lit, &d.dist, prefix)
			}
		default:
			err = errDeflate
		}
		if err != nil {
			return 0, op, err
		}
		if final {
			return in.at - int(in.n>>3), op, nil
		}
		if prefix && op == len(dst) {
			return 0, op, nil
		}
	}
}

// codes reads the two codes that start a block with codes of its own.
func (d *decoder) codes(in *bitReader) error {
	in.fill()
	if in.n < 14 {
		return errShort
	}
	lits := int(in.bits&31) + 257
	dists := int(in.bits>>5&31) + 1
	pres := int(in.bits>>10&15) + 4
	in.take(14)
	if lits > 286 || dists > 30 {
		return errDeflate
	}
	var lens [19]uint8
	for _, s := range preOrder[:pres] {
		if in.n < 3 {
			if in.fill(); in.n < 3 {
				return errShort
			}
		}
		lens[s] = uint8(in.bits & 7)
		in.take(3)
	}
	if !d.build(d.pre[:], lens[:], preCodes[:], preBits, false) {
		return errDeflate
	}
	all := d.lens[:lits+dists]
	for i := 0; i < len(all); {
		in.fill()
		e := d.pre[in.bits&(1<<preBits-1)]
		if in.n < uint(e&31)+7 && in.n < uint(e&31)+preExtra[e>>16&31] {
			return errShort
		}
		in.take(uint(e & 31))
		symbol := e >> 16
		if symbol < 16 {
			all[i] = uint8(symbol)
			i++
			continue
		}
		var value uint8
		repeat := 3
		switch symbol {
		case 16:
			if i == 0 {
				return errDeflate
			}
			value = all[i-1]
			repeat += int(in.bits & 3)
			in.take(2)
		case 17:
			repeat += int(in.bits & 7)
			in.take(3)
		default:
			repeat = 11 + int(in.bits&127)
			in.take(7)
		}
		if repeat > len(all)-i {
			return errDeflate
		}
		for range repeat {
			all[i] = value
			i++
		}
	}
	if all[256] == 0 ||
		!d.build(d.lit[:], all[:lits], litCodes[:], litBits, true) ||
		!d.build(d.dist[:], all[lits:], distCodes[:], distBits, true) {
		return errDeflate
	}
	return nil
}

// preExtra holds how many extra bits follow a symbol of the code for codes.
var preExtra = [32]uint{16: 2, 17: 3, 18: 7}

// bitReader holds the next n bits of the input in bits. Those above them, if
// not zero, are the bits that follow.
type bitReader struct {
	src  []byte
	at   int
	bits uint64
	n    uint
}

// fill makes n at least 56, unless the input ends before.
func (r *bitReader) fill() {
	if len(r.src)-r.at >= 8 {
		r.bits |= binary.LittleEndian.Uint64(r.src[r.at:]) << (r.n & 63)
		r.at += int((63 - r.n) >> 3)
		r.n |= 56
		return
	}
	for r.n <= 55 && r.at < len(r.src) {
		r.bits |= uint64(r.src[r.at]) << (r.n & 63)
		r.at++
		r.n += 8
	}
}

func (r *bitReader) take(n uint) {
	r.bits >>= n & 63
	r.n -= n
}

// stored copies a block without compression.
func (r *bitReader) stored(dst []byte, op int, prefix bool) (int, error) {
	r.take(r.n & 7)
	at := r.at - int(r.n>>3)
	if len(r.src)-at < 4 {
		return op, errShort
	}
	size := int(binary.LittleEndian.Uint16(r.src[at:]))
	if size != int(^binary.LittleEndian.Uint16(r.src[at+2:])) {
		return op, errDeflate
	}
	at += 4
	if size > len(dst)-op {
		if !prefix {
			return op, errLong
		}
		size = len(dst) - op
	}
	if size > len(r.src)-at {
		return op + copy(dst[op:], r.src[at:]), errShort
	}
	copy(dst[op:], r.src[at:at+size])
	r.at, r.bits, r.n = at+size, 0, 0
	return op + size, nil
}

// bulk decodes a compressed block as long as neither the input nor the room can
// end within a step: there is much less to ask. It tells whether the block has
// ended.
func (r *bitReader) bulk(dst []byte, op int, lit *[litTable]uint32, dist *[distTable]uint32) (filled int, end bool, err error) {
	const (
		reads  = 16      // bytes of input that a step looks at
		writes = 258 + 8 // bytes of output that one makes, and those that the next overwrites
	)
	src, at, hold, n := r.src, r.at, r.bits, r.n
	for len(src)-at >= reads && len(dst)-op >= writes {
		hold |= binary.LittleEndian.Uint64(src[at:]) << (n & 63)
		at += int((63 - n) >> 3)
		n |= 56
		e := lit[hold&(1<<litBits-1)]
		if e&flagLiteral != 0 {
			hold >>= e & 31
			n -= uint(e & 31)
			dst[op] = byte(e >> 16)
			op++
			if e = lit[hold&(1<<litBits-1)]; e&flagLiteral != 0 {
				hold >>= e & 31
				n -= uint(e & 31)
				dst[op] = byte(e >> 16)
				op++
				if e = lit[hold&(1<<litBits-1)]; e&flagLiteral != 0 {
					hold >>= e & 31
					n -= uint(e & 31)
					dst[op] = byte(e >> 16)
					op++
					continue
				}
			}
			// A length takes at most 20 bits, a distance 28.
			hold |= binary.LittleEndian.Uint64(src[at:]) << (n & 63)
			at += int((63 - n) >> 3)
			n |= 56
		}
		if e&flagSpecial != 0 {
			if e&flagSubtable != 0 {
				hold >>= litBits
				n -= litBits
				e = lit[e>>16+uint32(hold)&(1<<(e>>8&15)-1)]
			}
			if e&flagSpecial != 0 {
				if e&flagEnd == 0 {
					return op, false, errDeflate
				}
				r.at, r.bits, r.n = at, hold>>(e&31), n-uint(e&31)
				return op, true, nil
			}
			if e&flagLiteral != 0 {
				hold >>= e & 31
				n -= uint(e & 31)
				dst[op] = byte(e >> 16)
				op++
				continue
			}
		}
		hold >>= e & 31
		extra := e >> 8 & 15
		length := int(e>>16) + int(hold&(1<<extra-1))
		hold >>= extra
		n -= uint(e&31 + extra)

		e = dist[hold&(1<<distBits-1)]
		if e&(flagSpecial|flagSubtable) == flagSpecial|flagSubtable {
			hold >>= distBits
			n -= distBits
			e = dist[e>>16+uint32(hold)&(1<<(e>>8&15)-1)]
		}
		if e&flagSpecial != 0 {
			return op, false, errDeflate
		}
		hold >>= e & 31
		extra = e >> 8 & 15
		distance := int(e>>16) + int(hold&(1<<extra-1))
		hold >>= extra
		n -= uint(e&31 + extra)
		from := op - distance
		if from < 0 {
			return op, false, errDeflate
		}
		end := op + length
		if distance < 8 {
			for ; op < end; op++ {
				dst[op] = dst[from]
				from++
			}
			continue
		}
		for op < end {
			binary.LittleEndian.PutUint64(dst[op:], binary.LittleEndian.Uint64(dst[from:]))
			op += 8
			from += 8
		}
		op = end
	}
	r.at, r.bits, r.n = at, hold, n
	return op, false, nil
}

// block decodes a compressed block.
func (r *bitReader) block(dst []byte, op int, lit *[litTable]uint32, dist *[distTable]uint32, prefix bool) (int, error) {
	op, end, err := r.bulk(dst, op, lit, dist)
	if end || err != nil {
		return op, err
	}
	src, at, hold, n := r.src, r.at, r.bits, r.n
	for {
		// A literal or length takes at most 20 bits, a distance 28.
		if n < 48 {
			if len(src)-at >= 8 {
				hold |= binary.LittleEndian.Uint64(src[at:]) << (n & 63)
				at += int((63 - n) >> 3)
				n |= 56
			} else {
				for n <= 55 && at < len(src) {
					hold |= uint64(src[at]) << (n & 63)
					at++
					n += 8
				}
			}
		}
		e := lit[hold&(1<<litBits-1)]
		if e&(flagSpecial|flagSubtable) == flagSpecial|flagSubtable {
			if n < litBits {
				return op, errShort
			}
			hold >>= litBits
			n -= litBits
			e = lit[e>>16+uint32(hold)&(1<<(e>>8&15)-1)]
		}
		width := uint(e & 31)
		if n < width {
			return op, errShort
		}
		hold >>= width
		n -= width
		if e&flagLiteral != 0 {
			if op >= len(dst) {
				if prefix {
					return op, nil
				}
				return op, errLong
			}
			dst[op] = byte(e >> 16)
			op++
			continue
		}
		if e&flagSpecial != 0 {
			if e&flagEnd == 0 {
				return op, errDeflate
			}
			r.at, r.bits, r.n = at, hold, n
			return op, nil
		}
		extra := uint(e >> 8 & 15)
		length := int(e>>16) + int(hold&(1<<extra-1))
		if n < extra {
			return op, errShort
		}
		hold >>= extra
		n -= extra

		e = dist[hold&(1<<distBits-1)]
		if e&(flagSpecial|flagSubtable) == flagSpecial|flagSubtable {
			if n < distBits {
				return op, errShort
			}
			hold >>= distBits
			n -= distBits
			e = dist[e>>16+uint32(hold)&(1<<(e>>8&15)-1)]
		}
		width = uint(e & 31)
		extra = uint(e >> 8 & 15)
		if n < width+extra {
			return op, errShort
		}
		if e&flagSpecial != 0 {
			return op, errDeflate
		}
		hold >>= width
		distance := int(e>>16) + int(hold&(1<<extra-1))
		hold >>= extra
		n -= width + extra

		if distance > op {
			return op, errDeflate
		}
		if length > len(dst)-op {
			if !prefix {
				return op, errLong
			}
			length = len(dst) - op
		}
		from := op - distance
		switch {
		case distance >= 8 && len(dst)-op >= length+8:
			// Up to seven bytes too many: the next ones overwrite them.
			end := op + length
			for {
				binary.LittleEndian.PutUint64(dst[op:], binary.LittleEndian.Uint64(dst[from:]))
				op += 8
				from += 8
				if op >= end {
					break
				}
			}
			op = end
		case distance >= length:
			op += copy(dst[op:op+length], dst[from:from+length])
		default:
			for range length {
				dst[op] = dst[from]
				op++
				from++
			}
		}
		if prefix && op == len(dst) {
			return op, nil
		}
	}
}
