package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// MergeStrategy says when a merge makes a commit.
type MergeStrategy string

// The strategies.
const (
	MergeAlways       MergeStrategy = "merge"     // a merge commit, unless the target has all of the source already
	FastForwardOnly   MergeStrategy = "ff_only"   // never a commit: Conflict where that is no fast-forward
	FastForwardPrefer MergeStrategy = "ff_prefer" // a commit only where that is no fast-forward
)

// MergeKind is how a merge comes about.
type MergeKind string

// The kinds.
const (
	MergeCommit MergeKind = "merge_commit"
	FastForward MergeKind = "fast_forward"
	NoOp        MergeKind = "no_op" // the target has all of the source already
	SquashMerge MergeKind = "squash"
)

// MergePair is what is merged into what.
type MergePair struct {
	Source          Revision // any revision
	Target          string   // a branch, without refs/heads/
	TargetEphemeral bool
}

// MergeRequest is a merge.
type MergeRequest struct {
	MergePair
	Strategy MergeStrategy
	// Squash makes one commit on the target of all that the source brings.
	Squash bool
	// Unrelated allows histories that have nothing in common.
	Unrelated bool
	// Expected guards the merge: the id of the target's tip. Empty means no
	// guard.
	Expected string
	// CommitInfo is asked for only if the merge makes a commit.
	CommitInfo
}

// MergeResult tells what a merge did.
type MergeResult struct {
	Kind     MergeKind
	Source   git.ObjectID // the commit that was merged
	Old, New git.ObjectID // of the target
	Tree     git.ObjectID // of New
	Base     git.ObjectID // zero if the two had nothing in common
	Promoted int          // commits of the source that the target had not
}

// MergeConflictType is why a merge did not happen.
type MergeConflictType string

// The types of conflict.
const (
	ContentConflict MergeConflictType = "merge_conflict" // both sides changed the same
	TargetMoved     MergeConflictType = "target_moved"   // the target is not, or no longer, where the caller expects it
	RepoChanged     MergeConflictType = "repo_changed"   // the source went away meanwhile
)

// MergeConflict is in the chain of a Conflict error of a merge.
type MergeConflict struct {
	Type  MergeConflictType
	Paths []string     // of a ContentConflict
	Base  git.ObjectID // zero if there is none
}

// Error tells what kind of conflict it is.
func (c *MergeConflict) Error() string {
	switch c.Type {
	case TargetMoved:
		return "the target branch moved"
	case RepoChanged:
		return "the repository changed during the merge"
	}
	return "merge conflict"
}

const (
	// freeTries is how often a merge is made beside the other writers of its
	// target before it takes a turn among them.
	freeTries = 3
	// longestTurn is how long a merge may take for which the writers of a
	// branch wait.
	longestTurn = 2 * time.Second
	// maxMergeTries is how often a merge is made again because its target
	// moved.
	maxMergeTries = 100
)

// merger is one merge under way.
type merger struct {
	service  *Service
	who      cairn.Actor
	repo     cairn.RepositoryName
	in       MergeRequest
	target   git.RefName // stored
	key      cairn.RepositoryKey
	guard    git.ObjectID
	guarded  bool
	infoErr  error // why no commit can be made
	author   git.Signature
	by       git.Signature
	source   git.ObjectID // pinned by the first try
	conflict *cairn.RefConflict
	took     time.Duration // the last try
}

// Merge merges a commit into a branch. Without a guard a target that moves
// meanwhile is merged into again, the source as it was at first; with one it is a
// Conflict. What does not merge cleanly is a Conflict and changes nothing.
func (s *Service) Merge(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in MergeRequest) (MergeResult, error) {
	m := &merger{service: s, who: who, repo: repo, in: in}
	if err := m.check(); err != nil {
		return MergeResult{}, err
	}
	for try := range maxMergeTries {
		var done MergeResult
		var err error
		if try < freeTries || m.took > longestTurn {
			done, err = m.try(ctx)
		} else {
			done, err = m.tryInTurn(ctx)
		}
		if !errors.As(err, &m.conflict) {
			return done, err
		}
		if m.guarded {
			return MergeResult{}, m.moved(m.conflict.Current)
		}
		if err := ctx.Err(); err != nil {
			return MergeResult{}, err
		}
	}
	return MergeResult{}, cairn.Errorf(cairn.Conflict, "%w, %d times: %w; try again later",
		&MergeConflict{Type: TargetMoved}, maxMergeTries, &TipError{in.Target, m.conflict.Current})
}

// check looks at what can be known of the request by itself.
func (m *merger) check() (err error) {
	if err := authorize(m.who, m.repo, cairn.GitWrite); err != nil {
		return err
	}
	switch m.in.Strategy {
	case MergeAlways, FastForwardPrefer:
	case FastForwardOnly:
		if m.in.Squash {
			return cairn.Errorf(cairn.Invalid, "squash makes a commit, which the strategy ff_only forbids")
		}
	default:
		return cairn.Errorf(cairn.Invalid, "strategy %q: use merge, ff_only or ff_prefer", cairn.Clip(string(m.in.Strategy)))
	}
	if m.in.Source.Name == "" {
		return cairn.Errorf(cairn.Invalid, "the source of the merge is required")
	}
	if m.target, err = storedBranch(m.in.Target, m.in.TargetEphemeral); err != nil {
		return err
	}
	return m.checkInfo()
}

// checkInfo makes the signatures. What is missing is an error only if there is
// a commit to make; what is wrong is one at once.
func (m *merger) checkInfo() (err error) {
	in := &m.in.CommitInfo
	switch {
	case in.Message == "":
		m.infoErr = cairn.Errorf(cairn.Invalid, "commit_message is required: the merge makes a commit")
	default:
		if in.Message, err = checkMessage(in.Message); err != nil {
			return err
		}
	}
	now := m.service.now()
	if in.Author == (Identity{}) {
		if m.infoErr == nil {
			m.infoErr = cairn.Errorf(cairn.Invalid, "author is required: the merge makes a commit")
		}
		return nil
	}
	if m.author, err = signature("author", in.Author, now); err != nil {
		return err
	}
	m.by = m.author
	if in.Committer != (Identity{}) {
		m.by, err = signature("committer", in.Committer, now)
	}
	return err
}

// tryInTurn is try while no commit of this process moves the target.
func (m *merger) tryInTurn(ctx context.Context) (done MergeResult, err error) {
	err = errNotMade
	turn := &queuedCommit{ctx: ctx, alone: func() { done, err = m.try(ctx) }}
	if waited := m.service.commits.do(ctx, branchKey(m.key, m.target), turn, m.service.makeCommits); waited != nil {
		return MergeResult{}, waited
	}
	return done, err
}

// try merges into the target as it is now. A *cairn.RefConflict means that it
// moved meanwhile.
func (m *merger) try(ctx context.Context) (done MergeResult, err error) {
	began := time.Now()
	defer func() { m.took = time.Since(began) }()
	err = onNewState(ctx, func() (err error) {
		done, err = m.once(ctx)
		return err
	})
	return done, err
}

func (m *merger) once(ctx context.Context) (MergeResult, error) {
	s := m.service
	sn, err := s.open(ctx, m.who, m.repo, cairn.GitWrite)
	if err != nil {
		return MergeResult{}, err
	}
	defer sn.Close()
	if err := m.begin(ctx, sn); err != nil {
		return MergeResult{}, err
	}
	if err := admission.Enter(ctx, admission.Merge); err != nil {
		return MergeResult{}, err
	}
	old, err := m.tip(sn)
	if err != nil {
		return MergeResult{}, err
	}
	rel, err := relate(ctx, sn, old, m.source)
	if err != nil {
		return MergeResult{}, err
	}
	done := MergeResult{Kind: m.kind(rel), Source: m.source, Old: old, New: old, Base: rel.base()}
	if done.Promoted, err = promoted(ctx, sn, m.source, rel.ours); err != nil {
		return MergeResult{}, err
	}
	switch {
	case done.Kind == NoOp:
		done.Tree, err = treeOf(ctx, sn, rel.ours)
		return done, err
	case done.Kind == FastForward:
		done.New = m.source
		if done.Tree, err = treeOf(ctx, sn, done.New); err != nil {
			return MergeResult{}, err
		}
		return done, s.apply(ctx, sn, refWrite{Who: m.who, Updates: m.update(done), Merged: m.target})
	case m.in.Strategy == FastForwardOnly:
		return MergeResult{}, cairn.Errorf(cairn.Conflict, "branch %q cannot be fast-forwarded to %s: it has commits of its own", cairn.Clip(m.in.Target), m.source)
	case m.infoErr != nil:
		return MergeResult{}, m.infoErr
	case rel.unrelated() && !m.in.Unrelated:
		return MergeResult{}, errUnrelated
	}
	return m.commit(ctx, sn, rel, done)
}

var errUnrelated = cairn.Errorf(cairn.Conflict, "refusing to merge unrelated histories: allow_unrelated_histories allows it")

// begin finds the source at the first try, and later makes sure that it is still
// there.
func (m *merger) begin(ctx context.Context, sn *odb.Snapshot) (err error) {
	m.key = sn.Repository().RepositoryKey
	if !m.source.IsZero() {
		there, err := sn.Reachable(ctx, odb.FullView, m.source)
		if err == nil && !there {
			err = cairn.Errorf(cairn.Conflict, "%w: commit %s is gone", &MergeConflict{Type: RepoChanged}, m.source)
		}
		return err
	}
	if m.guard, m.guarded, err = parseGuard(m.in.Expected, sn.Repository().Format); err != nil {
		return err
	}
	if err := checkNoPush(m.who, sn.Repository(), m.target); err != nil {
		return err
	}
	if _, ok := sn.Ref(m.target); !ok {
		return cairn.Errorf(cairn.NotFound, "branch %q not found", cairn.Clip(m.in.Target))
	}
	m.source, err = m.in.Source.resolve(ctx, sn)
	return err
}

// tip is where the target is.
func (m *merger) tip(sn *odb.Snapshot) (git.ObjectID, error) {
	ref, ok := sn.Ref(m.target)
	if !ok || m.guarded && ref.Target != m.guard {
		return ref.Target, m.moved(ref.Target)
	}
	return ref.Target, nil
}

func (m *merger) moved(to git.ObjectID) error {
	return cairn.Errorf(cairn.Conflict, "%w: %w", &MergeConflict{Type: TargetMoved}, &TipError{m.in.Target, to})
}

func (m *merger) update(done MergeResult) []cairn.RefUpdate {
	return []cairn.RefUpdate{{Name: m.target, Old: done.Old, New: done.New}}
}

// kind is what the merge is to be.
func (m *merger) kind(rel relation) MergeKind {
	switch {
	case rel.upToDate():
		return NoOp
	case m.in.Squash:
		return SquashMerge
	case rel.forward() && m.in.Strategy != MergeAlways:
		return FastForward
	}
	return MergeCommit
}

// commit merges the trees and makes the commit.
func (m *merger) commit(ctx context.Context, sn *odb.Snapshot, rel relation, done MergeResult) (MergeResult, error) {
	s := m.service
	pack := s.store.NewPack(sn.Repository().Format)
	defer pack.Close()
	var err error
	if done.Tree, err = m.mergeTrees(ctx, sn, rel, pack); err != nil {
		return MergeResult{}, err
	}
	commit := &git.Commit{Tree: done.Tree, Parents: []git.ObjectID{rel.ours}, Author: m.author, Committer: m.by, Message: m.in.Message}
	if !m.in.Squash {
		commit.Parents = append(commit.Parents, m.source)
	}
	if done.New, err = addCommit(pack, sn.Repository().Format, commit); err != nil {
		return MergeResult{}, err
	}
	history := &batch{Snapshot: sn, commits: map[git.ObjectID]*git.Commit{done.New: commit}}
	return done, s.storeOne(ctx, sn, pack, refWrite{
		Who: m.who, Updates: m.update(done), History: history, Written: []writtenChange{{Commit: done.New}}, Merged: m.target,
	})
}

// mergeTrees returns the tree of the merge and puts what is new of it into a
// pack. Where the target has nothing of its own there is nothing to merge.
func (m *merger) mergeTrees(ctx context.Context, sn *odb.Snapshot, rel relation, pack *odb.PackBuilder) (git.ObjectID, error) {
	if rel.forward() {
		return treeOf(ctx, sn, m.source)
	}
	merged, err := sn.Merge(ctx, m.in.order(rel, m.in.Unrelated))
	if err != nil {
		return git.ObjectID{}, err
	}
	defer merged.Close()
	if len(merged.Conflicts) > 0 {
		return git.ObjectID{}, cairn.Errorf(cairn.Conflict, "%w", &MergeConflict{Type: ContentConflict, Paths: paths(merged.Conflicts), Base: rel.base()})
	}
	return merged.Tree, merged.Take(ctx, pack, rel.ours, rel.theirs)
}

// order asks for the merge of the pair under the names that the caller has for
// it.
func (p MergePair) order(rel relation, unrelated bool) odb.MergeOrder {
	return odb.MergeOrder{
		Ours: rel.ours, OursName: p.Target,
		Theirs: rel.theirs, TheirsName: strings.TrimPrefix(p.Source.Name, git.BranchPrefix),
		Unrelated: unrelated,
	}
}

func paths(conflicts []odb.Conflict) []string {
	out := make([]string, len(conflicts))
	for i, c := range conflicts {
		out[i] = c.Path
	}
	return out
}

// storeOne stores one write whose new objects are in a pack.
func (s *Service) storeOne(ctx context.Context, sn *odb.Snapshot, pack *odb.PackBuilder, w refWrite) error {
	staged, err := pack.Finish(ctx, sn.Repository().Organization)
	if err != nil {
		return err
	}
	w.Packs = []odb.Staged{staged}
	if err = s.apply(ctx, sn, w); err != nil && isRefused(err) {
		s.store.Discard(ctx, staged)
	}
	return err
}

// relation is how two commits stand to each other.
type relation struct {
	ours, theirs git.ObjectID
	bases        []git.ObjectID
}

// relate finds the merge bases of two commits, the first through tags.
func relate(ctx context.Context, sn *odb.Snapshot, ours, theirs git.ObjectID) (rel relation, err error) {
	if rel.ours, err = sn.PeelToCommit(ctx, ours); err != nil {
		return rel, err
	}
	rel.theirs = theirs
	rel.bases, err = graph.MergeBases(ctx, sn, rel.ours, theirs)
	return rel, err
}

// base is the newest merge base; zero if there is none.
func (r relation) base() git.ObjectID {
	if len(r.bases) == 0 {
		return git.ObjectID{}
	}
	return r.bases[0]
}

func (r relation) upToDate() bool  { return r.base() == r.theirs }
func (r relation) forward() bool   { return r.base() == r.ours }
func (r relation) unrelated() bool { return len(r.bases) == 0 }

// promoted counts the commits of the source that the target has not.
func promoted(ctx context.Context, sn *odb.Snapshot, source, target git.ObjectID) (int, error) {
	walk := graph.NewWalk(sn, []git.ObjectID{source}, []git.ObjectID{target})
	for n := 0; ; n++ {
		if _, _, more, err := walk.Next(ctx); err != nil || !more {
			return n, err
		}
	}
}

func treeOf(ctx context.Context, sn *odb.Snapshot, commit git.ObjectID) (git.ObjectID, error) {
	links, err := sn.Commit(ctx, commit)
	return links.Tree, err
}
