package storagetest

import (
	"fmt"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var repositoryCases = map[string]func(*testing.T, store){
	"paged by number, in a folder": func(t *testing.T, s store) {
		for _, name := range []cairn.RepositoryName{"web", "web/site", "web/App", "web/äpp", "web-2/app", "zoo", "webs/x"} {
			s.repository(name)
		}
		gone := s.repository("web/gone")
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(gone.RepositoryKey, day(2)) })
		s.repositoryOf("other", "web/theirs")
		for _, c := range []struct {
			folder, query string
			offset, limit int
			want          []string
			total         int
		}{
			{"", "", 0, 9, []string{"web", "web-2/app", "web/App", "web/site", "web/äpp", "webs/x", "zoo"}, 7},
			{"", "", 2, 2, []string{"web/App", "web/site"}, 7},
			{"", "", 7, 2, nil, 7},
			{"web/", "", 0, 9, []string{"web/App", "web/site", "web/äpp"}, 3},
			{"web/", "", 1, 1, []string{"web/site"}, 3},
			{"web/", "APP", 0, 9, []string{"web/App"}, 1},
			{"web/", "web", 0, 9, nil, 0},
			{"", "%", 0, 9, nil, 0},
			{"", "web-2/", 0, 9, []string{"web-2/app"}, 1},
			{"no/", "", 0, 9, nil, 0},
		} {
			s.view(func(tx cairn.Tx) error {
				list, total, err := tx.Repositories().Page("acme", c.folder, c.query, c.offset, c.limit)
				var got []string
				for _, r := range list {
					got = append(got, string(r.Name))
				}
				what := fmt.Sprintf("folder %q, query %q from %d", c.folder, c.query, c.offset)
				sameList(t, what, got, c.want)
				same(t, what, total, c.total)
				return err
			})
		}
	},
	"renamed": func(t *testing.T, s store) {
		app, lib := s.repository("app"), s.repository("lib")
		gone := s.repository("gone")
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(gone.RepositoryKey, day(2)) })
		rename := func(name cairn.RepositoryName) func(cairn.Tx, int64) error {
			return func(tx cairn.Tx, _ int64) error { return tx.Repositories().Rename(app.RepositoryKey, name) }
		}
		s.refuseWrite(cairn.Conflict, app.RepositoryKey, rename("lib"))
		s.write(app.RepositoryKey, rename("app"))
		s.write(app.RepositoryKey, rename("gone"))
		s.refuse(cairn.Internal, func(tx cairn.Tx) error { return tx.Repositories().Rename(lib.RepositoryKey, "x") })
		s.view(func(tx cairn.Tx) error {
			found, err := tx.Repositories().Find("acme", "gone")
			same(t, "the renamed one", found.Repository, app.Repository)
			return err
		})
		s.absent(func(tx cairn.Tx) error {
			_, err := tx.Repositories().Find("acme", "app")
			return err
		})
	},
	"labels": func(t *testing.T, s store) {
		app, lib := s.repository("app"), s.repository("lib")
		s.repositoryOf("other", "app")
		gone := s.repository("gone")
		want := cairn.Labels{"env": "prod", "a b": "c,d"}
		s.update(func(tx cairn.Tx) error {
			if err := tx.Repositories().SetLabels(app.RepositoryKey, cairn.Labels{"x": "y"}); err != nil {
				return err
			}
			if err := tx.Repositories().SetLabels(lib.RepositoryKey, want); err != nil {
				return err
			}
			return tx.Repositories().Delete(gone.RepositoryKey, day(2))
		})
		s.update(func(tx cairn.Tx) error { return tx.Repositories().SetLabels(app.RepositoryKey, nil) })
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct {
				key  cairn.RepositoryKey
				want cairn.Labels
			}{{app.RepositoryKey, nil}, {lib.RepositoryKey, want}, {cairn.RepositoryKey{Organization: "other", Repository: lib.Repository}, nil}} {
				got, err := tx.Repositories().Labels(c.key)
				if err != nil {
					return err
				}
				same(t, "labels", got, c.want)
			}
			return nil
		})
	},
	"created, found, got": func(t *testing.T, s store) {
		want := newRepository("acme", "team/Ünïcode.naïve~1")
		want.DefaultBranch, want.Format, want.Version, want.Fence = "refs/heads/\xff/odd", git.SHA256, 3, 2
		want.Upstream = cairn.Upstream{Provider: cairn.Forgejo, Host: "git.example.com", Owner: "~o\"dd", Name: "n", DefaultBranch: "trunk"}
		want.Syncing = true
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Create(want); return err })
		s.view(func(tx cairn.Tx) error {
			found, err := tx.Repositories().Find("acme", want.Name)
			if err != nil {
				return err
			}
			same(t, "found", found, want)
			got, err := tx.Repositories().Get(want.RepositoryKey)
			same(t, "got", got, want)
			return err
		})
	},
	"absent": func(_ *testing.T, s store) {
		r := s.repository("site")
		other := cairn.RepositoryKey{Organization: "other", Repository: r.Repository}
		for _, f := range []func(tx cairn.Tx) error{
			func(tx cairn.Tx) error { _, err := tx.Repositories().Find("acme", "Site"); return err },
			func(tx cairn.Tx) error { _, err := tx.Repositories().Find("other", "site"); return err },
			func(tx cairn.Tx) error { _, err := tx.Repositories().Get(other); return err },
		} {
			s.absent(f)
		}
		for _, f := range []func(tx cairn.Tx) error{
			func(tx cairn.Tx) error { _, err := tx.Repositories().Advance(other); return err },
			func(tx cairn.Tx) error { return tx.Repositories().Delete(other, day(1)) },
			func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(other, day(1), 1000); return err },
			func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(1), 1000); return err }, // it lives
		} {
			s.refuse(cairn.NotFound, f)
		}
	},
	"a name is taken once in an organization": func(_ *testing.T, s store) {
		r := s.repository("site")
		s.repositoryOf("other", "site")
		s.repository("Site")
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { _, err := tx.Repositories().Create(newRepository("acme", "site")); return err })
		same := newRepository("acme", "another")
		same.RepositoryKey = r.RepositoryKey
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { _, err := tx.Repositories().Create(same); return err })
	},
	"listed in byte order, by page and by query": func(t *testing.T, s store) {
		names := []cairn.RepositoryName{"100%", "A", "B/b", "a", "a/b", "a_b", "ab", "É", "é"}
		for i := range names {
			s.repository(names[(i*4)%len(names)])
		}
		s.repositoryOf("other", "ab-other")
		gone := s.repository("a-gone")
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(gone.RepositoryKey, day(1)) })
		for _, c := range []struct {
			query string
			after cairn.RepositoryName
			limit int
			want  []cairn.RepositoryName
		}{
			{"", "", 100, names},
			{"", "", 3, names[:3]},
			{"", "A", 2, names[2:4]},
			{"", "a0", 100, names[5:]},
			{"", "é", 100, nil},
			{"", "", 0, nil},
			{"B", "", 100, []cairn.RepositoryName{"B/b", "a/b", "a_b", "ab"}},
			{"b", "a/b", 1, []cairn.RepositoryName{"a_b"}},
			{"_", "", 100, []cairn.RepositoryName{"a_b"}},
			{"%", "", 100, []cairn.RepositoryName{"100%"}},
			{"é", "", 100, []cairn.RepositoryName{"é"}},
			{"!", "", 100, nil},
			{`\`, "", 100, nil},
			{"a\x00", "", 100, nil},
			{"\xff", "", 100, nil},
		} {
			s.view(func(tx cairn.Tx) error {
				list, err := tx.Repositories().List("acme", c.query, c.after, c.limit)
				var got []cairn.RepositoryName
				for _, r := range list {
					got = append(got, r.Name)
				}
				sameList(t, "query "+c.query+" after "+string(c.after), got, c.want)
				return err
			})
		}
	},
	"every write makes a version": func(t *testing.T, s store) {
		r := s.repository("site")
		for want := int64(1); want <= 3; want++ {
			s.write(r.RepositoryKey, func(_ cairn.Tx, version int64) error {
				same(t, "version", version, want)
				return nil
			})
		}
		s.update(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Advance(r.RepositoryKey)
			want := r
			want.Version = 4
			same(t, "advanced", got, want)
			return err
		})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Get(r.RepositoryKey)
			same(t, "version", got.Version, 4)
			return err
		})
	},
	"another default branch": func(t *testing.T, s store) {
		r := s.repository("site")
		s.write(r.RepositoryKey, func(tx cairn.Tx, _ int64) error {
			return tx.Repositories().SetDefaultBranch(r.RepositoryKey, "refs/heads/trunk")
		})
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Find("acme", "site")
			want := r
			want.DefaultBranch, want.Version = "refs/heads/trunk", 1
			same(t, "repository", got, want)
			return err
		})
	},
	"a fence at the present version": func(t *testing.T, s store) {
		r, other := s.repository("site"), s.repository("other")
		s.write(r.RepositoryKey, func(cairn.Tx, int64) error { return nil })
		s.write(r.RepositoryKey, func(tx cairn.Tx, version int64) error {
			got, err := tx.Repositories().SetFence(r.RepositoryKey)
			same(t, "fence", got, version)
			return err
		})
		s.write(r.RepositoryKey, func(cairn.Tx, int64) error { return nil })
		r.Version, r.Fence = 3, 2
		s.view(func(tx cairn.Tx) error {
			for _, want := range []cairn.Repository{r, other} {
				got, err := tx.Repositories().Get(want.RepositoryKey)
				if err != nil {
					return err
				}
				same(t, "repository", got, want)
			}
			return nil
		})
	},
	"deletion frees the name and keeps the rest": func(t *testing.T, s store) {
		r := s.repository("site")
		s.move(r.RepositoryKey, cairn.RefUpdate{Name: "refs/heads/main", New: id(1)})
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(5)) })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Repositories().Find("acme", "site"); return err })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(6)) })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { _, err := tx.Repositories().Advance(r.RepositoryKey); return err })
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Get(r.RepositoryKey)
			want := r
			want.Version, want.DeletedAt = 1, day(5)
			same(t, "deleted repository", got, want)
			return err
		})
		same(t, "number of refs", len(s.refs(r.RepositoryKey)), 1)
		next := s.repository("site")
		sameList(t, "refs of the next of that name", s.refs(next.RepositoryKey), nil)
	},
	"the deleted, oldest first, of all organizations": func(t *testing.T, s store) {
		var want []cairn.Repository
		for i, org := range []cairn.OrganizationID{"b", "a", "c"} {
			r := s.repositoryOf(org, "site")
			s.repositoryOf(org, "living")
			s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(i+1)) })
			r.DeletedAt = day(i + 1)
			want = append(want, r)
		}
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct{ before, limit, want int }{{9, 9, 3}, {3, 9, 2}, {1, 9, 0}, {9, 1, 1}, {9, 0, 0}} {
				got, err := tx.Repositories().Deleted(day(c.before), c.limit)
				if err != nil {
					return err
				}
				sameList(t, "deleted", got, want[:c.want])
			}
			return nil
		})
	},
	"the deleted of an organization, by name and time": func(t *testing.T, s store) {
		var want []cairn.Repository
		for i, name := range []cairn.RepositoryName{"a", "a", "b", "b", "c"} {
			r := s.repository(name)
			s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(i+1)) })
			r.DeletedAt = day(i + 1)
			want = append(want, r)
		}
		s.repository("a")
		other := s.repositoryOf("other", "a")
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(other.RepositoryKey, day(3)) })
		s.view(func(tx cairn.Tx) error {
			for _, c := range []struct {
				since, limit int
				after        cairn.Repository
				want         []cairn.Repository
			}{
				{1, 9, cairn.Repository{}, want}, {2, 9, cairn.Repository{}, want[1:]}, {6, 9, cairn.Repository{}, nil},
				{1, 2, cairn.Repository{}, want[:2]}, {1, 2, want[1], want[2:4]}, {1, 9, want[4], nil}, {1, 0, cairn.Repository{}, nil},
				{1, 9, cairn.Repository{Name: "b", DeletedAt: day(3)}, want[2:]},
			} {
				got, err := tx.Repositories().DeletedOf("acme", day(c.since), c.after, c.limit)
				if err != nil {
					return err
				}
				sameList(t, "deleted", got, c.want)
			}
			return nil
		})
	},
	"restored as it was": func(t *testing.T, s store) {
		r := s.repository("site")
		s.move(r.RepositoryKey, cairn.RefUpdate{Name: "refs/heads/main", New: id(1)})
		restore := func(tx cairn.Tx) error { return tx.Repositories().Restore(r.RepositoryKey) }
		s.refuse(cairn.NotFound, restore)
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(5)) })
		next := s.repository("site")
		s.refuse(cairn.Conflict, restore)
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(next.RepositoryKey, day(6)) })
		s.update(restore)
		s.view(func(tx cairn.Tx) error {
			found, err := tx.Repositories().Find("acme", "site")
			want := r
			want.Version = 1
			same(t, "restored", found, want)
			return err
		})
		same(t, "number of refs", len(s.refs(r.RepositoryKey)), 1)
		s.write(r.RepositoryKey, func(cairn.Tx, int64) error { return nil })
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error {
			return tx.Repositories().Restore(cairn.RepositoryKey{Organization: "other", Repository: r.Repository})
		})
	},
	"the time of a purge": func(t *testing.T, s store) {
		r := s.repository("site")
		s.write(r.RepositoryKey, func(tx cairn.Tx, _ int64) error { return tx.Repositories().SetPurged(r.RepositoryKey, day(3)) })
		r.Version, r.PurgedAt = 1, day(3)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Get(r.RepositoryKey)
			same(t, "repository", got, r)
			return err
		})
	},
	"purged a few rows at a time": func(t *testing.T, s store) {
		r := s.repository("site")
		key := r.RepositoryKey
		for range 5 {
			s.write(key, func(tx cairn.Tx, version int64) error {
				if err := tx.Packs().Add(key, pack(int(version))); err != nil {
					return err
				}
				if err := tx.Events().Append(key, []cairn.Event{{Version: version}, {Version: version, Ordinal: 1}}); err != nil {
					return err
				}
				name := git.RefName("refs/heads/" + string(rune('a'+version)))
				return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{{Name: name, New: id(1)}})
			})
		}
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(key, day(5)) })
		calls := 0
		for done := false; !done; calls++ {
			s.update(func(tx cairn.Tx) (err error) {
				done, err = tx.Repositories().Purge(key, day(6), 3)
				return err
			})
			if done {
				break
			}
			s.refuse(cairn.NotFound, func(tx cairn.Tx) error { return tx.Repositories().Restore(key) })
			s.view(func(tx cairn.Tx) error {
				list, err := tx.Repositories().DeletedOf("acme", day(1), cairn.Repository{}, 9)
				if err != nil {
					return err
				}
				sameList(t, "that can be restored", list, nil)
				list, err = tx.Repositories().Deleted(day(1), 9)
				same(t, "number of deleted that are to be purged", len(list), 1)
				return err
			})
		}
		if calls < 20/3 { // 20 rows
			t.Errorf("purged in %d transactions", calls)
		}
		s.absent(func(tx cairn.Tx) error { _, err := tx.Repositories().Get(key); return err })
		sameList(t, "refs", s.refs(key), nil)
		sameList(t, "manifest", s.manifest(key), nil)
		same(t, "packs that are garbage", len(s.garbage(day(7))), 5)
	},
	"purge leaves nothing but garbage": func(t *testing.T, s store) {
		r, fork := s.repository("site"), s.repository("fork")
		key := r.RepositoryKey
		s.write(key, func(tx cairn.Tx, version int64) error {
			if err := tx.Packs().Add(key, pack(1), pack(2)); err != nil {
				return err
			}
			if err := tx.Events().Append(key, []cairn.Event{{Version: version}}); err != nil {
				return err
			}
			return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{{Name: "refs/heads/main", New: id(1)}})
		})
		s.write(fork.RepositoryKey, func(tx cairn.Tx, _ int64) error {
			return tx.Packs().Add(fork.RepositoryKey, pack(2))
		})
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(key, day(5)) })
		sameList(t, "garbage before the purge", s.garbage(day(9)), nil)
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(key, day(6), 1000); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Repositories().Get(key); return err })
		sameList(t, "refs", s.refs(key), nil)
		sameList(t, "manifest", s.manifest(key), nil)
		sameList(t, "manifest of the fork", s.manifest(fork.RepositoryKey), []cairn.PackID{packID(2)})
		sameList(t, "garbage", s.garbage(day(7)), []cairn.PackID{packID(1)})
		s.view(func(tx cairn.Tx) error {
			events, err := tx.Events().List(key, 0, 0, 10)
			sameList(t, "events", events, nil)
			return err
		})
		s.refuse(cairn.NotFound, func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(key, day(8), 1000); return err })
	},
}
