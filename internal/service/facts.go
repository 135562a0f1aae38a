package service

import (
	"context"
	"math"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// RepositoryFacts is what the row of a repository does not say.
type RepositoryFacts struct {
	Number    cairn.Number
	Size      cairn.PacksSize
	UpdatedAt time.Time // of the last write to its refs, or of its creation
	// Import says how far the first sync is of one that follows, or was taken
	// over from, a repository elsewhere; empty for all others.
	Import cairn.SyncStatus
}

// RepositoryFacts returns the facts of repositories that the caller was shown
// already, in their order. Those that have no number get one.
func (s *Service) RepositoryFacts(ctx context.Context, repos ...cairn.Repository) ([]RepositoryFacts, error) {
	things := make([]cairn.Numbered, len(repos))
	for i, repo := range repos {
		things[i] = cairn.NumberedRepository(repo.RepositoryKey)
	}
	numbers, err := s.Numbers(ctx, things...)
	if err != nil {
		return nil, err
	}
	facts := make([]RepositoryFacts, len(repos))
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		for i, repo := range repos {
			facts[i] = RepositoryFacts{Number: numbers[i], UpdatedAt: repo.CreatedAt}
			if err := facts[i].read(tx, repo); err != nil {
				return err
			}
		}
		return nil
	})
	return facts, err
}

func (f *RepositoryFacts) read(tx cairn.Tx, repo cairn.Repository) error {
	packs, err := tx.Packs().Manifest(repo.RepositoryKey)
	if err != nil {
		return err
	}
	for _, p := range packs {
		f.Size.Add(p)
	}
	last, err := tx.Events().ListBack(repo.RepositoryKey, math.MaxInt64, math.MaxInt32, 1)
	if err != nil {
		return err
	}
	if len(last) > 0 {
		f.UpdatedAt = last[0].At
	}
	if !repo.Upstream.Follows() {
		return nil
	}
	state, err := syncState(tx, repo.RepositoryKey)
	f.Import = state.Status
	return err
}
