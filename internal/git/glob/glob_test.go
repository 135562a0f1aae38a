package glob

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		glob, yes, no string // paths, separated by blanks
	}{
		{"*.ts", "a.ts src/a.ts src/deep/b.ts .ts d.ts/readme", "a.tsx ts a.ts.x"},
		{"README.md", "README.md docs/README.md README.md/x", "README.mdx xREADME.md"},
		{"node_modules", "node_modules/a/b.js web/node_modules/c", "node_modules2/a"},
		{"**/*.md", "a.md docs/a.md docs/deep/a.md", "a.mdx"},
		{"node_modules/**", "node_modules/a node_modules/a/b", "web/node_modules/a node_modules"},
		{"src/", "src/a src/b/c", "src web/src/a source/a"},
		{"/src", "src src/a", "web/src/a"},
		{"src/lib", "src/lib src/lib/a.go", "src/library src/a/lib web/src/lib/a"},
		{"src/*.go", "src/a.go", "src/b/a.go a.go"},
		{"src/**/*.go", "src/a.go src/b/a.go src/b/c/a.go", "lib/a.go src/a.go.orig"},
		{"**/test/**", "test/a a/test/b a/b/test/c/d", "atest/b test"},
		{"**", "a a/b", ""},
		{"a**b", "ab axxb d/axb", "a/b"},
		{"*.{ts,tsx}", "a.ts x/a.tsx", "a.js a.t"},
		{"{src,lib}/*.{c,h}", "src/a.c lib/a.h", "src/a.o bin/a.c"},
		{"?.go", "a.go é.go d/x.go", "ab.go .go"},
		{"[a-c].go", "a.go x/c.go", "d.go ab.go"},
		{"[!a-c].go", "d.go é.go", "a.go"},
		{"[^a].go", "b.go", "a.go"},
		{"[]x].go", "].go x.go", "y.go"},
		{"[!]].go", "x.go", "].go"},
		{"[a-].go", "-.go a.go", "b.go"},
		{`\*.go`, "*.go", "a.go"},
		{`a\{b`, "a{b", "ab"},
		{"a+b(c)|d.txt", "a+b(c)|d.txt", "aab(c) d.txt"},
		{"docs/ü*", "docs/über", "docs/uber"},
		{"}", "}", "a"},
		{"a,b", "a,b", "a b"},
	} {
		s, err := Compile([]string{test.glob})
		if err != nil {
			t.Errorf("%s: %v", test.glob, err)
			continue
		}
		for _, path := range strings.Fields(test.yes) {
			if !s.Match(path) {
				t.Errorf("%s does not match %s", test.glob, path)
			}
		}
		for _, path := range strings.Fields(test.no) {
			if s.Match(path) {
				t.Errorf("%s matches %s", test.glob, path)
			}
		}
	}
}

func TestSetIsAnyOfItsGlobs(t *testing.T) {
	t.Parallel()
	s, err := Compile([]string{"*.go", "Makefile", "docs/**", "web/*.ts"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"a.go": true, "x/Makefile": true, "docs/a/b": true, "web/a.ts": true, "web/b/a.ts": false, "README": false,
	} {
		if s.Match(path) != want {
			t.Errorf("%s: want %v", path, want)
		}
	}
	none, err := Compile(nil)
	if err != nil || none.Match("a") {
		t.Errorf("a set of no globs matches, or %v", err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, globs := range map[string][]string{
		"empty": {""}, "a slash": {"/"}, "slashes": {"//"}, "an open class": {"[a"}, "an open class with ]": {"[]"},
		"a class of nothing": {"[!]"}, "a slash in a class": {"[a/b]"}, "a range backwards": {"[z-a]"},
		"an open brace": {"{a,b"}, "a backslash at the end": {`a*\`}, "NUL": {"a\x00"},
		"too many": make([]string, MaxGlobs+1), "too long": {strings.Repeat("a", MaxLength+1)},
	} {
		if _, err := Compile(globs); err == nil {
			t.Errorf("%s: %q is taken", name, globs)
		}
	}
}

// TestGlobsAreLinear: security 60. A matcher that goes back for each ** would
// take years.
func TestGlobsAreLinear(t *testing.T) {
	t.Parallel()
	path := strings.Repeat("a/", 500) + "b"
	for _, glob := range []string{
		strings.Repeat("**/", 20) + "c", strings.Repeat("**/a/", 20) + "c", strings.Repeat("*a", 60) + "c",
		strings.Repeat("{a,a*}", 60) + "c", strings.Repeat("**/*a*/", 100) + "c", strings.Repeat("{", 900) + "a" + strings.Repeat("}", 900),
	} {
		began := time.Now()
		s, err := Compile([]string{glob})
		if err != nil {
			t.Errorf("%.30s…: %v", glob, err)
			continue
		}
		if s.Match(path) != strings.HasPrefix(glob, "{{") {
			t.Errorf("%.30s…: wrong answer", glob)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.30s… took %s", glob, took)
		}
	}
}

// slowMatch is the plain rule for globs of literals, *, ? and **, name by name.
func slowMatch(glob, path []string) bool {
	switch {
	case len(glob) == 0:
		return true // what is left of the path lies below
	case glob[0] == "**" && len(glob) == 1:
		return len(path) > 0
	case glob[0] == "**":
		return slowMatch(glob[1:], path) || len(path) > 0 && slowMatch(glob, path[1:])
	}
	return len(path) > 0 && slowName(glob[0], path[0]) && slowMatch(glob[1:], path[1:])
}

func slowName(glob, name string) bool {
	switch {
	case glob == "":
		return name == ""
	case glob[0] == '*':
		return slowName(glob[1:], name) || name != "" && slowName(glob, name[1:])
	case name == "":
		return false
	}
	return (glob[0] == '?' || glob[0] == name[0]) && slowName(glob[1:], name[1:])
}

// FuzzMatch compares with the plain rule where that has one, and holds all else
// to not failing.
func FuzzMatch(f *testing.F) {
	f.Add("**/*.md", "docs/a.md")
	f.Add("{a,b}[!x]", "ab")
	f.Add("a/**/b*", "a/x/y/bz/c")
	f.Fuzz(func(t *testing.T, glob, path string) {
		s, err := Compile([]string{glob})
		if err != nil {
			return
		}
		got := s.Match(path)
		if len(glob) > 20 || len(path) > 30 || strings.Trim(glob, "ab/*?") != "" || strings.Trim(path, "abc/") != "" ||
			strings.Contains(glob, "//") || strings.HasSuffix(glob, "/") || strings.Contains("/"+path+"/", "//") || !clean(glob) {
			return
		}
		names := strings.Split(strings.Trim(glob, "/"), "/")
		if !strings.Contains(glob, "/") {
			names = append([]string{"**"}, names...)
		}
		if want := slowMatch(names, strings.Split(path, "/")); got != want {
			t.Errorf("%q and %q: got %v, want %v", glob, path, got, want)
		}
	})
}

// clean tells whether ** stands for whole names alone.
func clean(glob string) bool {
	for name := range strings.SplitSeq(glob, "/") {
		if name != "**" && strings.Contains(name, "**") {
			return false
		}
	}
	return true
}
