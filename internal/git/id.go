package git

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"

	"github.com/pjbgf/sha1cd"
)

// ObjectFormat is the hash function that names a repository's objects. It is
// carried per repository; only SHA1 is offered today.
type ObjectFormat uint8

// The object formats that Git knows, with the sizes of their ids in bytes.
const (
	SHA1   ObjectFormat = 20
	SHA256 ObjectFormat = 32
)

// ParseObjectFormat reads the name that Git uses in `--object-format`.
func ParseObjectFormat(s string) (ObjectFormat, error) {
	switch s {
	case "sha1":
		return SHA1, nil
	case "sha256":
		return SHA256, nil
	}
	return 0, fmt.Errorf("unknown object format %q", s)
}

// String returns Git's name of the format.
func (f ObjectFormat) String() string {
	switch f {
	case SHA1:
		return "sha1"
	case SHA256:
		return "sha256"
	}
	return "unknown"
}

// Size is the length of an id in bytes.
func (f ObjectFormat) Size() int { return int(f) }

// HexSize is the length of an id as text.
func (f ObjectFormat) HexSize() int { return 2 * int(f) }

// EmptyTree is the id of the tree without entries.
func (f ObjectFormat) EmptyTree() ObjectID {
	id, err := HashObject(f, TreeObject, nil)
	if err != nil {
		panic(err) // the empty tree is no collision attack
	}
	return id
}

// ObjectID names an object by the hash of its content. The zero value names
// nothing. ObjectIDs are comparable and may be map keys.
type ObjectID struct {
	sum  [32]byte
	size uint8
}

// ParseObjectID reads a full object id as lower-case hexadecimal text of
// either format.
func ParseObjectID(s string) (ObjectID, error) { return parseID(s) }

func parseID[T string | []byte](s T) (id ObjectID, err error) {
	if len(s) != SHA1.HexSize() && len(s) != SHA256.HexSize() {
		return id, fmt.Errorf("object id %q is not %d or %d hexadecimal digits", clip(string(s)), SHA1.HexSize(), SHA256.HexSize())
	}
	for i := 0; i < len(s); i += 2 {
		high, low := hexDigits[s[i]], hexDigits[s[i+1]]
		if high > 15 || low > 15 {
			return ObjectID{}, fmt.Errorf("object id %q is not lower-case hexadecimal", clip(string(s)))
		}
		id.sum[i/2] = high<<4 | low
	}
	id.size = uint8(len(s) / 2)
	return id, nil
}

// hexDigits holds the value of each lower-case hexadecimal digit, and 255 for
// all other bytes.
var hexDigits = func() (values [256]byte) {
	for c := range values {
		values[c] = 255
	}
	for i, c := range "0123456789abcdef" {
		values[c] = byte(i)
	}
	return values
}()

// MustParseObjectID is ParseObjectID for constants and tests; it panics on a
// malformed id.
func MustParseObjectID(s string) ObjectID {
	id, err := ParseObjectID(s)
	if err != nil {
		panic(err)
	}
	return id
}

// ObjectIDFromBytes copies a raw id of 20 or 32 bytes. An empty slice gives
// the zero ObjectID.
func ObjectIDFromBytes(raw []byte) (ObjectID, error) {
	var id ObjectID
	switch len(raw) {
	case 0, int(SHA1), int(SHA256):
	default:
		return id, fmt.Errorf("object id of %d bytes", len(raw))
	}
	id.size = uint8(copy(id.sum[:], raw))
	return id, nil
}

// idFrom copies an id whose length the caller has already checked.
func idFrom(f ObjectFormat, raw []byte) (id ObjectID) {
	id.size = uint8(copy(id.sum[:], raw[:f.Size()]))
	return id
}

// IsZero tells whether the id names nothing: it was never set, or it is all
// zeros as on the wire.
func (id ObjectID) IsZero() bool { return id.sum == [32]byte{} }

// Format tells which hash made the id; 0 for the zero value.
func (id ObjectID) Format() ObjectFormat { return ObjectFormat(id.size) }

// Bytes returns the raw id; nil for the zero value. The slice aliases id.
func (id *ObjectID) Bytes() []byte { return id.sum[:id.size] }

// AppendTo appends the raw id to b.
func (id ObjectID) AppendTo(b []byte) []byte { return append(b, id.sum[:id.size]...) }

// Prefix returns the first eight bytes as a number: a ready-made hash.
func (id ObjectID) Prefix() uint64 {
	s := &id.sum
	return uint64(s[0])<<56 | uint64(s[1])<<48 | uint64(s[2])<<40 | uint64(s[3])<<32 |
		uint64(s[4])<<24 | uint64(s[5])<<16 | uint64(s[6])<<8 | uint64(s[7])
}

// Compare orders ids as their raw bytes.
func (id ObjectID) Compare(other ObjectID) int { return bytes.Compare(id.sum[:], other.sum[:]) }

// appendHex appends the id as String writes it.
func (id ObjectID) appendHex(b []byte) []byte {
	if id.size == 0 {
		return append(b, ZeroHex...)
	}
	return hex.AppendEncode(b, id.sum[:id.size])
}

// String returns the id as lower-case hexadecimal; forty zeros for the zero
// value, as Git writes the absent side of a ref update.
func (id ObjectID) String() string {
	if id.size == 0 {
		return ZeroHex
	}
	return hex.EncodeToString(id.sum[:id.size])
}

// ZeroHex is the id that names nothing, as SHA-1 repositories write it.
const ZeroHex = "0000000000000000000000000000000000000000"

// MarshalText writes the id as String does.
func (id ObjectID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a full id; empty text and zeros give the zero value.
func (id *ObjectID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ObjectID{}
		return nil
	}
	parsed, err := ParseObjectID(string(text))
	if err == nil && parsed.IsZero() {
		parsed = ObjectID{}
	}
	if err == nil {
		*id = parsed
	}
	return err
}

// ErrCollision is returned for bytes that carry a SHA-1 collision attack.
var ErrCollision = errors.New("object is part of a SHA-1 collision attack")

// Hasher computes an object's id from its bytes as they pass. SHA-1 is
// computed with collision detection.
type Hasher struct {
	format ObjectFormat
	hash   hash.Hash
	buf    [32]byte
}

// NewHasher returns a Hasher of the format; call Reset before the first Write.
func NewHasher(f ObjectFormat) *Hasher {
	h := &Hasher{format: f}
	if f == SHA256 {
		h.hash = sha256.New()
	} else {
		h.hash = sha1cd.New()
	}
	return h
}

// Reset starts the object of that type and size.
func (h *Hasher) Reset(t ObjectType, size int64) {
	h.hash.Reset()
	b := append(h.buf[:0], t.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, size, 10)
	h.hash.Write(append(b, 0))
}

// Write adds content; it never fails.
func (h *Hasher) Write(p []byte) (int, error) { return h.hash.Write(p) }

// Sum returns the id, or ErrCollision.
func (h *Hasher) Sum() (ObjectID, error) {
	if cd, ok := h.hash.(sha1cd.CollisionResistantHash); ok {
		sum, collision := cd.CollisionResistantSum(h.buf[:0])
		if collision {
			return ObjectID{}, ErrCollision
		}
		return idFrom(h.format, sum), nil
	}
	return idFrom(h.format, h.hash.Sum(h.buf[:0])), nil
}

// HashObject computes the id of a whole object.
func HashObject(f ObjectFormat, t ObjectType, data []byte) (ObjectID, error) {
	h := NewHasher(f)
	h.Reset(t, int64(len(data)))
	h.Write(data)
	return h.Sum()
}

// clip shortens text from outside for an error message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
