package storagetest

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// fault is the failure of one call among many.
type fault struct {
	calls atomic.Int64
	nth   int64
	err   error
	late  bool
}

// due counts a call and tells whether it is the one that fails.
func (f *fault) due() bool { return f.calls.Add(1) == f.nth }

// Calls is how many calls there have been. A test that raises n until Calls
// stays below it has seen a failure at every place.
func (f *fault) Calls() int { return int(f.calls.Load()) }

// FaultyBucket is a bucket one of whose calls fails.
type FaultyBucket struct {
	bucket cairn.FileBucket
	fault
}

var _ cairn.FileBucket = (*FaultyBucket)(nil)

// Faulty returns a bucket whose nth call, from 1, fails with err and does
// nothing. All other calls go through to b.
func Faulty(b cairn.FileBucket, n int, err error) *FaultyBucket {
	return &FaultyBucket{b, fault{nth: int64(n), err: err}}
}

// FaultyLate is Faulty with a call that does its work before it fails: what
// it stored is stored, and what it reads breaks off in the middle.
func FaultyLate(b cairn.FileBucket, n int, err error) *FaultyBucket {
	return &FaultyBucket{b, fault{nth: int64(n), err: err, late: true}}
}

// spoil runs a call that has no result but its error.
func (f *fault) spoil(call func() error) error {
	switch {
	case !f.due():
		return call()
	case f.late:
		return errors.Join(f.err, call())
	}
	return f.err
}

// Put stores, or fails.
func (b *FaultyBucket) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	return b.spoil(func() error { return b.bucket.Put(ctx, key, r, size) })
}

// PutFile stores, or fails.
func (b *FaultyBucket) PutFile(ctx context.Context, key string, f *os.File) error {
	return b.spoil(func() error { return b.bucket.PutFile(ctx, key, f) })
}

// Delete deletes, or fails.
func (b *FaultyBucket) Delete(ctx context.Context, key string) error {
	return b.spoil(func() error { return b.bucket.Delete(ctx, key) })
}

// Get reads, or fails; when it fails late, half of the bytes come first.
func (b *FaultyBucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	due := b.due()
	if due && !b.late {
		return nil, b.err
	}
	r, err := b.bucket.Get(ctx, key, offset, length)
	if err != nil || !due {
		return r, err
	}
	item, err := b.bucket.Stat(ctx, key)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	rest := max(item.Size-offset, 0)
	if length >= 0 {
		rest = min(rest, length)
	}
	return &broken{r, rest / 2, b.err}, nil
}

// broken is a reader that ends too early, with an error.
type broken struct {
	io.ReadCloser
	left int64
	err  error
}

func (r *broken) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, r.err
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}

// Stat describes, or fails.
func (b *FaultyBucket) Stat(ctx context.Context, key string) (cairn.BucketItem, error) {
	if b.due() {
		return cairn.BucketItem{}, b.err
	}
	return b.bucket.Stat(ctx, key)
}

// List lists, or fails.
func (b *FaultyBucket) List(ctx context.Context, prefix, after string, limit int) ([]cairn.BucketItem, error) {
	if b.due() {
		return nil, b.err
	}
	return b.bucket.List(ctx, prefix, after, limit)
}

// Open opens, or fails.
func (b *FaultyBucket) Open(ctx context.Context, key string) (*os.File, error) {
	if b.due() {
		return nil, b.err
	}
	return b.bucket.Open(ctx, key)
}

// FaultyStore is a cairn.Metadata one of whose transactions fails.
type FaultyStore struct {
	metadata cairn.Metadata
	fault
}

var _ cairn.Metadata = (*FaultyStore)(nil)

// FaultyMetadata returns a store whose nth transaction, from 1, View or Update,
// fails with err without running its function. All others go through to m.
func FaultyMetadata(m cairn.Metadata, n int, err error) *FaultyStore {
	return &FaultyStore{m, fault{nth: int64(n), err: err}}
}

// FaultyMetadataLate is FaultyMetadata with a transaction that happens and then
// fails all the same, as when the connection breaks before the answer.
func FaultyMetadataLate(m cairn.Metadata, n int, err error) *FaultyStore {
	return &FaultyStore{m, fault{nth: int64(n), err: err, late: true}}
}

// View reads, or fails.
func (m *FaultyStore) View(ctx context.Context, f func(cairn.Tx) error) error {
	return m.spoil(func() error { return m.metadata.View(ctx, f) })
}

// Update writes, or fails.
func (m *FaultyStore) Update(ctx context.Context, f func(cairn.Tx) error) error {
	return m.spoil(func() error { return m.metadata.Update(ctx, f) })
}

// Close closes the store behind.
func (m *FaultyStore) Close() error { return m.metadata.Close() }

// Rerunning is a cairn.Metadata that runs every function twice, as stores may,
// and undoes the first run. A caller whose function keeps something of an
// earlier run is wrong on it.
type Rerunning struct{ cairn.Metadata }

var errAgain = errors.New("run again")

// View runs f twice.
func (m Rerunning) View(ctx context.Context, f func(cairn.Tx) error) error {
	return again(ctx, m.Metadata.View, f)
}

// Update runs f twice.
func (m Rerunning) Update(ctx context.Context, f func(cairn.Tx) error) error {
	return again(ctx, m.Metadata.Update, f)
}

func again(ctx context.Context, run func(context.Context, func(cairn.Tx) error) error, f func(cairn.Tx) error) error {
	err := run(ctx, func(tx cairn.Tx) error { return errors.Join(f(tx), errAgain) })
	if !errors.Is(err, errAgain) {
		return err // the store itself failed, before f or instead of it
	}
	return run(ctx, f)
}
