package service

import (
	"context"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// RepositoryFacts is what the row of a repository does not say.
type RepositoryFacts struct {
	cairn.RepositoryFacts
	// Import says how far the first sync is of one that follows, or was taken
	// over from, a repository elsewhere; empty for all others.
	Import cairn.SyncStatus
}

// RepositoryFacts returns the facts of repositories that the caller was shown
// already, in their order. Those that have no number get one.
func (s *Service) RepositoryFacts(ctx context.Context, repos ...cairn.Repository) ([]RepositoryFacts, error) {
	facts := make([]RepositoryFacts, len(repos))
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		known, err := factsOf(tx, repos)
		if err != nil {
			return err
		}
		for i, repo := range repos {
			facts[i].RepositoryFacts = known[repo.RepositoryKey]
			if repo.Upstream.Follows() {
				state, err := syncState(tx, repo.RepositoryKey)
				if err != nil {
					return err
				}
				facts[i].Import = state.Status
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var missing numbering
	for i, repo := range repos {
		missing.add(cairn.NumberedRepository(repo.RepositoryKey), &facts[i].Number)
	}
	return facts, missing.give(ctx, s)
}

// factsOf returns the facts of repositories that are there. One whose refs never
// moved was last moved when it was made.
func factsOf(tx cairn.Tx, repos []cairn.Repository) (map[cairn.RepositoryKey]cairn.RepositoryFacts, error) {
	keys := make([]cairn.RepositoryKey, len(repos))
	for i, r := range repos {
		keys[i] = r.RepositoryKey
	}
	list, err := tx.Repositories().Facts(keys)
	known := make(map[cairn.RepositoryKey]cairn.RepositoryFacts, len(repos))
	for _, f := range list {
		known[f.RepositoryKey] = f
	}
	for _, r := range repos {
		if f := known[r.RepositoryKey]; f.MovedAt.IsZero() {
			f.MovedAt = r.CreatedAt
			known[r.RepositoryKey] = f
		}
	}
	return known, err
}
