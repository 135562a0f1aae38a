package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// process reads what the kernel knows of a server.
type process struct {
	t   testing.TB
	pid int
}

func (s *server) process() process { return process{s.t, s.cmd.Process.Pid} }

func (p process) read(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// cpu is the time that all its threads have computed. It does not depend on how
// busy the machine is, or not much.
func (p process) cpu() time.Duration {
	p.t.Helper()
	_, after, _ := strings.Cut(p.read("stat"), ") ")
	fields := strings.Fields(after)
	const utime, stime, ticks = 11, 12, 100 // proc_pid_stat(5); USER_HZ is 100 everywhere
	var sum int
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			p.t.Fatal(err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}

// memory is what it holds that is no file's, in bytes.
func (p process) memory() int64 {
	p.t.Helper()
	for line := range strings.Lines(p.read("status")) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return n << 10
		}
	}
	p.t.Fatal("no RssAnon")
	return 0
}

func (p process) files() int {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(entries)
}

// usage is what something took of a process.
type usage struct {
	cpu    time.Duration
	memory int64 // at its peak, above what was held before
}

// measure runs f and returns what it took of the process.
func (p process) measure(f func()) usage {
	p.t.Helper()
	cpu, memory := p.cpu(), p.memory()
	peak := memory
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				peak = max(peak, p.memory())
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return usage{p.cpu() - cpu, peak - memory}
}

// goroutines asks a server for the number of its goroutines.
func (s *server) goroutines(ops string) int {
	s.t.Helper()
	resp, err := http.Get("http://" + ops + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(string(text), "goroutine profile: total %d", &n); err != nil {
		s.t.Fatalf("%v in %.100q", err, text)
	}
	return n
}

// leftovers lists the files of requests in a data directory, and the items of
// its bucket.
func (s *server) leftovers() []string {
	s.t.Helper()
	var names []string
	for _, d := range []string{"scratch", "bucket"} {
		err := filepath.WalkDir(filepath.Join(s.data, d), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				names = append(names, path)
			}
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return names
}
