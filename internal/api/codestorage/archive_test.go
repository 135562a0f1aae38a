package codestorage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// entries reads a tar archive.
func entries(t *testing.T, in io.Reader) (all []string) {
	t.Helper()
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			all = append(all, "global "+h.PAXRecords["comment"])
			continue
		}
		all = append(all, fmt.Sprintf("%c %s %o %d %q %x", h.Typeflag, h.Name, h.Mode, h.ModTime.Unix(), h.Linkname, sha256.Sum256(data)))
	}
}

// TestArchiveIsGits compares with git archive.
func TestArchiveIsGits(t *testing.T) {
	t.Parallel()
	from := gittest.Random(t, 1, gittest.Options{})
	r := newWorld(t).load(t, "random", from)
	a := r.post("/api/v1/repos/archive", object{"ref": "main", "archive": object{"prefix": "a/b"}}).want(t, 200)
	unzipped, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	cmd := gittest.Command(t, from.Dir, "archive", "--format=tar", "--prefix=a/b/", "main")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	sameList(t, "archive", entries(t, unzipped), entries(t, bytes.NewReader(out)))
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename="random-main.tar.gz"` {
		t.Errorf("Content-Disposition is %q", got)
	}
	for _, prefix := range []string{"/a", "../a", "a/../b", `a\b`, "a//b", "."} {
		r.post("/api/v1/repos/archive", object{"archive": object{"prefix": prefix}}).want(t, 400)
	}
}
