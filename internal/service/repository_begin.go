package service

import (
	"context"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// FirstCommit is the commit that a repository begins with, on its default
// branch.
type FirstCommit struct {
	CommitInfo
	Files []FirstFile
}

// FirstFile is a file of a first commit.
type FirstFile struct{ Path, Text string }

// beginRepository stores a new row together with its first commit: nobody ever
// sees the one without the other, and a crash leaves both or none. create adds
// the row in the transaction. It needs git:write beside what create needs.
func (s *Service) beginRepository(ctx context.Context, who cairn.Actor, row cairn.Repository, first FirstCommit, create func(cairn.Tx, *facts) error) error {
	if err := authorize(who, row.Name, cairn.GitWrite); err != nil {
		return err
	}
	if err := checkFirstPush(who, row); err != nil {
		return err
	}
	pack := s.store.NewPack(row.Format)
	defer pack.Close()
	id, commit, err := s.writeFirst(ctx, row, first, pack)
	if err != nil {
		return err
	}
	staged, err := pack.Finish(ctx, row.Organization)
	if err != nil {
		return err
	}
	w := refWrite{
		Who: who, Updates: []cairn.RefUpdate{{Name: row.DefaultBranch, New: id}}, History: loneCommit{id, commit},
		Written: []writtenChange{{Commit: id}},
	}
	var made cairn.Repository
	var told facts
	err = told.whileWanted(ctx, func() error {
		add := func(tx cairn.Tx) error { return create(tx, &told) }
		made, err = s.store.Begin(ctx, row.RepositoryKey, add, odb.Update{
			Packs: []odb.Staged{staged}, Refs: w.Updates, Actor: who.Name,
			Check: func(tx cairn.Tx, r cairn.Repository) error { return s.announceRefs(tx, r, &w, &told) },
		})
		return err
	})
	if err != nil {
		if isRefused(err) {
			s.store.Discard(ctx, staged)
		}
		return err
	}
	s.changed(made.RepositoryKey, staged.Size)
	if made.Watched {
		s.enqueued(WebhookJob)
	}
	return nil
}

// checkFirstPush asks the actor's policy about a first commit, which has no
// signature.
func checkFirstPush(who cairn.Actor, row cairn.Repository) error {
	if err := checkNoPush(who, row, row.DefaultBranch); err != nil {
		return err
	}
	if policyFor(who, row).Forbids(cairn.VerifySig, row.DefaultBranch) {
		return cairn.Errorf(cairn.Denied, "a first commit on %s %s: it would have no signature", row.DefaultBranch, deniedByPolicy)
	}
	return nil
}

// writeFirst puts the objects of a first commit into a pack.
func (s *Service) writeFirst(ctx context.Context, row cairn.Repository, first FirstCommit, pack *odb.PackBuilder) (git.ObjectID, *git.Commit, error) {
	d := &draft{service: s, repo: row, info: first.CommitInfo}
	if err := d.checkInfo(); err != nil {
		return git.ObjectID{}, nil, err
	}
	files := make([]FileChange, len(first.Files))
	texts := make(map[string]string, len(first.Files))
	for i, f := range first.Files {
		files[i] = FileChange{Path: f.Path, ContentID: f.Path}
		texts[f.Path] = f.Text
	}
	changes, err := s.checkChanges(files)
	if err != nil {
		return git.ObjectID{}, nil, err
	}
	edits := make([]odb.TreeChange, len(changes))
	for i, c := range changes {
		edits[i] = odb.TreeChange{Path: c.Path}
		if edits[i].ID, err = pack.Add(git.BlobObject, []byte(texts[c.ContentID])); err != nil {
			return git.ObjectID{}, nil, err
		}
	}
	commit := &git.Commit{Author: d.author, Committer: d.by, Message: d.info.Message}
	commit.Tree, err = odb.EditTree(ctx, row.Format, noTrees{}, git.ObjectID{}, edits, func(tree []byte) (git.ObjectID, error) {
		if err := git.CheckObject(row.Format, git.TreeObject, tree); err != nil {
			return git.ObjectID{}, cairn.Errorf(cairn.Invalid, "%w", err)
		}
		return pack.Add(git.TreeObject, tree)
	})
	if err != nil {
		return git.ObjectID{}, nil, err
	}
	id, err := addCommit(pack, row.Format, commit)
	return id, commit, err
}

// noTrees is a repository that holds nothing yet.
type noTrees struct{}

// Tree returns none.
func (noTrees) Tree(context.Context, git.ObjectID) ([]byte, error) { return nil, odb.ErrNoObject }

// loneCommit is the history of one commit without parents.
type loneCommit struct {
	id     git.ObjectID
	commit *git.Commit
}

// Commit returns the links of the commit.
func (l loneCommit) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	c, err := l.FullCommit(ctx, id)
	if err != nil {
		return git.CommitLinks{}, err
	}
	return c.Links(), nil
}

// FullCommit returns the commit.
func (l loneCommit) FullCommit(_ context.Context, id git.ObjectID) (*git.Commit, error) {
	if id != l.id {
		return nil, odb.ErrNoObject
	}
	return l.commit, nil
}

// PeelToCommit returns the commit itself.
func (l loneCommit) PeelToCommit(_ context.Context, id git.ObjectID) (git.ObjectID, error) {
	if id != l.id {
		return git.ObjectID{}, odb.ErrNoObject
	}
	return id, nil
}
