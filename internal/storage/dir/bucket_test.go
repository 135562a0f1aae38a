package dir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storagetest.TestBucket(t, func(t testing.TB) cairn.Bucket { return open(t, t.TempDir()) })
}

func open(t testing.TB, root string) *dir.Bucket {
	t.Helper()
	b, err := dir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// files lists the paths of all files below root.
func files(t testing.TB, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestOpenRemovesLeftovers(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "new", "bucket")
	b := open(t, root)
	f, err := b.Temp()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := b.Put(t.Context(), "a/b", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	open(t, root)
	got := files(t, root)
	if len(got) != 1 || got[0] != "items/a/+b/b" {
		t.Fatalf("got files %q, want only the item's", got)
	}
}

func TestPutFileLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	b := open(t, root)
	f, err := b.Temp()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("bytes"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutFile(t.Context(), "k", f); err != nil {
		t.Fatal(err)
	}
	stored, err := b.Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	mine, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := stored.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(mine, theirs) {
		t.Error("the file was copied")
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, root); len(got) != 1 {
		t.Errorf("got files %q, want only the item's", got)
	}
}

func TestPutFileCopiesWhatHasAnotherName(t *testing.T) {
	t.Parallel()
	b := open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.PutFile(t.Context(), "k", f); err != nil {
		t.Fatal(err)
	}
	stored, err := b.Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	got := make([]byte, 5)
	if _, err := stored.Read(got); err != nil || string(got) != "right" {
		t.Errorf("got %q, %v, want the file's own bytes", got, err)
	}
}

func TestDeleteRemovesEmptyDirectories(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	b := open(t, root)
	for _, key := range []string{"a/b/c1", "a/b/c2", "a/d"} {
		if err := b.Put(t.Context(), key, strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"a/b/c1", "a/b/c2"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "items/a/b")); !os.IsNotExist(err) {
		t.Errorf("got %v for the directory of deleted items, want none", err)
	}
	if err := b.Delete(t.Context(), "a/d"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(root, "items"))
	if err != nil || len(left) != 0 {
		t.Errorf("got %v, %v left, want nothing", left, err)
	}
}

func TestSymbolicLinksDoNotLeadOutside(t *testing.T) {
	t.Parallel()
	root, outside := t.TempDir(), t.TempDir()
	b := open(t, root)
	if err := os.MkdirAll(filepath.Join(outside, "+k"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "+k/k"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "items/a")); err != nil {
		t.Fatal(err)
	}
	if f, err := b.Open(t.Context(), "a/k"); err == nil {
		f.Close()
		t.Error("opened a file outside of the bucket")
	}
}
