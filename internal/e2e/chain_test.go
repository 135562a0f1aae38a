package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/chaintest"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestOneBranchManyWriters lets 32 clients write to one branch, half of them
// with a guard, and checks that the accepted updates form one chain, that no
// unguarded commit was refused, and that nobody saw an old state.
func TestOneBranchManyWriters(t *testing.T) {
	t.Parallel()
	oneBranchManyWriters(t, 12, false)
}

// TestOneBranchManyWritersWhileCompacting does the same, less often, on a
// server that compacts, repacks and sweeps all the time.
func TestOneBranchManyWritersWhileCompacting(t *testing.T) {
	t.Parallel()
	oneBranchManyWriters(t, 4, true)
}

func oneBranchManyWriters(t *testing.T, rounds int, compacting bool) {
	const clients = 32
	s := newServer(t, "--compact-at", "8", "--grace", "1s", "--sweep-every", "1s")
	s.createRepository("hot")
	first, _, err := s.commit(t.Context(), "hot", "main", "", "first", []byte("first"))
	if err != nil || !first.Result.Success {
		t.Fatalf("first commit: %+v %v", first, err)
	}
	if compacting {
		defer s.collectGarbage(func(err error, out string) { t.Errorf("gc: %v\n%s", err, out) }, "hot")()
	}
	began := time.Now()
	clock := func() int64 { return int64(time.Since(began)) + 1 }

	var mu sync.Mutex
	var ops []chaintest.Op
	record := func(op chaintest.Op) {
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, op)
	}
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for round := range rounds {
				if err := oneWrite(t, s, client, round, clock, record); err != nil {
					t.Errorf("client %d, round %d: %v", client, round, err)
					return
				}
			}
		})
	}
	wg.Wait()

	start := git.MustParseObjectID(first.Result.NewSHA)
	chain, err := chaintest.Check(start, ops)
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) < clients/2*rounds {
		t.Errorf("%d updates accepted, want at least the %d without a guard", len(chain), clients/2*rounds)
	}
	clone := t.TempDir()
	gittest.Git(t, clone, "clone", "-q", "--bare", s.remote("hot"), ".")
	gittest.Fsck(t, clone)
	history := strings.Fields(gittest.Git(t, clone, "rev-list", "--reverse", "--first-parent", "main"))
	if len(history) != len(chain)+1 {
		t.Fatalf("the branch has %d commits, want %d", len(history), len(chain)+1)
	}
	for i, id := range chain {
		if history[i+1] != id.String() {
			t.Fatalf("commit %d is %s, want %s", i+1, history[i+1], id)
		}
	}
}

func oneWrite(t *testing.T, s *server, client, round int, clock func() int64, record func(chaintest.Op)) error {
	op := chaintest.Op{Kind: chaintest.Read, Start: clock()}
	head, err := s.tip(t.Context(), "hot", "main")
	if err != nil {
		return err
	}
	op.New, op.End = git.MustParseObjectID(head), clock()
	record(op)

	guard := ""
	if client%2 == 0 {
		guard = head
	}
	op = chaintest.Op{Start: clock()}
	r, status, err := s.commit(t.Context(), "hot", "main", guard, fmt.Sprintf("c%d/r%d", client, round), []byte(fmt.Sprint(client, round)))
	op.End = clock()
	switch {
	case err != nil:
		return err
	case r.Result.Success:
		op.Old, op.New = git.MustParseObjectID(r.Result.OldSHA), git.MustParseObjectID(r.Result.NewSHA)
		if guard != "" && guard != r.Result.OldSHA {
			return fmt.Errorf("guard %s was taken for %s", guard, r.Result.OldSHA)
		}
		record(op)
	case guard == "":
		return fmt.Errorf("a commit without a guard was refused: %d %+v", status, r)
	case status != http.StatusConflict || r.Result.Status != "precondition_failed":
		return errors.New("a stale guard gave " + fmt.Sprint(status, r))
	}
	return nil
}
