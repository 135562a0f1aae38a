package dir

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// A key's directories are directories. Its last segment lies one level lower,
// in a directory named for its first characters: acme/packs/4f2c.pack is the
// file items/acme/packs/+4f/4f2c.pack. So a directory with millions of items
// stays handy, no key is in the way of another (acme/packs of
// acme/packs/4f2c.pack), and each directory can be listed in the order of keys.
const (
	fanMark = "+" // not in the alphabet of keys
	fanSize = 2
)

// pathOf returns the path of an item below the root.
func pathOf(key string) string {
	dir, name := path.Split(key)
	return itemsDir + "/" + dir + fanMark + fan(name) + "/" + name
}

// dirOf returns the directory of an item below the root.
func dirOf(key string) string { return path.Dir(pathOf(key)) }

// fan is what the names in one directory have in common.
func fan(name string) string { return name[:min(len(name), fanSize)] }

// syncedDirs knows which directories are on the disk, themselves and their
// names. The zero value knows none but the items' own.
type syncedDirs struct {
	mu    sync.Mutex
	known map[string]bool
}

// maxKnown bounds the memory for what is known; beyond it, all is forgotten.
const maxKnown = 1 << 16

// sync makes what was put into a directory durable: the directory, and the
// names of those above that are not known to be durable.
func (s *syncedDirs) sync(root *os.Root, dir string) error {
	if err := syncDir(root, dir); err != nil {
		return err
	}
	for ; dir != itemsDir && !s.has(dir); dir = path.Dir(dir) {
		if err := syncDir(root, path.Dir(dir)); err != nil {
			return err
		}
		s.add(dir)
	}
	return nil
}

func (s *syncedDirs) has(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[dir]
}

func (s *syncedDirs) add(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxKnown {
		s.known = map[string]bool{}
	}
	s.known[dir] = true
}

func (s *syncedDirs) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, dir)
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncOutside is syncDir of the directory that holds the root.
func syncOutside(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // then it is not ours, and neither was the root made by us
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// overlap tells whether keys that start with one can start with the other.
func overlap(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
