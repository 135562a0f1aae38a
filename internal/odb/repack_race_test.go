package odb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// meeting is a family of repositories in which everything happens at once.
// Histories stay short, as branches begin anew all the time, and contents are
// few, so that objects that were dropped come back.
type meeting struct {
	*fixture
	hours atomic.Int64 // the clock: it goes on by two whenever somebody looks

	mu      sync.Mutex
	repos   []cairn.RepositoryKey
	commits []git.ObjectID // made of late; perhaps gone by now
	checked []checkedWrite // found to be possible, and not made yet

	repacks, dropped, outdated, revived, gone, pushes, forks, deletions, merges, swept atomic.Int64
}

// checkedWrite is a write that names an old commit, which was reachable when
// somebody looked.
type checkedWrite struct {
	sn     *odb.Snapshot // in which it was
	id     git.ObjectID
	branch git.RefName
	packs  []odb.Staged
	tip    git.ObjectID // what the branch is to name: the commit, or one in the packs on top of it
}

// TestRepacksMeetWrites lets full repacks that drop what is unreachable, merges
// of packs, sweeps, forks, deletions of branches, commits, and pushes and
// branches that name old objects meet for 2,000 repacks: at random from three
// sides, and between any two steps of a repack. Nothing is kept for its age, so
// that the fence alone is what keeps a repack from dropping what a write is
// about to name. Whatever happened, every ref leads to a whole history, and
// whoever holds a snapshot can read what it shows.
func TestRepacksMeetWrites(t *testing.T) {
	t.Parallel()
	const rounds = 2000
	m := newMeeting(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	beside := func(seed uint64, what string, turns <-chan struct{}, do func(context.Context, *rand.Rand) error) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, 7))
			for range turns {
				if err := do(ctx, random); err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", what, err)
					stop()
				}
			}
		})
	}
	writes, upkeeps := make(chan struct{}, 3), make(chan struct{}, 1)
	beside(1, "a write", writes, m.write)
	beside(2, "a write", writes, m.write)
	beside(3, "upkeep", upkeeps, m.upkeep)
	random := rand.New(rand.NewPCG(4, 7))
	for m.repacks.Load() < rounds && ctx.Err() == nil {
		for range cap(writes) {
			writes <- struct{}{}
		}
		upkeeps <- struct{}{}
		if err := m.repack(ctx, random); err != nil && ctx.Err() == nil {
			t.Errorf("a repack: %v", err)
			stop()
		}
		m.repacks.Add(1)
	}
	close(writes)
	close(upkeeps)
	all.Wait()
	m.check(t)
}

func newMeeting(t *testing.T) *meeting {
	m := &meeting{}
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metadata.Close() })
	m.fixture = newFixture(t, withGit(t), func(o *odb.Options) {
		o.Now = m.now
		o.Retention = time.Second
		o.Metadata = interrupted{metadata}
		o.Bucket = unsynced{t.TempDir()}
	})
	m.store.PackWithoutGit(100)
	m.repos = []cairn.RepositoryKey{m.repository(t, "first")}
	m.commit(t, m.repos[0], "refs/heads/main", map[string]string{"f": "0"})
	return m
}

func (m *meeting) now() time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(m.hours.Add(2)) * time.Hour)
}

// interrupted is a store of metadata that calls what the context holds before
// and after each transaction: between the steps of whoever uses it.
type interrupted struct{ cairn.Metadata }

type interruptionKey struct{}

func (m interrupted) View(ctx context.Context, f func(cairn.Tx) error) error {
	return interrupt(ctx, func() error { return m.Metadata.View(ctx, f) })
}

func (m interrupted) Update(ctx context.Context, f func(cairn.Tx) error) error {
	return interrupt(ctx, func() error { return m.Metadata.Update(ctx, f) })
}

func interrupt(ctx context.Context, transaction func() error) error {
	do, ok := ctx.Value(interruptionKey{}).(func() error)
	if !ok {
		return transaction()
	}
	for _, step := range []func() error{do, transaction, do} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// repack repacks a repository, and writes to it between the steps of that.
func (m *meeting) repack(ctx context.Context, random *rand.Rand) error {
	key := m.pick(random)
	r, err := m.store.Repack(context.WithValue(ctx, interruptionKey{}, func() error {
		if random.IntN(3) > 0 {
			return nil
		}
		return m.writeTo(ctx, key, random)
	}), key, nil)
	m.dropped.Add(r.Dropped)
	return err
}

// upkeep does what else happens in the background.
func (m *meeting) upkeep(ctx context.Context, random *rand.Rand) error {
	merged, err := m.store.Compact(ctx, m.pick(random))
	if err != nil && !errors.Is(err, cairn.Unavailable) {
		return err
	}
	m.merges.Add(int64(merged.Before - merged.After))
	swept, err := m.store.Sweep(ctx, odb.SweepOptions{GarbageBefore: m.now()})
	m.swept.Add(int64(swept.Packs))
	return err
}

func (m *meeting) pick(random *rand.Rand) cairn.RepositoryKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.repos[random.IntN(len(m.repos))]
}

// old returns a commit that some repository had at some time.
func (m *meeting) old(random *rand.Rand) git.ObjectID {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.commits) == 0 {
		return git.ObjectID{}
	}
	return m.commits[random.IntN(len(m.commits))]
}

// made notes a new commit and forgets the oldest.
func (m *meeting) made(id git.ObjectID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits = append(m.commits, id)
	m.commits = m.commits[max(0, len(m.commits)-8):]
}

func (m *meeting) write(ctx context.Context, random *rand.Rand) error {
	return m.writeTo(ctx, m.pick(random), random)
}

// writeTo does one thing to a repository. That something else was quicker is no
// error.
func (m *meeting) writeTo(ctx context.Context, key cairn.RepositoryKey, random *rand.Rand) error {
	branch := git.RefName(fmt.Sprintf("refs/heads/b%d", random.IntN(4)))
	var err error
	switch n := random.IntN(20); {
	case n < 4:
		if random.IntN(3) == 0 {
			branch = "refs/heads/main"
		}
		var tip git.ObjectID
		files := map[string]string{fmt.Sprintf("d%d/f", random.IntN(3)): fmt.Sprint(random.IntN(20))}
		if tip, err = tryCommitOn(ctx, m.store, key, branch, random.IntN(3) > 0, files, m.clock); err == nil {
			m.made(tip)
		}
	case n < 7:
		err = m.deleteBranch(ctx, key, branch)
	case n < 10:
		err = m.look(ctx, key, branch, m.old(random), random)
	case n < 13:
		err = m.abandon(ctx, key, branch, random)
	case n < 18:
		err = m.name(ctx, random)
	default:
		err = m.fork(ctx, random)
	}
	switch {
	case errors.Is(err, odb.ErrOutdated):
		m.outdated.Add(1)
	case errors.Is(err, cairn.Conflict), errors.Is(err, cairn.Unavailable):
	default:
		return err
	}
	return nil
}

func (m *meeting) deleteBranch(ctx context.Context, key cairn.RepositoryKey, branch git.RefName) error {
	sn, err := m.store.SnapshotOf(ctx, key)
	if err != nil {
		return err
	}
	defer sn.Close()
	ref, ok := sn.Ref(branch)
	if !ok {
		return nil
	}
	_, err = m.store.Apply(ctx, key, odb.Update{
		Refs: []cairn.RefUpdate{{Name: branch, Old: ref.Target}}, Since: sn.Repository().Version})
	if err == nil {
		m.deletions.Add(1)
	}
	return err
}

// look finds out whether an old commit can be named, and leaves it to name to
// do so at some other time.
func (m *meeting) look(ctx context.Context, key cairn.RepositoryKey, branch git.RefName, id git.ObjectID, random *rand.Rand) error {
	sn, err := m.store.SnapshotOf(ctx, key)
	if err != nil {
		return err
	}
	w := checkedWrite{sn: sn, branch: branch, id: id, tip: id}
	ok, err := sn.Reachable(ctx, odb.NormalView, id)
	if err == nil && ok && random.IntN(2) == 0 {
		err = m.receive(ctx, &w)
	}
	if err != nil || !ok {
		m.gone.Add(1)
		sn.Close()
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checked = append(m.checked, w)
	return nil
}

// abandon looks at what a branch names and deletes it right away.
func (m *meeting) abandon(ctx context.Context, key cairn.RepositoryKey, branch git.RefName, random *rand.Rand) error {
	sn, err := m.store.SnapshotOf(ctx, key)
	if err != nil {
		return err
	}
	defer sn.Close()
	ref, ok := sn.Ref(branch)
	if !ok {
		return nil
	}
	if err := m.look(ctx, key, branch, ref.Target, random); err != nil {
		return err
	}
	return m.deleteBranch(ctx, key, branch)
}

// receive takes in a push of one commit on top of the old one, with its tree.
func (m *meeting) receive(ctx context.Context, w *checkedWrite) error {
	links, err := w.sn.Commit(ctx, w.id)
	if err != nil {
		return err
	}
	c := git.Commit{Tree: links.Tree, Parents: []git.ObjectID{w.id}, Message: "pushed\n"}
	c.Author = git.Signature{Name: "A", Email: "a@example.com", When: m.clock}
	c.Committer = c.Author
	spool := pack.NewSpool(1<<20, nil)
	defer spool.Close()
	b := pack.NewBuilder(git.SHA1, spool, 1)
	if w.tip, err = b.Add(git.CommitObject, c.Encode()); err != nil {
		return err
	}
	if _, _, err := b.Finish(); err != nil {
		return err
	}
	data, err := spool.Bytes()
	if err != nil {
		return err
	}
	q, err := w.sn.Receive(ctx, bytes.NewReader(data), odb.ReceiveOptions{})
	if err != nil {
		return err
	}
	defer q.Close()
	if err := q.Connected(ctx, w.tip); err != nil {
		return err
	}
	staged, _, err := q.Stage(ctx)
	w.packs = []odb.Staged{staged}
	return err
}

// name carries out a write that somebody has checked. Who did still reads the
// old commit, whatever happened since.
func (m *meeting) name(ctx context.Context, random *rand.Rand) error {
	w, ok := m.takeChecked(random)
	if !ok {
		return nil
	}
	defer w.sn.Close()
	now, err := m.store.SnapshotOf(ctx, w.sn.Repository().RepositoryKey)
	if err != nil {
		return err
	}
	defer now.Close()
	ref, _ := now.Ref(w.branch)
	_, err = m.store.Apply(ctx, w.sn.Repository().RepositoryKey, odb.Update{
		Packs: w.packs, Refs: []cairn.RefUpdate{{Name: w.branch, Old: ref.Target, New: w.tip}}, Since: w.sn.Repository().Version})
	if err == nil {
		m.made(w.tip)
		m.revived.Add(1)
		m.pushes.Add(int64(len(w.packs)))
	}
	links, readErr := w.sn.Commit(ctx, w.id)
	if readErr == nil {
		_, readErr = w.sn.Object(ctx, links.Tree)
	}
	if readErr != nil {
		return fmt.Errorf("a snapshot from before: %v", readErr)
	}
	return err
}

func (m *meeting) takeChecked(random *rand.Rand) (checkedWrite, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.checked) == 0 {
		return checkedWrite{}, false
	}
	i, last := random.IntN(len(m.checked)), len(m.checked)-1
	w := m.checked[i]
	m.checked[i] = m.checked[last]
	m.checked = m.checked[:last]
	return w, true
}

// fork makes a fork with the branches of the source and one that names an old
// commit. There are three repositories at most: then one is forgotten.
func (m *meeting) fork(ctx context.Context, random *rand.Rand) error {
	w, ok := m.takeChecked(random)
	if !ok || len(w.packs) > 0 {
		w.sn.Close()
		return nil
	}
	defer w.sn.Close()
	from := w.sn.Repository().RepositoryKey
	key := cairn.RepositoryKey{Organization: m.org.ID, Repository: cairn.RepositoryID(cairn.NewID())}
	_, err := m.store.Fork(ctx, from, w.sn.Repository().Version, "test", func(r cairn.Repository, refs []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error) {
		r.RepositoryKey, r.Name, r.Version, r.Fence = key, cairn.RepositoryName(key.Repository), 0, 0
		updates := []cairn.RefUpdate{{Name: "refs/heads/named", New: w.id}}
		for _, ref := range refs {
			if ref.Name != "refs/heads/named" {
				updates = append(updates, cairn.RefUpdate{Name: ref.Name, New: ref.Target})
			}
		}
		return r, updates, nil
	}, nil)
	if err != nil {
		return err
	}
	m.forks.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.repos) < 3 {
		m.repos = append(m.repos, key)
	} else {
		m.repos[random.IntN(len(m.repos))] = key
	}
	return nil
}

// check looks at all that is left, and makes sure that the things did meet.
func (m *meeting) check(t *testing.T) {
	for _, w := range m.checked {
		w.sn.Close()
	}
	t.Logf("%d repacks dropped %d objects; %d packs merged away, %d swept; %d forks, %d deletions; %d old commits named, %d of them pushed onto; %d were gone, %d writes outdated",
		m.repacks.Load(), m.dropped.Load(), m.merges.Load(), m.swept.Load(), m.forks.Load(), m.deletions.Load(),
		m.revived.Load(), m.pushes.Load(), m.gone.Load(), m.outdated.Load())
	for name, n := range map[string]int64{"drops": m.dropped.Load(), "forks": m.forks.Load(), "deletions": m.deletions.Load(),
		"named old commits": m.revived.Load(), "pushes": m.pushes.Load(), "outdated writes": m.outdated.Load(),
		"merges": m.merges.Load(), "swept packs": m.swept.Load()} {
		if n < 30 {
			t.Errorf("%d %s: the test meets next to nothing", n, name)
		}
	}
	for _, key := range m.repos {
		if found, err := m.store.Check(t.Context(), key, nil); err != nil || len(found.Problems) > 0 {
			t.Errorf("repository %s: %+v, %v", key.Repository, found, err)
		}
		exported := m.export(t, key).GitDir()
		// Of a fork that has some of the packs of a repack it knows too much:
		// then the store passes it over.
		if err := os.RemoveAll(filepath.Join(exported, "objects", "info", "commit-graph")); err != nil {
			t.Error(err)
		}
		gittest.Fsck(t, exported)
	}
}
