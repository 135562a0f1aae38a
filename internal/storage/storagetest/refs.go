package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var refCases = map[string]func(*testing.T, store){
	"created, moved, deleted": func(t *testing.T, s store) {
		r := s.repository("site")
		key := r.RepositoryKey
		const name = "refs/heads/main"
		s.move(key, cairn.RefUpdate{Name: name, New: id(1)})
		s.move(key, cairn.RefUpdate{Name: name, Old: id(1), New: id(2)}, cairn.RefUpdate{Name: "refs/heads/b", New: id(1)})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Refs().Get(key, name)
			same(t, "moved ref keeps its creation", got, cairn.Ref{Name: name, Target: id(2), CreatedAt: day(1), Created: 1})
			return err
		})
		s.move(key, cairn.RefUpdate{Name: name, Old: id(2)})
		s.absent(func(tx cairn.Tx) error { _, err := tx.Refs().Get(key, name); return err })
		same(t, "what is left", s.refs(key), []cairn.Ref{{Name: "refs/heads/b", Target: id(1), CreatedAt: day(2), Created: 2}})
		s.move(key, cairn.RefUpdate{Name: name, New: id(3)})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Refs().Get(key, name)
			same(t, "created again", got, cairn.Ref{Name: name, Target: id(3), CreatedAt: day(4), Created: 4})
			return err
		})
	},
	"both object formats": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		long := git.MustParseObjectID(fmt.Sprintf("%064x", 7))
		s.move(key, cairn.RefUpdate{Name: "refs/heads/main", New: long})
		s.move(key, cairn.RefUpdate{Name: "refs/heads/main", Old: long, New: long}) // moves nothing, and says so
		same(t, "target", s.refs(key)[0].Target, long)
	},
	"conflicts say where the ref is": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.move(key, cairn.RefUpdate{Name: "refs/heads/a", New: id(1)})
		zeros := git.MustParseObjectID(git.ZeroHex)
		for _, c := range []struct {
			name    string
			update  cairn.RefUpdate
			current git.ObjectID
		}{
			{"create what exists", cairn.RefUpdate{Name: "refs/heads/a", New: id(2)}, id(1)},
			{"create as it is", cairn.RefUpdate{Name: "refs/heads/a", New: id(1)}, id(1)},
			{"create with an old of zeros", cairn.RefUpdate{Name: "refs/heads/a", Old: zeros, New: id(2)}, id(1)},
			{"move from elsewhere", cairn.RefUpdate{Name: "refs/heads/a", Old: id(2), New: id(3)}, id(1)},
			{"move what is there already", cairn.RefUpdate{Name: "refs/heads/a", Old: id(3), New: id(1)}, id(1)},
			{"move what is not", cairn.RefUpdate{Name: "refs/heads/b", Old: id(1), New: id(2)}, git.ObjectID{}},
			{"delete from elsewhere", cairn.RefUpdate{Name: "refs/heads/a", Old: id(2)}, id(1)},
			{"delete what is not", cairn.RefUpdate{Name: "refs/heads/b", Old: id(2), New: zeros}, git.ObjectID{}},
			{"claim that it is not", cairn.RefUpdate{Name: "refs/heads/a"}, id(1)},
		} {
			before := s.refs(key)
			err := s.Update(t.Context(), func(tx cairn.Tx) error {
				return advanced(tx, key, func(tx cairn.Tx, version int64) error {
					good := cairn.RefUpdate{Name: "refs/heads/first", New: id(9)}
					return tx.Refs().Update(key, version, day(2), []cairn.RefUpdate{good, c.update})
				})
			})
			var conflict *cairn.RefConflict
			if !errors.As(err, &conflict) || !errors.Is(err, cairn.Conflict) {
				t.Fatalf("%s: got error %v, want a RefConflict", c.name, err)
			}
			same(t, c.name, *conflict, cairn.RefConflict{Update: c.update, Current: c.current})
			same(t, c.name+": refs after it", s.refs(key), before)
		}
	},
	"a claim that a ref is not": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.move(key, cairn.RefUpdate{Name: "refs/heads/a"})
		sameList(t, "refs", s.refs(key), nil)
	},
	"updates of one ref follow each other": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.move(key,
			cairn.RefUpdate{Name: "refs/heads/a", New: id(1)},
			cairn.RefUpdate{Name: "refs/heads/a", Old: id(1), New: id(2)},
			cairn.RefUpdate{Name: "refs/heads/b", New: id(1)},
			cairn.RefUpdate{Name: "refs/heads/b", Old: id(1)})
		same(t, "refs", s.refs(key), []cairn.Ref{{Name: "refs/heads/a", Target: id(2), CreatedAt: day(1), Created: 1}})
	},
	"names are bytes": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		names := []git.RefName{
			"refs/heads/%", "refs/heads/A", "refs/heads/_", "refs/heads/a", "refs/heads/a'b\"", "refs/heads/a/b",
			"refs/heads/e\u0301", "refs/heads/\u00e9", "refs/heads/\u65e5\u672c", "refs/heads/\U0001f4a9",
			"refs/heads/\xfe\xff", "refs/heads/\xff\xff", "refs/heads0",
		}
		var updates []cairn.RefUpdate
		for i := range names {
			j := (i * 5) % len(names)
			updates = append(updates, cairn.RefUpdate{Name: names[j], New: id(j + 1)})
		}
		s.move(key, updates...)
		for _, c := range []struct {
			prefix string
			want   []git.RefName
		}{
			{"", names}, {"refs/heads/", names[:12]}, {"refs/heads/a", names[3:6]}, {"refs/heads/a/", names[5:6]},
			{"refs/heads/%", names[:1]}, {"refs/heads/_", names[2:3]}, {"refs/heads/\xff", names[11:12]},
			{"refs/heads/\xff\xff", names[11:12]}, {"\xff", nil}, {"refs/tags/", nil},
		} {
			s.view(func(tx cairn.Tx) error {
				list, err := tx.Refs().List(key, c.prefix)
				var got []git.RefName
				for _, r := range list {
					got = append(got, r.Name)
				}
				sameList(t, fmt.Sprintf("refs with prefix %q", c.prefix), got, c.want)
				return err
			})
		}
		s.view(func(tx cairn.Tx) error {
			for i, name := range names {
				ref, err := tx.Refs().Get(key, name)
				if err != nil {
					return err
				}
				same(t, "target of "+string(name), ref.Target, id(i+1))
			}
			return nil
		})
	},
	"thousands in one update": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		const n = 5000
		updates := make([]cairn.RefUpdate, n)
		for i := range updates {
			updates[i] = cairn.RefUpdate{Name: git.RefName(fmt.Sprintf("refs/tags/%06d", i)), New: id(i + 1)}
		}
		s.move(key, updates...)
		got := s.refs(key)
		same(t, "number of refs", len(got), n)
		for i, ref := range got {
			same(t, "ref", ref, cairn.Ref{Name: updates[i].Name, Target: updates[i].New, CreatedAt: day(1), Created: 1})
		}
	},
	"a conflict among thousands": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		const taken, n = git.RefName("refs/heads/taken"), 300
		s.move(key, cairn.RefUpdate{Name: taken, New: id(1)})
		before := s.refs(key)
		many := make([]cairn.RefUpdate, n)
		for i := range many {
			many[i] = cairn.RefUpdate{Name: git.RefName(fmt.Sprintf("refs/heads/%06d", i)), New: id(i + 1)}
		}
		with := func(bad ...cairn.RefUpdate) (lists [][]cairn.RefUpdate) {
			for _, at := range []int{0, 1, 63, 64, 65, 127, 128, 250, n} {
				lists = append(lists, slices.Concat(many[:at], bad, many[at:]))
			}
			return lists
		}
		create := cairn.RefUpdate{Name: taken, New: id(1)}
		twice := cairn.RefUpdate{Name: "refs/heads/twice", New: id(2)}
		again := cairn.RefUpdate{Name: "refs/heads/twice", New: id(3)}
		for _, c := range []struct {
			name  string
			lists [][]cairn.RefUpdate
			want  cairn.RefConflict
		}{
			{"create what exists", with(create), cairn.RefConflict{Update: create, Current: id(1)}},
			{"the first of two", with(create, many[0], again), cairn.RefConflict{Update: create, Current: id(1)}},
			{"create twice", with(twice, again), cairn.RefConflict{Update: again, Current: id(2)}},
			{"create the same twice", with(twice, twice), cairn.RefConflict{Update: twice, Current: id(2)}},
			{"delete what is not", with(twice, cairn.RefUpdate{Name: "refs/heads/not", Old: id(1)}), cairn.RefConflict{Update: cairn.RefUpdate{Name: "refs/heads/not", Old: id(1)}}},
		} {
			for _, updates := range c.lists {
				err := s.Update(t.Context(), func(tx cairn.Tx) error {
					return advanced(tx, key, func(tx cairn.Tx, version int64) error { return tx.Refs().Update(key, version, day(2), updates) })
				})
				var conflict *cairn.RefConflict
				if !errors.As(err, &conflict) {
					t.Fatalf("%s: got error %v, want a RefConflict", c.name, err)
				}
				same(t, c.name, *conflict, c.want)
				same(t, c.name+": refs after it", s.refs(key), before)
			}
		}
		s.move(key, slices.Concat(many[:100], []cairn.RefUpdate{{Name: taken, Old: id(1)}, create}, many[100:])...)
		same(t, "number of refs", len(s.refs(key)), n+1)
	},
	"only after Advance": func(_ *testing.T, s store) {
		r, other := s.repository("site"), s.repository("other")
		key := r.RepositoryKey
		for _, f := range []func(tx cairn.Tx) error{
			func(tx cairn.Tx) error {
				return tx.Refs().Update(key, 1, day(1), []cairn.RefUpdate{{Name: "refs/heads/a", New: id(1)}})
			},
			func(tx cairn.Tx) error { return tx.Packs().Add(key, pack(1)) },
			func(tx cairn.Tx) error { return tx.Packs().Replace(key, nil, []cairn.Pack{pack(1)}, day(1)) },
			func(tx cairn.Tx) error { return tx.Packs().Share(other.RepositoryKey, key) },
			func(tx cairn.Tx) error { return tx.Events().Append(key, []cairn.Event{{Version: 1}}) },
			func(tx cairn.Tx) error { return tx.Repositories().SetDefaultBranch(key, "refs/heads/a") },
			func(tx cairn.Tx) error { _, err := tx.Repositories().SetFence(key); return err },
		} {
			s.refuse(cairn.Internal, f)
			s.refuseWrite(cairn.Internal, other.RepositoryKey, func(tx cairn.Tx, _ int64) error { return f(tx) })
		}
	},
	"organizations are apart": func(t *testing.T, s store) {
		a := s.repositoryOf("a", "site")
		b := a
		b.Organization = "b"
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Create(b); return err })
		s.move(a.RepositoryKey, cairn.RefUpdate{Name: "refs/heads/main", New: id(1)})
		sameList(t, "refs of the other", s.refs(b.RepositoryKey), nil)
		s.move(b.RepositoryKey, cairn.RefUpdate{Name: "refs/heads/main", New: id(2)})
		same(t, "target", s.refs(a.RepositoryKey)[0].Target, id(1))
		same(t, "target in the other", s.refs(b.RepositoryKey)[0].Target, id(2))
	},
}
