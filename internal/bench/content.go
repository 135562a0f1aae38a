//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

const (
	// rarePattern is found in one of some 14 files of the large repository, but
	// no fixed text of it is rare.
	rarePattern = `^\t*[a-z]+ := [a-z]+\.[a-z]+\([a-z]+, 7\)$`
	// rareText is found in one of some 25 files.
	rareText = ", 77)"

	changedPerCommit = 3 // files of a commit of the busy repository
)

// busyRepository returns a bare repository of 2,000 files in which every
// commit changes a few lines of three, with a commit-graph, as git gc leaves
// it.
func (b *bench) busyRepository(ctx context.Context) (string, error) {
	commits := b.sizes.oldCommits
	dir, err := b.generated(ctx, fmt.Sprintf("busy-%d.git", commits), func(w io.Writer) { writeBusy(w, commits) })
	if err != nil {
		return "", err
	}
	_, err = demo.Git(ctx, dir, "commit-graph", "write", "--reachable")
	return dir, err
}

func writeBusy(w io.Writer, commits int) {
	text := newText(2)
	files := make([][]string, treeFiles)
	begin := func(commit int) {
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter Carl <carl@example.com> %d +0000\ndata 7\nChange\n\n", 1_700_000_000+600*commit)
	}
	put := func(i int) {
		content := strings.Join(files[i], "")
		fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", treePath(i), len(content), content)
	}
	begin(0)
	for i := range files {
		files[i] = text.lines(50 + text.IntN(200))
		put(i)
	}
	for commit := 1; commit < commits; commit++ {
		begin(commit)
		for _, i := range text.Perm(treeFiles)[:changedPerCommit] {
			at := text.IntN(len(files[i]))
			copy(files[i][at:], text.lines(3))
			put(i)
		}
	}
}

// uploadBusy brings the busy repository, as "busy", and waits until the server
// has repacked it.
func (b *bench) uploadBusy(ctx context.Context) (dir, token string, err error) {
	if dir, err = b.busyRepository(ctx); err != nil {
		return "", "", err
	}
	if token, err = b.uploadOnce(ctx, dir, "busy"); err != nil {
		return "", "", err
	}
	return dir, token, b.server.repack(ctx, "busy")
}

// pages follows the cursors of a listing to its end and returns how often
// count saw something. ask makes the request that goes on at a cursor.
func (b *bench) pages(ctx context.Context, ask func(cursor string) call, count func(page map[string]json.RawMessage) (int, error)) (things int, use usage, err error) {
	c, err := dial(ctx, b.server.url)
	if err != nil {
		return 0, usage{}, err
	}
	defer c.conn.Close()
	use, err = b.server.watch(func() error {
		for cursor := ""; ; {
			var page map[string]json.RawMessage
			if err := c.decode(ask(cursor), &page); err != nil {
				return err
			}
			n, err := count(page)
			if err != nil {
				return err
			}
			things += n
			if string(page["has_more"]) != "true" {
				return nil
			}
			if err := json.Unmarshal(page["next_cursor"], &cursor); err != nil {
				return err
			}
		}
	})
	return things, use, err
}

// lengthOf counts the members of a list of a page.
func lengthOf(list string) func(map[string]json.RawMessage) (int, error) {
	return func(page map[string]json.RawMessage) (int, error) {
		var all []json.RawMessage
		err := json.Unmarshal(page[list], &all)
		return len(all), err
	}
}

// measureGrep searches all files of a large repository.
func measureGrep(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	token, err := b.server.account.Token("large")
	if err != nil {
		return err
	}
	for _, search := range []struct{ name, pattern, flag string }{
		{"grep all files for a text", rareText, "-F"},
		{"grep all files for a regular expression", rarePattern, "-P"},
	} {
		pattern := search.pattern
		if search.flag == "-F" {
			pattern = strings.ReplaceAll(pattern, ")", `\)`)
		}
		var walls []time.Duration
		var files int
		var use usage
		for range b.sizes.wholeTurns {
			files, use, err = b.pages(ctx, func(cursor string) call {
				body, _ := json.Marshal(map[string]any{ // of texts and numbers alone
					"query":      map[string]any{"pattern": pattern},
					"pagination": map[string]any{"limit": 1000, "cursor": cursor},
				})
				return call{token, http.MethodPost, "/api/v1/repos/grep", body}
			}, lengthOf("matches"))
			if err != nil {
				return err
			}
			walls = append(walls, use.wall)
		}
		found, err := demo.Git(ctx, dir, "grep", "-I", "-l", search.flag, search.pattern, "main")
		if err != nil {
			return err
		}
		if want := len(strings.Fields(found)); files < want { // a file may be on two pages
			return fmt.Errorf("%s: %d files, git grep finds %d", search.name, files, want)
		}
		b.table.add(search.name, took(middle(walls), use.cpu, use.anon))
		git, err := processes(ctx, b.sizes.wholeTurns, dir, func(int) []string { return []string{"grep", "-I", "-n", search.flag, search.pattern, "main"} })
		if err != nil {
			return err
		}
		b.table.beside("git grep "+search.flag, search.name, git, ratioAtMost(0.5))
	}
	return nil
}

// measureArchive makes a tar.gz of a large repository.
func measureArchive(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	token, err := b.server.account.Token("large")
	if err != nil {
		return err
	}
	c, err := dial(ctx, b.server.url)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	var walls []time.Duration
	var use usage
	var bytes int64
	for range b.sizes.wholeTurns {
		use, err = b.server.watch(func() error {
			return c.answer(c.render(call{token, http.MethodPost, "/api/v1/repos/archive", []byte("{}")}), func(body io.Reader) (err error) {
				bytes, err = io.Copy(io.Discard, body)
				return err
			})
		})
		if err != nil {
			return err
		}
		walls = append(walls, use.wall)
	}
	const name, sizeName = "archive of all files, tar.gz", "size of that archive"
	b.table.add(name, took(middle(walls), use.cpu, use.anon))
	git, err := processes(ctx, b.sizes.wholeTurns, dir, func(int) []string { return []string{"archive", "--format=tar.gz", "main"} })
	if err != nil {
		return err
	}
	b.table.beside("git archive --format=tar.gz", name, git, ratioAtMost(0.5))
	var gits countingWriter
	cmd := demo.GitCommand(ctx, dir, "archive", "--format=tar.gz", "main")
	cmd.Stdout = &gits
	if _, _, err := runProcess(cmd); err != nil {
		return err
	}
	b.table.add(sizeName, size(bytes))
	b.table.beside("git archive --format=tar.gz", sizeName, size(int64(gits)))
	return nil
}

// countingWriter counts what is written to it.
type countingWriter int64

func (n *countingWriter) Write(p []byte) (int, error) {
	*n += countingWriter(len(p))
	return len(p), nil
}

// measureBlame asks where the lines of files come from.
func measureBlame(ctx context.Context, b *bench) error {
	dir, token, err := b.uploadBusy(ctx)
	if err != nil {
		return err
	}
	path := func(turn int) string { return treePath(turn * 67) }
	result, err := b.load(ctx, 1, func(_, turn int) (call, bool) {
		return call{token, http.MethodGet, "/api/v1/repos/blame?path=" + url.QueryEscape(path(turn)), nil}, true
	})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("blame of a file, history of %s", thousands(int64(b.sizes.oldCommits)))
	b.table.add(name, result.latency())
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(turn int) []string { return []string{"blame", "--porcelain", "main", "--", path(turn)} })
	b.table.beside("git blame, with a commit-graph", name, git, ratioAtMost(1))
	return err
}

// measureMetadata asks for the last change of every file: after a restart, and
// again.
func measureMetadata(ctx context.Context, b *bench) error {
	dir, token, err := b.uploadBusy(ctx)
	if err != nil {
		return err
	}
	if err := b.server.restart(ctx); err != nil {
		return err
	}
	var asked []call
	files, first, err := b.pages(ctx, func(cursor string) call {
		asked = append(asked, call{token, http.MethodGet, "/api/v1/repos/files/metadata?limit=1000&cursor=" + url.QueryEscape(cursor), nil})
		return asked[len(asked)-1]
	}, lengthOf("files"))
	if err == nil && files != treeFiles {
		err = fmt.Errorf("%d files, not %d", files, treeFiles)
	}
	if err != nil {
		return err
	}
	name := fmt.Sprintf("last change of 2,000 files, history of %s, the first time", thousands(int64(b.sizes.oldCommits)))
	b.table.add(name, took(first.wall, first.cpu, first.anon))
	git, err := processes(ctx, b.sizes.gitTurns, dir, func(turn int) []string {
		return []string{"log", "-1", "--format=%H", "main", "--", treePath(turn * 67)}
	})
	if err != nil {
		return err
	}
	git.value *= treeFiles
	git.cpu *= treeFiles
	b.table.beside(fmt.Sprintf("git log -1, 2,000 times the median of %d paths", b.sizes.gitTurns), name, git, ratioAtMost(0.2))
	again, err := b.repeat(ctx, asked)
	if err != nil {
		return err
	}
	b.table.add("the same, again", again.latency(), within(20*time.Millisecond))
	return nil
}
