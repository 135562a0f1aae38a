package odb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// selection says which objects a pack is to hold: what the wants lead to and
// what the haves do not, in a history that is cut off at the roots.
type selection struct {
	wants  []git.ObjectID // of any type
	haves  []git.ObjectID // commits that the client has, with all that they lead to
	roots  []git.ObjectID // commits without parents, as far as this pack is concerned
	filter protocol.Filter
	tags   []git.ObjectID // annotated tags that come along with what they name
	thin   bool           // the client takes deltas against what it has
}

// PackPlan is a pack that is to be sent: which objects, and which of the others
// the client is known to have.
type PackPlan struct {
	sn       *Snapshot
	objects  *objectSet
	has      *objectSet  // what deltas may be made of; only if the client takes thin packs
	shared   *sharedPlan // what others who got the same plan share
	ofsDelta bool
	checksum []byte // of the pack with deltas by offset; nil if not known
}

// Len is the number of objects in the pack.
func (p *PackPlan) Len() int64 { return p.objects.len() }

// enumeration finds the objects of a selection. It compares each commit's tree
// with those of its parents and visits only what differs: the rest belongs to
// the parents, which are either the client's already, or were visited before.
// That parents come first is what makes it true that a tree that was seen once
// has been seen whole: else two commits could leave the same subtree to each
// other. Memory is a few bits for each object of the repository.
type enumeration struct {
	sn       *Snapshot
	filter   protocol.Filter
	seen     *objectSet // visited
	objects  *objectSet // to be sent; is seen itself unless the filter is by type
	has      *objectSet // of the client, as far as it was met
	thin     bool
	roots    map[git.ObjectID]struct{}
	named    map[place]bool // commits that are sent even if the filter is against commits
	stored   int            // packs, the first ones, that are sent as they are
	read     objectReader
	maxDepth int // of trees, by the filter; negative: no bound
	depths   map[place]int
	links    linkCache
	progress *counter
	entered  *objectSet // commits of a walk without haves
	listing  *listing   // nil unless the objects are wanted in order, with their paths
}

// plan finds out what to send. Progress is told on the way.
func (sn *Snapshot) plan(ctx context.Context, s selection, progress func(string)) (*PackPlan, error) {
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	base, err := sn.storedFor(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(base.packs) > 0 {
		sn = sn.ordered(base.packs)
	}
	e := newEnumeration(sn, s, progress)
	e.stored = len(base.packs)
	for i := range e.stored {
		e.objects.addAll(i)
		if e.seen != e.objects {
			e.seen.addAll(i)
		}
	}
	if e.stored > 0 {
		e.read = newObjectReader(sn, true)
	}
	if len(s.roots) > 0 {
		if err := e.markClient(ctx, s.haves); err != nil {
			return nil, err
		}
	}
	if err := e.run(ctx, s, base.tips); err != nil {
		return nil, err
	}
	if err := e.includeTags(ctx, s.tags); err != nil {
		return nil, err
	}
	e.progress.done(e.objects.len())
	p := &PackPlan{sn: sn, objects: e.objects}
	if e.thin {
		p.has = e.has
	}
	if e.stored > 0 && e.objects.packsOnly(e.stored) {
		p.checksum = base.checksum.Bytes()
	}
	return p, nil
}

// newEnumeration begins an enumeration of everything that is asked for.
func newEnumeration(sn *Snapshot, s selection, progress func(string)) *enumeration {
	e := &enumeration{
		sn:       sn,
		filter:   s.filter,
		objects:  newObjectSet(sn),
		has:      newObjectSet(sn),
		thin:     s.thin && s.filter.IsZero(), // with a filter a have says little of what the client has
		roots:    make(map[git.ObjectID]struct{}, len(s.roots)),
		links:    newLinkCache(len(s.haves) == 0),
		maxDepth: -1,
		progress: &counter{what: "Enumerating objects", tell: progress},
	}
	for _, id := range s.roots {
		e.roots[id] = struct{}{}
	}
	e.seen = e.objects
	if s.filter != (protocol.Filter{}) {
		e.seen = newObjectSet(sn)
		if depth, ok := s.filter.TreeDepth(); ok {
			e.maxDepth, e.depths = depth, map[place]int{}
		}
	}
	e.read = newObjectReader(sn, len(s.haves) > 0 || len(s.roots) > 0)
	return e
}

// run visits what the wants name, then the commits. What the tips lead to is
// planned already.
func (e *enumeration) run(ctx context.Context, s selection, tips []git.ObjectID) error {
	var commits []git.ObjectID
	for _, want := range s.wants {
		id, isCommit, err := e.want(ctx, want)
		if err != nil {
			return err
		}
		if isCommit {
			commits = append(commits, id)
		}
	}
	if len(s.haves) == 0 && len(tips) == 0 {
		return e.allCommits(ctx, commits)
	}
	if len(commits) == 0 {
		return nil
	}
	done, err := e.sn.commitsOf(ctx, tips)
	if err != nil {
		return err
	}
	return e.newCommits(ctx, commits, slices.Concat(s.haves, done))
}

// want plans an object that the client named, itself or by a tag, whatever the
// filter, and what it leads to. Of a commit it only returns the id.
func (e *enumeration) want(ctx context.Context, id git.ObjectID) (commit git.ObjectID, isCommit bool, err error) {
	for range maxTagDepth {
		at, ok := e.sn.place(id)
		if !ok {
			return commit, false, missing(id)
		}
		isStored := at.pack < e.stored
		if isStored && e.filter.IsZero() {
			return commit, false, nil
		}
		t, err := e.read.objectType(at)
		if err != nil {
			return commit, false, err
		}
		if isStored && t != git.TagObject { // which may name a blob
			return commit, false, nil
		}
		if t == git.CommitObject {
			if !e.filter.Includes(t) {
				if e.named == nil {
					e.named = map[place]bool{}
				}
				e.named[at] = true
			}
			return id, true, nil
		}
		if e.objects.add(at) {
			e.listing.add(at, t, nil)
		}
		switch t {
		case git.BlobObject:
			e.seen.add(at)
			return commit, false, nil
		case git.TreeObject:
			return commit, false, e.tree(ctx, id, at, 0, nil)
		}
		if id, err = e.tagTarget(at); err != nil {
			return commit, false, err
		}
	}
	return commit, false, fmt.Errorf("tag %s: a chain of more than %d tags", id, maxTagDepth)
}

func (e *enumeration) tagTarget(at place) (git.ObjectID, error) {
	data, err := e.read.object(at, git.TagObject)
	if err != nil {
		return git.ObjectID{}, err
	}
	tag, err := git.ParseTag(e.sn.format(), data)
	if err != nil {
		return git.ObjectID{}, fmt.Errorf("tag %s: %w", e.sn.idAt(at), err)
	}
	return tag.Target, nil
}

// errMissing is in the chain of the error for an object that a walk came to and
// no pack holds.
var errMissing = errors.New("repository is damaged")

func missing(id git.ObjectID) error {
	return fmt.Errorf("%w: object %s is missing", errMissing, id)
}

// markClient notes all objects of the client's own commits. Only for shallow
// clients: where history is cut off there is no parent to compare with.
func (e *enumeration) markClient(ctx context.Context, haves []git.ObjectID) error {
	if !e.filter.IsZero() {
		return nil
	}
	for _, id := range haves[:min(len(haves), maxClientTrees)] {
		at, ok := e.sn.place(id)
		if !ok {
			return missing(id)
		}
		links, err := e.commitLinks(id, at)
		if err != nil {
			return err
		}
		if err := e.markTree(ctx, links.Tree, 0); err != nil {
			return err
		}
	}
	return nil
}

func (e *enumeration) markTree(ctx context.Context, id git.ObjectID, depth int) error {
	if err := e.step(ctx); err != nil {
		return err
	}
	at, ok := e.sn.place(id)
	if !ok && id == e.sn.format().EmptyTree() {
		return nil
	}
	if !ok {
		return missing(id)
	}
	if depth > maxTreeDepth {
		return tooDeep(id)
	}
	if !e.has.add(at) {
		return nil
	}
	data, err := e.read.object(at, git.TreeObject)
	if err != nil {
		return err
	}
	for r := git.NewTreeReader(e.sn.format(), data); ; {
		more, err := r.Next()
		if err != nil || !more {
			return err
		}
		switch {
		case r.Mode.IsSubmodule():
		case r.Mode.IsTree():
			if err := e.markTree(ctx, r.ID, depth+1); err != nil {
				return err
			}
		default:
			if at, ok := e.sn.place(r.ID); ok {
				e.has.add(at)
			}
		}
	}
}

// includeTags plans the tags whose targets are planned.
func (e *enumeration) includeTags(ctx context.Context, tags []git.ObjectID) error {
	for _, id := range tags {
		if err := e.step(ctx); err != nil {
			return err
		}
		var chain []place
		for range maxTagDepth {
			at, ok := e.sn.place(id)
			if !ok {
				return missing(id)
			}
			t, err := e.read.objectType(at)
			if err != nil {
				return err
			}
			if t != git.TagObject {
				if e.objects.has(at) {
					for _, tag := range chain {
						e.objects.add(tag)
					}
				}
				break
			}
			chain = append(chain, at)
			if id, err = e.tagTarget(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// step looks up from the work now and then.
func (e *enumeration) step(ctx context.Context) error {
	if e.progress.tick() {
		e.progress.show(e.objects.len())
		return ctx.Err()
	}
	return nil
}
