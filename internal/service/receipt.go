package service

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
)

const (
	// receiptAge is how long an idempotency key is remembered.
	receiptAge = 24 * time.Hour
	// maxIdempotencyKey is the longest key, in bytes.
	maxIdempotencyKey = 255
	pruneBatch        = 1000
	// maxReceipts is how many idempotency keys of one organization are
	// remembered, and trimEvery after how many more of them the oldest are
	// forgotten: to count them costs too much for every write.
	maxReceipts = 100_000
	trimEvery   = 10_000
)

// Attempt is one request with an idempotency key. It belongs to who asked, the
// repository and the operation: the same key elsewhere is another one. Close it.
type Attempt struct {
	service *Service
	who     cairn.Actor
	key     [32]byte
	pending *cairn.PendingReceipt
}

// attempts are the keys of the requests that this process carries out at the
// moment. The zero value is ready.
type attempts struct {
	mu   sync.Mutex
	keys map[[32]byte]bool
	// added are the receipts of each organization since it was last looked at
	// how many it has.
	added map[cairn.OrganizationID]int
}

// trims counts a receipt, and tells whether the oldest of the organization's
// must go: with the first receipt since the start, and every so many.
func (a *attempts) trims(org cairn.OrganizationID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.added == nil {
		a.added = map[cairn.OrganizationID]int{}
	}
	n := a.added[org]
	a.added[org] = (n + 1) % trimEvery
	return n == 0
}

// BeginAttempt returns Conflict, with a time to try again, while another request
// with the key is carried out.
func (s *Service) BeginAttempt(who cairn.Actor, repo cairn.RepositoryName, operation, key string) (*Attempt, error) {
	if len(key) > maxIdempotencyKey {
		return nil, cairn.Errorf(cairn.Invalid, "the idempotency key is longer than %d bytes", maxIdempotencyKey)
	}
	a := &Attempt{service: s, who: who, key: digest(string(who.Organization.ID), string(repo), who.Name, operation, key)}
	s.attempts.mu.Lock()
	defer s.attempts.mu.Unlock()
	if s.attempts.keys[a.key] {
		return nil, cairn.Errorf(cairn.Conflict, "a request with this idempotency key is being carried out; %w", &admission.Refused{After: time.Second})
	}
	if s.attempts.keys == nil {
		s.attempts.keys = map[[32]byte]bool{}
	}
	s.attempts.keys[a.key] = true
	return a, nil
}

// Close ends the attempt.
func (a *Attempt) Close() {
	a.service.attempts.mu.Lock()
	defer a.service.attempts.mu.Unlock()
	delete(a.service.attempts.keys, a.key)
}

// digest is one of texts, whatever bytes they hold.
func digest(texts ...string) [32]byte {
	h := sha256.New()
	for _, text := range texts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		h.Write([]byte(text))
	}
	return [32]byte(h.Sum(nil))
}

// Rights tells what the credential allows: the same request under other rights
// is another one.
func (a *Attempt) Rights() string {
	var text []byte
	for _, scope := range a.who.Scopes {
		text = append(append(text, scope...), ' ')
	}
	for _, rule := range a.who.Policy {
		text = append(append(text, rule.Pattern...), '=')
		for _, op := range rule.Ops {
			text = append(append(text, op...), ' ')
		}
	}
	return string(text)
}

// Find returns the receipt of an earlier request with the key, or false.
func (a *Attempt) Find(ctx context.Context) (found cairn.Receipt, ok bool, err error) {
	err = a.service.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		found, err = tx.Receipts().Get(a.who.Organization.ID, a.key)
		return err
	})
	if errors.Is(err, cairn.NotFound) && cairn.KindOf(err) == cairn.NotFound {
		return found, false, nil
	}
	expired := found.CreatedAt.Before(a.service.now().Add(-receiptAge))
	if err == nil && expired { // else the receipt of this request could not be added
		err = a.service.metadata.Update(cairn.WithReceipts(ctx), func(tx cairn.Tx) error {
			return tx.Receipts().Remove(a.who.Organization.ID, a.key)
		})
	}
	return found, err == nil && !expired, err
}

// Context is that in which the request is carried out: its write stores the
// receipt. request returns the digest of the request once all of it was read.
func (a *Attempt) Context(ctx context.Context, request func() ([32]byte, error)) context.Context {
	a.pending = &cairn.PendingReceipt{Make: func() (cairn.Receipt, error) {
		sum, err := request()
		return cairn.Receipt{Organization: a.who.Organization.ID, Key: a.key, Request: sum, CreatedAt: a.service.now().UTC()}, err
	}}
	return cairn.WithReceipts(ctx, a.pending)
}

// Answered keeps the answer, if the request changed something.
func (a *Attempt) Answered(ctx context.Context, status int, answer []byte) error {
	if !a.pending.Added() {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := a.service.metadata.Update(ctx, func(tx cairn.Tx) error {
		return tx.Receipts().SetAnswer(a.who.Organization.ID, a.key, status, answer)
	})
	if a.service.attempts.trims(a.who.Organization.ID) {
		err = errors.Join(err, a.service.trimReceipts(ctx, a.who.Organization.ID, maxReceipts))
	}
	return err
}

// trimReceipts forgets the oldest idempotency keys of an organization that has
// more than so many.
func (s *Service) trimReceipts(ctx context.Context, org cairn.OrganizationID, keep int) error {
	var oldest time.Time
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		oldest, err = tx.Receipts().Newest(org, keep)
		return err
	})
	if err != nil || oldest.IsZero() {
		return err
	}
	return s.pruneInBatches(ctx, func(tx cairn.Tx) (int, error) { return tx.Receipts().PruneOf(org, oldest, pruneBatch) })
}

// pruneReceipts forgets old idempotency keys.
func (s *Service) pruneReceipts(ctx context.Context) error {
	before := s.now().Add(-receiptAge)
	return s.pruneInBatches(ctx, func(tx cairn.Tx) (int, error) { return tx.Receipts().Prune(before, pruneBatch) })
}

// pruneInBatches calls prune in transactions of their own until it removes less
// than a batch.
func (s *Service) pruneInBatches(ctx context.Context, prune func(cairn.Tx) (int, error)) error {
	for {
		var n int
		err := s.metadata.Update(cairn.WithReceipts(ctx), func(tx cairn.Tx) (err error) {
			n, err = prune(tx)
			return err
		})
		if err != nil || n < pruneBatch {
			return err
		}
	}
}
