package service

import (
	"context"
	"errors"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// crashing is a store that is gone as soon as one write is done.
type crashing struct {
	cairn.Metadata
	armed, gone bool
}

var errCrashed = errors.New("crashed")

func (c *crashing) Update(ctx context.Context, f func(cairn.Tx) error) error {
	if c.gone {
		return errCrashed
	}
	c.gone = c.armed
	return c.Metadata.Update(ctx, f)
}

// TestACrashAfterTheWriteDoesNotForgetItsKey ends the store between the write
// and the keeping of its answer.
func TestACrashAfterTheWriteDoesNotForgetItsKey(t *testing.T) {
	t.Parallel()
	var store *crashing
	f := newTenants(t, func(m cairn.Metadata) cairn.Metadata {
		store = &crashing{Metadata: m}
		return store
	})
	who := f.actor(t, "acme", "site", cairn.RepoWrite)
	begin := func() *Attempt {
		t.Helper()
		a, err := f.BeginAttempt(who, "site", "create", "key")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	sum := func() ([32]byte, error) { return [32]byte{7}, nil }
	a := begin()
	if _, err := f.BeginAttempt(who, "site", "create", "key"); cairn.KindOf(err) != cairn.Conflict {
		t.Errorf("a second attempt at the same time: %v", err)
	}
	if _, known, err := a.Find(t.Context()); known || err != nil {
		t.Fatalf("before: %t, %v", known, err)
	}
	store.armed = true
	if _, err := f.CreateRepository(a.Context(t.Context(), sum), who, NewRepository{Name: "site"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Answered(t.Context(), 201, []byte("{}")); !errors.Is(err, errCrashed) {
		t.Fatalf("the store is not gone: %v", err)
	}
	a.Close()
	store.armed, store.gone = false, false
	a = begin()
	defer a.Close()
	found, known, err := a.Find(t.Context())
	if !known || err != nil || found.Request != [32]byte{7} || found.Status != 0 {
		t.Errorf("after the crash: %+v, %t, %v", found, known, err)
	}
	// A write that fails leaves no receipt.
	b, err := f.BeginAttempt(who, "site", "create", "other")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := f.CreateRepository(b.Context(t.Context(), sum), who, NewRepository{Name: "site"}); cairn.KindOf(err) != cairn.Conflict {
		t.Fatal(err)
	}
	if _, known, err := b.Find(t.Context()); known || err != nil {
		t.Errorf("after a failure: %t, %v", known, err)
	}
	// Nor does a write whose receipt cannot be stored happen.
	if _, err := f.CreateRepository(a.Context(t.Context(), sum), f.actor(t, "acme", "two", cairn.RepoWrite), NewRepository{Name: "two"}); cairn.KindOf(err) != cairn.Conflict {
		t.Errorf("a write with a receipt that is there already: %v", err)
	}
	if _, err := f.Repository(t.Context(), f.actor(t, "acme", "two", cairn.RepoWrite), "two"); cairn.KindOf(err) != cairn.NotFound {
		t.Errorf("that write happened: %v", err)
	}
}
