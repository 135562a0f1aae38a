package graph_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
)

// drawHistory makes a small history in memory, dates in any order.
func drawHistory(t *rapid.T) *history {
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	n := rapid.IntRange(1, 24).Draw(t, "commits")
	for i := range n {
		raw := make([]byte, git.SHA1.Size())
		raw[0], raw[1] = byte(i+1), byte(i>>8)
		id, err := git.ObjectIDFromBytes(raw)
		if err != nil {
			t.Fatal(err)
		}
		links := git.CommitLinks{Date: int64(rapid.IntRange(0, 40).Draw(t, "date"))}
		if i > 0 {
			parents := rapid.SliceOfNDistinct(rapid.IntRange(0, i-1), 0, 3, rapid.ID).Draw(t, "parents")
			for _, p := range parents {
				links.Parents = append(links.Parents, h.ids[p])
			}
		}
		h.ids = append(h.ids, id)
		h.commits[id] = links
	}
	return h
}

func (h *history) draw(t *rapid.T, label string) git.ObjectID {
	return rapid.SampledFrom(h.ids).Draw(t, label)
}

// below returns the commits reachable from some, the plain way.
func (h *history) below(tips ...git.ObjectID) map[git.ObjectID]bool {
	set := map[git.ObjectID]bool{}
	for next := slices.Clone(tips); len(next) > 0; {
		id := next[len(next)-1]
		next = next[:len(next)-1]
		if !set[id] {
			set[id] = true
			next = append(next, h.commits[id].Parents...)
		}
	}
	return set
}

// drawSource returns a history with a commit-graph of a part of it, as a
// repository has that grew since its last repack; the part may be empty.
func (h *history) drawSource(t *rapid.T) graph.Commits {
	return h.indexed(t, rapid.SliceOfN(rapid.SampledFrom(h.ids), 0, 3).Draw(t, "indexed")...)
}

func TestMergeBasesAreTheBestCommonAncestors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		a, b := h.draw(t, "a"), h.draw(t, "b")
		got, err := graph.MergeBases(context.Background(), h.drawSource(t), a, b)
		if err != nil {
			t.Fatal(err)
		}
		var want []git.ObjectID
		belowA, belowB := h.below(a), h.below(b)
		for _, id := range h.ids {
			if !belowA[id] || !belowB[id] {
				continue
			}
			best := true
			for _, other := range h.ids {
				if other != id && belowA[other] && belowB[other] && h.below(other)[id] {
					best = false
				}
			}
			if best {
				want = append(want, id)
			}
		}
		slices.SortFunc(got, git.ObjectID.Compare)
		slices.SortFunc(want, git.ObjectID.Compare)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestMergeBasesOfManyRoots(t *testing.T) {
	t.Parallel()
	// Two merges of the same forty commits, of which every fourth is the
	// parent of the one before, with dates that run backwards.
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	h.invent(rand.New(rand.NewPCG(2, 2)), 42, shapes[0])
	var want []git.ObjectID
	for i, id := range h.ids[:40] {
		links := git.CommitLinks{Date: int64(1000 - i)}
		if i%4 != 3 {
			want = append(want, id)
		}
		if i%4 == 2 {
			links.Parents = []git.ObjectID{h.ids[i+1]}
		}
		h.commits[id] = links
	}
	for _, id := range h.ids[40:] {
		h.commits[id] = git.CommitLinks{Date: 2000, Parents: h.ids[:40]}
	}
	got, err := graph.MergeBases(t.Context(), h, h.ids[40], h.ids[41])
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d bases, %v, want %d", len(got), err, len(want))
	}
}

func TestIsAncestorIsReachability(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		a, b := h.draw(t, "a"), h.draw(t, "b")
		got, err := graph.IsAncestor(context.Background(), h.drawSource(t), a, b)
		if err != nil {
			t.Fatal(err)
		}
		if want := h.below(b)[a]; got != want {
			t.Fatalf("got %t, want %t", got, want)
		}
	})
}

func TestWalkShowsEachReachableCommitOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		tips := []git.ObjectID{h.draw(t, "tip"), h.draw(t, "tip")}
		var options []graph.Option
		if rapid.Bool().Draw(t, "topological") {
			options = append(options, graph.Topological)
		}
		w := graph.NewWalk(h.drawSource(t), tips, nil, options...)
		shown := map[git.ObjectID]bool{}
		for {
			id, links, ok, err := w.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if shown[id] {
				t.Fatalf("%s is shown twice", id)
			}
			shown[id] = true
			if !slices.Equal(links.Parents, h.commits[id].Parents) {
				t.Fatalf("parents of %s: got %v, want %v", id, links.Parents, h.commits[id].Parents)
			}
			for _, p := range links.Parents {
				if len(options) > 0 && shown[p] {
					t.Fatalf("parent %s is shown before %s", p, id)
				}
			}
		}
		for _, id := range h.ids {
			if want := h.below(tips...)[id]; shown[id] != want {
				t.Fatalf("%s: got %t, want %t", id, shown[id], want)
			}
		}
	})
}

// monotonic makes dates agree with parents, as they nearly always do.
func (h *history) monotonic() {
	for i, id := range h.ids {
		links := h.commits[id]
		links.Date = int64(i)
		h.commits[id] = links
	}
}

func TestAllReachAnyIsReachability(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		skewed := rapid.Bool().Draw(t, "skewed")
		if !skewed {
			h.monotonic()
		}
		from := []git.ObjectID{h.draw(t, "from"), h.draw(t, "from")}
		targets := []git.ObjectID{h.draw(t, "target"), h.draw(t, "target")}
		got, err := graph.AllReachAny(context.Background(), h.drawSource(t), from, targets)
		if plain, _ := graph.AllReachAny(context.Background(), h, from, targets); got != plain {
			t.Fatalf("got %t, want %t as without generation numbers", got, plain)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := true
		for _, id := range from {
			any := false
			for _, target := range targets {
				any = any || h.below(id)[target]
				for _, p := range h.commits[target].Parents {
					any = any || h.below(id)[p]
				}
			}
			want = want && any
		}
		if got && !want {
			t.Fatal("got true, want false")
		}
		// A parent of a target may be older than the date at which it stops.
		direct := true
		for _, id := range from {
			direct = direct && (h.below(id)[targets[0]] || h.below(id)[targets[1]])
		}
		if !skewed && direct && !got {
			t.Fatal("got false, want true")
		}
	})
}

func TestReachesAllIsReachability(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		from := []git.ObjectID{h.draw(t, "from"), h.draw(t, "from")}
		targets := []git.ObjectID{h.draw(t, "target"), h.draw(t, "target"), h.draw(t, "target")}
		src := h.drawSource(t)
		want := true
		for _, id := range targets {
			want = want && h.below(from...)[id]
		}
		got, err := graph.ReachesAll(context.Background(), src, from, targets, len(h.ids))
		if err != nil || got != want {
			t.Fatalf("got %t, %v, want %t", got, err, want)
		}
		if got, err := graph.ReachesAll(context.Background(), src, from, targets, 1); err != nil || got && !want {
			t.Fatalf("within 1 commit: got %t, %v, want %t", got, err, want)
		}
	})
}

// flaky fails every other call.
type flaky struct {
	*history
	calls int
}

var errFlaky = errors.New("flaky")

func (f *flaky) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	if f.calls++; f.calls%2 == 1 {
		return git.CommitLinks{}, errFlaky
	}
	return f.history.Commit(ctx, id)
}

func TestWalksStopWithTheirContextAndReturnErrors(t *testing.T) {
	t.Parallel()
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	h.invent(rand.New(rand.NewPCG(8, 8)), 500, shapes[1])
	a, b := h.ids[499], h.ids[498]
	calls := map[string]func(ctx context.Context, src graph.Commits) error{
		"walk": func(ctx context.Context, src graph.Commits) error {
			w := graph.NewWalk(src, []git.ObjectID{a}, nil)
			for {
				if _, _, ok, err := w.Next(ctx); !ok || err != nil {
					return err
				}
			}
		},
		"limited walk": func(ctx context.Context, src graph.Commits) error {
			_, _, _, err := graph.NewWalk(src, []git.ObjectID{a}, []git.ObjectID{b}).Next(ctx)
			return err
		},
		"merge bases": func(ctx context.Context, src graph.Commits) error {
			_, err := graph.MergeBases(ctx, src, a, b)
			return err
		},
		"ancestor": func(ctx context.Context, src graph.Commits) error {
			_, err := graph.IsAncestor(ctx, src, h.ids[0], b)
			return err
		},
		"ahead and behind": func(ctx context.Context, src graph.Commits) error {
			_, _, err := graph.AheadBehind(ctx, src, a, b)
			return err
		},
		"reaches all": func(ctx context.Context, src graph.Commits) error {
			_, err := graph.ReachesAll(ctx, src, []git.ObjectID{a}, h.ids[:1], 1000)
			return err
		},
		"all reach any": func(ctx context.Context, src graph.Commits) error {
			_, err := graph.AllReachAny(ctx, src, []git.ObjectID{a}, h.ids[:1])
			return err
		},
		"shallow": func(ctx context.Context, src graph.Commits) error {
			_, err := graph.Shallow(ctx, src, []git.ObjectID{a}, nil, graph.Cut{Depth: 500})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx, deaf{h}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want canceled", err)
			}
			if err := call(t.Context(), &flaky{history: h}); !errors.Is(err, errFlaky) {
				t.Errorf("got %v, want the source's error", err)
			}
			if err := call(t.Context(), h); err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// deaf does not listen to the context.
type deaf struct{ *history }

func (d deaf) Commit(_ context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, ok := d.commits[id]
	if !ok {
		return links, fmt.Errorf("no commit %s", id)
	}
	return links, nil
}

func BenchmarkWalk(b *testing.B) {
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	h.invent(rand.New(rand.NewPCG(9, 9)), 100_000, shapes[1])
	tip := h.ids[len(h.ids)-1]
	b.Run("Walk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w := graph.NewWalk(deaf{h}, []git.ObjectID{tip}, nil)
			n := 0
			for {
				_, _, ok, err := w.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if !ok {
					break
				}
				n++
			}
			b.ReportMetric(float64(n)/1000, "kcommits")
		}
	})
	b.Run("MergeBases", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := graph.MergeBases(b.Context(), deaf{h}, tip, h.ids[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
