package commitgraph

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// The values are those of git's own tests (t0095-bloom.sh).
func TestMurmur3(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{
		"":             0,
		"Hello world!": 0x627b0c2c,
		"The quick brown fox jumps over the lazy dog": 0x2e4ff723,
		"\x99\xaa\xbb\xcc\xdd\xee\xff":                0xa183ccfd, // the bytes that version 1 gets wrong
	} {
		if got := murmur3(0, text); got != want {
			t.Errorf("%q: got %#x, want %#x", text, got, want)
		}
	}
}

func TestPathFilter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files []string
		want  string
	}{
		"nothing":  {nil, "00"},
		"one file": {[]string{"file.txt"}, "a54a"},
		"a blank":  {[]string{" "}, "5155"},
		"ten":      {[]string{"smallDir/0", "smallDir/1", "smallDir/2", "smallDir/3", "smallDir/4", "smallDir/5", "smallDir/6", "smallDir/7", "smallDir/8", "smallDir/9"}, "02b3c4a034e7feebcb47fea0e872"},
	} {
		if got := fmt.Sprintf("%x", NewPathFilter(test.files).bits); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestFiltersOfASCIIAreForEveryGit: the two versions of the hash differ for other
// paths alone.
func TestFiltersOfASCIIAreForEveryGit(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint32{"dir/a": signedHash, "dir/\xc3\xa4": unsignedHash, "\xc3\xa4/a": unsignedHash} {
		b := NewBuilder(git.SHA1)
		for i, path := range []string{"first", name, "last"} {
			id, err := git.ObjectIDFromBytes(bytes.Repeat([]byte{byte(i + 1)}, git.SHA1.Size()))
			if err != nil {
				t.Fatal(err)
			}
			b.Add(id, git.CommitLinks{Tree: git.SHA1.EmptyTree(), Date: 1}, NewPathFilter([]string{path}))
		}
		var out bytes.Buffer
		if err := b.Write(&out); err != nil {
			t.Fatal(err)
		}
		g, err := Parse(git.SHA1, out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if g.filterVersion != version {
			t.Errorf("%q: got version %d, want %d", name, g.filterVersion, version)
		}
	}
}

// TestVersion1FiltersAnswerOnlyForASCII: the file does not say how its writer
// took bytes above 0x7f.
func TestVersion1FiltersAnswerOnlyForASCII(t *testing.T) {
	t.Parallel()
	empty := Filter{make([]byte, 1), filterHashes}
	for version, may := range map[uint32]bool{signedHash: true, unsignedHash: false} {
		g := &Graph{filterVersion: version}
		if got := empty.MayContain(g.NewKey("dir/\xc3\xa4")); got != may {
			t.Errorf("version %d: got %t, want %t", version, got, may)
		}
		if empty.MayContain(g.NewKey("dir/a")) {
			t.Errorf("version %d: a filter without paths may contain one", version)
		}
	}
}
