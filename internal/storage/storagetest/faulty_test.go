package storagetest_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

var errFault = errors.New("fault")

func openBucket(t *testing.T) *dir.Bucket {
	b, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func openMetadata(t testing.TB) cairn.Metadata {
	m, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFaultyBucketFailsOnce(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 4; n++ {
		for name, faulty := range map[string]func(cairn.FileBucket, int, error) *storagetest.FaultyBucket{
			"before": storagetest.Faulty, "late": storagetest.FaultyLate,
		} {
			b := openBucket(t)
			f := faulty(b, n, errFault)
			var failed []int
			note := func(call int, err error) {
				if errors.Is(err, errFault) {
					failed = append(failed, call)
				} else if err != nil && !errors.Is(err, cairn.NotFound) {
					t.Errorf("call %d: %v", call, err)
				}
			}
			note(1, f.Put(t.Context(), "k", strings.NewReader("abcd"), 4))
			if err := b.Put(t.Context(), "l", strings.NewReader("abcd"), 4); err != nil {
				t.Fatal(err)
			}
			r, err := f.Get(t.Context(), "l", 0, -1)
			if err == nil {
				var data []byte
				data, err = io.ReadAll(r)
				r.Close()
				if n == 2 && string(data) != "ab" {
					t.Errorf("a late fault: got %q, want half of it", data)
				}
			}
			note(2, err)
			_, err = f.Stat(t.Context(), "l")
			note(3, err)
			note(4, f.Delete(t.Context(), "l"))
			if len(failed) != 1 || failed[0] != n || f.Calls() != 4 {
				t.Errorf("%s, n = %d: calls %v of %d failed", name, n, failed, f.Calls())
			}
			_, err = b.Stat(t.Context(), "k")
			if stored := err == nil; stored != (n != 1 || name == "late") {
				t.Errorf("%s, n = %d: stored: %v", name, n, stored)
			}
		}
	}
}

func TestFaultyMetadata(t *testing.T) {
	t.Parallel()
	m := openMetadata(t)
	t.Cleanup(func() { m.Close() })
	create := func(id string) func(cairn.Tx) error {
		return func(tx cairn.Tx) error {
			return tx.Organizations().Create(cairn.Organization{ID: cairn.OrganizationID(id), Name: cairn.OrganizationName(id)})
		}
	}
	early, late := storagetest.FaultyMetadata(m, 1, errFault), storagetest.FaultyMetadataLate(m, 1, errFault)
	for id, err := range map[string]error{"a": early.Update(t.Context(), create("a")), "b": late.Update(t.Context(), create("b"))} {
		if !errors.Is(err, errFault) {
			t.Errorf("%s: got error %v", id, err)
		}
	}
	var list []cairn.Organization
	err := early.View(t.Context(), func(tx cairn.Tx) (err error) {
		list, err = tx.Organizations().List("", 9)
		return err
	})
	if err != nil || len(list) != 1 || list[0].Name != "b" {
		t.Errorf("got %v, %v, want b", list, err)
	}
}

// A store that runs functions again is a store.
func TestRerunning(t *testing.T) {
	t.Parallel()
	storagetest.TestMetadata(t, func(t testing.TB) cairn.Metadata { return storagetest.Rerunning{Metadata: openMetadata(t)} })
}
