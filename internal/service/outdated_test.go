package service

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// TestWritesLookAgainWhenARepackBegins puts up a fence just before the
// transaction of each kind of write: what the write had looked at may be gone by
// now, so it looks again, and then it happens.
func TestWritesLookAgainWhenARepackBegins(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	m := &moving{f.metadata, make(chan func(), 2)}
	s := f.over(t, m)
	for name, do := range map[string]func(t *testing.T, repo cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error){
		"commit": func(t *testing.T, _ cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error) {
			r, err := write(t, s, who, CommitTarget{Branch: "main"}, "more", "2")
			return "refs/heads/main", r.Commit, err
		},
		"branch": func(t *testing.T, _ cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error) {
			b, err := s.CreateBranch(t.Context(), who, who.Repository, NewBranch{Name: "b", BaseBranch: "main"})
			return "refs/heads/b", b.Head, err
		},
		"deletion": func(t *testing.T, _ cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error) {
			return "refs/heads/side", git.ObjectID{}, s.DeleteBranch(t.Context(), who, who.Repository, "side", false)
		},
		"tag": func(t *testing.T, _ cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error) {
			tag, err := s.CreateTag(t.Context(), who, who.Repository, NewTag{Name: "v1", At: Revision{Name: "main"}})
			return "refs/tags/v1", tag.Commit, err
		},
		"merge": func(t *testing.T, _ cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error) {
			r, err := s.Merge(t.Context(), who, who.Repository, MergeRequest{
				MergePair: MergePair{Target: "main", Source: Revision{Name: "side"}}, Strategy: "merge", CommitInfo: CommitInfo{Message: "m", Author: ann}})
			return "refs/heads/main", r.New, err
		},
		"push": func(t *testing.T, repo cairn.Repository, who cairn.Actor) (git.RefName, git.ObjectID, error) {
			at := f.refs(t, repo)["refs/heads/side"]
			session, err := s.OpenGit(t.Context(), who, who.Repository, NormalRemote, true)
			if err != nil {
				return "", at, err
			}
			defer session.Close()
			line := fmt.Sprintf("%s %s refs/heads/pushed\x00report-status\n", git.ZeroHex, at)
			empty := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
			sum := sha1.Sum(empty)
			body := fmt.Sprintf("%04x%s0000%s%s", len(line)+4, line, empty, sum[:])
			var answer bytes.Buffer
			err = session.ReceivePack(t.Context(), strings.NewReader(body), &answer)
			if !strings.Contains(answer.String(), "ok refs/heads/pushed") {
				err = errors.Join(err, errors.New(answer.String()))
			}
			return "refs/heads/pushed", at, err
		},
	} {
		repo := f.create(t, "acme", cairn.RepositoryName(name))
		who := f.actor(t, "acme", repo.Name, cairn.GitRead, cairn.GitWrite)
		if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "first", "1"); err != nil {
			t.Fatal(err)
		}
		if _, err := write(t, f.Service, who, CommitTarget{Branch: "side", Base: "main"}, "side", "1"); err != nil {
			t.Fatal(err)
		}
		for range cap(m.before) {
			m.before <- func() { f.fence(t, repo) }
		}
		ref, want, err := do(t, repo, who)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(m.before) > 0 {
			t.Errorf("%s: it was written without a second look", name)
			for len(m.before) > 0 {
				<-m.before
			}
		}
		if got := f.refs(t, repo)[ref]; got != want {
			t.Errorf("%s: %s names %v, want %v", name, ref, got, want)
		}
	}
}

// A fork looks its commit up again.
func TestForkLooksAgainWhenARepackBegins(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	at := f.commit(t, repo, "refs/heads/main", "refs/heads/side")
	m := &moving{f.metadata, make(chan func(), 2)}
	for range cap(m.before) {
		m.before <- func() { f.fence(t, repo) }
	}
	made, err := f.over(t, m).ForkRepository(t.Context(), f.actor(t, "acme", "fork", cairn.RepoWrite),
		NewFork{Name: "fork", Source: "app", SourceActor: f.actor(t, "acme", "app", cairn.GitRead), Ref: "side"})
	if err != nil || len(m.before) > 0 {
		t.Fatalf("got error %v after %d fences", err, cap(m.before)-len(m.before))
	}
	if got := f.refs(t, made)["refs/heads/main"]; got != at {
		t.Errorf("the fork's branch names %v, want %v", got, at)
	}
}

// Where repacks begin all the time the writer is told to try again.
func TestWriteThatIsAlwaysOutdated(t *testing.T) {
	t.Parallel()
	tries := 0
	err := onNewState(t.Context(), func() error { tries++; return odb.ErrOutdated })
	if !errors.Is(err, odb.ErrOutdated) || cairn.KindOf(err) != cairn.Conflict || tries != maxTries {
		t.Errorf("got %v after %d tries", err, tries)
	}
}

// fence does what a repack does first.
func (f *tenants) fence(t testing.TB, repo cairn.Repository) {
	t.Helper()
	err := f.metadata.Update(t.Context(), func(tx cairn.Tx) error {
		if _, err := tx.Repositories().Advance(repo.RepositoryKey); err != nil {
			return err
		}
		_, err := tx.Repositories().SetFence(repo.RepositoryKey)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
