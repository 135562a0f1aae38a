// Package admission decides how much is under way at a time. It counts two
// things, each for the whole process and for every tenant: requests, which are
// cheap to hold and only bounded, and work slots, for which heavy operations
// queue. Slots are for what computes: a request lends its slot while it waits
// for its client, so that slow clients hold memory and a connection but no
// slot. Free slots go round the tenants that wait, one each and turn, so that
// a tenant with a long queue does not hold up one with a short queue. The
// package knows neither HTTP nor what the work is; what it knows of a request
// travels in the request's context.
package admission

import (
	"container/list"
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Class is a kind of heavy operation. It names the operation to operators and
// has no say in the order.
type Class string

// The classes of heavy operations.
const (
	Fetch   Class = "fetch"   // a pack for a Git client: negotiation, plan, sending
	Push    Class = "push"    // a pack from a Git client: receiving and checking it
	Commit  Class = "commit"  // a large commit through the API
	Diff    Class = "diff"    // a diff of commits or branches
	History Class = "history" // a search of history for a path
	List    Class = "list"    // a listing of files in depth
	Check   Class = "check"   // a check of a whole repository
	Merge   Class = "merge"   // a merge, or its preview
	Patch   Class = "patch"   // a patch that git applies
)

// Classes are all classes.
var Classes = []Class{Fetch, Push, Commit, Diff, History, List, Check, Merge, Patch}

// Outcome is how a wait for a slot ended.
type Outcome string

// The outcomes of a wait.
const (
	Admitted   Outcome = "admitted"
	TenantFull Outcome = "tenant" // refused: the tenant has its share already
	NodeFull   Outcome = "node"   // refused: others have all slots
	Stopping   Outcome = "stopping"
	Left       Outcome = "left" // the caller went away meanwhile
)

// Options are the sizes of a Gate. A zero field means its default.
type Options struct {
	Requests       int // under way in the whole process; default 2,048
	TenantRequests int // of them, of one tenant; default half of them
	Slots          int // operations that compute at a time; default two for each CPU, at least 4
	TenantSlots    int // of them, of one tenant; default three quarters of them
	Queue          int // operations of one tenant that wait for their first slot; default 256
	// Wait is the longest wait for a first slot; default 1 minute.
	Wait time.Duration
	// Observe is told how each wait for a first slot ended; nil is fine. It
	// must not block.
	Observe func(Class, Outcome, time.Duration)
}

func (o Options) withDefaults() Options {
	set(&o.Requests, 2048)
	set(&o.TenantRequests, max(1, o.Requests/2))
	set(&o.Slots, max(4, 2*runtime.GOMAXPROCS(0)))
	set(&o.TenantSlots, max(1, o.Slots*3/4))
	set(&o.Queue, 256)
	set(&o.Wait, time.Minute)
	if o.Observe == nil {
		o.Observe = func(Class, Outcome, time.Duration) {}
	}
	return o
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Gate counts what is under way. It is safe for concurrent use.
type Gate struct {
	options Options

	mu       sync.Mutex
	requests int
	used     int // slots
	tenants  map[string]*tenant
	turns    list.List // of *tenant: those with a queue, whose turn it is first
	classes  map[Class]*ClassStats
	held     time.Duration // for how long a slot is held, smoothed
	stopping bool
}

// tenant is what one tenant has under way. It exists while it has requests.
type tenant struct {
	name     string
	requests int
	used     int           // slots
	back     list.List     // of *waiter: those who lent their slot and are ready to go on
	fresh    list.List     // of *waiter: those who have not begun
	turn     *list.Element // in Gate.turns while somebody waits
}

// New returns a Gate of those sizes.
func New(o Options) *Gate {
	g := &Gate{options: o.withDefaults(), tenants: map[string]*tenant{}, classes: map[Class]*ClassStats{}}
	for _, c := range Classes {
		g.classes[c] = &ClassStats{}
	}
	return g
}

// ClassStats is what operations of a class do at the moment.
type ClassStats struct {
	Working int // hold a slot
	Waiting int // for their first slot
	Lent    int // wait for their client, or to go on after it
}

// Stats is the state of a Gate.
type Stats struct {
	Requests int
	Slots    int // in use
	Classes  map[Class]ClassStats
}

// Stats returns the present state.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Stats{Requests: g.requests, Slots: g.used, Classes: make(map[Class]ClassStats, len(g.classes))}
	for name, c := range g.classes {
		s.Classes[name] = *c
	}
	return s
}

// Arrive counts a request and returns the context under which it is carried
// out. Whoever called it calls Request.Leave at the end. It returns Unavailable
// if too many requests are under way.
func (g *Gate) Arrive(ctx context.Context) (context.Context, *Request, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.requests >= g.options.Requests {
		return ctx, nil, refuse(cairn.Unavailable, time.Second, "the server carries out %d requests already (max-requests)", g.options.Requests)
	}
	g.requests++
	r := &Request{gate: g}
	return context.WithValue(ctx, requestKey{}, r), r, nil
}

// Stop refuses everybody who waits for a first slot, and who asks for one
// later. Who has a slot, or lent it, goes on.
func (g *Gate) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopping = true
	for e := g.turns.Front(); e != nil; {
		t := e.Value.(*tenant)
		e = e.Next()
		for f := t.fresh.Front(); f != nil; f = t.fresh.Front() {
			w := f.Value.(*waiter)
			w.err = errStopping()
			g.dequeue(w)
			close(w.ready)
		}
	}
}

func errStopping() error {
	return refuse(cairn.Unavailable, 5*time.Second, "the server is stopping")
}

// Refused is in the chain of the error for what cannot be admitted now.
type Refused struct {
	// After is when to try again.
	After time.Duration
}

// Error says so.
func (r *Refused) Error() string { return "try again in " + r.After.String() }

func refuse(kind cairn.Kind, after time.Duration, format string, args ...any) error {
	return cairn.Errorf(kind, format+"; %w", append(args, &Refused{after})...)
}

// RetryAfter returns when to try again what was refused.
func RetryAfter(err error) (time.Duration, bool) {
	var r *Refused
	if errors.As(err, &r) {
		return r.After, true
	}
	return 0, false
}
