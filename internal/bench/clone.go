//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// cloneMemory is what the clones of a large repository may take, however many
// are served at once.
const cloneMemory = 300 << 20

// measureClone fetches a large repository with nothing at hand: by a client
// that throws the pack away, which leaves the server's part, and by stock git.
// The server has repacked it and is started anew, so that the first of each kind
// finds no cache.
func measureClone(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	if err := b.server.restart(ctx); err != nil {
		return err
	}
	tip, err := demo.Git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name  string
		lines []string
		goal  float64
	}{
		{"full clone, the first", nil, 0.3},
		{"full clone, repeated", nil, 0.15},
		{"clone with depth 1, the first", []string{"deepen 1\n"}, 1},
		{"clone with depth 1, an identical one", []string{"deepen 1\n"}, 0.1},
		{"blobless clone, the first", []string{"filter blob:none\n"}, 1},
		{"blobless clone, an identical one", []string{"filter blob:none\n"}, 0.1},
	} {
		if err := b.compareFetch(ctx, c.name, "large", dir, fetchRequest(tip, c.lines...), cpuRatioAtMost(c.goal)); err != nil {
			return err
		}
	}
	if err := b.cloneAtOnce(ctx, tip); err != nil {
		return err
	}
	if err := b.cloneAfterOneMore(ctx, dir); err != nil {
		return err
	}
	return b.gitClone(ctx, dir, "git clone --bare")
}

// compareFetch sends a request to the server and to git upload-pack in a copy
// of the repository.
func (b *bench) compareFetch(ctx context.Context, name, repository, dir string, request []byte, goals ...goal) error {
	use, err := b.server.watch(func() error { return b.fetch(ctx, repository, request) })
	if err != nil {
		return err
	}
	b.table.add(name, took(use.wall, use.cpu, use.anon))
	wall, cpu, err := uploadPack(ctx, dir, request)
	b.table.beside("git upload-pack, with a bitmap", name, took(wall, cpu, 0), goals...)
	return err
}

// cloneAtOnce is a number of clients at the same time.
func (b *bench) cloneAtOnce(ctx context.Context, tip string) error {
	clients := b.sizes.clonesAtOnce
	use, err := b.server.watch(func() error { return b.fetchAtOnce(ctx, clients, fetchRequest(tip)) })
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("%d full clones at once", clients), took(use.wall, use.each(clients), use.anon), memoryWithin(cloneMemory))
	return nil
}

// cloneAfterOneMore adds a commit on both sides and clones.
func (b *bench) cloneAfterOneMore(ctx context.Context, dir string) error {
	more := b.path("one-more.git")
	if err := cloneOnDisk(ctx, dir, more); err != nil {
		return err
	}
	commits, err := chain(ctx, more, 1)
	if err != nil {
		return err
	}
	if err := b.server.push(ctx, more, "large", commits[0]+":refs/heads/more"); err != nil {
		return err
	}
	return b.compareFetch(ctx, "full clone, after one more commit", "large", more, fetchRequest(commits[0]))
}

// gitClone clones with stock git, from the server and from the disk.
func (b *bench) gitClone(ctx context.Context, dir, name string) error {
	remote, err := b.server.account.Remote("large")
	if err != nil {
		return err
	}
	clone := func(from, to string) []string {
		return []string{"clone", "-q", "--bare", "--single-branch", from, b.path(to)}
	}
	use, err := b.server.watch(func() error {
		_, err := demo.Git(ctx, b.scratch, clone(remote, "cloned.git")...)
		return err
	})
	if err != nil {
		return err
	}
	b.table.add(name, took(use.wall, use.cpu, use.anon))
	wall, _, err := runProcess(demo.GitCommand(ctx, b.scratch, clone("file://"+dir, "from-disk.git")...))
	b.table.beside("from file://, all of it stock git", name, took(wall, 0, 0))
	return err
}

// fetchTurns is how many fetches make one figure: a small one is over in a
// moment.
const fetchTurns = 5

// measureFetch fetches the newest commits of a large repository, whose pack and
// bitmap on stock git's side are as old as what the client has. Each turn the
// client has a commit less, so that no two requests are the same.
func measureFetch(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	if err := b.server.restart(ctx); err != nil {
		return err
	}
	grown := b.path("grown.git")
	if err := cloneOnDisk(ctx, dir, grown); err != nil {
		return err
	}
	after := b.sizes.fetchAfter
	commits, err := chain(ctx, grown, after[len(after)-1])
	if err != nil {
		return err
	}
	list, err := demo.Git(ctx, dir, "rev-list", "--first-parent", fmt.Sprintf("-n%d", fetchTurns), "HEAD")
	if err != nil {
		return err
	}
	haves := strings.Fields(list)
	for _, n := range after {
		tip := commits[n-1]
		if err := b.server.push(ctx, grown, "large", tip+":refs/heads/grown"); err != nil {
			return err
		}
		if err := b.server.settle(ctx); err != nil {
			return err
		}
		if err := b.compareSmallFetches(ctx, fmt.Sprintf("fetch after %s new commits", thousands(int64(n))), grown, tip, haves); err != nil {
			return err
		}
	}
	return nil
}

// compareSmallFetches fetches a commit on top of each of the others.
func (b *bench) compareSmallFetches(ctx context.Context, name, dir, tip string, haves []string) error {
	requests := make([][]byte, len(haves))
	for i, have := range haves {
		requests[i] = fetchRequest(tip, "have "+have+"\n")
	}
	walls := make([]time.Duration, len(requests))
	use, err := b.server.watch(func() error {
		for i, request := range requests {
			began := time.Now()
			if err := b.fetch(ctx, "large", request); err != nil {
				return err
			}
			walls[i] = time.Since(began)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.table.add(name, took(middle(walls), use.each(len(requests)), use.anon))
	var all time.Duration
	for i, request := range requests {
		var cpu time.Duration
		if walls[i], cpu, err = uploadPack(ctx, dir, request); err != nil {
			return err
		}
		all += cpu
	}
	b.table.beside("git upload-pack, its bitmap at the old state", name, took(middle(walls), all/time.Duration(len(requests)), 0), cpuRatioAtMost(0.5))
	return nil
}
