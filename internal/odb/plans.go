package odb

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/git"
)

// planCache keeps what full clones of one state of a repository consist of:
// fleets clone the same thing, often at the same moment. It holds no bytes of
// objects, only a bit for each. What may be asked for has been decided before:
// the same selection gives the same objects to everybody.
type planCache struct {
	mu    sync.Mutex
	plans map[selectionKey]*cachedPlan
}

// maxPlans bounds the plans of one snapshot. Beyond it the cache starts anew.
const maxPlans = 16

// cachedPlan is a plan that is being made or was made.
type cachedPlan struct {
	ready   chan struct{} // closed when the rest is set
	objects *sharedPlan   // nil if it could not be made
}

// sharedPlan is the plan of identical clones, and the checksum of the pack that
// they get, once one was sent to its end: the bytes are the same each time, so
// that nobody needs to hash them again.
type sharedPlan struct {
	plan     PackPlan
	checksum atomic.Pointer[[]byte] // of the pack with deltas by offset
}

// get returns the plan of that key. The first who asks makes it while the
// others wait; if that fails, perhaps because its client left, the next one
// does.
func (c *planCache) get(ctx context.Context, key selectionKey, plan func() (*sharedPlan, error)) (*sharedPlan, error) {
	for {
		p, mine := c.enter(key)
		if mine {
			objects, err := plan()
			c.leave(key, p, objects)
			return objects, err
		}
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
		if p.objects != nil {
			return p.objects, nil
		}
	}
}

// wait waits for whoever makes the plan, who may need a slot for work to go on.
func (p *cachedPlan) wait(ctx context.Context) error {
	regain := admission.Lend(ctx)
	select {
	case <-p.ready:
	case <-ctx.Done():
	}
	if err := regain(); err != nil {
		return err
	}
	return ctx.Err()
}

func (c *planCache) enter(key selectionKey) (p *cachedPlan, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.plans[key]; ok {
		return p, false
	}
	if c.plans == nil || len(c.plans) >= maxPlans {
		c.plans = map[selectionKey]*cachedPlan{}
	}
	p = &cachedPlan{ready: make(chan struct{})}
	c.plans[key] = p
	return p, true
}

func (c *planCache) leave(key selectionKey, p *cachedPlan, objects *sharedPlan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.objects = objects; objects == nil && c.plans[key] == p {
		delete(c.plans, key)
	}
	close(p.ready)
}

// selectionKey names everything that the objects of a selection without haves
// depend on.
type selectionKey [sha256.Size]byte

func (s selection) key() selectionKey {
	h := sha256.New()
	for _, ids := range [][]git.ObjectID{s.wants, s.roots, s.tags} {
		ids = slices.Clone(ids)
		slices.SortFunc(ids, git.ObjectID.Compare)
		ids = slices.Compact(ids)
		fmt.Fprintf(h, "%d ", len(ids)) // so that no list can run into the next
		for _, id := range ids {
			h.Write(id.Bytes())
		}
	}
	fmt.Fprint(h, s.filter)
	return selectionKey(h.Sum(nil))
}

// isCut tells whether a clone gets less than all that its wants lead to.
func (s selection) isCut() bool { return len(s.roots) > 0 || !s.filter.IsZero() }

// planned is plan, out of the cache where that can be.
func (sn *Snapshot) planned(ctx context.Context, s selection, progress func(string)) (*PackPlan, error) {
	if len(s.haves) > 0 || s.isCut() && !s.isStored() {
		return sn.plan(ctx, s, progress)
	}
	shared, err := sn.plans.get(ctx, s.key(), func() (*sharedPlan, error) {
		p, err := sn.plan(ctx, s, progress)
		if err != nil {
			return nil, err
		}
		p.has = nil // there is nothing that the client has
		shared := &sharedPlan{plan: *p}
		if p.checksum != nil {
			shared.checksum.Store(&p.checksum)
		}
		return shared, nil
	})
	if err != nil {
		return nil, err
	}
	p := shared.plan
	p.shared = shared
	return &p, nil
}
