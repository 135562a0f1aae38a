package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

func TestContract(t *testing.T) {
	storagetest.TestMetadata(t, func(t testing.TB) cairn.Metadata { return openFile(t) })
}

func TestContractInMemory(t *testing.T) {
	storagetest.TestMetadata(t, func(t testing.TB) cairn.Metadata {
		m, err := sqlite.OpenMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// openFile opens a new database in the test's directory.
func openFile(t testing.TB) *sqlite.Metadata {
	t.Helper()
	m, err := sqlite.OpenEmpty(t.Context(), filepath.Join(t.TempDir(), "metadata.db"), "FULL")
	if err != nil {
		t.Fatal(err)
	}
	return m
}
