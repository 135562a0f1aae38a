package graph_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// history is a repository of stock git and the same commits as a Commits.
type history struct {
	repo    *gittest.Repo
	ids     []git.ObjectID // in the order they were made: parents first
	commits map[git.ObjectID]git.CommitLinks
}

func (h *history) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, ok := h.commits[id]
	if !ok {
		return links, fmt.Errorf("no commit %s", id)
	}
	links.Parents = slices.Clone(links.Parents)
	return links, ctx.Err()
}

// shape says what a random history looks like.
type shape struct {
	name    string
	commits int
	recent  int   // parents are among so many last commits
	merges  int   // of a hundred commits, so many are merges
	parents int   // of a merge, at most
	roots   int   // of a hundred commits, so many have no parent
	skew    int64 // dates are off by up to so many seconds
	step    int64 // seconds from one commit to the next; 0 makes all dates equal
}

var shapes = []shape{
	{name: "linear", commits: 40, recent: 1, step: 60},
	{name: "merges", commits: 60, recent: 6, merges: 40, parents: 2, step: 60},
	{name: "octopuses", commits: 60, recent: 12, merges: 30, parents: 5, step: 60},
	{name: "criss-cross", commits: 60, recent: 2, merges: 80, parents: 2, step: 60},
	{name: "same date", commits: 50, recent: 8, merges: 40, parents: 3},
	{name: "little skew", commits: 60, recent: 6, merges: 40, parents: 2, skew: 200, step: 60},
	{name: "great skew", commits: 60, recent: 10, merges: 40, parents: 3, skew: 100_000, step: 60},
	{name: "several roots", commits: 60, recent: 12, merges: 40, parents: 3, roots: 10, step: 60},
	{name: "several roots and skew", commits: 60, recent: 20, merges: 30, parents: 3, roots: 10, skew: 3000, step: 60},
}

// newHistory makes a random history with git fast-import.
func newHistory(t testing.TB, seed uint64, s shape) *history {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	h := &history{repo: gittest.Init(t, gittest.Bare()), commits: map[git.ObjectID]git.CommitLinks{}}
	var in strings.Builder
	links := make([]git.CommitLinks, s.commits)
	parents := make([][]int, s.commits)
	for i := range s.commits {
		date := int64(gittest.Epoch) + int64(i)*s.step
		if s.skew > 0 {
			date += random.Int64N(2*s.skew) - s.skew
		}
		links[i].Date = date
		parents[i] = randomParents(random, i, s)
		fmt.Fprintf(&in, "reset refs/heads/tmp\n\ncommit refs/heads/tmp\nmark :%d\ncommitter C <c@example.com> %d +0000\ndata 3\nc%02d\n", i+1, date, i%100)
		for j, p := range parents[i] {
			fmt.Fprintf(&in, "%s :%d\n", map[bool]string{true: "from", false: "merge"}[j == 0], p+1)
		}
		fmt.Fprintf(&in, "M 100644 inline f%d\ndata 1\n%d\n", i, i%10)
	}
	marks := t.TempDir() + "/marks"
	h.repo.GitInput(in.String(), "fast-import", "--quiet", "--force", "--date-format=raw-permissive", "--export-marks="+marks)
	data, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	h.ids = make([]git.ObjectID, s.commits)
	for line := range strings.Lines(string(data)) {
		mark, hex, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(mark[1:])
		if err != nil {
			t.Fatal(err)
		}
		h.ids[n-1] = git.MustParseObjectID(hex)
	}
	for i := range links {
		for _, p := range parents[i] {
			links[i].Parents = append(links[i].Parents, h.ids[p])
		}
		h.commits[h.ids[i]] = links[i]
	}
	return h
}

func randomParents(random *rand.Rand, i int, s shape) []int {
	if i == 0 || random.IntN(100) < s.roots {
		return nil
	}
	n := 1
	if s.parents > 1 && random.IntN(100) < s.merges {
		n = 2 + random.IntN(s.parents-1)
	}
	var out []int
	for range n {
		if p := max(0, i-1-random.IntN(s.recent)); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// some returns up to n random commits, more likely young ones.
func (h *history) some(random *rand.Rand, n int) []git.ObjectID {
	var out []git.ObjectID
	for range 1 + random.IntN(n) {
		i := max(random.IntN(len(h.ids)), random.IntN(len(h.ids)))
		out = append(out, h.ids[i])
	}
	return out
}

func hexes(prefix string, ids []git.ObjectID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = prefix + id.String()
	}
	return out
}

// eachHistory runs a test on every shape and some seeds; src is the history
// with a commit-graph of a part of it.
func eachHistory(t *testing.T, test func(t *testing.T, h *history, src graph.Commits, random *rand.Rand)) {
	t.Parallel()
	for _, s := range shapes {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s %d", s.name, seed), func(t *testing.T) {
				t.Parallel()
				h, random := newHistory(t, seed, s), rand.New(rand.NewPCG(seed, 2))
				test(t, h, h.indexed(t, h.some(random, 2)...), random)
			})
		}
	}
}

func walkAll(t *testing.T, w *graph.Walk) []string {
	t.Helper()
	out := []string{}
	for {
		id, _, ok, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, id.String())
	}
}

func TestWalkIsRevList(t *testing.T) {
	orders := []struct {
		args    []string
		options []graph.Option
	}{
		{nil, nil},
		{[]string{"--topo-order"}, []graph.Option{graph.Topological}},
		{[]string{"--first-parent"}, []graph.Option{graph.FirstParent}},
		{[]string{"--first-parent", "--topo-order"}, []graph.Option{graph.FirstParent, graph.Topological}},
	}
	eachHistory(t, func(t *testing.T, h *history, src graph.Commits, random *rand.Rand) {
		for i := range 16 {
			include, exclude := h.some(random, 3), h.some(random, 3)
			if i%3 == 0 {
				exclude = nil
			}
			order := orders[i%len(orders)]
			args := append([]string{"rev-list"}, order.args...)
			args = append(append(args, hexes("^", exclude)...), hexes("", include)...)
			want := strings.Fields(h.repo.Git(args...))
			got := walkAll(t, graph.NewWalk(src, include, exclude, order.options...))
			if !slices.Equal(got, want) {
				t.Fatalf("git %v:\ngot  %v\nwant %v", args, got, want)
			}
		}
	})
}

func TestMergeBasesIsMergeBaseAll(t *testing.T) {
	eachHistory(t, func(t *testing.T, h *history, src graph.Commits, random *rand.Rand) {
		for range 10 {
			some := h.some(random, 2+random.IntN(2))
			got, err := graph.MergeBases(t.Context(), src, some[0], some[1:]...)
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"merge-base", "--all"}, hexes("", some)...)
			out, _ := h.repo.GitErr(args...) // fails if there is none
			if want := strings.Fields(out); !slices.Equal(hexes("", got), want) && !sameUpToDates(h, got, want) {
				t.Fatalf("%v:\ngot  %v\nwant %v", args, got, want)
			}
		}
	})
}

// sameUpToDates tells whether two lists hold the same and differ only in the
// order of commits of the same date.
func sameUpToDates(h *history, got []git.ObjectID, want []string) bool {
	sorted := hexes("", got)
	slices.Sort(sorted)
	wantSorted := slices.Sorted(slices.Values(want))
	for i := 1; i < len(got); i++ {
		if h.commits[got[i-1]].Date < h.commits[got[i]].Date {
			return false
		}
	}
	return slices.Equal(sorted, wantSorted)
}

func TestIsAncestorIsMergeBaseIsAncestor(t *testing.T) {
	eachHistory(t, func(t *testing.T, h *history, src graph.Commits, random *rand.Rand) {
		for range 10 {
			a, b := h.some(random, 1)[0], h.some(random, 1)[0]
			got, err := graph.IsAncestor(t.Context(), src, a, b)
			if err != nil {
				t.Fatal(err)
			}
			_, gitErr := h.repo.GitErr("merge-base", "--is-ancestor", a.String(), b.String())
			if want := gitErr == nil; got != want {
				t.Fatalf("IsAncestor(%s, %s): got %t, want %t", a, b, got, want)
			}
		}
	})
}

func TestAheadBehindIsLeftRightCount(t *testing.T) {
	eachHistory(t, func(t *testing.T, h *history, src graph.Commits, random *rand.Rand) {
		for range 10 {
			a, b := h.some(random, 1)[0], h.some(random, 1)[0]
			ahead, behind, err := graph.AheadBehind(t.Context(), src, a, b)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%d\t%d", ahead, behind)
			want := h.repo.Git("rev-list", "--left-right", "--count", a.String()+"..."+b.String())
			if got != want {
				t.Fatalf("AheadBehind(%s, %s): got %q, want %q", a, b, got, want)
			}
		}
	})
}
