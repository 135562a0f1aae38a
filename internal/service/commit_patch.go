package service

import (
	"context"
	"errors"
	"os"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// PatchRequest is a commit whose content comes as a patch.
type PatchRequest struct {
	CommitTarget
	CommitInfo
}

// PatchWriter takes the bytes of a patch and then makes the commit. It is used by
// one goroutine. Close it in every case.
type PatchWriter struct {
	*draft
	file    *os.File
	size    int64
	patched *odb.Patched // what the last try made of it
	made    int          // blobs
}

// BeginPatch checks everything about a commit that can be known before its patch
// arrives, and returns the writer for that.
func (s *Service) BeginPatch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in PatchRequest) (*PatchWriter, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return nil, err
	}
	defer sn.Close()
	d := &draft{service: s, who: who, repo: sn.Repository(), target: in.CommitTarget, info: in.CommitInfo}
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := d.checkPlace(ctx, sn); err != nil {
		return nil, err
	}
	w := &PatchWriter{draft: d}
	d.content = w
	w.file, err = s.store.Scratch()
	return w, err
}

// AddChunk adds bytes to the patch.
func (w *PatchWriter) AddChunk(_ context.Context, data []byte) error {
	w.size += int64(len(data))
	if limit := w.service.limits.PatchSize; w.size > limit {
		return cairn.Errorf(cairn.TooLarge, "the patch has more than the limit of %d bytes (max-patch-size)", limit)
	}
	_, err := w.file.Write(data)
	return err
}

// Close frees what the writer holds.
func (w *PatchWriter) Close() {
	w.file.Close()
	w.close()
}

// errPathsMoved is the error of a patch that was applied to files that another
// commit changed before this one's turn came.
var errPathsMoved = errors.New("the files that the patch is about changed meanwhile")

// Commit applies the patch and makes the commit. It is as with commits of whole
// files: without a guard the patch is applied to whatever is there when its turn
// comes. A patch that does not apply is a Conflict, one that git cannot read or
// that changes nothing is Invalid.
//
// git runs before the commit takes its place in the queue of its branch. There
// it counts if the paths that git looked at are still the same.
func (w *PatchWriter) Commit(ctx context.Context) (CommitResult, error) {
	if err := admission.Enter(ctx, admission.Patch); err != nil {
		return CommitResult{}, err
	}
	for range maxTries {
		if err := w.apply(ctx); err != nil {
			return CommitResult{}, err
		}
		done, err := w.commit(ctx)
		if !errors.Is(err, errPathsMoved) {
			return done, err
		}
		if err := ctx.Err(); err != nil {
			return CommitResult{}, err
		}
	}
	return CommitResult{}, cairn.Errorf(cairn.Conflict, "%w: other writers are faster; try again later", errPathsMoved)
}

// apply applies the patch to the files as they are now.
func (w *PatchWriter) apply(ctx context.Context) error {
	sn, err := w.service.store.SnapshotOf(ctx, w.repo.RepositoryKey)
	if err != nil {
		return err
	}
	defer sn.Close()
	at, err := w.start(ctx, &batch{Snapshot: sn})
	if err != nil {
		return err
	}
	w.begin()
	if err := w.pack.Truncate(0); err != nil {
		return err
	}
	w.patched, err = sn.ApplyPatch(ctx, at.tree, w.file, odb.PatchLimits{Paths: w.service.limits.CommitFiles}, w.pack)
	w.made = w.pack.Len()
	return err
}

// writeTree makes the writer the content of its draft.
func (w *PatchWriter) writeTree(ctx context.Context, b *batch, base git.ObjectID, pack *odb.PackBuilder, m *made) (git.ObjectID, error) {
	same, err := w.patched.Holds(ctx, b, b.Repository().Format, base)
	if err != nil {
		return git.ObjectID{}, err
	}
	if !same {
		return git.ObjectID{}, errPathsMoved
	}
	return editTree(ctx, b, base, w.patched.Changes, pack, m)
}

func (w *PatchWriter) staged() []odb.Staged { return nil }
func (w *PatchWriter) stored()              {}
func (w *PatchWriter) blobs() int           { return w.made }
