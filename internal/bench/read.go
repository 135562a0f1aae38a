//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// uploadOnce brings a repository to the server unless a subject of this run
// has done so.
func (b *bench) uploadOnce(ctx context.Context, dir, name string) (string, error) {
	token, err := b.server.account.Token(name)
	if err != nil {
		return "", err
	}
	if err := b.server.account.Call(ctx, name, http.MethodGet, "/api/v1/repo", nil, nil); err == nil {
		return token, nil
	}
	return b.server.upload(ctx, dir, name)
}

// uploadLarge brings the large repository, as "large", waits until the server
// has repacked it and returns where it is on the disk.
func (b *bench) uploadLarge(ctx context.Context) (string, error) {
	dir, err := b.largeRepository(ctx, b.sizes.largePack)
	if err != nil {
		return "", err
	}
	if _, err = b.uploadOnce(ctx, dir, "large"); err != nil {
		return "", err
	}
	return dir, b.server.repack(ctx, "large")
}

// measureRead reads files by path.
func measureRead(ctx context.Context, b *bench) error {
	dir, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	token, err := b.uploadOnce(ctx, dir, "files")
	if err != nil {
		return err
	}
	next := func(int, int) (call, bool) {
		return call{token, http.MethodGet, "/api/v1/repos/file?path=" + url.QueryEscape(treePath(rand.IntN(treeFiles))), nil}, true
	}
	one, err := b.load(ctx, 1, next)
	if err != nil {
		return err
	}
	b.table.add("read a file, 1 client", one.latency(), within(500*time.Microsecond))
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(int) []string { return []string{"cat-file", "blob", "main:" + treePath(rand.IntN(treeFiles))} })
	if err != nil {
		return err
	}
	b.table.beside("git cat-file, a process each", "read a file, 1 client", git)
	many, err := b.load(ctx, manyClients, next)
	if err != nil {
		return err
	}
	b.table.add("read a file, 32 clients", many.rate(), ratePerSecond(10_000))
	batch, err := b.catFileBatch(ctx, dir)
	b.table.beside("git cat-file --batch, one process", "read a file, 32 clients", batch)
	return err
}

// catFileBatch reads files from a git that stays.
func (b *bench) catFileBatch(ctx context.Context, dir string) (figure, error) {
	cmd := demo.GitCommand(ctx, dir, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return figure{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return figure{}, err
	}
	if err := cmd.Start(); err != nil {
		return figure{}, err
	}
	r := bufio.NewReaderSize(out, 64<<10)
	result, err := b.alone(ctx, 1, func(int, int) error {
		if _, err := io.WriteString(in, "main:"+treePath(rand.IntN(treeFiles))+"\n"); err != nil {
			return err
		}
		header, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		fields := strings.Fields(header)
		size, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			return fmt.Errorf("git cat-file: %q", header)
		}
		_, err = r.Discard(size + 1)
		return err
	})
	if err != nil {
		return figure{}, err
	}
	if err := in.Close(); err != nil {
		return figure{}, err
	}
	if err := cmd.Wait(); err != nil {
		return figure{}, err
	}
	result.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return result.rate(), nil
}

// measureList lists all files of a repository.
func measureList(ctx context.Context, b *bench) error {
	dir, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	token, err := b.uploadOnce(ctx, dir, "files")
	if err != nil {
		return err
	}
	result, err := b.load(ctx, 1, func(int, int) (call, bool) {
		return call{token, http.MethodGet, "/api/v1/repos/files", nil}, true
	})
	if err != nil {
		return err
	}
	const name = "list 2,000 files, 1 client"
	b.table.add(name, result.latency(), within(5*time.Millisecond))
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(int) []string { return []string{"ls-tree", "-r", "main"} })
	b.table.beside("git ls-tree -r", name, git)
	return err
}

// measureLog reads the newest commits, page by page.
func measureLog(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	result, err := b.readLogs(ctx, "large")
	if err != nil {
		return err
	}
	commits := b.sizes.logPages * b.sizes.logPage
	name := fmt.Sprintf("log of %s commits, %d pages", thousands(int64(commits)), b.sizes.logPages)
	b.table.add(name, result.latency(), within(5*time.Millisecond))
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(int) []string {
		return []string{"log", fmt.Sprintf("-%d", commits), "--format=%H %P%n%an %ae %ad%n%cn %ce %cd%n%B"}
	})
	b.table.beside("git log", name, git)
	return err
}

// readLogs reads the log of a repository over and over. Only the first time is
// what comes decoded: the pages are the same again and again.
func (b *bench) readLogs(ctx context.Context, repository string) (loadResult, error) {
	token, err := b.server.account.Token(repository)
	if err != nil {
		return loadResult{}, err
	}
	c, err := dial(ctx, b.server.url)
	if err != nil {
		return loadResult{}, err
	}
	defer c.conn.Close()
	pages, err := b.logPages(c, token)
	if err != nil {
		return loadResult{}, err
	}
	return b.repeat(ctx, pages)
}

// repeat makes the same calls again and again, and does not decode what comes.
func (b *bench) repeat(ctx context.Context, calls []call) (loadResult, error) {
	c, err := dial(ctx, b.server.url)
	if err != nil {
		return loadResult{}, err
	}
	defer c.conn.Close()
	var walls []time.Duration
	use, err := b.server.watch(func() error {
		for began := time.Now(); time.Since(began) < b.sizes.measurement; {
			start := time.Now()
			if err := c.doAll(calls); err != nil {
				return err
			}
			walls = append(walls, time.Since(start))
		}
		return nil
	})
	if err != nil {
		return loadResult{}, err
	}
	return loadResult{len(walls), middle(walls), use}, nil
}

// logPages returns the requests for the pages of a log.
func (b *bench) logPages(c *connection, token string) ([]call, error) {
	var pages []call
	cursor := ""
	for range b.sizes.logPages {
		var page struct {
			Commits []json.RawMessage `json:"commits"`
			Next    string            `json:"next_cursor"`
		}
		path := fmt.Sprintf("/api/v1/repos/commits?limit=%d&cursor=%s", b.sizes.logPage, url.QueryEscape(cursor))
		pages = append(pages, call{token, http.MethodGet, path, nil})
		if err := c.decode(pages[len(pages)-1], &page); err != nil {
			return nil, err
		}
		if len(page.Commits) != b.sizes.logPage {
			return nil, fmt.Errorf("a page of %d commits, not of %d", len(page.Commits), b.sizes.logPage)
		}
		cursor = page.Next
	}
	return pages, nil
}

// measureDiff asks what commits of a large repository changed.
func measureDiff(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	list, err := demo.Git(ctx, dir, "rev-list", "--no-merges", "-n200", "main")
	if err != nil {
		return err
	}
	commits := strings.Fields(list)
	token, err := b.server.account.Token("large")
	if err != nil {
		return err
	}
	result, err := b.load(ctx, 1, func(_, turn int) (call, bool) {
		return call{token, http.MethodGet, "/api/v1/repos/diff?gitApplyCompatible=true&sha=" + commits[turn%len(commits)], nil}, true
	})
	if err != nil {
		return err
	}
	const name = "diff of a commit, 1 client"
	b.table.add(name, result.latency())
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(turn int) []string { return []string{"diff-tree", "-p", "-M", commits[turn%len(commits)]} })
	b.table.beside("git diff-tree -p -M", name, git, ratioAtMost(0.2))
	return err
}
