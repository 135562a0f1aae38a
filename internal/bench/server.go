//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// server is the cairn under measurement, a process of its own.
type server struct {
	url     string
	account *demo.Account

	cmd     *exec.Cmd
	exited  chan error
	log     *os.File
	peak    atomic.Int64 // RssAnon in bytes since the last reset
	sampler sync.WaitGroup
	done    chan struct{}
}

// startServer starts the command on a directory and makes an organization.
func startServer(ctx context.Context, binary, data string) (*server, error) {
	log, err := os.Create(data + ".log")
	if err != nil {
		return nil, err
	}
	s := &server{log: log, exited: make(chan error, 1), done: make(chan struct{})}
	s.cmd = exec.Command(binary, "serve", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", os.Getenv("BENCH_OPS_LISTEN"), "--log-format", "json")
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() { s.exited <- s.cmd.Wait() }()
	s.sampler.Go(s.sample)
	err = s.awaitReady(ctx, filepath.Join(data, "address"))
	if err == nil {
		var token []byte
		if token, err = os.ReadFile(filepath.Join(data, "admin-token")); err == nil {
			s.account, err = demo.Register(ctx, s.url, strings.TrimSpace(string(token)), "bench")
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// awaitReady waits until the server tells its address and answers there.
func (s *server) awaitReady(ctx context.Context, addressFile string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if address, err := os.ReadFile(addressFile); err == nil {
			s.url = strings.TrimSpace(string(address))
			if resp, err := http.Get(s.url + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("the server ended: %w\n%s", err, s.lastLog())
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *server) lastLog() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// stop ends the server and what watches it.
func (s *server) stop() error {
	signaled := s.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(signaled, os.ErrProcessDone) {
		signaled = nil
	}
	err := <-s.exited
	close(s.done)
	s.sampler.Wait()
	return errors.Join(signaled, err, s.log.Close())
}

// sample keeps the peak of the server's own memory up to date.
func (s *server) sample() {
	for {
		if now, err := s.anon(); err == nil && now > s.peak.Load() {
			s.peak.Store(now)
		}
		select {
		case <-s.done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// anon is the memory that belongs to the server alone, in bytes: its heap and
// stacks, not the packs that it maps.
func (s *server) anon() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(status), "RssAnon:")
	if !found {
		return 0, errors.New("no RssAnon in /proc: this system does not tell")
	}
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kib << 10, err
}

// ticksPerSecond is the unit of CPU times in /proc, on every Linux there is.
const ticksPerSecond = 100

// cpu is the time that the server has computed, user and system.
func (s *server) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The fields after the command's name, which may hold anything but ")".
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// usage is what something took of the server.
type usage struct {
	wall time.Duration
	cpu  time.Duration
	anon int64 // the peak, in bytes
}

// watch runs f and tells what it took.
func (s *server) watch(f func() error) (usage, error) {
	before, err := s.cpu()
	if err != nil {
		return usage{}, err
	}
	s.peak.Store(0)
	began := time.Now()
	if err := f(); err != nil {
		return usage{}, fmt.Errorf("%w\n%s", err, s.lastLog())
	}
	wall := time.Since(began)
	after, err := s.cpu()
	if err != nil {
		return usage{}, err
	}
	now, err := s.anon()
	return usage{wall, after - before, max(now, s.peak.Load())}, err
}

// create makes an empty repository and returns its token.
func (s *server) create(ctx context.Context, name string) (string, error) {
	if err := s.account.Call(ctx, name, http.MethodPost, "/api/v1/repos", []byte(`{"default_branch":"main"}`), nil); err != nil {
		return "", err
	}
	return s.account.Token(name)
}

// forkOf makes a fork and returns its token.
func (s *server) forkOf(ctx context.Context, source, name string) (string, error) {
	token, err := s.account.Token(name)
	if err != nil {
		return "", err
	}
	body, err := s.forkBody(source)
	if err != nil {
		return "", err
	}
	return token, s.account.Call(ctx, name, http.MethodPost, "/api/v1/repos", body, nil)
}

// forkBody is the request for a fork.
func (s *server) forkBody(source string) ([]byte, error) {
	token, err := s.account.Token(source)
	return fmt.Appendf(nil, `{"base_repo":{"provider":"code","operation":"fork","owner":"bench","name":%q,"auth":{"token":%q}}}`, source, token), err
}

// upload makes a repository with the refs of a bare one on the disk.
func (s *server) upload(ctx context.Context, dir, name string) (string, error) {
	token, err := s.create(ctx, name)
	if err != nil {
		return "", err
	}
	remote, err := s.account.Remote(name)
	if err != nil {
		return "", err
	}
	_, err = demo.Git(ctx, dir, "push", "-q", remote, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
	return token, err
}

// machine says on what the figures came to be.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(info), "model name\t: "); found {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	git, err := exec.Command("git", "version").Output()
	if err != nil {
		git = []byte("no git")
	}
	return fmt.Sprintf("%s, %d CPUs (%s), %s, %s, %s", time.Now().Format("2006-01-02"), runtime.NumCPU(), model, runtime.GOOS, runtime.Version(), strings.TrimSpace(string(git)))
}
