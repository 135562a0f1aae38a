package cairn

import (
	"context"
	"io"
	"os"
	"time"
)

// Bucket holds immutable bytes under keys: packs, indexes, sidecars. A key is
// a slash-separated name of ASCII letters, digits, '.', '_' and '-'.
// storage/storagetest is the suite that defines it. All methods may be called
// concurrently.
type Bucket interface {
	// Put stores size bytes from r under key, all or nothing, durable when it
	// returns nil. Storing the same bytes again is fine; a key is never given
	// other bytes. An r that ends early or late is an error and stores
	// nothing.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get reads length bytes from offset, or to the end if length is negative
	// or reaches past it. It returns NotFound for an absent key.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// Stat returns NotFound for an absent key.
	Stat(ctx context.Context, key string) (BucketItem, error)
	// List returns up to limit items whose key starts with prefix and comes
	// after the given key, in byte order.
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
