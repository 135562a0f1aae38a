package odb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// Fetch is the answer to one request of a Git client, as far as it is known
// before the objects are looked at.
type Fetch struct {
	Answer      protocol.Answer
	PackFollows bool // PlanPack is due after the Answer

	sn       *Snapshot
	view     View
	request  *protocol.FetchRequest
	tips     map[git.ObjectID]struct{} // what the view's refs name
	wants    []git.ObjectID
	commits  []git.ObjectID // that the wants name, through tags
	haves    []git.ObjectID // the commits among the common ones
	boundary graph.Boundary
}

// Negotiate reads a request as the view allows: what is wanted must be
// reachable from the refs that it shows, and what the client has counts only
// if it is. Refusals are worded as git words them.
func (sn *Snapshot) Negotiate(ctx context.Context, view View, q *protocol.FetchRequest) (*Fetch, error) {
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	f := &Fetch{sn: sn, view: view, request: q}
	if q.IsEmpty() {
		return f, nil
	}
	if err := f.addWants(ctx); err != nil {
		return nil, err
	}
	if err := f.addHaves(ctx); err != nil {
		return nil, err
	}
	f.PackFollows = q.PackFollows(len(f.Answer.Common), f.Answer.Ready)
	if f.PackFollows || q.Version < 2 && q.Deepens() {
		if err := f.cut(ctx); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// reachable is Snapshot.Reachable with a short way for what a ref names.
func (f *Fetch) reachable(ctx context.Context, id git.ObjectID) (bool, error) {
	if f.tips == nil {
		f.tips = map[git.ObjectID]struct{}{}
		for _, r := range f.sn.Refs() {
			if f.view.Shows(r.Name) {
				f.tips[r.Target] = struct{}{}
			}
		}
	}
	if _, ok := f.tips[id]; ok {
		return true, nil
	}
	return f.sn.Reachable(ctx, f.view, id)
}

func (f *Fetch) addWants(ctx context.Context) error {
	seen := make(map[git.ObjectID]struct{}, len(f.request.Wants))
	for _, id := range f.request.Wants {
		if _, ok := seen[id]; ok {
			continue
		}
		seen[id] = struct{}{}
		ok, err := f.reachable(ctx, id)
		if err != nil {
			return err
		}
		if !ok {
			return cairn.Errorf(cairn.NotFound, "upload-pack: not our ref %s", id)
		}
		f.wants = append(f.wants, id)
	}
	for _, name := range f.request.WantRefs {
		ref, ok := f.sn.visibleRef(f.view, git.RefName(name))
		if !ok {
			return cairn.Errorf(cairn.NotFound, "unknown ref %s", cairn.Clip(name))
		}
		f.Answer.WantedRefs = append(f.Answer.WantedRefs, protocol.Ref{Name: git.RefName(name), ID: ref.Target})
		if _, ok := seen[ref.Target]; !ok {
			seen[ref.Target] = struct{}{}
			f.wants = append(f.wants, ref.Target)
		}
	}
	var err error
	f.commits, err = f.sn.commitsOf(ctx, f.wants)
	return err
}

// commitsOf returns the commits that ids name, through tags. Others are left
// out.
func (sn *Snapshot) commitsOf(ctx context.Context, ids []git.ObjectID) ([]git.ObjectID, error) {
	var commits []git.ObjectID
	for _, id := range ids {
		commit, err := sn.PeelToCommit(ctx, id)
		if err != nil {
			if isNoObject(err) {
				continue
			}
			return nil, err
		}
		commits = append(commits, commit)
	}
	return commits, nil
}

// visibleRef finds a ref by the name that clients of the view see.
func (sn *Snapshot) visibleRef(view View, name git.RefName) (cairn.Ref, bool) {
	if name == git.HEAD {
		name = sn.repo.DefaultBranch
	}
	stored := name
	if view == EphemeralView {
		stored = EphemeralRef(name)
	}
	if !view.Shows(stored) {
		return cairn.Ref{}, false
	}
	return sn.Ref(stored)
}

func (f *Fetch) addHaves(ctx context.Context) error {
	var err error
	f.Answer.Common, err = protocol.CommonHaves(f.request.Haves, func(id git.ObjectID) (bool, error) {
		if _, ok := f.sn.place(id); !ok {
			return false, nil
		}
		return f.reachable(ctx, id)
	})
	if err != nil {
		return err
	}
	if f.haves, err = f.sn.commitsOf(ctx, f.Answer.Common); err != nil {
		return err
	}
	if !f.request.Done && len(f.haves) > 0 {
		f.Answer.Ready, err = graph.AllReachAny(ctx, f.sn, f.commits, f.haves)
	}
	return err
}

// cut finds where the history of a shallow client ends.
func (f *Fetch) cut(ctx context.Context) error {
	client, err := f.clientRoots(ctx)
	if err != nil {
		return err
	}
	q := f.request
	cut := graph.Cut{Depth: q.Depth, Relative: q.DeepenRelative, Infinite: q.Depth >= protocol.InfiniteDepth, Since: q.DeepenSince}
	for _, name := range q.DeepenNot {
		id, err := f.deepenNot(ctx, name)
		if err != nil {
			return err
		}
		cut.Not = append(cut.Not, id)
	}
	if cut.IsZero() && len(client) == 0 {
		return nil
	}
	f.boundary, err = graph.Shallow(ctx, f.sn, f.commits, client, cut)
	if errors.Is(err, graph.ErrNothingSelected) {
		return cairn.Errorf(cairn.Invalid, "%w", err)
	}
	f.Answer.Shallow, f.Answer.Unshallow = f.boundary.Shallow, f.boundary.Unshallow
	return err
}

// clientRoots returns the client's shallow commits as far as they are commits
// of this view. Of the others nothing is said.
func (f *Fetch) clientRoots(ctx context.Context) ([]git.ObjectID, error) {
	var roots []git.ObjectID
	for _, id := range f.request.Shallow {
		ok, err := f.reachable(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if t, _, err := f.sn.Header(ctx, id); err != nil {
			return nil, err
		} else if t == git.CommitObject {
			roots = append(roots, id)
		}
	}
	return roots, nil
}

// deepenNot finds the commit of a ref that the client may have shortened.
func (f *Fetch) deepenNot(ctx context.Context, name string) (git.ObjectID, error) {
	for _, prefix := range []string{"", "refs/", git.TagPrefix, git.BranchPrefix} {
		if ref, ok := f.sn.visibleRef(f.view, git.RefName(prefix+name)); ok {
			id, err := f.sn.PeelToCommit(ctx, ref.Target)
			if isNoObject(err) {
				break
			}
			return id, err
		}
	}
	return git.ObjectID{}, cairn.Errorf(cairn.NotFound, "git upload-pack: deepen-not is not a ref: %s", cairn.Clip(name))
}

// PlanPack finds the objects of the pack that follows the Answer. Progress is
// told in git's words.
func (f *Fetch) PlanPack(ctx context.Context, progress func(string)) (*PackPlan, error) {
	p, err := f.sn.planned(ctx, f.selection(), progress)
	if err != nil {
		return nil, fmt.Errorf("plan a pack of %s: %w", f.sn.repo.Repository, err)
	}
	p.ofsDelta = f.request.OfsDelta
	return p, nil
}

// WritePack sends the pack that follows the Answer: one that another client
// got before, if it is kept.
func (f *Fetch) WritePack(ctx context.Context, w io.Writer, progress func(string)) error {
	write := func(ctx context.Context, w io.Writer, progress func(string)) error {
		p, err := f.PlanPack(ctx, progress)
		if err != nil {
			return err
		}
		return p.Write(ctx, w, progress)
	}
	s := f.selection()
	kept, err := f.isKept(ctx, s)
	if err != nil {
		return err
	}
	if !kept {
		return write(ctx, w, progress)
	}
	key := responseKey{f.sn.repo.RepositoryKey, s.key(), f.request.OfsDelta}
	return f.sn.store.responses.write(ctx, key, f.sn, write, w, progress)
}

// isKept tells whether the pack of a selection is one for the response cache.
// A whole clone is not: its bytes lie in packs already. Neither are objects
// that the client of a partial clone fetches one by one: each costs little, and
// they would push out what many share.
func (f *Fetch) isKept(ctx context.Context, s selection) (bool, error) {
	if f.sn.store.responses.limit <= 0 || len(s.haves) > 0 || !s.isCut() || len(f.commits) == 0 {
		return false, nil
	}
	base, err := f.sn.storedFor(ctx, s)
	return len(base.packs) == 0, err
}

func (f *Fetch) selection() selection {
	s := selection{
		wants:  slices.Concat(f.wants, f.boundary.Wants),
		haves:  f.haves,
		roots:  f.boundary.Roots,
		filter: f.request.Filter,
		thin:   f.request.ThinPack,
	}
	if f.request.IncludeTag {
		for _, r := range f.sn.Refs() {
			if name, ok := f.sn.nameIn(f.view, r.Name); ok && name.IsTag() {
				s.tags = append(s.tags, r.Target)
			}
		}
	}
	return s
}

// nameIn returns the name under which clients of the view see a stored ref.
func (sn *Snapshot) nameIn(view View, stored git.RefName) (git.RefName, bool) {
	if !view.Shows(stored) {
		return "", false
	}
	if view == EphemeralView {
		return git.RefName(strings.TrimPrefix(string(stored), EphemeralPrefix)), true
	}
	return stored, true
}

// Advertise returns the refs that a client of the view sees: HEAD, then by
// name. HEAD names the default branch, in the ephemeral view that of the
// namespace, and has no id if that does not exist. Annotated tags are peeled if
// asked for.
func (sn *Snapshot) Advertise(ctx context.Context, view View, peel bool, wanted func(git.RefName) bool) ([]protocol.Ref, error) {
	var refs []protocol.Ref
	if wanted(git.HEAD) {
		head := protocol.Ref{Name: git.HEAD, SymrefTarget: sn.repo.DefaultBranch}
		if ref, ok := sn.visibleRef(view, git.HEAD); ok {
			head.ID = ref.Target
		}
		refs = append(refs, head)
	}
	for _, r := range sn.Refs() {
		name, ok := sn.nameIn(view, r.Name)
		if !ok || !wanted(name) {
			continue
		}
		shown := protocol.Ref{Name: name, ID: r.Target}
		if peel && !name.IsBranch() {
			target, _, err := sn.Peel(ctx, r.Target)
			if err != nil {
				return nil, err
			}
			if target != r.Target {
				shown.Peeled = target
			}
		}
		refs = append(refs, shown)
	}
	return refs, nil
}
