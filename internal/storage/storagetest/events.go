package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var eventCases = map[string]func(*testing.T, store){
	"appended and listed by page": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		var want []cairn.Event
		for version := int64(1); version <= 3; version++ {
			added := []cairn.Event{
				{Version: version, Ordinal: 0, At: day(int(version)), Actor: "jo\xff\x00", Kind: cairn.RefChanged,
					RefUpdate: cairn.RefUpdate{Name: "refs/heads/\xfe", New: id(1)}},
				{Version: version, Ordinal: 1, At: day(int(version)), Kind: "other",
					RefUpdate: cairn.RefUpdate{Name: "refs/heads/b", Old: id(2), New: id(3)}},
				{Version: version, Ordinal: 2, At: day(int(version)), Kind: cairn.RefChanged,
					RefUpdate: cairn.RefUpdate{Name: "refs/heads/c", Old: id(2)}},
			}
			want = append(want, added...)
			s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Events().Append(key, added) })
		}
		s.write(other, func(tx cairn.Tx, version int64) error {
			return tx.Events().Append(other, []cairn.Event{{Version: version, At: day(1)}})
		})
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct {
				version        int64
				ordinal, limit int
				from, to       int
			}{{0, 0, 100, 0, 9}, {0, 9, 2, 0, 2}, {1, -1, 100, 0, 9}, {1, 1, 2, 2, 4}, {2, 2, 100, 6, 9}, {3, 2, 5, 9, 9}, {1, 0, 0, 0, 0}} {
				got, err := tx.Events().List(key, c.version, c.ordinal, c.limit)
				if err != nil {
					return err
				}
				sameList(t, "events", got, want[c.from:c.to])
			}
			return nil
		})
	},
	"never changed": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		e := cairn.Event{Version: 1, At: day(1), Actor: "a", Kind: cairn.RefChanged}
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Events().Append(key, []cairn.Event{e}) })
		s.refuseWrite(cairn.Conflict, key, func(tx cairn.Tx, _ int64) error {
			e := e
			e.Actor = "b"
			return tx.Events().Append(key, []cairn.Event{e})
		})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Events().List(key, 0, 0, 10)
			same(t, "events", got, []cairn.Event{e})
			return err
		})
	},
}
