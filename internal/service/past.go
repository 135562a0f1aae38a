package service

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// openAt is open for a read of a repository as it was at a time; the zero time
// is now. The past is for those who may write: it has what they took away.
func (s *Service) openAt(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, at time.Time) (*odb.Snapshot, error) {
	if at.IsZero() {
		return s.open(ctx, who, repo, cairn.GitRead)
	}
	if err := authorize(who, repo, cairn.GitWrite); err != nil {
		return nil, err
	}
	if err := admission.Enter(ctx, admission.History); err != nil {
		return nil, err
	}
	return s.store.SnapshotAt(ctx, who.Organization.ID, repo, at)
}

// stamp is a time as a parameter of a cursor.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return strconv.FormatInt(at.UnixMicro(), 10)
}

// DeletedBranch is a branch that was deleted and can be restored.
type DeletedBranch struct {
	Name      string
	Ephemeral bool
	Head      git.ObjectID // when it was deleted
	DeletedAt time.Time
	DeletedBy string
	Cursor    string // of the page that begins after it
}

// DeletedBranchPage is a part of the list of deleted branches.
type DeletedBranchPage struct {
	Branches []DeletedBranch
	Next     string // the cursor of the next page; empty at the end
}

// ListDeletedBranches returns the branches that were deleted within the
// retention time and do not exist now, the last deleted first. One that was
// deleted several times is there as often. It is for those who may write.
func (s *Service) ListDeletedBranches(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, ephemeral bool, cursor string, limit int) (DeletedBranchPage, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return DeletedBranchPage{}, err
	}
	defer sn.Close()
	listing := list("deleted branches", sn, flag(ephemeral))
	position, err := listing.position(cursor, 2)
	if err != nil {
		return DeletedBranchPage{}, err
	}
	before := eventPosition{version: math.MaxInt64}
	if position != nil {
		if before, err = parseEventPosition(position); err != nil {
			return DeletedBranchPage{}, err
		}
	}
	if err := admission.Enter(ctx, admission.History); err != nil {
		return DeletedBranchPage{}, err
	}
	limit = clampLimit(limit, refsPerPage, maxRefsPerPage)
	page := DeletedBranchPage{Branches: []DeletedBranch{}}
	prefix := branchPrefix(ephemeral)
	err = s.store.DeletedRefs(ctx, sn.Repository(), prefix, before.version, before.ordinal, func(d odb.DeletedRef) bool {
		if _, exists := sn.Ref(d.Name); exists {
			return true
		}
		if len(page.Branches) == limit {
			page.Next = page.Branches[limit-1].Cursor
			return false
		}
		page.Branches = append(page.Branches, DeletedBranch{
			Name: strings.TrimPrefix(string(d.Name), prefix), Ephemeral: ephemeral, Head: d.Target, DeletedAt: d.At, DeletedBy: d.Actor,
			Cursor: listing.cursor(strconv.FormatInt(d.Version, 10), strconv.Itoa(d.Ordinal)),
		})
		return true
	})
	return page, err
}

// RestoredBranch says which deleted branch is to be there again.
type RestoredBranch struct {
	Name      string
	Ephemeral bool
	// At restores the branch as it was at that time; Head, a full id, the one
	// that was deleted there. With neither it is as it was last.
	At   time.Time
	Head string
}

// RestoreBranch makes a branch again that was deleted within the retention
// time; Conflict if there is one of that name.
func (s *Service) RestoreBranch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in RestoredBranch) (branch Branch, err error) {
	if err := authorize(who, repo, cairn.GitWrite); err != nil {
		return Branch{}, err
	}
	ref, err := storedBranch(in.Name, in.Ephemeral)
	if err != nil {
		return Branch{}, err
	}
	err = onNewState(ctx, func() (err error) {
		branch, err = s.tryRestoreBranch(ctx, who, repo, ref, in)
		return err
	})
	if conflict := (*cairn.RefConflict)(nil); errors.As(err, &conflict) {
		err = branchExists(in.Name)
	}
	return branch, err
}

func branchExists(name string) error {
	return cairn.Errorf(cairn.Conflict, "branch %q exists", cairn.Clip(name))
}

func (s *Service) tryRestoreBranch(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, ref git.RefName, in RestoredBranch) (Branch, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return Branch{}, err
	}
	defer sn.Close()
	if _, exists := sn.Ref(ref); exists {
		return Branch{}, branchExists(in.Name)
	}
	if err := checkNoPush(who, sn.Repository(), ref); err != nil {
		return Branch{}, err
	}
	head, err := s.deletedHead(ctx, who, sn, ref, in)
	if err != nil {
		return Branch{}, err
	}
	if _, _, err := sn.Header(ctx, head); err != nil {
		return Branch{}, cairn.Errorf(cairn.NotFound, "branch %q was at %s, which is not kept any more", cairn.Clip(in.Name), head)
	}
	if err := s.apply(ctx, sn, refWrite{Who: who, Updates: []cairn.RefUpdate{{Name: ref, New: head}}}); err != nil {
		return Branch{}, err
	}
	return Branch{Name: in.Name, Ephemeral: in.Ephemeral, Head: head, CreatedAt: s.now().UTC()}, nil
}

// deletedHead finds where a branch was that is not there now.
func (s *Service) deletedHead(ctx context.Context, who cairn.Actor, sn *odb.Snapshot, ref git.RefName, in RestoredBranch) (head git.ObjectID, err error) {
	if !in.At.IsZero() {
		past, err := s.openAt(ctx, who, sn.Repository().Name, in.At)
		if err != nil {
			return head, err
		}
		defer past.Close()
		old, ok := past.Ref(ref)
		if !ok {
			err = cairn.Errorf(cairn.NotFound, "branch %q did not exist at that time", cairn.Clip(in.Name))
		}
		return old.Target, err
	}
	wanted, chosen, err := parseGuard(in.Head, sn.Repository().Format)
	if err != nil {
		return head, err
	}
	if err := admission.Enter(ctx, admission.History); err != nil {
		return head, err
	}
	err = s.store.DeletedRefs(ctx, sn.Repository(), string(ref), math.MaxInt64, 0, func(d odb.DeletedRef) bool {
		if d.Name == ref && (!chosen || d.Target == wanted) {
			head = d.Target
		}
		return head.IsZero()
	})
	if err == nil && head.IsZero() {
		err = cairn.Errorf(cairn.NotFound, "no branch %q was deleted within the retention time", cairn.Clip(in.Name))
	}
	return head, err
}
