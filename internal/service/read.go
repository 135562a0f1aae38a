package service

import (
	"context"
	"errors"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// open checks the actor's right and opens the repository's present state. The
// caller closes it.
func (s *Service) open(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, scope cairn.Scope) (*odb.Snapshot, error) {
	if err := authorize(who, repo, scope); err != nil {
		return nil, err
	}
	sn, err := s.store.Snapshot(ctx, who.Organization.ID, repo)
	if err == nil && isOther(who, sn.Repository().Repository) {
		sn.Close()
		err = cairn.NotFound
	}
	if errors.Is(err, cairn.NotFound) {
		return nil, noRepository(repo)
	}
	if err == nil && sn.Repository().Syncing {
		sn.Close()
		return nil, errFirstSync
	}
	return sn, err
}

func noRepository(name cairn.RepositoryName) error {
	return cairn.Errorf(cairn.NotFound, "repository %q not found", cairn.Clip(string(name)))
}

// Revision is a commit as a caller names it: a branch, a tag, a full ref name,
// a commit id of 4 digits or more, with suffixes like ~2. Empty means the
// default branch.
type Revision struct {
	Name      string
	Ephemeral bool // names are of the ephemeral namespace
	// At reads the repository as it was at that time; zero is now. It needs
	// git:write.
	At time.Time
}

// orDefault names the default branch where nothing is named.
func (r Revision) orDefault(sn *odb.Snapshot) Revision {
	if r.Name == "" {
		r.Name = sn.Repository().DefaultBranch.Short()
	}
	return r
}

// resolve finds the commit, if a ref of the repository leads to it.
func (r Revision) resolve(ctx context.Context, sn *odb.Snapshot) (git.ObjectID, error) {
	return sn.Resolve(ctx, odb.FullView, r.Name, odb.ResolveOptions{Ephemeral: r.Ephemeral})
}

// list binds a cursor to a listing of one repository.
func list(name string, sn *odb.Snapshot, parameters ...string) query {
	key := sn.Repository().RepositoryKey
	return append(query{name, string(key.Organization), string(key.Repository)}, parameters...)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
