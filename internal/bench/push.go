//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// measurePush sends the pack of a large repository, as it lies on the disk, and
// clones what came to be of it. The server finds no git meanwhile: the repack
// that it would begin at once would count as part of either.
func measurePush(ctx context.Context, b *bench) error {
	dir, err := b.largeRepository(ctx, b.sizes.largePack)
	if err != nil {
		return err
	}
	tip, err := demo.Git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	pack := b.path("push.pack")
	if err := writePack(ctx, dir, pack); err != nil {
		return err
	}
	if err := b.server.restartWithout(ctx, true); err != nil {
		return err
	}
	token, err := b.server.create(ctx, "pushed")
	if err != nil {
		return err
	}
	use, err := b.server.watch(func() error { return b.sendPack(ctx, "pushed", token, tip, pack) })
	if err != nil {
		return err
	}
	const name = "push a large repository, all at once"
	b.table.add(name, took(use.wall, use.cpu, use.anon), memoryWithin(memoryBound))
	empty := b.path("index-pack.git")
	if _, err := demo.Git(ctx, b.scratch, "init", "-q", "--bare", "--template=", empty); err != nil {
		return err
	}
	in, err := os.Open(pack)
	if err != nil {
		return err
	}
	defer in.Close()
	cmd := demo.GitCommand(ctx, empty, "index-pack", "--strict", "--stdin")
	cmd.Stdin = in
	wall, cpu, err := runProcess(cmd)
	b.table.beside("git index-pack --strict", name, took(wall, cpu, 0), ratioAtMost(1))
	if err := errors.Join(err, os.RemoveAll(empty)); err != nil {
		return err
	}
	for _, c := range []struct {
		name  string
		lines []string
	}{
		{"full clone, the first, before the repack", nil},
		{"blobless clone, the first, before the repack", []string{"filter blob:none\n"}},
	} {
		if err := b.compareFetch(ctx, c.name, "pushed", dir, fetchRequest(tip, c.lines...)); err != nil {
			return err
		}
	}
	return b.server.restartWithout(ctx, false)
}

// writePack writes everything that HEAD reaches to a file.
func writePack(ctx context.Context, dir, file string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := demo.GitCommand(ctx, dir, "pack-objects", "-q", "--revs", "--stdout", "--delta-base-offset")
	cmd.Stdin = strings.NewReader("HEAD\n")
	cmd.Stdout = out
	_, _, err = runProcess(cmd)
	return err
}

// sendPack pushes the pack as main to an empty repository.
func (b *bench) sendPack(ctx context.Context, name, token, tip, pack string) error {
	file, err := os.Open(pack)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	command := packet(strings.Repeat("0", 40)+" "+tip+" refs/heads/main\x00report-status object-format=sha1\n") + "0000"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.url+"/"+name+".git/git-receive-pack", io.MultiReader(strings.NewReader(command), file))
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(command)) + info.Size()
	req.SetBasicAuth("t", token)
	req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte("ok refs/heads/main")) {
		return fmt.Errorf("push: %s\n%s", resp.Status, answer)
	}
	return nil
}

// measureSmallPush pushes one commit after the other with stock git, as its
// user sees it.
func measureSmallPush(ctx context.Context, b *bench) error {
	source, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	work := b.path("small-work.git")
	if err := os.CopyFS(work, os.DirFS(source)); err != nil {
		return err
	}
	commits, err := chain(ctx, work, b.sizes.smallPushes)
	if err != nil {
		return err
	}
	if _, err := b.uploadOnce(ctx, source, "small"); err != nil {
		return err
	}
	remote, err := b.server.account.Remote("small")
	if err != nil {
		return err
	}
	const name = "git push of one commit"
	var walls []time.Duration
	use, err := b.server.watch(func() error {
		walls, err = pushes(ctx, work, remote, commits)
		return err
	})
	if err != nil {
		return err
	}
	b.table.add(name, took(middle(walls), use.each(len(commits)), use.anon))
	stock, err := startStock(ctx, b.path("stock"))
	if err != nil {
		return err
	}
	defer func() { _ = stock.stop() }()
	if err := stock.add(ctx, source, "small.git"); err != nil {
		return err
	}
	stockUse, err := stock.watch(func() error {
		walls, err = pushes(ctx, work, stock.url+"/small.git", commits)
		return err
	})
	if err != nil {
		return err
	}
	b.table.beside("to git http-backend", name, took(middle(walls), stockUse.each(len(commits)), 0), ratioAtMost(0.5))
	return nil
}

// chain makes commits of one file each on top of HEAD, without moving it, and
// returns them, the oldest first.
func chain(ctx context.Context, dir string, count int) ([]string, error) {
	tip, err := demo.Git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	err = fastImport(ctx, dir, func(w io.Writer) {
		for i := range count {
			fmt.Fprintf(w, "commit refs/heads/next\ncommitter Carl <carl@example.com> %d +0000\ndata 4\nNext\n", 1_800_000_000+i)
			if i == 0 {
				fmt.Fprintf(w, "from %s\n", tip)
			}
			content := fmt.Sprintf("// %d\n%s", i, filler)
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", treePath(i*37), len(content), content)
		}
	})
	if err != nil {
		return nil, err
	}
	out, err := demo.Git(ctx, dir, "rev-list", "--reverse", tip+"..refs/heads/next")
	return strings.Fields(out), err
}

// pushes pushes one commit after the other and returns how long each took.
func pushes(ctx context.Context, dir, remote string, commits []string) ([]time.Duration, error) {
	walls := make([]time.Duration, len(commits))
	for i, commit := range commits {
		var err error
		if walls[i], _, err = runProcess(demo.GitCommand(ctx, dir, "push", "-q", remote, commit+":refs/heads/main")); err != nil {
			return nil, err
		}
	}
	return walls, nil
}
