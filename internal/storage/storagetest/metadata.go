package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// TestMetadata is the definition of cairn.Metadata. open returns an empty
// store, which the suite closes.
func TestMetadata(t *testing.T, open func(testing.TB) cairn.Metadata) {
	groups := []struct {
		name  string
		cases map[string]func(*testing.T, store)
	}{
		{"Organizations", organizationCases},
		{"Keys", keyCases},
		{"APIKeys", apiKeyCases},
		{"Repositories", repositoryCases},
		{"Refs", refCases},
		{"Packs", packCases},
		{"Events", eventCases},
		{"Jobs", jobCases},
		{"Receipts", receiptCases},
		{"Webhooks", webhookCases},
		{"Numbers", numberCases},
		{"AccessKeys", accessKeyCases},
		{"Projects", projectCases},
		{"Upstreams", upstreamCases},
		{"Credentials", credentialCases},
		{"Changes", changeCases},
		{"Accounts", accountCases},
		{"Users", userCases},
		{"Roles", roleCases},
		{"SSHKeys", sshKeyCases},
		{"RowMarks", rowMarkCases},
		{"Transactions", transactionCases},
		{"Concurrency", concurrencyCases},
		{"Model", modelCases},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for name, run := range group.cases {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					m := open(t)
					t.Cleanup(func() {
						if err := m.Close(); err != nil {
							t.Errorf("close: %v", err)
						}
					})
					run(t, store{m, t})
				})
			}
		})
	}
}

// store is the store under test with the test that it serves.
type store struct {
	cairn.Metadata
	t *testing.T
}

// update runs f in an Update that must succeed.
func (s store) update(f func(cairn.Tx) error) {
	s.t.Helper()
	if err := s.Update(s.t.Context(), f); err != nil {
		s.t.Fatalf("update: %v", err)
	}
}

// view runs f in a View that must succeed.
func (s store) view(f func(cairn.Tx) error) {
	s.t.Helper()
	if err := s.View(s.t.Context(), f); err != nil {
		s.t.Fatalf("view: %v", err)
	}
}

// refuse runs f in an Update that must fail with that kind of error.
func (s store) refuse(kind cairn.Kind, f func(cairn.Tx) error) {
	s.t.Helper()
	if err := s.Update(s.t.Context(), f); !errors.Is(err, kind) {
		s.t.Fatalf("update: got error %v, want %q", err, string(kind))
	}
}

// absent runs f in a View in which it must return NotFound.
func (s store) absent(f func(cairn.Tx) error) {
	s.t.Helper()
	if err := s.View(s.t.Context(), f); !errors.Is(err, cairn.NotFound) {
		s.t.Fatalf("view: got error %v, want %q", err, string(cairn.NotFound))
	}
}

// repository creates a repository in organization acme.
func (s store) repository(name cairn.RepositoryName) cairn.Repository {
	s.t.Helper()
	return s.repositoryOf("acme", name)
}

// repositoryOf creates a repository.
func (s store) repositoryOf(org cairn.OrganizationID, name cairn.RepositoryName) cairn.Repository {
	s.t.Helper()
	r := newRepository(org, name)
	s.update(func(tx cairn.Tx) error { _, err := tx.Repositories().Create(r); return err })
	return r
}

func newRepository(org cairn.OrganizationID, name cairn.RepositoryName) cairn.Repository {
	return cairn.Repository{
		RepositoryKey: cairn.RepositoryKey{Organization: org, Repository: cairn.RepositoryID(cairn.NewID())},
		Name:          name,
		DefaultBranch: "refs/heads/main",
		Format:        git.SHA1,
		CreatedAt:     day(1),
	}
}

// write runs f in an Update that has advanced the repository.
func (s store) write(key cairn.RepositoryKey, f func(tx cairn.Tx, version int64) error) {
	s.t.Helper()
	s.update(func(tx cairn.Tx) error { return advanced(tx, key, f) })
}

// refuseWrite is write that must fail with that kind of error.
func (s store) refuseWrite(kind cairn.Kind, key cairn.RepositoryKey, f func(tx cairn.Tx, version int64) error) {
	s.t.Helper()
	s.refuse(kind, func(tx cairn.Tx) error { return advanced(tx, key, f) })
}

func advanced(tx cairn.Tx, key cairn.RepositoryKey, f func(tx cairn.Tx, version int64) error) error {
	r, err := tx.Repositories().Advance(key)
	if err != nil {
		return err
	}
	return f(tx, r.Version)
}

// move updates refs on the day of the version.
func (s store) move(key cairn.RepositoryKey, updates ...cairn.RefUpdate) {
	s.t.Helper()
	s.write(key, func(tx cairn.Tx, version int64) error {
		return tx.Refs().Update(key, version, day(int(version)), updates)
	})
}

// refs lists a repository's refs.
func (s store) refs(key cairn.RepositoryKey) (refs []cairn.Ref) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) (err error) {
		refs, err = tx.Refs().List(key, "")
		return err
	})
	return refs
}

// manifest lists the ids of a repository's packs.
func (s store) manifest(key cairn.RepositoryKey) (ids []cairn.PackID) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) error {
		packs, err := tx.Packs().Manifest(key)
		ids = nil
		for _, p := range packs {
			ids = append(ids, p.ID)
		}
		return err
	})
	return ids
}

// garbage lists the ids of all packs that were garbage before the day.
func (s store) garbage(before time.Time) (ids []cairn.PackID) {
	s.t.Helper()
	s.view(func(tx cairn.Tx) error {
		list, err := tx.Packs().Garbage(before, 1000)
		ids = nil
		for _, g := range list {
			ids = append(ids, g.ID)
		}
		return err
	})
	return ids
}

// same compares what a store returned with what it should have.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// sameList is same for lists, of which an empty one may be nil.
func sameList[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	if len(got) != 0 || len(want) != 0 {
		same(t, what, got, want)
	}
}

// day is a time of which stores keep every digit.
func day(n int) time.Time {
	return time.Date(2026, 1, n, 1, 2, 3, 456789000, time.UTC)
}

// id is an object id that is told by its number.
func id(n int) git.ObjectID { return git.MustParseObjectID(fmt.Sprintf("%040x", n)) }

// packID is a pack id that is told by its number.
func packID(n int) cairn.PackID { return cairn.PackID(fmt.Sprintf("%040x", n)) }

// pack is a pack in the bucket.
func pack(n int) cairn.Pack {
	return cairn.Pack{ID: packID(n), Objects: int64(n), Size: 1 << 40, IndexSize: 7, Key: fmt.Sprintf("packs/%d", n), CreatedAt: day(n)}
}
