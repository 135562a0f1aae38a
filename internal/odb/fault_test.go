package odb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

var errFault = errors.New("the disk is on fire")

// TestFaults lets every single call to the two stores fail in turn, before or
// after its work, while a repository is written, compacted, repacked, forked and
// swept.
// Whatever fails, what was acknowledged must be there and sound.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		wrap func(cairn.Metadata, cairn.FileBucket, int) (cairn.Metadata, cairn.FileBucket, func() int)
	}{
		{"bucket", func(m cairn.Metadata, b cairn.FileBucket, n int) (cairn.Metadata, cairn.FileBucket, func() int) {
			f := storagetest.Faulty(b, n, errFault)
			return m, f, f.Calls
		}},
		{"bucket late", func(m cairn.Metadata, b cairn.FileBucket, n int) (cairn.Metadata, cairn.FileBucket, func() int) {
			f := storagetest.FaultyLate(b, n, errFault)
			return m, f, f.Calls
		}},
		{"metadata", func(m cairn.Metadata, b cairn.FileBucket, n int) (cairn.Metadata, cairn.FileBucket, func() int) {
			f := storagetest.FaultyMetadata(m, n, errFault)
			return f, b, f.Calls
		}},
		{"metadata late", func(m cairn.Metadata, b cairn.FileBucket, n int) (cairn.Metadata, cairn.FileBucket, func() int) {
			f := storagetest.FaultyMetadataLate(m, n, errFault)
			return f, b, f.Calls
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				f := newFixture(t)
				key := f.repository(t, "app")
				metadata, bucket, calls := kind.wrap(f.store.Metadata(), f.bucket, n)
				scratch := filepath.Join(t.TempDir(), "s")
				options := odb.Options{Metadata: metadata, Bucket: bucket, ScratchDir: scratch, InlineLimit: 3000, CompactAt: 2}
				withGit(t)(&options)
				store, err := odb.Open(options)
				if err != nil {
					t.Fatal(err)
				}
				script := &faultScript{store: store, key: key}
				script.run(t.Context())
				if err := store.Close(); err != nil {
					t.Error(err)
				}
				script.verify(t, f)
				if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
					t.Errorf("left in the scratch directory: %v, %v", left, err)
				}
				if t.Failed() {
					t.Fatalf("after a fault in call %d", n)
				}
				if calls() < n {
					return // the script ended without meeting the fault
				}
			}
		})
	}
}

// faultScript does a little of everything and remembers what was acknowledged.
type faultScript struct {
	store        *odb.Store
	key          cairn.RepositoryKey
	acknowledged []git.ObjectID // commits on main
}

func (s *faultScript) run(ctx context.Context) {
	now := time.Now()
	commit := func(path, content string) {
		tip, err := tryCommit(ctx, s.store, s.key, "refs/heads/main", map[string]string{path: content}, now)
		if err == nil {
			s.acknowledged = append(s.acknowledged, tip)
		}
	}
	large := func(n int) string {
		var b strings.Builder
		for i := range 800 {
			fmt.Fprintf(&b, "%x\n", (i+1)*(n+7919)*104729)
		}
		return b.String()
	}
	commit("a", "1")
	commit("large/a", large(1))
	commit("a", "2")
	_, _ = s.store.Compact(ctx, s.key)
	commit("large/b", large(2))
	_, _ = s.store.Fork(ctx, s.key, 1<<40, "test", func(r cairn.Repository, refs []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		r.RepositoryKey.Repository, r.Name, r.Version = cairn.RepositoryID(cairn.NewID()), "fork", 0
		return r, []cairn.RefUpdate{{Name: "refs/heads/main", New: refs[0].Target}}, nil
	}, nil)
	_, _ = s.store.Repack(ctx, s.key, nil)
	later := now.Add(time.Hour)
	_, _ = s.store.Sweep(ctx, odb.SweepOptions{GarbageBefore: later, OrphansBefore: later})
	commit("a", "3")
}

// verify reads everything through healthy stores.
func (s *faultScript) verify(t *testing.T, f *fixture) {
	t.Helper()
	healthy, err := odb.Open(odb.Options{Metadata: f.store.Metadata(), Bucket: f.bucket, ScratchDir: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer healthy.Close()
	var repos []cairn.Repository
	err = f.store.Metadata().View(t.Context(), func(tx cairn.Tx) (err error) {
		repos, err = tx.Repositories().List(f.org.ID, "", "", 10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range repos {
		if result, err := healthy.Check(t.Context(), r.RepositoryKey, nil); err != nil || len(result.Problems) > 0 {
			t.Errorf("repository %s: %v, %v", r.Name, result.Problems, err)
		}
	}
	sn, err := healthy.SnapshotOf(t.Context(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	for _, id := range s.acknowledged {
		if ok, err := sn.Reachable(t.Context(), odb.FullView, id); !ok || err != nil {
			t.Errorf("commit %s was acknowledged and is gone: %v", id, err)
		}
	}
}
