package service

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// BookmarkMerge is a merge of one bookmark into another.
type BookmarkMerge struct {
	Target, Source string
	DeleteSource   bool
	// AllowConflicts stores what cannot be merged as a conflict of the change
	// that is made.
	AllowConflicts bool
	Message        *string // nil: one is made; empty: none
	Resolutions    []Resolution
}

// MergedBookmark tells what a merge of bookmarks did.
type MergedBookmark struct {
	Kind          MergeKind // MergeCommit or NoOp
	At            ChangeAt  // of the target after it
	Conflicted    bool
	SourceDeleted bool
}

// MergeBookmark merges a bookmark into another with a new change that has both
// for parents, unless the target has all of the source already. A target at the
// virtual root, which cannot be a parent, goes to the source. What does not
// merge is a Conflict with a ConflictError, and changes nothing, unless it is
// allowed.
func (s *Service) MergeBookmark(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in BookmarkMerge) (out MergedBookmark, err error) {
	if err := checkResolutions(in.Resolutions); err != nil {
		return out, err
	}
	var id git.ChangeID
	rand.Read(id[:])
	err = s.draftChanges(ctx, who, repo, func(ctx context.Context, d *changeDraft) (err error) {
		m := bookmarkMerger{changeDraft: d, in: in, id: id}
		out, err = m.merge(ctx)
		return err
	})
	return out, err
}

// bookmarkMerger is a merge of bookmarks under way.
type bookmarkMerger struct {
	*changeDraft
	in             BookmarkMerge
	id             git.ChangeID // of the change that is made
	target, source foundBookmark
}

func (m *bookmarkMerger) merge(ctx context.Context) (out MergedBookmark, err error) {
	for _, b := range []struct {
		name string
		to   *foundBookmark
	}{{m.in.Target, &m.target}, {m.in.Source, &m.source}} {
		if b.name == "" {
			return out, cairn.Errorf(cairn.Invalid, "target and source are required")
		}
		if *b.to, err = m.bookmark(b.name); err != nil {
			return out, err
		}
	}
	if err := checkNoPush(m.who, m.Repository(), m.target.ref); err != nil {
		return out, err
	}
	if out, err = m.mergeTips(ctx); err != nil {
		return out, err
	}
	if m.in.DeleteSource && m.source.ref != m.target.ref {
		if m.source.isDef {
			return out, cairn.Errorf(cairn.Conflict, "bookmark %q is the default one and cannot be deleted", cairn.Clip(m.source.name))
		}
		m.move(m.source.ref, git.ObjectID{})
		m.move(emptyBookmark(m.source.ref), git.ObjectID{})
		out.SourceDeleted = true
	}
	return out, nil
}

// mergeTips brings the source into the target.
func (m *bookmarkMerger) mergeTips(ctx context.Context) (out MergedBookmark, err error) {
	out.Kind = NoOp
	if m.source.target.IsZero() || m.source.target == m.target.target {
		out.At, err = m.at(ctx, m.target.target)
		return out, err
	}
	source, err := m.at(ctx, m.source.target)
	if err != nil {
		return out, err
	}
	if err := m.rely(ctx, source.ID); err != nil { // that of the target moves
		return out, err
	}
	if m.target.target.IsZero() {
		out.Kind, out.At = MergeCommit, source
		m.mergedInto = m.target.ref
		return out, m.moveBookmark(ctx, m.target, out.At.ID, m.source.target)
	}
	if err := admission.Enter(ctx, admission.Merge); err != nil {
		return out, err
	}
	rel, err := relate(ctx, m.Snapshot, m.target.target, m.source.target)
	if err != nil {
		return out, err
	}
	if rel.upToDate() {
		out.At, err = m.at(ctx, m.target.target)
		return out, err
	}
	trees, err := m.mergedTrees(ctx, rel)
	if err != nil {
		return out, err
	}
	if trees, err = m.settle(ctx, trees); err != nil {
		return out, err
	}
	commit, err := m.commit(rel)
	if err != nil {
		return out, err
	}
	made, err := m.put(ctx, m.id, git.ObjectID{}, commit, trees)
	if err != nil {
		return out, err
	}
	m.move(m.target.ref, made)
	m.mergedInto = m.target.ref
	return MergedBookmark{Kind: MergeCommit, At: ChangeAt{m.id, made}, Conflicted: len(trees) > 1}, nil
}

// commit is the merge commit, without its tree.
func (m *bookmarkMerger) commit(rel relation) (*git.Commit, error) {
	message := fmt.Sprintf("Merge bookmark '%s' into %s\n", m.source.name, m.target.name)
	if m.in.Message != nil {
		message = *m.in.Message
	}
	commit, err := m.newCommit(CommitInfo{Message: message})
	if err == nil {
		commit.Parents = []git.ObjectID{rel.ours, rel.theirs}
	}
	return commit, err
}

// mergedTrees merges the trees of two commits: git does, unless it has to know
// of conflicts that are there already.
func (m *bookmarkMerger) mergedTrees(ctx context.Context, rel relation) ([]term, error) {
	conflicted := false
	for _, commit := range slices.Concat(rel.bases, []git.ObjectID{rel.ours, rel.theirs}) {
		trees, err := m.treesOf(ctx, commit)
		if err != nil {
			return nil, err
		}
		conflicted = conflicted || len(trees) > 1
	}
	switch {
	case conflicted:
		terms, err := m.merged(ctx, []git.ObjectID{rel.ours, rel.theirs}, m.label(0), m.label(1), m.label(2))
		if err != nil {
			return nil, err
		}
		return m.sum(ctx, terms)
	case rel.forward():
		return m.treesOf(ctx, rel.theirs)
	}
	return m.gitMerge(ctx, rel)
}

// label is what a side of the merge is called: target, base, source.
func (m *bookmarkMerger) label(i int) string {
	return []string{m.target.name, "merge base", m.source.name}[i]
}

// gitMerge lets git merge. What it leaves in conflict becomes a tree for each
// side: that of the merge, with what the side has at these paths.
func (m *bookmarkMerger) gitMerge(ctx context.Context, rel relation) ([]term, error) {
	merged, err := m.Merge(ctx, odb.MergeOrder{Ours: rel.ours, OursName: m.target.name, Theirs: rel.theirs, TheirsName: m.source.name, Unrelated: true})
	if err != nil {
		return nil, err
	}
	m.merging = merged // what git made is read until the draft is closed
	if err := merged.Take(ctx, m.pack, rel.ours, rel.theirs); err != nil {
		return nil, err
	}
	trees := make([]term, 3)
	var versions [3][]odb.TreeChange
	for _, conflict := range merged.Conflicts {
		for i, e := range []git.TreeEntry{conflict.Ours, conflict.Base, conflict.Theirs} {
			if err := merged.TakeEntry(ctx, m.pack, e); err != nil {
				return nil, err
			}
			if e.Mode != 0 {
				versions[i] = append(versions[i], odb.TreeChange{Path: conflict.Path, Mode: e.Mode, ID: e.ID})
			} else if here, err := merged.Entry(ctx, conflict.Path); err != nil {
				return nil, err
			} else if here.Mode != 0 && hasVersion(conflict) {
				versions[i] = append(versions[i], odb.TreeChange{Path: conflict.Path, Delete: true})
			}
		}
	}
	for i := range trees {
		trees[i] = term{merged.Tree, m.label(i)}
		if len(merged.Conflicts) == 0 {
			continue
		}
		trees[i].tree, err = odb.EditTree(ctx, m.Repository().Format, m, merged.Tree, versions[i], func(tree []byte) (git.ObjectID, error) {
			return m.emit(git.TreeObject, tree)
		})
		if err != nil {
			return nil, err
		}
	}
	return m.sum(ctx, trees)
}

// hasVersion tells whether a conflict says what the sides have. A folder that
// was split is one that does not: nothing is in conflict but where new files go.
func hasVersion(c odb.Conflict) bool {
	return c.Base.Mode != 0 || c.Ours.Mode != 0 || c.Theirs.Mode != 0
}

// settle applies the resolutions to what is in conflict, and refuses what stays
// unless that is allowed.
func (m *bookmarkMerger) settle(ctx context.Context, trees []term) ([]term, error) {
	conflicts, err := findConflicts(ctx, m.Repository().Format, m, m.service.limits, trees)
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(m.in.Resolutions), func(r Resolution) bool {
		return !slices.ContainsFunc(conflicts, func(c pathConflict) bool { return c.Path == r.Path })
	})
	if len(list) > 0 {
		if trees, err = m.resolve(ctx, trees, conflicts, list); err != nil {
			return nil, err
		}
		if conflicts, err = findConflicts(ctx, m.Repository().Format, m, m.service.limits, trees); err != nil {
			return nil, err
		}
	}
	if len(conflicts) > 0 && !m.in.AllowConflicts {
		return nil, conflictError(ctx, m, conflicts)
	}
	return trees, nil
}
