package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
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
