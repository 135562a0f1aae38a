//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/demo"
)

// commitPackSize is about what three small files with their trees and the
// commit weigh.
const commitPackSize = 8 << 10

// measureCommit commits three files to a repository of 2,000.
func measureCommit(ctx context.Context, b *bench) error {
	tokens, err := b.commitRepositories(ctx, manyClients+2)
	if err != nil {
		return err
	}
	d, err := openDirect(ctx, b.path("direct-commit"))
	if err != nil {
		return err
	}
	defer d.Close()
	keys := make([]cairn.RepositoryKey, manyClients)
	for i := range keys {
		if keys[i], err = d.createRepository(ctx, fmt.Sprint("repository-", i)); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		name    string
		clients int
		token   func(client int) string
		key     func(worker int) cairn.RepositoryKey
		figure  func(loadResult) figure
		goal    goal
	}{
		{
			"commit 3 of 2,000 files, 1 client", 1,
			func(int) string { return tokens[32] }, func(int) cairn.RepositoryKey { return keys[0] }, loadResult.latency, within(3 * time.Millisecond),
		},
		{
			"commit 3 of 2,000 files, 32 clients, 32 repositories", 32,
			func(client int) string { return tokens[client] }, func(worker int) cairn.RepositoryKey { return keys[worker] }, loadResult.rate, ratePerSecond(2000),
		},
		{
			"commit 3 of 2,000 files, 32 clients, one branch", 32,
			func(int) string { return tokens[33] }, func(int) cairn.RepositoryKey { return keys[0] }, loadResult.rate, ratePerSecond(500),
		},
	} {
		result, err := b.load(ctx, c.clients, func(client, turn int) (call, bool) {
			return commitCall(c.token(client), client, turn), true
		})
		if err != nil {
			return err
		}
		b.table.add(c.name, c.figure(result), c.goal)
		limit, err := b.alone(ctx, c.clients, func(worker, _ int) error { return d.commit(ctx, c.key(worker), commitPackSize) })
		if err != nil {
			return err
		}
		b.table.beside("the same transaction, direct", c.name, c.figure(limit))
		if c.clients > 1 {
			continue
		}
		git, err := b.fastImports(ctx)
		if err != nil {
			return err
		}
		b.table.beside("git fast-import with core.fsync=all", c.name, git)
	}
	return nil
}

// commitRepositories makes repositories of 2,000 files, all but the first of
// them forks, and returns their tokens. The first is repacked before: else each
// fork would be, while the commits are measured.
func (b *bench) commitRepositories(ctx context.Context, count int) ([]string, error) {
	dir, err := b.filesRepository(ctx)
	if err != nil {
		return nil, err
	}
	tokens := make([]string, count)
	if tokens[0], err = b.server.upload(ctx, dir, "commit/0"); err != nil {
		return nil, err
	}
	if err := b.server.repack(ctx, "commit/0"); err != nil {
		return nil, err
	}
	for i := 1; i < count; i++ {
		if tokens[i], err = b.server.forkOf(ctx, "commit/0", fmt.Sprint("commit/", i)); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// commitCall is a commit of three files that no other turn writes so.
func commitCall(token string, client, turn int) call {
	c := demo.Commit{Branch: "main", Message: fmt.Sprintf("Client %d, turn %d", client, turn)}
	first := rand.IntN(treeFiles)
	for i := range 3 {
		content := fmt.Appendf(nil, "// client %d, turn %d\n%s", client, turn, filler)
		c.Files = append(c.Files, demo.File{Path: treePath(first + i*apart), Content: content})
	}
	return call{token, http.MethodPost, "/api/v1/repos/commit-pack", c.Body()}
}

// apart is how far the files of one commit are: no two are in one folder.
const apart = 667

// filler is the text that every written file has.
var filler = strings.Join(newText(2).lines(40), "")

// fastImports makes the same commits with one stock git each, the fastest way
// to do so from outside.
func (b *bench) fastImports(ctx context.Context) (figure, error) {
	source, err := b.filesRepository(ctx)
	if err != nil {
		return figure{}, err
	}
	dir := b.path("fast-import.git")
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return figure{}, err
	}
	walls, cpus := make([]time.Duration, b.sizes.gitTurns), make([]time.Duration, b.sizes.gitTurns)
	for turn := range walls {
		cmd := demo.GitCommand(ctx, dir, "-c", "core.fsync=all", "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet")
		var in strings.Builder
		writeCommit(&in, turn)
		cmd.Stdin = strings.NewReader(in.String())
		var err error
		if walls[turn], cpus[turn], err = runProcess(cmd); err != nil {
			return figure{}, err
		}
	}
	return took(middle(walls), middle(cpus), 0), nil
}

func writeCommit(w io.Writer, turn int) {
	fmt.Fprintf(w, "commit refs/heads/main\ncommitter Carl <carl@example.com> 1700000000 +0000\ndata 4\nTurn\nfrom refs/heads/main^0\n")
	first := rand.IntN(treeFiles)
	for i := range 3 {
		content := fmt.Sprintf("// turn %d\n%s", turn, filler)
		fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", treePath(first+i*apart), len(content), content)
	}
}
