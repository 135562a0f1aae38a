package githttp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestPushesClonesAndCompactionAtOnce has writers push to branches of their
// own while others clone and the packs are merged under them.
func TestPushesClonesAndCompactionAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := work(t, s, "r", "protocol.version=2")
	sn, err := s.store.Snapshot(t.Context(), s.admin.Organization.ID, "r")
	check(t, err)
	key := sn.Repository().RepositoryKey
	sn.Close()

	const writers, rounds = 4, 6
	locals := make([]*gittest.Repo, writers)
	for i := range locals {
		locals[i] = gittest.Open(t, clone(t, first.Dir, "--bare"))
		for n := range rounds {
			locals[i].Commit(fmt.Sprint("w", i), "more", gittest.Files{fmt.Sprintf("d%d/f%d", i, n): strings.Repeat(fmt.Sprintln(i, n), 50)})
		}
	}
	url := s.remote("r", "")
	done := make(chan struct{})
	var pushing, other sync.WaitGroup
	for i, local := range locals {
		pushing.Go(func() {
			for n := range rounds {
				branch := fmt.Sprint("w", i)
				if out, err := run(t, local.Dir, "push", url, fmt.Sprintf("%s~%d:refs/heads/%s", branch, rounds-1-n, branch)); err != nil {
					t.Errorf("writer %d: %s", i, out)
				}
			}
		})
	}
	other.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := s.store.Compact(context.Background(), key); err != nil {
				t.Errorf("compact: %v", err)
			}
		}
	})
	other.Go(func() {
		for {
			dir := t.TempDir()
			if out, err := run(t, dir, "clone", "--mirror", url, "."); err != nil {
				t.Errorf("clone: %s", out)
			}
			if out, err := run(t, dir, "fsck", "--strict"); err != nil {
				t.Errorf("fsck: %s", out)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	pushing.Wait()
	close(done)
	other.Wait()
	s.fsck(key)
	refs := remoteRefs(t, url)
	for i, local := range locals {
		branch := fmt.Sprint("refs/heads/w", i)
		if got, want := refs[branch], local.RevParse(branch); got != want {
			t.Errorf("%s is %s, want %s", branch, got, want)
		}
	}
}

// TestOneOfManyPushesWins has many clients move one branch from the same place.
func TestOneOfManyPushesWins(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	old := local.RevParse("main")
	const clients = 8
	answers := make([]string, clients)
	var wait sync.WaitGroup
	for i := range clients {
		tip := local.Git("commit-tree", "-m", fmt.Sprint(i), "-p", old, "main^{tree}")
		pack := packOf(t, local, tip)
		wait.Go(func() { answers[i] = s.pushRaw("r", pack, old+" "+tip+" refs/heads/main") })
	}
	wait.Wait()
	won := 0
	for _, a := range answers {
		switch {
		case strings.Contains(a, "ok refs/heads/main"):
			won++
		case !strings.Contains(a, "ng refs/heads/main failed to update ref"):
			t.Errorf("%q", a)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d pushes moved the branch from the same place", won, clients)
	}
}
