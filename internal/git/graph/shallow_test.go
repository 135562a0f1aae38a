package graph_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func (h *history) index(id git.ObjectID) int { return slices.Index(h.ids, id) }

// nameAll gives each commit a branch, so that upload-pack shows all of them.
func (h *history) nameAll() {
	var in strings.Builder
	for i, id := range h.ids {
		fmt.Fprintf(&in, "create refs/heads/n%d %s\n", i, id)
	}
	h.repo.GitInput(in.String(), "update-ref", "--stdin")
}

// askGit returns the shallow and unshallow lines of git upload-pack, sorted.
func (h *history) askGit(t *testing.T, wants, client []git.ObjectID, cut graph.Cut) ([]string, error) {
	t.Helper()
	var in bytes.Buffer
	line := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...) + "\n"
		fmt.Fprintf(&in, "%04x%s", len(text)+4, text)
	}
	for i, id := range wants {
		capabilities := ""
		if i == 0 && cut.Relative {
			capabilities = " deepen-relative"
		}
		line("want %s%s", id, capabilities)
	}
	for _, id := range client {
		line("shallow %s", id)
	}
	switch {
	case cut.Infinite:
		line("deepen 2147483647")
	case cut.Depth > 0:
		line("deepen %d", cut.Depth)
	}
	if cut.Since > 0 {
		line("deepen-since %d", cut.Since)
	}
	for _, id := range cut.Not {
		line("deepen-not refs/heads/n%d", h.index(id))
	}
	in.WriteString("0000")
	cmd := gittest.Command(t, h.repo.GitDir(), "upload-pack", "--stateless-rpc", ".")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var lines []string
	for rest := string(out); rest != "" && rest != "0000"; {
		var n int
		if _, err := fmt.Sscanf(rest[:4], "%04x", &n); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSuffix(rest[4:n], "\n"))
		rest = rest[n:]
	}
	slices.Sort(lines)
	return lines, nil
}

func boundaryLines(b graph.Boundary) []string {
	lines := append(hexes("shallow ", b.Shallow), hexes("unshallow ", b.Unshallow)...)
	slices.Sort(lines)
	return lines
}

func TestShallowIsUploadPack(t *testing.T) {
	eachHistory(t, func(t *testing.T, h *history, src graph.Commits, random *rand.Rand) {
		h.nameAll()
		for i := range 24 {
			wants := h.some(random, 3)
			var client []git.ObjectID
			if i%3 != 0 {
				client = h.some(random, 4)
			}
			cut := h.randomCut(random, i)
			b, err := graph.Shallow(t.Context(), src, wants, client, cut)
			want, gitErr := h.askGit(t, wants, client, cut)
			if gitErr != nil && errors.Is(err, graph.ErrNothingSelected) {
				continue
			}
			if err != nil || gitErr != nil {
				t.Fatalf("got %v, want %v", err, gitErr)
			}
			if cut.Since > 0 || len(cut.Not) > 0 {
				want = h.withoutUnsent(t, want, wants, client)
			}
			if got := boundaryLines(b); !slices.Equal(got, want) {
				t.Fatalf("wants %v, client %v, cut %+v:\ngot  %v\nwant %v", wants, client, cut, got, want)
			}
		}
	})
}

// withoutUnsent drops the shallow lines of commits that the client does not get.
func (h *history) withoutUnsent(t *testing.T, lines []string, wants, client []git.ObjectID) []string {
	t.Helper()
	roots, starts := slices.Clone(client), slices.Clone(wants)
	for _, line := range lines {
		kind, hex, _ := strings.Cut(line, " ")
		id := git.MustParseObjectID(hex)
		if roots = append(roots, id); kind == "unshallow" {
			starts = append(starts, h.commits[id].Parents...)
		}
	}
	sent := walkAll(t, graph.NewWalk(graph.Grafted(h, roots...), starts, nil))
	return slices.DeleteFunc(lines, func(line string) bool {
		hex, isShallow := strings.CutPrefix(line, "shallow ")
		return isShallow && !slices.Contains(sent, hex)
	})
}

func (h *history) randomCut(random *rand.Rand, i int) graph.Cut {
	switch i % 6 {
	case 0, 1:
		return graph.Cut{Depth: 1 + random.IntN(8)}
	case 2:
		return graph.Cut{Depth: 1 + random.IntN(8), Relative: true}
	case 3:
		return graph.Cut{Infinite: true, Depth: 1, Relative: random.IntN(2) == 0}
	case 4:
		cut := graph.Cut{Since: h.commits[h.some(random, 1)[0]].Date}
		if random.IntN(2) == 0 {
			cut.Not = h.some(random, 2)
		}
		return cut
	}
	return graph.Cut{Not: h.some(random, 3)}
}

// TestShallowCloneIsGits follows clones of stock git from their start through
// changes of their depth.
func TestShallowCloneIsGits(t *testing.T) {
	type step struct {
		arg string
		cut graph.Cut
	}
	eachHistory(t, func(t *testing.T, h *history, _ graph.Commits, _ *rand.Rand) {
		tip, old := h.ids[len(h.ids)-1], h.ids[len(h.ids)/2]
		h.repo.Git("update-ref", "refs/heads/main", tip.String())
		h.repo.Git("update-ref", "refs/heads/old", old.String())
		since := h.commits[h.ids[len(h.ids)*2/3]].Date
		byDate := step{fmt.Sprintf("--shallow-since=%d", since), graph.Cut{Since: since}}
		byRef := step{"--shallow-exclude=old", graph.Cut{Not: []git.ObjectID{old}}}
		depth := func(n int) step { return step{fmt.Sprintf("--depth=%d", n), graph.Cut{Depth: n}} }
		for _, steps := range [][]step{
			{depth(2), depth(5), {"--deepen=2", graph.Cut{Depth: 2, Relative: true}}, depth(3), {"--unshallow", graph.Cut{Infinite: true}}},
			{depth(2), byDate},
			{depth(2), byRef},
		} {
			clone := gittest.Init(t, gittest.Bare())
			var client []git.ObjectID
			for _, step := range steps {
				b, err := graph.Shallow(t.Context(), h, []git.ObjectID{tip}, client, step.cut)
				out, gitErr := clone.GitErr("fetch", "--quiet", step.arg, "file://"+h.repo.Dir, "+refs/heads/main:refs/heads/main")
				if errors.Is(err, graph.ErrNothingSelected) && gitErr != nil {
					continue
				}
				if err != nil || gitErr != nil {
					t.Fatalf("%s: got %v, want %v %s", step.arg, err, gitErr, out)
				}
				client = slices.DeleteFunc(append(client, b.Shallow...), func(id git.ObjectID) bool {
					return slices.Contains(b.Unshallow, id)
				})
				checkClone(t, h, clone, tip, client)
				if len(client) == 0 {
					break // all of history is there already
				}
			}
		}
	})
}

// checkClone compares a clone with what the boundary says that it is.
func checkClone(t *testing.T, h *history, clone *gittest.Repo, tip git.ObjectID, client []git.ObjectID) {
	t.Helper()
	want := strings.Fields(clone.Git("rev-list", "main"))
	slices.Sort(want)
	got := walkAll(t, graph.NewWalk(graph.Grafted(h, client...), []git.ObjectID{tip}, nil))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("history: got %v, want %v", got, want)
	}
	// Stock git keeps commits in the file that it does not have.
	want = slices.DeleteFunc(shallowFile(t, clone), func(hex string) bool { return !slices.Contains(want, hex) })
	got = slices.DeleteFunc(hexes("", client), func(hex string) bool { return !slices.Contains(got, hex) })
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("shallow: got %v, want %v", got, want)
	}
}

func shallowFile(t *testing.T, repo *gittest.Repo) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo.GitDir(), "shallow"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	ids := strings.Fields(string(data))
	slices.Sort(ids)
	return ids
}

// TestShallowSendsWhatIsMissing checks that what Boundary says to send is just
// what the client lacks of its new history.
func TestShallowSendsWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	random := rand.New(rand.NewPCG(7, 7))
	for round := range 300 {
		h.invent(random, 30, shapes[round%len(shapes)])
		tip := h.ids[len(h.ids)-1]
		wants := []git.ObjectID{tip}
		var client, has []git.ObjectID
		for depth := 1 + random.IntN(3); depth < 12; depth += 1 + random.IntN(4) {
			b, err := graph.Shallow(t.Context(), h, wants, client, graph.Cut{Depth: depth})
			if err != nil {
				t.Fatal(err)
			}
			var haves []git.ObjectID
			if len(has) > 0 {
				haves = wants
			}
			sent := walkAll(t, graph.NewWalk(graph.Grafted(h, b.Roots...), append(slices.Clone(wants), b.Wants...), haves))
			client = slices.DeleteFunc(append(client, b.Shallow...), func(id git.ObjectID) bool {
				return slices.Contains(b.Unshallow, id)
			})
			lacks := walkAll(t, graph.NewWalk(graph.Grafted(h, client...), wants, nil))
			lacks = slices.DeleteFunc(lacks, func(hex string) bool { return slices.Contains(has, git.MustParseObjectID(hex)) })
			slices.Sort(sent)
			slices.Sort(lacks)
			if !slices.Equal(sent, lacks) {
				t.Fatalf("depth %d: sent %v, lacks %v", depth, sent, lacks)
			}
			for _, hex := range sent {
				has = append(has, git.MustParseObjectID(hex))
			}
		}
	}
}

// invent makes a history in memory.
func (h *history) invent(random *rand.Rand, n int, s shape) {
	h.ids = nil
	clear(h.commits)
	for i := range n {
		raw := make([]byte, git.SHA1.Size())
		for j := range raw {
			raw[j] = byte(random.UintN(256))
		}
		id, err := git.ObjectIDFromBytes(raw)
		if err != nil {
			panic(err)
		}
		links := git.CommitLinks{Date: 1_000_000 + int64(i)*s.step}
		if s.skew > 0 {
			links.Date += random.Int64N(s.skew)
		}
		for _, p := range randomParents(random, i, s) {
			links.Parents = append(links.Parents, h.ids[p])
		}
		h.ids = append(h.ids, id)
		h.commits[id] = links
	}
}

func TestShallowStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := &history{commits: map[git.ObjectID]git.CommitLinks{}}
	h.invent(rand.New(rand.NewPCG(1, 1)), 30, shapes[0])
	tips := h.ids[29:]
	for _, cut := range []graph.Cut{{Depth: 9}, {Since: 1}, {Not: h.ids[:1]}} {
		if _, err := graph.Shallow(ctx, h, tips, nil, cut); !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: got %v, want canceled", cut, err)
		}
	}
}
