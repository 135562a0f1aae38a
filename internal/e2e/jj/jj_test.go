package jj

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestCloneHasTheSameChanges clones changes of every origin: made by the API,
// amended, merged, in conflict, and pushed by git without ids of their own.
func TestCloneHasTheSameChanges(t *testing.T) {
	t.Parallel()
	r := newWorld(t).create("app")
	base := r.write(root, "base", gittest.Files{"a": "one\ntwo\nthree\n", "b": "b\n"})
	left := r.write(base.ID, "left", gittest.Files{"a": "one\nleft\nthree\n"})
	right := r.write(base.ID, "right", gittest.Files{"a": "one\nright\nthree\n", "c": "c\n"})
	r.bookmark("main", left.ID)
	r.bookmark("topic", right.ID)
	r.call("POST", r.name+"/bookmarks/merge", map[string]any{"target": "main", "source": "topic", "message": "merged", "allow_conflicted": true}, nil)
	r.amend(base.ID, gittest.Files{"b": "other\n"})

	work := gittest.Clone(t, r.address())
	work.Git("checkout", "-q", "-b", "plain", "origin/topic")
	work.Commit("plain", "by git", gittest.Files{"d": "d\n"})
	work.Git("push", "-q", "origin", "plain")

	ours := r.changes("main")
	maps.Copy(ours, r.changes("plain"))
	c := r.clone()
	equalChanges(t, "after the clone", ours, c.changes("::bookmarks()"))
	if len(ours) != 5 {
		t.Errorf("%d changes: %v", len(ours), ours)
	}
	if got := c.run("resolve", "--list", "-r", "main"); !strings.HasPrefix(got, "a ") || !strings.Contains(got, "2-sided conflict") {
		t.Errorf("jj sees as conflicts: %q", got)
	}
	if got := c.run("diff", "--summary", "-r", "main"); got != "" {
		t.Errorf("jj would merge otherwise: %q", got)
	}
}

// TestChangesPushedByJJ pushes changes, amends one, and pushes again: the API
// has them under jj's ids, with their newest commits.
func TestChangesPushedByJJ(t *testing.T) {
	t.Parallel()
	r := newWorld(t).create("app")
	base := r.write(root, "base", gittest.Files{"a": "one\n"})
	r.bookmark("main", base.ID)
	c := r.clone()
	c.write(gittest.Files{"b": "b\n"})
	c.run("commit", "-m", "second")
	c.write(gittest.Files{"c": "c\n"})
	c.run("commit", "-m", "third")
	c.run("bookmark", "set", "main", "-r", "@-")
	c.run("git", "push", "--bookmark", "main")
	before := r.changes("main")
	equalChanges(t, "after the first push", before, c.changes("::main"))

	c.run("describe", "-r", "main-", "-m", "second, in other words")
	c.run("git", "push", "--bookmark", "main")
	after := r.changes("main")
	equalChanges(t, "after the second push", after, c.changes("::main"))
	for id, change := range after {
		if was := before[id]; (was.Commit == change.Commit) != (id == base.ID) {
			t.Errorf("%s was %+v and is %+v", id, was, change)
		}
	}
	if len(after) != 3 {
		t.Errorf("%d changes: %v", len(after), after)
	}

	r.amend(base.ID, gittest.Files{"a": "other\n"})
	c.run("git", "fetch")
	equalChanges(t, "after the server rebased them", r.changes("main"), c.changes("::main@origin"))
}

var seeds = flag.Uint64("seeds", 6, "histories of TestRebasesEqualJJs")

// TestRebasesEqualJJs amends changes of random histories in both: each commit
// that is made again has the same trees, those of its conflict too.
func TestRebasesEqualJJs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for seed := range *seeds {
		h := &history{repository: w.create(fmt.Sprintf("r%d", seed)), random: rand.New(rand.NewPCG(seed, 1))}
		h.grow()
		c := h.clone()
		before := c.changes("::bookmarks()")
		for range 2 {
			clean := slices.DeleteFunc(slices.Sorted(maps.Keys(before)), func(id string) bool { return before[id].Conflicted })
			id, files := clean[h.random.IntN(len(clean))], h.edits()
			c.run("new", "-m", "", id)
			if there := strings.Fields(c.run("file", "list")); h.random.IntN(3) == 0 && len(there) > 0 {
				files = gittest.Files{there[h.random.IntN(len(there))]: deleted}
			}
			h.amend(id, files)
			c.write(files)
			c.run("squash")
			ours := map[string]change{}
			for _, name := range h.bookmarks {
				maps.Copy(ours, h.changes(name))
			}
			before = c.changes("::bookmarks()")
			c.git("fetch", "-q", h.address(), "+refs/heads/*:refs/theirs/*")
			for id, a := range ours {
				if a, b := c.content(a.Commit), c.content(before[id].Commit); a != b {
					t.Errorf("seed %d: %s %q is\n%s\nby jj\n%s", seed, id, ours[id].Message, a, b)
				}
			}
			if len(ours) != len(before) {
				t.Errorf("seed %d: %d changes, by jj %d", seed, len(ours), len(before))
			}
		}
	}
}

// content is what a commit has: its tree or, in conflict, those of its terms.
func (c *clone) content(commit string) string {
	c.Helper()
	text := c.git("cat-file", "commit", commit)
	for line := range strings.Lines(text) {
		if trees, ok := strings.CutPrefix(line, "jj:trees "); ok {
			return strings.TrimSpace(trees)
		}
	}
	return strings.Fields(text)[1]
}

// history grows a repository at random.
type history struct {
	*repository
	random    *rand.Rand
	bookmarks []string
}

// grow makes changes on top of changes, and merges of some of them.
func (h *history) grow() {
	h.Helper()
	made := []change{h.write(root, "base", h.edits())}
	parents := map[string]bool{}
	for i := range 7 {
		on := made[h.random.IntN(len(made))].ID
		parents[on] = true
		made = append(made, h.write(on, fmt.Sprint("change ", i), h.edits()))
	}
	for i, c := range made {
		if !parents[c.ID] {
			name := fmt.Sprint("b", i)
			if len(h.bookmarks) == 0 {
				name = "main"
			}
			h.bookmark(name, c.ID)
			h.bookmarks = append(h.bookmarks, name)
		}
	}
	for range len(h.bookmarks) { // with some luck, crosswise
		target, source := h.bookmarks[h.random.IntN(len(h.bookmarks))], h.bookmarks[h.random.IntN(len(h.bookmarks))]
		h.call("POST", h.name+"/bookmarks/merge", map[string]any{"target": target, "source": source, "message": "merge " + source + " into " + target, "allow_conflicted": true}, nil)
	}
}

// edits are new contents of a file or two, whose lines come from few.
func (h *history) edits() gittest.Files {
	files := gittest.Files{}
	for range 1 + h.random.IntN(2) {
		var text strings.Builder
		for line := range 5 {
			word := "same"
			if h.random.IntN(4) == 0 {
				word = string(rune('a' + h.random.IntN(3)))
			}
			fmt.Fprintf(&text, "%d %s\n", line, word)
		}
		files[string(rune('x'+h.random.IntN(3)))] = text.String()
	}
	return files
}
