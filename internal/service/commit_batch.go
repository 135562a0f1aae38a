package service

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of one batch of commits: those that come behind are in the next one.
const (
	maxBatch      = 128
	maxBatchBytes = 8 << 20 // of new trees, held in memory for the commits after
)

// errNotMade is the answer to a commit whose batch ended in a panic.
var errNotMade = cairn.Errorf(cairn.Internal, "the commit was not made")

// queuedCommit is a commit, or another write, in the queue of its branch. All but result and err
// belong to its own caller again when its batch is done.
type queuedCommit struct {
	*draft
	ctx    context.Context
	result CommitResult
	err    error

	// alone, if not nil, is another kind of write, which has no
	// draft: it is run for itself when its turn comes.
	alone func()
}

// made is what a commit adds to the state of its batch.
type made struct {
	update cairn.RefUpdate
	commit *git.Commit
	trees  map[git.ObjectID][]byte
	// changes are what was done to the parent's tree; nil where the tree is
	// another commit's.
	changes []odb.TreeChange
}

// batch is the state that a commit finds: a snapshot, and on top of it the
// commits to the same branch that came just before and are to be stored in the
// same transaction. Each commit has its own guard, policy and errors: one that
// is refused leaves nothing behind, and the next is made on the last good one.
// Nobody is answered before the transaction is durable; a refusal may tell of
// the commits before it.
type batch struct {
	*odb.Snapshot
	branch  cairn.Ref // as the commits of the batch left it; none if nameless
	commits map[git.ObjectID]*git.Commit
	trees   map[git.ObjectID][]byte
	bytes   int // of trees

	good []*queuedCommit // that are to be stored
	made []made          // of each
}

// makeCommits makes queued commits of one branch, in their order, and returns
// how many of them have their answer. A tip that something else moved meanwhile,
// such as a push, makes all of them be made again.
func (s *Service) makeCommits(queue []*queuedCommit) int {
	if queue[0].alone != nil {
		queue[0].alone()
		return 1
	}
	if i := slices.IndexFunc(queue, func(c *queuedCommit) bool { return c.alone != nil }); i > 0 {
		queue = queue[:i]
	}
	ctx, stop := whileAnyWaits(queue)
	defer stop()
	var n int
	var err error
	var conflict *cairn.RefConflict
	for range maxTries {
		err = onNewState(ctx, func() (err error) {
			n, err = s.tryCommits(ctx, queue)
			return err
		})
		if !errors.As(err, &conflict) {
			break
		}
		if ctx.Err() != nil {
			err = ctx.Err()
			break
		}
	}
	switch {
	case err == nil:
		return n
	case errors.As(err, &conflict):
		err = cairn.Errorf(cairn.Conflict, "%w after %d tries: other writers are faster; try again later",
			&TipError{queue[0].target.Branch, conflict.Current}, maxTries)
	case isRefused(err) && n > 1:
		// Each has its own answer.
		for _, c := range queue[:n] {
			s.makeCommits([]*queuedCommit{c})
		}
		return n
	}
	for _, c := range queue[:n] {
		c.result, c.err = CommitResult{}, err
	}
	return n
}

// tryCommits makes as many commits as fit into one batch and returns their
// number. Each has its own answer if the error is nil; else none of them is
// stored, as far as is known, and the error is about all of them. A
// *cairn.RefConflict means that the tip moved meanwhile.
func (s *Service) tryCommits(ctx context.Context, queue []*queuedCommit) (int, error) {
	repo := queue[0].repo
	sn, err := s.store.SnapshotOf(ctx, repo.RepositoryKey)
	if err != nil {
		return len(queue), err
	}
	defer sn.Close()
	if !sn.Repository().DeletedAt.IsZero() {
		return len(queue), noRepository(repo.Name)
	}
	b := &batch{Snapshot: sn, commits: map[git.ObjectID]*git.Commit{}, trees: map[git.ObjectID][]byte{}}
	n := 0
	for n < len(queue) && n < maxBatch && b.bytes < maxBatchBytes {
		c := queue[n]
		c.result, c.err = b.add(c)
		n++
	}
	if len(b.good) == 0 {
		return n, nil
	}
	return n, s.storeCommits(ctx, b)
}

// add makes one more commit of the batch, or returns why it cannot be made.
func (b *batch) add(c *queuedCommit) (CommitResult, error) {
	if err := c.ctx.Err(); err != nil {
		return CommitResult{}, err
	}
	m, err := c.write(c.ctx, b)
	if err != nil {
		return CommitResult{}, err
	}
	b.commits[m.update.New] = m.commit
	w := refWrite{Who: c.who, Updates: []cairn.RefUpdate{m.update}, History: b}
	if err := w.check(c.ctx, b.Snapshot); err != nil {
		delete(b.commits, m.update.New)
		return CommitResult{}, err
	}
	for id, tree := range m.trees {
		b.trees[id] = tree
		b.bytes += len(tree)
	}
	b.branch = cairn.Ref{Name: m.update.Name, Target: m.update.New}
	b.good, b.made = append(b.good, c), append(b.made, m)
	result := CommitResult{Commit: m.update.New, Tree: m.commit.Tree, Branch: c.target.Branch, Old: m.update.Old, Blobs: c.content.blobs()}
	result.PackBytes = c.pack.Size() + int64(c.repo.Format.Size())
	for _, p := range c.content.staged() {
		result.PackBytes += p.Size
	}
	return result, nil
}

// storeCommits stores the good commits of a batch: their objects as one pack,
// each with its own ref update and event.
func (s *Service) storeCommits(ctx context.Context, b *batch) error {
	repo := b.Repository()
	pack := s.store.NewPack(repo.Format)
	defer pack.Close()
	writes := make([]refWrite, len(b.good))
	for i, c := range b.good {
		if err := pack.Append(c.pack); err != nil {
			return err
		}
		update := b.made[i].update
		writes[i] = refWrite{
			Who: c.who, Packs: c.content.staged(), Updates: []cairn.RefUpdate{update}, History: b, Written: []writtenChange{{Commit: update.New}},
		}
	}
	staged, err := pack.Finish(ctx, repo.Organization)
	if err != nil {
		return err
	}
	writes[0].Packs = append(writes[0].Packs, staged)
	var receipts []*cairn.PendingReceipt
	for _, c := range b.good {
		receipts = append(receipts, cairn.PendingReceipts(c.ctx)...)
	}
	err = s.apply(cairn.WithReceipts(ctx, receipts...), b.Snapshot, writes...)
	if err != nil && isRefused(err) {
		s.store.Discard(ctx, staged)
		return err
	}
	for i, c := range b.good {
		c.content.stored()
		if err == nil {
			s.changes.follow(c.branchKey(), b.made[i])
		}
	}
	return err
}

// Ref returns a ref as the commits of the batch left it.
func (b *batch) Ref(name git.RefName) (cairn.Ref, bool) {
	if name == b.branch.Name {
		return b.branch, true
	}
	return b.Snapshot.Ref(name)
}

// Tree returns a tree, one of the batch too.
func (b *batch) Tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	if tree, ok := b.trees[id]; ok {
		return tree, nil
	}
	return b.Snapshot.Tree(ctx, id)
}

// Commit returns the links of a commit, one of the batch too.
func (b *batch) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	if c, ok := b.commits[id]; ok {
		return c.Links(), nil
	}
	return b.Snapshot.Commit(ctx, id)
}

// FullCommit returns a commit, one of the batch too.
func (b *batch) FullCommit(ctx context.Context, id git.ObjectID) (*git.Commit, error) {
	if c, ok := b.commits[id]; ok {
		return c, nil
	}
	return b.Snapshot.FullCommit(ctx, id)
}

// PeelToCommit follows tags to a commit, one of the batch too.
func (b *batch) PeelToCommit(ctx context.Context, id git.ObjectID) (git.ObjectID, error) {
	if _, ok := b.commits[id]; ok {
		return id, nil
	}
	return b.Snapshot.PeelToCommit(ctx, id)
}

// whileAnyWaits returns a context that ends when those of all commits have: a
// batch goes on as long as one of its callers waits for it.
func whileAnyWaits(queue []*queuedCommit) (ctx context.Context, stop func()) {
	if len(queue) == 1 {
		return queue[0].ctx, func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(queue[0].ctx))
	var waiting atomic.Int32
	waiting.Store(int32(len(queue)))
	stops := make([]func() bool, len(queue))
	for i, c := range queue {
		stops[i] = context.AfterFunc(c.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
