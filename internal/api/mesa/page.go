package mesa

import (
	"strconv"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of pages.
const (
	defaultLimit = 50
	maxLimit     = 100
)

// pageMarks tell where a listing goes on. They are part of every listing.
type pageMarks struct {
	NextCursor *string `json:"next_cursor"`
	HasMore    bool    `json:"has_more"`
}

// marks returns the marks of a page with that cursor of the next one, which is
// empty at the end.
func marks(next string) pageMarks {
	if next == "" {
		return pageMarks{}
	}
	return pageMarks{&next, true}
}

// page reads where a listing begins, and how much of it is wanted.
func (in *request) page() (cursor string, limit int, err error) {
	limit = defaultLimit
	if text := in.query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			return "", 0, cairn.Errorf(cairn.Invalid, "limit %q is not a number from 1 to %d", cairn.Clip(text), maxLimit)
		}
	}
	return in.query.Get("cursor"), limit, nil
}

// moment is a time as the API writes it; null for none.
func moment(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := timestamp(t)
	return &text
}

// timestamp is a time as the API writes it.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
