package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Upkeep says what is old enough to be removed. A zero field means its default.
type Upkeep struct {
	Retention    time.Duration // of deleted repositories; default 7 days
	Grace        time.Duration // of packs that nothing names any more; default 1 hour
	OrphansAfter time.Duration // of stored packs that nothing ever named; default 1 day
	// AloneSince is when this process became the only one that writes to the
	// stores: packs stored before and never named were left by a crash, and
	// need not grow old. Zero if other processes write too. It is by the
	// clock that dates the items of the Bucket.
	AloneSince time.Time
}

func (u Upkeep) withDefaults() Upkeep {
	set(&u.Retention, 7*24*time.Hour)
	set(&u.Grace, time.Hour)
	set(&u.OrphansAfter, 24*time.Hour)
	return u
}

// CheckRepository verifies everything that a repository holds, for the
// operator. Problems are in the result; an error means that the check could
// not be carried out. progress is told now and then.
func (s *Service) CheckRepository(ctx context.Context, who cairn.Actor, name cairn.RepositoryName, progress func(done, all int)) (odb.CheckResult, error) {
	if err := authorizeOperator(who); err != nil {
		return odb.CheckResult{}, err
	}
	found, err := s.Repository(ctx, who, name)
	if err != nil {
		return odb.CheckResult{}, err
	}
	if err := admission.Enter(ctx, admission.Check); err != nil {
		return odb.CheckResult{}, err
	}
	result, err := s.store.Check(ctx, found.RepositoryKey, progress)
	if err != nil {
		return odb.CheckResult{}, fmt.Errorf("check %s: %w", name, err)
	}
	return result, nil
}

// RemoveGarbage removes packs that nothing names any more and that are old
// enough to go: the part of Sweep that costs little. It is for the server's own
// background work, which acts for nobody.
func (s *Service) RemoveGarbage(ctx context.Context) (odb.SweepResult, error) {
	return s.store.Sweep(ctx, odb.SweepOptions{GarbageBefore: s.now().Add(-s.upkeep.Grace)})
}

// Sweep removes what is old enough to go. It is for the server's own
// background work, which acts for nobody.
func (s *Service) Sweep(ctx context.Context) (odb.SweepResult, error) {
	if err := s.pruneReceipts(ctx); err != nil {
		return odb.SweepResult{}, err
	}
	now := s.now()
	orphans := now.Add(-s.upkeep.OrphansAfter)
	if orphans.Before(s.upkeep.AloneSince) {
		orphans = s.upkeep.AloneSince
	}
	result, err := s.store.Sweep(ctx, odb.SweepOptions{
		DeletedBefore: now.Add(-s.upkeep.Retention),
		GarbageBefore: now.Add(-s.upkeep.Grace),
		OrphansBefore: orphans,
	})
	return result, errors.Join(err, s.forgetDeliveries(ctx))
}
