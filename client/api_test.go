package client_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/client"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func collect[T any](t *testing.T, items iter.Seq2[T, error]) []T {
	t.Helper()
	var found []T
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, item)
	}
	return found
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// newRepo makes a repository with two commits on main and one on work.
func newRepo(t *testing.T, c *client.Client, name string) *client.Repo {
	t.Helper()
	ctx := t.Context()
	must[client.Repository](t)(c.CreateRepository(ctx, client.NewRepository{Name: name}))
	r := c.Repo(name)
	commit := func(branch string, changes ...client.Change) {
		t.Helper()
		in := client.NewCommit{Branch: branch, Message: "to " + branch, Author: ada, Changes: changes}
		if branch != "main" {
			in.Base = "main"
		}
		must[client.CommitResult](t)(r.Commit(ctx, in))
	}
	commit("main", client.PutString("README.md", "hello\n"), client.PutString("src/a.go", "package a\n"))
	commit("main", client.PutString("src/b.go", "package b\n"))
	commit("work", client.PutString("README.md", "hello\nworld\n"))
	return r
}

// TestEveryOperation uses each operation of the API through the client: what
// the document lists in its preferred family, all of it is called.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	c := connect(t)
	t.Run("stories", func(t *testing.T) {
		for name, story := range map[string]func(*testing.T, *client.Client){
			"repositories": testRepositories, "commits": testCommits, "branches and tags": testBranchesAndTags, "reading": testReading,
			"merges": testMerges, "notes": testNotes, "events": testEvents, "the past": testPast, "webhooks": testWebhooks, "sync": testSync, "upstream": testUpstream,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); story(t, c) })
		}
	})
	for _, operation := range document().Operations() {
		if strings.Contains(operation, "/v1/repo") || strings.HasPrefix(operation, "HEAD ") || strings.HasSuffix(operation, "/reset-commits") {
			continue // other words for the same
		}
		good := func(status int) bool { return status < 300 || strings.HasSuffix(operation, "/pull-upstream") } // which needs an upstream
		if !slices.ContainsFunc(document().Seen(operation), good) {
			t.Errorf("the client never did %s", operation)
		}
	}
}

func testRepositories(t *testing.T, c *client.Client) {
	ctx := t.Context()
	made := must[client.Repository](t)(c.CreateRepository(ctx, client.NewRepository{Name: "all/one", DefaultBranch: "trunk"}))
	same(t, "default branch", made.DefaultBranch, "trunk")
	_, err := c.CreateRepository(ctx, client.NewRepository{Name: "all/one"})
	if !errors.Is(err, client.ErrConflict) || errors.Is(err, client.ErrNotFound) {
		t.Errorf("a second of the name: %v", err)
	}
	r := newRepo(t, c, "all/source")
	must[client.Repository](t)(c.CreateRepository(ctx, client.NewRepository{Name: "all/fork", ForkOf: &client.ForkOf{Name: "all/source", Ref: "work"}}))
	same(t, "branches of the fork", len(collect(t, c.Repo("all/fork").Branches(ctx, false))), 1)
	names := []string{}
	for _, found := range collect(t, c.Repositories(ctx, "ALL/")) {
		names = append(names, found.Name)
	}
	same(t, "names", strings.Join(names, " "), "all/fork all/one all/source")
	same(t, "name", r.Name(), "all/source")
	described := must[client.Repository](t)(r.Describe(ctx))
	if described.URL != address+"/all/source.git" || described.CreatedAt.IsZero() || described.ID == "" {
		t.Errorf("described as %+v", described)
	}
	if err := c.Repo("all/fork").Delete(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Repo("all/fork").Describe(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a deleted repository: %v", err)
	}
}

func testCommits(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "commits")
	large := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB: more than a line may hold
	var sent int64
	made := must[client.CommitResult](t)(r.Commit(ctx, client.NewCommit{
		Branch: "main", Message: "Large", Author: ada, Committer: client.Signature{Name: "Bob", Email: "bob@example.com", Date: time.Unix(1e9, 0)},
		Changes: []client.Change{
			client.PutReader("large.bin", bytes.NewReader(large)), client.Put("empty", nil), client.Remove("src/a.go"),
			client.PutReader("piped", io.MultiReader(strings.NewReader("a"), strings.NewReader("b"))), client.PutFile("self.go", "api_test.go"),
		},
		Progress: func(n int64) { sent += n },
	}))
	if got := must[[]byte](t)(r.Read(ctx, client.FileQuery{Path: "large.bin"})); !bytes.Equal(got, large) {
		t.Errorf("large.bin came back as %d other bytes", len(got))
	}
	if made.Blobs != 4 || sent < int64(len(large)) || made.Old == made.SHA || made.PackBytes == 0 {
		t.Errorf("made %+v, %d bytes sent", made, sent)
	}
	same(t, "committer", must[client.Commit](t)(r.CommitOf(ctx, made.SHA)).CommitterName, "Bob")

	_, err := r.Commit(ctx, client.NewCommit{Branch: "main", Message: "x", Author: ada, Changes: []client.Change{client.PutFile("x", "absent")}})
	if err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a file that is not there: %v", err)
	}
	_, err = r.Commit(ctx, client.NewCommit{Branch: "main", Message: "x", Author: ada, Changes: []client.Change{client.PutString("../x", "x")}})
	var refused *client.Error
	if !errors.As(err, &refused) || !errors.Is(err, client.ErrInvalid) || refused.Result != "invalid" {
		t.Errorf("a path that leads out: %v", err)
	}

	diff := must[client.Diff](t)(r.Diff(ctx, client.DiffQuery{Ref: "work", Exact: true}))
	must[client.CommitResult](t)(r.CommitPatch(ctx, client.NewCommit{Branch: "main", Message: "Patch", Author: ada}, strings.NewReader(diff.Files[0].Patch)))
	same(t, "patched", string(must[[]byte](t)(r.Read(ctx, client.FileQuery{Path: "README.md"}))), "hello\nworld\n")
	_, err = r.CommitPatch(ctx, client.NewCommit{Branch: "main", Message: "Patch", Author: ada}, strings.NewReader(diff.Files[0].Patch))
	if !errors.Is(err, client.ErrConflict) {
		t.Errorf("a patch that does not apply: %v", err)
	}
	must[client.CommitResult](t)(r.RestoreCommit(ctx, client.NewCommit{Branch: "main", Message: "Back", Author: ada}, made.SHA))
	same(t, "restored", string(must[[]byte](t)(r.Read(ctx, client.FileQuery{Path: "README.md"}))), "hello\n")
}

func testBranchesAndTags(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "refs")
	first := must[string](t)(r.CreateBranch(ctx, client.NewBranch{Name: "old", Base: "main~1"}))
	same(t, "branch", must[client.Branch](t)(r.Branch(ctx, "old", false)).Head, first)
	must[string](t)(r.CreateBranch(ctx, client.NewBranch{Name: "session", Base: "main", Ephemeral: true}))
	same(t, "ephemeral branches", len(collect(t, r.Branches(ctx, true))), 1)
	for i := range 130 { // more than a page
		must[string](t)(r.CreateBranch(ctx, client.NewBranch{Name: fmt.Sprintf("many/%d", i), Base: "main"}))
	}
	same(t, "branches", len(collect(t, r.Branches(ctx, false))), 133)
	if err := r.DeleteBranch(ctx, "old", false); err != nil {
		t.Error(err)
	}
	if err := r.DeleteBranch(ctx, "main", false); !errors.Is(err, client.ErrConflict) {
		t.Errorf("the default branch: %v", err)
	}
	same(t, "tag", must[client.Tag](t)(r.CreateTag(ctx, "release/v1", "main~1")).SHA, first)
	same(t, "tag", must[client.Tag](t)(r.Tag(ctx, "release/v1")).SHA, first)
	same(t, "tags", len(collect(t, r.Tags(ctx))), 1)
	if err := r.DeleteTag(ctx, "release/v1"); err != nil {
		t.Error(err)
	}
	if _, err := r.Tag(ctx, "release/v1"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a deleted tag: %v", err)
	}
}

func testReading(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "reading")
	same(t, "log", len(collect(t, r.Log(ctx, client.LogQuery{Ref: "work", Path: "README.md"}))), 2)
	entries := collect(t, r.List(ctx, client.ListQuery{Shallow: true}))
	same(t, "entries", fmt.Sprint(entries), "[{README.md blob 100644} {src tree 040000}]")
	f := must[*client.File](t)(r.Open(ctx, client.FileQuery{Path: "README.md", Ref: "work", Offset: 6, Length: 3}))
	defer f.Close()
	same(t, "part", string(must[[]byte](t)(io.ReadAll(f))), "wor")
	if f.SHA == "" || f.LastCommit == "" || f.Size != 3 || f.Modified.IsZero() {
		t.Errorf("file %+v", f)
	}
	diff := must[client.Diff](t)(r.Diff(ctx, client.DiffQuery{Ref: "work", Base: "main"}))
	same(t, "additions", diff.Stats.Additions, 1)
	same(t, "merge base", must[client.Diff](t)(r.BranchDiff(ctx, client.DiffQuery{Ref: "work"})).MergeBase, diff.MergeBase)
	infos := collect(t, r.ListInfo(ctx, client.ListQuery{Ref: "work"}))
	if len(infos) != 3 || infos[0].Size != 12 || infos[0].LastCommit.Message != "to work" || infos[0].LastCommit.SHA != f.LastCommit {
		t.Errorf("infos %+v", infos)
	}
	lines := must[[]client.BlameLine](t)(r.Blame(ctx, client.BlameQuery{Path: "README.md", Ref: "work", Ranges: []string{"1,2"}}))
	if len(lines) != 2 || lines[0].SHA == lines[1].SHA || lines[1].SHA != f.LastCommit || lines[1].Line != 2 {
		t.Errorf("lines %+v", lines)
	}
	matches := collect(t, r.Grep(ctx, client.GrepQuery{Pattern: "PACKAGE [ab]", IgnoreCase: true, Include: []string{"**/*.go"}, Exclude: []string{"**/a.go"}, After: 1}))
	if len(matches) != 1 || matches[0].Path != "src/b.go" || matches[0].Lines[0].Text != "package b" || matches[0].Lines[0].Number != 1 {
		t.Errorf("matches %+v", matches)
	}
	if _, err := r.Read(ctx, client.FileQuery{Path: "nothing"}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
	archive := must[io.ReadCloser](t)(r.Archive(ctx, client.ArchiveQuery{Ref: "main", Prefix: "app", Include: []string{"src/**"}}))
	defer archive.Close()
	names := tarNames(t, archive)
	if !slices.Contains(names, "app/src/a.go") || slices.Contains(names, "app/README.md") {
		t.Errorf("the archive has %q", names)
	}
}

func tarNames(t *testing.T, archive io.Reader) []string {
	t.Helper()
	plain, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for files := tar.NewReader(plain); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func testMerges(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "merges")
	in := client.Merge{Source: "work", Target: "main", Strategy: client.MergeCommit, Message: "Merge", Author: &ada}
	same(t, "preview", must[client.MergePreview](t)(r.PreviewMerge(ctx, in, false)).Status, "clean")
	put(r, "main", "README.md", "hello\nthere\n")
	preview := must[client.MergePreview](t)(r.PreviewMerge(ctx, in, true))
	if preview.Status != "conflicted" || len(preview.Conflicts) != 1 || !strings.Contains(preview.Conflicts[0].Result.Content, "<<<<<<<") {
		t.Errorf("preview %+v", preview)
	}
	_, err := r.Merge(ctx, in)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.ConflictType != "merge_conflict" || !slices.Equal(refused.ConflictPaths, []string{"README.md"}) || !errors.Is(err, client.ErrConflict) {
		t.Errorf("a conflict: %v %+v", err, refused)
	}
	put(r, "main", "README.md", "hello\n")
	made := must[client.MergeResult](t)(r.Merge(ctx, in))
	if made.Result != "merge_commit" || made.Promoted != 1 || made.Target.New != made.SHA || made.Source.SHA == "" {
		t.Errorf("merged %+v", made)
	}
	in.ExpectedTarget = made.Target.Old
	if _, err := r.Merge(ctx, in); !errors.Is(err, client.ErrGuard) {
		t.Errorf("a guard that does not hold: %v", err)
	}
}

func testNotes(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "notes")
	head := must[client.Branch](t)(r.Branch(ctx, "main", false)).Head
	first := must[client.NoteResult](t)(r.AddNote(ctx, client.NewNote{Object: head, Text: "good", Author: &ada}))
	if _, err := r.AddNote(ctx, client.NewNote{Object: head, Text: "better"}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("a second note: %v", err)
	}
	must[client.NoteResult](t)(r.AppendNote(ctx, client.NewNote{Object: head, Text: "more"}))
	found := must[client.Note](t)(r.Note(ctx, head, ""))
	if !strings.HasPrefix(found.Text, "good") || !strings.Contains(found.Text, "more") || found.RefSHA == first.New {
		t.Errorf("note %+v", found)
	}
	same(t, "notes refs", collect(t, r.NotesRefs(ctx, ""))[0].Ref, "refs/notes/commits")
	if _, err := r.RemoveNote(ctx, client.NewNote{Object: head, ExpectedRef: first.New}); !errors.Is(err, client.ErrGuard) {
		t.Errorf("a guard that does not hold: %v", err)
	}
	must[client.NoteResult](t)(r.RemoveNote(ctx, client.NewNote{Object: head, ExpectedRef: found.RefSHA}))
	if _, err := r.Note(ctx, head, ""); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a removed note: %v", err)
	}
}

func testEvents(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "events")
	events := collect(t, r.Events(ctx, client.EventsQuery{RefPrefix: "refs/heads/"}))
	if len(events) != 3 || events[0].Action != "create" || events[2].Ref != "refs/heads/work" || events[1].Old != events[0].New || events[0].At.IsZero() {
		t.Fatalf("events %+v", events)
	}
	followed, stop := context.WithCancel(ctx)
	defer stop()
	var refs []string
	for e, err := range r.Follow(followed, client.EventsQuery{After: events[0].Cursor}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		if refs = append(refs, e.Ref); len(refs) == 2 {
			put(r, "later", "x", "x") // while the stream is open
		}
		if len(refs) == 3 {
			stop()
		}
	}
	same(t, "followed", strings.Join(refs, " "), "refs/heads/main refs/heads/work refs/heads/later")
}

func testPast(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "past")
	events := collect(t, r.Events(ctx, client.EventsQuery{}))
	first := events[0].At // after the first commit, before the others
	same(t, "log then", len(collect(t, r.Log(ctx, client.LogQuery{At: first}))), 1)
	same(t, "files then", len(collect(t, r.List(ctx, client.ListQuery{At: first}))), 2)
	same(t, "files then", len(collect(t, r.ListInfo(ctx, client.ListQuery{At: first}))), 2)
	same(t, "branches then", len(collect(t, r.BranchesAt(ctx, first, false))), 1)
	if _, err := r.Read(ctx, client.FileQuery{Path: "src/b.go", At: first}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a later file: %v", err)
	}
	work := must[client.Branch](t)(r.Branch(ctx, "work", false)).Head
	if err := r.DeleteBranch(ctx, "work", false); err != nil {
		t.Fatal(err)
	}
	deleted := collect(t, r.DeletedBranches(ctx, false))
	if len(deleted) != 1 || deleted[0].Head != work || deleted[0].DeletedBy == "" {
		t.Errorf("deleted %+v", deleted)
	}
	same(t, "restored", must[string](t)(r.RestoreBranch(ctx, "work", false, work)), work)
	if _, err := r.RestoreBranch(ctx, "work", false, ""); !errors.Is(err, client.ErrConflict) {
		t.Errorf("a branch that is there: %v", err)
	}
	if err := r.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	var gone client.DeletedRepository
	for _, d := range collect(t, c.DeletedRepositories(ctx)) {
		if d.Name == "past" {
			gone = d
		}
	}
	if gone.ID == "" || !gone.PurgeAt.After(gone.DeletedAt) {
		t.Errorf("deleted %+v", gone)
	}
	same(t, "restored", must[client.Repository](t)(r.Restore(ctx, gone.ID)).ID, gone.ID)
	same(t, "log", len(collect(t, r.Log(ctx, client.LogQuery{}))), 2)
	if err := r.Purge(ctx, ""); err != nil {
		t.Fatal(err)
	}
	for _, err := range r.Log(ctx, client.LogQuery{At: first}) {
		if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("a purged past: %v", err)
		}
	}
}

func testWebhooks(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "webhooks")
	got := make(chan client.Delivery, 10)
	var mu sync.Mutex
	secret := ""
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		d, err := client.ReadDelivery(in, secret)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		got <- d
	}))
	defer receiver.Close()
	mu.Lock()
	made := must[client.Webhook](t)(r.CreateWebhook(ctx, receiver.URL, "push"))
	secret = made.Secret
	mu.Unlock()
	put(r, "main", "pushed", "x")
	push := must[client.PushEvent](t)((<-got).Push())
	if push.Repository.URL != "webhooks" || push.Ref != "refs/heads/main" || push.Organization != "acme" || push.PushedAt.IsZero() {
		t.Errorf("a push is told as %+v", push)
	}
	must[client.WebhookDelivery](t)(r.PingWebhook(ctx, made.ID))
	same(t, "event", (<-got).Event, "ping")
	deliveries := collect(t, r.Deliveries(ctx, made.ID))
	if len(deliveries) != 2 || deliveries[1].Event != "push" {
		t.Fatalf("deliveries %+v", deliveries)
	}
	if d := must[client.WebhookDelivery](t)(r.WebhookDelivery(ctx, made.ID, deliveries[1].ID)); !strings.Contains(d.Payload, push.After) {
		t.Errorf("delivery %+v", d)
	}
	must[client.WebhookDelivery](t)(r.Redeliver(ctx, made.ID, deliveries[1].ID))
	same(t, "event", (<-got).Event, "push")
	off := false
	same(t, "active", must[client.Webhook](t)(r.UpdateWebhook(ctx, made.ID, client.WebhookChange{Active: &off})).Active, false)
	found := must[client.Webhook](t)(r.Webhook(ctx, made.ID))
	if found.Secret != "" || found.URL != receiver.URL || len(collect(t, r.Webhooks(ctx))) != 1 {
		t.Errorf("webhook %+v", found)
	}
	if rotated := must[client.Webhook](t)(r.RotateWebhookSecret(ctx, made.ID)); rotated.Secret == "" || rotated.Secret == secret {
		t.Error("the secret is the same")
	}
	if err := r.DeleteWebhook(ctx, made.ID); err != nil {
		t.Error(err)
	}
	same(t, "webhooks of the organization", len(collect(t, c.Repo("").Webhooks(ctx))), 0)
}

func testSync(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r := newRepo(t, c, "sync")
	if err := r.PullUpstream(ctx); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("without an upstream: %v", err)
	}
	if err := r.Detach(ctx); err != nil {
		t.Error(err)
	}
	made := must[client.Credential](t)(r.CreateCredential(ctx, "git", "secret"))
	if _, err := r.CreateCredential(ctx, "git", "secret"); !errors.Is(err, client.ErrConflict) {
		t.Errorf("a second credential: %v", err)
	}
	same(t, "updated", must[client.Credential](t)(r.UpdateCredential(ctx, made.ID, "git", "other")).ID, made.ID)
	if err := r.DeleteCredential(ctx, made.ID); err != nil {
		t.Error(err)
	}
}

// A repository follows one of a stock server.
func testUpstream(t *testing.T, c *client.Client) {
	ctx := t.Context()
	root := t.TempDir()
	dir := filepath.Join(root, "team", "app.git")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	gittest.Git(t, dir, "init", "-q", "--bare", ".")
	first := gittest.Open(t, dir).Commit("main", "first", gittest.Files{"a": "1\n"})
	served := gittest.ServeHTTP(t, root)
	served.Username, served.Password = "bot", "sesame"
	must[client.Repository](t)(c.CreateRepository(ctx, client.NewRepository{Name: "mirror", Upstream: &client.Upstream{
		Provider: "gitea", Host: strings.TrimPrefix(served.URL, "http://"), Owner: "team", Name: "app",
	}}))
	r := c.Repo("mirror")
	must[client.Credential](t)(r.CreateCredential(ctx, "bot", "sesame"))
	if err := r.PullUpstream(ctx); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		b, err := r.Branch(ctx, "main", false)
		if err == nil {
			same(t, "main", b.Head, first)
			return
		}
		if !errors.Is(err, client.ErrConflict) && !errors.Is(err, client.ErrNotFound) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
