package protocol

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
)

// Filter says which objects a partial clone leaves out. Combined filters leave
// out what any of them does, so that any combination of the filters that are
// allowed comes down to one bound of each kind. The zero value leaves out
// nothing. Filters are comparable: equal ones leave out the same.
//
// What the client names in its wants is sent whatever the filter says.
type Filter struct {
	// Each bound is stored plus one, so that zero is "no bound".
	blobs uint64
	depth uint64
	types uint8 // bit set by object type; 0 is all of them
}

// BlobLimit returns the size in bytes from which on blobs are left out; 0
// leaves out all of them. False if blobs of any size are included.
func (f Filter) BlobLimit() (int64, bool) { return int64(f.blobs - 1), f.blobs > 0 }

// TreeDepth returns the depth below the root tree, itself at depth 0, from
// which on trees and blobs are left out. False if there is no such bound.
func (f Filter) TreeDepth() (int, bool) { return int(f.depth - 1), f.depth > 0 }

// Includes tells whether objects of the type are included at all, whatever
// their size or depth.
func (f Filter) Includes(t git.ObjectType) bool {
	switch {
	case f.types != 0 && f.types&(1<<t) == 0:
		return false
	case t == git.TreeObject:
		return f.depth != 1
	case t == git.BlobObject:
		return f.depth != 1 && f.blobs != 1
	}
	return true
}

// IncludesBlob tells whether a blob of that many bytes is included, as far as
// its size decides.
func (f Filter) IncludesBlob(size int64) bool {
	limit, ok := f.BlobLimit()
	return f.Includes(git.BlobObject) && (!ok || size < limit)
}

// IsZero tells whether nothing is left out.
func (f Filter) IsZero() bool { return f == Filter{} }

// String returns the filter as ParseFilter reads it; empty for none.
func (f Filter) String() string {
	var parts []string
	if limit, ok := f.BlobLimit(); ok && limit == 0 {
		parts = append(parts, "blob:none")
	} else if ok {
		parts = append(parts, fmt.Sprintf("blob:limit=%d", limit))
	}
	if depth, ok := f.TreeDepth(); ok {
		parts = append(parts, fmt.Sprintf("tree:%d", depth))
	}
	if f.types == noTypes {
		parts = append(parts, "object:type=blob", "object:type=tree")
	} else if f.types != 0 {
		for t := git.CommitObject; t <= git.TagObject; t++ {
			if f.types&(1<<t) != 0 {
				parts = append(parts, "object:type="+t.String())
			}
		}
	}
	switch len(parts) {
	case 0:
		return ""
	case 1:
		return parts[0]
	}
	for i, p := range parts {
		parts[i] = url.QueryEscape(p)
	}
	return "combine:" + strings.Join(parts, "+")
}

// noTypes is what two different object:type filters have in common: a bit
// that stands for no type.
const noTypes = 1

// maxFilterLength is the longest filter specification that is looked at.
const maxFilterLength = 4096

// maxFilterNesting is how deep "combine:" may hold "combine:".
const maxFilterNesting = 4

// ParseFilter reads a filter specification (git-rev-list(1), --filter):
// blob:none, blob:limit=<n>[kmg], tree:<depth>, object:type=<type>, and
// combine: of these. All others are refused: sparse:oid=<blob> makes the
// server read a file of the caller's choosing at every path it walks.
func ParseFilter(s string) (Filter, error) { return parseFilter(s, DefaultLimits().Filters) }

func parseFilter(s string, most int) (Filter, error) {
	if len(s) > maxFilterLength {
		return Filter{}, &LimitError{Limit: "bytes in a filter", Max: maxFilterLength}
	}
	p := filterParser{left: most, most: most}
	err := p.add(s, 0)
	if err != nil {
		return Filter{}, err
	}
	return p.filter, nil
}

type filterParser struct {
	filter     Filter
	left, most int
}

func (p *filterParser) add(s string, nesting int) error {
	if list, ok := strings.CutPrefix(s, "combine:"); ok {
		if nesting == maxFilterNesting {
			return &LimitError{Limit: "levels of combined filters", Max: maxFilterNesting}
		}
		return p.combine(list, nesting+1)
	}
	if p.left--; p.left < 0 {
		return &LimitError{Limit: "combined filters", Max: p.most}
	}
	return p.simple(s)
}

func (p *filterParser) combine(list string, nesting int) error {
	if list == "" {
		return malformed("filter: expected something after combine:")
	}
	for part := range strings.SplitSeq(list, "+") {
		if i := strings.IndexFunc(part, reservedInFilter); i >= 0 {
			return malformed("filter: must escape %q in a combined filter", part[i])
		}
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return malformed("filter: bad escape in %q", clip(part))
		}
		if err := p.add(decoded, nesting); err != nil {
			return err
		}
	}
	return nil
}

// reservedInFilter tells the characters that git wants escaped in a combined
// filter (list-objects-filter-options.c, has_reserved_character).
func reservedInFilter(c rune) bool {
	return c <= ' ' || strings.ContainsRune("~`!@#$^&*()[]{}\\;'\",<>?", c)
}

func (p *filterParser) simple(s string) error {
	f := &p.filter
	kind, value, _ := strings.Cut(s, ":")
	switch {
	case s == "blob:none":
		f.blobs = 1
		return nil
	case strings.HasPrefix(s, "blob:limit="):
		n, err := parseSize(s[len("blob:limit="):])
		if err != nil {
			return malformed("filter %q: %w", clip(s), err)
		}
		f.blobs = tighter(f.blobs, n)
		return nil
	case kind == "tree":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return malformed("filter %q: expected tree:<depth>", clip(s))
		}
		f.depth = tighter(f.depth, n)
		return nil
	case strings.HasPrefix(s, "object:type="):
		t, err := git.ParseObjectType(s[len("object:type="):])
		if err != nil {
			return malformed("filter: %w", err)
		}
		bit := uint8(1) << t
		if f.types != 0 && f.types != bit {
			bit = noTypes
		}
		f.types = bit
		return nil
	case kind == "sparse":
		return malformed("filter %q is not supported; use blob:none, blob:limit=<n>, tree:<depth> or object:type=<type>", clip(s))
	}
	return malformed("invalid filter %q", clip(s))
}

// tighter returns the lower of a stored bound and a new one.
func tighter(stored, n uint64) uint64 {
	if stored == 0 || n+1 < stored {
		return n + 1
	}
	return stored
}

// parseSize reads a size as git does (parse.c, git_parse_ulong): decimal
// digits and a unit of k, m or g in either case.
func parseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "kmgKMG")
	unit := uint64(1)
	switch strings.ToLower(s[len(digits):]) {
	case "":
	case "k":
		unit = 1 << 10
	case "m":
		unit = 1 << 20
	case "g":
		unit = 1 << 30
	default:
		return 0, errors.New("unknown unit; use k, m or g")
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, errors.New("expected a number of bytes")
	}
	if n > (math.MaxInt64-1)/unit {
		return 0, errors.New("too large")
	}
	return n * unit, nil
}
