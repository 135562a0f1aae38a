package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/gittest"
)

const (
	slowClients = 500 // that read, and as many that write
	fastClients = 10
	// slowMemory is what the server may hold more for each slow client.
	slowMemory = 512 << 10
	// slowGoroutines is how many goroutines it may have for each.
	slowGoroutines = 3
)

// figures reads metrics of the server by their names.
func (s *server) figures(ops string, names ...string) map[string]float64 {
	s.t.Helper()
	response, err := http.Get("http://" + ops + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	got := map[string]float64{}
	for in := bufio.NewScanner(response.Body); in.Scan(); {
		name, value, _ := strings.Cut(in.Text(), " ")
		for _, want := range names {
			if name == want {
				if got[name], err = strconv.ParseFloat(value, 64); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
	return got
}

// slowReader begins a clone and takes a few bytes of it at a time until the
// test has ended. Its kernel holds little.
func (s *server) slowReader(head, body string, stop <-chan struct{}) error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, head+body); err != nil {
		return err
	}
	for piece := make([]byte, 256); ; {
		if n, err := io.ReadFull(conn, piece); err != nil {
			return fmt.Errorf("slow reader: %w after %q", err, piece[:n])
		}
		select {
		case <-stop:
			return nil
		case <-time.After(time.Second):
		}
	}
}

// slowWriter sends a push a few bytes at a time until the test has ended.
func (s *server) slowWriter(head, body string, stop <-chan struct{}) error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	for ; len(body) > 0; body = body[min(len(body), 64):] {
		if _, err := io.WriteString(conn, body[:min(len(body), 64)]); err != nil {
			return fmt.Errorf("slow writer: %w", err)
		}
		select {
		case <-stop:
			return nil
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("slow writer: at its end before the test")
}

// TestSlowClientsDoNotStopFastOnes has 500 clients that hardly read a clone and
// 500 that hardly send a push, while 10 clone, push and commit at their own
// speed. All of these get done while all of those are still there, and what the
// slow ones cost is bounded.
func TestSlowClientsDoNotStopFastOnes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ops := listener.Addr().String()
	listener.Close()
	// They come all at once, so the queue must hold them.
	s := newServer(t, "--ops-listen", ops, "--max-organization-requests", "2000", "--work-queue", "2000", "--work-wait", "10m")
	s.createRepository("slow")
	for i := range 4 { // 8 MiB that do not get smaller
		content := make([]byte, 2<<20)
		r := rand.NewChaCha8([32]byte{byte(i)})
		_, _ = r.Read(content)
		if got, status, err := s.commit(t.Context(), "slow", "main", "", fmt.Sprint("f", i), content); err != nil || !got.Result.Success {
			t.Fatal(status, err, got)
		}
	}
	tip, err := s.tip(t.Context(), "slow", "main")
	if err != nil {
		t.Fatal(err)
	}
	token := s.token("slow")
	head := func(service string, length int) string {
		return "POST /slow.git/git-" + service + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
			"\r\nContent-Type: application/x-git-" + service + "-request\r\nGit-Protocol: version=2\r\nContent-Length: " + strconv.Itoa(length) + "\r\n\r\n"
	}
	line := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	fetch := line("command=fetch") + "0001" + line("ofs-delta") + line("want "+tip) + line("done") + "0000"
	// A pack of which the first object is large, and stored as it is.
	push := line(strings.Repeat("0", 40)+" "+tip+" refs/heads/x\x00 report-status") + "0000PACK\x00\x00\x00\x02\x00\x00\x00\x01" +
		"\xb0\x80\x80\x01\x78\x01\x00\xff\xff\x00\x00" + strings.Repeat("x", 1<<20)

	names := []string{"cairn_requests", "process_resident_memory_bytes", "go_goroutines", `cairn_work{class="fetch",state="lent"}`, `cairn_work{class="push",state="lent"}`}
	before := s.figures(ops, names...)
	stop, ended := make(chan struct{}), make(chan error, 2*slowClients)
	for range slowClients {
		go func() { ended <- s.slowReader(head("upload-pack", len(fetch)), fetch, stop) }()
		go func() { ended <- s.slowWriter(head("receive-pack", len(push)), push, stop) }()
	}
	deadline := time.Now().Add(3 * time.Minute)
	for {
		now := s.figures(ops, names...)
		if now[names[0]] == 2*slowClients && now[names[3]]+now[names[4]] > 1.9*slowClients {
			break
		}
		if time.Now().After(deadline) || len(ended) > 0 {
			t.Fatalf("the slow clients are not all under way, without a slot: %v; first to end: %v", now, first(ended))
		}
		time.Sleep(100 * time.Millisecond)
	}
	var fast sync.WaitGroup
	for i := range fastClients {
		fast.Go(func() { s.fastClient(t, fmt.Sprint("fast", i)) })
	}
	fast.Wait()
	now := s.figures(ops, names...)
	memory, goroutines := now[names[1]]-before[names[1]], now[names[2]]-before[names[2]]
	t.Logf("%d slow clients: %.0f KiB and %.1f goroutines each", 2*slowClients, memory/2/slowClients/1024, goroutines/2/slowClients)
	if now[names[0]] != 2*slowClients || len(ended) > 0 {
		t.Errorf("%v of the slow clients are left; first to end: %v", now[names[0]], first(ended))
	}
	if memory > 2*slowClients*slowMemory+(160<<20) { // what ten clients and the garbage may be
		t.Errorf("the slow clients cost %.0f MiB", memory/(1<<20))
	}
	if goroutines > 2*slowClients*slowGoroutines+200 {
		t.Errorf("the slow clients cost %.0f goroutines", goroutines)
	}
	close(stop)
	for range 2 * slowClients {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); s.figures(ops, names...)[names[0]] > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("requests are left whose clients are not")
		}
	}
}

func first(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	default:
		return nil
	}
}

// fastClient commits, clones, pushes and reads.
func (s *server) fastClient(t *testing.T, repo string) {
	s.createRepository(repo)
	for i := range 5 {
		if got, status, err := s.commit(t.Context(), repo, "main", "", fmt.Sprint("f", i), []byte("content")); err != nil || !got.Result.Success {
			t.Errorf("%s: commit %d: %d %v %+v", repo, i, status, err, got)
			return
		}
	}
	dir := filepath.Join(t.TempDir(), "clone")
	gittest.Git(t, t.TempDir(), "clone", "-q", s.remote(repo), dir)
	local := gittest.Open(t, dir)
	id := local.Commit("main", "pushed", gittest.Files{"g": "1"})
	local.Git("push", "-q", s.remote(repo), "main")
	if tip, err := s.tip(t.Context(), repo, "main"); err != nil || tip != id {
		t.Errorf("%s: main is at %q, %v; want %s", repo, tip, err, id)
	}
}
