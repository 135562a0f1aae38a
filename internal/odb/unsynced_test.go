package odb_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// unsynced is a bucket in a folder that does not wait for the disk, for tests
// that store very much. It does not list.
type unsynced struct{ dir string }

var _ cairn.FileBucket = unsynced{}

func (b unsynced) path(key string) string {
	return filepath.Join(b.dir, strings.ReplaceAll(key, "/", "+"))
}

func (b unsynced) Put(_ context.Context, key string, r io.Reader, size int64) error {
	f, err := os.Create(b.path(key))
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, r, size)
	return errors.Join(err, f.Close())
}

func (b unsynced) PutFile(_ context.Context, key string, f *os.File) error {
	return os.Link(f.Name(), b.path(key))
}

func (b unsynced) Open(_ context.Context, key string) (*os.File, error) {
	f, err := os.Open(b.path(key))
	if errors.Is(err, os.ErrNotExist) {
		err = cairn.Errorf(cairn.NotFound, "%w", err)
	}
	return f, err
}

func (b unsynced) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	f, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	if length < 0 {
		length = 1 << 62
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, length), f}, nil
}

func (b unsynced) Stat(_ context.Context, key string) (cairn.BucketItem, error) {
	info, err := os.Stat(b.path(key))
	if errors.Is(err, os.ErrNotExist) {
		err = cairn.Errorf(cairn.NotFound, "%w", err)
	}
	if err != nil {
		return cairn.BucketItem{}, err
	}
	return cairn.BucketItem{Key: key, Size: info.Size(), StoredAt: info.ModTime()}, nil
}

func (b unsynced) List(context.Context, string, string, int) ([]cairn.BucketItem, error) {
	return nil, errors.ErrUnsupported
}

func (b unsynced) Delete(_ context.Context, key string) error {
	if err := os.Remove(b.path(key)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
