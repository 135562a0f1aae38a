//go:build linux

package main

import (
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// giteaSettings are its defaults but for what a server on loopback needs, and
// no outside services.
const giteaSettings = `APP_NAME = bench
RUN_USER = %[1]s
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = %[2]s
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[3]s
ROOT_URL = http://127.0.0.1:%[3]s/
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
STATIC_ROOT_PATH = %[4]s
[database]
DB_TYPE = sqlite3
PATH = %[2]s/gitea.db
[repository]
ROOT = %[2]s/repositories
[security]
INSTALL_LOCK = true
[log]
LEVEL = Error
[cron.update_checker]
ENABLED = false
`

// gitea is a running one, with a user and a token of hers for everything.
type gitea struct {
	target
	program, work, settings, token string
}

// giteaPeer starts the Gitea that scripts/build-gitea has put into a
// directory.
func (b *bench) giteaPeer(ctx context.Context, dir string) (*peer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	g := &gitea{program: filepath.Join(dir, "gitea"), work: b.path("gitea")}
	if err := g.start(ctx, filepath.Join(dir, "src")); err != nil {
		return nil, fmt.Errorf("start Gitea: %w", err)
	}
	p := &peer{
		target:   g.target,
		name:     "Gitea",
		remote:   func(repository string) string { return g.url + "/" + organization + "/" + repository + ".git" },
		password: g.token,
		create: func(ctx context.Context, repository string) error {
			c, err := dial(ctx, g.url)
			if err != nil {
				return err
			}
			defer c.conn.Close()
			return c.do(c.render(g.create(repository)))
		},
		tidy: func(ctx context.Context, repository string) error {
			if err := g.awaitPushed(ctx, repository); err != nil {
				return err
			}
			_, err := demo.Git(ctx, filepath.Join(g.work, "repositories", organization, repository+".git"), "gc", "-q")
			return err
		},
		stop: g.stop,
	}
	p.api = &peerAPI{
		create: g.create, commit: g.commit, read: g.read, diff: g.diff, fork: g.fork, list: g.list,
		log: func(repository string) func(*connection) error {
			return g.log(repository, b.sizes.logPages*b.sizes.logPage)
		},
	}
	return p, g.makeOrganizations(ctx)
}

// start sets up an empty Gitea and waits until it answers.
func (g *gitea) start(ctx context.Context, static string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		return err
	}
	g.url = "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	g.settings = filepath.Join(g.work, "app.ini")
	if err := os.MkdirAll(g.work, 0o700); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := os.WriteFile(g.settings, fmt.Appendf(nil, giteaSettings, me.Username, g.work, port, static), 0o600); err != nil {
		return err
	}
	if out, err := g.command(ctx, "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, out)
	}
	out, err := g.command(ctx, "admin", "user", "create", "--username", organization, "--password", crand.Text(), "--email", "bench@example.com",
		"--admin", "--must-change-password=false", "--access-token", "--access-token-scopes", "all", "--access-token-name", "bench").CombinedOutput()
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 {
		return fmt.Errorf("make a user: %w\n%s", err, out)
	}
	g.token = words[len(words)-1]
	web := g.command(context.Background(), "web")
	if g.process, err = startProcess(web, filepath.Join(g.work, "web.log")); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && g.ended() == nil && ctx.Err() == nil; {
		if resp, err := http.Get(g.url + "/api/v1/version"); err == nil {
			resp.Body.Close()
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.Join(errors.New("it does not answer"), g.ended(), g.stop())
}

func (g *gitea) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.program, append([]string{"--config", g.settings}, args...)...)
	cmd.Dir = g.work
	cmd.Env = append(os.Environ(), "GITEA_WORK_DIR="+g.work, "HOME="+g.work)
	return cmd
}

// awaitPushed waits until Gitea, which looks at pushes afterwards, has seen that
// a repository is not empty.
func (g *gitea) awaitPushed(ctx context.Context, repository string) error {
	c, err := dial(ctx, g.url)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		var answer struct {
			Empty bool `json:"empty"`
		}
		if err := c.decode(g.get(repository, ""), &answer); err != nil || !answer.Empty {
			return err
		}
	}
	return errors.New("a push is not noticed by Gitea")
}

// makeOrganizations makes an organization for each fork that will be measured:
// an owner can have but one of a repository.
func (g *gitea) makeOrganizations(ctx context.Context) error {
	c, err := dial(ctx, g.url)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for turn := range peerForks {
		if err := c.do(c.render(g.post("/orgs", map[string]any{"username": fmt.Sprintf("org-%d", turn)}))); err != nil {
			return err
		}
	}
	return nil
}

func (g *gitea) post(path string, body any) call {
	data, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("bench: %v", err)) // it is ours
	}
	return call{g.token, http.MethodPost, "/api/v1" + path, data}
}

func (g *gitea) get(repository, path string) call {
	return call{g.token, http.MethodGet, "/api/v1/repos/" + organization + "/" + repository + path, nil}
}

func (g *gitea) create(name string) call {
	return g.post("/user/repos", map[string]any{"name": name, "default_branch": "main"})
}

// commit changes the files that commitCall would.
func (g *gitea) commit(repository string, turn int) call {
	first := rand.IntN(treeFiles)
	var files []map[string]string
	for i := range 3 {
		content := fmt.Appendf(nil, "// client 0, turn %d\n%s", turn, filler)
		files = append(files, map[string]string{
			"operation": "upload", "path": treePath(first + i*apart), "content": base64.StdEncoding.EncodeToString(content),
		})
	}
	return g.post("/repos/"+organization+"/"+repository+"/contents", map[string]any{
		"branch": "main", "message": fmt.Sprintf("Turn %d", turn), "files": files,
	})
}

func (g *gitea) read(repository, path string) call { return g.get(repository, "/raw/"+path) }

func (g *gitea) diff(repository, commit string) call {
	return g.get(repository, "/git/commits/"+url.PathEscape(commit)+".diff")
}

func (g *gitea) fork(repository string, turn int) call {
	return g.post("/repos/"+organization+"/"+repository+"/forks", map[string]any{"organization": fmt.Sprintf("org-%d", turn), "name": "fork"})
}

// list reads the tree in pages of 1,000 entries, the most that there are.
func (g *gitea) list(repository string) func(*connection) error {
	return func(c *connection) error {
		for page, seen := 1, 0; ; page++ {
			var answer struct {
				Tree  []json.RawMessage `json:"tree"`
				Total int               `json:"total_count"`
			}
			if err := c.decode(g.get(repository, fmt.Sprintf("/git/trees/main?recursive=true&per_page=1000&page=%d", page)), &answer); err != nil {
				return err
			}
			if seen += len(answer.Tree); seen >= answer.Total || len(answer.Tree) == 0 {
				return nil
			}
		}
	}
}

// log reads the newest commits in pages of 50, the most that there are, without
// what a log need not have.
func (g *gitea) log(repository string, commits int) func(*connection) error {
	const perPage = 50
	return func(c *connection) error {
		for page := 1; (page-1)*perPage < commits; page++ {
			path := fmt.Sprintf("/commits?limit=%d&page=%d&stat=false&verification=false&files=false", perPage, page)
			if err := c.do(c.render(g.get(repository, path))); err != nil {
				return err
			}
		}
		return nil
	}
}
