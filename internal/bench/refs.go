//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// measureRefs pushes the same commits with stock git as one ref and as many.
func measureRefs(ctx context.Context, b *bench) error {
	source, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	work := b.path("refs-work.git")
	if err := os.CopyFS(work, os.DirFS(source)); err != nil {
		return err
	}
	commits, err := chain(ctx, work, b.sizes.refs)
	if err != nil {
		return err
	}
	stock, err := startStock(ctx, b.path("refs-stock"))
	if err != nil {
		return err
	}
	defer func() { _ = stock.stop() }()
	one := []string{commits[len(commits)-1] + ":refs/heads/next"}
	many := make([]string, len(commits))
	for i, commit := range commits {
		many[i] = fmt.Sprintf("%s:refs/heads/many/%04d", commit, i)
	}
	name := fmt.Sprintf("git push of %s refs at once", thousands(int64(b.sizes.refs)))
	var walls [2]time.Duration
	var use usage
	for i, refs := range [][]string{one, many} {
		repository := fmt.Sprint("refs/", i)
		if _, err := b.server.upload(ctx, source, repository); err != nil {
			return err
		}
		use, err = b.server.watch(func() error { return b.server.push(ctx, work, repository, refs...) })
		if err != nil {
			return err
		}
		walls[i] = use.wall
	}
	b.table.add(name, took(walls[1], use.cpu, use.anon))
	b.table.beside("the same commits as one ref", name, took(walls[0], 0, 0), moreByAtMost(time.Second))
	if err := stock.add(ctx, source, "refs.git"); err != nil {
		return err
	}
	stockUse, err := stock.watch(func() error {
		_, err := demo.Git(ctx, work, append([]string{"push", "-q", stock.url + "/refs.git"}, many...)...)
		return err
	})
	if err != nil {
		return err
	}
	b.table.beside("to git http-backend", name, took(stockUse.wall, stockUse.cpu, 0))
	return nil
}

// addRefs gives a repository that many branches, of its newest commits.
func addRefs(ctx context.Context, dir string, many int) error {
	list, err := demo.Git(ctx, dir, "rev-list", fmt.Sprintf("-n%d", many), "HEAD")
	if err != nil {
		return err
	}
	commits := strings.Fields(list)
	var in strings.Builder
	for i := range many {
		fmt.Fprintf(&in, "create refs/heads/many/%04d %s\n", i, commits[i%len(commits)])
	}
	cmd := demo.GitCommand(ctx, dir, "update-ref", "--stdin")
	cmd.Stdin = strings.NewReader(in.String())
	if _, _, err = runProcess(cmd); err != nil {
		return err
	}
	_, err = demo.Git(ctx, dir, "pack-refs", "--all")
	return err
}
