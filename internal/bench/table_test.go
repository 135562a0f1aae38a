//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestTableShowsMediansAndRanges(t *testing.T) {
	t.Parallel()
	var tab table
	for _, n := range []float64{3000, 1234567, 12.34} {
		tab.add("create", rate(n, 250*time.Microsecond, 30<<20))
		tab.beside("direct", "create", rate(2*n, 0, 0))
	}
	tab.add("clone", took(1500*time.Millisecond, 90*time.Millisecond, 0))
	var out strings.Builder
	if err := tab.print(&out); err != nil {
		t.Fatal(err)
	}
	want := `|          |   median |                  range | CPU each | peak RssAnon |
|----------|---------:|-----------------------:|---------:|-------------:|
| create   | 3,000 /s | 12.3 /s – 1,234,567 /s |   250 µs |     30.0 MiB |
| · direct | 6,000 /s | 24.7 /s – 2,469,134 /s |          |              |
| clone    |   1.50 s |                        |  90.0 ms |              |
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestGeneratedPathsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range treeFiles {
		seen[treePath(i)] = true
	}
	if len(seen) != treeFiles {
		t.Errorf("%d paths, want %d", len(seen), treeFiles)
	}
	for first := range treeFiles {
		if treePath(first) == treePath(first+apart) || treePath(first) == treePath(first+2*apart) {
			t.Fatalf("a commit that begins at file %d has a path twice", first)
		}
	}
}
