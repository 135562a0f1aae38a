package codearts_test

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestArchives reads both formats: all files, in one folder.
func TestArchives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	w.must(t, "POST", "/v2/projects/"+uuid+"/repository/commits", `{"branch":"feature/x","start_branch":"master","commit_message":"m","actions":[
		{"action":"create","file_path":"src/a.go","content":"package a"}]}`, nil)
	for format, names := range map[string]func(*testing.T, string) []string{"zip": zipNames, "tar.gz": tarNames} {
		a := w.call(t, w.token(t, w.key), "GET", "/v2/repositories/"+uuid+"/archive?sha=feature/x&format="+format, "")
		if a.status != http.StatusOK {
			t.Fatalf("%s: got %d %s", format, a.status, a.text)
		}
		if want := `attachment; filename="app-feature-x.` + format + `"`; a.header.Get("Content-Disposition") != want {
			t.Errorf("%s: the disposition is %s", format, a.header.Get("Content-Disposition"))
		}
		if got := names(t, a.text); !slices.Equal(got, []string{"app/README.md", "app/src/a.go"}) {
			t.Errorf("%s: got %q", format, got)
		}
	}
	for query, code := range map[string]string{
		"sha=master": "CH.010001", "sha=master&format=": "CH.010001", "sha=master&format=tar.bz2": "CH.010001", "format=zip": "CH.010001",
		"sha=absent&format=zip": "CH.000404", "sha=" + strings.Repeat("0", 40) + "&format=zip": "CH.000404",
	} {
		if a := w.call(t, w.token(t, w.key), "GET", "/v2/repositories/"+uuid+"/archive?"+query, ""); a.code() != code {
			t.Errorf("%s: got %d %s", query, a.status, a.text)
		}
	}
}

// zipNames returns the names of the files in a zip archive.
func zipNames(t *testing.T, text string) (names []string) {
	z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range z.File {
		if !file.Mode().IsDir() {
			names = append(names, file.Name)
		}
	}
	return names
}

// tarNames is zipNames of a tar.gz archive.
func tarNames(t *testing.T, text string) (names []string) {
	plain, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return names
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			names = append(names, h.Name)
		}
	}
}
