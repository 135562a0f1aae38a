package blame

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"10,20", "10,+5", "10,-5", "/re/,/re/", "/re/,+30", "10,", ",20", "10", ":funcname", ":^func .*Foo", "/a\\/b/", "^/a/,20",
		"/a,b/,/c/", "999999999", `/\(a\|b\)*/`, ":[a-z]*",
	} {
		if r, err := ParseRange(good); err != nil || r.String() != good {
			t.Errorf("%q: got %q, %v", good, r, err)
		}
	}
	for _, bad := range []string{
		"", ",", "0", "0,5", "-1", "1,0", "1,+0", "a", "1,2,3", "1 2", " 1", "1\n", "1,2\x00", "/a", "/a/b", "//", "/a/,/b", ":", ":^", "^1", "^",
		"--output=x", "1,--x", "9999999999", "+1,2", `/\(a\{1,100\}\)\{1,100\}/`, `/\(a*\)*\1/`, `:a\{9\}`, `/a\`, `/a\/`, `:a\`, ":" + strings.Repeat("a", 600),
	} {
		if r, err := ParseRange(bad); err == nil {
			t.Errorf("%q is taken: %q", bad, r)
		}
	}
}

// FuzzParseRange: what is taken is no option, no path and no second argument.
func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"10,+5", "/a/,/b/", ":^f", "^/a\\/b/,3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text)
		if err != nil {
			return
		}
		if r.String() != text || strings.HasPrefix(text, "-") || strings.ContainsAny(text, "\n\x00") || strings.Contains(text, `\{`) {
			t.Errorf("%q is taken", text)
		}
	})
}

// TestRead reads the output of stock git, quoted paths too.
func TestRead(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t)
	first := r.Commit("main", "first", gittest.Files{"old \"name\"\tü": "1\n2\n3\n4\n5\n6\n"})
	second := r.Commit("main", "second", gittest.Files{"new": "1\n2\nx\n4\n5\n6\n", "old \"name\"\tü": gittest.Removed})
	hunks, err := Read(strings.NewReader(r.Git("blame", "--incremental", second, "--", "new") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(hunks) != 3 {
		t.Fatalf("got %+v", hunks)
	}
	for i, want := range []struct {
		line, lines    int
		commit, path   string
		hasPredecessor bool
	}{{1, 2, first, "old \"name\"\tü", false}, {3, 1, second, "new", true}, {4, 3, first, "old \"name\"\tü", false}} {
		h := hunks[i]
		if h.Line != want.line || h.OriginalLine != want.line || h.Lines != want.lines || h.Commit.String() != want.commit || h.OriginalPath != want.path || h.Previous.IsZero() == want.hasPredecessor {
			t.Errorf("hunk %d is %+v", i, h)
		}
	}
}

func FuzzRead(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add(id + " 1 1 2\nauthor a\nprevious " + id + " a\nfilename \"a\\303\\274\\t\"\n" + id + " 3 3 1\nfilename a\n")
	f.Fuzz(func(t *testing.T, text string) {
		hunks, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, h := range hunks {
			if h.Line < 1 || h.Lines < 1 || utf8.ValidString(text) && len(h.OriginalPath) > len(text) {
				t.Errorf("got %+v", h)
			}
		}
	})
}
