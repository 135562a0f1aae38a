package githttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// leaving is the context of a caller who leaves when the operation has asked a
// number of times whether it is still there.
type leaving struct {
	context.Context
	asked atomic.Int64
	after int64 // leaves then; 0 is never
	gone  chan struct{}
	once  sync.Once
}

func newLeaving(ctx context.Context, after int64) *leaving {
	return &leaving{Context: ctx, after: after, gone: make(chan struct{})}
}

// Err counts.
func (l *leaving) Err() error {
	if n := l.asked.Add(1); l.after > 0 && n >= l.after {
		l.once.Do(func() { close(l.gone) })
		return context.Canceled
	}
	return nil
}

// Done is closed when the caller leaves.
func (l *leaving) Done() <-chan struct{} { return l.gone }

// TestOperationsEndWhenTheirCallerLeaves: each long operation asks often enough
// whether its caller is still there, for the size of what it works on, and ends
// when that is not so, wherever it is.
func TestOperationsEndWhenTheirCallerLeaves(t *testing.T) {
	t.Parallel()
	const files, folders, commits = 2000, 100, 200
	// The response cache makes packs elsewhere, and has its own tests.
	s := start(t, func(c *config) { c.odb.Responses = -1 })
	key := s.create("r")
	local := gittest.Init(t)
	first := gittest.Files{}
	for i := range files {
		first[fmt.Sprintf("d%d/f%d", i%folders, i)] = strings.Repeat(fmt.Sprintln("line", i), 20)
	}
	root := local.Commit("main", "first", first)
	var tip string
	for i := range commits {
		tip = local.Commit("main", fmt.Sprint(i), gittest.Files{fmt.Sprintf("d%d/f%d", i%folders, i): fmt.Sprint(i), "top": fmt.Sprint(i)})
	}
	changed := gittest.Files{}
	for i := range files {
		changed[fmt.Sprintf("d%d/f%d", i%folders, i)] = strings.Repeat(fmt.Sprintln("other", i), 20)
	}
	local.Git("branch", "changed", "main")
	local.Commit("changed", "all", changed)
	must(t, local.Dir, "push", s.remote("r", ""), "main", "changed")
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)

	fetch := func(ctx context.Context, more ...string) error {
		session, err := s.service.OpenGit(t.Context(), s.admin, "r", service.NormalRemote, false)
		check(t, err)
		defer session.Close()
		body := append([]string{"command=fetch", "0001", "ofs-delta", "want " + tip}, more...)
		return session.UploadPack(ctx, strings.NewReader(lines(append(body, "done", "0000")...)), io.Discard, 2)
	}
	repositories := 0
	operations := map[string]struct {
		run   func(ctx context.Context) error
		least int64 // questions
	}{
		"clone":         {func(ctx context.Context) error { return fetch(ctx) }, commits / 10},
		"shallow clone": {func(ctx context.Context) error { return fetch(ctx, "deepen 150") }, commits / 10},
		"partial clone": {func(ctx context.Context) error { return fetch(ctx, "filter blob:none") }, commits / 20},
		"fetch":         {func(ctx context.Context) error { return fetch(ctx, "have "+root) }, commits / 10},
		"push": {func(ctx context.Context) error {
			repositories++
			name := fmt.Sprint("push", repositories)
			s.create(name)
			session, err := s.service.OpenGit(t.Context(), s.admin, cairn.RepositoryName(name), service.NormalRemote, true)
			check(t, err)
			defer session.Close()
			body := lines(zero+" "+tip+" refs/heads/main\x00 report-status", "0000") + string(pack)
			return session.ReceivePack(ctx, strings.NewReader(body), io.Discard)
		}, files},
		"diff": {func(ctx context.Context) error {
			_, err := s.service.CommitDiff(ctx, s.admin, "r", service.CommitDiffQuery{Commit: service.Revision{Name: "changed"}})
			return err
		}, files},
		"branch diff": {func(ctx context.Context) error {
			_, err := s.service.BranchDiff(ctx, s.admin, "r", service.BranchDiffQuery{Branch: "changed", Base: "main"})
			return err
		}, files},
		"history of a path": {func(ctx context.Context) error {
			_, err := s.service.ListCommits(ctx, s.admin, "r", service.CommitsQuery{Path: "nothing"})
			return err
		}, commits / 64},
		"last change of a file": {func(ctx context.Context) error {
			// A new tip, so that the answer is not known.
			repositories++
			writeFile(t, s, "r", fmt.Sprint("new", repositories), "x")
			f, err := s.service.OpenFile(ctx, s.admin, "r", service.Revision{}, "d99/f1999")
			if err == nil {
				f.Close()
			}
			return err
		}, commits / 64},
		"list": {func(ctx context.Context) error {
			_, err := s.service.ListFiles(ctx, s.admin, "r", service.FilesQuery{Recursive: true})
			return err
		}, folders},
		"large commit": {func(ctx context.Context) error {
			repositories++
			request := service.CommitRequest{
				CommitTarget: service.CommitTarget{Branch: fmt.Sprint("large", repositories), Base: "main"},
				CommitInfo:   service.CommitInfo{Message: "m", Author: service.Identity{Name: "A", Email: "a@example.com"}},
			}
			for i := range files {
				request.Files = append(request.Files, service.FileChange{Path: fmt.Sprintf("n%d/f%d", i%folders, i), ContentID: "c"})
			}
			w, err := s.service.BeginCommit(ctx, s.admin, "r", request)
			if err != nil {
				return err
			}
			defer w.Close()
			part := bytes.Repeat([]byte("some content\n"), 64<<10)
			for i := range 8 {
				if err := w.AddChunk(ctx, "c", part, i == 7); err != nil {
					return err
				}
			}
			_, err = w.Commit(ctx)
			return err
		}, folders},
		"fsck": {func(ctx context.Context) error {
			_, err := s.service.CheckRepository(ctx, s.admin, "r", func(int, int) {})
			return err
		}, files},
		"gc": {func(ctx context.Context) error {
			repositories++
			name := fmt.Sprint("gc", repositories)
			s.create(name)
			for _, part := range []string{"main~100", "main"} {
				must(t, local.Dir, "push", s.remote(name, ""), part+":refs/heads/main")
			}
			_, err := s.service.CollectGarbage(ctx, s.admin, func(service.GarbageResult) {})
			return err
		}, 1},
	}
	for name, operation := range operations {
		t.Run(name, func(t *testing.T) { // not at once: they count in one repository
			check(t, operation.run(t.Context())) // then the caches are as they will be
			whole := newLeaving(t.Context(), 0)
			check(t, operation.run(whole))
			asked := whole.asked.Load()
			if asked < operation.least {
				t.Errorf("asked %d times whether its caller is there, want %d", asked, operation.least)
			}
			for _, after := range []int64{1, asked / 3, asked * 9 / 10} {
				if after == 0 {
					continue
				}
				leaves := newLeaving(t.Context(), after)
				if err := operation.run(leaves); !errors.Is(err, context.Canceled) {
					t.Errorf("its caller leaves at question %d of %d: %v", after, asked, err)
				}
				if more := leaves.asked.Load() - after; more > 64 {
					t.Errorf("it asked %d times more after its caller had left", more)
				}
			}
		})
	}
	for _, name := range s.leftovers() {
		if strings.Contains(name, "/scratch/") {
			t.Errorf("left behind: %s", name)
		}
	}
	s.fsck(key)
}

// writeFile commits one file to main.
func writeFile(t *testing.T, s *server, repo, path, content string) {
	t.Helper()
	w, err := s.service.BeginCommit(t.Context(), s.admin, cairn.RepositoryName(repo), service.CommitRequest{
		CommitTarget: service.CommitTarget{Branch: "main"},
		CommitInfo:   service.CommitInfo{Message: "m", Author: service.Identity{Name: "A", Email: "a@example.com"}},
		Files:        []service.FileChange{{Path: path, ContentID: "c"}},
	})
	check(t, err)
	defer w.Close()
	check(t, w.AddChunk(t.Context(), "c", []byte(content), true))
	_, err = w.Commit(t.Context())
	check(t, err)
}
