package commitgraph

import (
	"context"
	"errors"
	"math/bits"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
)

// MaxChangedPaths is how many paths, directories included, a commit may change
// and still have a filter of its own.
const MaxChangedPaths = 512

// The shape of filters that are written: git's defaults.
const (
	filterHashes    = 7
	bitsPerPath     = 10
	bloomHeaderSize = 12
)

// The versions of the hash. Version 1, of git before 2.46, takes bytes as the
// machine's char: sign-extended on most machines and not on others, so that the
// same path has two hashes if it has a byte above 0x7f, and a filter does not
// tell who wrote it. Version 2 takes them as they are, so that its answers are
// right for every path on every machine; git before 2.46 reads the rest of the
// file and ignores the filters. Where no path has such a byte the two are the
// same, and the file says version 1, which every git takes.
const (
	signedHash   = 1
	unsignedHash = 2
)

// maxHashes bounds what a file may ask of a reader for each path.
const maxHashes = 64

// PathFilter holds the paths that a commit changed.
type PathFilter struct {
	bits []byte // as the file stores them
	wide bool   // a path is not ASCII
}

// TooManyPaths is the filter of a commit that changed more paths than a filter
// takes, or of which it is not known: it may have changed any.
var TooManyPaths = PathFilter{bits: []byte{0xff}}

// NewPathFilter returns the filter of a commit that changed these files.
func NewPathFilter(files []string) PathFilter {
	paths := map[string]struct{}{}
	for _, path := range files {
		for {
			if _, ok := paths[path]; ok {
				break // and so are the directories above
			}
			paths[path] = struct{}{}
			slash := strings.LastIndexByte(path, '/')
			if slash < 0 {
				break
			}
			path = path[:slash]
		}
		if len(paths) > MaxChangedPaths {
			return TooManyPaths
		}
	}
	filter := PathFilter{bits: make([]byte, max(1, (len(paths)*bitsPerPath+7)/8))}
	for path := range paths {
		filter.wide = filter.wide || !isASCII(path)
		h := hashPath(path)
		for i := range uint32(filterHashes) {
			at := h.bit(i, len(filter.bits))
			filter.bits[at/8] |= 1 << (at % 8)
		}
	}
	return filter
}

// ChangedPaths returns the filter of a commit whose tree is new, and whose
// first parent's is old; old is zero for a commit without parents.
func ChangedPaths(ctx context.Context, f git.ObjectFormat, src diff.Objects, old, new git.ObjectID) (PathFilter, error) {
	changes, err := diff.Trees(ctx, f, src, old, new, diff.TreeOptions{MaxChanges: MaxChangedPaths})
	if errors.Is(err, diff.ErrTooLarge) {
		return TooManyPaths, nil
	}
	if err != nil {
		return PathFilter{}, err
	}
	files := make([]string, len(changes))
	for i, c := range changes {
		files[i] = c.Path()
	}
	return NewPathFilter(files), nil
}

// Key is a path made ready to be asked of the filters of one Graph.
type Key struct {
	paths []pathHash // the path's and those of the directories above it
}

// NewKey returns the key of a path: a file or a directory, without slashes at
// its ends. All filters may contain the empty one, the whole tree.
func (g *Graph) NewKey(path string) Key {
	if path == "" || g.filterVersion == signedHash && !isASCII(path) {
		return Key{}
	}
	k := Key{paths: []pathHash{hashPath(path)}}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			k.paths = append(k.paths, hashPath(path[:i]))
		}
	}
	return k
}

// NewShallowKey returns the key of a path alone. A filter that may contain it
// may yet be known not to contain the directories above: for who asks about
// those first.
func (g *Graph) NewShallowKey(path string) Key {
	k := g.NewKey(path)
	if len(k.paths) > 1 {
		k.paths = k.paths[:1]
	}
	return k
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Filter tells which paths a commit did not change.
type Filter struct {
	bits   []byte
	hashes uint32
}

// Filter returns the filter of the commit at a position, 0 <= pos < Len; false
// if the file has none for it.
func (g *Graph) Filter(pos int) (Filter, bool) {
	if g.filterEnds == nil {
		return Filter{}, false
	}
	start, end := uint32(0), be32(g.filterEnds, pos)
	if pos > 0 {
		start = be32(g.filterEnds, pos-1)
	}
	if start >= end || uint64(end) > uint64(len(g.filters)) {
		return Filter{}, false
	}
	return Filter{g.filters[start:end], g.filterHashes}, true
}

// MayContain tells whether the commit may have changed the path, or something
// below it, against its first parent. False is certain; true is not.
func (f Filter) MayContain(k Key) bool {
	for _, h := range k.paths {
		for i := range f.hashes {
			at := h.bit(i, len(f.bits))
			if f.bits[at/8]&(1<<(at%8)) == 0 {
				return false
			}
		}
	}
	return true
}

// pathHash is a path's two hashes, of which all others are made.
type pathHash [2]uint32

func hashPath(path string) pathHash {
	return pathHash{murmur3(0x293ae76f, path), murmur3(0x7e646e2c, path)}
}

// bit is the i-th bit of the path in a filter of that many bytes.
func (h pathHash) bit(i uint32, size int) uint64 {
	return uint64(h[0]+i*h[1]) % (uint64(size) * 8)
}

// murmur3 is MurmurHash3's variant of 32 bits.
func murmur3(h uint32, s string) uint32 {
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*0xcc9e2d51, 15) * 0x1b873593 }
	n := len(s)
	for ; len(s) >= 4; s = s[4:] {
		h ^= mix(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	var tail uint32
	for i := range len(s) {
		tail |= uint32(s[i]) << (8 * i)
	}
	h ^= mix(tail)
	h ^= uint32(n)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
