//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/client"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/demo"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// organization is the tenant of everything that is measured.
const organization = "bench"

// server is the cairn under measurement, a process of its own.
type server struct {
	target
	ops        string // where its metrics are
	account    *demo.Account
	adminToken string
	operator   *client.Operator
	binary     string
	data       string
	settings   []string
	quiet      time.Duration // without work, after which it is taken to have none
	withoutGit bool          // it finds no git, and so repacks nothing
}

// startServer starts the command on an empty directory and makes an
// organization.
func startServer(ctx context.Context, binary, data string, quiet time.Duration, settings ...string) (*server, error) {
	s := &server{binary: binary, data: data, quiet: quiet, settings: settings}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	err := s.register(ctx)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// start starts the process on the directory, whatever is in it.
func (s *server) start(ctx context.Context) error {
	ops := os.Getenv("BENCH_OPS_LISTEN")
	if ops == "" {
		ops = "127.0.0.1:0"
	}
	arguments := append([]string{"serve", "--data", s.data, "--listen", "127.0.0.1:0", "--ops-listen", ops, "--log-format", "json"}, s.settings...)
	log := s.data + ".log"
	if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	command := exec.Command(s.binary, arguments...)
	if s.withoutGit {
		command.Env = append(os.Environ(), "PATH=")
	}
	var err error
	if s.process, err = startProcess(command, log); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.stop())
	}
	return nil
}

// restart stops the server and starts another on its data: one that has
// nothing in its caches.
func (s *server) restart(ctx context.Context) error {
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.account.Server = s.url
	var err error
	s.operator, err = client.NewOperator(s.url, s.adminToken, nil)
	return err
}

// restartWithout restarts the server with or without git.
func (s *server) restartWithout(ctx context.Context, git bool) error {
	s.withoutGit = git
	return s.restart(ctx)
}

// awaitReady waits until the server's log tells its addresses, and it answers.
func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if s.findAddresses() {
			if resp, err := http.Get(s.url + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		if err := s.ended(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w\n%s", ctx.Err(), s.lastLog())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *server) findAddresses() bool {
	log, err := os.Open(s.log.Name())
	if err != nil {
		return false
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct {
			Message string `json:"msg"`
			Address string `json:"address"`
			Ops     string `json:"ops_address"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
			s.url, s.ops = line.Address, line.Ops
			return true
		}
	}
	return false
}

// register makes the organization.
func (s *server) register(ctx context.Context) error {
	token, err := os.ReadFile(filepath.Join(s.data, "admin-token"))
	if err != nil {
		return err
	}
	s.adminToken = strings.TrimSpace(string(token))
	if s.operator, err = client.NewOperator(s.url, s.adminToken, nil); err != nil {
		return err
	}
	s.account, err = demo.Register(ctx, s.url, s.adminToken, organization)
	return err
}

// metrics returns the figures that the server publishes, by name with labels.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ops+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	found := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		space := strings.LastIndexByte(lines.Text(), ' ')
		if space < 0 || lines.Text()[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(lines.Text()[space+1:], 64); err == nil {
			found[lines.Text()[:space]] = value
		}
	}
	return found, lines.Err()
}

// How a server is known to have nothing to do in the background.
const (
	quietShare  = 0.03 // of a CPU, for a time of quiet
	settleLimit = 10 * time.Minute
)

// settle waits until the background work that earlier writes caused is done:
// nothing is queued, no git of the server's runs, and it has not computed for
// a while.
func (s *server) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server's background work does not end: %w", ctx.Err())
		case <-time.After(s.quiet):
		}
		after, err := s.cpu()
		if err != nil {
			return err
		}
		figures, err := s.metrics(ctx)
		if err != nil {
			return err
		}
		if (after-before).Seconds() < quietShare*s.quiet.Seconds() && figures["cairn_compaction_queue"] == 0 && anonOfChildren(s.cmd.Process.Pid) == 0 {
			return nil
		}
	}
}

// repack waits until a repository's background repack is done: levels hold all
// but the little that is not worth another. Doing it by hand makes up for a look
// that the server forgot, as it may when it is stopped.
func (s *server) repack(ctx context.Context, name string) error {
	for began := time.Now(); ; {
		if err := s.settle(ctx); err != nil {
			return err
		}
		packs, err := s.packs(ctx, name)
		if err != nil {
			return err
		}
		if isRepacked(packs) {
			return nil
		}
		if time.Since(began) > settleLimit {
			return fmt.Errorf("repository %s is not repacked in %v", name, settleLimit)
		}
		if err := s.repackNow(ctx, name); err != nil {
			return err
		}
	}
}

// repackNow repacks a repository, due or not, unless that is under way.
func (s *server) repackNow(ctx context.Context, name string) error {
	_, err := s.operator.RepackRepository(ctx, organization, name, nil)
	if err != nil && !errors.Is(err, client.ErrConflict) {
		return fmt.Errorf("repack %s: %w", name, err)
	}
	return nil
}

// isRepacked tells whether the packs of a full repack, with their sidecars, hold
// most bytes.
func isRepacked(packs []cairn.Pack) bool {
	var repacked, rest int64
	sidecars := false
	for _, p := range packs {
		if p.Role == cairn.MixedPack {
			rest += p.Size
		} else {
			repacked += p.Size
		}
		sidecars = sidecars || p.Sidecars
	}
	return sidecars && rest < repacked
}

// packs returns what a repository consists of, as the metadata has it.
func (s *server) packs(ctx context.Context, name string) (packs []cairn.Pack, err error) {
	m, err := sqlite.Open(ctx, filepath.Join(s.data, "cairn.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	err = m.View(ctx, func(tx cairn.Tx) error {
		org, err := tx.Organizations().Find(organization)
		if err != nil {
			return err
		}
		found, err := tx.Repositories().Find(org.ID, cairn.RepositoryName(name))
		if err != nil {
			return err
		}
		packs, err = tx.Packs().Manifest(found.RepositoryKey)
		return err
	})
	return packs, err
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
	return fmt.Appendf(nil, `{"base_repo":{"provider":"code","operation":"fork","owner":%q,"name":%q,"auth":{"token":%q}}}`, organization, source, token), err
}

// upload makes a repository with the refs of a bare one on the disk.
func (s *server) upload(ctx context.Context, dir, name string) (string, error) {
	token, err := s.create(ctx, name)
	if err != nil {
		return "", err
	}
	return token, s.push(ctx, dir, name, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
}

// push pushes refs of a repository on the disk with stock git.
func (s *server) push(ctx context.Context, dir, name string, refs ...string) error {
	remote, err := s.account.Remote(name)
	if err != nil {
		return err
	}
	_, err = demo.Git(ctx, dir, append([]string{"push", "-q", remote}, refs...)...)
	return err
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
