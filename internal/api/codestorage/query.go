package codestorage

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// first returns the first of some parameters, names of the same thing with the
// preferred one first, that has a value.
func (r *request) first(names ...string) string {
	for _, name := range names {
		if v := r.query.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// boolean reads a flag: the words true and false are all there is.
func (r *request) boolean(fallback bool, names ...string) (bool, error) {
	for _, name := range names {
		if !r.query.Has(name) {
			continue
		}
		switch v := r.query.Get(name); v {
		case "true":
			return true, nil
		case "false":
			return false, nil
		default:
			return false, cairn.Errorf(cairn.Invalid, "%s is %q: use true or false", name, cairn.Clip(v))
		}
	}
	return fallback, nil
}

// flags reads several flags that are off by default.
func (r *request) flags(into map[string]*bool) error {
	for name, value := range into {
		var err error
		if *value, err = r.boolean(false, name); err != nil {
			return err
		}
	}
	return nil
}

// limit reads the size of a page. 0 means the default; more than the greatest
// is the greatest.
func (r *request) limit(greatest int) (int, error) {
	v := r.query.Get("limit")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if errors.Is(err, strconv.ErrRange) && n > 0 {
		return greatest, nil
	}
	if err != nil || n < 0 {
		return 0, cairn.Errorf(cairn.Invalid, "limit is %q: use a number from 1 to %d", cairn.Clip(v), greatest)
	}
	return min(n, greatest), nil
}

// revision reads a revision and the flag that says where its names are.
func (r *request) revision(ephemeral string, names ...string) (service.Revision, error) {
	in, err := r.boolean(false, ephemeral)
	return service.Revision{Name: r.first(names...), Ephemeral: in, At: r.at}, err
}

// time reads a time of the query; the zero time if there is none.
func (r *request) time(name string) (time.Time, error) {
	return parseTime(name, strings.Replace(r.query.Get(name), " ", "+", 1)) // a plus that nobody escaped
}

// parseTime reads a time that is called so; empty is the zero time.
func parseTime(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, cairn.Errorf(cairn.Invalid, "%s is %q: use a time of the form 2006-01-02T15:04:05Z", name, cairn.Clip(text))
	}
	return t, nil
}

// oneOf returns the first value that is not empty: the preferred name of
// something comes before its old one.
func oneOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// anyOf returns the first flag that is there.
func anyOf(values ...*bool) bool {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return false
}

// timestamp writes a time as the API does.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// page is the end of every listing.
type page struct {
	NextCursor string `json:"next_cursor,omitempty"`
	HasMore    bool   `json:"has_more"`
}

func newPage(next string) page { return page{next, next != ""} }
