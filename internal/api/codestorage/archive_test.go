package codestorage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
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

// archived makes an archive and returns the names in it and what is not
// packed of it.
func (r *repo) archived(t *testing.T, body object) (names []string, a answer) {
	t.Helper()
	a = r.post("/api/v1/repos/archive", body).want(t, 200)
	in, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries(t, in) {
		if kind, rest, _ := strings.Cut(e, " "); kind != "global" {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names, a
}

func TestArchiveTakesWhatIsChosen(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("README.md", "hello\n"), put("src/a.go", "package a\n"), put("src/deep/b.go", "package b\n"), put("src/deep/c.txt", strings.Repeat("c", 100)), put("lib/d.go", ""))
	for _, test := range []struct {
		name string
		body object
		want []string
	}{
		{"all", object{}, []string{"README.md", "lib/", "lib/d.go", "src/", "src/a.go", "src/deep/", "src/deep/b.go", "src/deep/c.txt"}},
		{"included", object{"include_globs": []string{"**/*.go"}}, []string{"lib/", "lib/d.go", "src/", "src/a.go", "src/deep/", "src/deep/b.go"}},
		{"excluded", object{"exclude_globs": []string{"src/**"}}, []string{"README.md", "lib/", "lib/d.go"}},
		{"both", object{"include_globs": []string{"src/**"}, "exclude_globs": []string{"**/*.txt", "src/a.go"}}, []string{"src/", "src/deep/", "src/deep/b.go"}},
		{"small ones", object{"max_blob_size": 10}, []string{"README.md", "lib/", "lib/d.go", "src/", "src/a.go", "src/deep/", "src/deep/b.go"}},
		{"of one byte less", object{"max_blob_size": 9}, []string{"README.md", "lib/", "lib/d.go"}},
		{"none", object{"include_globs": []string{"nothing"}}, nil},
		{"with a prefix", object{"include_globs": []string{"README.md"}, "archive": object{"prefix": "x/"}}, []string{"x/", "x/README.md"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, first := r.archived(t, test.body)
			sameList(t, "names", got, test.want)
			if _, second := r.archived(t, test.body); !bytes.Equal(first.body, second.body) {
				t.Error("the same query gives other bytes")
			}
		})
	}
}

// TestArchiveNeedsNoBody: without one, and with an empty object, all of the
// default branch.
func TestArchiveNeedsNoBody(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	_, want := s.archived(t, object{"ref": "main"})
	for _, path := range s.families("repos/archive", "/archive") {
		for _, body := range []any{nil, "", object{}} {
			if a := s.post(path, body).want(t, 200); !bytes.Equal(a.body, want.body) || a.header.Get("Content-Disposition") != `attachment; filename="app-main.tar.gz"` {
				t.Errorf("%s with the body %v: another archive, %v", path, body, a.header)
			}
		}
	}
}

// TestSecurityArchiveNameIsHarmless: what a ref or a repository is called
// neither ends the header nor the file's name, nor leads out of a folder.
func TestSecurityArchiveNameIsHarmless(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, repository := range []string{"app", "team/a.b_c"} {
		s := newSample(t, w, repository)
		for _, branch := range []string{`a"; filename="evil.sh`, "a;b", "a/../b", `quote"d`, "a%0d%0aSet-Cookie", "naïve/ünï", "\u202egnp.exe", strings.Repeat("n", 230)} {
			if s.post("/api/v1/repos/branches/create", object{"target_branch": branch, "base_branch": "main"}).status != 200 {
				continue // no name of a branch
			}
			_, a := s.archived(t, object{"ref": branch})
			raw := a.header.Get("Content-Disposition")
			kind, parameters, err := mime.ParseMediaType(raw)
			if err != nil || kind != "attachment" || len(parameters) != 1 {
				t.Fatalf("%q: Content-Disposition is %q: %v", branch, raw, err)
			}
			name := parameters["filename"]
			harmless := !slices.ContainsFunc([]byte(name), func(c byte) bool { return c <= ' ' || c >= 0x7f || strings.IndexByte("\"/\\;%:", c) >= 0 })
			if !harmless || !strings.HasSuffix(name, ".tar.gz") || len(name) > 210 || name[0] == '.' {
				t.Errorf("%q: file name %q", branch, name)
			}
			if len(a.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%q: another header came of it", branch)
			}
		}
		for _, ref := range []string{"a\r\nSet-Cookie: x=1", "main\r\n\r\n<html>", "main\x00"} {
			a := s.post("/api/v1/repos/archive", object{"ref": ref})
			if a.status/100 != 4 || a.header.Get("Set-Cookie") != "" || a.header.Get("Content-Disposition") != "" {
				t.Errorf("%q: %d, %v", ref, a.status, a.header)
			}
		}
	}
}
