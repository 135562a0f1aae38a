package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// writerEnv names the database in which the test's own binary, started again,
// writes until it is killed.
const writerEnv = "CAIRN_TEST_WRITE_FOR_EVER"

// killedWriters is how many goroutines write in the killed process, each into
// a repository of its own.
const killedWriters = 8

func killedKey(writer int) cairn.RepositoryKey {
	return cairn.RepositoryKey{Organization: "acme", Repository: cairn.RepositoryID(fmt.Sprint(writer))}
}

// killedPack is the pack of a writer's nth write.
func killedPack(writer, n int) cairn.Pack {
	return cairn.Pack{ID: cairn.PackID(fmt.Sprintf("%d-%d", writer, n)), Data: bytes.Repeat([]byte{byte(n)}, 100+n%50*200), Index: []byte{}}
}

func killedRef(n int) git.RefName { return git.RefName(fmt.Sprintf("refs/heads/%06d", n)) }

func killedTarget(n int) git.ObjectID { return git.MustParseObjectID(fmt.Sprintf("%040x", n+1)) }

// writeForEver writes, and says on standard output what has been acknowledged.
func writeForEver(path string) {
	m, err := Open(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var all sync.WaitGroup
	for w := range killedWriters {
		all.Go(func() {
			key := killedKey(w)
			m.Update(context.Background(), func(tx cairn.Tx) error {
				_, err := tx.Repositories().Create(cairn.Repository{RepositoryKey: key, Name: cairn.RepositoryName(key.Repository)})
				return err
			})
			for {
				n := 0
				err := m.Update(context.Background(), func(tx cairn.Tx) error {
					r, err := tx.Repositories().Advance(key)
					if err != nil {
						return err
					}
					n = int(r.Version)
					if err := tx.Packs().Add(key, killedPack(w, n)); err != nil {
						return err
					}
					if err := tx.Events().Append(key, []cairn.Event{{Version: r.Version}}); err != nil {
						return err
					}
					return tx.Refs().Update(key, r.Version, r.CreatedAt, []cairn.RefUpdate{{Name: killedRef(n), New: killedTarget(n)}})
				})
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				fmt.Printf("%d %d\n", w, n)
			}
		})
	}
	all.Wait()
}

// A process that is killed while it writes loses nothing that it has
// acknowledged, and leaves nothing by halves.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "metadata.db")
	acknowledged := make([]int, killedWriters)
	for round := range 4 {
		killWriter(t, path, 300+200*round, acknowledged)
		m, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		var verdict string
		if err := m.db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity check: %q, %v", verdict, err)
		}
		for w, n := range acknowledged {
			checkWrites(t, m, w, n)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("acknowledged and found: %v", acknowledged)
}

// killWriter starts a writer, kills it after a number of acknowledged writes,
// and notes the last of each goroutine.
func killWriter(t *testing.T, path string, after int, acknowledged []int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		var w, n int
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &n); err != nil {
			if seen < after || strings.Contains(lines.Text(), " ") {
				t.Errorf("the writer says %q", lines.Text())
			}
			continue
		}
		acknowledged[w] = max(acknowledged[w], n)
		if seen == after {
			cmd.Process.Kill() // what it has said before can still be read
		}
	}
	cmd.Wait() // killed
}

// checkWrites tells that writes up to the nth are there, and the last whole.
func checkWrites(t *testing.T, m *Metadata, w, n int) {
	t.Helper()
	key := killedKey(w)
	err := m.View(t.Context(), func(tx cairn.Tx) error {
		r, err := tx.Repositories().Get(key)
		if err != nil {
			return err
		}
		if int(r.Version) < n {
			t.Errorf("writer %d: write %d was acknowledged, but the version is %d", w, n, r.Version)
		}
		refs, err := tx.Refs().List(key, "")
		if err != nil {
			return err
		}
		packs, err := tx.Packs().Manifest(key)
		if err != nil {
			return err
		}
		events, err := tx.Events().List(key, 0, 0, 1<<30)
		if err != nil {
			return err
		}
		if v := int(r.Version); len(refs) != v || len(packs) != v || len(events) != v {
			t.Errorf("writer %d: version %d with %d refs, %d packs, %d events", w, v, len(refs), len(packs), len(events))
		}
		for i, ref := range refs {
			p, err := tx.Packs().Get("acme", killedPack(w, i+1).ID)
			if err != nil {
				return err
			}
			if ref.Name != killedRef(i+1) || ref.Target != killedTarget(i+1) || !bytes.Equal(p.Data, killedPack(w, i+1).Data) {
				t.Errorf("writer %d: write %d left %v and %d bytes", w, i+1, ref, len(p.Data))
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("writer %d: %v", w, err)
	}
}
