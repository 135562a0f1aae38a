package sqldb

import (
	"bytes"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type receipts struct{ *Tx }

func (t receipts) Add(r cairn.Receipt) error {
	n, err := t.exec(`INSERT INTO receipts (organization, key, request, created_at, status, answer) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(r.Organization), r.Key[:], r.Request[:], micros(r.CreatedAt), int64(r.Status), nonNil(r.Answer))
	if err == nil && n == 0 {
		err = t.spoil(cairn.Errorf(cairn.Conflict, "a request with this idempotency key was carried out already"))
	}
	return err
}

func (t receipts) Get(org cairn.OrganizationID, key [32]byte) (r cairn.Receipt, err error) {
	found := false
	err = t.query(Read, `SELECT request, created_at, status, answer FROM receipts WHERE organization = $1 AND key = $2`,
		values(string(org), key[:]), func(row *Row) {
			found = true
			r = cairn.Receipt{Organization: org, Key: key, CreatedAt: row.Moment(1), Status: int(row.Int(2)), Answer: bytes.Clone(row.Bytes(3))}
			copy(r.Request[:], row.Bytes(0))
		})
	if err == nil && !found {
		err = cairn.Errorf(cairn.NotFound, "no request has this idempotency key")
	}
	return r, err
}

func (t receipts) SetAnswer(org cairn.OrganizationID, key [32]byte, status int, answer []byte) error {
	_, err := t.exec(`UPDATE receipts SET status = $1, answer = $2 WHERE organization = $3 AND key = $4`,
		int64(status), nonNil(answer), string(org), key[:])
	return err
}

func (t receipts) Remove(org cairn.OrganizationID, key [32]byte) error {
	_, err := t.exec(`DELETE FROM receipts WHERE organization = $1 AND key = $2`, string(org), key[:])
	return err
}

func (t receipts) Prune(before time.Time, n int) (int, error) {
	removed, err := t.exec(`DELETE FROM receipts WHERE (organization, key) IN (
		SELECT organization, key FROM receipts WHERE created_at < $1 ORDER BY created_at LIMIT CAST($2 AS BIGINT))`, micros(before), limit(n))
	return int(removed), err
}

func (t receipts) Newest(org cairn.OrganizationID, n int) (at time.Time, err error) {
	err = t.query(Read, `SELECT created_at FROM receipts WHERE organization = $1 ORDER BY created_at DESC LIMIT 1 OFFSET CAST($2 AS BIGINT)`,
		values(string(org), limit(n-1)), func(row *Row) { at = row.Moment(0) })
	return at, err
}

func (t receipts) PruneOf(org cairn.OrganizationID, before time.Time, n int) (int, error) {
	removed, err := t.exec(`DELETE FROM receipts WHERE organization = $1 AND key IN (
		SELECT key FROM receipts WHERE organization = $1 AND created_at < $2 LIMIT CAST($3 AS BIGINT))`, string(org), micros(before), limit(n))
	return int(removed), err
}
