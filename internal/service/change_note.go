package service

import (
	"context"
	"math"
	"sync"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

const (
	// noteBatch is how many commits are noted in one transaction, and
	// noteAfter after how many without a change id it is stored that they
	// were looked at.
	noteBatch = 500
	noteAfter = 1000
	// maxNoteEvents is how many events are read to learn what is new; after
	// more the whole history is looked at.
	maxNoteEvents = 20_000
	// firstOrdinal is that of the newest commit of a walk; the older have
	// smaller ones.
	firstOrdinal = math.MaxInt32
)

// notedVersions remembers up to which version repositories were looked at, so
// that it need not be stored each time. It is safe for concurrent use.
type notedVersions struct {
	mu    sync.Mutex
	items map[cairn.RepositoryKey]int64
}

const maxNotedVersions = 10_000

func (n *notedVersions) get(key cairn.RepositoryKey) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.items[key]
}

func (n *notedVersions) put(key cairn.RepositoryKey, version int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.items == nil || len(n.items) >= maxNotedVersions {
		n.items = map[cairn.RepositoryKey]int64{}
	}
	n.items[key] = max(n.items[key], version)
}

// note makes sure that of all commits that refs lead to those that tell their
// change are noted. It reads only what came since the last time.
func (c *changeState) note(ctx context.Context) error {
	key, version := c.Repository().RepositoryKey, c.Repository().Version
	noted := c.service.noted.get(key)
	if noted >= version {
		return nil
	}
	err := c.service.metadata.View(ctx, func(tx cairn.Tx) error {
		stored, err := tx.Changes().Noted(key)
		noted = max(noted, stored)
		return err
	})
	if err != nil {
		return err
	}
	if noted < version {
		if err := c.noteSince(ctx, noted); err != nil {
			return err
		}
	}
	c.service.noted.put(key, version)
	return nil
}

// noteSince notes what came after a version.
func (c *changeState) noteSince(ctx context.Context, since int64) error {
	include, exclude, err := c.tipsSince(ctx, since)
	if err != nil || len(include) == 0 {
		return err
	}
	if since == 0 {
		if err := admission.Enter(ctx, admission.History); err != nil {
			return err
		}
	}
	n := noter{changeState: c}
	walk := graph.NewWalk(c.Snapshot, include, exclude)
	for {
		id, _, more, err := walk.Next(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := n.add(ctx, id); err != nil {
			return err
		}
	}
	if n.found == 0 && n.seen < noteAfter {
		return nil
	}
	return n.store(ctx, true)
}

// noter notes the commits of a walk.
type noter struct {
	*changeState
	seen, found int
	commits     []cairn.ChangeCommit // not stored yet
}

func (n *noter) add(ctx context.Context, id git.ObjectID) error {
	n.seen++
	o, err := n.Object(ctx, id)
	if err != nil || !git.MayTellChange(o.Data) {
		return err
	}
	commit, err := git.ParseCommit(n.Repository().Format, o.Data)
	if err != nil {
		return err
	}
	change, told, _ := commit.ChangeID()
	if !told {
		return nil
	}
	n.commits = append(n.commits, cairn.ChangeCommit{
		Change: change, Commit: id, Version: n.Repository().Version, Ordinal: firstOrdinal - n.seen, At: commit.Committer.When.UTC(),
	})
	n.found++
	if len(n.commits) >= noteBatch {
		return n.store(ctx, false)
	}
	return nil
}

func (n *noter) store(ctx context.Context, all bool) error {
	key := n.Repository().RepositoryKey
	err := n.service.metadata.Update(ctx, func(tx cairn.Tx) error {
		if err := tx.Changes().Note(key, n.commits); err != nil || !all {
			return err
		}
		return tx.Changes().SetNoted(key, n.Repository().Version)
	})
	n.commits = n.commits[:0]
	return err
}

// tipsSince returns the commits that refs were moved to after a version, as far
// as they are still there, and those that refs named at that version.
func (c *changeState) tipsSince(ctx context.Context, since int64) (include, exclude []git.ObjectID, err error) {
	before := map[git.RefName]git.ObjectID{} // of the refs that moved
	var moved []git.ObjectID
	if since > 0 {
		if before, moved, err = c.movesSince(ctx, since); err != nil {
			return nil, nil, err
		}
	}
	whole := before == nil || since == 0
	for _, ref := range c.Refs() {
		if !odb.ChangeView.Shows(ref.Name) {
			continue
		}
		if _, is := before[ref.Name]; is || whole {
			moved = append(moved, ref.Target)
			continue
		}
		if exclude, err = c.appendCommit(ctx, exclude, ref.Target); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range moved {
		if include, err = c.appendCommit(ctx, include, id); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range before {
		if exclude, err = c.appendCommit(ctx, exclude, id); err != nil {
			return nil, nil, err
		}
	}
	return include, exclude, nil
}

// movesSince reads the events after a version: where each ref was before, and
// all commits that refs were moved to. Nil if there are too many.
func (c *changeState) movesSince(ctx context.Context, since int64) (before map[git.RefName]git.ObjectID, moved []git.ObjectID, err error) {
	repo := c.Repository()
	before = map[git.RefName]git.ObjectID{}
	at := cairn.Event{Version: since, Ordinal: math.MaxInt32}
	for n := 0; n < maxNoteEvents; n += eventBatch {
		var events []cairn.Event
		err := c.service.metadata.View(ctx, func(tx cairn.Tx) (err error) {
			events, err = tx.Events().List(repo.RepositoryKey, at.Version, at.Ordinal, eventBatch)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		for _, e := range events {
			if e.Version > repo.Version {
				return before, moved, nil
			}
			if at = e; e.Kind != cairn.RefChanged || !odb.ChangeView.Shows(e.Name) {
				continue
			}
			if _, known := before[e.Name]; !known {
				before[e.Name] = e.Old
			}
			moved = append(moved, e.New)
		}
		if len(events) < eventBatch {
			return before, moved, nil
		}
	}
	return nil, nil, nil
}

// appendCommit appends the commit that an object leads to, if it is there.
func (c *changeState) appendCommit(ctx context.Context, list []git.ObjectID, id git.ObjectID) ([]git.ObjectID, error) {
	if id.IsZero() {
		return list, nil
	}
	commit, err := c.PeelToCommit(ctx, id)
	if err != nil {
		return list, noHistory(err)
	}
	return append(list, commit), nil
}
