package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// watchedMetadata counts what is asked of a store, and refuses writes once it
// is told to.
type watchedMetadata struct {
	cairn.Metadata
	mu       sync.Mutex
	readOnly bool
	asked    []string // "view", and what was asked in it
}

func (m *watchedMetadata) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, what)
}

// take returns what was asked since the last take.
func (m *watchedMetadata) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := m.asked
	m.asked = nil
	return asked
}

func (m *watchedMetadata) View(ctx context.Context, f func(cairn.Tx) error) error {
	m.note("view")
	return m.Metadata.View(ctx, func(tx cairn.Tx) error { return f(watchedTx{tx, m}) })
}

func (m *watchedMetadata) Update(ctx context.Context, f func(cairn.Tx) error) error {
	m.mu.Lock()
	readOnly := m.readOnly
	m.mu.Unlock()
	if readOnly {
		return errors.New("a read wrote")
	}
	return m.Metadata.Update(ctx, f)
}

type watchedTx struct {
	cairn.Tx
	m *watchedMetadata
}

func (tx watchedTx) Organizations() cairn.Organizations {
	tx.m.note("organizations")
	return tx.Tx.Organizations()
}
func (tx watchedTx) Keys() cairn.Keys { tx.m.note("keys"); return tx.Tx.Keys() }
func (tx watchedTx) Repositories() cairn.Repositories {
	tx.m.note("repositories")
	return tx.Tx.Repositories()
}
func (tx watchedTx) Refs() cairn.Refs     { tx.m.note("refs"); return tx.Tx.Refs() }
func (tx watchedTx) Packs() cairn.Packs   { tx.m.note("packs"); return tx.Tx.Packs() }
func (tx watchedTx) Events() cairn.Events { tx.m.note("events"); return tx.Tx.Events() }

// TestReadsAskForTheRepositorysRowAlone performs every read: none writes, and
// with the state in memory each asks one thing, whether it is the present one.
func TestReadsAskForTheRepositorysRowAlone(t *testing.T) {
	t.Parallel()
	m := &watchedMetadata{}
	f := newTenants(t, func(inner cairn.Metadata) cairn.Metadata { m.Metadata = inner; return m })
	repo := f.create(t, "acme", "r")
	ids := f.line(t, repo, 30)
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite)
	main := Revision{Name: "main"}
	if _, err := f.CreateTag(t.Context(), who, "r", NewTag{Name: "v1", At: main}); err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() error{
		"file": func() error {
			file, err := f.OpenFile(t.Context(), who, "r", main, "folder/file-1")
			if err == nil {
				file.Close()
			}
			return err
		},
		"files":   func() error { _, err := f.ListFiles(t.Context(), who, "r", FilesQuery{Recursive: true}); return err },
		"commits": func() error { _, err := f.ListCommits(t.Context(), who, "r", CommitsQuery{Limit: 5}); return err },
		"path": func() error {
			_, err := f.ListCommits(t.Context(), who, "r", CommitsQuery{Path: "folder/file-2"})
			return err
		},
		"commit": func() error {
			_, err := f.Service.Commit(t.Context(), who, "r", Revision{Name: ids[3].String()})
			return err
		},
		"branches":    func() error { _, err := f.ListBranches(t.Context(), who, "r", BranchesQuery{}); return err },
		"branch":      func() error { _, err := f.Branch(t.Context(), who, "r", Revision{Name: "main"}); return err },
		"tags":        func() error { _, err := f.ListTags(t.Context(), who, "r", TagsQuery{}); return err },
		"tag":         func() error { _, err := f.Tag(t.Context(), who, "r", Revision{Name: "v1"}); return err },
		"commit diff": func() error { _, err := f.CommitDiff(t.Context(), who, "r", CommitDiffQuery{Commit: main}); return err },
	}
	m.readOnly = true
	for name, read := range reads {
		if err := read(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m.take()
		if err := read(); err != nil {
			t.Fatalf("%s again: %v", name, err)
		}
		if got, want := m.take(), []string{"view", "repositories"}; !slices.Equal(got, want) {
			t.Errorf("%s: asked for %q, want %q", name, got, want)
		}
	}
	m.readOnly = false
	// The one question is enough: a write is seen by the next read.
	made, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "new", "new")
	if err != nil {
		t.Fatal(err)
	}
	branch, err := f.Branch(t.Context(), who, "r", Revision{Name: "main"})
	if err != nil || branch.Head != made.Commit {
		t.Errorf("after a write main is %s, %v, want %s", branch.Head, err, made.Commit)
	}
}

// TestATokenIsVerifiedOnce: until its key changes or its time is over, only its
// digest is looked up.
func TestATokenIsVerifiedOnce(t *testing.T) {
	t.Parallel()
	m := &watchedMetadata{}
	f := newTenants(t, func(inner cairn.Metadata) cairn.Metadata { m.Metadata = inner; return m })
	token := sign(t, `{"alg":"ES256","typ":"JWT"}`, f.claimText(""), f.acmeEC)
	first := f.accept(t, "new", token)
	m.take()
	m.readOnly = true
	for range 10 {
		if who := f.accept(t, "again", token); who.Organization != first.Organization {
			t.Errorf("got %v, want %v", who, first)
		}
	}
	if asked := m.take(); len(asked) > 0 {
		t.Errorf("a known token asked for %q", asked)
	}
	verifiedAgain := 0
	f.keys.mu.Lock()
	verifiedAgain = len(f.keys.tokens.young) + len(f.keys.tokens.old)
	f.keys.mu.Unlock()
	if verifiedAgain != 1 {
		t.Errorf("%d tokens are remembered, want 1", verifiedAgain)
	}
}

// TestLastChangeIsLookedForInNewCommitsAlone reads an old file after each of
// many commits that do not touch it.
func TestLastChangeIsLookedForInNewCommitsAlone(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.create(t, "acme", "r")
	who := f.actor(t, "acme", "r", cairn.GitRead, cairn.GitWrite)
	old, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "old", "old")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		made, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "other", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.OpenFile(t.Context(), who, "r", Revision{Name: "main"}, "old")
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		if file.LastCommit != old.Commit || file.Commit != made.Commit {
			t.Errorf("last change of old in %s: got %s, want %s", file.Commit, file.LastCommit, old.Commit)
		}
		if _, ok := f.changes.get(changeKey{made.Commit, "old"}); !ok {
			t.Error("the answer is not kept for the next commit")
		}
	}
	// What is kept for a parent is the answer, and nothing below it is read.
	wrong := git.MustParseObjectID("1111111111111111111111111111111111111111")
	tip, err := f.Branch(t.Context(), who, "r", Revision{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	f.changes.put(changeKey{tip.Head, "old"}, wrong)
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "other", "last"); err != nil {
		t.Fatal(err)
	}
	sn, err := f.open(t.Context(), who, "r", cairn.GitRead)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	ref, _ := sn.Ref("refs/heads/main")
	if got, err := f.lastChange(t.Context(), sn, ref.Target, entryOf(t, sn, ref.Target, "old")); err != nil || got != wrong {
		t.Errorf("got %s, %v: the walk went past what is known", got, err)
	}
}
