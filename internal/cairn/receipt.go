package cairn

import (
	"context"
	"sync/atomic"
	"time"
)

// Receipt tells that a request with an idempotency key was carried out, and what
// was answered.
type Receipt struct {
	Organization OrganizationID
	Key          [32]byte // digest of who asked, what for, and the key
	Request      [32]byte // digest of all that was asked
	CreatedAt    time.Time
	Status       int // of the answer; 0: it was lost
	Answer       []byte
}

// Receipts are the requests with idempotency keys of late.
type Receipts interface {
	// Add returns Conflict if the organization has a receipt of that key, and
	// the caller must let the transaction fail.
	Add(Receipt) error
	// Get returns NotFound if there is none.
	Get(OrganizationID, [32]byte) (Receipt, error)
	// SetAnswer keeps what was answered.
	SetAnswer(org OrganizationID, key [32]byte, status int, answer []byte) error
	// Remove removes one, if there is one.
	Remove(org OrganizationID, key [32]byte) error
	// Prune removes up to limit receipts that were made before the time, and
	// returns how many.
	Prune(before time.Time, limit int) (int, error)
	// Newest returns when the n-th newest receipt of an organization was made,
	// n from 1; the zero time if it has fewer.
	Newest(org OrganizationID, n int) (time.Time, error)
	// PruneOf is Prune for one organization, in no order.
	PruneOf(org OrganizationID, before time.Time, limit int) (int, error)
}

// PendingReceipt is the receipt of a request that is being carried out.
type PendingReceipt struct {
	// Make makes it. It is called inside of the transaction.
	Make  func() (Receipt, error)
	added atomic.Bool
}

// Added tells whether the request has changed something, and the receipt is
// stored with that.
func (p *PendingReceipt) Added() bool { return p.added.Load() }

type receiptsKey struct{}

// WithReceipts returns a context whose first Update that succeeds also stores
// these receipts, and no others.
func WithReceipts(ctx context.Context, receipts ...*PendingReceipt) context.Context {
	return context.WithValue(ctx, receiptsKey{}, receipts)
}

// PendingReceipts returns the receipts of WithReceipts.
func PendingReceipts(ctx context.Context) []*PendingReceipt {
	receipts, _ := ctx.Value(receiptsKey{}).([]*PendingReceipt)
	return receipts
}

// StoringReceipts returns a store that does what WithReceipts says: a write and
// the receipt for it are one transaction, whichever write it is.
func StoringReceipts(m Metadata) Metadata { return storingReceipts{m} }

type storingReceipts struct{ Metadata }

func (m storingReceipts) Update(ctx context.Context, f func(Tx) error) error {
	var pending []*PendingReceipt
	for _, p := range PendingReceipts(ctx) {
		if !p.Added() {
			pending = append(pending, p)
		}
	}
	if len(pending) == 0 {
		return m.Metadata.Update(ctx, f)
	}
	err := m.Metadata.Update(ctx, func(tx Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		for _, p := range pending {
			receipt, err := p.Make()
			if err != nil {
				return err
			}
			if err := tx.Receipts().Add(receipt); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, p := range pending {
			p.added.Store(true)
		}
	}
	return err
}
