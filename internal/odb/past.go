package odb

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Bounds of looking back.
const (
	eventBatch = 1000
	// maxReplay is how many events may lie between the state asked for and the
	// present one.
	maxReplay = 1_000_000
	// creationSearch is how far before it the creation of refs that are gone is
	// looked for.
	creationSearch = 20_000
	// clockSkew is how far in the future a caller's present may lie.
	clockSkew = 30 * time.Second
)

// SnapshotAt opens the state of a living repository as it was at a time: the
// refs as the event log had them, over the packs of now. It is NotFound for a
// time from before the repository was made, or before KeptSince, since when
// compaction keeps what refs named.
func (s *Store) SnapshotAt(ctx context.Context, org cairn.OrganizationID, name cairn.RepositoryName, at time.Time) (*Snapshot, error) {
	present, err := s.Snapshot(ctx, org, name)
	if err != nil {
		return nil, err
	}
	defer present.Close()
	if err := s.checkTime(present.repo, at); err != nil {
		return nil, err
	}
	refs, err := s.refsAt(ctx, present, at)
	if err != nil {
		return nil, err
	}
	past := &Snapshot{store: s, repo: present.repo, refs: newRefList(refs), packs: slices.Clone(present.packs)}
	s.retain(past.packs)
	for v := range past.reach {
		past.reach[v] = newReach(View(v), past.repo.Version)
	}
	past.users.Store(1)
	past.loaded.Store(true)
	return past, nil
}

// KeptSince is the time from which on a repository's states can be read: the
// retention time ago, or when what is older was purged.
func (s *Store) KeptSince(repo cairn.Repository) time.Time {
	since := s.options.Now().Add(-s.options.Retention).UTC()
	if repo.PurgedAt.After(since) {
		return repo.PurgedAt
	}
	return since
}

func (s *Store) checkTime(repo cairn.Repository, at time.Time) error {
	stamp := at.UTC().Format(time.RFC3339Nano)
	since := s.KeptSince(repo)
	switch {
	case at.After(s.options.Now().Add(clockSkew)):
		return cairn.Errorf(cairn.Invalid, "the time %s has not come yet", stamp)
	case at.Before(repo.CreatedAt):
		return cairn.Errorf(cairn.NotFound, "at %s the repository did not exist yet: it was made at %s", stamp, repo.CreatedAt.Format(time.RFC3339Nano))
	case at.Before(since) && since.Equal(repo.PurgedAt):
		return cairn.Errorf(cairn.NotFound, "the states of the repository before %s were purged", since.Format(time.RFC3339Nano))
	case at.Before(since):
		return cairn.Errorf(cairn.NotFound, "at %s is too long ago: states are kept for %s (retention)", stamp, s.options.Retention)
	}
	return nil
}

// refsAt returns the refs as they were at a time, by name.
func (s *Store) refsAt(ctx context.Context, present *Snapshot, at time.Time) ([]cairn.Ref, error) {
	key := present.repo.RepositoryKey
	var version int64
	err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
		version, err = tx.Events().VersionAt(key, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	if refs, ok := s.past.get(pastState{key, version}); ok {
		return refs, nil
	}
	before, err := s.valuesBefore(ctx, present.repo, version)
	if err != nil {
		return nil, err
	}
	refs := make([]cairn.Ref, 0, len(present.Refs()))
	for _, ref := range present.Refs() {
		old, moved := before[ref.Name]
		if !moved {
			refs = append(refs, ref)
			continue
		}
		if !old.IsZero() && ref.Created <= version {
			delete(before, ref.Name)
			ref.Target = old
			refs = append(refs, ref)
		}
	}
	gone := make([]cairn.Ref, 0, len(before))
	for name, old := range before {
		if !old.IsZero() {
			gone = append(gone, cairn.Ref{Name: name, Target: old, CreatedAt: present.repo.CreatedAt})
		}
	}
	if err := s.findCreations(ctx, key, version, gone); err != nil {
		return nil, err
	}
	refs = append(refs, gone...)
	slices.SortFunc(refs, func(a, b cairn.Ref) int { return cmp.Compare(a.Name, b.Name) })
	s.past.put(pastState{key, version}, refs)
	return refs, nil
}

// valuesBefore returns, for each ref that moved after a version, where it was at
// that version; zero if it was not there.
func (s *Store) valuesBefore(ctx context.Context, repo cairn.Repository, version int64) (map[git.RefName]git.ObjectID, error) {
	values := map[git.RefName]git.ObjectID{}
	at := cairn.Event{Version: version, Ordinal: math.MaxInt32}
	for n := 0; n < maxReplay; n += eventBatch {
		var events []cairn.Event
		err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
			events, err = tx.Events().List(repo.RepositoryKey, at.Version, at.Ordinal, eventBatch)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if e.Version > repo.Version {
				return values, nil
			}
			if _, known := values[e.Name]; !known && e.Kind == cairn.RefChanged {
				values[e.Name] = e.Old
			}
			at = e
		}
		if len(events) < eventBatch {
			return values, nil
		}
	}
	return nil, cairn.Errorf(cairn.TooLarge, "more than %d changes of refs came since then", maxReplay)
}

// findCreations looks for when refs were made that were there at a version. One
// that was made very long before keeps the time that it has.
func (s *Store) findCreations(ctx context.Context, key cairn.RepositoryKey, version int64, refs []cairn.Ref) error {
	missing := make(map[git.RefName]*cairn.Ref, len(refs))
	for i := range refs {
		missing[refs[i].Name] = &refs[i]
	}
	at := cairn.Event{Version: version, Ordinal: math.MaxInt32}
	for n := 0; n < creationSearch && len(missing) > 0; n += eventBatch {
		var events []cairn.Event
		err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
			events, err = tx.Events().ListBack(key, at.Version, at.Ordinal, eventBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range events {
			if ref := missing[e.Name]; ref != nil && e.Old.IsZero() {
				ref.CreatedAt, ref.Created = e.At, e.Version
				delete(missing, e.Name)
			}
			at = e
		}
		if len(events) < eventBatch {
			return nil
		}
	}
	return nil
}

// DeletedRef is a ref that was deleted.
type DeletedRef struct {
	Name   git.RefName // stored
	Target git.ObjectID
	At     time.Time
	Actor  string
	// Version and Ordinal are those of the event.
	Version int64
	Ordinal int
}

// DeletedRefs calls f for the deletions of refs below the prefix that can be
// undone, newest first, from before an event on, until f returns false. It
// returns TooLarge if there is too much to look through.
func (s *Store) DeletedRefs(ctx context.Context, repo cairn.Repository, prefix string, version int64, ordinal int, f func(DeletedRef) bool) error {
	since := s.KeptSince(repo)
	for n := 0; n < maxReplay; n += eventBatch {
		var events []cairn.Event
		err := s.options.Metadata.View(ctx, func(tx cairn.Tx) (err error) {
			events, err = tx.Events().ListBack(repo.RepositoryKey, version, ordinal, eventBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range events {
			if !e.At.After(since) {
				return nil // the state before it is not kept any more
			}
			if e.New.IsZero() && !e.Old.IsZero() && strings.HasPrefix(string(e.Name), prefix) &&
				!f(DeletedRef{e.Name, e.Old, e.At, e.Actor, e.Version, e.Ordinal}) {
				return nil
			}
			version, ordinal = e.Version, e.Ordinal
		}
		if len(events) < eventBatch {
			return nil
		}
	}
	return cairn.Errorf(cairn.TooLarge, "more than %d changes of refs came since then", maxReplay)
}

// pastState names a state of a repository: that after a version.
type pastState struct {
	cairn.RepositoryKey
	version int64
}

// Bounds of the refs of past states that are kept for the next question.
const (
	maxPastStates = 64
	maxPastRefs   = 10_000 // of one state
)

// pastStates keeps the refs of some past states, which never change. It is safe
// for concurrent use.
type pastStates struct {
	mu    sync.Mutex
	items map[pastState][]cairn.Ref
}

func (p *pastStates) get(key pastState) ([]cairn.Ref, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	refs, ok := p.items[key]
	return refs, ok
}

func (p *pastStates) put(key pastState, refs []cairn.Ref) {
	if len(refs) > maxPastRefs {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.items == nil || len(p.items) >= maxPastStates {
		p.items = map[pastState][]cairn.Ref{}
	}
	p.items[key] = refs
}
