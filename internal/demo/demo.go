// Package demo runs the main job of the product from start to end: it starts a
// throw-away server on a loopback port and a temporary data directory, brings a
// repository to it with stock git, works on it over HTTP, forks it, clones it
// back, and checks every answer against stock git. Its rule is that it uses
// only what any user has: the HTTP API and git. It measures nothing exactly;
// internal/bench does, with the Account and the Commit of this package.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/server"
)

// Options are what a demonstration can be told.
type Options struct {
	Out      io.Writer
	Terminal bool   // Out is one that shows colours
	Repo     string // the repository to push; empty: this project's own, or else one made for it
	Keep     bool   // leave the server running at the end, until ctx is done
	Logger   *slog.Logger
	Version  string
}

// Run runs the demonstration. It returns an error as soon as a step fails or
// an answer is not what stock git says it must be. Whatever happens, the server
// is stopped and its data removed when it returns.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "cairn-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demonstration{options: o, dir: dir, screen: screen{w: o.Out, terminal: o.Terminal}}
	defer func() { err = errors.Join(err, d.stop()) }()
	began := time.Now()
	for _, step := range d.steps() {
		if err := d.run(ctx, step); err != nil {
			return err
		}
	}
	d.screen.line("")
	d.screen.line(fmt.Sprintf("%d steps in %s, every answer checked against stock git.", d.screen.steps, duration(time.Since(began))))
	if o.Keep {
		return d.keep(ctx)
	}
	return nil
}

const (
	organization = "demo"
	repository   = "team/app"
	forked       = "team/fork"
)

// demonstration is what one step leaves for the next.
type demonstration struct {
	options Options
	dir     string // temporary
	screen  screen

	server  *server.Server
	account *Account

	source string            // the repository that is pushed
	tip    string            // the commit of it that becomes main
	refs   map[string]string // what it has, and later the server
	files  map[string]bool   // paths at the tip of main
	commit Written           // the first commit over HTTP
	clone  string            // the clone of the fork
}

// step is one thing to see.
type step struct {
	title string
	do    func(context.Context) ([]string, error)
}

func (d *demonstration) steps() []step {
	return []step{
		{"Start a server on an empty data directory", d.start},
		{"Create an organization and register its public key", d.register},
		{"Create a repository", d.create},
		{"Push a history with stock git", d.push},
		{"Compare the refs with stock git's", d.compareRefs},
		{"Commit three files over HTTP", d.commitFiles},
		{"Refuse a commit whose guard is stale", d.refuseStale},
		{"Read a file back", d.read},
		{"List all files", d.list},
		{"Log", d.log},
		{"Branch, and commit to the branch", d.branch},
		{"Fork the repository", d.fork},
		{"Clone the fork with stock git, and check it with git fsck --strict", d.cloneFork},
		{"Apply the diff of the commit with stock git", d.diff},
		{"Clone with --depth 1", d.shallow},
		{"Check the repository on the server", d.fsck},
	}
}

// run runs one step and shows it.
func (d *demonstration) run(ctx context.Context, s step) error {
	d.screen.begin(s.title)
	began := time.Now()
	notes, err := s.do(ctx)
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	d.screen.end(s.title, time.Since(began), err, notes)
	if err != nil {
		return fmt.Errorf("%s: %w", s.title, err)
	}
	return nil
}

func (d *demonstration) start(ctx context.Context) ([]string, error) {
	c := config.Default()
	c.Data = d.path("data")
	c.Listen = "127.0.0.1:0"
	c.OpsListen = ""
	c.DrainTimeout = time.Second
	var err error
	d.server, err = server.Start(ctx, c, d.options.Logger, d.options.Version)
	if err != nil {
		return nil, err
	}
	return []string{
		"$ cairn serve --data " + c.Data,
		"URL=" + d.server.URL(),
	}, nil
}

func (d *demonstration) register(ctx context.Context) ([]string, error) {
	var err error
	d.account, err = Register(ctx, d.server.URL(), d.server.AdminToken(), organization)
	return []string{
		"$ cairn org create " + organization,
		"$ cairn key create --org " + organization + " --out demo.pem",
		"$ TOKEN=$(cairn token --org " + organization + " --key demo.pem --repo " + repository + " --scope repo:write,git:write)",
	}, err
}

// stop ends the server.
func (d *demonstration) stop() error {
	if d.server == nil {
		return nil
	}
	return d.server.Stop()
}

// keep shows how to go on by hand and waits.
func (d *demonstration) keep(ctx context.Context) error {
	token, err := d.account.Token(repository)
	if err != nil {
		return err
	}
	d.screen.line("The server runs until Ctrl-C. To try the lines above:")
	d.screen.line("")
	d.screen.line("  URL=" + d.server.URL())
	d.screen.line("  TOKEN=" + token)
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.server.Failed():
		return err
	}
}

func (d *demonstration) path(name string) string { return filepath.Join(d.dir, name) }

// curl is the line that one would type for a request.
func curl(method, path string, options ...string) string {
	line := "$ curl "
	if method != "GET" {
		line += "-X " + method + " "
	}
	line += `-H "Authorization: Bearer $TOKEN" "$URL` + path + `"`
	for _, option := range options {
		line += " " + option
	}
	return line
}
