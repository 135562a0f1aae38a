package service

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func TestNumbersAreGivenAtFirstNeed(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	a, b := f.create(t, "acme", "a"), f.create(t, "acme", "b")
	things := []cairn.Numbered{cairn.NumberedRepository(b.RepositoryKey), cairn.NumberedRepository(a.RepositoryKey)}
	for range 2 {
		got, err := f.Numbers(t.Context(), things...)
		if err != nil || got[0] != 1 || got[1] != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	who := f.actor(t, "acme", "b", cairn.GitRead)
	_, found, err := f.RepositoryByNumber(t.Context(), who, 1)
	if err != nil || found.Name != "b" {
		t.Errorf("got %+v, %v", found, err)
	}
	_, found, err = f.RepositoryByID(t.Context(), who, b.Repository)
	if err != nil || found.Name != "b" {
		t.Errorf("got %+v, %v", found, err)
	}
}

// A repository that the caller may not know of is told from none by nothing.
func TestRepositoryOfAnotherByNumberIsNotFound(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	foreign, gone := f.create(t, "evil", "a"), f.create(t, "acme", "gone")
	things := []cairn.Numbered{cairn.NumberedRepository(foreign.RepositoryKey), cairn.NumberedRepository(gone.RepositoryKey)}
	if _, err := f.Numbers(t.Context(), things...); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeleteRepository(t.Context(), f.actor(t, "acme", "gone", cairn.RepoWrite), "gone"); err != nil {
		t.Fatal(err)
	}
	for n, what := range map[cairn.Number]string{1: "foreign", 2: "deleted", 3: "never given", 0: "no number"} {
		_, _, err := f.RepositoryByNumber(t.Context(), f.actor(t, "acme", "a", cairn.GitRead), n)
		wantKind(t, what, err, cairn.NotFound)
	}
	_, _, err := f.RepositoryByID(t.Context(), f.actor(t, "acme", "a", cairn.GitRead), foreign.Repository)
	wantKind(t, "foreign by id", err, cairn.NotFound)
	_, _, err = f.RepositoryByNumber(t.Context(), f.actor(t, "evil", "b", cairn.GitRead), 1)
	wantKind(t, "of another token", err, cairn.Denied)
	_, _, err = f.RepositoryByNumber(t.Context(), cairn.Actor{}, 1)
	wantKind(t, "nobody", err, cairn.Unauthenticated)
}
