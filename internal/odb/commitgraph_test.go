package odb_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// below returns all objects that are reachable from some, the plain way.
func below(t testing.TB, sn *odb.Snapshot, tips ...git.ObjectID) map[git.ObjectID]git.Object {
	t.Helper()
	found := map[git.ObjectID]git.Object{}
	for tips = slices.Clone(tips); len(tips) > 0; {
		id := tips[len(tips)-1]
		tips = tips[:len(tips)-1]
		if _, ok := found[id]; ok {
			continue
		}
		o, err := sn.Object(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		found[id] = o
		switch o.Type {
		case git.CommitObject:
			c, err := git.ParseCommit(git.SHA1, o.Data)
			if err != nil {
				t.Fatal(err)
			}
			tips = append(append(tips, c.Tree), c.Parents...)
		case git.TagObject:
			tag, err := git.ParseTag(git.SHA1, o.Data)
			if err != nil {
				t.Fatal(err)
			}
			tips = append(tips, tag.Target)
		case git.TreeObject:
			r := git.NewTreeReader(git.SHA1, o.Data)
			for {
				more, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !more {
					break
				}
				if !r.Mode.IsSubmodule() {
					tips = append(tips, r.ID)
				}
			}
		}
	}
	return found
}

// repackByHand puts what levels of tips reach into a pack for each level, and
// the sidecars beside the first; the packs from before stay.
func (f *fixture) repackByHand(t testing.TB, key cairn.RepositoryKey, levels ...[]git.ObjectID) {
	t.Helper()
	sn := f.snapshot(t, key)
	stored := map[git.ObjectID]bool{}
	index := commitgraph.NewBuilder(git.SHA1)
	var packs []cairn.Pack
	var staged []odb.Staged
	var ids []cairn.PackID
	for _, tips := range levels {
		b := f.store.NewPack(git.SHA1)
		defer b.Close()
		for id, o := range below(t, sn, tips...) {
			if stored[id] {
				continue
			}
			stored[id] = true
			if _, err := b.Add(o.Type, o.Data); err != nil {
				t.Fatal(err)
			}
			if o.Type != git.CommitObject {
				continue
			}
			links, err := git.ParseCommitLinks(git.SHA1, o.Data)
			if err != nil {
				t.Fatal(err)
			}
			var before git.ObjectID
			if len(links.Parents) > 0 {
				parent, err := sn.Commit(t.Context(), links.Parents[0])
				if err != nil {
					t.Fatal(err)
				}
				before = parent.Tree
			}
			filter, err := commitgraph.ChangedPaths(t.Context(), git.SHA1, sn, before, links.Tree)
			if err != nil {
				t.Fatal(err)
			}
			index.Add(id, links, filter)
		}
		// Without this the pack is that of another repack.
		if _, err := b.Add(git.BlobObject, fmt.Append(nil, "padding ", len(ids), f.clock)); err != nil {
			t.Fatal(err)
		}
		p, err := b.Finish(t.Context(), key.Organization)
		if err != nil {
			t.Fatal(err)
		}
		p.Sidecars = len(packs) == 0
		staged, packs, ids = append(staged, p), append(packs, p.Pack), append(ids, p.ID)
	}
	var file bytes.Buffer
	if err := index.Write(&file); err != nil {
		t.Fatal(err)
	}
	if err := f.store.PutSidecars(t.Context(), git.SHA1, staged[0], levels, ids, file.Bytes()); err != nil {
		t.Fatal(err)
	}
	f.update(t, func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		return tx.Packs().Add(key, packs...)
	})
}

func newFixtureWithLargePacks(t testing.TB) *fixture {
	return newFixture(t, func(o *odb.Options) { o.InlineLimit = 1 })
}

// TestReachableWithAClosureIsReachability makes random states of a repository,
// some repacked, and asks of every object in every view.
func TestReachableWithAClosureIsReachability(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 7))
			f := newFixtureWithLargePacks(t)
			key := f.repository(t, "r")
			branches := []git.RefName{"refs/heads/main", "refs/heads/dev", odb.EphemeralRef("refs/heads/main"), "refs/heads/other"}
			all := map[git.ObjectID]bool{}
			f.commit(t, key, branches[0], map[string]string{"file": "0"})
			for turn := range 30 {
				sn := f.snapshot(t, key)
				name := branches[random.IntN(len(branches))]
				ref, exists := sn.Ref(name)
				main, _ := sn.Ref(branches[0])
				switch n := random.IntN(10); {
				case n < 5:
					f.commit(t, key, name, map[string]string{fmt.Sprint("file", random.IntN(5)): fmt.Sprint(turn)})
				case n < 7 && !exists: // branches off
					f.move(t, key, cairn.RefUpdate{Name: name, New: main.Target})
				case n < 8 && exists && name != branches[0]:
					f.move(t, key, cairn.RefUpdate{Name: name, Old: ref.Target})
				case n < 9 && exists: // goes back
					links, err := sn.Commit(t.Context(), ref.Target)
					if err != nil {
						t.Fatal(err)
					}
					if len(links.Parents) > 0 {
						f.move(t, key, cairn.RefUpdate{Name: name, Old: ref.Target, New: links.Parents[0]})
					}
				default:
					var rest []git.ObjectID
					for _, ref := range sn.Refs() {
						if odb.NormalView.Shows(ref.Name) && ref.Name != branches[0] {
							rest = append(rest, ref.Target)
						}
					}
					levels := [][]git.ObjectID{{main.Target}}
					if len(rest) > 0 {
						levels = append(levels, rest)
					}
					f.repackByHand(t, key, levels...)
				}
				sn = f.snapshot(t, key)
				for _, view := range []odb.View{odb.NormalView, odb.EphemeralView, odb.FullView} {
					var tips []git.ObjectID
					for _, ref := range sn.Refs() {
						if view.Shows(ref.Name) {
							tips = append(tips, ref.Target)
						}
					}
					want := below(t, sn, tips...)
					for id := range want {
						all[id] = true
					}
					for id := range all {
						_, reachable := want[id]
						if got, err := sn.Reachable(t.Context(), view, id); err != nil || got != reachable {
							t.Fatalf("turn %d, view %d, object %s: got %t, %v, want %t", turn, view, id, got, err, reachable)
						}
					}
				}
			}
		})
	}
}

func (f *fixture) move(t testing.TB, key cairn.RepositoryKey, u cairn.RefUpdate) {
	t.Helper()
	if _, err := f.store.Apply(t.Context(), key, odb.Update{Refs: []cairn.RefUpdate{u}}); err != nil {
		t.Fatal(err)
	}
}

// TestClosureSparesTheWalk asks for the oldest and for a missing object after a
// repack and a few commits.
func TestClosureSparesTheWalk(t *testing.T) {
	t.Parallel()
	f := newFixtureWithLargePacks(t)
	key := f.repository(t, "r")
	const main = "refs/heads/main"
	first := f.commit(t, key, main, map[string]string{"file": "first"})
	for i := range 50 {
		f.commit(t, key, main, map[string]string{"file": fmt.Sprint(i)})
	}
	gone := f.commit(t, key, "refs/heads/gone", map[string]string{"gone": "gone"})
	f.move(t, key, cairn.RefUpdate{Name: "refs/heads/gone", Old: gone})
	sn := f.snapshot(t, key)
	tip, _ := sn.Ref(main)
	f.repackByHand(t, key, []git.ObjectID{tip.Target})
	for i := range 3 {
		f.commit(t, key, main, map[string]string{"file": fmt.Sprint("later", i)})
	}
	sn = f.snapshot(t, key)
	links, err := sn.Commit(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	goneLinks, err := sn.Commit(t.Context(), gone)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[git.ObjectID]bool{first: true, links.Tree: true, gone: false, goneLinks.Tree: false} {
		if got, err := sn.Reachable(t.Context(), odb.NormalView, id); err != nil || got != want {
			t.Errorf("object %s: got %t, %v, want %t", id, got, err, want)
		}
	}
	if n := sn.ReachedCommits(odb.NormalView); n > 4 {
		t.Errorf("%d commits were walked, want those since the repack", n)
	}
}

// load stores what a repository of stock git holds.
func (f *fixture) load(t testing.TB, key cairn.RepositoryKey, r *gittest.Repo) {
	t.Helper()
	b := f.store.NewPack(git.SHA1)
	defer b.Close()
	kinds := map[string]git.ObjectType{"commit": git.CommitObject, "tree": git.TreeObject, "blob": git.BlobObject, "tag": git.TagObject}
	for _, o := range r.Objects() {
		if _, err := b.Add(kinds[o.Type], o.Data); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := b.Finish(t.Context(), key.Organization)
	if err != nil {
		t.Fatal(err)
	}
	u := odb.Update{Packs: []odb.Staged{staged}}
	for name, id := range r.Refs() {
		u.Refs = append(u.Refs, cairn.RefUpdate{Name: git.RefName(name), New: git.MustParseObjectID(id)})
	}
	if _, err := f.store.Apply(t.Context(), key, u); err != nil {
		t.Fatal(err)
	}
}

// TestHistoryWithACommitGraphIsGits asks about pairs of commits of a repository
// of which a part was repacked, and compares with stock git.
func TestHistoryWithACommitGraphIsGits(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 9))
			f := newFixtureWithLargePacks(t)
			key := f.repository(t, "r")
			r := gittest.Random(t, seed, gittest.Options{Skew: seed%2 == 1, Commits: 100, Branches: 5})
			f.load(t, key, r)
			commits := strings.Fields(r.Git("rev-list", "--all"))
			some := func() git.ObjectID { return git.MustParseObjectID(commits[random.IntN(len(commits))]) }
			f.repackByHand(t, key, []git.ObjectID{some()}, []git.ObjectID{some(), some()})
			sn := f.snapshot(t, key)
			if numbers, err := sn.Generations(t.Context()); err != nil || numbers == nil {
				t.Fatalf("no commit-graph: %v", err)
			}
			for range 25 {
				a, b := some(), some()
				bases, err := graph.MergeBases(t.Context(), sn, a, b)
				if err != nil {
					t.Fatal(err)
				}
				got := make([]string, len(bases))
				for i, id := range bases {
					got[i] = id.String()
				}
				out, _ := r.GitErr("merge-base", "--all", a.String(), b.String()) // fails if there is none
				if want := strings.Fields(out); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
					t.Errorf("merge-base %s %s: got %v, want %v", a, b, got, want)
				}
				ancestor, err := graph.IsAncestor(t.Context(), sn, a, b)
				_, no := r.GitErr("merge-base", "--is-ancestor", a.String(), b.String())
				if err != nil || ancestor != (no == nil) {
					t.Errorf("is %s an ancestor of %s: got %t, %v", a, b, ancestor, err)
				}
				ahead, behind, err := graph.AheadBehind(t.Context(), sn, a, b)
				want := r.Git("rev-list", "--left-right", "--count", a.String()+"..."+b.String())
				if got := fmt.Sprintf("%d\t%d", ahead, behind); err != nil || got != want {
					t.Errorf("ahead and behind of %s and %s: got %q, %v, want %q", a, b, got, err, want)
				}
			}
			tip := some()
			var log []string
			for w := graph.NewWalk(sn, []git.ObjectID{tip}, nil); ; {
				id, _, more, err := w.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !more {
					break
				}
				log = append(log, id.String())
			}
			if want := strings.Fields(r.Git("rev-list", tip.String())); !slices.Equal(log, want) {
				t.Errorf("log of %s:\ngot  %v\nwant %v", tip, log, want)
			}
		})
	}
}

func TestCommitGraphAnswersAsTheObjects(t *testing.T) {
	t.Parallel()
	f := newFixtureWithLargePacks(t)
	key := f.repository(t, "r")
	var ids []git.ObjectID
	for i := range 20 {
		ids = append(ids, f.commit(t, key, "refs/heads/main", map[string]string{fmt.Sprint("dir/file", i%4): fmt.Sprint(i)}))
	}
	ask := func(sn *odb.Snapshot) (answers []git.CommitLinks) {
		for _, id := range ids {
			links, err := sn.Commit(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, links)
		}
		return answers
	}
	before := f.snapshot(t, key)
	want := ask(before)
	if g, err := before.Generations(t.Context()); g != nil || err != nil {
		t.Fatalf("a repository that was never repacked has generation numbers: %v", err)
	}
	f.repackByHand(t, key, []git.ObjectID{ids[15]})
	sn := f.snapshot(t, key)
	for i, got := range ask(sn) {
		if got.Tree != want[i].Tree || got.Date != want[i].Date || !slices.Equal(got.Parents, want[i].Parents) {
			t.Errorf("commit %d: got %v, want %v", i, got, want[i])
		}
	}
	numbers, err := sn.Generations(t.Context())
	if err != nil || numbers == nil {
		t.Fatalf("no generation numbers: %v", err)
	}
	filters, err := sn.PathFilters(t.Context(), "dir/file1")
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if _, known := numbers.Generation(id); known != (i <= 15) {
			t.Errorf("generation of commit %d: known is %t", i, known)
		}
		if got, want := filters.Unchanged(id), i <= 15 && i%4 != 1; got != want {
			t.Errorf("commit %d: Unchanged is %t, want %t", i, got, want)
		}
	}
	if ok, err := graph.IsAncestor(t.Context(), sn, ids[3], ids[19]); !ok || err != nil {
		t.Errorf("IsAncestor: got %t, %v", ok, err)
	}
}
