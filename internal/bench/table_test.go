//go:build linux

package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTableShowsMediansRangesAndGoals(t *testing.T) {
	t.Parallel()
	var tab table
	for _, n := range []float64{3000, 1234567, 12.34} {
		tab.add("create", rate(n, 250*time.Microsecond, 30<<20), ratePerSecond(3000), memoryWithin(10<<20))
		tab.beside("direct", "create", rate(2*n, 0, 0), ratioAtLeast(0.4))
	}
	tab.add("clone", took(1500*time.Millisecond, 90*time.Millisecond, 0), within(time.Second))
	tab.beside("stock", "clone", took(time.Second, 300*time.Millisecond, 0), cpuRatioAtMost(0.3), moreByAtMost(time.Second))
	tab.beside("disk", "clone", size(1000), atMost(1024))
	var out strings.Builder
	if err := tab.print(&out); err != nil {
		t.Fatal(err)
	}
	want := `| | median | range | CPU each | peak RssAnon | ratio | of CPU | goal | reached |
|-|-:|-:|-:|-:|-:|-:|-:|-:|
| create | 3,000 /s | 12.3 /s – 1,234,567 /s | 250 µs | 30.0 MiB | | | ≥ 3,000 /s; ≤ 10.0 MiB memory | yes; NO |
| · direct | 6,000 /s | 24.7 /s – 2,469,134 /s | | | 0.50× | | ≥ 0.40× | yes (0.50× – 0.50×) |
| clone | 1.50 s | | 90.0 ms | | | | ≤ 1.00 s | NO |
| · stock | 1.00 s | | 300 ms | | 1.50× | 0.30× | ≤ 0.30× CPU; ≤ 1.00 s more | yes; yes, 500 ms |
| · disk | 1000 B | | | | | | ≤ 1.00 KiB | yes |
`
	if got, want := collapse(out.String()), collapse(want); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	const missed = `5 of 7 goals reached. Missed:

- create: 30.0 MiB memory, goal ≤ 10.0 MiB memory
- clone: 1.50 s, goal ≤ 1.00 s`
	if got := tab.verdict(); got != missed {
		t.Errorf("got:\n%s\nwant:\n%s", got, missed)
	}
}

// collapse takes the padding out of a table.
func collapse(text string) string {
	text = regexp.MustCompile("-+").ReplaceAllString(text, "-")
	return regexp.MustCompile(" +").ReplaceAllString(text, " ")
}

// TestRatiosAreOfOneRun has a machine that is twice as fast in one of three
// runs: ratios of medians would be wrong.
func TestRatiosAreOfOneRun(t *testing.T) {
	t.Parallel()
	own := []figure{took(time.Second, 0, 0), took(2*time.Second, 0, 0), took(4*time.Second, 0, 0)}
	subject := []figure{took(2*time.Second, 0, 0), took(4*time.Second, 0, 0), took(4*time.Second, 0, 0)}
	g := ratioAtMost(1.5)
	if got, want := g.judge(own, subject), []float64{1, 2, 2}; !slices.Equal(got, want) || g.met(got) {
		t.Errorf("got %v, met %t, want %v, missed", got, g.met(got), want)
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
