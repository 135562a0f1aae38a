package storagetest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
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
	"listed backwards by page": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		var want []cairn.Event // newest first
		for version := int64(1); version <= 3; version++ {
			for ordinal := range 2 {
				e := cairn.Event{Version: version, Ordinal: ordinal, At: day(1), Kind: cairn.RefChanged, RefUpdate: cairn.RefUpdate{Name: "refs/heads/a", New: id(1)}}
				want = append([]cairn.Event{e}, want...)
			}
			s.write(key, func(tx cairn.Tx, version int64) error {
				return tx.Events().Append(key, []cairn.Event{want[1], want[0]})
			})
		}
		s.write(other, func(tx cairn.Tx, version int64) error {
			return tx.Events().Append(other, []cairn.Event{{Version: version, At: day(1)}})
		})
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct {
				version        int64
				ordinal, limit int
				from, to       int
			}{{math.MaxInt64, 0, 100, 0, 6}, {4, 0, 2, 0, 2}, {3, 1, 100, 1, 6}, {3, 0, 3, 2, 5}, {1, 0, 9, 6, 6}, {1, 1, 9, 5, 6}, {3, 0, 0, 0, 0}} {
				got, err := tx.Events().ListBack(key, c.version, c.ordinal, c.limit)
				if err != nil {
					return err
				}
				sameList(t, fmt.Sprintf("events before %d.%d", c.version, c.ordinal), got, want[c.from:c.to])
			}
			return nil
		})
	},
	"the version at a time": func(t *testing.T, s store) {
		key, none := s.repository("site").RepositoryKey, s.repository("none").RepositoryKey
		days := map[int64]int{2: 3, 3: 3, 7: 5, 8: 6, 20: 9} // other versions are no events
		for version := int64(1); version <= 21; version++ {
			s.write(key, func(tx cairn.Tx, version int64) error {
				if days[version] == 0 {
					return nil
				}
				return tx.Events().Append(key, []cairn.Event{{Version: version, At: day(days[version])}, {Version: version, Ordinal: 1, At: day(days[version])}})
			})
		}
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct {
				key  cairn.RepositoryKey
				day  int
				want int64
			}{{key, 2, 0}, {key, 3, 3}, {key, 4, 3}, {key, 5, 7}, {key, 6, 8}, {key, 8, 8}, {key, 9, 20}, {key, 10, 20}, {none, 9, 0}} {
				got, err := tx.Events().VersionAt(c.key, day(c.day))
				if err != nil {
					return err
				}
				same(t, fmt.Sprintf("version at day %d", c.day), got, c.want)
			}
			got, err := tx.Events().VersionAt(key, day(5).Add(-time.Microsecond))
			same(t, "version a moment before day 5", got, 3)
			return err
		})
	},
	"what refs named since a time or a version": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		for i, at := range []int{5, 7, 6} { // clocks may go back
			s.write(key, func(tx cairn.Tx, version int64) error {
				return tx.Events().Append(key, []cairn.Event{
					{Version: version, At: day(at), RefUpdate: cairn.RefUpdate{Name: "refs/heads/a", Old: id(i), New: id(i + 1)}},
					{Version: version, Ordinal: 1, At: day(at), RefUpdate: cairn.RefUpdate{Name: "refs/heads/b", Old: id(i + 10)}},
				})
			})
		}
		s.write(other, func(tx cairn.Tx, version int64) error {
			return tx.Events().Append(other, []cairn.Event{{Version: version, At: day(9), RefUpdate: cairn.RefUpdate{New: id(30)}}})
		})
		for _, c := range []struct {
			since   int
			version int64
			want    []int
		}{
			{1, 9, []int{1, 2, 3, 10, 11, 12}}, {6, 9, []int{1, 2, 3, 11, 12}}, {7, 9, []int{1, 2, 11}}, {8, 9, nil},
			{8, 2, []int{2, 3, 12}}, {8, 0, []int{1, 2, 3, 10, 11, 12}}, {7, 2, []int{1, 2, 3, 11, 12}},
		} {
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Events().Targets(key, day(c.since), c.version)
				slices.SortFunc(got, git.ObjectID.Compare)
				var want []git.ObjectID
				for _, n := range c.want {
					want = append(want, id(n))
				}
				slices.SortFunc(want, git.ObjectID.Compare)
				sameList(t, fmt.Sprintf("targets since day %d or version %d", c.since, c.version), got, want)
				return err
			})
		}
	},
	"thousands at once": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		events := func(version int64) []cairn.Event {
			list := make([]cairn.Event, 1000)
			for i := range list {
				list[i] = cairn.Event{Version: version, Ordinal: i, At: day(i), Actor: fmt.Sprint(i), Kind: cairn.RefChanged,
					RefUpdate: cairn.RefUpdate{Name: git.RefName(fmt.Sprintf("refs/heads/%d", i)), Old: id(i + 1), New: id(i + 2)}}
			}
			return list
		}
		s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Events().Append(key, events(1)) })
		for _, at := range []int{0, 63, 64, 700, 999} {
			s.refuseWrite(cairn.Conflict, key, func(tx cairn.Tx, _ int64) error {
				added := events(2)
				added[at].Version = 1
				return tx.Events().Append(key, added)
			})
		}
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Events().List(key, 0, 0, 2000)
			sameList(t, "events", got, events(1))
			return err
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
