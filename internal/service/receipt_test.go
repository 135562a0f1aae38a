package service

import (
	"context"
	"errors"
	"testing"
	"time"

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

// TestReceiptsOfAnOrganizationAreBounded adds more than are kept.
func TestReceiptsOfAnOrganizationAreBounded(t *testing.T) {
	t.Parallel()
	const all, keep = pruneBatch*2 + 30, 20
	f := newTenants(t, func(m cairn.Metadata) cairn.Metadata { return m })
	acme, other := f.actor(t, "acme", "site", cairn.RepoWrite).Organization.ID, cairn.OrganizationID("other")
	key := func(i int) [32]byte { return [32]byte{byte(i), byte(i >> 8)} }
	start := time.Now()
	err := f.metadata.Update(t.Context(), func(tx cairn.Tx) error {
		for i := range all {
			for _, org := range []cairn.OrganizationID{acme, other} {
				if err := tx.Receipts().Add(cairn.Receipt{Organization: org, Key: key(i), CreatedAt: start.Add(time.Duration(i) * time.Second)}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := f.trimReceipts(t.Context(), acme, keep); err != nil {
			t.Fatal(err)
		}
	}
	has := func(org cairn.OrganizationID, i int) bool {
		err := f.metadata.View(t.Context(), func(tx cairn.Tx) error { _, err := tx.Receipts().Get(org, key(i)); return err })
		if err != nil && cairn.KindOf(err) != cairn.NotFound {
			t.Fatal(err)
		}
		return err == nil
	}
	for i := range all {
		if has(acme, i) != (i >= all-keep) || !has(other, i) {
			t.Fatalf("receipt %d of %d: kept %t, the other organization's %t", i, all, has(acme, i), has(other, i))
		}
	}
	var a attempts
	looks := 0
	for range trimEvery + 1 {
		if a.trims(acme) {
			looks++
		}
	}
	if looks != 2 || !a.trims(other) {
		t.Errorf("looked %d times, want 2: at the first and after %d", looks, trimEvery)
	}
}
