package odb

import (
	"context"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Update is one write to a repository: the packs of its new objects and the
// refs that it moves, under their stored names.
type Update struct {
	Packs []Staged
	Refs  []cairn.RefUpdate
	Actor string // for the event log
	// Since is the version of the snapshot against which it was checked that
	// what the write names is in the repository.
	Since int64
	// Check runs inside the transaction, before the refs move, on the
	// repository's row after Advance. It is the place for guards and
	// policies; its error ends the write. It may run more than once.
	Check func(tx cairn.Tx, repo cairn.Repository) error
}

// Apply makes writes to a repository happen, one after the other in one
// transaction, all or nothing, and returns the repository's row after them. When
// it returns nil they are durable and seen by every later Snapshot. A ref that
// is not where its update says gives a *cairn.RefConflict. Staged packs stay the
// caller's until Apply returns nil. ErrOutdated asks the caller to check again
// on a new Snapshot.
func (s *Store) Apply(ctx context.Context, key cairn.RepositoryKey, updates ...Update) (cairn.Repository, error) {
	var repo cairn.Repository
	var now time.Time
	var mark uint64
	err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		now = s.options.Now().UTC() // in turn: times grow with versions
		mark = s.rowMark(key)
		var err error
		if repo, err = tx.Repositories().Advance(key); err != nil {
			return err
		}
		for _, u := range updates {
			if err := u.apply(tx, repo, now); err != nil {
				return err
			}
		}
		return tx.Events().Append(key, refEvents(repo.Version, now, updates...))
	})
	if err != nil {
		return cairn.Repository{}, err
	}
	var all Update
	for _, u := range updates {
		all.Packs = append(all.Packs, u.Packs...)
		all.Refs = append(all.Refs, u.Refs...)
	}
	next := s.remember(ctx, repo, all, cairn.Ref{CreatedAt: now, Created: repo.Version})
	defer next.Close()
	// This write itself adds one; else there was another one.
	if next != nil && s.rowMark(key) == mark+1 {
		s.snapshots.mark(next, mark+1)
	}
	return repo, nil
}

// apply is the part of a write that is its own in the transaction.
func (u *Update) apply(tx cairn.Tx, repo cairn.Repository, now time.Time) error {
	if err := checkFence(repo, u.Since); err != nil {
		return err
	}
	if u.Check != nil {
		if err := u.Check(tx, repo); err != nil {
			return err
		}
	}
	if len(u.Packs) > 0 {
		packs := make([]cairn.Pack, len(u.Packs))
		for i := range u.Packs {
			packs[i] = u.Packs[i].Pack
		}
		if err := tx.Packs().Add(repo.RepositoryKey, packs...); err != nil {
			return err
		}
	}
	return tx.Refs().Update(repo.RepositoryKey, repo.Version, now, u.Refs)
}

// ErrOutdated is the error of a write that was checked against a state of the
// repository from before its last full repack began, which may have dropped
// what the write relies on. Nothing of it happened.
var ErrOutdated = cairn.Errorf(cairn.Conflict, "the repository is being repacked; try again")

func checkFence(repo cairn.Repository, since int64) error {
	if since < repo.Fence {
		return ErrOutdated
	}
	return nil
}

// remember makes the state after a write the one that the next reader finds
// ready, if the state before it is at hand, and returns it; else nil.
func (s *Store) remember(ctx context.Context, repo cairn.Repository, u Update, at cairn.Ref) *Snapshot {
	before := s.snapshots.at(repo.RepositoryKey, repo.Version-1)
	if before == nil {
		return nil
	}
	defer before.Close()
	for _, p := range u.Packs {
		if !p.Inline() && !s.isOpen(repo.Organization, p) {
			// The organization may have this pack under another key: let the
			// next reader ask.
			return nil
		}
	}
	next := before.derive(repo, u.Refs, u.Packs, at)
	for i, p := range u.Packs {
		if p.Inline() {
			if err := next.inline(u.Packs[i].Pack); err != nil {
				s.options.Logger.Error("new pack cannot be read", "pack", p.ID, "error", err)
				next.Close()
				return nil
			}
		}
	}
	next.inheritReach(context.WithoutCancel(ctx), before, u.Refs)
	s.snapshots.put(next)
	return next
}

func (sn *Snapshot) inline(info cairn.Pack) error {
	for _, p := range sn.packs {
		if p.key.id == info.ID {
			return p.setInline(sn.format(), info.Data, info.Index)
		}
	}
	return nil
}

// isOpen tells whether the staged pack's own bytes are the ones in use.
func (s *Store) isOpen(org cairn.OrganizationID, p Staged) bool {
	s.packsMu.Lock()
	defer s.packsMu.Unlock()
	open, ok := s.packs[packKey{org, p.ID}]
	return ok && open.info.Key == p.Key
}

// refEvents tells of every ref that the writes to one version moved.
func refEvents(version int64, at time.Time, updates ...Update) []cairn.Event {
	var events []cairn.Event
	for _, u := range updates {
		for _, ref := range u.Refs {
			events = append(events, cairn.Event{Version: version, Ordinal: len(events), At: at, Actor: u.Actor, Kind: cairn.RefChanged, RefUpdate: ref})
		}
	}
	return events
}

// Begin makes a repository with its first write, in one transaction, all or
// nothing. create adds its row.
func (s *Store) Begin(ctx context.Context, key cairn.RepositoryKey, create func(cairn.Tx) error, u Update) (cairn.Repository, error) {
	var repo cairn.Repository
	err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		if err := create(tx); err != nil {
			return err
		}
		now := s.options.Now().UTC()
		var err error
		if repo, err = tx.Repositories().Advance(key); err != nil {
			return err
		}
		if err := u.apply(tx, repo, now); err != nil {
			return err
		}
		return tx.Events().Append(key, refEvents(repo.Version, now, u))
	})
	return repo, err
}

// Fork makes a new repository that shares all packs of another one of the same
// organization: it costs rows and no bytes, whatever the size. choose makes the
// fork's row and its first refs from the source's, as they are at the moment of
// the transaction; it may run more than once. since is the version of the
// snapshot of the source in which other objects that choose names were looked
// up; ErrOutdated asks to look again. also is done with the fork in the same
// transaction; nil is fine.
func (s *Store) Fork(ctx context.Context, from cairn.RepositoryKey, since int64, actor string, choose func(source cairn.Repository, refs []cairn.Ref) (cairn.Repository, []cairn.RefUpdate, error), also func(cairn.Tx, cairn.Repository) error) (cairn.Repository, error) {
	var made cairn.Repository
	now := s.options.Now().UTC()
	err := s.options.Metadata.Update(ctx, func(tx cairn.Tx) error {
		source, err := tx.Repositories().Get(from)
		if err != nil {
			return err
		}
		if !source.DeletedAt.IsZero() {
			return cairn.Errorf(cairn.NotFound, "repository %q not found", source.Name)
		}
		if err := checkFence(source, since); err != nil {
			return err
		}
		all, err := tx.Refs().List(from, "")
		if err != nil {
			return err
		}
		row, updates, err := choose(source, all)
		if err != nil {
			return err
		}
		row.Format, row.CreatedAt = source.Format, now
		if _, err := tx.Repositories().Create(row); err != nil {
			return err
		}
		if made, err = tx.Repositories().Advance(row.RepositoryKey); err != nil {
			return err
		}
		if err := tx.Packs().Share(from, row.RepositoryKey); err != nil {
			return err
		}
		u := Update{Refs: updates, Actor: actor}
		if err := tx.Refs().Update(row.RepositoryKey, made.Version, now, updates); err != nil {
			return err
		}
		if err := tx.Events().Append(row.RepositoryKey, refEvents(made.Version, now, u)); err != nil || also == nil {
			return err
		}
		return also(tx, made)
	})
	return made, err
}
