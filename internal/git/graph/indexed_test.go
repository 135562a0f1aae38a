package graph_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/git/graph"
)

// indexed is a history of which a commit-graph file knows a part. It counts the
// commits that were asked for.
type indexed struct {
	*history
	index *commitgraph.Graph
	asked int
}

// indexed returns the history with a commit-graph of what is reachable from
// some commits.
func (h *history) indexed(t interface{ Fatal(...any) }, tips ...git.ObjectID) *indexed {
	b := commitgraph.NewBuilder(git.SHA1)
	for id := range h.below(tips...) {
		links := h.commits[id]
		links.Tree = git.SHA1.EmptyTree()
		b.Add(id, links, commitgraph.PathFilter{})
	}
	var file bytes.Buffer
	if err := b.Write(&file); err != nil {
		t.Fatal(err)
	}
	g, err := commitgraph.Parse(git.SHA1, file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return &indexed{history: h, index: g}
}

func (x *indexed) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	x.asked++
	if pos, ok := x.index.Find(id); ok {
		return x.index.Links(pos)
	}
	return x.history.Commit(ctx, id)
}

func (x *indexed) Generations(context.Context) (graph.Generations, error) { return x, nil }

func (x *indexed) Generation(id git.ObjectID) (int64, bool) {
	pos, ok := x.index.Find(id)
	if !ok {
		return 0, false
	}
	return x.index.Generation(pos), true
}

// TestGenerationsSaveReading asks for ancestors in two long lines of history
// that have only their root in common.
func TestGenerationsSaveReading(t *testing.T) {
	t.Parallel()
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	h.invent(rand.New(rand.NewPCG(3, 3)), 2001, shapes[0])
	for i, id := range h.ids {
		links := git.CommitLinks{Date: int64(i)}
		if i > 0 {
			links.Parents = []git.ObjectID{h.ids[max(0, i-2)]}
		}
		h.commits[id] = links
	}
	left, right, old := h.ids[2000], h.ids[1999], h.ids[1990]
	questions := map[string]func(src graph.Commits) (bool, error){
		"ancestor": func(src graph.Commits) (bool, error) { return graph.IsAncestor(t.Context(), src, old, right) },
		"all reach any": func(src graph.Commits) (bool, error) {
			return graph.AllReachAny(t.Context(), src, []git.ObjectID{right}, []git.ObjectID{old})
		},
		"cut off": func(src graph.Commits) (bool, error) {
			return graph.IsAncestor(t.Context(), graph.Grafted(src, h.ids[1000]), old, right)
		},
	}
	for name, ask := range questions {
		for known, atMost := range map[git.ObjectID]int{left: 30, h.ids[1980]: 30} {
			src := h.indexed(t, known, right)
			if got, err := ask(src); got || err != nil {
				t.Errorf("%s: got %t, %v", name, got, err)
			}
			if src.asked > atMost {
				t.Errorf("%s: read %d commits, want at most %d", name, src.asked, atMost)
			}
		}
	}
}
