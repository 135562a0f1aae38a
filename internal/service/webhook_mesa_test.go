package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestTimedSignature is the example that clients are tested with.
func TestTimedSignature(t *testing.T) {
	t.Parallel()
	got := timedSignature([]byte("whsec_test"), time.Unix(1700000000, 0), []byte(`{"a":1}`))
	if want := "t=1700000000,sha256=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// mesaHook is a webhook of the Mesa API for all events of acme, to which nothing
// is sent: what it is told of is read where it waits.
type mesaHook struct {
	*tenants
	t    *testing.T
	seen map[cairn.RepositoryID]int
}

func (f *tenants) mesaHook(t *testing.T) *mesaHook {
	t.Helper()
	org := f.actor(t, "acme", "").Organization
	err := f.metadata.Update(t.Context(), func(tx cairn.Tx) error {
		return tx.Webhooks().Create(cairn.Webhook{
			Organization: org.ID, ID: "h", Form: cairn.MesaForm, Customer: org.Name, URL: "https://a", Events: slices.Sorted(slices.Values(mesaWebhooks.events)),
			Secret: []byte("sealed"), CreatedAt: f.clock(), UpdatedAt: f.clock(),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return &mesaHook{f, t, map[cairn.RepositoryID]int{}}
}

// eventData is what events tell.
type eventData struct {
	Repo     struct{ Name, HeadChangeID string }
	Bookmark struct {
		Name      string
		ChangeID  string `json:"change_id"`
		CommitOID string `json:"commit_oid"`
	}
	From   struct{ CommitOID string }
	Change struct {
		ID      string
		Commit  string `json:"current_commit_oid"`
		Message string
	}
	Updates        []mesaUpdate
	Reconciliation reconciliation
}

// want holds that these events were told of since the last time, and nothing
// else, and returns what they say.
func (h *mesaHook) want(repo cairn.Repository, events ...cairn.EventType) (list []eventData) {
	h.t.Helper()
	var waiting []cairn.Delivery
	err := h.metadata.View(h.t.Context(), func(tx cairn.Tx) (err error) {
		waiting, err = tx.Webhooks().Waiting(repo.Organization, "h", repo.Repository, 1000)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	waiting = waiting[h.seen[repo.Repository]:]
	h.seen[repo.Repository] += len(waiting)
	var got []cairn.EventType
	for _, d := range waiting {
		var event struct {
			Type       cairn.EventType
			Repository struct{ ID string }
			Data       eventData
		}
		if err := json.Unmarshal(d.Payload, &event); err != nil || event.Type != d.Event || event.Repository.ID != repo.Repository.Public() {
			h.t.Errorf("%s tells %s: %v", d.Event, d.Payload, err)
		}
		got = append(got, d.Event)
		list = append(list, event.Data)
	}
	if !slices.Equal(got, events) {
		h.t.Fatalf("told of %v, want %v", got, events)
	}
	return list
}

// TestMesaIsToldOfOtherFaces: what other APIs do is told as changes and bookmarks
// see it, whoever did it.
func TestMesaIsToldOfOtherFaces(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	h := f.mesaHook(t)
	repo := f.create(t, "acme", "r")
	h.want(repo, mesaRepoCreated, mesaBookmarkCreated)
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite, cairn.RepoWrite)

	first, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	got := h.want(repo, mesaChangeCreated, mesaBookmarkMoved) // the default bookmark was at the root
	if id := git.SyntheticChangeID(first.Commit).String(); got[0].Change.ID != id || got[1].Bookmark.ChangeID != id || got[1].Bookmark.CommitOID != first.Commit.String() {
		t.Errorf("got %+v", got)
	}
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "side", Base: "main"}, "b", "1"); err != nil {
		t.Fatal(err)
	}
	h.want(repo, mesaChangeCreated, mesaBookmarkCreated)
	if _, err := f.Merge(t.Context(), who, "r", MergeRequest{
		MergePair: MergePair{Target: "main", Source: Revision{Name: "side"}}, Strategy: FastForwardPrefer, CommitInfo: CommitInfo{Message: "m", Author: ann},
	}); err != nil {
		t.Fatal(err)
	}
	h.want(repo, mesaBookmarkMoved, mesaBookmarkMerged)
	if err := f.DeleteBranch(t.Context(), who, "r", "side", false); err != nil {
		t.Fatal(err)
	}
	h.want(repo, mesaBookmarkDeleted)
	if _, err := f.CreateTag(t.Context(), who, "r", NewTag{Name: "v1", At: Revision{Name: "main"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateBranch(t.Context(), who, "r", NewBranch{Name: "hidden", BaseBranch: "main", Ephemeral: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "hidden", Ephemeral: true}, "c", "1"); err != nil {
		t.Fatal(err)
	}
	h.want(repo) // neither is a bookmark

	fork, err := f.ForkRepository(t.Context(), f.actor(t, "acme", "fork", cairn.RepoWrite), NewFork{Name: "fork", Source: "r", SourceActor: who})
	if err != nil {
		t.Fatal(err)
	}
	got = h.want(fork, mesaRepoCreated, mesaBookmarkCreated)
	if tip := f.chain(t, repo, "refs/heads/main")[0]; got[1].Bookmark.CommitOID != tip.String() || got[1].Bookmark.ChangeID != git.SyntheticChangeID(tip).String() {
		t.Errorf("got %+v", got)
	}
	for _, do := range []struct {
		event cairn.EventType
		f     func() error
	}{
		{mesaRepoDeleted, func() error { _, err := f.DeleteRepository(t.Context(), who, "r"); return err }},
		{mesaRepoCreated, func() error { _, err := f.RestoreRepository(t.Context(), who, "r", ""); return err }},
	} {
		if err := do.f(); err != nil {
			t.Fatal(err)
		}
		events := []cairn.EventType{do.event}
		if do.event == mesaRepoCreated {
			events = append(events, mesaBookmarkCreated)
		}
		h.want(repo, events...)
	}
	all := f.actor(t, "acme", "", cairn.RepoWrite)
	all.Reach = new(cairn.Reach)
	value := "prod"
	for range 2 { // the second time nothing changes
		if _, err := f.LabelRepositories(t.Context(), all, []cairn.RepositoryID{repo.Repository, fork.Repository}, "env", &value); err != nil {
			t.Fatal(err)
		}
	}
	h.want(repo, mesaRepoUpdated)
	h.want(fork, mesaRepoUpdated)
}

// push sends what leads to the new values as git does.
func (f *tenants) push(t *testing.T, who cairn.Actor, from *gittest.Repo, updates ...cairn.RefUpdate) {
	t.Helper()
	session, err := f.OpenGit(t.Context(), who, who.Repository, NormalRemote, true)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var body, revisions strings.Builder
	for i, u := range updates {
		line := fmt.Sprintf("%s %s %s", fullID(session.sn.Repository(), u.Old), fullID(session.sn.Repository(), u.New), u.Name)
		if i == 0 {
			line += "\x00report-status"
		}
		fmt.Fprintf(&body, "%04x%s", len(line)+4, line)
		if !u.New.IsZero() {
			fmt.Fprintln(&revisions, u.New)
		}
		if !u.Old.IsZero() {
			fmt.Fprintf(&revisions, "^%s\n", u.Old)
		}
	}
	body.WriteString("0000")
	body.WriteString(from.GitInput(revisions.String(), "pack-objects", "--revs", "--stdout", "-q"))
	var answer bytes.Buffer
	err = session.ReceivePack(t.Context(), strings.NewReader(body.String()), &answer)
	if err != nil || strings.Contains(answer.String(), "ng ") {
		t.Fatalf("push: %v %q", err, answer.String())
	}
}

// TestMesaIsToldOfPushes: a push is told with what it came to as changes see it.
func TestMesaIsToldOfPushes(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	h := f.mesaHook(t)
	repo := f.create(t, "acme", "r")
	h.want(repo, mesaRepoCreated, mesaBookmarkCreated)
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite)
	local := gittest.Init(t)
	first := local.Commit("main", "plain", gittest.Files{"a": "1"})
	tree := local.RevParse("main^{tree}")
	header := "change-id lkonztmnvsxytrwkxpvuutrmompwylqq\n"
	one := told(local, tree, first, header, "m", 1700000000+1)
	push := func(want reconciliation, events []cairn.EventType, updates ...cairn.RefUpdate) []eventData {
		t.Helper()
		f.push(t, who, local, updates...)
		list := h.want(repo, append(events, mesaPush)...)
		if got := list[len(list)-1].Reconciliation; got != want {
			t.Errorf("the push %v came to %+v, want %+v", updates, got, want)
		}
		return list
	}
	main := git.RefName("refs/heads/main")
	push(reconciliation{Commits: 2, Changes: 2, Created: 2}, []cairn.EventType{mesaBookmarkMoved}, cairn.RefUpdate{Name: main, New: one})
	two := told(local, tree, first, header, "m", 1700000000+2)
	list := push(reconciliation{Commits: 1, Changes: 1, Evolved: 1}, []cairn.EventType{mesaBookmarkMoved}, cairn.RefUpdate{Name: main, Old: one, New: two})
	if u := list[1].Updates[0]; u.Action != "updated" || *u.Before != one.String() || *u.After != two.String() || u.Bookmark != "main" {
		t.Errorf("told of %+v", u)
	}
	bad := told(local, tree, two.String(), "change-id nonsense\n", "m", 1700000000+3)
	push(reconciliation{Commits: 1, Changes: 1, Created: 1, Invalid: 1}, []cairn.EventType{mesaBookmarkCreated}, cairn.RefUpdate{Name: "refs/heads/bad", New: bad})
	// jj gives a commit without a header its synthetic id, and tells it when it amends.
	amended := told(local, tree, "", "change-id "+git.SyntheticChangeID(bad).String()+"\n", "m", 1700000000+4)
	push(reconciliation{Commits: 1, Changes: 1, Evolved: 1}, []cairn.EventType{mesaBookmarkMoved}, cairn.RefUpdate{Name: "refs/heads/bad", Old: bad, New: amended})
	// What is there already is not new, under whatever name.
	push(reconciliation{}, []cairn.EventType{mesaBookmarkCreated}, cairn.RefUpdate{Name: "refs/heads/again", New: two})
	// A bookmark at the virtual root is there, if Git knows it or not.
	if _, err := f.CreateBookmark(t.Context(), who, "r", "late", git.ChangeID{}); err != nil {
		t.Fatal(err)
	}
	h.want(repo, mesaBookmarkCreated)
	push(reconciliation{}, []cairn.EventType{mesaBookmarkMoved}, cairn.RefUpdate{Name: "refs/heads/late", New: two})
	if _, _, err := f.MoveBookmark(t.Context(), who, "r", "late", git.ChangeIDOf(two, &git.Commit{Extra: []git.Header{{Name: "change-id", Value: header[10:42]}}}), true); err != nil {
		t.Fatal(err)
	}
	h.want(repo) // it is where it was
	f.push(t, who, local, cairn.RefUpdate{Name: "refs/heads/again", Old: two})
	list = h.want(repo, mesaBookmarkDeleted, mesaPush)
	if u := list[1].Updates[0]; u.Action != "deleted" || u.After != nil || list[0].Bookmark.CommitOID != two.String() {
		t.Errorf("told of %+v", list)
	}
}

// TestNobodyIsAskedForWebhooks: what happens in a repository that nobody watches
// asks for webhooks neither in its transaction nor before it.
func TestNobodyIsAskedForWebhooks(t *testing.T) {
	t.Parallel()
	asked := 0
	f := newTenants(t, func(m cairn.Metadata) cairn.Metadata { return askingMetadata{m, &asked} })
	f.create(t, "acme", "r")
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite, cairn.RepoWrite)
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ForkRepository(t.Context(), f.actor(t, "acme", "fork", cairn.RepoWrite), NewFork{Name: "fork", Source: "r", SourceActor: who}); err != nil {
		t.Fatal(err)
	}
	local := gittest.Init(t)
	tip := git.MustParseObjectID(local.Commit("main", "x", gittest.Files{"a": "1"}))
	f.push(t, who, local, cairn.RefUpdate{Name: "refs/heads/pushed", New: tip})
	if asked != 0 {
		t.Errorf("webhooks were asked for %d times", asked)
	}
	f.mesaHook(t)
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "a", "2"); err != nil || asked == 0 {
		t.Errorf("with a webhook they were asked for %d times, %v", asked, err)
	}
}

// askingMetadata counts how often a transaction asks for webhooks.
type askingMetadata struct {
	cairn.Metadata
	asked *int
}

func (m askingMetadata) Update(ctx context.Context, f func(cairn.Tx) error) error {
	return m.Metadata.Update(ctx, func(tx cairn.Tx) error { return f(askingTx{tx, m.asked}) })
}

func (m askingMetadata) View(ctx context.Context, f func(cairn.Tx) error) error {
	return m.Metadata.View(ctx, func(tx cairn.Tx) error { return f(askingTx{tx, m.asked}) })
}

type askingTx struct {
	cairn.Tx
	asked *int
}

func (tx askingTx) Webhooks() cairn.Webhooks {
	*tx.asked++
	return tx.Tx.Webhooks()
}
