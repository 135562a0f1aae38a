//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

// A soak is a mixed load over many repositories for a long time. It is not
// about speed but about what time does: to latencies, memory, descriptors and
// the disk.

// soakKind is one kind of request of a soak.
type soakKind struct {
	name  string
	share int // of 100 requests
	do    func(s *soak, c *connection, repository int) (time.Duration, error)
}

// soakKinds are 70 % reads, 20 % commits and 10 % pushes.
var soakKinds = []soakKind{
	{"read a file", 50, (*soak).readFile},
	{"list 2,000 files", 8, (*soak).list},
	{"log, a page of 20", 7, (*soak).log},
	{"diff of the newest commit", 5, (*soak).diff},
	{"commit 3 files", 20, (*soak).commit},
	{"push a commit", 10, (*soak).push},
}

// soak is one under way.
type soak struct {
	bench        *bench
	repositories []soakRepository
	began        time.Time

	mu        sync.Mutex
	latencies [][]time.Duration // by kind
	waited    int               // requests for which no client was free for longer than keepsUp
	late      []time.Duration   // how late a timer of this program was, over and over
}

// keepsUp is how long a request may wait for a client: a server under more load
// than it can take has slow medians, beside which its tails look well.
const keepsUp = 100 * time.Millisecond

type soakRepository struct {
	name, token string
	pusher      *pusher
}

// tailGoal is how many times the median the slowest hundredth may take.
const tailGoal = 5

// soakSettings make the server remove replaced packs within the time of the
// soak, so that garbage comes and goes.
func soakSettings(d time.Duration) []string {
	return []string{"--grace", (d / 10).String(), "--sweep-every", (d / 40).String()}
}

// soakClients is how many requests can be under way; more wait, and their time
// counts.
const soakClients = 32

// soakJob is a request that is due.
type soakJob struct {
	due              time.Time
	kind, repository int
}

// runSoak runs the load, that many requests per second, for a time and prints
// what came of it.
func runSoak(ctx context.Context, b *bench, d time.Duration, perSecond int) error {
	s := &soak{bench: b, latencies: make([][]time.Duration, len(soakKinds))}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	around, err := listen()
	if err != nil {
		return err
	}
	watcher, err := newSoakWatcher(ctx, b)
	if err != nil {
		return err
	}
	defer watcher.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.began = time.Now()
	errs := make(chan error)
	jobs := make(chan soakJob, perSecond*int(d/time.Second+1))
	for range soakClients {
		go func() { errs <- s.client(ctx, jobs) }()
	}
	go func() { errs <- watcher.watch(ctx, s.began, d) }()
	ended := make(chan struct{})
	go func() { defer close(ended); s.heartbeat(ctx, d) }()
	s.schedule(ctx, jobs, d, perSecond)
	for range soakClients + 1 {
		if failed := <-errs; failed != nil && err == nil {
			err = failed
			cancel()
		}
	}
	<-ended
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, b.server.lastLog())
	}
	fmt.Printf("%s  \n%s of mixed load, %d requests per second on %d repositories. ", machine(), d, perSecond, len(s.repositories))
	cpus, err := around.cpus()
	if err != nil {
		return err
	}
	server, err := b.server.cpu()
	if err != nil {
		return err
	}
	// The server has not ended: to the noise it is another process.
	fmt.Printf("Other processes used %.1f CPUs meanwhile.\n\n", max(0, cpus-server.Seconds()/time.Since(s.began).Seconds()))
	if err := s.print(); err != nil {
		return err
	}
	return watcher.print(os.Stdout)
}

// prepare makes the repositories, each with packs of its own.
func (s *soak) prepare(ctx context.Context) error {
	dir, err := s.bench.filesRepository(ctx)
	if err != nil {
		return err
	}
	first, err := newPusher(ctx, dir)
	if err != nil {
		return err
	}
	for i := range s.bench.sizes.soakRepositories {
		r := soakRepository{name: fmt.Sprint("soak/", i), pusher: first.clone()}
		if r.token, err = s.bench.server.upload(ctx, dir, r.name); err != nil {
			return err
		}
		s.repositories = append(s.repositories, r)
	}
	return nil
}

// schedule says when requests are due: at random moments, whether or not those
// before are answered, as many users are.
func (s *soak) schedule(ctx context.Context, jobs chan<- soakJob, d time.Duration, perSecond int) {
	defer close(jobs)
	random := rand.New(rand.NewPCG(1, 1))
	for due := s.began; ctx.Err() == nil; {
		due = due.Add(time.Duration(random.ExpFloat64() * float64(time.Second) / float64(perSecond)))
		if due.Sub(s.began) > d {
			return
		}
		time.Sleep(time.Until(due))
		select {
		case jobs <- soakJob{time.Now(), pickKind(random.IntN(100)), random.IntN(len(s.repositories))}:
		case <-ctx.Done():
		}
	}
}

// heartbeat notes how late this program gets to run when it wants to: what the
// machine does to everybody on it, beside what the server does to its clients.
func (s *soak) heartbeat(ctx context.Context, d time.Duration) {
	const beat = 10 * time.Millisecond
	for time.Since(s.began) < d && ctx.Err() == nil {
		began := time.Now()
		time.Sleep(beat)
		s.late = append(s.late, time.Since(began)-beat)
	}
}

// client makes requests as they become due. The time that a request waited for
// a client is part of how long it took.
func (s *soak) client(ctx context.Context, jobs <-chan soakJob) error {
	c, err := dial(ctx, s.bench.server.url)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	own := make([][]time.Duration, len(soakKinds))
	late := 0
	for job := range jobs {
		waited := time.Since(job.due)
		if waited > keepsUp {
			late++
		}
		took, err := soakKinds[job.kind].do(s, c, job.repository)
		if err != nil {
			return fmt.Errorf("%s: %w", soakKinds[job.kind].name, err)
		}
		own[job.kind] = append(own[job.kind], waited+took)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited += late
	for kind := range own {
		s.latencies[kind] = append(s.latencies[kind], own[kind]...)
	}
	return nil
}

// pickKind is the kind that a number below 100 stands for.
func pickKind(n int) int {
	for kind := range soakKinds {
		if n -= soakKinds[kind].share; n < 0 {
			return kind
		}
	}
	panic("bench: the shares of a soak are less than 100")
}

// timed makes a call and tells how long it took.
func timed(c *connection, q call) (time.Duration, error) {
	request := c.render(q)
	began := time.Now()
	err := c.do(request)
	return time.Since(began), err
}

func (s *soak) get(c *connection, repository int, path string) (time.Duration, error) {
	return timed(c, call{s.repositories[repository].token, http.MethodGet, path, nil})
}

func (s *soak) readFile(c *connection, repository int) (time.Duration, error) {
	return s.get(c, repository, "/api/v1/repos/file?path="+url.QueryEscape(treePath(rand.IntN(treeFiles))))
}

func (s *soak) list(c *connection, repository int) (time.Duration, error) {
	return s.get(c, repository, "/api/v1/repos/files")
}

func (s *soak) log(c *connection, repository int) (time.Duration, error) {
	return s.get(c, repository, "/api/v1/repos/commits?limit=20")
}

func (s *soak) diff(c *connection, repository int) (time.Duration, error) {
	return s.get(c, repository, "/api/v1/repos/diff?sha=main")
}

func (s *soak) commit(c *connection, repository int) (time.Duration, error) {
	return timed(c, commitCall(s.repositories[repository].token, repository, rand.IntN(1<<30)))
}

func (s *soak) push(c *connection, repository int) (time.Duration, error) {
	r := s.repositories[repository]
	return r.pusher.push(c, r.token, r.name)
}

// print writes the latencies of each kind.
func (s *soak) print() error {
	rows := [][]string{{"", "requests", "p50", "p99", "max", "p99 over p50", "goal", "reached"}}
	for kind, latencies := range s.latencies {
		if len(latencies) == 0 {
			return fmt.Errorf("no request of the kind %q was made", soakKinds[kind].name)
		}
		row, over := latencyRow(soakKinds[kind].name, latencies)
		rows = append(rows, append(row, times(over), fmt.Sprintf("≤ %d×", tailGoal), yesNo(over <= tailGoal)))
	}
	if s.waited > 0 {
		fmt.Printf("%s requests waited for a client longer than %s: the machine does not keep up, and the ratios say little.\n\n", thousands(int64(s.waited)), keepsUp)
	}
	row, _ := latencyRow("· a timer of this program, how late", s.late)
	return writeRows(os.Stdout, append(rows, append(row, "", "", "")))
}

// latencyRow is the row of a kind, as far as it has no goal, and how many times
// the median its slowest hundredth takes.
func latencyRow(name string, latencies []time.Duration) ([]string, float64) {
	slices.Sort(latencies)
	p50, p99 := latencies[len(latencies)/2], latencies[len(latencies)*99/100]
	return []string{
		name, thousands(int64(len(latencies))),
		format(p50.Seconds(), duration), format(p99.Seconds(), duration), format(latencies[len(latencies)-1].Seconds(), duration),
	}, float64(p99) / float64(p50)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "NO"
}
