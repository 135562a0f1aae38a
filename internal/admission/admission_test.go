package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// arrive begins a request of a tenant.
func arrive(t *testing.T, g *Gate, tenant string) (context.Context, *Request) {
	t.Helper()
	ctx, r, err := g.Arrive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := Claim(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	return ctx, r
}

// enter begins a request and gives it a slot.
func enter(t *testing.T, g *Gate, tenant string) (context.Context, *Request) {
	t.Helper()
	ctx, r := arrive(t, g, tenant)
	if err := Enter(ctx, Fetch); err != nil {
		t.Fatal(err)
	}
	return ctx, r
}

// empty checks that nothing is counted any more.
func empty(t *testing.T, g *Gate) {
	t.Helper()
	s := g.Stats()
	for class, c := range s.Classes {
		if c != (ClassStats{}) {
			t.Errorf("%s: %+v is left", class, c)
		}
	}
	if s.Requests != 0 || s.Slots != 0 || len(g.tenants) != 0 || g.turns.Len() != 0 {
		t.Errorf("left: %d requests, %d slots, %d tenants, %d turns", s.Requests, s.Slots, len(g.tenants), g.turns.Len())
	}
}

func TestRequestsAreBoundedForAllAndForEachTenant(t *testing.T) {
	t.Parallel()
	g := New(Options{Requests: 3, TenantRequests: 2})
	_, a1 := arrive(t, g, "a")
	_, a2 := arrive(t, g, "a")
	ctx, third, err := g.Arrive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := Claim(ctx, "a"); !errors.Is(err, cairn.RateLimited) {
		t.Errorf("a third request of the tenant: %v", err)
	}
	if err := Claim(ctx, "b"); err != nil {
		t.Errorf("a request of another tenant: %v", err)
	}
	_, _, err = g.Arrive(t.Context())
	if after, ok := RetryAfter(err); !errors.Is(err, cairn.Unavailable) || !ok || after < time.Second {
		t.Errorf("a fourth request: %v, again after %v", err, after)
	}
	for _, r := range []*Request{a1, a2, third} {
		r.Leave()
	}
	empty(t, g)
}

// TestFreeSlotsGoRoundTheTenants: a tenant with a long queue holds nobody up.
func TestFreeSlotsGoRoundTheTenants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1, TenantSlots: 1})
		_, first := enter(t, g, "flood")
		var order []string
		var wg sync.WaitGroup
		for _, tenant := range []string{"flood", "flood", "flood", "flood", "b", "b", "c"} {
			ctx, r := arrive(t, g, tenant)
			wg.Go(func() {
				if err := Enter(ctx, Push); err != nil {
					t.Error(err)
				}
				order = append(order, tenant) // the slot guards it
				r.Leave()
			})
			synctest.Wait()
		}
		first.Leave()
		wg.Wait()
		if want := []string{"flood", "b", "c", "flood", "b", "flood", "flood"}; !slices.Equal(order, want) {
			t.Errorf("got the order %v, want %v", order, want)
		}
		empty(t, g)
	})
}

func TestShareOfATenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 4, TenantSlots: 3, Wait: time.Second})
		var all []*Request
		for range 3 {
			_, r := enter(t, g, "a")
			all = append(all, r)
		}
		ctx, r := arrive(t, g, "a")
		all = append(all, r)
		if err := Enter(ctx, Diff); !errors.Is(err, cairn.RateLimited) {
			t.Errorf("a fourth operation of the tenant: %v, want RateLimited", err)
		}
		_, r = enter(t, g, "b") // at once: a slot is kept for others
		all = append(all, r)
		ctx, r = arrive(t, g, "c")
		all = append(all, r)
		began := time.Now()
		err := Enter(ctx, Diff)
		if after, ok := RetryAfter(err); !errors.Is(err, cairn.Unavailable) || !ok || after < time.Second {
			t.Errorf("with all slots taken: %v, want Unavailable and a time", err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v, want the limit of 1s", waited)
		}
		for _, r := range all {
			r.Leave()
		}
		empty(t, g)
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1, Queue: 2})
		_, first := enter(t, g, "a")
		var wg sync.WaitGroup
		for range 2 {
			ctx, r := arrive(t, g, "a")
			wg.Go(func() {
				defer r.Leave()
				if err := Enter(ctx, Fetch); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, r := arrive(t, g, "a")
		for name, err := range map[string]error{"Full": Full(ctx), "Enter": Enter(ctx, Fetch)} {
			if !errors.Is(err, cairn.RateLimited) {
				t.Errorf("%s with a full queue: %v", name, err)
			}
		}
		other, b := arrive(t, g, "b")
		if err := Full(other); err != nil {
			t.Errorf("another tenant's queue: %v", err)
		}
		b.Leave()
		r.Leave()
		first.Leave()
		wg.Wait()
		empty(t, g)
	})
}

func TestWaiterLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1})
		_, first := enter(t, g, "a")
		ctx, r := arrive(t, g, "a")
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- Enter(ctx, Fetch) }()
		synctest.Wait()
		if got := g.Stats().Classes[Fetch]; got != (ClassStats{Working: 1, Waiting: 1}) {
			t.Errorf("got %+v", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		r.Leave()
		first.Leave()
		empty(t, g)
	})
}

// TestSlotIsLentToOthersWhileTheClientIsSlow: what a slow client waits for
// holds no slot, and goes on before what has not begun.
func TestSlotIsLentToOthersWhileTheClientIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1})
		ctx, slow := enter(t, g, "a")
		slow.BeginWait()
		time.Sleep(maxPatience / 2)
		if g.Stats().Slots != 1 {
			t.Error("the slot was lent before the request lost patience")
		}
		time.Sleep(maxPatience)
		if got := g.Stats().Classes[Fetch]; got != (ClassStats{Lent: 1}) {
			t.Errorf("got %+v", got)
		}
		_, quick := enter(t, g, "a")
		var order []string
		var wg sync.WaitGroup
		late, lateRequest := arrive(t, g, "a")
		wg.Go(func() {
			defer lateRequest.Leave()
			if err := Enter(late, Fetch); err != nil {
				t.Error(err)
			}
			order = append(order, "late")
		})
		synctest.Wait()
		wg.Go(func() {
			defer slow.Leave()
			if err := slow.EndWait(ctx, 1<<10); err != nil {
				t.Error(err)
			}
			order = append(order, "slow")
		})
		synctest.Wait()
		quick.Leave()
		wg.Wait()
		if !slices.Equal(order, []string{"slow", "late"}) {
			t.Errorf("got %v, want what had begun first", order)
		}
		empty(t, g)
	})
}

// TestSlotsHeldIdleForSlowClients: 500 clients that send or take 1 KB a second
// hold less than one slot between them.
func TestSlotsHeldIdleForSlowClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, seconds = 500, 100
		g := New(Options{Slots: 4, TenantSlots: 4, Queue: clients})
		var idle time.Duration
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second / clients)
				ctx, r, err := g.Arrive(t.Context())
				if err != nil || Enter(ctx, Fetch) != nil {
					t.Error("not admitted")
				}
				defer r.Leave()
				for range seconds {
					r.BeginWait()
					time.Sleep(time.Second)
					if err := r.EndWait(ctx, 1<<10); err != nil {
						t.Error(err)
					}
				}
				g.mu.Lock()
				idle += r.worked + time.Since(r.granted)
				g.mu.Unlock()
			})
		}
		wg.Wait()
		if used := idle.Seconds() / seconds; used > 1 {
			t.Errorf("%d slow clients held %.2f slots on average", clients, used)
		}
		empty(t, g)
	})
}

// TestFastClientKeepsItsSlot: one that keeps up is not sent back to the queue.
func TestFastClientKeepsItsSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1})
		ctx, fast := enter(t, g, "a")
		for range 1000 {
			fast.BeginWait()
			time.Sleep(10 * time.Millisecond)
			if g.Stats().Classes[Fetch].Lent > 0 {
				t.Fatal("the slot of a client that keeps up was lent")
			}
			if err := fast.EndWait(ctx, 64<<10); err != nil {
				t.Fatal(err)
			}
		}
		fast.Leave()
		empty(t, g)
	})
}

// TestWaitingForAnotherRequestLends: else all slots could wait for one who
// waits for a slot.
func TestWaitingForAnotherRequestLends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1})
		ctx, r := enter(t, g, "a")
		regain := Lend(ctx)
		_, other := enter(t, g, "a")
		other.Leave()
		if err := regain(); err != nil || g.Stats().Slots != 1 {
			t.Errorf("got %v with %d slots in use", err, g.Stats().Slots)
		}
		r.Leave()
		if err := Lend(t.Context())(); err != nil {
			t.Errorf("outside of a request: %v", err)
		}
		empty(t, g)
	})
}

func TestStopRefusesWhoWaitsAndNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1, TenantSlots: 1})
		ctx, works := enter(t, g, "a")
		var wg sync.WaitGroup
		for i := range 6 {
			waits, r := arrive(t, g, fmt.Sprint(i%3))
			wg.Go(func() {
				defer r.Leave()
				if err := Enter(waits, Push); !errors.Is(err, cairn.Unavailable) {
					t.Errorf("got %v", err)
				} else if _, ok := RetryAfter(err); !ok {
					t.Errorf("no time to try again in %v", err)
				}
			})
		}
		synctest.Wait()
		g.Stop()
		wg.Wait()
		late, r := arrive(t, g, "b")
		if err := Enter(late, Push); !errors.Is(err, cairn.Unavailable) {
			t.Errorf("after Stop: %v", err)
		}
		r.Leave()
		if err := Lend(ctx)(); err != nil {
			t.Errorf("who works cannot go on: %v", err)
		}
		works.Leave()
		empty(t, g)
	})
}

func TestOneSlotForARequest(t *testing.T) {
	t.Parallel()
	g := New(Options{Slots: 1})
	ctx, r := enter(t, g, "a")
	if err := Enter(ctx, Diff); err != nil {
		t.Error(err)
	}
	if got := g.Stats().Slots; got != 1 {
		t.Errorf("a request has %d slots", got)
	}
	r.Leave()
	if err := Enter(t.Context(), Diff); err != nil {
		t.Errorf("outside of a request: %v", err)
	}
	empty(t, g)
}

// TestGoroutinesOfARequestGoOnTogether: a goroutine that waited for another slot
// than the one its request has got already would wait for ever.
func TestGoroutinesOfARequestGoOnTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Slots: 1})
		ctx, r := enter(t, g, "a")
		regain := Lend(ctx)
		_, other := enter(t, g, "b")
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { _ = regain() })
			synctest.Wait()
			regain = Lend(ctx)
		}
		other.Leave()
		both.Wait()
		r.Leave()
		empty(t, g)
	})
}

// TestManyAtOnce is for the race detector: requests enter, wait for their
// clients from two goroutines and leave, some cut off.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	g := New(Options{Slots: 3, TenantSlots: 2, Queue: 1000})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			ctx, r, err := g.Arrive(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Leave()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if err := Claim(ctx, fmt.Sprint(i%5)); err != nil {
				t.Error(err)
			}
			if i%7 == 0 {
				cancel()
			}
			if err := Enter(ctx, Classes[i%len(Classes)]); err != nil && i%7 != 0 {
				t.Error(err)
				return
			}
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					for range 50 {
						r.BeginWait()
						_ = r.EndWait(ctx, 1)
						_ = Lend(ctx)()
						if s := g.Stats(); s.Slots > 3 {
							t.Errorf("%d slots in use", s.Slots)
						}
					}
				})
			}
			both.Wait()
		})
	}
	wg.Wait()
	empty(t, g)
}
