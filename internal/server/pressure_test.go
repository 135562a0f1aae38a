package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// occupy takes slots for an organization of its own until leave is called.
func occupy(t *testing.T, s *Server, name string, slots int) (leave func()) {
	t.Helper()
	var all []*admission.Request
	for range slots {
		ctx, r, err := s.gate.Arrive(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := admission.Claim(ctx, name); err != nil {
			t.Fatal(err)
		}
		if err := admission.Enter(ctx, admission.Fetch); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return func() {
		for _, r := range all {
			r.Leave()
		}
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

// noise is content that no compression makes smaller.
func noise(seed uint64, size int) []byte {
	out := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(out)
	return out
}

// fetchBody is a request of a Git client for all of a branch.
func fetchBody(tip string) string {
	var b strings.Builder
	for _, line := range []string{"command=fetch", "", "ofs-delta", "want " + tip, "done"} {
		if line == "" {
			b.WriteString("0001")
			continue
		}
		fmt.Fprintf(&b, "%04x%s\n", len(line)+5, line)
	}
	return b.String() + "0000"
}

// tip returns where the branch is.
func (n *tenant) tip(t *testing.T) string {
	t.Helper()
	return strings.Fields(gittest.Git(t, t.TempDir(), "ls-remote", n.remote(), "refs/heads/main"))[0]
}

// raw is the head of a request for a raw connection.
func (n *tenant) raw(method, path string, headers ...string) string {
	head := []string{method + " " + path + " HTTP/1.1", "Host: x", "Authorization: Bearer " + n.token}
	return strings.Join(append(head, headers...), "\r\n") + "\r\n\r\n"
}

// TestClientThatLeavesFreesWhatItHad: whatever a request waits for, it ends soon
// after its client has left.
func TestClientThatLeavesFreesWhatItHad(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.WorkSlots, c.OrgWorkSlots = 2, 2
	s := start(t, c)
	acme := newTenant(t, s, "acme")
	acme.commit(t, "large", noise(1, 16<<20)) // more than sockets take without a reader
	for i := range 7 {                        // some chunks, one file: more than the kernel's buffers hold
		acme.commit(t, fmt.Sprint("more", i), noise(uint64(i+2), 4<<20))
	}
	fetch := fetchBody(acme.tip(t))
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(fetch), fetch)
	post := []string{"Content-Type: application/x-git-upload-pack-request", "Git-Protocol: version=2", "Transfer-Encoding: chunked"}
	push := []string{"Content-Type: application/x-git-receive-pack-request", "Content-Length: 1000000"}
	commands := fmt.Sprintf("%s %s refs/heads/x\x00 report-status", strings.Repeat("0", 40), strings.Repeat("1", 40))
	waiting := func(class admission.Class) func() bool {
		return func() bool { return s.gate.Stats().Classes[class].Waiting == 1 }
	}
	lent := func(class admission.Class) func() bool {
		return func() bool { return s.gate.Stats().Classes[class].Lent == 1 }
	}
	oneRequest := func() bool { return s.gate.Stats().Requests == 1 }
	for name, c := range map[string]struct {
		busy  bool     // no slot is free
		parts []string // what the client sends, with pauses
		until func() bool
	}{
		"waiting to diff":         {true, []string{acme.raw("GET", "/api/v1/repos/diff?sha=main")}, waiting(admission.Diff)},
		"waiting to list":         {true, []string{acme.raw("GET", "/api/v1/repos/files")}, waiting(admission.List)},
		"waiting to fetch":        {true, []string{acme.raw("POST", "/app.git/git-upload-pack", post...) + chunk + "0\r\n\r\n"}, waiting(admission.Fetch)},
		"the end of a body alone": {true, []string{acme.raw("POST", "/app.git/git-upload-pack", post...) + chunk, "0\r\n\r\n"}, waiting(admission.Fetch)},
		"taking a clone":          {false, []string{acme.raw("POST", "/app.git/git-upload-pack", post...) + chunk + "0\r\n\r\n"}, lent(admission.Fetch)},
		"sending a push":          {false, []string{acme.raw("POST", "/app.git/git-receive-pack", push...) + fmt.Sprintf("%04x%s0000PACK\x00\x00\x00\x02\x00\x00\x00\x09", len(commands)+4, commands)}, lent(admission.Push)},
		"sending a commit":        {false, []string{acme.raw("POST", "/api/v1/repos/commit-pack", "Content-Length: 1000000") + `{"metadata":{`}, oneRequest},
		"taking a file":           {false, []string{acme.raw("GET", "/api/v1/repos/file?path=large")}, func() bool { return oneRequest() }},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they watch the same figures
			eventually(t, "the server is idle", func() bool { return s.gate.Stats().Requests == 0 })
			if c.busy {
				defer occupy(t, s, "other", 2)()
			}
			before := s.gate.Stats().Requests
			conn := dial(t, s)
			for i, part := range c.parts {
				if i > 0 {
					time.Sleep(50 * time.Millisecond)
				}
				if _, err := io.WriteString(conn, part); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the request is under way", c.until)
			conn.Close()
			eventually(t, "the request ends", func() bool { return s.gate.Stats().Requests == before })
			if got := s.gate.Stats(); got.Slots != before {
				t.Errorf("%d slots are in use, want %d", got.Slots, before)
			}
		})
	}
}

// TestNoisyNeighbour is item 47 of what attackers try: one organization floods
// the server with clones, pushes and diffs, more than it may have waiting.
// Another one's reads, commits and clones all succeed meanwhile.
func TestNoisyNeighbour(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.WorkSlots, c.OrgWorkSlots, c.WorkQueue = 4, 3, 12
	s := start(t, c)
	noisy, quiet := newTenant(t, s, "noisy"), newTenant(t, s, "quiet")
	local := gittest.Init(t)
	for i := range 3 {
		files := gittest.Files{}
		for n := range 400 {
			files[fmt.Sprintf("d%d/f%d", n%20, n)] = strings.Repeat(fmt.Sprintln(i, n), 50)
		}
		local.Commit("main", fmt.Sprint(i), files)
	}
	local.Git("push", "-q", noisy.remote(), "main")
	quiet.commit(t, "f", []byte("content"))
	fetch := fetchBody(local.RevParse("main"))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var flood sync.WaitGroup
	var done, refused atomic.Int64
	for i := range 32 {
		flood.Go(func() {
			for ctx.Err() == nil {
				r := noisy.request(t, http.MethodGet, "/api/v1/repos/diff?ref=main&base_ref=main~2", "", nil)
				if i%2 == 0 {
					r = noisy.request(t, http.MethodPost, "/app.git/git-upload-pack", "application/x-git-upload-pack-request", strings.NewReader(fetch))
					r.Header.Set("Git-Protocol", "version=2")
				}
				response, err := http.DefaultClient.Do(r.WithContext(ctx))
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode == http.StatusTooManyRequests {
					refused.Add(1)
				} else {
					done.Add(1)
				}
			}
		})
	}
	waiting := func() (n int) {
		for _, c := range s.gate.Stats().Classes {
			n += c.Waiting
		}
		return n
	}
	eventually(t, "the flood is refused", func() bool { return refused.Load() > 0 })
	const operations = 10
	busy := 0
	for i := range operations {
		quiet.commit(t, fmt.Sprint("f", i), []byte("content"))
		if status, text := do(t, quiet.request(t, http.MethodGet, "/api/v1/repos/file?path=f", "", nil)); status != http.StatusOK || text != "content" {
			t.Errorf("read %d: %d %s", i, status, text)
		}
		if status, text := do(t, quiet.request(t, http.MethodGet, "/api/v1/repos/diff?sha=main", "", nil)); status != http.StatusOK {
			t.Errorf("diff %d: %d %s", i, status, text)
		}
		if waiting() > 0 {
			busy++
		}
	}
	gittest.Git(t, t.TempDir(), "clone", "-q", quiet.remote(), "x")
	if waiting() == 0 && busy < operations/2 {
		t.Errorf("the noisy one's queue was empty after all but %d operations: the test has lost its way", busy)
	}
	stop()
	flood.Wait()
	t.Logf("of the noisy one %d were done and %d refused", done.Load(), refused.Load())
	if done.Load() == 0 {
		t.Error("the noisy one got nothing done")
	}
	eventually(t, "the server is idle", func() bool { return s.gate.Stats().Requests == 0 && s.gate.Stats().Slots == 0 })
}

// TestStopUnderLoad: what is under way finishes, what waits is told to come
// back, and what was acknowledged is there after the next start.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.WorkSlots, c.OrgWorkSlots = 2, 2
	s, err := Start(t.Context(), c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	acme := newTenant(t, s, "acme")
	acme.commit(t, "first", []byte("1"))
	local := gittest.Clone(t, acme.remote())
	leave := occupy(t, s, "other", 2)

	// A commit in the middle of its body.
	body := new(strings.Builder)
	if _, err := io.Copy(body, commitBody(t, "second", []byte("2"))); err != nil {
		t.Fatal(err)
	}
	writing := dial(t, s)
	begin, end := body.String()[:body.Len()-20], body.String()[body.Len()-20:]
	if _, err := io.WriteString(writing, acme.raw("POST", "/api/v1/repos/commit-pack", fmt.Sprint("Content-Length: ", body.Len()))+begin); err != nil {
		t.Fatal(err)
	}
	// A diff and a push that wait for slots.
	waiting := dial(t, s)
	if _, err := io.WriteString(waiting, acme.raw("GET", "/api/v1/repos/diff?sha=main")); err != nil {
		t.Fatal(err)
	}
	local.Commit("main", "third", gittest.Files{"third": "3"})
	pushed := make(chan string, 1)
	go func() {
		out, _ := exec.CommandContext(t.Context(), "git", "-C", local.Dir, "push", acme.remote(), "main:pushed").CombinedOutput()
		pushed <- string(out)
	}()
	eventually(t, "all are under way", func() bool {
		classes := s.gate.Stats().Classes
		return classes[admission.Diff].Waiting == 1 && classes[admission.Push].Waiting == 1 && s.gate.Stats().Requests == 5
	})
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	response, err := http.ReadResponse(bufio.NewReader(waiting), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "stopping") {
		t.Errorf("who waits got %s %s with Retry-After %q", response.Status, text, response.Header.Get("Retry-After"))
	}
	if out := <-pushed; !strings.Contains(out, "the server is stopping") {
		t.Errorf("the push that waits got\n%s", out)
	}
	if _, err := io.WriteString(writing, end); err != nil {
		t.Fatal(err)
	}
	if response, err = http.ReadResponse(bufio.NewReader(writing), nil); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("the commit under way got %s", response.Status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	leave()

	s = start(t, c)
	acme.server = s
	for path, want := range map[string]int{"first": 200, "second": 200, "third": 404} {
		if status, text := do(t, acme.request(t, http.MethodGet, "/api/v1/repos/file?path="+path, "", nil)); status != want {
			t.Errorf("%s afterwards: %d %s, want %d", path, status, text, want)
		}
	}
}

// TestLongOperationsAreInTheMetrics: those of the operator too.
func TestLongOperationsAreInTheMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	acme := newTenant(t, s, "acme")
	acme.commit(t, "f", []byte("1"))
	gittest.Git(t, t.TempDir(), "clone", "-q", acme.remote(), "x")
	for _, path := range []string{"/admin/v1/gc", "/admin/v1/organizations/acme/repositories/app/fsck"} {
		r := acme.request(t, http.MethodPost, path, "", nil)
		r.Header.Set("Authorization", "Bearer "+s.AdminToken())
		if status, text := do(t, r); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	_, figures := get(t, s.OpsURL()+"/metrics")
	for _, want := range []string{
		`cairn_http_request_duration_seconds_count{method="POST",route="/admin/v1/gc",status="200"} 1`,
		`cairn_http_request_duration_seconds_count{method="POST",route="/admin/v1/organizations/{organization}/repositories/{name}/fsck",status="200"} 1`,
		`cairn_work_wait_seconds_count{class="fetch",outcome="admitted"} 1`,
		`cairn_work_wait_seconds_count{class="check",outcome="admitted"} 1`,
		`cairn_work{class="fetch",state="working"} 0`,
		`cairn_requests 0`,
	} {
		if !strings.Contains(figures, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
