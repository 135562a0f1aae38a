package service

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// BenchmarkCommit makes small commits, each onto the one before, in one
// repository and in many at a time.
func BenchmarkCommit(b *testing.B) {
	for _, repositories := range []int{1, 64} {
		b.Run(fmt.Sprint(repositories, "-repositories"), func(b *testing.B) {
			f := newTenants(b)
			who := make([]cairn.Actor, repositories)
			for i := range who {
				name := cairn.RepositoryName(fmt.Sprint("r", i))
				f.create(b, "acme", name)
				who[i] = f.actor(b, "acme", name, cairn.GitWrite)
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					if _, err := write(b, f.Service, who[i%int64(repositories)], CommitTarget{Branch: "main"}, fmt.Sprintf("dir%d/file%d", i%10, i%100), fmt.Sprint("content ", i)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
