package e2e

import (
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// packsNamed returns the stems of all packs of the bucket that a row of the
// stopped server's metadata names: a manifest's, or one of the garbage that
// waits for the next sweep.
func packsNamed(t testing.TB, data string) map[string]bool {
	t.Helper()
	metadata, err := sqlite.Open(t.Context(), filepath.Join(data, "cairn.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Close()
	named := map[string]bool{}
	err = metadata.View(t.Context(), func(tx cairn.Tx) error {
		org, err := tx.Organizations().Find("acme")
		if err != nil {
			return err
		}
		repos, err := tx.Repositories().List(org.ID, "", "", 1000)
		if err != nil {
			return err
		}
		for _, r := range repos {
			packs, err := tx.Packs().Manifest(r.RepositoryKey)
			if err != nil {
				return err
			}
			for _, p := range packs {
				if !p.Inline() {
					named[path.Base(p.Key)] = true
				}
			}
		}
		garbage, err := tx.Packs().Garbage(time.Now().Add(time.Hour), 10_000)
		for _, g := range garbage {
			named[path.Base(g.Key)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}
