package storagetest

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var upstreamCases = map[string]func(*testing.T, store){
	"a repository gets an upstream and loses it": func(t *testing.T, s store) {
		r := s.repository("site")
		want := cairn.Upstream{Provider: cairn.GitHub, Host: "github.com", Owner: "o", Name: "n"}
		for _, c := range []struct {
			upstream cairn.Upstream
			syncing  bool
		}{{want, true}, {want, false}, {cairn.Upstream{}, false}} {
			s.write(r.RepositoryKey, func(tx cairn.Tx, _ int64) error {
				return tx.Repositories().SetUpstream(r.RepositoryKey, c.upstream, c.syncing)
			})
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Repositories().Find("acme", "site")
				same(t, "upstream", got.Upstream, c.upstream)
				same(t, "syncing", got.Syncing, c.syncing)
				return err
			})
		}
		s.refuse(cairn.Internal, func(tx cairn.Tx) error {
			return tx.Repositories().SetUpstream(r.RepositoryKey, want, false) // without Advance
		})
	},
	"what is known of a sync": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		s.absent(func(tx cairn.Tx) error { _, err := tx.Upstreams().Sync(key); return err })
		for _, want := range []cairn.Sync{
			{RepositoryKey: key, Status: cairn.SyncQueued, RequestedAt: day(1)},
			{RepositoryKey: key, Status: cairn.SyncFailed, Runs: 7, RequestedAt: day(2), StartedAt: day(3), EndedAt: day(4), SucceededAt: day(5), Error: "no \x01 way"},
		} {
			s.update(func(tx cairn.Tx) error { return tx.Upstreams().PutSync(want) })
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Upstreams().Sync(key)
				same(t, "sync", got, want)
				return err
			})
		}
		s.update(func(tx cairn.Tx) error {
			return tx.Upstreams().PutSync(cairn.Sync{RepositoryKey: other, Status: cairn.SyncNever})
		})
		s.update(func(tx cairn.Tx) error { return tx.Upstreams().Forget(key) })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Upstreams().Sync(key); return err })
		s.view(func(tx cairn.Tx) error { _, err := tx.Upstreams().Sync(other); return err })
	},
	"the log of runs": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		put := func(r cairn.SyncRun) {
			t.Helper()
			s.update(func(tx cairn.Tx) error { return tx.Upstreams().PutRun(r) })
		}
		runs := func(what string, list func(cairn.Upstreams) ([]cairn.SyncRun, error), want ...cairn.SyncRunID) {
			t.Helper()
			s.view(func(tx cairn.Tx) error {
				got, err := list(tx.Upstreams())
				var ids []cairn.SyncRunID
				for _, r := range got {
					ids = append(ids, r.ID)
				}
				sameList(t, what, ids, want)
				return err
			})
		}
		page := func(before cairn.SyncRunID, limit int) func(cairn.Upstreams) ([]cairn.SyncRun, error) {
			return func(u cairn.Upstreams) ([]cairn.SyncRun, error) { return u.Runs(key, before, limit) }
		}
		waiting := func(u cairn.Upstreams) ([]cairn.SyncRun, error) { return u.Waiting(key) }
		s.absent(func(tx cairn.Tx) error { _, err := tx.Upstreams().Run(key, "c"); return err })
		run := cairn.SyncRun{RepositoryKey: key, ID: "c", Direction: cairn.Pull, Follow: true, Branches: "*", Status: cairn.SyncQueued, RequestedAt: day(1)}
		put(run)
		for i, id := range []cairn.SyncRunID{"a", "b"} { // ids do not tell the order
			put(cairn.SyncRun{RepositoryKey: key, ID: id, Direction: cairn.Push, Status: cairn.SyncQueued, RequestedAt: day(2 + i)})
		}
		put(cairn.SyncRun{RepositoryKey: other, ID: "c", Direction: cairn.Push, Status: cairn.SyncQueued, RequestedAt: day(9)})
		run.Status, run.Attempts, run.Error, run.RequestedAt, run.StartedAt, run.EndedAt = cairn.SyncFailed, 3, "no \x01 way", day(4), day(5), day(6)
		run.Refs = []cairn.SyncRef{
			{Name: "refs/heads/a b\xff", After: id(1), Outcome: cairn.RefUpdated},
			{Name: "refs/tags/v1", Before: id(2), After: id(3), Outcome: cairn.RefRejected},
		}
		put(run)
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Upstreams().Run(key, "c")
			same(t, "run", got, run)
			return err
		})
		runs("newest first", page("", 10), "b", "a", "c")
		runs("a page", page("", 2), "b", "a")
		runs("the next page", page("a", 2), "c")
		runs("after one that is gone", page("x", 2))
		runs("waiting", waiting, "a", "b")
		for _, id := range []cairn.SyncRunID{"d", "e"} {
			put(cairn.SyncRun{RepositoryKey: key, ID: id, Direction: cairn.Push, Status: cairn.SyncSucceeded, RequestedAt: day(7), EndedAt: day(8)})
		}
		s.update(func(tx cairn.Tx) error { return tx.Upstreams().ForgetRuns(key, 2) })
		runs("what waits is not forgotten", page("", 10), "e", "d", "b", "a")
		s.update(func(tx cairn.Tx) error { return tx.Upstreams().ForgetRuns(key, 2) })
		runs("nothing more to forget", page("", 10), "e", "d", "b", "a")
		s.update(func(tx cairn.Tx) error { return tx.Upstreams().Forget(key) })
		runs("all forgotten", page("", 10))
		s.view(func(tx cairn.Tx) error { _, err := tx.Upstreams().Run(other, "c"); return err })
	},
	"tracked refs": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repository("other").RepositoryKey
		tracked := func(key cairn.RepositoryKey, want ...git.RefName) {
			t.Helper()
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Upstreams().Tracked(key)
				sameList(t, "tracked", got, want)
				return err
			})
		}
		s.write(key, func(tx cairn.Tx, _ int64) error {
			return tx.Upstreams().Track(key, []git.RefName{"refs/tags/v1", "refs/heads/\xff", "refs/heads/a", "refs/heads/a"})
		})
		s.write(other, func(tx cairn.Tx, _ int64) error { return tx.Upstreams().Track(other, []git.RefName{"refs/heads/a"}) })
		tracked(key, "refs/heads/a", "refs/heads/\xff", "refs/tags/v1")
		s.write(key, func(tx cairn.Tx, _ int64) error {
			return tx.Upstreams().Untrack(key, []git.RefName{"refs/heads/a", "refs/heads/never"})
		})
		tracked(key, "refs/heads/\xff", "refs/tags/v1")
		s.refuse(cairn.Internal, func(tx cairn.Tx) error { return tx.Upstreams().Track(key, []git.RefName{"refs/heads/b"}) })
		s.update(func(tx cairn.Tx) error { return tx.Upstreams().Forget(key) })
		tracked(key)
		tracked(other, "refs/heads/a")
	},
	"a purge removes it": func(t *testing.T, s store) {
		r := s.repository("site")
		s.write(r.RepositoryKey, func(tx cairn.Tx, _ int64) error {
			if err := tx.Upstreams().Track(r.RepositoryKey, []git.RefName{"refs/heads/a"}); err != nil {
				return err
			}
			if err := tx.Credentials().Create(credential(r.RepositoryKey, "c1")); err != nil {
				return err
			}
			if err := tx.Upstreams().PutRun(cairn.SyncRun{RepositoryKey: r.RepositoryKey, ID: "a", RequestedAt: day(1)}); err != nil {
				return err
			}
			return tx.Upstreams().PutSync(cairn.Sync{RepositoryKey: r.RepositoryKey, Status: cairn.SyncQueued})
		})
		s.update(func(tx cairn.Tx) error { return tx.Repositories().Delete(r.RepositoryKey, day(1)) })
		s.view(func(tx cairn.Tx) error { _, err := tx.Credentials().Get("acme", "c1"); return err })
		s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(r.RepositoryKey, day(2), 1000); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Upstreams().Sync(r.RepositoryKey); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Upstreams().Run(r.RepositoryKey, "a"); return err })
		s.absent(func(tx cairn.Tx) error { _, err := tx.Credentials().Get("acme", "c1"); return err })
		s.view(func(tx cairn.Tx) error {
			names, err := tx.Upstreams().Tracked(r.RepositoryKey)
			sameList(t, "tracked", names, nil)
			return err
		})
	},
}

func credential(key cairn.RepositoryKey, id string) cairn.Credential {
	return cairn.Credential{
		Organization: key.Organization, ID: id, Repository: key.Repository, Kind: cairn.TokenLogin,
		Sealed: []byte("\x00secret\xff"), CreatedAt: day(1), UpdatedAt: day(1),
	}
}

var credentialCases = map[string]func(*testing.T, store){
	"created, replaced, deleted": func(t *testing.T, s store) {
		key, other := s.repository("site").RepositoryKey, s.repositoryOf("other", "site").RepositoryKey
		want := credential(key, "c1")
		s.update(func(tx cairn.Tx) error {
			if err := tx.Credentials().Create(credential(other, "c1")); err != nil {
				return err
			}
			return tx.Credentials().Create(want)
		})
		known := func() {
			t.Helper()
			s.view(func(tx cairn.Tx) error {
				got, err := tx.Credentials().Get("acme", "c1")
				same(t, "by id", got, want)
				if err != nil {
					return err
				}
				got, err = tx.Credentials().Of(key)
				same(t, "by repository", got, want)
				return err
			})
		}
		known()
		s.refuse(cairn.Conflict, func(tx cairn.Tx) error { return tx.Credentials().Create(credential(key, "c2")) })
		want.Kind, want.Sealed, want.UpdatedAt = cairn.PasswordLogin, []byte("another"), day(2)
		s.update(func(tx cairn.Tx) error {
			return tx.Credentials().Replace("acme", "c1", want.Kind, want.Sealed, want.UpdatedAt)
		})
		known()
		s.update(func(tx cairn.Tx) error { return tx.Credentials().Delete("acme", "c1") })
		for _, f := range []func(tx cairn.Tx) error{
			func(tx cairn.Tx) error { return tx.Credentials().Delete("acme", "c1") },
			func(tx cairn.Tx) error { return tx.Credentials().Replace("acme", "c1", "", nil, day(3)) },
		} {
			s.refuse(cairn.NotFound, f)
		}
		s.absent(func(tx cairn.Tx) error { _, err := tx.Credentials().Of(key); return err })
		s.view(func(tx cairn.Tx) error { _, err := tx.Credentials().Of(other); return err })
	},
}
