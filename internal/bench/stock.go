//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// stockEnvironment tells this program to be the web server of git http-backend
// for the directory that it names: a process of its own, so that what it and
// its gits compute can be told from the rest.
const stockEnvironment = "CAIRN_BENCH_STOCK"

// stock is a git http-backend that serves the repositories of a directory.
type stock struct {
	target
	root string
}

// startStock starts one on a directory that it makes.
func startStock(ctx context.Context, root string) (*stock, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), stockEnvironment+"="+root)
	s := &stock{root: root}
	if s.process, err = startProcess(cmd, root+".log"); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && s.ended() == nil && ctx.Err() == nil; {
		if line, _, whole := strings.Cut(s.lastLog(), "\n"); whole {
			s.url = line
			return s, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("git http-backend does not start"), s.ended(), s.stop())
}

// serveStock is what the other process does: it says its address on standard
// error and serves until it is ended.
func serveStock(root string) error {
	git, err := exec.LookPath("git")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "http://"+listener.Addr().String())
	backend := &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env: append(demo.GitCommand(context.Background(), root).Env,
			"GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=bench", "REMOTE_ADDR=127.0.0.1"),
	}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The handler refuses chunked bodies, as CGI asks for their length;
		// git http-backend reads to the end where it is told none.
		r.TransferEncoding = nil
		backend.ServeHTTP(w, r)
	}))
}

// stop ends the server, which does not end by itself.
func (s *stock) stop() error {
	err := s.process.stop()
	if exit := new(exec.ExitError); errors.As(err, &exit) && !exit.Exited() { // by our signal
		return nil
	}
	return err
}

// add lets it serve a copy of a repository, for pushes too.
func (s *stock) add(ctx context.Context, from, name string) error {
	dir := filepath.Join(s.root, name)
	if err := cloneOnDisk(ctx, from, dir); err != nil {
		return err
	}
	_, err := demo.Git(ctx, dir, "config", "http.receivepack", "true")
	return err
}

// stockPeer is a git http-backend among the peers: it has no API.
func (b *bench) stockPeer(ctx context.Context) (*peer, error) {
	s, err := startStock(ctx, b.path("peer-stock"))
	if err != nil {
		return nil, err
	}
	dir := func(repository string) string { return filepath.Join(s.root, repository+".git") }
	return &peer{
		target: s.target,
		name:   "git http-backend",
		remote: func(repository string) string { return s.url + "/" + repository + ".git" },
		create: func(ctx context.Context, repository string) error {
			if _, err := demo.Git(ctx, s.root, "init", "-q", "--bare", "--template=", "-b", "main", dir(repository)); err != nil {
				return err
			}
			_, err := demo.Git(ctx, dir(repository), "config", "http.receivepack", "true")
			return err
		},
		tidy: func(ctx context.Context, repository string) error {
			_, err := demo.Git(ctx, dir(repository), "gc", "-q")
			return err
		},
		stop: s.stop,
	}, nil
}
