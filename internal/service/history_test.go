package service

import (
	"bytes"
	"context"
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

// load stores all objects and refs of a repository of stock git.
func (f *tenants) load(t testing.TB, repo cairn.Repository, r *gittest.Repo) {
	t.Helper()
	var refs []cairn.RefUpdate
	for name, id := range r.Refs() {
		refs = append(refs, cairn.RefUpdate{Name: git.RefName(name), New: git.MustParseObjectID(id)})
	}
	f.loadRefs(t, repo, r, refs...)
}

// loadRefs stores all objects of a repository of stock git, and moves refs.
func (f *tenants) loadRefs(t testing.TB, repo cairn.Repository, r *gittest.Repo, refs ...cairn.RefUpdate) {
	t.Helper()
	b := f.store.NewPack(git.SHA1)
	defer b.Close()
	for _, o := range r.Objects() {
		var kind git.ObjectType
		for _, k := range []git.ObjectType{git.CommitObject, git.TreeObject, git.BlobObject, git.TagObject} {
			if k.String() == o.Type {
				kind = k
			}
		}
		if _, err := b.Add(kind, o.Data); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := b.Finish(t.Context(), repo.Organization)
	if err != nil {
		t.Fatal(err)
	}
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	u := odb.Update{Packs: []odb.Staged{staged}, Refs: refs, Since: sn.Repository().Version}
	if _, err := f.store.Apply(t.Context(), repo.RepositoryKey, u); err != nil {
		t.Fatal(err)
	}
}

// filtersOf returns filters of the commits below a tip, as a full repack writes
// them.
func filtersOf(t testing.TB, sn *odb.Snapshot, tip git.ObjectID) *commitgraph.Graph {
	t.Helper()
	b := commitgraph.NewBuilder(git.SHA1)
	for w := graph.NewWalk(sn, []git.ObjectID{tip}, nil); ; {
		id, links, more, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
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
		b.Add(id, links, filter)
	}
	var file bytes.Buffer
	if err := b.Write(&file); err != nil {
		t.Fatal(err)
	}
	g, err := commitgraph.Parse(git.SHA1, file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// logOf is the history of a path below the branch main, given filters.
func logOf(ctx context.Context, sn *odb.Snapshot, tip git.ObjectID, path string, unchanged func(git.ObjectID) bool) (ids []string, err error) {
	l, err := newCommitLog(ctx, sn, path, tip)
	if err != nil {
		return nil, err
	}
	l.history.unchanged = unchanged
	for {
		id, more, err := l.next(ctx)
		if err != nil || !more {
			return ids, err
		}
		ids = append(ids, id.String())
	}
}

// TestPathHistoryIsGitLog compares the history of paths with stock git's:
// without filters, with those of all commits, and with those of a part.
func TestPathHistoryIsGitLog(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 3))
			f := newTenants(t)
			repo := f.create(t, "acme", "r")
			r := gittest.Random(t, seed, gittest.Options{Skew: seed%2 == 1, Commits: 100})
			f.load(t, repo, r)
			sn, err := f.open(t.Context(), f.actor(t, "acme", "r", cairn.GitRead), "r", cairn.GitRead)
			if err != nil {
				t.Fatal(err)
			}
			defer sn.Close()
			main, _ := sn.Ref("refs/heads/main")
			commits := strings.Fields(r.Git("rev-list", "main"))
			whole := filtersOf(t, sn, main.Target)
			part := filtersOf(t, sn, git.MustParseObjectID(commits[len(commits)/3]))
			var paths []string
			for name := range strings.SplitSeq(r.Git("log", "--format=", "--name-only", "-z", "main"), "\x00") {
				if name = strings.TrimPrefix(name, "\n"); name != "" && !slices.Contains(paths, name) {
					paths = append(paths, name)
				}
			}
			random.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
			ruledOut, asked := 0, 0
			for i, path := range paths[:min(len(paths), 40)] {
				if dir, _, ok := strings.Cut(path, "/"); ok && i%3 == 0 {
					path = dir
				}
				want := strings.Fields(r.Git("--literal-pathspecs", "log", "--format=%H", "main", "--", path))
				for name, g := range map[string]*commitgraph.Graph{"no filters": nil, "all filters": whole, "some filters": part} {
					unchanged := func(git.ObjectID) bool { return false }
					if g != nil {
						key := g.NewKey(path)
						unchanged = func(id git.ObjectID) bool {
							pos, ok := g.Find(id)
							if !ok {
								return false
							}
							filter, ok := g.Filter(pos)
							out := ok && !filter.MayContain(key)
							if asked++; out {
								ruledOut++
							}
							return out
						}
					}
					got, err := logOf(t.Context(), sn, main.Target, path, unchanged)
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("path %q, %s: %v\ngot  %v\nwant %v", path, name, err, got, want)
					}
				}
			}
			if ruledOut < asked/2 {
				t.Errorf("of %d questions filters answered only %d", asked, ruledOut)
			}
		})
	}
}
