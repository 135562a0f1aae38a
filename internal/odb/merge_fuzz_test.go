package odb

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// FuzzParseMerge reads what git merge-tree may say. Paths in it are the choice
// of who pushed them.
func FuzzParseMerge(f *testing.F) {
	id := strings.Repeat("1f", 20)
	entry := func(stage int, path string) string { return fmt.Sprintf("100644 %s %d\t%s\x00", id, stage, path) }
	for _, seed := range []string{
		id + "\x00",
		id + "\x00" + entry(1, "a\tb") + entry(2, "a\tb") + entry(3, "a\tb") + "\x001\x00a\tb\x00CONFLICT (contents)\x00CONFLICT (content): Merge conflict in a\n\x00",
		id + "\x00\x002\x00old/f\x00new/f\x00CONFLICT (directory rename split)\x00text\x00",
		id + "\x00\x001\x00f\x00Auto-merging\x00Auto-merging f\n\x00",
		id + "\x00\x009223372036854775807\x00f\x00CONFLICT\x00text\x00",
		id + "\x00\x00-1\x00f\x00CONFLICT\x00",
		id + "\x00" + entry(0, "f"),
		id + "\x00" + entry(4, "f"),
		strings.Repeat("1f", 32) + "\x00",
		"",
		"\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		tree, conflicts, err := parseMerge(git.SHA1, out)
		if err != nil {
			return
		}
		if tree.Format() != git.SHA1 {
			t.Fatalf("tree %s is no SHA-1", tree)
		}
		for _, c := range conflicts {
			if !bytes.Contains(out, []byte(c.Path)) {
				t.Fatalf("path %q is not in %q", c.Path, out)
			}
			for _, e := range []git.TreeEntry{c.Base, c.Ours, c.Theirs} {
				if e.Mode != 0 && (e.ID.Format() != git.SHA1 || !strings.HasSuffix(c.Path, e.Name)) {
					t.Fatalf("%q has the version %+v", c.Path, e)
				}
			}
		}
	})
}

// FuzzMergeAnswer reads what git merge-tree --stdin may say of a merge: one that
// is clean gives what parseMerge gives.
func FuzzMergeAnswer(f *testing.F) {
	id := strings.Repeat("1f", 20)
	for _, seed := range []string{
		"1\x00" + id + "\x00\x00",
		"0\x00" + id + "\x00100644 " + id + " 1\ta\tb\x00\x001\x00a\tb\x00CONFLICT (contents)\x00text\n\x00\x00",
		"0\x00" + id + "\x00\x009223372036854775807\x00f\x00CONFLICT\x00text\x00\x00",
		"1\x00" + id + "\x00100644 " + id + " 1\tf\x00",
		"2\x00" + id + "\x00\x00",
		"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		a := mergeAnswer{bufio.NewReaderSize(bytes.NewReader(said), 16), 1000}
		tree, clean, err := a.read()
		if err != nil || !clean {
			return
		}
		end := "\x00" + tree.String() + "\x00\x00"
		if !strings.HasPrefix(strings.ToLower(string(said)), "1"+end) {
			t.Fatalf("%q is taken for a clean merge", said)
		}
	})
}

// FuzzParseEntry reads entries of an index as git lists them: what is taken is
// what git would write for the same.
func FuzzParseEntry(f *testing.F) {
	id := strings.Repeat("1f", 20)
	f.Add([]byte("100644 " + id + " 0\tfolder/f"))
	f.Add([]byte("120000 " + id + " 3\ta\tb"))
	f.Add([]byte("160000 " + id + " 1\t"))
	f.Add([]byte("100644  " + id + " +1\tf"))
	f.Add([]byte("40000 " + id + " 2 \tf"))
	f.Fuzz(func(t *testing.T, item []byte) {
		path, stage, e, err := parseEntry(item)
		if err != nil {
			return
		}
		written := fmt.Sprintf("%s %s %d\t%s", e.Mode, e.ID, stage, path)
		againPath, againStage, again, err := parseEntry([]byte(written))
		if err != nil || againPath != path || againStage != stage || again != e {
			t.Fatalf("%q is %q, which is read as %q, %d, %+v, %v", item, written, againPath, againStage, again, err)
		}
	})
}
