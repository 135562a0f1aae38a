package githttp_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// memory samples how much anonymous memory this process, which is the server,
// holds, until stop returns the most of it.
func memory(b *testing.B) (stop func() int64) {
	runtime.GC()
	debug.FreeOSMemory()
	done := make(chan struct{})
	var wait sync.WaitGroup
	var most int64
	wait.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, anonymous(b))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() int64 {
		close(done)
		wait.Wait()
		return most
	}
}

// anonymous reads RssAnon in bytes; 0 where there is no such file.
func anonymous(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			check(b, err)
			return kb << 10
		}
	}
	return 0
}

func processorTime(who int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLarge pushes and clones a large repository and reports the time and
// the memory that the server takes for it, beside what stock git takes to
// serve the same clone. CAIRN_BENCH_MB is the size of its pack; default 32.
func BenchmarkLarge(b *testing.B) {
	size := 32
	if s := os.Getenv("CAIRN_BENCH_MB"); s != "" {
		var err error
		size, err = strconv.Atoi(s)
		check(b, err)
	}
	source := gittest.LargeHistory(b, int64(size)<<20)
	s := start(b)
	names := 0
	measure := func(b *testing.B, prepare, work func()) {
		for b.Loop() {
			b.StopTimer()
			prepare()
			stop, before := memory(b), processorTime(syscall.RUSAGE_SELF)
			b.StartTimer()
			work()
			b.StopTimer()
			b.ReportMetric(float64(processorTime(syscall.RUSAGE_SELF)-before)/1e6, "server-cpu-ms")
			b.ReportMetric(float64(stop())/(1<<20), "server-anon-MB")
			b.StartTimer()
		}
	}
	nothing := func() {}
	push := func(b *testing.B) {
		measure(b, func() { names++; s.create(fmt.Sprint("r", names)) }, func() {
			must(b, source.Dir, "push", "-q", s.remote(fmt.Sprint("r", names), ""), "main")
		})
	}
	b.Run("push", push)
	// Without HTTP between, as stock git is measured below: a client in this
	// process would count as the server.
	fetch := func(b *testing.B, texts ...string) {
		texts = append([]string{"command=fetch", "0001", "ofs-delta", "no-progress"}, texts...)
		measure(b, nothing, func() {
			session, err := s.service.OpenGit(b.Context(), s.admin, cairn.RepositoryName(fmt.Sprint("r", names)), service.NormalRemote, false)
			check(b, err)
			defer session.Close()
			check(b, session.UploadPack(b.Context(), strings.NewReader(lines(append(texts, "done", "0000")...)), io.Discard, 2))
		})
	}
	main := source.RevParse("main")
	b.Run("clone", func(b *testing.B) { fetch(b, "want "+main) })
	b.Run("clone-shallow", func(b *testing.B) { fetch(b, "want "+main, "deepen 1") })
	b.Run("clone-blobless", func(b *testing.B) { fetch(b, "want "+main, "filter blob:none") })
	b.Run("fetch-ten", func(b *testing.B) { fetch(b, "want "+main, "have "+source.RevParse("main~10")) })
	b.Run("stock-clone", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("git", "upload-pack", "--stateless-rpc", source.Dir)
			cmd.Env = gittest.Env("GIT_PROTOCOL=version=2")
			cmd.Stdin = strings.NewReader(lines("command=fetch", "0001", "ofs-delta", "no-progress", "want "+main, "done", "0000"))
			before := processorTime(syscall.RUSAGE_CHILDREN)
			check(b, cmd.Run())
			b.ReportMetric(float64(processorTime(syscall.RUSAGE_CHILDREN)-before)/1e6, "server-cpu-ms")
		}
	})
}
