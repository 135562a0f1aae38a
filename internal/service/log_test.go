package service

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// line puts a line of n commits on the repository's main branch in one write;
// commit i changes folder/file-(i%10), and every seventh is a merge with the
// one before its parent. It returns them, oldest first.
func (f *tenants) line(t testing.TB, repo cairn.Repository, n int) []git.ObjectID {
	t.Helper()
	b := f.store.NewPack(git.SHA1)
	defer b.Close()
	add := func(kind git.ObjectType, data []byte) git.ObjectID {
		id, err := b.Add(kind, data)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	files := make([]git.TreeEntry, 10)
	var ids []git.ObjectID
	for i := range n {
		for j := range files {
			if j == i%10 || files[j].Name == "" {
				files[j] = git.TreeEntry{Mode: git.ModeFile, Name: fmt.Sprint("file-", j), ID: add(git.BlobObject, fmt.Append(nil, i, j))}
			}
		}
		folder := add(git.TreeObject, git.EncodeTree(files))
		c := git.Commit{
			Tree:    add(git.TreeObject, git.EncodeTree([]git.TreeEntry{{Mode: git.ModeTree, Name: "folder", ID: folder}})),
			Message: fmt.Sprintf("Commit %d\n\nWith a body that says why, in some words.\n", i),
		}
		c.Author = git.Signature{Name: "Ada Author", Email: "ada@example.com", When: f.clock().Add(time.Duration(i) * time.Minute)}
		c.Committer = c.Author
		if i > 0 {
			c.Parents = []git.ObjectID{ids[i-1]}
		}
		if i > 1 && i%7 == 0 {
			c.Parents = append(c.Parents, ids[i-2])
		}
		ids = append(ids, add(git.CommitObject, c.Encode()))
	}
	staged, err := b.Finish(t.Context(), repo.Organization)
	if err != nil {
		t.Fatal(err)
	}
	u := odb.Update{Packs: []odb.Staged{staged}, Refs: []cairn.RefUpdate{{Name: "refs/heads/main", New: ids[n-1]}}}
	if _, err := f.store.Apply(t.Context(), repo.RepositoryKey, u); err != nil {
		t.Fatal(err)
	}
	return ids
}

// listAll reads a whole log, calling between before each page but the first.
func (f *tenants) listAll(t testing.TB, who cairn.Actor, repo cairn.RepositoryName, q CommitsQuery, between func(cursor string)) []git.ObjectID {
	t.Helper()
	var ids []git.ObjectID
	for {
		page, err := f.ListCommits(t.Context(), who, repo, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Commits {
			ids = append(ids, c.ID)
		}
		if page.Next == "" {
			return ids
		}
		q.Cursor = page.Next
		if between != nil {
			between(page.Next)
		}
	}
}

// TestPagesGoOnWhereTheLastEnded reads logs page by page while the branch moves
// and others read the same pages, and compares with the log in one walk.
func TestPagesGoOnWhereTheLastEnded(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "r")
	ids := f.line(t, repo, 95)
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite)
	want := slices.Clone(ids)
	slices.Reverse(want)
	for _, path := range []string{"", "folder/file-3", "folder", "no/such"} {
		var wantOf []git.ObjectID
		for i, id := range want {
			if n := len(want) - 1 - i; path == "" || path == "folder" || path == "folder/file-3" && (n == 0 || n%10 == 3) {
				wantOf = append(wantOf, id)
			}
		}
		pages := 0
		q := CommitsQuery{Revision: Revision{Name: ids[94].String()}, Path: path, Limit: 7}
		got := f.listAll(t, who, "r", q, func(cursor string) {
			pages++
			if pages%2 == 0 { // a reader that takes the kept log away
				again := q
				again.Cursor = cursor
				if _, err := f.ListCommits(t.Context(), who, "r", again); err != nil {
					t.Error(err)
				}
			}
			if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "new", fmt.Sprint(path, pages)); err != nil {
				t.Error(err)
			}
		})
		if !slices.Equal(got, wantOf) {
			t.Errorf("path %q: got %d commits %v, want %d", path, len(got), got, len(wantOf))
		}
	}
}

// TestKeptLogsAreBounded leaves many logs after their first page.
func TestKeptLogsAreBounded(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "r")
	ids := f.line(t, repo, 40)
	who := f.actor(t, "acme", "r", cairn.GitRead)
	for i := range maxLogs + 50 {
		q := CommitsQuery{Revision: Revision{Name: ids[39-i%20].String()}, Limit: 1 + i%20}
		if i >= 400 {
			q.Path = fmt.Sprint("folder/file-", i%10)
			q.Limit = 1
		}
		if _, err := f.ListCommits(t.Context(), who, "r", q); err != nil {
			t.Fatal(err)
		}
	}
	c := &f.logs
	walked := 0
	for e := c.used.Front(); e != nil; e = e.Next() {
		l := e.Value.(*commitLog)
		if walked += l.walked; l.src.Snapshot != nil {
			t.Error("a kept log holds a snapshot")
		}
	}
	if len(c.logs) != c.used.Len() || c.used.Len() > maxLogs || walked != c.walked || walked == 0 {
		t.Errorf("%d logs, %d in order, %d commits counted, %d walked", len(c.logs), c.used.Len(), c.walked, walked)
	}
	large := &commitLog{src: &logSource{}, walked: maxLogCommits + 1}
	if c.keep(large); c.take(large.logPlace) != nil {
		t.Error("a log over the bound is kept")
	}
	for i := range 3 {
		c.keep(&commitLog{src: &logSource{}, walked: maxLogCommits / 2, logPlace: logPlace{shown: i}})
	}
	if c.walked > maxLogCommits || c.used.Len() != 2 {
		t.Errorf("%d logs of %d commits are kept", c.used.Len(), c.walked)
	}
}

// BenchmarkListCommits reads a log of 1,000 commits in pages of 100.
func BenchmarkListCommits(b *testing.B) {
	f := newTenants(b)
	f.line(b, f.create(b, "acme", "r"), 1500)
	who := f.actor(b, "acme", "r", cairn.GitRead)
	b.ReportAllocs()
	for b.Loop() {
		q := CommitsQuery{Limit: 100}
		for range 10 {
			page, err := f.ListCommits(b.Context(), who, "r", q)
			if err != nil || len(page.Commits) != 100 {
				b.Fatal(len(page.Commits), err)
			}
			q.Cursor = page.Next
		}
	}
}
