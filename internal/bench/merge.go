//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// mergedFiles is how many files both sides of a merge change, each in a folder
// of its own.
const mergedFiles = 3

// measureMerge merges two branches of a repository of 2,000 files that have
// changed the same files in different places.
func measureMerge(ctx context.Context, b *bench) error {
	source, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	dir := b.path("merge.git")
	if err := cloneOnDisk(ctx, source, dir); err != nil {
		return err
	}
	targets := 10 * b.sizes.gitTurns
	if err := fastImport(ctx, dir, func(w io.Writer) { writeSides(w, targets) }); err != nil {
		return err
	}
	if _, err := demo.Git(ctx, dir, "pack-refs", "--all"); err != nil {
		return err
	}
	token, err := b.server.upload(ctx, dir, "merge")
	if err != nil {
		return err
	}
	if err := b.server.settle(ctx); err != nil {
		return err
	}
	const preview = "preview a merge of 3 of 2,000 files, 1 client"
	err = b.mergeBeside(ctx, dir, preview, func(int, int) (call, bool) {
		return call{token, http.MethodGet, "/api/v1/repos/merge/preview?source_branch=theirs&target_branch=ours", nil}, true
	})
	if err != nil {
		return err
	}
	const merge = "merge them, 1 client"
	return b.mergeBeside(ctx, dir, merge, func(_, turn int) (call, bool) {
		body := fmt.Appendf(nil, `{"source_branch":"theirs","target_branch":%q,"strategy":"merge","commit_message":"Merge","author":{"name":"Ann","email":"ann@example.com"}}`, mergeTarget(turn))
		return call{token, http.MethodPost, "/api/v1/repos/merge", body}, turn < targets
	})
}

// mergeBeside measures requests that merge, and the same merge by stock git,
// which stores a tree and neither commit nor ref, and syncs nothing.
func (b *bench) mergeBeside(ctx context.Context, dir, name string, next func(client, turn int) (call, bool)) error {
	result, err := b.load(ctx, 1, next)
	if err != nil {
		return err
	}
	b.table.add(name, result.latency())
	git, err := b.mergeTrees(ctx, dir)
	b.table.beside("git merge-tree --write-tree", name, git, ratioAtMost(1))
	return err
}

// mergeTrees merges with a git for each turn. What the turn before wrote is
// removed, unmeasured: git is quicker where the objects are there.
func (b *bench) mergeTrees(ctx context.Context, dir string) (figure, error) {
	walls, cpus := make([]time.Duration, b.sizes.gitTurns), make([]time.Duration, b.sizes.gitTurns)
	for turn := range walls {
		if _, err := demo.Git(ctx, dir, "prune", "--expire=now"); err != nil {
			return figure{}, err
		}
		var err error
		if walls[turn], cpus[turn], err = runProcess(demo.GitCommand(ctx, dir, "merge-tree", "--write-tree", "ours", "theirs")); err != nil {
			return figure{}, err
		}
	}
	return took(middle(walls), middle(cpus), 0), nil
}

// mergeTarget is a branch that is merged into once.
func mergeTarget(i int) string { return fmt.Sprintf("target-%d", i) }

// writeSides writes the branches ours and theirs, and as many targets where ours
// is.
func writeSides(w io.Writer, targets int) {
	commit := func(branch, from, first, last string) {
		fmt.Fprintf(w, "commit refs/heads/%s\ncommitter Carl <carl@example.com> 1700000000 +0000\ndata 4\nSide\nfrom refs/heads/%s\n", branch, from)
		for i := range mergedFiles {
			content := first + filler + last
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", treePath(i*apart), len(content), content)
		}
	}
	commit("base", "main", "// first\n", "// last\n")
	commit("ours", "base", "// our first\n", "// last\n")
	commit("theirs", "base", "// first\n", "// their last\n")
	for i := range targets {
		fmt.Fprintf(w, "reset refs/heads/%s\nfrom refs/heads/ours\n\n", mergeTarget(i))
	}
}
