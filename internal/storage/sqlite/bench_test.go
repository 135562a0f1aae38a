package sqlite

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// measure reports how many operations there were in a second, and what one
// cost in processor time, which says more where others use the machine too.
func measure(b *testing.B, run func()) {
	b.Helper()
	before := processorTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	run()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// spread runs b.N operations on a number of goroutines. op is given its
// goroutine and its turn on it.
func spread(b *testing.B, goroutines int, op func(goroutine, turn int) error) {
	b.Helper()
	var all sync.WaitGroup
	var started atomic.Int64
	measure(b, func() {
		for g := range goroutines {
			all.Go(func() {
				for turn := 0; started.Add(1) <= int64(b.N); turn++ {
					if err := op(g, turn); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

func writersOf(b *testing.B, run func(b *testing.B, m *Metadata, keys []cairn.RepositoryKey)) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			m := inDir(b)
			keys := make([]cairn.RepositoryKey, writers)
			for i := range keys {
				keys[i] = createBenchRepository(b, m)
			}
			run(b, m, keys)
		})
	}
}

func benchRepository() cairn.Repository {
	id := cairn.NewID()
	return cairn.Repository{
		RepositoryKey: cairn.RepositoryKey{Organization: "0f5q8w7n3m1k2j4h", Repository: cairn.RepositoryID(id)},
		Name:          cairn.RepositoryName(fmt.Sprintf("team/%x", rand.Uint64())), // no order in it
		DefaultBranch: "refs/heads/main", Format: git.SHA1, CreatedAt: time.Now(),
	}
}

func createBenchRepository(b *testing.B, m *Metadata) cairn.RepositoryKey {
	b.Helper()
	r := benchRepository()
	err := m.Update(b.Context(), func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Create(r); err != nil {
			return err
		}
		if _, err := tx.Repositories().Advance(r.RepositoryKey); err != nil {
			return err
		}
		return tx.Refs().Update(r.RepositoryKey, 1, r.CreatedAt, []cairn.RefUpdate{{Name: "refs/heads/main", New: benchTarget(0)}})
	})
	if err != nil {
		b.Fatal(err)
	}
	return r.RepositoryKey
}

// benchTarget is where the turn before put a ref.
func benchTarget(turn int) git.ObjectID {
	var raw [20]byte
	raw[0], raw[1], raw[2], raw[3], raw[19] = byte(turn), byte(turn>>8), byte(turn>>16), byte(turn>>24), 1
	id, err := git.ObjectIDFromBytes(raw[:])
	if err != nil {
		panic(err)
	}
	return id
}

func benchMove(turn int) []cairn.RefUpdate {
	return []cairn.RefUpdate{{Name: "refs/heads/main", Old: benchTarget(turn), New: benchTarget(turn + 1)}}
}

// BenchmarkMoveRef is the smallest write: Advance and one ref, durable.
func BenchmarkMoveRef(b *testing.B) {
	writersOf(b, func(b *testing.B, m *Metadata, keys []cairn.RepositoryKey) {
		spread(b, len(keys), func(g, turn int) error {
			return m.Update(b.Context(), func(tx cairn.Tx) error {
				r, err := tx.Repositories().Advance(keys[g])
				if err != nil {
					return err
				}
				return tx.Refs().Update(keys[g], r.Version, r.CreatedAt, benchMove(turn))
			})
		})
	})
}

// BenchmarkCommit is what a commit through the API writes: Advance, an inline
// pack of 8 KiB, a ref and an event, durable.
func BenchmarkCommit(b *testing.B) {
	writersOf(b, func(b *testing.B, m *Metadata, keys []cairn.RepositoryKey) {
		data, index := make([]byte, 7<<10), make([]byte, 1<<10)
		spread(b, len(keys), func(g, turn int) error {
			p := cairn.Pack{ID: cairn.PackID(benchPackID(g, turn)), Objects: 4, Size: int64(len(data)), IndexSize: int64(len(index)), Data: data, Index: index}
			return m.Update(b.Context(), benchCommit(keys[g], p, turn))
		})
	})
}

var latencyTime = flag.Duration("latency-time", 5*time.Second, "how long BenchmarkCommitLatency runs")

// BenchmarkCommitLatency makes 400 commits a second of 8 KiB, from 32
// goroutines, and reports how long each waited: what checkpoints do to their
// neighbours. Run it with -benchtime 1x.
func BenchmarkCommitLatency(b *testing.B) {
	for range b.N {
		m := inDir(b)
		const writers, rate = 32, 400
		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		data, index := make([]byte, 7<<10), make([]byte, 1<<10)
		end := time.Now().Add(*latencyTime)
		for g := range writers {
			key := createBenchRepository(b, m)
			all.Go(func() {
				time.Sleep(time.Duration(g) * time.Second / rate)
				next := time.NewTicker(writers * time.Second / rate)
				defer next.Stop()
				for turn := 0; time.Now().Before(end); turn++ {
					<-next.C
					p := cairn.Pack{ID: cairn.PackID(benchPackID(g, turn)), Objects: 4, Size: int64(len(data)), IndexSize: int64(len(index)), Data: data, Index: index}
					began := time.Now()
					if err := m.Update(b.Context(), benchCommit(key, p, turn)); err != nil {
						b.Error(err)
						return
					}
					d := time.Since(began)
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1} {
			b.ReportMetric(float64(took[int(share*float64(len(took)-1))].Microseconds())/1000, name+"-ms")
		}
		b.ReportMetric(float64(len(took)), "commits")
	}
}

// benchCommit is the transaction of a commit.
func benchCommit(key cairn.RepositoryKey, p cairn.Pack, turn int) func(cairn.Tx) error {
	return func(tx cairn.Tx) error {
		r, err := tx.Repositories().Advance(key)
		if err != nil {
			return err
		}
		if err := tx.Packs().Add(key, p); err != nil {
			return err
		}
		e := cairn.Event{Version: r.Version, At: r.CreatedAt, Actor: "bench", Kind: cairn.RefChanged, RefUpdate: benchMove(turn)[0]}
		if err := tx.Events().Append(key, []cairn.Event{e}); err != nil {
			return err
		}
		return tx.Refs().Update(key, r.Version, r.CreatedAt, benchMove(turn))
	}
}

// benchPackID looks as random as a checksum.
func benchPackID(g, turn int) string {
	return fmt.Sprintf("%016x%024x", uint64(g*1_000_003+turn+1)*0x9e3779b97f4a7c15, turn)
}

func BenchmarkCreateRepository(b *testing.B) {
	writersOf(b, func(b *testing.B, m *Metadata, keys []cairn.RepositoryKey) {
		spread(b, len(keys), func(int, int) error {
			r := benchRepository()
			return m.Update(b.Context(), func(tx cairn.Tx) error { _, err := tx.Repositories().Create(r); return err })
		})
	})
}

var manyRepositories = flag.Int("repositories", 100_000, "how many BenchmarkManyRepositories creates")

// BenchmarkManyRepositories creates very many empty repositories of one
// organization, 32 at once, and compares the last of them with the first: their
// rate, and the processor time that each took. It reports the bytes on the disk
// for each, the log included. Run it with -benchtime 1x.
func BenchmarkManyRepositories(b *testing.B) {
	for range b.N {
		path := filepath.Join(b.TempDir(), "metadata.db")
		m := at(b, path)
		create := func(n int) (rate, cpu float64) {
			var all sync.WaitGroup
			var started atomic.Int64
			began, before := time.Now(), processorTime(b)
			for range 32 {
				all.Go(func() {
					for started.Add(1) <= int64(n) {
						r := benchRepository()
						if err := m.Update(b.Context(), func(tx cairn.Tx) error { _, err := tx.Repositories().Create(r); return err }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			return float64(n) / time.Since(began).Seconds(), float64((processorTime(b) - before).Microseconds()) / float64(n)
		}
		const sample = 20_000
		create(1000)
		youngRate, youngCPU := create(sample)
		for left := *manyRepositories - 1000 - 2*sample; left > 0; left -= 100_000 {
			rate, cpu := create(min(left, 100_000))
			b.Logf("%d to go: %.0f/s, %.1f µs of processor time", left, rate, cpu)
		}
		oldRate, oldCPU := create(sample)
		b.ReportMetric(youngRate, "first/s")
		b.ReportMetric(oldRate, "last/s")
		b.ReportMetric(youngCPU, "first-cpu-µs")
		b.ReportMetric(oldCPU, "last-cpu-µs")
		var bytes int64
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if info, err := os.Stat(path + suffix); err == nil {
				bytes += info.Size()
			}
		}
		b.ReportMetric(float64(bytes)/float64(*manyRepositories), "B/repository")
	}
}

// BenchmarkView is a View with one Get, and one with nothing.
func BenchmarkView(b *testing.B) {
	m := inDir(b)
	key := createBenchRepository(b, m)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, readers := range []int{1, 32} {
		b.Run(fmt.Sprintf("ref/readers=%d", readers), func(b *testing.B) {
			spread(b, readers, func(int, int) error {
				return m.View(ctx, func(tx cairn.Tx) error { _, err := tx.Refs().Get(key, "refs/heads/main"); return err })
			})
		})
	}
	b.Run("nothing", func(b *testing.B) {
		spread(b, 1, func(int, int) error { return m.View(ctx, func(cairn.Tx) error { return nil }) })
	})
	b.Run("ref in an open view", func(b *testing.B) {
		err := m.View(ctx, func(tx cairn.Tx) error {
			for b.Loop() {
				if _, err := tx.Refs().Get(key, "refs/heads/main"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkManyRefs is what a fork of a repository with 1,000 refs, or a push
// of them, writes: a row and an event for each, in one transaction.
func BenchmarkManyRefs(b *testing.B) {
	m := inDir(b)
	updates, events := make([]cairn.RefUpdate, 1000), make([]cairn.Event, 1000)
	for i := range updates {
		updates[i] = cairn.RefUpdate{Name: git.RefName(fmt.Sprintf("refs/heads/topic/%06d", i)), New: benchTarget(i)}
		events[i] = cairn.Event{Version: 1, Ordinal: i, At: time.Now(), Actor: "bench", Kind: cairn.RefChanged, RefUpdate: updates[i]}
	}
	spread(b, 1, func(int, int) error {
		r := benchRepository()
		return m.Update(b.Context(), func(tx cairn.Tx) error {
			if _, err := tx.Repositories().Create(r); err != nil {
				return err
			}
			if _, err := tx.Repositories().Advance(r.RepositoryKey); err != nil {
				return err
			}
			if err := tx.Refs().Update(r.RepositoryKey, 1, r.CreatedAt, updates); err != nil {
				return err
			}
			return tx.Events().Append(r.RepositoryKey, events)
		})
	})
}

// BenchmarkListRefs lists 10,000 refs.
func BenchmarkListRefs(b *testing.B) {
	m := inDir(b)
	key := createBenchRepository(b, m)
	err := m.Update(b.Context(), func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(key); err != nil {
			return err
		}
		updates := make([]cairn.RefUpdate, 10_000)
		for i := range updates {
			updates[i] = cairn.RefUpdate{Name: git.RefName(fmt.Sprintf("refs/heads/topic/%06d", i)), New: benchTarget(i)}
		}
		return tx.Refs().Update(key, 2, time.Now(), updates)
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		err := m.View(b.Context(), func(tx cairn.Tx) error { _, err := tx.Refs().List(key, ""); return err })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLimit is what the same machine does without this package: the
// statements of BenchmarkMoveRef and BenchmarkCommit by themselves through
// database/sql, so many to a transaction, and plain appends of 4 KiB to a file,
// so many to a sync.
func BenchmarkLimit(b *testing.B) {
	for _, batch := range []int{1, 32} {
		b.Run(fmt.Sprintf("statements/batch=%d", batch), func(b *testing.B) { benchStatements(b, batch, nil) })
		b.Run(fmt.Sprintf("statements with pack/batch=%d", batch), func(b *testing.B) { benchStatements(b, batch, make([]byte, 8<<10)) })
		b.Run(fmt.Sprintf("append/batch=%d", batch), func(b *testing.B) { benchAppend(b, batch) })
	}
}

func benchStatements(b *testing.B, batch int, data []byte) {
	m := inDir(b)
	key := createBenchRepository(b, m)
	conn, err := m.db.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	prepare := func(query string) *sql.Stmt {
		stmt, err := conn.PrepareContext(b.Context(), query)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { stmt.Close() })
		return stmt
	}
	begin, commit := prepare("BEGIN IMMEDIATE"), prepare("COMMIT")
	advance := prepare("UPDATE repositories SET version = version + 1 WHERE organization = ? AND id = ?")
	move := prepare("UPDATE refs SET target = ? WHERE organization = ? AND repository = ? AND name = ? AND target = ?")
	add := prepare("INSERT INTO packs (organization, id, objects, size, index_size, bucket_key, created_at, data) VALUES (?, ?, 4, 8192, 0, '', 0, ?)")
	ctx := context.Background()
	run := func(stmt *sql.Stmt, args ...any) {
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			b.Fatal(err)
		}
	}
	org, repo := string(key.Organization), string(key.Repository)
	measure(b, func() {
		for turn := 0; turn < b.N; {
			run(begin)
			for range batch {
				run(advance, org, repo)
				if data != nil {
					run(add, org, benchPackID(0, turn), data)
				}
				run(move, benchTarget(turn+1).AppendTo(nil), org, repo, []byte("refs/heads/main"), benchTarget(turn).AppendTo(nil))
				turn++
			}
			run(commit)
		}
	})
}

func benchAppend(b *testing.B, batch int) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	measure(b, func() {
		for n := 0; n < b.N; n += batch {
			for range batch {
				if _, err := f.Write(page); err != nil {
					b.Fatal(err)
				}
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
