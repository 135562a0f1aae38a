package odb_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// withGit lets a store call git.
func withGit(t testing.TB) func(*odb.Options) {
	t.Helper()
	g, err := gitexec.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(o *odb.Options) { o.Git = g }
}

func repack(t testing.TB, f *fixture, key cairn.RepositoryKey) odb.RepackResult {
	t.Helper()
	r, err := f.store.Repack(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
	return r
}

// moveRef moves a ref as the service does.
func (f *fixture) moveRef(t testing.TB, key cairn.RepositoryKey, name git.RefName, to git.ObjectID) {
	t.Helper()
	sn, err := f.store.SnapshotOf(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	old, _ := sn.Ref(name)
	_, err = f.store.Apply(t.Context(), key, odb.Update{
		Refs: []cairn.RefUpdate{{Name: name, Old: old.Target, New: to}}, Since: sn.Repository().Version})
	if err != nil {
		t.Fatal(err)
	}
}

// export makes a bare git repository of a snapshot's packs and refs.
func (f *fixture) export(t testing.TB, key cairn.RepositoryKey) *gittest.Repo {
	t.Helper()
	repo := gittest.Init(t, gittest.Bare())
	sn := f.snapshot(t, key)
	var manifest []cairn.Pack
	err := f.store.Metadata().View(t.Context(), func(tx cairn.Tx) (err error) {
		if manifest, err = tx.Packs().Manifest(key); err != nil {
			return err
		}
		for i := range manifest {
			if manifest[i], err = tx.Packs().Get(key.Organization, manifest[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range manifest {
		base := filepath.Join(repo.GitDir(), "objects", "pack", "pack-"+string(p.ID))
		for suffix, data := range map[string][]byte{".pack": p.Data, ".idx": p.Index} {
			if !p.Inline() {
				data = f.item(t, p.Key+suffix)
			}
			if err := os.WriteFile(base+suffix, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if p.Sidecars {
			if err := os.MkdirAll(filepath.Join(repo.GitDir(), "objects", "info"), 0o700); err != nil {
				t.Fatal(err)
			}
			graph := filepath.Join(repo.GitDir(), "objects", "info", "commit-graph")
			if err := os.WriteFile(graph, f.item(t, p.Key+".graph"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, ref := range sn.Refs() {
		repo.Git("update-ref", string(ref.Name), ref.Target.String())
	}
	return repo
}

func (f *fixture) item(t testing.TB, key string) []byte {
	t.Helper()
	file, err := f.options.Bucket.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRepackKeepsWhatGitFinds compares a repacked repository with git's own
// view of it: the same objects are reachable, nothing is broken, and the size
// is about that of git gc.
func TestRepackKeepsWhatGitFinds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t), func(o *odb.Options) { o.SegmentSize = 40 << 10 })
	key := f.repository(t, "app")
	line := func(n int) string { return strings.Repeat(fmt.Sprintf("line %x\n", n*7919), 3) }
	text := make([]string, 200)
	for i := range text {
		text[i] = line(i)
	}
	var tip git.ObjectID
	for i := range 120 {
		text[(i*37)%len(text)] = line(i * 104729)
		tip = f.commit(t, key, "refs/heads/main", map[string]string{
			"src/deep/folder/file.c":       strings.Join(text, ""),
			fmt.Sprintf("docs/%d.md", i%9): fmt.Sprintf("page %d\nodd name\n", i),
			"odd\nname":                    fmt.Sprint(i),
		})
		if i == 60 {
			f.moveRef(t, key, "refs/heads/side", tip)
			f.moveRef(t, key, "refs/tags/v1", tip)
		}
	}
	f.commit(t, key, "refs/heads/side", map[string]string{"side": "only"})
	f.commit(t, key, "refs/heads/side", map[string]string{"side": "only more"})
	f.moveRef(t, key, odb.EphemeralRef("refs/heads/e"), tip)
	f.commit(t, key, odb.EphemeralRef("refs/heads/e"), map[string]string{"hidden": "h"})
	before := f.export(t, key)
	want := strings.Fields(before.Git("rev-list", "--objects", "--all", "--no-object-names"))

	r := repack(t, f, key)
	if r.Before.Packs < 120 || r.After.Packs < 5 || r.After.Objects != int64(len(want)) {
		t.Errorf("repacked %+v; git finds %d objects", r, len(want))
	}
	after := f.export(t, key)
	got := strings.Fields(after.Git("rev-list", "--objects", "--all", "--no-object-names"))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("git finds %d objects, not the %d of before", len(got), len(want))
	}
	gittest.Fsck(t, after.GitDir())
	after.Git("commit-graph", "verify")
	if all := after.Objects(); len(all) != len(want) {
		t.Errorf("the packs hold %d objects, not %d", len(all), len(want))
	}
	before.Git("gc", "-q")
	gc, ours := packedBytes(t, before), packedBytes(t, after)
	if ours*10 > gc*15 { // cut into many tiny segments here
		t.Errorf("%d bytes, after git gc %d", ours, gc)
	}
	if check, err := f.store.Check(t.Context(), key, nil); err != nil || len(check.Problems) > 0 {
		t.Errorf("after the repack: %+v, %v", check, err)
	}
	again := repack(t, f, key)
	if again.Dropped != 0 || again.After.Objects != r.After.Objects {
		t.Errorf("repacked once more: %+v", again)
	}
	gittest.Fsck(t, f.export(t, key).GitDir())
}

// TestRepackSeeksDeltasAmongMerged has a repack of what was merged before find the
// deltas that it finds among the packs of single commits; and another one, to
// which only a seventh of the objects came, but most of the bytes.
func TestRepackSeeksDeltasAmongMerged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	text := make([]string, 200)
	for i := range text {
		text[i] = fmt.Sprintf("line %x\n", i*7919)
	}
	done := 0
	for _, commits := range []int{64, 10} {
		for range commits {
			text[(done*37)%len(text)] = fmt.Sprintf("line %x\n", done*104729)
			f.commit(t, key, "refs/heads/main", map[string]string{"file.c": strings.Join(text, "")})
			done++
		}
		if merged, err := f.store.Compact(t.Context(), key); err != nil || merged.After > 6 {
			t.Fatalf("merged %+v, %v", merged, err)
		}
		r := repack(t, f, key)
		if r.After.Bytes > int64(done)*300 { // the text of one commit takes 800, if it is no delta
			t.Errorf("repacked %+v after %d commits; nearly all could be deltas", r, done)
		}
	}
}

func packedBytes(t testing.TB, repo *gittest.Repo) (n int64) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(repo.GitDir(), "objects", "pack", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// What no ref leads to goes after the retention time, and not before.
func TestRepackDropsTheUnreachable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t), func(o *odb.Options) { o.Retention = 48 * time.Hour })
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	gone := f.commit(t, key, "refs/heads/gone", map[string]string{"b": "2"})
	f.moveRef(t, key, "refs/heads/gone", git.ObjectID{})
	old := f.snapshot(t, key)
	fork := cairn.RepositoryKey{Organization: f.org.ID, Repository: cairn.RepositoryID(cairn.NewID())}
	_, err := f.store.Fork(t.Context(), key, 0, "test", func(r cairn.Repository, _ []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		r.RepositoryKey, r.Name, r.Version = fork, "fork", 0
		return r, []cairn.RefUpdate{{Name: "refs/heads/kept", New: gone}}, nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {47 * time.Hour, true}, {2 * time.Hour, false}} {
		f.clock = f.clock.Add(step.after)
		r := repack(t, f, key)
		has, err := f.snapshot(t, key).Has(t.Context(), gone)
		if err != nil || has != step.want || (r.Dropped > 0) == step.want {
			t.Errorf("%v later: there %v, %v; want %v; %+v", step.after, has, err, step.want, r)
		}
	}
	// Who looked before still reads it; so does the fork.
	swept, err := f.store.Sweep(t.Context(), odb.SweepOptions{GarbageBefore: f.clock.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("swept %+v", swept)
	if _, err := old.Commit(t.Context(), gone); err != nil {
		t.Errorf("snapshot from before: %v", err)
	}
	for _, k := range []cairn.RepositoryKey{key, fork} {
		if check, err := f.store.Check(t.Context(), k, nil); err != nil || len(check.Problems) > 0 {
			t.Errorf("%+v, %v", check, err)
		}
	}
}

// A write that was checked before the fence is refused, and nothing of it
// happens; so is a fork.
func TestFenceRefusesOldChecks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	gone := f.commit(t, key, "refs/heads/gone", map[string]string{"b": "2"})
	checked := f.snapshot(t, key)
	f.moveRef(t, key, "refs/heads/gone", git.ObjectID{})
	f.clock = f.clock.Add(30 * 24 * time.Hour)
	repack(t, f, key)
	back := []cairn.RefUpdate{{Name: "refs/heads/back", New: gone}}
	_, err := f.store.Apply(t.Context(), key, odb.Update{Refs: back, Since: checked.Repository().Version})
	if !errors.Is(err, odb.ErrOutdated) {
		t.Errorf("write: got error %v", err)
	}
	_, err = f.store.Fork(t.Context(), key, checked.Repository().Version, "test", func(r cairn.Repository, _ []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		r.RepositoryKey.Repository, r.Name = cairn.RepositoryID(cairn.NewID()), "fork"
		return r, back, nil
	}, nil)
	if !errors.Is(err, odb.ErrOutdated) {
		t.Errorf("fork: got error %v", err)
	}
	if _, ok := f.snapshot(t, key).Ref("refs/heads/back"); ok {
		t.Error("the refused write happened")
	}
}

// Packs that come during or after a repack stay, and are merged apart from its
// own.
func TestRepackedPacksAreNotMerged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	for i := range 5 {
		f.commit(t, key, "refs/heads/main", map[string]string{"a": fmt.Sprint(i)})
	}
	r := repack(t, f, key)
	if r.After.Packs != 2 {
		t.Errorf("repacked to %+v, want a history pack and one of blobs", r.After)
	}
	for i := range 5 {
		f.commit(t, key, "refs/heads/main", map[string]string{"b": fmt.Sprint(i)})
	}
	merged, err := f.store.Compact(t.Context(), key)
	if err != nil || merged.After != 3 {
		t.Errorf("merged %+v, %v, want the two packs of the repack and one more", merged, err)
	}
	if check, err := f.store.Check(t.Context(), key, nil); err != nil || len(check.Problems) > 0 {
		t.Errorf("%+v, %v", check, err)
	}
}

// One repack of a repository at a time.
func TestSecondRepackIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	var told []string
	_, err := f.store.Repack(t.Context(), key, func(text string) {
		if !strings.HasSuffix(text, "\r") { // how far it is depends on the time
			told = append(told, text)
		}
		if _, err := f.store.Repack(t.Context(), key, nil); !errors.Is(err, cairn.Conflict) {
			t.Errorf("while one is under way: got error %v", err)
		}
	})
	if want := []string{"Enumerating objects: 3, done.\n", "Packing objects: 3, done.\n"}; err != nil || !slices.Equal(told, want) {
		t.Errorf("told %q, %v, want %q", told, err, want)
	}
	repack(t, f, key)
}

func TestRepackOfNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	if r := repack(t, f, key); r != (odb.RepackResult{}) {
		t.Errorf("repacked %+v", r)
	}
	without := newFixture(t)
	if _, err := without.store.Repack(t.Context(), without.repository(t, "app"), nil); !errors.Is(err, gitexec.ErrUnavailable) {
		t.Errorf("without git: got error %v", err)
	}
}
