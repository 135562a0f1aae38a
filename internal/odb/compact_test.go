package odb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

func TestCompactionKeepsEverything(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 256 << 10} { // all packs in the Bucket, all inline
		f := newFixture(t, func(o *odb.Options) { o.InlineLimit = limit })
		key := f.repository(t, "app")
		var tips []git.ObjectID
		for i := range 40 {
			tips = append(tips, f.commit(t, key, "refs/heads/main", map[string]string{fmt.Sprintf("d%d/f", i%5): fmt.Sprint(i), "same": "same"}))
		}
		before, err := f.store.SnapshotOf(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !before.Due() {
			t.Error("40 packs are not due for compaction")
		}
		r, err := f.store.Compact(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if r.Before != 40 || r.After != 1 {
			t.Errorf("compacted %+v, want 40 packs into 1", r)
		}
		f.clock = f.clock.Add(time.Hour)
		if swept, err := f.store.Sweep(t.Context(), odb.SweepOptions{GarbageBefore: f.clock}); err != nil || swept.Packs != 0 {
			t.Errorf("swept %+v, %v, while a snapshot uses them", swept, err)
		}
		if _, err := before.Commit(t.Context(), tips[0]); err != nil {
			t.Errorf("snapshot from before: %v", err)
		}
		before.Close()
		swept, err := f.store.Sweep(t.Context(), odb.SweepOptions{GarbageBefore: f.clock})
		if err != nil || swept.Packs != 40 {
			t.Errorf("swept %+v, %v, want the 40 replaced packs", swept, err)
		}
		after := f.snapshot(t, key)
		for _, tip := range tips {
			if ok, err := after.Reachable(t.Context(), odb.NormalView, tip); !ok || err != nil {
				t.Fatalf("commit %s is lost: %v", tip, err)
			}
		}
		if check, err := f.store.Check(t.Context(), key, nil); err != nil || len(check.Problems) > 0 {
			t.Errorf("after compaction: %+v, %v", check, err)
		}
	}
}

// TestPacksGrowLogarithmically commits and compacts as the server does.
func TestPacksGrowLogarithmically(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *odb.Options) { o.CompactAt = 8 })
	key := f.repository(t, "app")
	most := 0
	for i := range 200 {
		f.commit(t, key, "refs/heads/main", map[string]string{fmt.Sprintf("f%d", i): fmt.Sprint(i)})
		sn := f.snapshot(t, key)
		if sn.Due() {
			if _, err := f.store.Compact(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			most = max(most, f.snapshot(t, key).PackCount())
		}
	}
	if most > 6 {
		t.Errorf("%d packs after a compaction of at most 200 commits, want a logarithm", most)
	}
}

// TestCompactionMeetsCommitsAndForks runs all that moves packs at once and
// then checks every repository.
func TestCompactionMeetsCommitsAndForks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *odb.Options) { o.CompactAt = 4; o.InlineLimit = 700; o.Now = time.Now })
	key := f.repository(t, "app")
	f.commit(t, key, "refs/heads/main", map[string]string{"first": "1"})
	stop := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := f.store.Compact(t.Context(), key); err != nil {
				t.Error(err)
				return
			}
			if _, err := f.store.Sweep(t.Context(), odb.SweepOptions{GarbageBefore: time.Now()}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var forks []cairn.RepositoryKey
	for i := range 60 {
		f.commit(t, key, "refs/heads/main", map[string]string{fmt.Sprintf("f%d", i%7): fmt.Sprint(i)})
		if i%5 == 0 {
			fork := cairn.RepositoryKey{Organization: f.org.ID, Repository: cairn.RepositoryID(cairn.NewID())}
			_, err := f.store.Fork(t.Context(), key, 0, "test", func(r cairn.Repository, refs []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
				r.RepositoryKey, r.Name, r.Version = fork, cairn.RepositoryName(fmt.Sprintf("fork%d", i)), 0
				var updates []cairn.RefUpdate
				for _, ref := range refs {
					updates = append(updates, cairn.RefUpdate{Name: ref.Name, New: ref.Target})
				}
				return r, updates, nil
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			forks = append(forks, fork)
			f.commit(t, fork, "refs/heads/main", map[string]string{"own": fmt.Sprint(i)})
		}
	}
	close(stop)
	background.Wait()
	for _, k := range append(forks, key) {
		if r, err := f.store.Check(t.Context(), k, nil); err != nil || len(r.Problems) > 0 {
			t.Errorf("repository %s: %+v, %v", k.Repository, r.Problems, err)
		}
	}
}

func TestOpenRemovesScratchFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	scratch := t.TempDir()
	if err := os.WriteFile(filepath.Join(scratch, "pack-1234"), []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := odb.Open(odb.Options{Metadata: f.store.Metadata(), Bucket: f.bucket, ScratchDir: scratch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if entries, err := os.ReadDir(scratch); err != nil || len(entries) != 0 {
		t.Errorf("scratch directory holds %v, %v", entries, err)
	}
}
