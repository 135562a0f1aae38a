package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// The directories below a bucket's root.
const (
	itemsDir = "items"
	tmpDir   = "tmp"
)

// Bucket is a cairn.FileBucket in a directory. It may be used concurrently.
type Bucket struct {
	root *os.Root

	// places is held for reading while a directory is made and filled, for
	// writing while empty ones are removed.
	places sync.RWMutex
	synced syncedDirs
}

var _ cairn.FileBucket = (*Bucket)(nil)

// Open opens the bucket in the directory root, making it if there is none, and
// removes what a crash left half written. No other process may use it.
func Open(root string) (*Bucket, error) {
	b, err := open(root)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", root, err)
	}
	return b, nil
}

func open(path string) (*Bucket, error) {
	// Temp's files are found by their name wherever the process goes.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	b := &Bucket{root: root}
	for _, make := range []func() error{
		func() error { return root.RemoveAll(tmpDir) },
		func() error { return root.MkdirAll(tmpDir, 0o700) },
		func() error { return root.MkdirAll(itemsDir, 0o700) },
		func() error { return syncDir(root, ".") },
		func() error { return syncOutside(filepath.Dir(path)) },
	} {
		if err := make(); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	return b, nil
}

// Close gives up the directory. Files that were opened stay open.
func (b *Bucket) Close() error { return b.root.Close() }

// Temp makes an empty file on the bucket's file system, which PutFile can store
// without a copy. The caller closes it and removes its name.
func (b *Bucket) Temp() (*os.File, error) {
	f, err := b.root.OpenFile(tmpDir+"/"+rand.Text(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, unavailable("make a temporary file", err)
	}
	return f, nil
}

// Put stores size bytes from r. If the key is there already, with as many
// bytes, r is not read.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if size < 0 {
		return cairn.Errorf(cairn.Invalid, "put %s: size %d", key, size)
	}
	if found, err := b.have(ctx, key, size); found || err != nil {
		return err
	}
	f, err := b.Temp()
	if err != nil {
		return err
	}
	name := tmpDir + "/" + filepath.Base(f.Name())
	defer b.root.Remove(name) // what stays is removed when the bucket is opened again
	if err := errors.Join(fill(ctx, f, r, size), f.Close()); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return b.place(key, name, size)
}

// PutFile stores the file under its present length. Where the file system
// allows it, as it does for those that Temp makes, it is not copied.
func (b *Bucket) PutFile(ctx context.Context, key string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return unavailable("put "+key, err)
	}
	if found, err := b.have(ctx, key, info.Size()); found || err != nil {
		return err
	}
	name, ok := b.link(f, info)
	if !ok {
		return b.Put(ctx, key, io.NewSectionReader(f, 0, info.Size()), info.Size())
	}
	defer b.root.Remove(name)
	if err := f.Sync(); err != nil {
		return unavailable("put "+key, err)
	}
	return b.place(key, name, info.Size())
}

// link gives a file another name, in the temporary directory. It tells whether
// that was possible and the name is really the file's.
func (b *Bucket) link(f *os.File, info fs.FileInfo) (string, bool) {
	name := tmpDir + "/" + rand.Text()
	if os.Link(f.Name(), filepath.Join(b.root.Name(), name)) != nil {
		return "", false
	}
	if linked, err := b.root.Lstat(name); err != nil || !os.SameFile(linked, info) {
		b.root.Remove(name)
		return "", false
	}
	return name, true
}

// have tells whether the key is there already, in which case it makes sure that
// it stays.
func (b *Bucket) have(ctx context.Context, key string, size int64) (bool, error) {
	item, err := b.Stat(ctx, key)
	switch {
	case errors.Is(err, cairn.NotFound):
		return false, nil
	case err != nil:
		return false, err
	case item.Size != size:
		return false, otherBytes(key, item.Size, size)
	}
	// It may have been linked a moment ago, by someone who is about to sync.
	b.places.RLock()
	defer b.places.RUnlock()
	if err := b.synced.sync(b.root, dirOf(key)); err != nil {
		return false, unavailable("put "+key, err)
	}
	return true, nil
}

func otherBytes(key string, have, want int64) error {
	return cairn.Errorf(cairn.Conflict, "put %s: the key holds other bytes: %d of them, not %d", key, have, want)
}

// fill writes exactly size bytes and syncs them.
func fill(ctx context.Context, f *os.File, r io.Reader, size int64) error {
	r = &contextReader{ctx, r}
	n, err := io.Copy(f, io.LimitReader(r, size))
	if err != nil {
		return sourceOrDisk(err)
	}
	if n < size {
		return cairn.Errorf(cairn.Invalid, "%d bytes announced, %d came: %w", size, n, io.ErrUnexpectedEOF)
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return cairn.Errorf(cairn.Invalid, "%d bytes announced, more came", size)
	case err != io.EOF:
		return sourceOrDisk(err)
	}
	if err := f.Sync(); err != nil {
		return unavailable("sync", err)
	}
	return nil
}

// contextReader stops reading when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// sourceOrDisk makes an error of the file system Unavailable and leaves one of
// the caller's reader as it is.
func sourceOrDisk(err error) error {
	var disk *fs.PathError
	if errors.As(err, &disk) {
		return unavailable("write", err)
	}
	return err
}

func unavailable(what string, err error) error {
	return cairn.Errorf(cairn.Unavailable, "%s: %w", what, err)
}

// place links a synced temporary file to its place, unless the key is there.
func (b *Bucket) place(key, name string, size int64) error {
	b.places.RLock()
	defer b.places.RUnlock()
	dir, path := dirOf(key), pathOf(key)
	if err := b.root.MkdirAll(dir, 0o700); err != nil {
		return unavailable("put "+key, err)
	}
	err := b.root.Link(name, path)
	if errors.Is(err, fs.ErrExist) {
		info, err := b.root.Lstat(path)
		if err != nil {
			return unavailable("put "+key, err)
		}
		if info.Size() != size {
			return otherBytes(key, info.Size(), size)
		}
	} else if err != nil {
		return unavailable("put "+key, err)
	}
	if err := b.synced.sync(b.root, dir); err != nil {
		return unavailable("put "+key, err)
	}
	return nil
}

// Get opens the item and reads from there. The reader knows io.WriterTo, so
// that io.Copy to a socket need not pass the bytes through memory.
func (b *Bucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, cairn.Errorf(cairn.Invalid, "get %s: offset %d", key, offset)
	}
	f, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && offset > 0 {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, unavailable("get "+key, errors.Join(err, f.Close()))
	}
	rest := max(info.Size()-offset, 0)
	if length < 0 || length > rest {
		length = rest
	}
	return &section{io.LimitedReader{R: f, N: length}, f}, nil
}

// section is a part of a file.
type section struct {
	io.LimitedReader
	file *os.File
}

func (s *section) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, &s.LimitedReader) }

func (s *section) Close() error { return s.file.Close() }

// Open opens the item's file for reading.
func (b *Bucket) Open(ctx context.Context, key string) (*os.File, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	f, err := b.root.Open(pathOf(key))
	if err != nil {
		return nil, missing(key, err)
	}
	return f, nil
}

// Stat describes an item; it was stored when its file was last written.
func (b *Bucket) Stat(ctx context.Context, key string) (cairn.BucketItem, error) {
	if err := check(ctx, key); err != nil {
		return cairn.BucketItem{}, err
	}
	info, err := b.root.Lstat(pathOf(key))
	if err != nil {
		return cairn.BucketItem{}, missing(key, err)
	}
	return item(key, info), nil
}

func item(key string, info fs.FileInfo) cairn.BucketItem {
	return cairn.BucketItem{Key: key, Size: info.Size(), StoredAt: info.ModTime().UTC()}
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return unavailable("bucket", err)
	}
	return cairn.CheckBucketKey(key)
}

// missing explains why an item could not be opened.
func missing(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return cairn.Errorf(cairn.NotFound, "%s not found in the bucket", key)
	}
	return unavailable("open "+key, err)
}

// Delete removes an item and the directories that it leaves empty.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := b.root.Remove(pathOf(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable("delete "+key, err)
	}
	b.prune(dirOf(key))
	return nil
}

// prune removes directories from the inside out as long as they are empty. It
// is not worth waiting for: what stays now goes with a later item.
func (b *Bucket) prune(dir string) {
	if !b.places.TryLock() {
		return
	}
	defer b.places.Unlock()
	for ; dir != itemsDir; dir = filepath.Dir(dir) {
		if b.root.Remove(dir) != nil {
			return
		}
		b.synced.forget(dir)
	}
}
