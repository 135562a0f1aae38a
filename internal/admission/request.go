package admission

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Request is a request under way; nil is one that is not counted. Its slot, if it has one, is its own until it
// leaves: what it has computed lies in memory until its client has it.
type Request struct {
	gate    *Gate
	entered atomic.Bool // it has had a slot

	// Guarded by Gate.mu.
	tenant  *tenant
	class   Class
	slot    slotState
	granted time.Time     // when it got the slot it holds
	worked  time.Duration // with slots that it gave back
	waiters []*waiter     // its goroutines that wait for the slot; none while it holds one

	waits    int           // of its goroutines for the client
	since    time.Time     // when the wait began that is timed; else zero
	patience time.Duration // left to wait with the slot held
	timer    *time.Timer
}

type slotState uint8

const (
	noSlot slotState = iota
	holds
	lent
)

type requestKey struct{}

func from(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// Claim says whose request the context is of. It returns RateLimited if that
// tenant has too many under way. The operator's requests are nobody's.
func Claim(ctx context.Context, name string) error {
	r := from(ctx)
	if r == nil {
		return nil
	}
	g := r.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.tenant != nil {
		return nil
	}
	if t := g.tenants[name]; t != nil && t.requests >= g.options.TenantRequests {
		return refuse(cairn.RateLimited, time.Second, "the organization has %d requests under way already (max-organization-requests)", t.requests)
	}
	r.join(name)
	return nil
}

func (r *Request) join(name string) {
	t := r.gate.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		r.gate.tenants[name] = t
	}
	t.requests++
	r.tenant = t
}

// Leave ends the request: it gives its slot back.
func (r *Request) Leave() {
	if r == nil {
		return
	}
	g := r.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	switch r.slot {
	case holds:
		r.giveBack()
		g.note(r.worked)
	case lent:
		g.classes[r.class].Lent--
	}
	r.slot = noSlot
	if t := r.tenant; t != nil {
		if t.requests--; t.requests == 0 {
			delete(g.tenants, t.name)
		}
	}
	g.requests--
	g.admit()
}

// Enter waits until the request of the context may do heavy work, and then
// holds a slot for it until the request ends. It returns RateLimited if the
// tenant has its share, Unavailable if the node is full or stops, each with a
// time in its chain (RetryAfter), or the context's error. A request has one
// slot: entering again changes nothing. Outside of a request nothing is
// counted.
func Enter(ctx context.Context, class Class) error {
	r := from(ctx)
	if r == nil {
		return nil
	}
	g := r.gate
	began := time.Now()
	g.mu.Lock()
	if r.slot != noSlot {
		g.mu.Unlock()
		return nil
	}
	if r.tenant == nil {
		r.join("")
	}
	r.class = class
	if err := g.full(r.tenant); err != nil {
		outcome := g.outcome(r.tenant)
		g.mu.Unlock()
		g.options.Observe(class, outcome, 0)
		return err
	}
	w := g.enqueue(r, &r.tenant.fresh)
	g.classes[class].Waiting++
	g.admit()
	g.mu.Unlock()
	outcome, err := r.await(ctx, w)
	g.options.Observe(class, outcome, time.Since(began))
	return err
}

// Full returns the error with which Enter would refuse the request of the
// context at once; nil if it would at least wait.
func Full(ctx context.Context) error {
	r := from(ctx)
	if r == nil {
		return nil
	}
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	if r.tenant == nil {
		return nil
	}
	return r.gate.full(r.tenant)
}

// await waits for a first slot as long as that may take.
func (r *Request) await(ctx context.Context, w *waiter) (Outcome, error) {
	g := r.gate
	limit := time.NewTimer(g.options.Wait)
	defer limit.Stop()
	select {
	case <-w.ready:
	default:
		select {
		case <-w.ready:
		case <-limit.C:
		case <-ctx.Done():
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.classes[r.class].Waiting--
	switch {
	case w.err != nil:
		return Stopping, w.err
	case w.place == nil:
		r.patience = maxPatience
		r.entered.Store(true)
		return Admitted, nil
	}
	g.dequeue(w)
	if ctx.Err() != nil {
		return Left, context.Cause(ctx)
	}
	return g.outcome(r.tenant), g.busy(r.tenant)
}

const (
	// maxPatience is how long a request may wait for its client with its slot
	// held, and keepUp the bytes a second by which a client earns it new
	// patience: who reads or writes faster than that keeps the slot, and the
	// slower the client, the smaller the part of the time that a slot is held
	// idle for it.
	maxPatience = 50 * time.Millisecond
	keepUp      = 4 << 20
)

// BeginWait is called before the request waits for its client. EndWait must
// follow.
func (r *Request) BeginWait() {
	if r == nil || !r.entered.Load() {
		return
	}
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	if r.waits++; r.waits > 1 || r.slot != holds {
		return
	}
	if r.patience <= 0 {
		r.lend()
		return
	}
	r.since = time.Now()
	if r.timer == nil {
		r.timer = time.AfterFunc(r.patience, r.outOfPatience)
	} else {
		r.timer.Reset(r.patience)
	}
}

func (r *Request) outOfPatience() {
	r.gate.mu.Lock()
	defer r.gate.mu.Unlock()
	if r.waits > 0 && r.slot == holds {
		r.lend()
	}
}

// EndWait is called when the client has sent or taken some bytes. If the slot
// was lent it waits for one to go on; its error is the context's.
func (r *Request) EndWait(ctx context.Context, moved int) error {
	if r == nil || !r.entered.Load() {
		return nil
	}
	g := r.gate
	g.mu.Lock()
	if r.waits == 0 { // it began before the request had a slot
		g.mu.Unlock()
		return nil
	}
	if r.waits--; r.waits > 0 {
		g.mu.Unlock()
		return nil
	}
	if !r.since.IsZero() {
		r.timer.Stop()
		r.patience -= time.Since(r.since)
		r.since = time.Time{}
	}
	r.patience = min(maxPatience, max(0, r.patience)+time.Duration(moved)*time.Second/keepUp)
	return r.regain(ctx)
}

// Lend gives the slot of the context's request to others while the request
// waits for something that another one does. Who waits with a slot for one who
// waits for a slot would wait forever. The function that it returns ends the
// wait as EndWait does.
func Lend(ctx context.Context) (regain func() error) {
	r := from(ctx)
	if r == nil || !r.entered.Load() {
		return func() error { return nil }
	}
	r.gate.mu.Lock()
	r.waits++
	if r.slot == holds {
		r.lend()
	}
	r.gate.mu.Unlock()
	return func() error { return r.EndWait(ctx, 0) }
}

func (r *Request) lend() {
	r.giveBack()
	r.slot = lent
	r.gate.classes[r.class].Lent++
	r.gate.admit()
}

// regain unlocks the Gate and waits until the request, if it lent its slot,
// has one again.
func (r *Request) regain(ctx context.Context) error {
	g := r.gate
	if r.slot != lent {
		g.mu.Unlock()
		return nil
	}
	w := g.enqueue(r, &r.tenant.back)
	g.admit()
	g.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place == nil {
		return nil
	}
	g.dequeue(w)
	return context.Cause(ctx)
}
