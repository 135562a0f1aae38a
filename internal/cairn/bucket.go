package cairn

import (
	"context"
	"io"
	"os"
	"strings"
	"time"
)

// Bucket holds immutable bytes under keys: packs, indexes, sidecars. A key is
// one that CheckBucketKey accepts; any other is Invalid.
// storage/storagetest is the suite that defines it. All methods may be called
// concurrently.
type Bucket interface {
	// Put stores size bytes from r under key, all or nothing, durable when it
	// returns nil. Storing the same bytes again is fine, and r need not be read
	// then; a key is never given other bytes, and to try with another size is
	// a Conflict. An r that ends early or late is Invalid and stores nothing;
	// an error of r is returned in the chain.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get reads length bytes from offset, or to the end if length is negative
	// or reaches past it; there is nothing to read at or after the end. It
	// returns NotFound for an absent key, Invalid for a negative offset. What
	// is being read when the key is deleted may end with an error.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat returns NotFound for an absent key.
	Stat(ctx context.Context, key string) (BucketItem, error)
	// List returns up to limit items whose key starts with prefix and comes
	// after the given key, in byte order. Items that come or go meanwhile are
	// in it or not.
	List(ctx context.Context, prefix, after string, limit int) ([]BucketItem, error)
	// Delete removes a key, durable or not; removing an absent one is fine.
	Delete(ctx context.Context, key string) error
}

// BucketItem describes what lies under a key.
type BucketItem struct {
	Key      string
	Size     int64
	StoredAt time.Time
}

// FileBucket is a Bucket whose items can be had as local files, to be mapped
// into memory. The file stays readable after its key is deleted.
type FileBucket interface {
	Bucket
	// Open returns NotFound for an absent key. The caller closes the file.
	Open(ctx context.Context, key string) (*os.File, error)
	// PutFile is Put of a whole local file, which may then be stored without
	// a copy: the caller must not write to it any more. The caller still
	// closes it and removes its name.
	PutFile(ctx context.Context, key string, f *os.File) error
}

// The longest key and the longest of its segments, in bytes.
const (
	MaxBucketKey     = 1024
	MaxBucketSegment = 200
)

// CheckBucketKey returns Invalid unless the key is made of segments of ASCII
// letters, digits, '.', '_' and '-', parted by single slashes, none of which
// consists of dots only.
func CheckBucketKey(key string) error {
	ok := len(key) <= MaxBucketKey
	for segment := range strings.SplitSeq(key, "/") {
		ok = ok && len(segment) <= MaxBucketSegment && strings.Trim(segment, ".") != ""
		for i := range len(segment) {
			c := segment[i]
			ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
		}
	}
	if !ok {
		return Errorf(Invalid, "bucket key %q: use segments of letters, digits and \"._-\" with slashes between", Clip(key))
	}
	return nil
}
