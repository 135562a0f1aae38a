package sqldb

import (
	"database/sql/driver"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type numbers struct{ *Tx }

func (t numbers) Give(thing cairn.Numbered) (cairn.Number, error) {
	n, err := t.of(thing)
	if err != nil || n != 0 {
		return n, err
	}
	// Whoever comes second waits here for the first, and so does not see that it
	// gave the same thing a number: the insert tells.
	var next int64
	err = t.query(Write, `INSERT INTO number_counters (kind, last) VALUES ($1, 1)
		ON CONFLICT (kind) DO UPDATE SET last = number_counters.last + 1 RETURNING last`, values(string(thing.Kind)), func(r *Row) { next = r.Int(0) })
	if err != nil {
		return 0, err
	}
	if next > int64(cairn.MaxNumber) {
		return 0, t.spoil(cairn.Errorf(cairn.Unavailable, "all numbers of the kind %q are given", thing.Kind))
	}
	inserted, err := t.exec(`INSERT INTO numbers (kind, organization, repository, id, number) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organization, repository, kind, id) DO NOTHING`, append(numberedKey(thing), next)...)
	if err != nil {
		return 0, err
	}
	if inserted == 0 {
		return t.Of(thing)
	}
	return cairn.Number(next), nil
}

func (t numbers) Of(thing cairn.Numbered) (cairn.Number, error) {
	n, err := t.of(thing)
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.NotFound, "the %s has no number", thing.Kind)
	}
	return n, err
}

// of returns zero if the thing has no number.
func (t numbers) of(thing cairn.Numbered) (n cairn.Number, err error) {
	err = t.query(Read, `SELECT number FROM numbers WHERE kind = $1 AND organization = $2 AND repository = $3 AND id = $4`,
		numberedKey(thing), func(r *Row) { n = cairn.Number(r.Int(0)) })
	return n, err
}

var numbersByThing = newLookup(`SELECT kind, organization, repository, id, number FROM numbers WHERE (kind, organization, repository, id) IN (VALUES %s)`, 0, 4)

func (t numbers) OfEach(things []cairn.Numbered) (map[cairn.Numbered]cairn.Number, error) {
	keys := make([]driver.Value, 0, 4*len(things))
	for _, thing := range things {
		keys = append(keys, numberedKey(thing)...)
	}
	given := make(map[cairn.Numbered]cairn.Number, len(things))
	err := t.each(&numbersByThing, nil, keys, func(r *Row) {
		key := cairn.RepositoryKey{Organization: cairn.OrganizationID(r.Text(1)), Repository: cairn.RepositoryID(r.Text(2))}
		given[cairn.Numbered{Kind: cairn.NumberKind(r.Text(0)), RepositoryKey: key, ID: r.Text(3)}] = cairn.Number(r.Int(4))
	})
	return given, err
}

func (t numbers) Find(kind cairn.NumberKind, n cairn.Number) (cairn.Numbered, error) {
	thing, found := cairn.Numbered{Kind: kind}, false
	err := t.query(Read, `SELECT organization, repository, id FROM numbers WHERE kind = $1 AND number = $2`, values(string(kind), int64(n)), func(r *Row) {
		found = true
		thing.Organization, thing.Repository, thing.ID = cairn.OrganizationID(r.Text(0)), cairn.RepositoryID(r.Text(1)), r.Text(2)
	})
	if err == nil && !found {
		err = cairn.Errorf(cairn.NotFound, "there is no %s with the number %d", kind, n)
	}
	return thing, err
}

func (t numbers) Forget(thing cairn.Numbered) error {
	_, err := t.exec(`DELETE FROM numbers WHERE kind = $1 AND organization = $2 AND repository = $3 AND id = $4`, numberedKey(thing)...)
	return err
}

func numberedKey(thing cairn.Numbered) []driver.Value {
	return values(string(thing.Kind), string(thing.Organization), string(thing.Repository), thing.ID)
}
