package odb

import (
	"context"
	"fmt"

	"github.com/cairn-storage/cairn/internal/git"
)

// connectivity follows what a received pack leads to. What lies in the pack is
// followed; what does not must be reachable in the repository. Most of that is
// known without asking: a tree entry that a parent commit has too, at the same
// path, is as good as the parent, which was asked about, or lies in the pack
// and was followed before. Parents come first: else two commits could vouch for
// each other's missing objects.
type connectivity struct {
	q     *Quarantine
	read  objectReader
	seen  *objectSet // of the pack: followed, as part of a tip that is connected or of the present one
	blobs *objectSet // the same for what is known to be a blob
	since []place    // in either set since the present tip was begun
	steps int
}

// inPack is the pack's place among those of the quarantine.
const inPack = 0

func newConnectivity(q *Quarantine) *connectivity {
	return &connectivity{
		q:     q,
		read:  newObjectReader(q.Snapshot, q.received.Objects < 1000),
		seen:  newObjectSet(q.Snapshot),
		blobs: newObjectSet(q.Snapshot),
	}
}

func notConnected(id git.ObjectID, why string) error {
	return fmt.Errorf("%w: object %s %s", ErrMissingObjects, id, why)
}

// tip follows one object. If it is not connected, what was seen on the way is
// forgotten: it may have led to what is missing.
func (c *connectivity) tip(ctx context.Context, id git.ObjectID) error {
	c.since = c.since[:0]
	err := c.follow(ctx, id)
	if err != nil {
		for _, at := range c.since {
			c.seen.remove(at)
			c.blobs.remove(at)
		}
	}
	return err
}

// see tells whether an object is new to a set.
func (c *connectivity) see(set *objectSet, at place) bool {
	if !set.add(at) {
		return false
	}
	c.since = append(c.since, at)
	return true
}

func (c *connectivity) follow(ctx context.Context, id git.ObjectID) error {
	var want git.ObjectType // as the tag before says
	for range maxTagDepth {
		at, ok := c.q.place(id)
		if !ok {
			return notConnected(id, "is missing")
		}
		if at.pack != inPack {
			return c.ask(ctx, id, want)
		}
		t, err := c.read.objectType(at)
		if err != nil {
			return err
		}
		if want != 0 && t != want {
			return misnamed(id, t, want)
		}
		switch t {
		case git.CommitObject:
			return c.commits(ctx, at)
		case git.TreeObject:
			return c.tree(ctx, id, nil, 0)
		case git.BlobObject:
			return nil
		}
		data, err := c.read.object(at, git.TagObject)
		if err != nil {
			return err
		}
		tag, err := git.ParseTag(c.q.format(), data)
		if err != nil {
			return err
		}
		id, want = tag.Target, tag.Type
	}
	return notConnected(id, "is named by a chain of too many tags")
}

// ask requires that an object is reachable in the repository, as a type if one
// is given.
func (c *connectivity) ask(ctx context.Context, id git.ObjectID, t git.ObjectType) error {
	ok, err := c.q.before.Reachable(ctx, FullView, id)
	if err != nil {
		return err
	}
	if !ok {
		return notConnected(id, "is missing")
	}
	if t == 0 {
		return nil
	}
	is, _, err := c.q.before.Header(ctx, id)
	if err == nil && is != t {
		err = misnamed(id, is, t)
	}
	return err
}

// commits follows a commit of the pack and its history.
func (c *connectivity) commits(ctx context.Context, start place) error {
	var h history
	h.enter(start)
	for {
		at, leaving, ok := h.next()
		if !ok {
			return nil
		}
		if err := c.step(ctx); err != nil {
			return err
		}
		if !leaving && !c.see(c.seen, at) {
			continue
		}
		links, err := c.links(at)
		if err != nil {
			return err
		}
		if leaving {
			err = c.commit(ctx, links)
		} else {
			h.leave(at)
			err = c.parents(ctx, links, &h)
		}
		if err != nil {
			return err
		}
	}
}

// parents asks about the parents of a commit, or enters them.
func (c *connectivity) parents(ctx context.Context, links git.CommitLinks, h *history) error {
	for _, id := range links.Parents {
		at, ok := c.q.place(id)
		if !ok {
			return notConnected(id, "is missing")
		}
		if at.pack == inPack {
			if !c.seen.has(at) {
				h.enter(at)
			}
			continue
		}
		if err := c.ask(ctx, id, git.CommitObject); err != nil {
			return err
		}
	}
	return nil
}

// commit follows the tree of a commit, whose parents were followed before.
func (c *connectivity) commit(ctx context.Context, links git.CommitLinks) error {
	var bases []base
	for _, id := range links.Parents[:min(len(links.Parents), maxBases)] {
		at, ok := c.q.place(id)
		if !ok {
			return notConnected(id, "is missing")
		}
		parent, err := c.links(at)
		if err != nil {
			return err
		}
		if parent.Tree == links.Tree {
			return nil
		}
		b, ok, err := c.base(parent.Tree)
		if err != nil {
			return err
		}
		if ok {
			bases = append(bases, b)
		}
	}
	return c.tree(ctx, links.Tree, bases, 0)
}

// typed reads an object that is named as one of that type.
func (c *connectivity) typed(at place, t git.ObjectType) ([]byte, error) {
	o, err := c.read.any(at)
	if err == nil && o.Type != t {
		err = misnamed(c.q.idAt(at), o.Type, t)
	}
	return o.Data, err
}

func misnamed(id git.ObjectID, is, named git.ObjectType) error {
	return notConnected(id, fmt.Sprintf("is a %s and named as a %s", is, named))
}

func (c *connectivity) links(at place) (git.CommitLinks, error) {
	data, err := c.typed(at, git.CommitObject)
	if err != nil {
		return git.CommitLinks{}, err
	}
	links, err := git.ParseCommitLinks(c.q.format(), data)
	if err != nil {
		return links, fmt.Errorf("commit %s: %w", c.q.idAt(at), err)
	}
	return links, nil
}

// base opens a tree of a parent. If it cannot be opened, the parent's own turn
// says why.
func (c *connectivity) base(id git.ObjectID) (base, bool, error) {
	at, ok := c.q.place(id)
	if !ok {
		return base{}, false, nil
	}
	o, err := c.read.any(at)
	if err != nil || o.Type != git.TreeObject {
		return base{}, false, err
	}
	b := base{reader: git.NewTreeReader(c.q.format(), o.Data)}
	b.more, err = b.reader.Next()
	return b, true, err
}

// tree follows a tree, but for what the bases have in the same place.
func (c *connectivity) tree(ctx context.Context, id git.ObjectID, bases []base, depth int) error {
	if depth > maxTreeDepth {
		return notConnected(id, fmt.Sprintf("is more than %d trees deep", maxTreeDepth))
	}
	at, ok := c.q.place(id)
	switch {
	case !ok && id == c.q.format().EmptyTree():
		return nil
	case !ok:
		return notConnected(id, "is missing")
	case at.pack != inPack:
		return c.ask(ctx, id, git.TreeObject)
	case !c.see(c.seen, at):
		return c.is(at, git.TreeObject)
	}
	if err := c.step(ctx); err != nil {
		return err
	}
	data, err := c.typed(at, git.TreeObject)
	if err != nil {
		return err
	}
	return eachDifference(c.q.format(), id, data, bases, func(r *git.TreeReader) error {
		if r.Mode.IsTree() {
			return c.subtree(ctx, r, bases, depth+1)
		}
		return c.blob(ctx, r.ID)
	})
}

func (c *connectivity) subtree(ctx context.Context, r *git.TreeReader, bases []base, depth int) error {
	var below []base
	for i := range bases {
		if !bases[i].isAt(r) {
			continue
		}
		b, ok, err := c.base(bases[i].reader.ID)
		if err != nil {
			return err
		}
		if ok {
			below = append(below, b)
		}
	}
	return c.tree(ctx, r.ID, below, depth)
}

func (c *connectivity) blob(ctx context.Context, id git.ObjectID) error {
	at, ok := c.q.place(id)
	switch {
	case !ok:
		return notConnected(id, "is missing")
	case at.pack != inPack:
		return c.ask(ctx, id, git.BlobObject)
	case !c.see(c.blobs, at):
		return nil
	}
	return c.is(at, git.BlobObject)
}

// is requires an object of the pack to have a type.
func (c *connectivity) is(at place, want git.ObjectType) error {
	t, err := c.read.objectType(at)
	if err == nil && t != want {
		err = misnamed(c.q.idAt(at), t, want)
	}
	return err
}

func (c *connectivity) step(ctx context.Context) error {
	if c.steps++; c.steps%256 == 0 {
		return ctx.Err()
	}
	return nil
}
