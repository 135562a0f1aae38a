//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/demo"
)

// measureAge commits to one repository over and over and asks what became of
// it: the same work beside a young repository of the same files, the number of
// packs, and the disk that it takes after a full repack.
func measureAge(ctx context.Context, b *bench) error {
	dir, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"age/young", "age/old"} {
		if _, err := b.server.upload(ctx, dir, name); err != nil {
			return err
		}
	}
	if err := b.growOld(ctx, b.sizes.youngCommits); err != nil {
		return err
	}
	youngLog, err := b.readLogs(ctx, "age/old")
	if err != nil {
		return err
	}
	youngPacks, err := b.server.packs(ctx, "age/old")
	if err != nil {
		return err
	}
	if err := b.growOld(ctx, b.sizes.oldCommits-b.sizes.youngCommits); err != nil {
		return err
	}
	oldPacks, err := b.server.packs(ctx, "age/old")
	if err != nil {
		return err
	}
	oldLog, err := b.readLogs(ctx, "age/old")
	if err != nil {
		return err
	}
	grown := thousands(int64(b.sizes.oldCommits))
	name := fmt.Sprintf("log of %s commits, history of %s", thousands(int64(b.sizes.logPages*b.sizes.logPage)), grown)
	b.table.add(name, oldLog.latency())
	b.table.beside("history of "+thousands(int64(b.sizes.youngCommits)), name, youngLog.latency(), ratioAtMost(1.5))
	if err := b.compareAges(ctx, "after "+grown+" commits to it"); err != nil {
		return err
	}
	name = "packs after " + grown + " commits"
	// Four for each time that the history has doubled is what we call O(log n).
	b.table.add(name, count(int64(len(oldPacks))), atMost(4*math.Ceil(math.Log2(float64(b.sizes.oldCommits)))))
	b.table.beside("after "+thousands(int64(b.sizes.youngCommits)), name, count(int64(len(youngPacks))))
	return b.compareDisk(ctx, "disk after "+grown+" commits")
}

// growOld makes that many commits, from many clients, and waits until the
// server has tidied up.
func (b *bench) growOld(ctx context.Context, commits int) error {
	token, err := b.server.account.Token("age/old")
	if err != nil {
		return err
	}
	if _, err := b.server.load(ctx, noDeadline, manyClients, func(client, turn int) (call, bool) {
		return commitCall(token, client, turn), turn*manyClients+client < commits
	}); err != nil {
		return err
	}
	return b.server.settle(ctx)
}

// compareAges does the same to the young repository and to the old.
func (b *bench) compareAges(ctx context.Context, name string) error {
	for _, work := range []struct {
		name string
		next func(token string, turn int) call
	}{
		{"read a file, 1 client, ", func(token string, _ int) call {
			return call{token, http.MethodGet, "/api/v1/repos/file?path=" + url.QueryEscape(treePath(rand.IntN(treeFiles))), nil}
		}},
		{"list 2,000 files, 1 client, ", func(token string, _ int) call {
			return call{token, http.MethodGet, "/api/v1/repos/files", nil}
		}},
		{"commit 3 of 2,000 files, 1 client, ", func(token string, turn int) call { return commitCall(token, 0, turn) }},
	} {
		var results [2]loadResult
		for i, repository := range []string{"age/young", "age/old"} {
			token, err := b.server.account.Token(repository)
			if err != nil {
				return err
			}
			if results[i], err = b.load(ctx, 1, func(_, turn int) (call, bool) { return work.next(token, turn), true }); err != nil {
				return err
			}
		}
		b.table.add(work.name+name, results[1].latency())
		b.table.beside("a young repository", work.name+name, results[0].latency(), ratioAtMost(1.5))
	}
	return nil
}

// compareDisk has the old repository repacked by the server, due or not, and a
// clone of it by git with nothing reused.
func (b *bench) compareDisk(ctx context.Context, name string) error {
	for i, state := range []string{", as the background left it", ", after a full repack"} {
		if i > 0 {
			if err := b.server.repackNow(ctx, "age/old"); err != nil {
				return err
			}
		}
		packs, err := b.server.packs(ctx, "age/old")
		if err != nil {
			return err
		}
		b.table.add(name+state, size(packedSize(packs)))
	}
	name += ", after a full repack"
	remote, err := b.server.account.Remote("age/old")
	if err != nil {
		return err
	}
	dir := b.path("age.git")
	if _, err := demo.Git(ctx, b.scratch, "clone", "-q", "--bare", remote, dir); err != nil {
		return err
	}
	if _, err := demo.Git(ctx, dir, "repack", "-q", "-a", "-d", "-F"); err != nil {
		return err
	}
	var stock int64
	files, err := os.ReadDir(filepath.Join(dir, "objects/pack"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".pack") || strings.HasSuffix(file.Name(), ".idx") {
			info, err := file.Info()
			if err != nil {
				return err
			}
			stock += info.Size()
		}
	}
	b.table.beside("git repack -a -d -F, as git gc does it with loose objects", name, size(stock), ratioAtMost(1.3))
	return nil
}

// packedSize is what packs and their indexes take.
func packedSize(packs []cairn.Pack) (sum int64) {
	for _, p := range packs {
		sum += p.Size + p.IndexSize
	}
	return sum
}
