package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// writers is how many goroutines write at once.
const writers = 32

// together runs f on all writers at once and waits for them.
func together(f func(writer int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range writers {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

// try moves one ref from another goroutine than the test's.
func (s store) try(key cairn.RepositoryKey, u cairn.RefUpdate) error {
	return s.Update(s.t.Context(), func(tx cairn.Tx) error {
		return advanced(tx, key, func(tx cairn.Tx, version int64) error {
			return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{u})
		})
	})
}

// number is the n of id(n).
func number(id git.ObjectID) int {
	raw := id.Bytes()
	if len(raw) == 0 {
		return 0
	}
	return int(raw[len(raw)-1]) | int(raw[len(raw)-2])<<8 | int(raw[len(raw)-3])<<16
}

var concurrencyCases = map[string]func(*testing.T, store){
	"one of many creates a ref": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		for round := range 5 {
			name := git.RefName(fmt.Sprintf("refs/heads/%d", round))
			var winner atomic.Int64
			var losers sync.Map
			together(func(i int) {
				err := s.try(key, cairn.RefUpdate{Name: name, New: id(i + 1)})
				var conflict *cairn.RefConflict
				switch {
				case err == nil && !winner.CompareAndSwap(0, int64(i+1)):
					t.Error("two writers created one ref")
				case errors.As(err, &conflict):
					losers.Store(i, number(conflict.Current))
				case err != nil:
					t.Errorf("writer %d: %v", i, err)
				}
			})
			n := 0
			losers.Range(func(_, current any) bool {
				n++
				same(t, "where a loser found the ref", current, any(int(winner.Load())))
				return true
			})
			same(t, "losers", n, writers-1)
			same(t, "target", s.refs(key)[round].Target, id(int(winner.Load())))
		}
	},
	"no update is lost": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.move(key, cairn.RefUpdate{Name: "refs/heads/n", New: id(1)})
		const each = 8
		together(func(int) {
			at := 1
			for done := 0; done < each; {
				err := s.try(key, cairn.RefUpdate{Name: "refs/heads/n", Old: id(at), New: id(at + 1)})
				var conflict *cairn.RefConflict
				switch {
				case err == nil:
					done++
					at++
				case errors.As(err, &conflict):
					if number(conflict.Current) <= at {
						t.Errorf("expected at %d, told to be at %d", at, number(conflict.Current))
						return
					}
					at = number(conflict.Current)
				default:
					t.Error(err)
					return
				}
			}
		})
		same(t, "counted", number(s.refs(key)[0].Target), 1+each*writers)
	},
	"what an update read still holds when it writes": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		const each = 8
		together(func(int) {
			for range each {
				err := s.Update(t.Context(), func(tx cairn.Tx) error {
					return advanced(tx, key, func(tx cairn.Tx, version int64) error {
						ref, err := tx.Refs().Get(key, "refs/heads/n")
						if err != nil && !errors.Is(err, cairn.NotFound) {
							return err
						}
						u := cairn.RefUpdate{Name: "refs/heads/n", Old: ref.Target, New: id(number(ref.Target) + 1)}
						if err := tx.Events().Append(key, []cairn.Event{{Version: version, RefUpdate: u, At: day(1)}}); err != nil {
							return err
						}
						return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{u})
					})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		same(t, "counted", number(s.refs(key)[0].Target), each*writers)
		s.view(func(tx cairn.Tx) error {
			events, err := tx.Events().List(key, 0, 0, 10_000)
			same(t, "number of events", len(events), each*writers)
			for i, e := range events {
				same(t, "event", []int{int(e.Version), number(e.Old), number(e.New)}, []int{i + 1, i, i + 1})
			}
			return err
		})
	},
	"refs that move together are seen together": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.move(key, cairn.RefUpdate{Name: "refs/heads/a", New: id(1)}, cairn.RefUpdate{Name: "refs/heads/b", New: id(1)})
		together(func(i int) {
			for n := range 10 {
				var err error
				switch {
				case i%4 == 0: // reads
					err = s.View(t.Context(), func(tx cairn.Tx) error {
						a, err := tx.Refs().Get(key, "refs/heads/a")
						if err != nil {
							return err
						}
						b, err := tx.Refs().Get(key, "refs/heads/b")
						if err == nil && a.Target != b.Target {
							err = fmt.Errorf("refs are at %v and %v", a.Target, b.Target)
						}
						return err
					})
				default: // writes, or tries to and fails halfway
					err = s.Update(t.Context(), func(tx cairn.Tx) error {
						return advanced(tx, key, func(tx cairn.Tx, version int64) error {
							for _, name := range []git.RefName{"refs/heads/a", "refs/heads/b"} {
								ref, err := tx.Refs().Get(key, name)
								if err != nil {
									return err
								}
								u := cairn.RefUpdate{Name: name, Old: ref.Target, New: id(number(ref.Target) + 1)}
								if err := tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{u}); err != nil {
									return err
								}
								if i%4 == 1 {
									return errMine
								}
							}
							return nil
						})
					})
					if i%4 == 1 && errors.Is(err, errMine) {
						err = nil
					}
				}
				if err != nil {
					t.Errorf("writer %d, turn %d: %v", i, n, err)
				}
			}
		})
		want := id(1 + 10*writers/2)
		same(t, "targets", []git.ObjectID{s.refs(key)[0].Target, s.refs(key)[1].Target}, []git.ObjectID{want, want})
	},
	"one of many takes a name": func(t *testing.T, s store) {
		var winners atomic.Int64
		together(func(int) {
			err := s.Update(t.Context(), func(tx cairn.Tx) error { _, err := tx.Repositories().Create(newRepository("acme", "site")); return err })
			if err == nil {
				winners.Add(1)
			} else if !errors.Is(err, cairn.Conflict) {
				t.Error(err)
			}
		})
		same(t, "winners", winners.Load(), 1)
	},
	"one of many compacts, and no reader misses a pack": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		for n := range 8 {
			s.write(key, func(tx cairn.Tx, _ int64) error { return tx.Packs().Add(key, inline(n, 100)) })
		}
		var winners atomic.Int64
		together(func(i int) {
			if i%2 == 0 {
				err := s.View(t.Context(), func(tx cairn.Tx) error {
					packs, err := tx.Packs().Manifest(key)
					for _, p := range packs {
						if _, err := tx.Packs().Get("acme", p.ID); err != nil {
							return err
						}
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
				return
			}
			err := s.Update(t.Context(), func(tx cairn.Tx) error {
				return advanced(tx, key, func(tx cairn.Tx, _ int64) error {
					return tx.Packs().Replace(key, []cairn.PackID{packID(1), packID(2)}, []cairn.Pack{pack(100 + i)}, day(1))
				})
			})
			if err == nil {
				winners.Add(1)
			} else if !errors.Is(err, cairn.Conflict) {
				t.Error(err)
			}
			err = s.Update(t.Context(), func(tx cairn.Tx) error {
				garbage, err := tx.Packs().Garbage(day(2), 100)
				for _, g := range garbage {
					if _, err := tx.Packs().Collect(g.Organization, g.ID); err != nil {
						return err
					}
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		same(t, "winners", winners.Load(), 1)
		same(t, "number of packs", len(s.manifest(key)), 7)
	},
	"repositories and organizations side by side": func(t *testing.T, s store) {
		together(func(i int) {
			r := newRepository(cairn.OrganizationID(fmt.Sprint(i%4)), cairn.RepositoryName(fmt.Sprint(i)))
			key := r.RepositoryKey
			err := s.Update(t.Context(), func(tx cairn.Tx) error { _, err := tx.Repositories().Create(r); return err })
			for n := 0; n < 10 && err == nil; n++ {
				if err = s.try(key, cairn.RefUpdate{Name: "refs/heads/a", Old: ifPositive(n), New: id(n + 1)}); err != nil {
					break
				}
				err = s.View(t.Context(), func(tx cairn.Tx) error { // what returned is seen
					ref, err := tx.Refs().Get(key, "refs/heads/a")
					if err == nil && ref.Target != id(n+1) {
						err = fmt.Errorf("ref is at %v", ref.Target)
					}
					return err
				})
			}
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	},
}

// ifPositive is id(n), or the zero id for 0.
func ifPositive(n int) git.ObjectID {
	if n == 0 {
		return git.ObjectID{}
	}
	return id(n)
}
