package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

// queuedWrite is a commit of one file, or the deletion of one, that is to wait
// with others in the queue of main.
type queuedWrite struct {
	path   string
	delete bool
	target CommitTarget // Branch is main if it is empty
	who    *cairn.Actor // instead of the test's own
	gone   bool         // its client goes away before the batch runs
	large  bool         // its content becomes a pack of its own

	result CommitResult
	err    error
}

// runBatch queues the writes, in their order, behind a batch that it holds
// until all are there. meanwhile runs while they wait.
func (f *tenants) runBatch(t *testing.T, s *Service, who cairn.Actor, writes []*queuedWrite, meanwhile func()) {
	t.Helper()
	var all sync.WaitGroup
	held, release := make(chan struct{}), make(chan struct{})
	var key string
	var writers []*CommitWriter
	for _, q := range writes {
		w := q.begin(t, s, who)
		defer w.Close()
		writers = append(writers, w)
		key = w.branchKey()
	}
	all.Go(func() {
		_ = s.commits.do(t.Context(), key, nil, func([]*queuedCommit) int { close(held); <-release; return 1 })
	})
	<-held
	for i, q := range writes {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		all.Go(func() { q.result, q.err = writers[i].Commit(ctx) })
		waitUntil(t, func() bool { return s.commits.waiting(key) == i+1 })
		if q.gone {
			// As if it went away when its batch had begun: else it would leave the queue.
			s.commits.mu.Lock()
			s.commits.keys[key][i].job.ctx = canceled(t)
			s.commits.mu.Unlock()
		}
	}
	if meanwhile != nil {
		meanwhile()
	}
	close(release)
	all.Wait()
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func (b *batcher[T]) waiting(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.keys[key])
}

func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for !condition() {
		if t.Context().Err() != nil {
			t.Fatal("waited in vain")
		}
		runtime.Gosched()
	}
}

func (q *queuedWrite) begin(t *testing.T, s *Service, who cairn.Actor) *CommitWriter {
	t.Helper()
	if q.who != nil {
		who = *q.who
	}
	if q.target.Branch == "" {
		q.target.Branch = "main"
	}
	w, err := s.BeginCommit(t.Context(), who, who.Repository, CommitRequest{
		CommitTarget: q.target,
		CommitInfo:   CommitInfo{Message: q.path, Author: ann},
		Files:        []FileChange{{Path: q.path, ContentID: "c", Delete: q.delete}},
	})
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("content of " + q.path)
	if q.large {
		content = slices.Repeat(content, smallContents/len(content)+1)
	}
	if err := w.AddChunk(t.Context(), "c", content, true); err != nil {
		t.Fatal(err)
	}
	return w
}

// acknowledged are the commits that were, in their order.
func acknowledged(writes []*queuedWrite) (ids []git.ObjectID) {
	for _, q := range writes {
		if q.err == nil {
			ids = append(ids, q.result.Commit)
		}
	}
	return ids
}

// wantLog checks that main is at the last of these commits, that each is the
// child of the one before, and that the log tells of all moves, one by one.
func (f *tenants) wantLog(t *testing.T, repo cairn.Repository, commits []git.ObjectID) []cairn.Event {
	t.Helper()
	got := f.chain(t, repo, "refs/heads/main")
	slices.Reverse(got)
	if !slices.Equal(got, commits) {
		t.Errorf("main has the commits %v, want %v", got, commits)
	}
	var events []cairn.Event
	err := f.metadata.View(t.Context(), func(tx cairn.Tx) (err error) {
		events, err = tx.Events().List(repo.RepositoryKey, 0, -1, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var at git.ObjectID
	for i, e := range events {
		if i >= len(commits) || e.Old != at || e.New != commits[i] {
			t.Errorf("event %d moves %s from %s to %s, want it to be at %s before", i, e.Name, e.Old, e.New, at)
		}
		at = e.New
	}
	if len(events) != len(commits) {
		t.Errorf("%d events for %d commits", len(events), len(commits))
	}
	check, err := f.store.Check(t.Context(), repo.RepositoryKey, nil)
	if err != nil || len(check.Problems) > 0 {
		t.Errorf("check: %v, %v", check, err)
	}
	return events
}

// TestBatchOfCommits queues good commits and bad ones to a branch. They are
// stored in one transaction; what is refused leaves nothing behind.
func TestBatchOfCommits(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	first, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "first", "1")
	if err != nil {
		t.Fatal(err)
	}
	other, bound := who, who
	other.Name = "other"
	bound.Policy = cairn.RefPolicy{{Pattern: "*", Ops: []cairn.RefOp{cairn.VerifySig}}}
	guard := CommitTarget{Expected: first.Commit.String()}
	writes := []*queuedWrite{
		{path: "a/1", target: guard},
		{path: "absent", delete: true},
		{path: "a/2"},
		{path: "guarded", target: guard},
		{path: "first", delete: true},
		{path: "gone", gone: true},
		{path: "large", large: true, who: &other},
		{path: "unsigned", who: &bound},
		{path: "large refused", large: true, target: guard},
		{path: "a/1", delete: true},
		{path: "first", delete: true}, // a commit of the same batch did
		{path: "b"},
	}
	f.runBatch(t, f.Service, who, writes, nil)
	for i, want := range map[int]cairn.Kind{1: cairn.NotFound, 3: cairn.Stale, 7: cairn.Denied, 8: cairn.Stale, 10: cairn.NotFound} {
		wantKind(t, writes[i].path, writes[i].err, want)
	}
	if !errors.Is(writes[5].err, context.Canceled) {
		t.Errorf("the client that left got %v", writes[5].err)
	}
	var tip *TipError
	if !errors.As(writes[3].err, &tip) || tip.Current != writes[2].result.Commit {
		t.Errorf("got %v, want that the branch is at %s", writes[3].err, writes[2].result.Commit)
	}
	good := acknowledged(writes)
	if len(good) != 6 {
		t.Errorf("%d commits were made, want 6", len(good))
	}
	events := f.wantLog(t, repo, append([]git.ObjectID{first.Commit}, good...))
	for _, e := range events[1:] {
		want := "test"
		if e.New == writes[6].result.Commit {
			want = "other"
		}
		if e.Version != 2 || e.Actor != want {
			t.Errorf("the event of %s is of version %d by %s, want 2 by %s", e.New, e.Version, e.Actor, want)
		}
	}
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	if got := sn.PackCount(); got != 3 {
		t.Errorf("%d packs, want one of the first commit, one of the batch, one of the large file", got)
	}
	var paths []string
	err = sn.Walk(t.Context(), writes[11].result.Tree, odb.WalkOptions{Recursive: true}, func(path string, _ git.TreeEntry) error {
		paths = append(paths, path)
		return nil
	})
	if err != nil || !slices.Equal(paths, []string{"a/2", "b", "large"}) {
		t.Errorf("the last commit has %q, %v", paths, err)
	}
}

// A branch that the batch itself is to make, and cannot.
func TestBatchThatIsRefused(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	first, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "first", "1")
	if err != nil {
		t.Fatal(err)
	}
	onto := CommitTarget{Branch: "topic", Base: "main"}
	guarded := onto
	guarded.Expected = first.Commit.String()
	writes := []*queuedWrite{{path: "1", target: onto}, {path: "2", target: guarded}, {path: "3", delete: true, target: onto}}
	f.runBatch(t, f.Service, who, writes, func() {
		if _, err := f.CreateBranch(t.Context(), who, "app", NewBranch{Name: "topic/below", BaseBranch: "main"}); err != nil {
			t.Error(err)
		}
	})
	for i, want := range []cairn.Kind{cairn.Conflict, cairn.Conflict, cairn.NotFound} {
		wantKind(t, writes[i].path, writes[i].err, want)
	}
}

// moving is a metadata store that lets something else happen just before an
// Update.
type moving struct {
	cairn.Metadata
	before chan func()
}

func (m *moving) Update(ctx context.Context, f func(cairn.Tx) error) error {
	select {
	case before := <-m.before:
		before()
	default:
	}
	return m.Metadata.Update(ctx, f)
}

// over returns a service on the same organizations whose store works on that
// metadata.
func (f *tenants) over(t *testing.T, m cairn.Metadata) *Service {
	t.Helper()
	bucket, err := dir.Open(filepath.Join(t.TempDir(), "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	stock, err := stockGit()
	if err != nil {
		t.Fatal(err)
	}
	store, err := odb.Open(odb.Options{Metadata: m, Bucket: bucket, ScratchDir: filepath.Join(t.TempDir(), "scratch"), Git: stock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), bucket.Close()); err != nil {
			t.Error(err)
		}
	})
	return New(Options{Store: store, Logger: f.logger})
}

// A push that comes between the making of a batch and its transaction is not
// overwritten: all commits are made again on top of it, their guards included.
func TestPushInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	first, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "first", "1")
	if err != nil {
		t.Fatal(err)
	}
	m := &moving{f.metadata, make(chan func(), 2)}
	chain := []git.ObjectID{first.Commit}
	for i := range 2 {
		m.before <- func() {
			pushed, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, fmt.Sprint("pushed ", i), "2")
			if err != nil {
				t.Error(err)
			}
			chain = append(chain, pushed.Commit)
		}
	}
	writes := []*queuedWrite{{path: "1"}, {path: "2", target: CommitTarget{Expected: first.Commit.String()}}, {path: "3"}}
	f.runBatch(t, f.over(t, m), who, writes, nil)
	wantKind(t, "guarded", writes[1].err, cairn.Stale)
	good := acknowledged(writes)
	if len(good) != 2 {
		t.Errorf("%d commits were made, want 2", len(good))
	}
	f.wantLog(t, repo, append(chain, good...))
}

// TestBatchFaults lets each transaction of a batch fail in turn, before or after
// its work. Nothing is acknowledged that is not there, and the branch goes on.
func TestBatchFaults(t *testing.T) {
	t.Parallel()
	fault := errors.New("the disk is on fire")
	for name, wrap := range map[string]func(cairn.Metadata, int, error) *storagetest.FaultyStore{
		"early": storagetest.FaultyMetadata, "late": storagetest.FaultyMetadataLate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTenants(t)
			failed := 0
			for n := 1; ; n++ {
				repo := f.create(t, "acme", cairn.RepositoryName(fmt.Sprint("app", n)))
				who := f.actor(t, "acme", repo.Name, cairn.GitWrite)
				writes := []*queuedWrite{{path: "1"}, {path: "absent", delete: true}, {path: "2"}, {path: "3"}}
				const begins = 4 // each BeginCommit is a View of its own
				faulty := wrap(f.metadata, begins+n, fault)
				f.runBatch(t, f.over(t, faulty), who, writes, nil)
				var stored []git.ObjectID
				if f.refs(t, repo)["refs/heads/main"] != (git.ObjectID{}) {
					stored = f.chain(t, repo, "refs/heads/main")
					slices.Reverse(stored)
				}
				good := acknowledged(writes)
				if len(good) == 0 {
					failed++
					for _, q := range writes {
						if !errors.Is(q.err, fault) {
							t.Errorf("fault %d: %s got %v", n, q.path, q.err)
						}
					}
				} else if len(good) != 3 || !slices.Equal(good, stored) {
					t.Errorf("fault %d: %v were acknowledged and %v are there", n, good, stored)
				}
				if len(stored) > 0 {
					f.wantLog(t, repo, stored) // without a doubt whole
				}
				next, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "next", "4")
				if err != nil || len(stored) > 0 && next.Old != stored[len(stored)-1] {
					t.Errorf("fault %d: the next commit replaced %s: %v", n, next.Old, err)
				}
				if faulty.Calls() < begins+n {
					break
				}
			}
			if failed == 0 {
				t.Error("no fault met a batch")
			}
		})
	}
}

// TestNoUpdateIsLost has many writers of two services on one branch, some with
// guards, some that go away, and forced moves of the branch. Every move of the
// branch starts where the one before ended, and what was acknowledged is there.
func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	first, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "first", "1")
	if err != nil {
		t.Fatal(err)
	}
	nodes := []*Service{f.Service, f.over(t, f.metadata)}
	var mu sync.Mutex
	answered := map[git.ObjectID]git.ObjectID{first.Commit: first.Old}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 12 {
				q := &queuedWrite{path: fmt.Sprintf("f%d", rand.IntN(20))}
				if n%4 == 3 {
					q.target.Expected = f.refs(t, repo)["refs/heads/main"].String()
				}
				w, err := nodes[i%2].BeginCommit(t.Context(), who, "app", CommitRequest{
					CommitTarget: CommitTarget{Branch: "main", Expected: q.target.Expected},
					CommitInfo:   CommitInfo{Message: fmt.Sprint(i, n), Author: ann},
					Files:        []FileChange{{Path: q.path, ContentID: "c", Delete: n%5 == 4}},
				})
				if errors.Is(err, cairn.Stale) {
					continue
				} else if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithCancel(t.Context())
				if n%5 == 2 {
					go cancel()
				}
				if err := w.AddChunk(t.Context(), "c", fmt.Append(nil, i, n), true); err != nil {
					t.Error(err)
				}
				done, err := w.Commit(ctx)
				cancel()
				w.Close()
				if err == nil {
					mu.Lock()
					answered[done.Commit] = done.Old
					mu.Unlock()
				} else if !errors.Is(err, cairn.Stale) && !errors.Is(err, cairn.NotFound) && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	chain := f.chain(t, repo, "refs/heads/main")
	slices.Reverse(chain)
	events := f.wantLog(t, repo, chain)
	if int64(len(events)) == events[len(events)-1].Version {
		t.Error("no two commits shared a transaction")
	}
	for _, e := range events {
		if old, ok := answered[e.New]; ok {
			if old != e.Old {
				t.Errorf("%s replaced %s, its client was told %s", e.New, e.Old, old)
			}
			delete(answered, e.New)
		}
	}
	if len(answered) > 0 {
		t.Errorf("%d commits were acknowledged and are not there", len(answered))
	}
}

func TestBatcher(t *testing.T) {
	t.Parallel()
	var b batcher[int]
	var mu sync.Mutex
	var order []int
	run := func(jobs []int) int {
		mu.Lock()
		defer mu.Unlock()
		n := min(len(jobs), 3)
		order = append(order, jobs[:n]...)
		if slices.Contains(jobs[:n], 5) {
			panic("job 5")
		}
		return n
	}
	held, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = b.do(t.Context(), "k", -1, func([]int) int { close(held); <-release; return 1 })
	})
	<-held
	left := make(chan error, 1)
	for i := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		all.Go(func() {
			defer func() {
				if got := recover(); got != nil && i != 3 {
					t.Errorf("job %d: %v", i, got)
				}
			}()
			if err := b.do(ctx, "k", i, run); i == 7 {
				left <- err
			} else if err != nil {
				t.Errorf("job %d: %v", i, err)
			}
		})
		waitUntil(t, func() bool { return b.waiting("k") == i+1-min(1, max(0, i-7)) })
		if i == 7 {
			cancel()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("the job that left got %v", err)
			}
		}
	}
	if err := b.do(t.Context(), "another", 100, func([]int) int { return 1 }); err != nil {
		t.Error(err)
	}
	close(release)
	all.Wait()
	if want := []int{0, 1, 2, 3, 4, 5}; !slices.Equal(order[:6], want) {
		t.Errorf("ran in the order %v, want %v", order, want)
	}
	if len(b.keys) > 0 {
		t.Errorf("%d keys are left", len(b.keys))
	}
}
