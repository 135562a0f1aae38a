package storagetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// rowMarkCases are for stores that offer cairn.RowMarks.
var rowMarkCases = map[string]func(*testing.T, store){
	"grow by one with whatever changes a row": func(t *testing.T, s store) {
		marks := s.rowMarks()
		key := s.repository("app").RepositoryKey
		advanced := func(do func(cairn.Repositories) error) func(cairn.Repositories) error {
			return func(r cairn.Repositories) error {
				if _, err := r.Advance(key); err != nil {
					return err
				}
				return do(r)
			}
		}
		for _, c := range []struct {
			name string
			do   func(cairn.Repositories) error
		}{
			{"Advance", advanced(func(cairn.Repositories) error { return nil })},
			{"Advance twice", advanced(func(r cairn.Repositories) error { _, err := r.Advance(key); return err })},
			{"SetDefaultBranch", advanced(func(r cairn.Repositories) error { return r.SetDefaultBranch(key, "refs/heads/x") })},
			{"Describe", advanced(func(r cairn.Repositories) error { return r.Describe(key, "text", true) })},
			{"SetFence", advanced(func(r cairn.Repositories) error { _, err := r.SetFence(key); return err })},
			{"SetUpstream", advanced(func(r cairn.Repositories) error { return r.SetUpstream(key, cairn.Upstream{}, true) })},
			{"Rename", advanced(func(r cairn.Repositories) error { return r.Rename(key, "other") })},
			{"SetPurged", advanced(func(r cairn.Repositories) error { return r.SetPurged(key, day(3)) })},
			{"Delete", func(r cairn.Repositories) error { return r.Delete(key, day(2)) }},
			{"Restore", func(r cairn.Repositories) error { return r.Restore(key) }},
			{"Delete again", func(r cairn.Repositories) error { return r.Delete(key, day(2)) }},
			{"Purge", func(r cairn.Repositories) error { _, err := r.Purge(key, day(3), 100); return err }},
		} {
			before := marks.RowMark(key)
			s.update(func(tx cairn.Tx) error { return c.do(tx.Repositories()) })
			if after := marks.RowMark(key); after != before+1 {
				t.Errorf("%s takes the mark from %d to %d", c.name, before, after)
			}
		}
	},
	"stay with reads": func(t *testing.T, s store) {
		marks := s.rowMarks()
		key := s.repository("app").RepositoryKey
		before := marks.RowMark(key)
		s.view(func(tx cairn.Tx) error { _, err := tx.Repositories().Get(key); return err })
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Find("acme", "app"); return err })
		s.refuse(cairn.Invalid, func(tx cairn.Tx) error {
			_, err := tx.Repositories().Advance(key)
			return errors.Join(cairn.Errorf(cairn.Invalid, "undone"), err)
		})
		same(t, "mark", marks.RowMark(key), before)
	},
	"are the same only while the row is": func(t *testing.T, s store) {
		marks := s.rowMarks()
		keys := []cairn.RepositoryKey{s.repository("a").RepositoryKey, s.repository("b").RepositoryKey}
		returned := make([]atomic.Int64, len(keys)) // the last version whose Update has returned
		var writers, readers sync.WaitGroup
		var done atomic.Bool
		for i, key := range keys {
			for range 4 {
				writers.Go(func() {
					for range 50 {
						var version int64
						err := s.Update(t.Context(), func(tx cairn.Tx) error {
							r, err := tx.Repositories().Advance(key)
							version = r.Version
							return err
						})
						if err != nil {
							t.Error(err)
						}
						for last := returned[i].Load(); last < version && !returned[i].CompareAndSwap(last, version); last = returned[i].Load() {
						}
					}
				})
			}
			readers.Go(func() {
				for !done.Load() {
					mark := marks.RowMark(key)
					var seen int64
					if err := s.View(t.Context(), func(tx cairn.Tx) error {
						r, err := tx.Repositories().Get(key)
						seen = r.Version
						return err
					}); err != nil {
						t.Error(err)
					}
					for range 100 {
						if last := returned[i].Load(); last > seen && marks.RowMark(key) == mark {
							t.Errorf("version %d has returned, %d was seen, and the mark is the same", last, seen)
							return
						}
					}
				}
			})
		}
		writers.Wait()
		done.Store(true)
		readers.Wait()
	},
}

// rowMarks returns the marks of the store; without them the test ends.
func (s store) rowMarks() cairn.RowMarks {
	marks, ok := s.Metadata.(cairn.RowMarks)
	if !ok {
		s.t.Skip("the store has no row marks")
	}
	return marks
}
