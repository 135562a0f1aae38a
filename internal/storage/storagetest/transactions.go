package storagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var errMine = errors.New("an error of the test's own")

// everything writes with every noun to a new repository that it returns.
func everything(tx cairn.Tx, name cairn.RepositoryName) (cairn.RepositoryKey, error) {
	r := newRepository("acme", name)
	if err := tx.Organizations().Create(cairn.Organization{ID: cairn.OrganizationID("of-" + name), Name: cairn.OrganizationName(name)}); err != nil {
		return r.RepositoryKey, err
	}
	if err := tx.Keys().Add(cairn.PublicKey{Organization: "acme", ID: string(name)}); err != nil {
		return r.RepositoryKey, err
	}
	if _, err := tx.Repositories().Create(r); err != nil {
		return r.RepositoryKey, err
	}
	return r.RepositoryKey, advanced(tx, r.RepositoryKey, func(tx cairn.Tx, version int64) error {
		if err := tx.Repositories().SetDefaultBranch(r.RepositoryKey, "refs/heads/trunk"); err != nil {
			return err
		}
		if err := tx.Packs().Add(r.RepositoryKey, inline(1, 10)); err != nil {
			return err
		}
		if err := tx.Packs().Replace(r.RepositoryKey, []cairn.PackID{packID(1)}, []cairn.Pack{pack(2)}, day(2)); err != nil {
			return err
		}
		if err := tx.Events().Append(r.RepositoryKey, []cairn.Event{{Version: version, At: day(1)}}); err != nil {
			return err
		}
		return tx.Refs().Update(r.RepositoryKey, version, day(1), []cairn.RefUpdate{{Name: "refs/heads/trunk", New: id(1)}})
	})
}

// has tells what a transaction sees of everything; it is "" for nothing and
// "all" for all of it.
func has(tx cairn.Tx, key cairn.RepositoryKey, name cairn.RepositoryName) (string, error) {
	var seen []string
	var failed error
	note := func(what string, found bool, err error) {
		if err != nil && !errors.Is(err, cairn.NotFound) {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", what, err))
		} else if err == nil && found {
			seen = append(seen, what)
		}
	}
	_, err := tx.Organizations().Find(cairn.OrganizationName(name))
	note("organization", true, err)
	keys, err := tx.Keys().List("acme")
	note("key", len(keys) > 0, err)
	r, err := tx.Repositories().Find("acme", name)
	note("repository", r.Version == 1 && r.DefaultBranch == "refs/heads/trunk", err)
	ref, err := tx.Refs().Get(key, "refs/heads/trunk")
	note("ref", ref.Target == id(1), err)
	packs, err := tx.Packs().Manifest(key)
	note("manifest", len(packs) == 1 && packs[0].ID == packID(2), err)
	p, err := tx.Packs().Get("acme", packID(1))
	note("pack", len(p.Data) == 10, err)
	garbage, err := tx.Packs().Garbage(day(9), 9)
	note("garbage", len(garbage) == 1, err)
	events, err := tx.Events().List(key, 0, 0, 9)
	note("event", len(events) == 1, err)
	if len(seen) == 8 {
		return "all", failed
	}
	return fmt.Sprint(seen)[1:max(len(fmt.Sprint(seen))-1, 1)], failed
}

// sees tells that a new View has all of everything, or nothing.
func (s store) sees(key cairn.RepositoryKey, name cairn.RepositoryName, want string) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) error {
		got, err := has(tx, key, name)
		same(s.t, "what a View sees", got, want)
		return err
	})
}

var transactionCases = map[string]func(*testing.T, store){
	"an update reads what it wrote": func(t *testing.T, s store) {
		var key cairn.RepositoryKey
		s.update(func(tx cairn.Tx) (err error) {
			if key, err = everything(tx, "site"); err != nil {
				return err
			}
			got, err := has(tx, key, "site")
			same(t, "what the update sees", got, "all")
			return err
		})
		s.sees(key, "site", "all")
	},
	"an error undoes all of it": func(t *testing.T, s store) {
		var key cairn.RepositoryKey
		err := s.Update(t.Context(), func(tx cairn.Tx) (err error) {
			if key, err = everything(tx, "site"); err != nil {
				return err
			}
			return fmt.Errorf("later: %w", errMine)
		})
		if !errors.Is(err, errMine) || errors.Is(err, cairn.Unavailable) {
			t.Errorf("got error %v, want the function's own", err)
		}
		s.sees(key, "site", "")
		s.update(func(tx cairn.Tx) (err error) { key, err = everything(tx, "site"); return err })
		s.sees(key, "site", "all")
	},
	"a panic undoes all of it and reaches the caller": func(t *testing.T, s store) {
		var key cairn.RepositoryKey
		func() {
			defer func() { same(t, "recovered", recover(), any(errMine)) }()
			s.Update(t.Context(), func(tx cairn.Tx) (err error) {
				if key, err = everything(tx, "site"); err != nil {
					return err
				}
				panic(errMine)
			})
		}()
		func() {
			defer func() { same(t, "recovered", recover(), any(errMine)) }()
			s.View(t.Context(), func(cairn.Tx) error { panic(errMine) })
		}()
		s.sees(key, "site", "")
		s.update(func(tx cairn.Tx) (err error) { key, err = everything(tx, "site"); return err })
		s.sees(key, "site", "all")
	},
	"a goroutine that ends undoes all of it": func(t *testing.T, s store) {
		var key cairn.RepositoryKey
		for _, run := range []func(context.Context, func(cairn.Tx) error) error{s.View, s.Update} {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				run(t.Context(), func(tx cairn.Tx) error {
					key, _ = everything(tx, "site")
					runtime.Goexit()
					return nil
				})
				t.Error("the goroutine went on")
			}()
			<-ended
		}
		s.sees(key, "site", "")
	},
	"a view cannot write": func(t *testing.T, s store) {
		r, other := s.repository("site"), s.repository("other")
		key := r.RepositoryKey
		for name, write := range map[string]func(cairn.Tx) error{
			"organizations create": func(tx cairn.Tx) error { return tx.Organizations().Create(cairn.Organization{ID: "o", Name: "o"}) },
			"organizations delete": func(tx cairn.Tx) error { return tx.Organizations().Delete("o") },
			"keys add":             func(tx cairn.Tx) error { return tx.Keys().Add(cairn.PublicKey{Organization: "acme", ID: "k"}) },
			"keys revoke":          func(tx cairn.Tx) error { return tx.Keys().Revoke("acme", "k", day(1)) },
			"create":               func(tx cairn.Tx) error { _, err := tx.Repositories().Create(newRepository("acme", "x")); return err },
			"advance":              func(tx cairn.Tx) error { _, err := tx.Repositories().Advance(key); return err },
			"default branch":       func(tx cairn.Tx) error { return tx.Repositories().SetDefaultBranch(key, "refs/heads/x") },
			"fence":                func(tx cairn.Tx) error { _, err := tx.Repositories().SetFence(key); return err },
			"delete":               func(tx cairn.Tx) error { return tx.Repositories().Delete(key, day(1)) },
			"purge":                func(tx cairn.Tx) error { _, err := tx.Repositories().Purge(key, day(1), 1000); return err },
			"refs": func(tx cairn.Tx) error {
				return tx.Refs().Update(key, 1, day(1), []cairn.RefUpdate{{Name: "refs/heads/x", New: id(1)}})
			},
			"packs add":     func(tx cairn.Tx) error { return tx.Packs().Add(key, pack(1)) },
			"packs replace": func(tx cairn.Tx) error { return tx.Packs().Replace(key, nil, []cairn.Pack{pack(1)}, day(1)) },
			"packs share":   func(tx cairn.Tx) error { return tx.Packs().Share(other.RepositoryKey, key) },
			"packs collect": func(tx cairn.Tx) error { _, err := tx.Packs().Collect("acme", packID(1)); return err },
			"events":        func(tx cairn.Tx) error { return tx.Events().Append(key, []cairn.Event{{Version: 1}}) },
		} {
			s.view(func(tx cairn.Tx) error {
				if err := write(tx); err == nil {
					t.Errorf("%s: got no error in a View", name)
				}
				return nil
			})
		}
		s.view(func(tx cairn.Tx) error {
			got, err := tx.Repositories().Get(key)
			same(t, "repository", got, r)
			return err
		})
	},
	"a view is of one moment": func(t *testing.T, s store) {
		r := s.repository("site")
		key := r.RepositoryKey
		s.move(key, cairn.RefUpdate{Name: "refs/heads/a", New: id(1)})
		s.view(func(tx cairn.Tx) error {
			before, err := snapshot(tx, key)
			if err != nil {
				return err
			}
			refs := before[1].([]cairn.Ref)
			n := len(refs)
			updated := make(chan error)
			go func() {
				updated <- s.Update(t.Context(), func(tx cairn.Tx) error {
					return advanced(tx, key, func(tx cairn.Tx, version int64) error {
						if err := tx.Packs().Add(key, pack(1)); err != nil {
							return err
						}
						return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{
							{Name: "refs/heads/a", Old: refs[0].Target, New: id(n + 1)},
							{Name: git.RefName(fmt.Sprintf("refs/heads/b%d", n)), New: id(n + 1)}})
					})
				})
			}()
			if err := <-updated; err != nil {
				return err
			}
			// Whoever comes now sees the new, also from here.
			same(t, "number of refs for others", len(s.refs(key)), n+1)
			after, err := snapshot(tx, key)
			same(t, "the view, later", after, before)
			return err
		})
	},
	"a view waits for no update": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, version int64) error {
			err := tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{{Name: "refs/heads/a", New: id(1)}})
			if err != nil {
				return err
			}
			viewed := make(chan error)
			go func() {
				viewed <- s.View(t.Context(), func(tx cairn.Tx) error {
					got, err := tx.Repositories().Get(key)
					if err == nil && got.Version != 0 {
						err = errors.New("a View saw what was not committed")
					}
					return err
				})
			}()
			return <-viewed
		})
	},
	"an error in the middle can be lived with": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, version int64) error {
			_, err := tx.Refs().Get(key, "refs/heads/none")
			same(t, "absent ref", cairn.KindOf(err), cairn.NotFound)
			_, err = tx.Repositories().Create(newRepository("acme", "site"))
			same(t, "taken name", cairn.KindOf(err), cairn.Conflict)
			return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{{Name: "refs/heads/a", New: id(1)}})
		})
		same(t, "number of refs", len(s.refs(key)), 1)
	},
	"a conflict over refs, packs or events cannot be swallowed": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, version int64) error {
			return tx.Events().Append(key, []cairn.Event{{Version: version}})
		})
		for name, halfDone := range map[string]func(cairn.Tx) error{
			"refs": func(tx cairn.Tx) error {
				return tx.Refs().Update(key, 1, day(1), []cairn.RefUpdate{{Name: "refs/heads/a", New: id(1)}, {Name: "refs/heads/b", Old: id(1)}})
			},
			"packs": func(tx cairn.Tx) error {
				return tx.Packs().Replace(key, []cairn.PackID{packID(1)}, []cairn.Pack{pack(2)}, day(1))
			},
			"events": func(tx cairn.Tx) error { return tx.Events().Append(key, []cairn.Event{{Version: 9}, {Version: 1}}) },
		} {
			err := s.Update(t.Context(), func(tx cairn.Tx) error {
				return advanced(tx, key, func(tx cairn.Tx, _ int64) error {
					if err := halfDone(tx); !errors.Is(err, cairn.Conflict) {
						t.Errorf("%s: got error %v, want %q", name, err, string(cairn.Conflict))
					}
					return nil
				})
			})
			if !errors.Is(err, cairn.Conflict) {
				t.Errorf("%s: got error %v from the Update, want %q", name, err, string(cairn.Conflict))
			}
		}
		sameList(t, "refs", s.refs(key), nil)
	},
	"a context that was done before": func(t *testing.T, s store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, run := range map[string]func(context.Context, func(cairn.Tx) error) error{"view": s.View, "update": s.Update} {
			err := run(ctx, func(cairn.Tx) error {
				t.Errorf("%s: f was run", name)
				return nil
			})
			if !errors.Is(err, context.Canceled) || !errors.Is(err, cairn.Unavailable) {
				t.Errorf("%s: got error %v, want Unavailable with the context's", name, err)
			}
		}
	},
	"a context that is done meanwhile": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Update(ctx, func(tx cairn.Tx) error {
			return advanced(tx, key, func(tx cairn.Tx, version int64) error {
				cancel()
				return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{
					{Name: "refs/heads/a", New: id(1)}, {Name: "refs/heads/b", New: id(1)}})
			})
		})
		switch n := len(s.refs(key)); {
		case err == nil && n != 2:
			t.Errorf("the update succeeded, but there are %d refs", n)
		case err != nil && (!errors.Is(err, cairn.Unavailable) || n == 1):
			t.Errorf("got error %v and %d refs", err, n)
		}
	},
	"closed": func(t *testing.T, s store) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		nothing := func(cairn.Tx) error { return nil }
		for name, err := range map[string]error{"view": s.View(t.Context(), nothing), "update": s.Update(t.Context(), nothing)} {
			if !errors.Is(err, cairn.Unavailable) {
				t.Errorf("%s: got error %v, want Unavailable", name, err)
			}
		}
	},
	"large values in one transaction": func(t *testing.T, s store) {
		key := s.repository("site").RepositoryKey
		s.write(key, func(tx cairn.Tx, version int64) error {
			for n := range 40 {
				if err := tx.Packs().Add(key, inline(n, 256<<10)); err != nil {
					return err
				}
			}
			name := git.RefName("refs/heads/" + string(make([]byte, 4000)))
			return tx.Refs().Update(key, version, day(1), []cairn.RefUpdate{{Name: name, New: id(1)}})
		})
		same(t, "number of packs", len(s.manifest(key)), 40)
	},
}

// snapshot reads what a repository has.
func snapshot(tx cairn.Tx, key cairn.RepositoryKey) ([]any, error) {
	r, err := tx.Repositories().Get(key)
	if err != nil {
		return nil, err
	}
	refs, err := tx.Refs().List(key, "")
	if err != nil {
		return nil, err
	}
	packs, err := tx.Packs().Manifest(key)
	return []any{r, refs, packs}, err
}
