//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// measureFork forks a large repository, with one ref and with many.
func measureFork(ctx context.Context, b *bench) error {
	large, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	if err := b.forkLarge(ctx, large, "fork a large repository, 1 client"); err != nil {
		return err
	}
	many := b.path("large-many-refs.git")
	if err := cloneOnDisk(ctx, large, many); err != nil {
		return err
	}
	if err := addRefs(ctx, many, b.sizes.refs); err != nil {
		return err
	}
	if err := b.server.push(ctx, many, "large", "refs/heads/*:refs/heads/*"); err != nil {
		return err
	}
	return b.forkLarge(ctx, many, fmt.Sprintf("fork it with %s refs, 1 client", thousands(int64(b.sizes.refs))))
}

// forkLarge forks "large", and the same repository on the disk with stock git.
func (b *bench) forkLarge(ctx context.Context, dir, name string) error {
	body, err := b.server.forkBody("large")
	if err != nil {
		return err
	}
	before, err := onDisk(filepath.Join(b.server.data, "bucket"))
	if err != nil {
		return err
	}
	run := time.Now().UnixNano()
	result, err := b.load(ctx, 1, func(_, turn int) (call, bool) {
		token, err := b.server.account.Token(fmt.Sprintf("fork/%d-%d", run, turn))
		return call{token, http.MethodPost, "/api/v1/repos", body}, err == nil
	})
	if err != nil {
		return err
	}
	after, err := onDisk(filepath.Join(b.server.data, "bucket"))
	if err != nil {
		return err
	}
	b.table.add(name, result.latency(), within(5*time.Millisecond))
	b.table.beside("bytes of packs that all the forks added", name, size(after.bytes-before.bytes), atMost(0))
	git, err := processes(ctx, b.sizes.gitTurns, b.scratch, func(turn int) []string {
		return []string{"clone", "-q", "--bare", "--shared", dir, fmt.Sprintf("forked-%d-%d.git", run, turn)}
	})
	b.table.beside("git clone --bare --shared", name, git)
	return err
}

// space is what a directory takes of a disk.
type space struct {
	bytes  int64 // allocated
	inodes int64
}

// onDisk adds up what a directory takes. What vanishes meanwhile counts or
// not.
func onDisk(dir string) (sum space, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		info, err := entry.Info()
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		sum.inodes++
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && !entry.IsDir() {
			sum.bytes += stat.Blocks * 512
		}
		return nil
	})
	return sum, err
}

// cloneOnDisk copies a bare repository: its packs are linked, their bitmap too.
func cloneOnDisk(ctx context.Context, from, to string) error {
	_, err := demo.Git(ctx, filepath.Dir(to), "clone", "-q", "--bare", "--local", from, to)
	return err
}
