package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

func noted(change byte, commit int, version int64, ordinal int) cairn.ChangeCommit {
	return cairn.ChangeCommit{Change: git.ChangeID{change, 0xff}, Commit: id(commit), Version: version, Ordinal: ordinal, At: day(commit)}
}

// changeOf asks for the commits of a change.
func (s store) changeOf(key cairn.RepositoryKey, change byte, limit int, want ...cairn.ChangeCommit) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) error {
		got, err := tx.Changes().Of(key, git.ChangeID{change, 0xff}, limit)
		sameList(s.t, "commits of a change", got, want)
		return err
	})
}

var changeCases = map[string]func(*testing.T, store){
	"commits of a change, the last noted first": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		a, b, c := noted(1, 1, 7, 2), noted(1, 2, 7, 10), noted(1, 3, 8, 0)
		s.update(func(tx cairn.Tx) error {
			if err := tx.Changes().Note(other, []cairn.ChangeCommit{noted(1, 9, 9, 9)}); err != nil {
				return err
			}
			return tx.Changes().Note(key, []cairn.ChangeCommit{c, a, noted(2, 1, 1, 1), b})
		})
		s.changeOf(key, 1, 10, c, b, a)
		s.changeOf(key, 1, 2, c, b)
		s.changeOf(key, 3, 10)
		a.Version, a.Ordinal, a.At = 9, 1, day(20)
		s.update(func(tx cairn.Tx) error { return tx.Changes().Note(key, []cairn.ChangeCommit{a}) })
		s.changeOf(key, 1, 10, a, c, b)
	},
	"the version up to which all is noted never goes back": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		want := func(key cairn.RepositoryKey, want int64) {
			t.Helper()
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Changes().Noted(key)
				same(t, "noted", got, want)
				return err
			})
		}
		want(key, 0)
		for _, step := range []struct{ set, want int64 }{{5, 5}, {3, 5}, {5, 5}, {6, 6}} {
			s.update(func(tx cairn.Tx) error { return tx.Changes().SetNoted(key, step.set) })
			want(key, step.want)
		}
		want(other, 0)
	},
	"a purge removes changes": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.update(func(tx cairn.Tx) error {
			if err := tx.Changes().SetNoted(key, 5); err != nil {
				return err
			}
			return tx.Changes().Note(key, []cairn.ChangeCommit{noted(1, 1, 1, 1), noted(1, 2, 2, 1)})
		})
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(key, day(1)) })
		s.update(func(tx cairn.Tx) error {
			for {
				if done, err := tx.Repositories().Purge(key, day(2), 1); done || err != nil {
					return err
				}
			}
		})
		s.changeOf(key, 1, 10)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Changes().Noted(key)
			same(t, "noted", got, 0)
			return err
		})
	},
}
