package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var receiptCases = map[string]func(*testing.T, store){
	"added, answered, pruned": func(t *testing.T, s store) {
		get := func(org cairn.OrganizationID, key byte) (r cairn.Receipt) {
			s.view(func(tx cairn.Tx) (err error) {
				r, err = tx.Receipts().Get(org, [32]byte{key})
				return err
			})
			return r
		}
		for i := range byte(3) {
			s.update(func(tx cairn.Tx) error {
				return tx.Receipts().Add(cairn.Receipt{Organization: "acme", Key: [32]byte{i}, Request: [32]byte{9, i}, CreatedAt: day(int(i) + 1)})
			})
		}
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error {
			return tx.Receipts().Add(cairn.Receipt{Organization: "acme", Key: [32]byte{1}, CreatedAt: day(1)})
		})
		s.update(func(tx cairn.Tx) error {
			return tx.Receipts().Add(cairn.Receipt{Organization: "other", Key: [32]byte{1}, CreatedAt: day(9), Status: 200})
		})
		s.update(func(tx cairn.Tx) error { return tx.Receipts().SetAnswer("acme", [32]byte{1}, 201, []byte("done")) })
		if r := get("acme", 1); r.Status != 201 || string(r.Answer) != "done" || r.Request != [32]byte{9, 1} || !r.CreatedAt.Equal(day(2)) {
			t.Errorf("receipt %+v", r)
		}
		if r := get("other", 1); r.Status != 200 || len(r.Answer) != 0 {
			t.Errorf("receipt of another organization: %+v", r)
		}
		s.update(func(tx cairn.Tx) error {
			n, err := tx.Receipts().Prune(day(3), 1)
			same(t, "pruned", n, 1)
			return err
		})
		s.absent(func(tx cairn.Tx) error { _, err := tx.Receipts().Get("acme", [32]byte{0}); return err })
		s.update(func(tx cairn.Tx) error {
			n, err := tx.Receipts().Prune(day(3), 9)
			same(t, "pruned", n, 1)
			return err
		})
		get("acme", 2)
		get("other", 1)
	},
	"removed": func(t *testing.T, s store) {
		get := func(org cairn.OrganizationID, key byte) func(cairn.Tx) error {
			return func(tx cairn.Tx) error { _, err := tx.Receipts().Get(org, [32]byte{key}); return err }
		}
		for _, r := range []cairn.Receipt{{Organization: "acme", Key: [32]byte{1}}, {Organization: "acme", Key: [32]byte{2}}, {Organization: "other", Key: [32]byte{1}}} {
			r.CreatedAt = day(1)
			s.update(func(tx cairn.Tx) error { return tx.Receipts().Add(r) })
		}
		for range 2 {
			s.update(func(tx cairn.Tx) error { return tx.Receipts().Remove("acme", [32]byte{1}) })
		}
		s.absent(get("acme", 1))
		s.view(get("acme", 2))
		s.view(get("other", 1))
	},
	"the oldest of an organization": func(t *testing.T, s store) {
		for i := range byte(5) {
			s.update(func(tx cairn.Tx) error {
				return tx.Receipts().Add(cairn.Receipt{Organization: "acme", Key: [32]byte{i}, CreatedAt: day(int(i) + 1)})
			})
		}
		s.update(func(tx cairn.Tx) error {
			return tx.Receipts().Add(cairn.Receipt{Organization: "other", Key: [32]byte{0}, CreatedAt: day(1)})
		})
		s.view(func(tx cairn.Tx) error {
			at, err := tx.Receipts().Newest("acme", 2)
			same(t, "second newest", at.Equal(day(4)), true)
			if err == nil {
				at, err = tx.Receipts().Newest("acme", 6)
				same(t, "sixth newest", at.IsZero(), true)
			}
			return err
		})
		for _, want := range []int{2, 1, 0} {
			s.update(func(tx cairn.Tx) error {
				n, err := tx.Receipts().PruneOf("acme", day(4), 2)
				same(t, "pruned", n, want)
				return err
			})
		}
		s.absent(func(tx cairn.Tx) error { _, err := tx.Receipts().Get("acme", [32]byte{2}); return err })
		s.view(func(tx cairn.Tx) error { _, err := tx.Receipts().Get("acme", [32]byte{3}); return err })
		s.view(func(tx cairn.Tx) error { _, err := tx.Receipts().Get("other", [32]byte{0}); return err })
	},
}
