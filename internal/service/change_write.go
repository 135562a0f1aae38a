package service

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// NewChange is a change that is to be made.
type NewChange struct {
	Base git.ChangeID // its parent; zero is the virtual root
	// CommitInfo may be left out: no message is no description, and the author
	// is then the caller.
	CommitInfo
	Files []ChangeFile
}

// CreateChange makes a change on top of another. It moves no bookmark: a hidden
// ref keeps it.
func (s *Service) CreateChange(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in NewChange) (Change, error) {
	var id git.ChangeID
	rand.Read(id[:])
	return s.writeChange(ctx, who, repo, func(ctx context.Context, d *changeDraft) (git.ObjectID, error) {
		return d.create(ctx, id, in)
	})
}

// writeChange carries out a write of changes, again for as long as another
// write comes between, and shows the commit that it made.
func (s *Service) writeChange(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, write func(context.Context, *changeDraft) (git.ObjectID, error)) (out Change, err error) {
	var commit git.ObjectID
	err = s.draftChanges(ctx, who, repo, func(ctx context.Context, d *changeDraft) (err error) {
		commit, err = write(ctx, d)
		return err
	})
	if err != nil {
		return Change{}, err
	}
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return Change{}, err
	}
	defer c.Close()
	return c.describe(ctx, commit)
}

// draftChanges stores what write makes, again for as long as another write comes
// between.
func (s *Service) draftChanges(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, write func(context.Context, *changeDraft) error) error {
	var conflict *cairn.RefConflict
	for range maxTries {
		err := onNewState(ctx, func() error {
			c, err := s.openChanges(ctx, who, repo, cairn.GitWrite)
			if err != nil {
				return err
			}
			defer c.Close()
			d := c.draft(who)
			defer d.close()
			if err := write(ctx, d); err != nil {
				return err
			}
			return d.store(ctx)
		})
		if !errors.As(err, &conflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return cairn.Errorf(cairn.Conflict, "other writers are faster, after %d tries: %w; try again later", maxTries, conflict)
}

// create makes the commit of a new change.
func (d *changeDraft) create(ctx context.Context, id git.ChangeID, in NewChange) (git.ObjectID, error) {
	commit, err := d.newCommit(in.CommitInfo)
	if err != nil {
		return git.ObjectID{}, err
	}
	var base git.ObjectID
	if !in.Base.IsRoot() {
		if base, err = d.find(ctx, in.Base); err != nil {
			return git.ObjectID{}, err
		}
		commit.Parents = []git.ObjectID{base}
	}
	trees, err := d.trees(ctx, base)
	if err != nil {
		return git.ObjectID{}, err
	}
	changes, err := d.checkFiles(ctx, in.Files)
	if err != nil {
		return git.ObjectID{}, err
	}
	if len(changes) > 0 {
		if trees, err = d.edit(ctx, trees, changes); err != nil {
			return git.ObjectID{}, err
		}
	}
	made, err := d.put(ctx, id, git.ObjectID{}, commit, trees)
	if err != nil {
		return made, err
	}
	d.move(odb.ChangeRef(id), made)
	d.unkeep(in.Base, base)
	return made, nil
}

// newCommit is a commit with the message and signatures that are given.
func (d *changeDraft) newCommit(in CommitInfo) (*git.Commit, error) {
	message, err := changeMessage(in.Message)
	if err != nil {
		return nil, err
	}
	if in.Author == (Identity{}) {
		in.Author = d.caller()
	}
	if in.Committer == (Identity{}) {
		in.Committer = in.Author
	}
	commit := &git.Commit{Message: message}
	now := d.service.now()
	if commit.Author, err = signature("author", in.Author, now); err != nil {
		return nil, err
	}
	commit.Committer, err = signature("committer", in.Committer, now)
	return commit, err
}

// unkeep takes the hidden ref of a change away, if it names that commit: another
// ref of the same write leads to it.
func (d *changeDraft) unkeep(id git.ChangeID, commit git.ObjectID) {
	name := odb.ChangeRef(id)
	if ref, ok := d.Ref(name); ok && ref.Target == commit {
		d.move(name, git.ObjectID{})
	}
}

// keep gives a commit a hidden ref: a branch that led to it goes elsewhere.
func (d *changeDraft) keep(ctx context.Context, commit git.ObjectID) error {
	id, err := d.idOf(ctx, commit)
	if err != nil {
		return err
	}
	d.move(odb.ChangeRef(id), commit)
	return nil
}

// ChangeUpdate says what to change of a change. What is nil or zero stays.
type ChangeUpdate struct {
	Message   *string // empty: none
	Author    Identity
	Committer Identity
	Files     []ChangeFile
	// Resolutions resolve conflicts, not necessarily all.
	Resolutions []Resolution
	// Expected guards the change: the id of its present commit. Empty means no
	// guard.
	Expected string
}

// UpdateChange gives a change another commit. The commits after it are made
// again on that, and the bookmarks and hidden refs of all of them move along, in
// one write.
func (s *Service) UpdateChange(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, id git.ChangeID, in ChangeUpdate) (Change, error) {
	if len(in.Files) > 0 && len(in.Resolutions) > 0 {
		return Change{}, cairn.Errorf(cairn.Invalid, "give files or resolutions, not both")
	}
	if err := checkResolutions(in.Resolutions); err != nil {
		return Change{}, err
	}
	return s.writeChange(ctx, who, repo, func(ctx context.Context, d *changeDraft) (git.ObjectID, error) {
		return d.amend(ctx, id, in)
	})
}

// amend makes the next commit of a change, and those after it.
func (d *changeDraft) amend(ctx context.Context, id git.ChangeID, in ChangeUpdate) (git.ObjectID, error) {
	old, err := d.find(ctx, id)
	if err != nil {
		return old, err
	}
	expected, guarded, err := parseGuard(in.Expected, d.Repository().Format)
	if err != nil {
		return old, err
	}
	if guarded && expected != old {
		return old, cairn.Errorf(cairn.Conflict, "change %s is at commit %s, not at %s", id, old, expected)
	}
	present, err := d.FullCommit(ctx, old)
	if err != nil {
		return old, err
	}
	commit, err := d.amended(present, in)
	if err != nil {
		return old, err
	}
	trees, err := d.treesOf(ctx, old)
	if err != nil {
		return old, err
	}
	if trees, err = d.amendTrees(ctx, trees, in); err != nil {
		return old, err
	}
	d.noteOld(id, old, present)
	made, err := d.put(ctx, id, old, commit, trees)
	if err != nil {
		return made, err
	}
	d.alone = true
	return made, d.replace(ctx, old, made)
}

// noteOld notes a commit that is replaced, so that the evolution has it too: it
// may not tell its change itself.
func (d *changeDraft) noteOld(id git.ChangeID, old git.ObjectID, commit *git.Commit) {
	if _, told, _ := commit.ChangeID(); !told {
		d.notes = append(d.notes, cairn.ChangeCommit{Change: id, Commit: old, At: commit.Committer.When.UTC()})
	}
}

// rewritten is a copy of a commit in UTF-8, made now.
func (d *changeDraft) rewritten(present *git.Commit) *git.Commit {
	commit := *present
	commit.Message = present.UTF8(present.Message)
	for _, s := range []*git.Signature{&commit.Author, &commit.Committer} {
		s.Name, s.Email = present.UTF8(s.Name), present.UTF8(s.Email)
	}
	commit.Encoding = ""
	commit.Extra = slices.Clone(present.Extra)
	commit.Parents = slices.Clone(present.Parents)
	commit.Committer.When = d.service.now().UTC()
	return &commit
}

// amended is the commit with other words.
func (d *changeDraft) amended(present *git.Commit, in ChangeUpdate) (*git.Commit, error) {
	commit := d.rewritten(present)
	var err error
	if in.Message != nil {
		if commit.Message, err = changeMessage(*in.Message); err != nil {
			return nil, err
		}
	}
	now := d.service.now()
	if in.Author != (Identity{}) {
		if in.Author.When.IsZero() {
			in.Author.When = present.Author.When
		}
		if commit.Author, err = signature("author", in.Author, now); err != nil {
			return nil, err
		}
	}
	if in.Committer != (Identity{}) {
		commit.Committer, err = signature("committer", in.Committer, now)
	}
	return commit, err
}

// amendTrees is what a change has after an update.
func (d *changeDraft) amendTrees(ctx context.Context, trees []term, in ChangeUpdate) ([]term, error) {
	conflicts, err := d.conflicts(ctx, trees)
	switch {
	case err != nil:
		return nil, err
	case len(in.Resolutions) > 0:
		return d.resolve(ctx, trees, conflicts, in.Resolutions)
	case len(conflicts) > 0:
		return nil, cairn.Errorf(cairn.Conflict, "%w: resolve it first", &ConflictError{Paths: conflictPaths(conflicts)})
	case len(in.Files) == 0:
		return trees, nil
	}
	changes, err := d.checkFiles(ctx, in.Files)
	if err != nil {
		return nil, err
	}
	return d.edit(ctx, trees, changes)
}

// resolve settles conflicted paths in all terms.
func (d *changeDraft) resolve(ctx context.Context, trees []term, conflicts []pathConflict, list []Resolution) ([]term, error) {
	var settled []odb.TreeChange
	for _, r := range list {
		i := slices.IndexFunc(conflicts, func(c pathConflict) bool { return c.Path == r.Path })
		if i < 0 {
			return nil, cairn.Errorf(cairn.Conflict, "%q is not in conflict", cairn.Clip(r.Path))
		}
		entry, err := r.resolve(ctx, d, conflicts[i], func(_ git.ObjectType, data []byte) (git.ObjectID, error) { return d.addBlob(r.Path, data) })
		if err != nil {
			return nil, err
		}
		settled = append(settled, odb.TreeChange{Path: r.Path, Mode: entry.Mode, ID: entry.ID, Delete: entry.Mode == 0})
	}
	return d.edit(ctx, trees, settled)
}

const (
	// maxDescendants is how many commits are made again after one that is
	// amended, and maxAfter how many are looked at to find them.
	maxDescendants = 1000
	maxAfter       = 20_000
)

// replace makes the commits after an amended one again, and moves all refs that
// name any of them. If none did, the new commit is kept by a hidden ref.
func (d *changeDraft) replace(ctx context.Context, old, made git.ObjectID) error {
	moved := map[git.ObjectID]git.ObjectID{old: made}
	tips := d.movable()
	after, err := d.descendants(ctx, old, tips)
	if err != nil {
		return err
	}
	for _, id := range after {
		if moved[id], err = d.rebase(ctx, id, moved); err != nil {
			return err
		}
	}
	found := false
	for _, ref := range tips {
		if to, ok := moved[ref.Target]; ok {
			d.move(ref.Name, to)
			found = true
		}
	}
	if !found {
		return d.keep(ctx, made)
	}
	return nil
}

// movable are the refs that follow their changes: bookmarks and hidden ones.
func (d *changeDraft) movable() []cairn.Ref {
	return slices.Concat(d.RefsBelow(git.BranchPrefix), d.RefsBelow(odb.ChangePrefix))
}

// descendants returns the commits after one that the refs lead to, parents
// first.
func (d *changeDraft) descendants(ctx context.Context, of git.ObjectID, refs []cairn.Ref) ([]git.ObjectID, error) {
	var tips []git.ObjectID
	seen := map[git.ObjectID]bool{of: true}
	for _, ref := range refs {
		if seen[ref.Target] {
			continue
		}
		seen[ref.Target] = true
		tip, err := d.Snapshot.PeelToCommit(ctx, ref.Target)
		if err != nil {
			if err := noHistory(err); err != nil {
				return nil, err
			}
			continue
		}
		after, err := graph.IsAncestor(ctx, d.Snapshot, of, tip)
		if err != nil {
			return nil, err
		}
		if after {
			tips = append(tips, tip)
		}
	}
	if len(tips) == 0 {
		return nil, nil
	}
	if err := admission.Enter(ctx, admission.Merge); err != nil {
		return nil, err
	}
	return d.between(ctx, of, tips)
}

// between returns the commits that descend from one and lead to the tips,
// parents first.
func (d *changeDraft) between(ctx context.Context, of git.ObjectID, tips []git.ObjectID) ([]git.ObjectID, error) {
	type commit struct {
		id      git.ObjectID
		parents []git.ObjectID
	}
	tooMany := cairn.Errorf(cairn.TooLarge, "more than %d commits come after the change: they would all have to be made again", maxDescendants)
	var all []commit
	walk := graph.NewWalk(d.Snapshot, tips, []git.ObjectID{of}, graph.Topological)
	for {
		id, links, more, err := walk.Next(ctx)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if all = append(all, commit{id, links.Parents}); len(all) > maxAfter {
			return nil, tooMany
		}
	}
	after := map[git.ObjectID]bool{of: true}
	var found []git.ObjectID
	for _, c := range slices.Backward(all) {
		if slices.ContainsFunc(c.parents, func(p git.ObjectID) bool { return after[p] }) {
			after[c.id] = true
			if found = append(found, c.id); len(found) > maxDescendants {
				return nil, tooMany
			}
		}
	}
	return found, nil
}

// rebase makes a commit again on what its parents became: what it was, plus
// what they are, minus what they were.
func (d *changeDraft) rebase(ctx context.Context, id git.ObjectID, moved map[git.ObjectID]git.ObjectID) (git.ObjectID, error) {
	present, err := d.FullCommit(ctx, id)
	if err != nil {
		return id, err
	}
	commit := d.rewritten(present)
	trees, err := d.treesOf(ctx, id)
	if err != nil {
		return id, err
	}
	if len(trees) == 1 {
		trees[0].label = "rebased revision"
	}
	for i, parent := range present.Parents {
		if to, ok := moved[parent]; ok {
			commit.Parents[i] = to
		}
	}
	was, err := d.together(ctx, present.Parents, "parents of rebased revision")
	if err != nil {
		return id, err
	}
	is, err := d.together(ctx, commit.Parents, "rebase destination")
	if err != nil {
		return id, err
	}
	if trees, err = d.sum(ctx, diff.Flatten(is, was, trees)); err != nil {
		return id, err
	}
	change := git.ChangeIDOf(id, present)
	d.noteOld(change, id, present)
	return d.put(ctx, change, id, commit, trees)
}

// together returns what commits have together, with a label if that is a single
// tree.
func (d *changeDraft) together(ctx context.Context, commits []git.ObjectID, label string) ([]term, error) {
	terms, err := d.merged(ctx, commits)
	if err == nil && len(commits) > 1 {
		terms, err = d.sum(ctx, terms)
	}
	if err == nil && len(terms) == 1 {
		terms[0].label = label
	}
	return terms, err
}

// merged returns the sum of trees that a merge of commits is, with a label each
// as far as they are given.
func (d *changeDraft) merged(ctx context.Context, commits []git.ObjectID, labels ...string) ([]term, error) {
	sum, err := d.mergedCommits(ctx, commits, 0)
	if err != nil {
		return nil, err
	}
	trees := make([][]term, len(sum))
	for i, commit := range sum {
		if trees[i], err = d.treesOf(ctx, commit); err != nil {
			return nil, err
		}
		if i < len(labels) && len(trees[i]) == 1 {
			trees[i][0].label = labels[i]
		}
	}
	return diff.Flatten(trees...), nil
}

// mergedCommits returns the sum of commits that a merge is: each commit brings
// in what it has beyond its merge base with those before it. Several merge bases
// are merged for one themselves; none is the virtual root.
func (d *changeDraft) mergedCommits(ctx context.Context, commits []git.ObjectID, depth int) ([]git.ObjectID, error) {
	if depth > git.MaxConflictTerms {
		return nil, cairn.Errorf(cairn.TooLarge, "the merge bases would have to be merged more than %d times", depth)
	}
	if len(commits) == 0 {
		return []git.ObjectID{{}}, nil
	}
	sum := commits[:1]
	for i, next := range commits[1:] {
		bases, err := graph.MergeBases(ctx, d, next, commits[:i+1]...)
		if err != nil {
			return nil, err
		}
		base, err := d.mergedCommits(ctx, bases, depth+1)
		if err != nil {
			return nil, err
		}
		sum = diff.Flatten(sum, base, []git.ObjectID{next})
	}
	return sum, nil
}
