package pack

// deltaHeader reads the sizes that start a delta and returns its instructions.
func deltaHeader(delta []byte) (base, result int64, rest []byte, err error) {
	base, rest, ok := deltaSize(delta)
	if ok {
		result, rest, ok = deltaSize(rest)
	}
	if !ok {
		return 0, 0, nil, malformed("delta without its sizes")
	}
	return base, result, rest, nil
}

// maxDeltaHeader bounds the two sizes that start a delta.
const maxDeltaHeader = 20

func deltaSize(b []byte) (int64, []byte, bool) {
	var n int64
	for i, c := range b {
		if i == 9 {
			return 0, nil, false
		}
		n |= int64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return n, b[i+1:], n < maxStoredSize
		}
	}
	return 0, nil, false
}

// ApplyDelta returns the object that delta makes of base. It refuses a result
// larger than maxSize (if positive) with a *LimitError before it allocates,
// and every delta that does not fit base exactly.
func ApplyDelta(base, delta []byte, maxSize int64) ([]byte, error) {
	baseSize, size, ops, err := deltaHeader(delta)
	if err != nil {
		return nil, err
	}
	if err := checkDelta(int64(len(base)), baseSize, size, ops); err != nil {
		return nil, err
	}
	if err := checkObjectSize(size, maxSize); err != nil {
		return nil, err
	}
	result := make([]byte, size)
	patch(result, base, ops)
	return result, nil
}

// checkDelta reads the instructions without carrying them out. After it patch
// cannot go out of bounds, and the claimed size is known to be true.
func checkDelta(gotBase, baseSize, size int64, ops []byte) error {
	if gotBase != baseSize {
		return malformed("delta is for a base of %d bytes, not %d", baseSize, gotBase)
	}
	var total int64
	for i := 0; i < len(ops); {
		c := ops[i]
		i++
		switch {
		case c&0x80 != 0:
			need := int(copyArguments[c&0x7f])
			if len(ops)-i < need {
				return malformed("truncated delta")
			}
			off, n, used := copyArgs(c, ops[i:])
			i += used
			if off+n > gotBase {
				return malformed("delta copies from beyond its base")
			}
			total += n
		case c != 0:
			if len(ops)-i < int(c) {
				return malformed("truncated delta")
			}
			i += int(c)
			total += int64(c)
		default:
			return malformed("delta with a reserved instruction")
		}
		if total > size {
			return malformed("delta makes more than the %d bytes it claims", size)
		}
	}
	if total != size {
		return malformed("delta makes %d bytes, not the %d it claims", total, size)
	}
	return nil
}

// copyArguments holds how many argument bytes follow a copy instruction.
var copyArguments = func() (t [128]byte) {
	for i := range t {
		for b := i; b != 0; b &= b - 1 {
			t[i]++
		}
	}
	return t
}()

// copyArgs reads the arguments of the copy instruction c; b holds them all.
func copyArgs(c byte, b []byte) (off, n int64, used int) {
	if c&0x01 != 0 {
		off = int64(b[used])
		used++
	}
	if c&0x02 != 0 {
		off |= int64(b[used]) << 8
		used++
	}
	if c&0x04 != 0 {
		off |= int64(b[used]) << 16
		used++
	}
	if c&0x08 != 0 {
		off |= int64(b[used]) << 24
		used++
	}
	if c&0x10 != 0 {
		n = int64(b[used])
		used++
	}
	if c&0x20 != 0 {
		n |= int64(b[used]) << 8
		used++
	}
	if c&0x40 != 0 {
		n |= int64(b[used]) << 16
		used++
	}
	if n == 0 {
		n = 0x10000
	}
	return off, n, used
}

// patch carries out instructions that checkDelta has passed.
func patch(dst, base, ops []byte) {
	at := 0
	for i := 0; i < len(ops); {
		c := ops[i]
		i++
		if c&0x80 == 0 {
			at += copy(dst[at:], ops[i:i+int(c)])
			i += int(c)
			continue
		}
		off, n, used := copyArgs(c, ops[i:])
		i += used
		at += copy(dst[at:], base[off:off+n])
	}
}
