package service

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// A cursor says where a listing goes on. To callers it is opaque text: the
// base64 form of a version, a checksum and a position. The checksum covers the
// repository and the query, so that a cursor of one listing is refused by
// another instead of giving a page that looks right. It keeps no secret and
// needs none: a position only says after what, within the things that its
// caller may list anyway.
const (
	cursorVersion = 1
	cursorSum     = 8
	// maxCursor bounds what is decoded: a position holds at most one path
	// or ref name and some numbers.
	maxCursor = 8 << 10
)

// query is what a cursor is bound to: the listing's name, the repository or
// organization, and every parameter but the page's own.
type query []string

// cursor returns the text that stands for a position.
func (q query) cursor(position ...string) string {
	body := strings.Join(position, "\x00")
	sum := q.sum(body)
	b := make([]byte, 0, 1+cursorSum+len(body))
	b = append(b, cursorVersion)
	b = append(b, sum[:cursorSum]...)
	b = append(b, body...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// position reads a cursor of exactly that many fields; an empty one gives
// nil: the listing's start.
func (q query) position(cursor string, fields int) ([]string, error) {
	if cursor == "" {
		return nil, nil
	}
	bad := cairn.Errorf(cairn.Invalid, "invalid cursor: use next_cursor of the same listing with the same parameters")
	if len(cursor) > maxCursor {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < 1+cursorSum || b[0] != cursorVersion {
		return nil, bad
	}
	body := string(b[1+cursorSum:])
	if sum := q.sum(body); string(sum[:cursorSum]) != string(b[1:1+cursorSum]) {
		return nil, bad
	}
	position := strings.Split(body, "\x00")
	if len(position) != fields {
		return nil, bad
	}
	return position, nil
}

func (q query) sum(body string) [sha256.Size]byte {
	h := sha256.New()
	for _, field := range append(q[:len(q):len(q)], body) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write([]byte(field))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// clampLimit gives a page's size: the default if none is asked for, never
// more than the greatest.
func clampLimit(limit, def, greatest int) int {
	if limit <= 0 {
		return def
	}
	return min(limit, greatest)
}
