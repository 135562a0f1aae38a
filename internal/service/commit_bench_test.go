package service

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// benchFiles is how many files the repositories of BenchmarkCommit have.
const benchFiles = 2000

// benchPath is a path of four levels, as sources have.
func benchPath(i int) string {
	i %= benchFiles
	return fmt.Sprintf("part%d/package%02d/sub%d/file%02d.go", i/500, i/50%10, i/10%5, i%10)
}

// BenchmarkCommit changes three of 2,000 files, from 32 goroutines: all of them
// on one branch, and each on its own repository. The CPU time of a commit says
// more than the rate where others use the machine too.
func BenchmarkCommit(b *testing.B) {
	for _, repositories := range []int{1, 32} {
		b.Run(fmt.Sprint(repositories, "-repositories"), func(b *testing.B) {
			f := newTenants(b)
			who := make([]cairn.Actor, repositories)
			for i := range who {
				name := cairn.RepositoryName(fmt.Sprint("r", i))
				f.create(b, "acme", name)
				who[i] = f.actor(b, "acme", name, cairn.GitWrite)
				benchCommit(b, f.Service, who[i], 0, benchFiles, 1)
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(16)
			began := processorTime(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := int(n.Add(1))
					benchCommit(b, f.Service, who[i%repositories], i, 3, 667)
				}
			})
			b.StopTimer()
			b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// benchText is what every file has beside its first line: about 2 KiB.
var benchText = strings.Repeat("func twice(n int) int { return n + n } // the same again, but with another end\n", 10) +
	strings.Repeat("var names = []string{\"one\", \"two\", \"three\"}\n// What is said here is of no use to anybody.\n", 14)

// benchCommit writes files, so many paths apart.
func benchCommit(b *testing.B, s *Service, who cairn.Actor, turn, files, apart int) {
	request := CommitRequest{
		CommitTarget: CommitTarget{Branch: "main"},
		CommitInfo:   CommitInfo{Message: fmt.Sprint("turn ", turn), Author: ann},
	}
	for i := range files {
		request.Files = append(request.Files, FileChange{Path: benchPath(turn*7 + i*apart), ContentID: fmt.Sprint(i)})
	}
	w, err := s.BeginCommit(b.Context(), who, who.Repository, request)
	if err != nil {
		b.Error(err)
		return
	}
	defer w.Close()
	for i := range files {
		if err := w.AddChunk(b.Context(), fmt.Sprint(i), fmt.Appendf(nil, "// turn %d, file %d\n%s", turn, i, benchText), true); err != nil {
			b.Error(err)
		}
	}
	if _, err := w.Commit(b.Context()); err != nil {
		b.Error(err)
	}
}

// processorTime is what this process has computed until now.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkOpenFile opens a file of 2,000 by its path, as one read over HTTP does.
func BenchmarkOpenFile(b *testing.B) {
	f := newTenants(b)
	f.create(b, "acme", "r")
	who := f.actor(b, "acme", "r", cairn.GitRead, cairn.GitWrite)
	benchCommit(b, f.Service, who, 0, benchFiles, 1)
	b.ReportAllocs()
	turn := 0
	for b.Loop() {
		turn++
		file, err := f.OpenFile(b.Context(), who, "r", Revision{}, benchPath(turn*7))
		if err != nil {
			b.Fatal(err)
		}
		file.Close()
	}
}
