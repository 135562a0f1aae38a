package service

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var ann = Identity{Name: "Ann", Email: "ann@example.com"}

// write commits one file through a service.
func write(t testing.TB, s *Service, who cairn.Actor, target CommitTarget, path, content string) (CommitResult, error) {
	t.Helper()
	w, err := s.BeginCommit(t.Context(), who, who.Repository, CommitRequest{
		CommitTarget: target,
		CommitInfo:   CommitInfo{Message: "m", Author: ann},
		Files:        []FileChange{{Path: path, ContentID: "c"}},
	})
	if err != nil {
		return CommitResult{}, err
	}
	defer w.Close()
	if err := w.AddChunk(t.Context(), "c", []byte(content), true); err != nil {
		return CommitResult{}, err
	}
	return w.Commit(t.Context())
}

// chain returns the commits of a branch, newest first.
func (f *tenants) chain(t testing.TB, repo cairn.Repository, branch git.RefName) []git.ObjectID {
	t.Helper()
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	ref, _ := sn.Ref(branch)
	var ids []git.ObjectID
	for id := ref.Target; ; {
		ids = append(ids, id)
		links, err := sn.Commit(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(links.Parents) == 0 {
			return ids
		}
		id = links.Parents[0]
	}
}

// TestLostRacesAreRunAgain has two services over one store, as two nodes would
// be: nothing but the compare-and-swap keeps them apart.
func TestLostRacesAreRunAgain(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	nodes := []*Service{f.Service, New(Options{Store: f.store, Logger: f.logger})}
	const writers, commits = 8, 4
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range commits {
				// Large enough that some contents are stored as packs of their own.
				content := strings.Repeat(fmt.Sprint(i, n, " "), 1+i%2*200_000)
				if _, err := write(t, nodes[i%2], who, CommitTarget{Branch: "main"}, fmt.Sprintf("f%d-%d", i, n), content); err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(f.chain(t, repo, "refs/heads/main")); got != writers*commits {
		t.Errorf("chain of %d commits, want %d", got, writers*commits)
	}
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	sn.Close()
	check, err := f.store.Check(t.Context(), repo.RepositoryKey, nil)
	if err != nil || len(check.Problems) > 0 {
		t.Errorf("check: %v, %v", check, err)
	}
}

func TestGuardedRaceAcrossNodes(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	nodes := []*Service{f.Service, New(Options{Store: f.store, Logger: f.logger})}
	first, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	won := make(chan git.ObjectID, 16)
	for i := range 16 {
		wg.Go(func() {
			done, err := write(t, nodes[i%2], who, CommitTarget{Branch: "main", Expected: first.Commit.String()}, fmt.Sprint(i), "x")
			var tip *TipError
			switch {
			case err == nil:
				won <- done.Commit
			case !errors.Is(err, cairn.Stale) || !errors.As(err, &tip):
				t.Errorf("writer %d: %v, want Stale with the tip", i, err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d guarded commits won, want 1", len(won))
	}
	if got := f.chain(t, repo, "refs/heads/main")[0]; got != <-won {
		t.Errorf("the tip is %s, not the commit that won", got)
	}
}

func TestCommitIntoARepositoryDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite, cairn.RepoWrite)
	w, err := f.BeginCommit(t.Context(), who, "app", CommitRequest{
		CommitTarget: CommitTarget{Branch: "main"}, CommitInfo: CommitInfo{Message: "m", Author: ann},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := f.DeleteRepository(t.Context(), who, "app"); err != nil {
		t.Fatal(err)
	}
	f.create(t, "acme", "app") // another one under the same name
	_, err = w.Commit(t.Context())
	wantKind(t, "commit", err, cairn.NotFound)
}

func TestBranchesRace(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "a", "1"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			name := []string{"x", "x/y", "x/y/z"}[i%3]
			_, err := f.CreateBranch(t.Context(), who, "app", NewBranch{Name: name, BaseBranch: "main"})
			if err != nil && !errors.Is(err, cairn.Conflict) {
				t.Errorf("create %s: %v", name, err)
			}
			if i%4 == 0 {
				if err := f.DeleteBranch(t.Context(), who, "app", name, false); err != nil && !errors.Is(err, cairn.NotFound) {
					t.Errorf("delete %s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	count := 0
	for name := range f.refs(t, repo) {
		if name != "refs/heads/main" {
			count++
		}
	}
	if count > 1 {
		t.Errorf("%d branches of which one is a folder of another: %v", count, f.refs(t, repo))
	}
}

// TestOnlyApplyMovesRefs holds the chokepoint: a second caller of the store's
// Apply in this package would be a way around the policies.
func TestOnlyApplyMovesRefs(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var callers []string
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), ".Apply("); n > 0 {
			callers = append(callers, fmt.Sprint(file.Name(), " ", n))
		}
	}
	if got := strings.Join(callers, ", "); got != "policy.go 1" {
		t.Errorf("callers of Apply: %s; want one, in policy.go", got)
	}
}

func TestPolicyIsAskedUnderTheVisibleName(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.create(t, "acme", "app")
	who := f.actor(t, "acme", "app", cairn.GitWrite)
	if _, err := write(t, f.Service, who, CommitTarget{Branch: "main"}, "a", "1"); err != nil {
		t.Fatal(err)
	}
	who.Policy = cairn.RefPolicy{{Pattern: "refs/heads/agents/*"}, {Pattern: "*", Ops: []cairn.RefOp{cairn.NoPush}}}
	for _, ephemeral := range []bool{false, true} {
		_, err := write(t, f.Service, who, CommitTarget{Branch: "agents/a", Ephemeral: ephemeral, Base: "main"}, "b", "2")
		if err != nil {
			t.Errorf("ephemeral %v: %v", ephemeral, err)
		}
		_, err = write(t, f.Service, who, CommitTarget{Branch: "other", Ephemeral: ephemeral, Base: "main"}, "b", "2")
		wantKind(t, fmt.Sprint("ephemeral ", ephemeral), err, cairn.Denied)
	}
}
