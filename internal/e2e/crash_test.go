package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/gittest"
)

var (
	cycles = flag.Int("crash.cycles", 100, "how often TestKill kills the server")
	seed   = flag.Uint64("crash.seed", uint64(time.Now().UnixNano()), "seed of the delays of TestKill")
)

// TestKill kills the server with SIGKILL at random moments under pushes and
// commits, starts it again, and looks for every update that was acknowledged.
// The delays are drawn so that about half of the pushes are.
func TestKill(t *testing.T) {
	t.Parallel()
	kill(t, *cycles, false)
}

// TestKillWhileCompacting does the same, less often, to a server that compacts,
// repacks and sweeps all the time.
func TestKillWhileCompacting(t *testing.T) {
	t.Parallel()
	kill(t, (*cycles+4)/5, true)
}

func kill(t *testing.T, cycles int, compacting bool) {
	t.Logf("seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 0))
	s := newServer(t, "--compact-at", "4", "--grace", "1ms", "--sweep-every", "20ms")
	pace, stop := 100*time.Millisecond, func() {}
	if compacting {
		pace = 300 * time.Millisecond
		stop = s.collectGarbage(func(error, string) {}, "push0", "write0", "push1", "write1") // it is killed, too
	}
	k := &killer{server: s}
	for i := range 2 {
		k.pushers = append(k.pushers, newPusher(t, s, fmt.Sprintf("push%d", i)))
		k.writers = append(k.writers, newWriter(s, fmt.Sprintf("write%d", i)))
	}
	var restarts []time.Duration
	for cycle := range cycles {
		pace = k.cycle(rng, pace)
		restarts = append(restarts, s.start())
		k.verify(cycle%10 == 9)
		if t.Failed() {
			t.Fatalf("in cycle %d\n%s", cycle, s.log)
		}
	}
	k.report(restarts)
	k.clones()
	stop()
	k.noFilesLeft()
}

// killer is a server with its load.
type killer struct {
	server  *server
	pushers []*pusher
	writers []*writer
}

// cycle runs the load and kills the server in the middle of it: after up to
// twice the pace. It returns a pace that brings the pushes that are
// acknowledged nearer to one half, whatever else the machine does.
func (k *killer) cycle(rng *rand.Rand, pace time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(k.server.t.Context(), time.Minute)
	defer cancel()
	for _, p := range k.pushers {
		p.prepare()
	}
	var wg sync.WaitGroup
	for _, p := range k.pushers {
		wg.Go(func() { p.push(ctx) })
	}
	for _, w := range k.writers {
		wg.Go(func() { w.write(ctx) })
	}
	time.Sleep(time.Duration(rng.Float64() * 2 * float64(pace)))
	_ = k.server.stop(syscall.SIGKILL)
	wg.Wait()
	for _, p := range k.pushers {
		if p.certain == p.possible {
			pace = pace * 10 / 11
		} else {
			pace = min(pace*11/10, 2*time.Second)
		}
	}
	return pace
}

// verify compares every branch with what its client knows.
func (k *killer) verify(deep bool) {
	for _, p := range k.pushers {
		p.verify()
	}
	for _, w := range k.writers {
		w.verify()
	}
	if deep {
		k.server.cairn("fsck", "--org", "acme")
	}
}

func (k *killer) report(restarts []time.Duration) {
	slices.Sort(restarts)
	pushed, acknowledged, commits := 0, 0, 0
	for _, p := range k.pushers {
		pushed, acknowledged = pushed+p.tried, acknowledged+p.acknowledged
	}
	for _, w := range k.writers {
		commits += w.acknowledged
	}
	median := restarts[len(restarts)/2]
	t := k.server.t
	t.Logf("%d kills: %d of %d pushes acknowledged, %d commits; restart median %v, slowest %v",
		len(restarts), acknowledged, pushed, commits, median, restarts[len(restarts)-1])
	if acknowledged == 0 || acknowledged == pushed || commits == 0 {
		t.Error("the delays missed what the test is about")
	}
	if median > time.Second {
		t.Errorf("the median restart took %v, want less than a second", median)
	}
}

// clones checks with stock git what a client gets in the end.
func (k *killer) clones() {
	t := k.server.t
	for _, p := range k.pushers {
		dir := t.TempDir()
		gittest.Git(t, dir, "clone", "-q", "--mirror", k.server.remote(p.repo), ".")
		gittest.Fsck(t, dir)
	}
}

// noFilesLeft stops the server and checks that the janitor left only files
// that something names: everything else was half of a killed write.
func (k *killer) noFilesLeft() {
	t := k.server.t
	k.server.cairn("gc")
	if err := k.server.stop(syscall.SIGTERM); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	named := packsNamed(t, k.server.data)
	err := filepath.WalkDir(k.server.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := filepath.Base(path)
		ext := filepath.Ext(name)
		folder, err := filepath.Rel(k.server.data, filepath.Dir(path))
		switch {
		case err != nil:
			return err
		case ext == ".pack" || ext == ".idx":
			if !named[strings.TrimSuffix(name, ext)] {
				t.Errorf("%s is named by no row", name)
			}
		case folder == "scratch" || folder == filepath.Join("bucket", "tmp"):
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// pusher is a clone that pushes one new commit of about 400 KiB, or a small
// one, to its own repository each cycle.
type pusher struct {
	server *server
	repo   string
	dir    string

	tried, acknowledged int
	certain, possible   string // where the branch must be; where it may be too
}

func newPusher(t testing.TB, s *server, repo string) *pusher {
	s.createRepository(repo)
	p := &pusher{server: s, repo: repo, dir: t.TempDir()}
	gittest.Git(t, p.dir, "init", "-q", "-b", "main", ".")
	return p
}

// prepare makes the commit that push pushes.
func (p *pusher) prepare() {
	t := p.server.t
	size := 1 << 10
	if p.tried%2 == 0 {
		size = 400 << 10 // beyond the inline limit: the bytes go through the bucket
	}
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	if err := os.WriteFile(filepath.Join(p.dir, "data"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	gittest.Git(t, p.dir, "add", "data")
	gittest.Git(t, p.dir, "commit", "-q", "-m", fmt.Sprint("push ", p.tried))
	p.possible = strings.TrimSpace(gittest.Git(t, p.dir, "rev-parse", "HEAD"))
	p.tried++
}

func (p *pusher) push(ctx context.Context) {
	push := exec.CommandContext(ctx, "git", "push", "-q", p.server.remote(p.repo), "HEAD:refs/heads/main")
	push.Dir = p.dir
	push.Env = gittest.Env()
	if push.Run() == nil {
		p.certain, p.acknowledged = p.possible, p.acknowledged+1
	}
}

func (p *pusher) verify() {
	t := p.server.t
	tip, err := p.server.tip(t.Context(), p.repo, "main")
	if err != nil {
		t.Error(err)
		return
	}
	if tip != p.certain && tip != p.possible {
		t.Errorf("%s is at %q, but %q was acknowledged", p.repo, tip, p.certain)
	}
	p.certain = tip // what was seen is certain from now on
}

// writer commits through the API, one file after another, until the server is
// gone.
type writer struct {
	server       *server
	repo         string
	acknowledged int
	certain      string
	inFlight     bool
	next         int
}

func newWriter(s *server, repo string) *writer {
	s.createRepository(repo)
	return &writer{server: s, repo: repo}
}

func (w *writer) write(ctx context.Context) {
	for {
		w.inFlight = true
		r, status, err := w.server.commit(ctx, w.repo, "main", "", fmt.Sprintf("d%d/f%d", w.next%7, w.next), []byte(fmt.Sprint(w.next)))
		w.next++
		switch {
		case errors.Is(err, errNoAnswer):
			return
		case status == http.StatusServiceUnavailable:
			return
		case err != nil || !r.Result.Success:
			w.server.t.Errorf("commit to %s: %d %+v %v", w.repo, status, r, err)
			return
		case r.Result.OldSHA != w.certain && w.certain != "":
			w.server.t.Errorf("commit to %s replaced %s, want %s", w.repo, r.Result.OldSHA, w.certain)
		}
		w.certain, w.inFlight = r.Result.NewSHA, false
		w.acknowledged++
	}
}

// verify finds the branch at the last acknowledged commit, or at the only one
// that was under way, which then is its child.
func (w *writer) verify() {
	t := w.server.t
	tip, err := w.server.tip(t.Context(), w.repo, "main")
	if err != nil {
		t.Error(err)
		return
	}
	if tip != w.certain {
		parent := ""
		if tip != "" {
			parent = w.parent(tip)
		}
		if !w.inFlight || parent != w.certain {
			t.Errorf("%s is at %q with the parent %q, but %q was acknowledged", w.repo, tip, parent, w.certain)
		}
	}
	w.certain, w.inFlight = tip, false
}

func (w *writer) parent(tip string) string {
	var r struct {
		Commit struct {
			Parents []string `json:"parent_shas"`
		} `json:"commit"`
	}
	status, err := w.server.call(w.server.t.Context(), "GET", "/api/v1/repos/commit?sha="+tip, w.repo, nil, &r)
	if err != nil || status != http.StatusOK {
		w.server.t.Errorf("commit %s of %s: %d %v", tip, w.repo, status, err)
	}
	if len(r.Commit.Parents) == 0 {
		return ""
	}
	return r.Commit.Parents[0]
}
