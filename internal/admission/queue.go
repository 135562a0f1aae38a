package admission

import (
	"container/list"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// waiter is a request in the queue of its tenant.
type waiter struct {
	request *Request
	queue   *list.List
	place   *list.Element // nil once it is out of the queue
	ready   chan struct{} // closed when it has a slot, or err
	err     error
}

// Everything here is called with Gate.mu held.

func (g *Gate) enqueue(r *Request, queue *list.List) *waiter {
	w := &waiter{request: r, queue: queue, ready: make(chan struct{})}
	w.place = queue.PushBack(w)
	r.waiters = append(r.waiters, w)
	if t := r.tenant; t.turn == nil {
		t.turn = g.turns.PushBack(t)
	}
	return w
}

// dequeue takes a waiter out of its queue, if it is still in it.
func (g *Gate) dequeue(w *waiter) {
	if w.place == nil {
		return
	}
	w.queue.Remove(w.place)
	w.place = nil
	w.request.waiters = slices.DeleteFunc(w.request.waiters, func(other *waiter) bool { return other == w })
	if t := w.request.tenant; t.back.Len()+t.fresh.Len() == 0 {
		g.turns.Remove(t.turn)
		t.turn = nil
	}
}

// admit gives the free slots to those who wait. It is called after every
// change, so that nobody waits who need not: neither while a slot is free nor
// while another goroutine of the same request has it.
func (g *Gate) admit() {
	for g.used < g.options.Slots {
		w := g.next()
		if w == nil {
			return
		}
		r := w.request
		r.take()
		for _, w := range slices.Clone(r.waiters) {
			g.dequeue(w)
			close(w.ready)
		}
		if turn := r.tenant.turn; turn != nil {
			g.turns.MoveToBack(turn)
		}
	}
}

// next is who gets the next slot: of the tenants below their share the one
// whose turn it is, and of its requests first one that has begun already. At
// most Slots/TenantSlots tenants are passed over.
func (g *Gate) next() *waiter {
	for e := g.turns.Front(); e != nil; e = e.Next() {
		t := e.Value.(*tenant)
		if t.used >= g.options.TenantSlots {
			continue
		}
		if first := t.back.Front(); first != nil {
			return first.Value.(*waiter)
		}
		return t.fresh.Front().Value.(*waiter)
	}
	return nil
}

// take gives the request a slot.
func (r *Request) take() {
	c := r.gate.classes[r.class]
	if r.slot == lent {
		c.Lent--
	}
	c.Working++
	r.slot, r.granted = holds, time.Now()
	r.gate.used++
	r.tenant.used++
}

// giveBack takes the slot from the request.
func (r *Request) giveBack() {
	r.worked += time.Since(r.granted)
	r.gate.classes[r.class].Working--
	r.gate.used--
	r.tenant.used--
}

// full refuses who cannot even wait.
func (g *Gate) full(t *tenant) error {
	switch {
	case g.stopping:
		return errStopping()
	case t.fresh.Len() >= g.options.Queue:
		return g.busy(t)
	}
	return nil
}

// outcome is whose fault it is that the tenant gets no slot.
func (g *Gate) outcome(t *tenant) Outcome {
	switch {
	case g.stopping:
		return Stopping
	case t.used >= g.options.TenantSlots || t.fresh.Len() >= g.options.Queue:
		return TenantFull
	}
	return NodeFull
}

// busy refuses who got no slot.
func (g *Gate) busy(t *tenant) error {
	waiting := t.fresh.Len()
	if g.outcome(t) == TenantFull {
		return refuse(cairn.RateLimited, g.after(waiting, g.options.TenantSlots),
			"the organization has %d heavy operations at work and %d waiting (organization-work-slots, work-queue)", t.used, waiting)
	}
	return refuse(cairn.Unavailable, g.after(waiting, g.options.Slots),
		"the server has %d heavy operations at work (work-slots) and no slot became free in time (work-wait)", g.used)
}

// Bounds of the time after which to try again.
const (
	minAfter = time.Second
	maxAfter = time.Minute
)

// after guesses when those who wait now will be done.
func (g *Gate) after(waiting, slots int) time.Duration {
	guess := g.held * time.Duration(waiting+1) / time.Duration(slots)
	return min(maxAfter, max(minAfter, guess.Round(time.Second)))
}

// note smooths over how long slots are held.
func (g *Gate) note(worked time.Duration) { g.held += (worked - g.held) / 8 }
