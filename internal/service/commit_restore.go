package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// RestoreRequest is a commit that brings back the files of an earlier one.
type RestoreRequest struct {
	// CommitTarget is an existing branch, so its Base counts for nothing.
	CommitTarget
	// CommitInfo may be without a message: then the commit names the one that
	// it restores.
	CommitInfo
	// From is the commit whose files the new one has.
	From Revision
}

// RestoreCommit makes a commit on a branch whose tree is that of another
// commit. The history stays; also a restore that changes no file is made.
func (s *Service) RestoreCommit(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in RestoreRequest) (CommitResult, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return CommitResult{}, err
	}
	defer sn.Close()
	if in.From.Name == "" {
		return CommitResult{}, cairn.Errorf(cairn.Invalid, "the commit to restore is required")
	}
	in.Base = ""
	d := &draft{service: s, who: who, repo: sn.Repository(), target: in.CommitTarget, existing: true}
	from, err := in.From.resolve(ctx, sn)
	if err != nil {
		return CommitResult{}, err
	}
	if in.Message == "" {
		if in.Message, err = restoreMessage(ctx, sn, from); err != nil {
			return CommitResult{}, err
		}
	}
	d.info = in.CommitInfo
	if err := d.check(); err != nil {
		return CommitResult{}, err
	}
	if err := d.checkPlace(ctx, sn); err != nil {
		return CommitResult{}, err
	}
	d.content = restored(from)
	d.begin()
	defer d.close()
	return d.commit(ctx)
}

// restoreMessage is worded as git revert words it.
func restoreMessage(ctx context.Context, sn *odb.Snapshot, from git.ObjectID) (string, error) {
	c, err := readCommit(ctx, sn, from)
	if err != nil {
		return "", err
	}
	subject, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return fmt.Sprintf("Restore \"%s\"\n\nThis restores the files of commit %s.", cairn.Clip(strings.ToValidUTF8(subject, "\uFFFD")), from), nil
}

// restored is a commit as the content of another one.
type restored git.ObjectID

func (r restored) writeTree(ctx context.Context, b *batch, _ git.ObjectID, _ *odb.PackBuilder, _ *made) (git.ObjectID, error) {
	commit := git.ObjectID(r)
	// What was reachable when the request came may be dropped by now.
	there, err := b.Reachable(ctx, odb.FullView, commit)
	if err == nil && !there {
		err = cairn.Errorf(cairn.Conflict, "commit %s is gone meanwhile", commit)
	}
	if err != nil {
		return git.ObjectID{}, err
	}
	return treeOf(ctx, b.Snapshot, commit)
}

func (restored) staged() []odb.Staged { return nil }
func (restored) stored()              {}
func (restored) blobs() int           { return 0 }
