package odb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// fixture is a store with one organization.
type fixture struct {
	store   *odb.Store
	options odb.Options
	bucket  *dir.Bucket
	org     cairn.Organization
	clock   time.Time
	scratch string
}

func newFixture(t testing.TB, change ...func(*odb.Options)) *fixture {
	t.Helper()
	f := &fixture{clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	root := t.TempDir()
	if f.bucket, err = dir.Open(filepath.Join(root, "bucket")); err != nil {
		t.Fatal(err)
	}
	f.scratch = filepath.Join(root, "scratch")
	o := odb.Options{
		Metadata:   metadata,
		Bucket:     f.bucket,
		ScratchDir: filepath.Join(root, "scratch"),
		Now:        func() time.Time { return f.clock },
	}
	for _, c := range change {
		c(&o)
	}
	f.options = o
	if f.store, err = odb.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	f.org = cairn.Organization{ID: cairn.OrganizationID(cairn.NewID()), Name: "acme", CreatedAt: f.clock}
	f.update(t, func(tx cairn.Tx) error { return tx.Organizations().Create(f.org) })
	return f
}

func (f *fixture) update(t testing.TB, do func(cairn.Tx) error) {
	t.Helper()
	if err := f.store.Metadata().Update(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) repository(t testing.TB, name string) cairn.RepositoryKey {
	t.Helper()
	r := cairn.Repository{
		RepositoryKey: cairn.RepositoryKey{Organization: f.org.ID, Repository: cairn.RepositoryID(cairn.NewID())},
		Name:          cairn.RepositoryName(name), DefaultBranch: "refs/heads/main", Format: git.SHA1, CreatedAt: f.clock,
	}
	f.update(t, func(tx cairn.Tx) error { _, err := tx.Repositories().Create(r); return err })
	return r.RepositoryKey
}

func (f *fixture) snapshot(t testing.TB, key cairn.RepositoryKey) *odb.Snapshot {
	t.Helper()
	sn, err := f.store.SnapshotOf(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sn.Close)
	return sn
}

// commit writes files on top of a branch, as the product does, and returns
// the new tip.
func (f *fixture) commit(t testing.TB, key cairn.RepositoryKey, branch git.RefName, files map[string]string) git.ObjectID {
	t.Helper()
	tip, err := tryCommit(t.Context(), f.store, key, branch, files, f.clock)
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

func tryCommit(ctx context.Context, store *odb.Store, key cairn.RepositoryKey, branch git.RefName, files map[string]string, when time.Time) (git.ObjectID, error) {
	return tryCommitOn(ctx, store, key, branch, false, files, when)
}

// tryCommitOn commits on top of a branch, or puts an orphan in its place.
func tryCommitOn(ctx context.Context, store *odb.Store, key cairn.RepositoryKey, branch git.RefName, orphan bool, files map[string]string, when time.Time) (git.ObjectID, error) {
	var none git.ObjectID
	sn, err := store.SnapshotOf(ctx, key)
	if err != nil {
		return none, err
	}
	defer sn.Close()
	b := store.NewPack(git.SHA1)
	defer b.Close()
	var base git.ObjectID
	c := git.Commit{Message: fmt.Sprintf("commit %d\n", sn.Repository().Version)}
	ref, exists := sn.Ref(branch)
	if exists && !orphan {
		links, err := sn.Commit(ctx, ref.Target)
		if err != nil {
			return none, err
		}
		base, c.Parents = links.Tree, []git.ObjectID{ref.Target}
	}
	var changes []odb.TreeChange
	for path, content := range files {
		id, err := b.Add(git.BlobObject, []byte(content))
		if err != nil {
			return none, err
		}
		changes = append(changes, odb.TreeChange{Path: path, ID: id})
	}
	add := func(tree []byte) (git.ObjectID, error) { return b.Add(git.TreeObject, tree) }
	if c.Tree, err = odb.EditTree(ctx, git.SHA1, sn, base, changes, add); err != nil {
		return none, err
	}
	c.Author = git.Signature{Name: "A", Email: "a@example.com", When: when}
	c.Committer = c.Author
	tip, err := b.Add(git.CommitObject, c.Encode())
	if err != nil {
		return none, err
	}
	staged, err := b.Finish(ctx, key.Organization)
	if err != nil {
		return none, err
	}
	_, err = store.Apply(ctx, key, odb.Update{
		Packs: []odb.Staged{staged},
		Refs:  []cairn.RefUpdate{{Name: branch, Old: ref.Target, New: tip}},
		Actor: "test",
		Since: sn.Repository().Version,
	})
	return tip, err
}

func TestApplyIsSeenByTheNextSnapshot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "team/app")
	before := f.snapshot(t, key)
	tip := f.commit(t, key, "refs/heads/main", map[string]string{"a/b.txt": "hello\n"})

	sn := f.snapshot(t, key)
	if ref, ok := sn.Ref("refs/heads/main"); !ok || ref.Target != tip {
		t.Errorf("main is at %v, want %v", ref.Target, tip)
	}
	if _, ok := before.Ref("refs/heads/main"); ok {
		t.Error("an older snapshot changed")
	}
	links, err := sn.Commit(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := sn.Lookup(t.Context(), links.Tree, "a/b.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sn.Blob(t.Context(), entry.ID, 100); err != nil || string(got) != "hello\n" {
		t.Errorf("a/b.txt = %q, %v", got, err)
	}
	if _, err := sn.Lookup(t.Context(), links.Tree, "a/none"); !errors.Is(err, cairn.NotFound) {
		t.Errorf("absent path: %v, want NotFound", err)
	}
}

// TestSnapshotAfterRestart reads what was written through another Store, which
// has nothing in memory.
func TestSnapshotAfterRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *odb.Options) { o.InlineLimit = 2000 })
	key := f.repository(t, "app")
	large := strings.Repeat("0123456789abcdef", 20_000) + fmt.Sprint(rand.Perm(3000))
	f.commit(t, key, "refs/heads/main", map[string]string{"small": "x"})
	tip := f.commit(t, key, "refs/heads/main", map[string]string{"large": large})

	second, err := odb.Open(odb.Options{Metadata: f.store.Metadata(), Bucket: f.bucket, ScratchDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close() })
	sn, err := second.SnapshotOf(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	links, err := sn.Commit(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"small": "x", "large": large} {
		entry, err := sn.Lookup(t.Context(), links.Tree, path)
		if err != nil {
			t.Fatal(err)
		}
		r, size, err := sn.OpenBlob(t.Context(), entry.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != want || size != int64(len(want)) {
			t.Errorf("%s: %d bytes of %d, %v", path, len(got), len(want), err)
		}
	}
}

func TestForkSharesPacksButNotObjects(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	source := f.repository(t, "source")
	public := f.commit(t, source, "refs/heads/main", map[string]string{"a": "public"})
	secret := f.commit(t, source, "refs/heads/secret", map[string]string{"s": "secret"})

	fork := cairn.RepositoryKey{Organization: f.org.ID, Repository: cairn.RepositoryID(cairn.NewID())}
	_, err := f.store.Fork(t.Context(), source, 0, "test", func(r cairn.Repository, refs []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		return cairn.Repository{RepositoryKey: fork, Name: "fork", DefaultBranch: r.DefaultBranch},
			[]cairn.RefUpdate{{Name: "refs/heads/main", New: public}}, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sn := f.snapshot(t, fork)
	if has, err := sn.Has(t.Context(), secret); err != nil || !has {
		t.Fatalf("the fork does not share the pack: %v %v", has, err)
	}
	links, err := sn.Commit(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []git.ObjectID{secret, links.Tree} {
		if ok, err := sn.Reachable(t.Context(), odb.FullView, id); ok || err != nil {
			t.Errorf("Reachable(%s) = %v, %v in the fork, want false", id, ok, err)
		}
	}
	if ok, err := sn.Reachable(t.Context(), odb.FullView, public); !ok || err != nil {
		t.Errorf("Reachable(public) = %v, %v", ok, err)
	}
	for _, rev := range []string{secret.String(), secret.String()[:10], secret.String() + "~0"} {
		if _, err := sn.Resolve(t.Context(), odb.FullView, rev, odb.ResolveOptions{}); !errors.Is(err, cairn.NotFound) {
			t.Errorf("Resolve(%s) = %v, want NotFound", rev, err)
		}
	}
	if got, err := sn.Resolve(t.Context(), odb.FullView, public.String()[:8], odb.ResolveOptions{}); err != nil || got != public {
		t.Errorf("Resolve(prefix) = %v, %v, want %v", got, err, public)
	}
}

func TestViewsHideEachOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	normal := f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	ephemeral := f.commit(t, key, odb.EphemeralRef("refs/heads/main"), map[string]string{"e": "2"})
	sn := f.snapshot(t, key)
	for _, c := range []struct {
		view View
		id   git.ObjectID
		want bool
	}{
		{odb.NormalView, normal, true}, {odb.NormalView, ephemeral, false},
		{odb.EphemeralView, normal, false}, {odb.EphemeralView, ephemeral, true},
		{odb.FullView, normal, true}, {odb.FullView, ephemeral, true},
	} {
		if got, err := sn.Reachable(t.Context(), c.view, c.id); got != c.want || err != nil {
			t.Errorf("view %d, %s: %v, %v, want %v", c.view, c.id, got, err, c.want)
		}
	}
	for name, want := range map[string]git.ObjectID{"main": ephemeral, "HEAD": ephemeral} {
		if got, err := sn.Resolve(t.Context(), odb.FullView, name, odb.ResolveOptions{Ephemeral: true}); got != want || err != nil {
			t.Errorf("ephemeral %s = %v, %v, want %v", name, got, err, want)
		}
	}
}

// View is short for the test tables.
type View = odb.View

func TestRevisionGrammar(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	first := f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	second := f.commit(t, key, "refs/heads/main", map[string]string{"a": "2"})
	sn := f.snapshot(t, key)
	for rev, want := range map[string]git.ObjectID{
		"main": second, "refs/heads/main": second, "heads/main": second, "HEAD": second, "@": second,
		"main~1": first, "main^": first, "main^1": first, "HEAD~": first, "main^{commit}~1": first, "main^0": second,
		second.String(): second, first.String()[:7]: first,
	} {
		if got, err := sn.Resolve(t.Context(), odb.FullView, rev, odb.ResolveOptions{}); err != nil || got != want {
			t.Errorf("Resolve(%q) = %v, %v, want %v", rev, got, err, want)
		}
	}
	for rev, kind := range map[string]cairn.Kind{
		"": cairn.Invalid, "--all": cairn.Invalid, "-": cairn.Invalid, ":/text": cairn.Invalid, "main@{1}": cairn.Invalid,
		"HEAD^{/a+}": cairn.Invalid, "main..x": cairn.Invalid, "main:a": cairn.Invalid, "main~99999999999999999999": cairn.Invalid,
		"main~999999": cairn.Invalid, "main^{tree}": cairn.Invalid, "main~2": cairn.NotFound, "main^2": cairn.NotFound,
		"none": cairn.NotFound, "deadbeef": cairn.NotFound, git.ZeroHex: cairn.NotFound, "refs/heads/none": cairn.NotFound,
	} {
		if _, err := sn.Resolve(t.Context(), odb.FullView, rev, odb.ResolveOptions{}); cairn.KindOf(err) != kind {
			t.Errorf("Resolve(%q): %v, want %s", rev, err, kind)
		}
	}
}

// TestEditTreeAgainstGit applies random changes with EditTree and with git's
// own index and compares the trees.
func TestEditTreeAgainstGit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	sn := f.snapshot(t, key)
	work := t.TempDir()
	gittest.Git(t, work, "init", "-q", ".")
	names := []string{"a", "a.b", "b", "a/b", "a/c", "a/b/c", "d/e/f", "d/e", "é", "a-b", "a0"}
	rng := rand.New(rand.NewPCG(1, 2))
	trees := memoryTrees{sn, map[git.ObjectID][]byte{}}
	for round := range 30 {
		gittest.Git(t, work, "read-tree", "--empty")
		var base git.ObjectID
		for range 3 {
			var changes []odb.TreeChange
			for range 1 + rng.IntN(6) {
				name := names[rng.IntN(len(names))]
				exists := gittest.Git(t, work, "ls-files", "--", ":(literal)"+name) != ""
				if exists && rng.IntN(3) == 0 {
					gittest.Git(t, work, "rm", "-r", "-q", "--cached", "--", ":(literal)"+name)
					changes = append(changes, odb.TreeChange{Path: name, Delete: true})
					continue
				}
				id, err := git.HashObject(git.SHA1, git.BlobObject, []byte(name+fmt.Sprint(round)))
				if err != nil {
					t.Fatal(err)
				}
				gittest.Git(t, work, "update-index", "--add", "--replace", "--info-only", "--cacheinfo", "100644,"+id.String()+","+name)
				changes = append(changes, odb.TreeChange{Path: name, Mode: git.ModeFile, ID: id})
			}
			got, err := odb.EditTree(t.Context(), git.SHA1, trees, base, changes, trees.emit)
			if err != nil {
				t.Fatalf("%+v: %v", changes, err)
			}
			want := strings.TrimSpace(gittest.Git(t, work, "write-tree", "--missing-ok"))
			if got.String() != want {
				t.Fatalf("round %d: tree %s, git makes %s of %+v", round, got, want, changes)
			}
			base = got
		}
	}
}

type memoryTrees struct {
	sn    *odb.Snapshot
	trees map[git.ObjectID][]byte
}

func (m memoryTrees) Tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	if data, ok := m.trees[id]; ok {
		return data, nil
	}
	return m.sn.Tree(ctx, id)
}

func (m memoryTrees) emit(tree []byte) (git.ObjectID, error) {
	id, err := git.HashObject(git.SHA1, git.TreeObject, tree)
	m.trees[id] = bytes.Clone(tree)
	return id, err
}

func TestDeleteOfAbsentPathIsNotFound(t *testing.T) {
	t.Parallel()
	emit := func(tree []byte) (git.ObjectID, error) { return git.HashObject(git.SHA1, git.TreeObject, tree) }
	_, err := odb.EditTree(t.Context(), git.SHA1, memoryTrees{}, git.ObjectID{}, []odb.TreeChange{{Path: "a/b", Delete: true}}, emit)
	if !errors.Is(err, cairn.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
}

func TestWalkOrderAndPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	tip := f.commit(t, key, "refs/heads/main", map[string]string{"a": "", "a.b": "", "b/c": "", "b/d/e": "", "b.x": "", "z": "", "b0": ""})
	sn := f.snapshot(t, key)
	links, err := sn.Commit(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "a.b", "b.x", "b/c", "b/d/e", "b0", "z"}
	for after := range append([]string{""}, want...) {
		start := ""
		if after > 0 {
			start = want[after-1]
		}
		var got []string
		err := sn.Walk(t.Context(), links.Tree, odb.WalkOptions{Recursive: true, After: start}, func(path string, _ git.TreeEntry) error {
			got = append(got, path)
			return nil
		})
		if err != nil || !slices.Equal(got, want[after:]) {
			t.Errorf("after %q: %q, %v, want %q", start, got, err, want[after:])
		}
	}
	err = sn.Walk(t.Context(), links.Tree, odb.WalkOptions{Recursive: true, MaxEntries: 3}, func(string, git.TreeEntry) error { return nil })
	if !errors.Is(err, cairn.TooLarge) {
		t.Errorf("walk over its budget: %v, want TooLarge", err)
	}
}

func TestStaleApplyChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	first := f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	second := f.commit(t, key, "refs/heads/main", map[string]string{"a": "2"})
	_, err := f.store.Apply(t.Context(), key, odb.Update{Refs: []cairn.RefUpdate{
		{Name: "refs/heads/new", New: first},
		{Name: "refs/heads/main", Old: first, New: first},
	}})
	var conflict *cairn.RefConflict
	if !errors.As(err, &conflict) || conflict.Current != second {
		t.Fatalf("got %v, want a conflict at %s", err, second)
	}
	if _, ok := f.snapshot(t, key).Ref("refs/heads/new"); ok {
		t.Error("half of a refused update happened")
	}
}

func TestSweepRemovesWhatNothingNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *odb.Options) { o.InlineLimit = 1 })
	key := f.repository(t, "app")
	kept := f.repository(t, "kept")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	f.commit(t, kept, "refs/heads/main", map[string]string{"b": "1"})
	orphan := "packs/" + string(f.org.ID) + "/0123-4567.pack"
	if err := f.bucket.Put(t.Context(), orphan, strings.NewReader("junk"), 4); err != nil {
		t.Fatal(err)
	}
	f.update(t, func(tx cairn.Tx) error { return tx.Repositories().Delete(key, f.clock) })
	later := f.clock.Add(time.Minute)
	r, err := f.store.Sweep(t.Context(), odb.SweepOptions{DeletedBefore: later, GarbageBefore: later, OrphansBefore: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if want := (odb.SweepResult{Repositories: 1, Packs: 1, Orphans: 1, Bytes: 4}); r != want {
		t.Errorf("swept %+v, want %+v", r, want)
	}
	items, err := f.bucket.List(t.Context(), "", "", 100)
	if err != nil || len(items) != 2 {
		t.Errorf("%d items remain: %v, %v; want the pack and the index of the repository that lives", len(items), items, err)
	}
	if result, err := f.store.Check(t.Context(), kept, nil); err != nil || len(result.Problems) > 0 {
		t.Errorf("the other repository was harmed: %v %v", result, err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *odb.Options) { o.InlineLimit = 1 })
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": strings.Repeat("content that can be damaged ", 50)})
	if r, err := f.store.Check(t.Context(), key, nil); err != nil || len(r.Problems) > 0 || r.Objects != 3 {
		t.Fatalf("sound repository: %+v, %v", r, err)
	}
	items, err := f.bucket.List(t.Context(), "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if strings.HasSuffix(item.Key, ".pack") {
			file, err := f.bucket.Open(t.Context(), item.Key)
			if err != nil {
				t.Fatal(err)
			}
			flipByte(t, file.Name(), 40)
			file.Close()
		}
	}
	if r, err := f.store.Check(t.Context(), key, nil); err != nil || len(r.Problems) == 0 {
		t.Errorf("damaged repository: %+v, %v; want problems", r, err)
	}
}

func flipByte(t *testing.T, path string, at int64) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var b [1]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := file.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotOfADeletedRepositorySaysSo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	f.update(t, func(tx cairn.Tx) error { return tx.Repositories().Delete(key, f.clock) })
	if sn := f.snapshot(t, key); !sn.Repository().DeletedAt.Equal(f.clock) {
		t.Errorf("deleted at %v, want %v", sn.Repository().DeletedAt, f.clock)
	}
}

// TestHiddenRefsKeepTheirObjects says what a ref that keeps a change does: only
// the view of changes knows what it leads to.
func TestHiddenRefsKeepTheirObjects(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.repository(t, "site")
	public := f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	hidden := f.commit(t, key, odb.ChangeRef(git.ChangeID{1}), map[string]string{"a": "2"})
	ephemeral := f.commit(t, key, odb.EphemeralRef("refs/heads/e"), map[string]string{"a": "3"})
	other := f.commit(t, key, "refs/namespaces/other/refs/heads/e", map[string]string{"a": "4"})
	sn := f.snapshot(t, key)
	for view, want := range map[odb.View][]git.ObjectID{
		odb.NormalView: {public}, odb.FullView: {public, ephemeral}, odb.ChangeView: {public, hidden}, odb.EphemeralView: {ephemeral},
	} {
		for _, id := range []git.ObjectID{public, hidden, ephemeral, other} {
			if ok, err := sn.Reachable(t.Context(), view, id); ok != slices.Contains(want, id) || err != nil {
				t.Errorf("view %d: %s: %v, %v", view, id, ok, err)
			}
		}
	}
	for _, id := range []git.ObjectID{public, hidden} {
		suffix := git.SyntheticChangeID(id).CommitSuffix()
		if got, ok, err := sn.CommitBySuffix(t.Context(), suffix); got != id || !ok || err != nil {
			t.Errorf("by suffix: %s, %v, %v, want %s", got, ok, err, id)
		}
	}
	if id, ok, err := sn.CommitBySuffix(t.Context(), [16]byte{1}); ok || err != nil {
		t.Errorf("by a suffix of none: %s, %v", id, err)
	}
	if !odb.IsHidden(odb.ChangeRef(git.ChangeID{1})) || odb.IsHidden("refs/heads/main") || odb.IsHidden(odb.EphemeralRef("refs/heads/e")) {
		t.Error("which refs are hidden")
	}
}
