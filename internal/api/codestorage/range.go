package codestorage

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// span is a part of a file.
type span struct{ start, length int64 }

type rangeOutcome int

const (
	rangeIgnored rangeOutcome = iota // none, or one that is not understood: the whole file is sent
	rangeGood
	rangeUnsatisfiable
)

// parseRange reads the one range of a Range header (RFC 9110, section 14).
// Several ranges are ignored, as the standard allows: they cost a server much
// and nobody needs them here.
func parseRange(header string, size int64) (span, rangeOutcome) {
	set, ok := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	if !ok || strings.Contains(set, ",") {
		return span{}, rangeIgnored
	}
	from, to, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok || from == "" && to == "" {
		return span{}, rangeIgnored
	}
	first, okFirst := parseOffset(from)
	last, okLast := parseOffset(to)
	if !okFirst || !okLast {
		return span{}, rangeIgnored
	}
	if from == "" { // the last bytes
		length := min(last, size)
		if length == 0 {
			return span{}, rangeUnsatisfiable
		}
		return span{size - length, length}, rangeGood
	}
	if to == "" || last >= size {
		last = size - 1
	} else if last < first {
		return span{}, rangeIgnored
	}
	if first >= size {
		return span{}, rangeUnsatisfiable
	}
	return span{first, last - first + 1}, rangeGood
}

// parseOffset reads digits and nothing else; no digits are 0, and numbers too
// large for any file are the largest.
func parseOffset(s string) (int64, bool) {
	var n int64
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// precondition evaluates the conditions of a request in the order of RFC 9110,
// section 13.2.2; 0 means that it is to be carried out.
func precondition(r *http.Request, etag string, modified time.Time) int {
	if match := r.Header.Values("If-Match"); len(match) > 0 {
		if !matches(match, etag, false) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := date(r, "If-Unmodified-Since"); ok && modified.After(since) {
		return http.StatusPreconditionFailed
	}
	if none := r.Header.Values("If-None-Match"); len(none) > 0 {
		if matches(none, etag, true) {
			return http.StatusNotModified
		}
	} else if since, ok := date(r, "If-Modified-Since"); ok && !modified.After(since) {
		return http.StatusNotModified
	}
	return 0
}

// rangeApplies tells whether a Range header is to be looked at: If-Range, if
// there is one, must name this very version.
func rangeApplies(r *http.Request, etag string, modified time.Time) bool {
	if r.Header.Get("Range") == "" {
		return false
	}
	condition := strings.TrimSpace(r.Header.Get("If-Range"))
	if condition == "" || condition == etag {
		return true
	}
	at, ok := date(r, "If-Range")
	return ok && at.Equal(modified)
}

// matches tells whether a list of entity tags names the tag. A weak one counts
// only in a weak comparison.
func matches(lists []string, etag string, weak bool) bool {
	for _, list := range lists {
		for tag := range strings.SplitSeq(list, ",") {
			tag = strings.TrimSpace(tag)
			if weak {
				tag = strings.TrimPrefix(tag, "W/")
			}
			if tag == "*" || tag == etag {
				return true
			}
		}
	}
	return false
}

func date(r *http.Request, header string) (time.Time, bool) {
	t, err := http.ParseTime(r.Header.Get(header))
	return t, err == nil
}
