package diff

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"strconv"
)

// appendBinaryPatch writes both contents, so that the patch applies forward
// and in reverse. Git may write a delta instead, whichever is shorter.
func appendBinaryPatch(out, old, new []byte) []byte {
	out = append(out, "GIT binary patch\n"...)
	out = appendLiteral(out, new)
	return appendLiteral(out, old)
}

func appendLiteral(out, data []byte) []byte {
	const perLine = 52
	out = append(out, "literal "...)
	out = strconv.AppendInt(out, int64(len(data)), 10)
	out = append(out, '\n')
	packed := deflate(data)
	for len(packed) > 0 {
		n := min(len(packed), perLine)
		if n <= 26 {
			out = append(out, 'A'+byte(n-1))
		} else {
			out = append(out, 'a'+byte(n-27))
		}
		out = appendBase85(out, packed[:n])
		out = append(out, '\n')
		packed = packed[n:]
	}
	return append(out, '\n')
}

func deflate(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(data) // a Buffer does not fail
	w.Close()
	return b.Bytes()
}

// appendBase85 writes every four bytes as five digits of git's own alphabet.
func appendBase85(out, data []byte) []byte {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
	for len(data) > 0 {
		var group [4]byte
		n := copy(group[:], data)
		v := binary.BigEndian.Uint32(group[:])
		var five [5]byte
		for i := 4; i >= 0; i-- {
			five[i] = digits[v%85]
			v /= 85
		}
		out = append(out, five[:]...)
		data = data[n:]
	}
	return out
}
