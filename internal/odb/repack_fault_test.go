package odb_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/gittest/hostile"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// repackable is a repository that was repacked once and has grown since, with
// something to drop.
func repackable(t *testing.T, change ...func(*odb.Options)) (*fixture, cairn.RepositoryKey) {
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	f := newFixture(t, append([]func(*odb.Options){withGit(t), func(o *odb.Options) { o.Metadata = interrupted{metadata} }}, change...)...)
	key := f.repository(t, "app")
	for i := range 5 {
		f.commit(t, key, "refs/heads/main", map[string]string{"a": fmt.Sprint(i)})
	}
	repack(t, f, key)
	f.commit(t, key, "refs/heads/side", map[string]string{"b": "1"})
	f.commit(t, key, "refs/heads/main", map[string]string{"b": "2"})
	f.commit(t, key, "refs/heads/gone", map[string]string{"c": "1"})
	f.moveRef(t, key, "refs/heads/gone", git.ObjectID{})
	f.clock = f.clock.Add(30 * 24 * time.Hour)
	return f, key
}

// present is what a repack that fails leaves as it was.
type present struct {
	refs     []cairn.Ref
	manifest []cairn.Pack
	items    []string // of the bucket
}

func (f *fixture) present(t *testing.T, key cairn.RepositoryKey) present {
	t.Helper()
	p := present{refs: slices.Clone(f.snapshot(t, key).Refs())}
	err := f.store.Metadata().View(t.Context(), func(tx cairn.Tx) (err error) {
		p.manifest, err = tx.Packs().Manifest(key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	items, err := f.bucket.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		p.items = append(p.items, item.Key)
	}
	return p
}

// isAsBefore compares, makes sure that nothing lies around and that all is whole.
func (f *fixture) isAsBefore(t *testing.T, key cairn.RepositoryKey, before present) {
	t.Helper()
	// Of a transaction that failed nobody knows whether it happened: then the
	// new packs are left to the janitor.
	if _, err := f.store.Sweep(t.Context(), odb.SweepOptions{OrphansBefore: time.Now().Add(time.Hour)}); err != nil {
		t.Error(err)
	}
	after := f.present(t, key)
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("state\n%+v\nwant that of before\n%+v", after, before)
	}
	if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
	if check, err := f.store.Check(t.Context(), key, nil); err != nil || len(check.Problems) > 0 {
		t.Errorf("%+v, %v", check, err)
	}
}

// repackWorks makes sure that the next repack does what this one should have.
func (f *fixture) repackWorks(t *testing.T, key cairn.RepositoryKey) {
	t.Helper()
	if r, err := f.store.Repack(t.Context(), key, nil); err != nil || r.Dropped != 2 {
		t.Errorf("the next repack: %+v, %v, want 2 objects dropped", r, err)
	}
	gittest.Fsck(t, f.export(t, key).GitDir())
}

// TestRepackIsCancelledAnywhere cancels a repack at each of its transactions and
// before each of its packs.
func TestRepackIsCancelledAnywhere(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		f, key := repackable(t)
		before := f.present(t, key)
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		step := func() error {
			if steps++; steps == n {
				cancel()
			}
			return nil
		}
		f.store.BeforePack(step)
		_, err := f.store.Repack(context.WithValue(ctx, interruptionKey{}, step), key, nil)
		cancel()
		switch {
		case err == nil && steps < 12:
			t.Fatalf("a repack has %d steps only", steps)
		case err == nil: // n is the step after which it is done, or none
			return
		case !errors.Is(err, context.Canceled):
			t.Errorf("cancelled at step %d: got error %v", n, err)
		}
		f.isAsBefore(t, key, before)
		f.repackWorks(t, key)
		if t.Failed() {
			t.Fatalf("cancelled at step %d", n)
		}
	}
}

// TestRepackSurvivesTheEndOfGit lets git be killed in the middle of a pack, fill
// the disk, and write another pack than it was told to.
func TestRepackSurvivesTheEndOfGit(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	for name, instead := range map[string]string{
		"killed":         `head -c 50 >/dev/null; for last; do :; done; echo PACK >"$last-half.pack"; kill -9 $$`,
		"disk full":      `trap '' XFSZ; ulimit -f 0`,
		"a bad pack":     `for last; do :; done; "` + real + `" "$@" >name && chmod u+w "$last"*.pack && printf X | dd of="$(ls "$last"*.pack)" bs=1 seek=20 conv=notrunc 2>/dev/null; cat name; exit`,
		"another's list": `head -n 1 | exec "` + real + `" "$@"; exit`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shim := filepath.Join(t.TempDir(), "git")
			script := "#!/bin/bash\ncase \"$*\" in *pack-objects*) " + instead + ";; esac\nexec '" + real + "' \"$@\"\n"
			if err := os.WriteFile(shim, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			f, key := repackable(t)
			broken, err := gitexec.Open(t.Context(), shim)
			if err != nil {
				t.Fatal(err)
			}
			o := f.options
			o.Git = broken
			whole := f.store
			if f.store, err = odb.Open(o); err != nil {
				t.Fatal(err)
			}
			before := f.present(t, key)
			_, err = f.store.Repack(t.Context(), key, nil)
			t.Log(err)
			if err == nil {
				t.Error("the repack did not fail")
			}
			f.isAsBefore(t, key, before)
			if err := f.store.Close(); err != nil {
				t.Error(err)
			}
			f.store = whole
			f.repackWorks(t, key)
		})
	}
}

// TestRepackOfHostilePacks repacks what git would take, and so must we, though
// somebody made it to do harm. Objects that no ref leads to are dropped from it.
func TestRepackOfHostilePacks(t *testing.T) {
	t.Parallel()
	for _, c := range hostile.Cases() {
		if c.Verdict != hostile.Legal || c.Large && !*allHostile {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, withGit(t))
			key := f.repository(t, "app")
			f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
			push := c.Make()
			accept(t, f, key, push.Pack, map[string]string{"refs/tags/hostile": push.Tip.String()})
			if _, err := f.store.Repack(t.Context(), key, nil); err != nil {
				t.Error(err)
			}
			if check, err := f.store.Check(t.Context(), key, nil); err != nil || len(check.Problems) > 0 {
				t.Errorf("%+v, %v", check, err)
			}
			if left, err := os.ReadDir(f.scratch); err != nil || len(left) > 0 {
				t.Errorf("left in the scratch directory: %v, %v", left, err)
			}
		})
	}
}

var allHostile = flag.Bool("hostile.all", false, "also repack the hostile packs that take long")

// Several pushes can build a tree that is deeper than any walk goes. A clone and
// a repack say so, and nothing is lost.
func TestTreesBuiltTooDeep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withGit(t))
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"a": "1"})
	b := f.store.NewPack(git.SHA1)
	defer b.Close()
	tree, err := b.Add(git.TreeObject, nil)
	for range 4100 {
		if err == nil {
			tree, err = b.Add(git.TreeObject, append([]byte("40000 d\x00"), tree.Bytes()...))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	c := git.Commit{Tree: tree, Message: "deep\n", Author: git.Signature{Name: "A", Email: "a@example.com", When: f.clock}}
	c.Committer = c.Author
	tip, err := b.Add(git.CommitObject, c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	staged, err := b.Finish(t.Context(), key.Organization)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.store.Apply(t.Context(), key, odb.Update{
		Packs: []odb.Staged{staged}, Refs: []cairn.RefUpdate{{Name: "refs/heads/deep", New: tip}}, Since: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := f.present(t, key)
	sn := f.snapshot(t, key)
	fetch, err := sn.Negotiate(t.Context(), odb.NormalView, &protocol.FetchRequest{Version: 2, Done: true, Wants: []git.ObjectID{tip}})
	if err == nil {
		_, err = fetch.PlanPack(t.Context(), func(string) {})
	}
	if cairn.KindOf(err) != cairn.TooLarge || !strings.Contains(err.Error(), "4096 levels deep") {
		t.Errorf("clone: got error %v", err)
	}
	if _, err := f.store.Repack(t.Context(), key, nil); cairn.KindOf(err) != cairn.TooLarge {
		t.Errorf("repack: got error %v", err)
	}
	f.isAsBefore(t, key, before)
}

// A clone that was begun before packs were replaced reads them to its end,
// however slow it is: what a request reads is no garbage, whatever its age.
func TestSlowCloneKeepsItsPacks(t *testing.T) {
	t.Parallel()
	f, key := repackable(t, func(o *odb.Options) { o.InlineLimit = 1 })
	collect := func() odb.SweepResult {
		f.clock = f.clock.Add(24 * time.Hour)
		swept, err := f.store.Sweep(t.Context(), odb.SweepOptions{GarbageBefore: f.clock.Add(-time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return swept
	}
	collect() // what the first repack replaced
	sn, err := f.store.SnapshotOf(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	ref, _ := sn.Ref("refs/heads/main")
	main := ref.Target
	quiet := func(string) {}
	q := &protocol.FetchRequest{Version: 2, Done: true, OfsDelta: true, Wants: []git.ObjectID{main}}
	fetch, err := sn.Negotiate(t.Context(), odb.NormalView, q)
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(fetch.WritePack(t.Context(), w, quiet)) }()
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	repack(t, f, key)
	if swept := collect(); swept.Packs > 0 || swept.Garbage.Packs < 2 {
		t.Errorf("while the clone reads: %+v, want nothing removed", swept)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	clone := gittest.Init(t, gittest.Bare())
	clone.GitInput(string(append(first, rest...)), "index-pack", "--stdin", "--strict")
	clone.Git("update-ref", "refs/heads/main", main.String())
	gittest.Fsck(t, clone.GitDir())
	sn.Close()
	if swept := collect(); swept.Packs < 2 || swept.Garbage.Packs != 0 {
		t.Errorf("after the clone: %+v, want all removed", swept)
	}
}
