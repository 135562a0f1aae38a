package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/gittest/hostile"
)

// What a push of a hostile pack may take of the server. The time is that of its
// processors, so that it does not depend on what else the machine does.
const (
	refusalTime   = time.Second
	refusalMemory = 64 << 20
)

// hostileServer is a server with the limits for which the corpus is made.
type hostileServer struct {
	*server
	ops string
}

func newHostileServer(t testing.TB) *hostileServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ops := listener.Addr().String()
	listener.Close()
	s := newServer(t, "--ops-listen", ops,
		"--max-pack-size", fmt.Sprint(hostile.PackSize), "--max-object-size", fmt.Sprint(hostile.ObjectSize),
		"--max-pack-objects", fmt.Sprint(hostile.Objects), "--max-inflated-size", fmt.Sprint(hostile.Inflated))
	s.createRepository("victim")
	return &hostileServer{s, ops}
}

// push pushes a pack as it is to the branch attack, and returns the answer.
func (s *hostileServer) push(p hostile.Push) string {
	s.t.Helper()
	line := strings.Repeat("0", 40) + " " + p.Tip.String() + " refs/heads/attack\x00 report-status"
	body := io.MultiReader(strings.NewReader(fmt.Sprintf("%04x%s0000", len(line)+4, line)), bytes.NewReader(p.Pack))
	r, err := http.NewRequestWithContext(s.t.Context(), "POST", s.url("/victim.git/git-receive-pack"), body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	r.SetBasicAuth("t", s.token("victim"))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("push: %d %s, %v\n%s", resp.StatusCode, answer, err, s.log)
	}
	return string(answer)
}

// makeHostile makes the push of a case. A large one is made by another process,
// without the race detector.
func makeHostile(t testing.TB, c hostile.Case) hostile.Push {
	t.Helper()
	if !c.Large {
		return c.Make()
	}
	command, err := hostilePack()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(command, c.Name).Output()
	if err != nil {
		t.Fatal(err)
	}
	tip, pack, _ := bytes.Cut(out, []byte{'\n'})
	return hostile.Push{Pack: pack, Tip: git.MustParseObjectID(string(tip))}
}

// hostilePack builds the command that makes hostile packs, once.
var hostilePack = sync.OnceValues(func() (string, error) {
	command := filepath.Join(filepath.Dir(binary), "hostilepack")
	out, err := exec.Command("go", "build", "-o", command, "../gittest/hostile/hostilepack").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return command, err
})

// TestHostilePushesAreRefused pushes every pack of the corpus that must be
// refused. The small ones go to one server, which must not keep anything of all
// of them together; each of the large ones goes to a server of its own, so that
// what it takes is not hidden in what an earlier one left.
func TestHostilePushesAreRefused(t *testing.T) {
	t.Parallel()
	shared := newHostileServer(t)
	var small, large []hostile.Case
	for _, c := range hostile.Cases() {
		switch {
		case c.Verdict == hostile.Legal:
		case c.Large:
			large = append(large, c)
		default:
			small = append(small, c)
		}
	}
	t.Run("small", func(t *testing.T) {
		s := *shared.server
		s.t = t
		server := &hostileServer{&s, shared.ops}
		server.refuseAll(small)
	})
	for _, c := range large {
		t.Run(c.Name, func(t *testing.T) { newHostileServer(t).refuseAll([]hostile.Case{c}) })
	}
}

// refuseAll pushes what must be refused, and requires that nothing is left of
// it.
func (s *hostileServer) refuseAll(cases []hostile.Case) {
	s.t.Helper()
	s.alive()
	process := s.process()
	files, goroutines := process.files(), s.goroutines(s.ops)
	var worst usage
	whole := process.measure(func() {
		for _, c := range cases {
			push := makeHostile(s.t, c)
			var answer string
			took := process.measure(func() { answer = s.push(push) })
			worst.cpu, worst.memory = max(worst.cpu, took.cpu), max(worst.memory, took.memory)
			s.wantRefusal(c, answer)
			if took.cpu > refusalTime {
				s.t.Errorf("%s: refused after %v of processor time, want at most %v", c.Name, took.cpu, refusalTime)
			}
		}
	})
	s.t.Logf("%d pushes: at most %v and %d MiB for one; %v and %d MiB for all", len(cases), worst.cpu, worst.memory>>20, whole.cpu, whole.memory>>20)
	if whole.memory > refusalMemory {
		s.t.Errorf("the server grew by %d MiB, want at most %d", whole.memory>>20, refusalMemory>>20)
	}
	s.alive()
	if names := s.leftovers(); len(names) > 0 {
		s.t.Errorf("refused pushes left %v", names)
	}
	// The connections of refused pushes are closed a moment later.
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(20 * time.Second)
	for process.files() > files || s.goroutines(s.ops) > goroutines {
		if time.Now().After(deadline) {
			s.t.Fatalf("the server has %d open files and %d goroutines; before it had %d and %d", process.files(), s.goroutines(s.ops), files, goroutines)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *hostileServer) wantRefusal(c hostile.Case, answer string) {
	s.t.Helper()
	refused := strings.Contains(answer, "ng refs/heads/attack ")
	switch {
	case !refused || strings.Contains(answer, "\nok ") || strings.Contains(answer, "internal error"):
		s.t.Errorf("%s: not refused: %q", c.Name, answer)
	case !strings.Contains(answer, c.Reason):
		s.t.Errorf("%s: refused with %q, want %q in it", c.Name, answer, c.Reason)
	case c.Setting != "" && !strings.Contains(answer, "("+c.Setting+")"):
		s.t.Errorf("%s: refused with %q, which does not name the setting %s", c.Name, answer, c.Setting)
	}
}

// alive requires that the server still serves, and has no branch.
func (s *hostileServer) alive() {
	s.t.Helper()
	var answer struct{ Branches []any }
	status, err := s.call(s.t.Context(), "GET", "/api/v1/repos/branches", "victim", nil, &answer)
	if err != nil || status != http.StatusOK || len(answer.Branches) > 0 {
		s.t.Fatalf("branches: %d %v, %v\n%s", status, answer, err, s.log)
	}
}

// What reading a history of the corpus may take of the server.
const (
	readTime   = 5 * time.Second
	readMemory = 192 << 20
)

// reads are the ways to read a branch over HTTP. A file is named f in most
// cases.
var reads = []string{
	"files?ref=attack", "files?ref=attack&recursive=true", "files?ref=attack&recursive=true&limit=1000", "files?ref=attack&limit=5",
	"file?ref=attack&path=f", "file?ref=attack&path=zeros", "commits?branch=attack", "commits?branch=attack&limit=100", "commits?branch=attack&path=f",
	"commits?branch=attack&path=f0/f0/f0/f0/f0/f0/f0/f0/f0/f0", "commit?sha=attack", "diff?sha=attack", "diff?sha=attack&baseSha=attack~1",
	"branches", "diff?sha=attack&path=f",
}

// wantedLimit is how an answer names the limit that it is over.
var wantedLimit = regexp.MustCompile(`(more|longer|deeper) than (more than )?\d+`)

// TestHostileHistoriesAreBounded pushes every legal pack of the corpus, and
// reads what it made in every way. A reader gets an answer, or is told which
// limit the answer is over.
func TestHostileHistoriesAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range hostile.Cases() {
		if c.Verdict == hostile.Legal {
			t.Run(c.Name, func(t *testing.T) { newHostileServer(t).readAll(c) })
		}
	}
}

func (s *hostileServer) readAll(c hostile.Case) {
	s.t.Helper()
	process := s.process()
	push := makeHostile(s.t, c)
	s.within("push", process.measure(func() {
		if answer := s.push(push); !strings.Contains(answer, "ok refs/heads/attack") {
			s.t.Fatalf("refused: %q", answer)
		}
	}))
	for _, path := range reads {
		var status int
		var answer []byte
		s.within(path, process.measure(func() { status, answer = s.read("/api/v1/repos/" + path) }))
		switch {
		case status == http.StatusOK, status == http.StatusNotFound:
		case status == http.StatusRequestEntityTooLarge && wantedLimit.Match(answer):
		default:
			s.t.Errorf("%s: %d %.300s", path, status, answer)
		}
	}
	dir := filepath.Join(s.t.TempDir(), "clone")
	s.within("clone", process.measure(func() {
		if out, err := gittest.Command(s.t, "", "clone", "-q", "--mirror", s.remote("victim"), dir).CombinedOutput(); err != nil {
			s.t.Errorf("clone: %v\n%s", err, out)
		}
	}))
}

func (s *hostileServer) within(what string, took usage) {
	s.t.Helper()
	s.t.Logf("%s: %v, %d MiB", what, took.cpu, took.memory>>20)
	if took.cpu > readTime || took.memory > readMemory {
		s.t.Errorf("%s took %v of processor time and %d MiB, want at most %v and %d", what, took.cpu, took.memory>>20, readTime, readMemory>>20)
	}
}

func (s *hostileServer) read(path string) (int, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token("victim"))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, s.log)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode, answer
}

// TestDiffEndsWithItsClient asks for a diff that takes seconds, and goes away.
func TestDiffEndsWithItsClient(t *testing.T) {
	t.Parallel()
	s := newHostileServer(t)
	if answer := s.push(makeHostile(t, hostile.Named("diff-no-order"))); !strings.Contains(answer, "ok refs/heads/attack") {
		t.Fatalf("refused: %q", answer)
	}
	const path = "/api/v1/repos/diff?sha=attack&path=f"
	whole := s.process().measure(func() { s.read(path) })
	cut := s.process().measure(func() {
		ctx, cancel := context.WithTimeout(t.Context(), whole.cpu/20)
		defer cancel()
		if status, err := s.call(ctx, "GET", path, "victim", nil, nil); err == nil {
			t.Fatalf("answered %d in time", status)
		}
		time.Sleep(whole.cpu) // in which the server could do it all
	})
	if cut.cpu > whole.cpu/2 {
		t.Errorf("%v of processor time for an answer that nobody waits for; the whole takes %v", cut.cpu, whole.cpu)
	}
}
