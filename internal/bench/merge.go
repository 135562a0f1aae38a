//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

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
	// Each merge is another one: what git wrote for the one before is of no use
	// to it.
	each := 10 * b.sizes.gitTurns
	if err := fastImport(ctx, dir, func(w io.Writer) { writeSides(w, 2*each) }); err != nil {
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
	err = b.mergeBeside(ctx, dir, preview, 0, func(_, turn int) (call, bool) {
		path := "/api/v1/repos/merge/preview?source_branch=theirs&target_branch=" + mergeTarget(turn)
		return call{token, http.MethodGet, path, nil}, turn < each
	})
	if err != nil {
		return err
	}
	const merge = "merge them, 1 client"
	return b.mergeBeside(ctx, dir, merge, each, func(_, turn int) (call, bool) {
		body := fmt.Appendf(nil, `{"source_branch":"theirs","target_branch":%q,"strategy":"merge","commit_message":"Merge","author":{"name":"Ann","email":"ann@example.com"}}`, mergeTarget(each+turn))
		return call{token, http.MethodPost, "/api/v1/repos/merge", body}, turn < each
	})
}

// mergeBeside measures requests that merge, and such merges by stock git, which
// stores a tree and neither commit nor ref, and syncs nothing.
func (b *bench) mergeBeside(ctx context.Context, dir, name string, first int, next func(client, turn int) (call, bool)) error {
	result, err := b.load(ctx, 1, next)
	if err != nil {
		return err
	}
	b.table.add(name, result.latency())
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(turn int) []string {
		return []string{"merge-tree", "--write-tree", mergeTarget(first + turn), "theirs"}
	})
	b.table.beside("git merge-tree --write-tree", name, git, ratioAtMost(1))
	return err
}

// mergeTarget is a branch that is merged into once.
func mergeTarget(i int) string { return fmt.Sprintf("target-%d", i) }

// writeSides writes the branch theirs, and as many targets, each with changes of
// its own in the same files.
func writeSides(w io.Writer, targets int) {
	commit := func(branch, from, first, last string) {
		fmt.Fprintf(w, "commit refs/heads/%s\ncommitter Carl <carl@example.com> 1700000000 +0000\ndata 4\nSide\nfrom refs/heads/%s\n", branch, from)
		for i := range mergedFiles {
			content := first + filler + last
			fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", treePath(i*apart), len(content), content)
		}
	}
	commit("base", "main", "// first\n", "// last\n")
	commit("theirs", "base", "// first\n", "// their last\n")
	for i := range targets {
		commit(mergeTarget(i), "base", fmt.Sprintf("// our first %d\n", i), "// last\n")
	}
}
