package service

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

var firstCommit = FirstCommit{
	CommitInfo: CommitInfo{Message: "First", Author: Identity{Name: "Ada", Email: "ada@example.com"}},
	Files:      []FirstFile{{"README.md", "# app\n"}, {"docs/a.md", "a\n"}},
}

// TestRepositoryBeginsWhole fails each transaction of a creation, before and
// after it happens: there is no repository then, or one with its first commit.
func TestRepositoryBeginsWhole(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	who := f.actor(t, "acme", "", cairn.RepoWrite, cairn.GitWrite)
	who.Reach = new(cairn.Reach)
	lost := errors.New("lost")
	for what, faulty := range map[string]func(cairn.Metadata, int, error) *storagetest.FaultyStore{
		"early": storagetest.FaultyMetadata, "late": storagetest.FaultyMetadataLate,
	} {
		for n := 1; ; n++ {
			name := cairn.RepositoryName(fmt.Sprintf("%s-%d", what, n))
			_, err := f.over(t, faulty(f.metadata, n, lost)).CreateRepository(t.Context(), who, NewRepository{Name: name, First: &firstCommit})
			page, listErr := f.ListCommits(t.Context(), who, name, CommitsQuery{})
			switch {
			case listErr == nil && len(page.Commits) == 1 && (err == nil || what == "late"):
			case errors.Is(listErr, cairn.NotFound) && err != nil:
			default:
				t.Fatalf("transaction %d %s: got %v; then %d commits, %v", n, what, err, len(page.Commits), listErr)
			}
			if err == nil {
				break // there is no nth transaction
			}
		}
	}
}

// TestFirstCommitIsGits compares the first commit with the one that git would
// make, and tells who may make it.
func TestFirstCommitIsGits(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	who := f.actor(t, "acme", "app", cairn.RepoWrite, cairn.GitWrite)
	made, err := f.CreateRepository(t.Context(), who, NewRepository{Name: "app", DefaultBranch: "trunk", First: &firstCommit})
	if err != nil {
		t.Fatal(err)
	}
	events, err := f.ListEvents(t.Context(), who, "app", EventsQuery{})
	if err != nil || len(events.Events) != 1 || events.Events[0].Ref != "refs/heads/trunk" {
		t.Errorf("the log is %+v, %v", events, err)
	}
	tip := f.refs(t, made)["refs/heads/trunk"]
	// What git write-tree prints for these files.
	const tree = "7cabc74041f531438b4540fab0096ce8ae766971"
	commit, err := f.Commit(t.Context(), who, "app", Revision{Name: "trunk"})
	if err != nil || commit.ID != tip || commit.Message != "First" || len(commit.Parents) != 0 || commit.Tree.String() != tree {
		t.Errorf("got %+v, %v", commit, err)
	}
	for name, c := range map[string]struct {
		who  cairn.Actor
		want cairn.Kind
	}{
		"without git:write": {f.actor(t, "acme", "other", cairn.RepoWrite, cairn.GitRead), cairn.Denied},
		"no push":           {policed(f.actor(t, "acme", "other", cairn.RepoWrite, cairn.GitWrite), cairn.NoPush), cairn.Denied},
		"signatures":        {policed(f.actor(t, "acme", "other", cairn.RepoWrite, cairn.GitWrite), cairn.VerifySig), cairn.Denied},
	} {
		_, err := f.CreateRepository(t.Context(), c.who, NewRepository{Name: "other", First: &firstCommit})
		wantKind(t, name, err, c.want)
	}
	for name, first := range map[string]FirstCommit{
		"no message": {CommitInfo: CommitInfo{Author: firstCommit.Author}}, "a bad path": {CommitInfo: firstCommit.CommitInfo, Files: []FirstFile{{"../x", "x"}}},
		"a file that is a folder": {CommitInfo: firstCommit.CommitInfo, Files: []FirstFile{{"a", "x"}, {"a/b", "x"}}},
	} {
		_, err := f.CreateRepository(t.Context(), who, NewRepository{Name: "app", First: &first})
		wantKind(t, name, err, cairn.Invalid)
	}
	_, err = f.CreateRepository(t.Context(), who, NewRepository{Name: "app", First: &firstCommit})
	wantKind(t, "a name twice", err, cairn.Conflict)
	if _, err := f.store.Snapshot(t.Context(), who.Organization.ID, "other"); !errors.Is(err, cairn.NotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
}

func policed(who cairn.Actor, op cairn.RefOp) cairn.Actor {
	who.Policy = cairn.RefPolicy{{Pattern: "*", Ops: []cairn.RefOp{op}}}
	return who
}

// TestFirstCommitIsTold: whoever watches the organization is told of the
// repository and of its first commit.
func TestFirstCommitIsTold(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	who := f.actor(t, "acme", "app", cairn.RepoWrite, cairn.GitWrite)
	hooks := map[cairn.WebhookID][]cairn.EventType{
		"mesa":        {mesaRepoCreated, mesaChangeCreated, mesaBookmarkMoved, mesaPush},
		"codestorage": {cairn.PushEvent},
	}
	for id, events := range hooks {
		if err := f.metadata.Update(t.Context(), func(tx cairn.Tx) error {
			form := cairn.CodeStorageForm
			if id == "mesa" {
				form = cairn.MesaForm
			}
			return tx.Webhooks().Create(cairn.Webhook{Organization: who.Organization.ID, ID: id, Form: form, URL: "https://example.com/", Events: events, Secret: []byte{1}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	made, err := f.CreateRepository(t.Context(), who, NewRepository{Name: "app", First: &firstCommit})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[cairn.WebhookID]string{
		"mesa": fmt.Sprint([]cairn.EventType{mesaRepoCreated, mesaChangeCreated, mesaBookmarkMoved}), "codestorage": fmt.Sprint([]cairn.EventType{cairn.PushEvent}),
	} {
		var told []cairn.EventType
		if err := f.metadata.View(t.Context(), func(tx cairn.Tx) error {
			told = nil
			waiting, err := tx.Webhooks().Waiting(who.Organization.ID, id, made.Repository, 9)
			for _, d := range waiting {
				told = append(told, d.Event)
			}
			return err
		}); err != nil || fmt.Sprint(told) != want {
			t.Errorf("%s is told of %v, %v, want %s", id, told, err, want)
		}
	}
}
