package service

import (
	"fmt"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// BenchmarkAge reads a repository that is young and the same one after 10,000
// commits: a figure that grows with the age is a fault.
func BenchmarkAge(b *testing.B) {
	f := newTenants(b)
	f.create(b, "acme", "r")
	who := f.actor(b, "acme", "r", cairn.GitRead, cairn.GitWrite)
	main := Revision{Name: "main"}
	commits := 0
	commit := func() {
		path := fmt.Sprintf("dir%d/file%d", commits%10, commits%100)
		if commits < 100 {
			path = fmt.Sprintf("dir%d/file%d", commits%10, commits)
		}
		if _, err := write(b, f.Service, who, CommitTarget{Branch: "main"}, path, fmt.Sprint("content ", commits)); err != nil {
			b.Fatal(err)
		}
		if commits++; commits%100 == 0 {
			sn, err := f.open(b.Context(), who, "r", cairn.GitRead)
			if err != nil {
				b.Fatal(err)
			}
			defer sn.Close()
			if _, err := f.store.Compact(b.Context(), sn.Repository().RepositoryKey); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, age := range []int{200, 10_000} {
		for commits < age {
			commit()
		}
		run := func(name string, do func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, age), func(b *testing.B) {
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		turn := 0
		run("file", func() error {
			turn++
			file, err := f.OpenFile(b.Context(), who, "r", main, fmt.Sprintf("dir%d/file%d", turn%10, turn%100))
			if err == nil {
				file.Close()
			}
			return err
		})
		run("files", func() error { _, err := f.ListFiles(b.Context(), who, "r", FilesQuery{Recursive: true}); return err })
		run("log", func() error { _, err := f.ListCommits(b.Context(), who, "r", CommitsQuery{Limit: 100}); return err })
		run("path", func() error {
			_, err := f.ListCommits(b.Context(), who, "r", CommitsQuery{Path: "dir7/file77", Limit: 2})
			return err
		})
		run("commit-then-file", func() error {
			commit()
			file, err := f.OpenFile(b.Context(), who, "r", main, "dir7/file77")
			if err == nil {
				file.Close()
			}
			return err
		})
	}
}
