package dir

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Every key has a place of its own below the items, whatever the key says.
func FuzzPath(f *testing.F) {
	for _, key := range []string{"a", "a/b", "acme/packs/4f2c.pack", "..a/.b", "a/../b", "/a", "a//b", "-/_", "+a/b", strings.Repeat("a", 300)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if cairn.CheckBucketKey(key) != nil {
			return
		}
		path := pathOf(key)
		if !filepath.IsLocal(path) || filepath.Clean(path) != path || !strings.HasPrefix(path, itemsDir+"/") {
			t.Fatalf("key %q has the path %q", key, path)
		}
		segments := strings.Split(strings.TrimPrefix(path, itemsDir+"/"), "/")
		if !strings.HasPrefix(segments[len(segments)-2], fanMark) {
			t.Fatalf("key %q has the path %q without a fan", key, path)
		}
		back := strings.Join(append(segments[:len(segments)-2], segments[len(segments)-1]), "/")
		if back != key {
			t.Fatalf("key %q has the path of %q", key, back)
		}
		for _, segment := range segments {
			if len(segment) > 255 {
				t.Fatalf("a segment of %d bytes", len(segment))
			}
		}
	})
}
