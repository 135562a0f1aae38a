package git_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

func FuzzParseTree(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(largeTree(3))
	f.Add([]byte("40000 a\x00" + strings.Repeat("i", 20) + "100644 a.b\x00" + strings.Repeat("j", 20)))
	f.Add([]byte("100644 a\x00short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := git.ParseTree(git.SHA1, data)
		if err != nil {
			return
		}
		// What was read is what was there, but for zeros before a mode.
		if encoded := git.EncodeTree(entries); !bytes.Equal(encoded, data) && !zeroPadded(data) {
			t.Errorf("got %q, want %q", encoded, data)
		}
		git.SortTree(entries)
		for i := 1; i < len(entries); i++ {
			if git.CompareTreeEntries(entries[i-1], entries[i]) > 0 {
				t.Errorf("%q comes before %q", entries[i-1].Name, entries[i].Name)
			}
		}
	})
}

func zeroPadded(tree []byte) bool {
	r := git.NewTreeReader(git.SHA1, tree)
	for at := 0; ; {
		if at < len(tree) && tree[at] == '0' {
			return true
		}
		ok, err := r.Next()
		if !ok || err != nil {
			return false
		}
		at += bytes.IndexByte(tree[at:], 0) + 1 + 20
	}
}

func FuzzParseCommit(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(benchmarkCommit())
	f.Add([]byte("tree " + someTree + "\nauthor " + who + "\ncommitter " + who + "\nencoding x\ngpgsig a\n b\n \nmergetag\n\nm"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sameLinks(t, "fuzzed", data)
		c, err := git.ParseCommit(git.SHA1, data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
		again, err := git.ParseCommit(git.SHA1, c.Encode())
		if err != nil {
			t.Fatalf("what was encoded is malformed: %v", err)
		}
		if again.Tree != c.Tree || len(again.Parents) != len(c.Parents) || again.Message != c.Message {
			t.Errorf("got %+v back, want %+v", again, c)
		}
	})
}

func FuzzParseTag(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("object " + someTree + "\ntype tree\ntag v1\n"))
	f.Add([]byte("object " + someTree + "\ntype tree\ntag v1\ntagger " + who + "\ngpgsig x\n y\n\nm"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tag, err := git.ParseTag(git.SHA1, data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(tag); err != nil {
			t.Error(err)
		}
		if subject, body := tag.Text(); len(subject)+len(body) > len(tag.Message) || strings.Contains(subject, "\n") {
			t.Errorf("the text of %q is %q, %q", tag.Message, subject, body)
		}
		again, err := git.ParseTag(git.SHA1, tag.Encode())
		if err != nil {
			t.Fatalf("what was encoded is malformed: %v", err)
		}
		if again.Target != tag.Target || again.Type != tag.Type || again.Name != tag.Name || again.Message != tag.Message {
			t.Errorf("got %+v back, want %+v", again, tag)
		}
	})
}

func FuzzRefName(f *testing.F) {
	for _, name := range refNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ref, err := git.ParseRefName(name)
		if err != nil {
			if ref != "" {
				t.Errorf("%q: got %q with an error", name, ref)
			}
			return
		}
		for _, bad := range []string{"..", "//", "@{", "\\", " ", "\x00", "\n", "/.", ".lock/", "*", "~", "^", ":", "?", "["} {
			if strings.Contains(name, bad) {
				t.Errorf("%q holds %q", name, bad)
			}
		}
		if !strings.HasPrefix(name, "refs/") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".") {
			t.Errorf("%q was taken", name)
		}
		// A good name is still good below another.
		if len(name) < git.MaxRefNameLength-len(git.BranchPrefix) {
			if _, err := git.BranchRef(name); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzCheckPath(f *testing.F) {
	for _, name := range dotGitVariants {
		f.Add(name)
	}
	f.Add("a/b/c")
	f.Fuzz(func(t *testing.T, path string) {
		if git.CheckPath(path) != nil {
			return
		}
		id := git.MustParseObjectID(someTree)
		for name := range strings.SplitSeq(path, "/") {
			tree := git.EncodeTree([]git.TreeEntry{{Mode: git.ModeFile, Name: name, ID: id}})
			if err := git.CheckObject(git.SHA1, git.TreeObject, tree); err != nil {
				t.Errorf("%q may be written, but %v", path, err)
			}
		}
	})
}

func FuzzCheckObject(f *testing.F) {
	blob := git.MustParseObjectID(someTree)
	for _, s := range malformed(targets{blob, blob, blob}) {
		f.Add(uint8(s.kind), []byte(s.data))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		checkedMeansParsed(t, git.ObjectType(kind), data)
	})
}

func FuzzParseSignature(f *testing.F) {
	for _, line := range idents {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s := git.ParseSignature(line)
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		text := s.String()
		if bytes.ContainsRune(line, '\n') {
			return // no header holds one
		}
		if again := git.ParseSignature([]byte(text)); again.String() != text {
			t.Errorf("%q: got %q, want %q", line, again, text)
		}
	})
}
