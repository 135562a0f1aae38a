//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// peer is a Git server that is measured beside the others, as far as it has
// what is measured.
type peer struct {
	target
	name string
	// remote is a repository's address for Git, without a credential.
	remote   func(repository string) string
	password string // for Git; empty: it asks for none
	api      *peerAPI
	// create makes an empty repository.
	create func(ctx context.Context, repository string) error
	// tidy does what the peer's own maintenance does in the end.
	tidy func(ctx context.Context, repository string) error
	stop func() error
}

// peerAPI is how a peer is asked for what Git itself has no words for: the
// calls, or what takes several of them.
type peerAPI struct {
	create func(name string) call
	commit func(repository string, turn int) call
	read   func(repository, path string) call
	diff   func(repository, commit string) call
	fork   func(repository string, turn int) call
	list   func(repository string) func(*connection) error
	log    func(repository string) func(*connection) error
}

// address is a repository's address for a git client.
func (p *peer) address(repository string) string {
	if p.password == "" {
		return p.remote(repository)
	}
	return strings.Replace(p.remote(repository), "://", "://"+organization+":"+p.password+"@", 1)
}

// peerRow is a line of the comparison.
type peerRow struct {
	name    string
	measure func(context.Context, *bench, *peer) (figure, error)
	api     bool // only peers that have one
}

// peerRows are in the order in which they are measured: later ones need what
// earlier ones made.
var peerRows = []peerRow{
	{"create repository, 1 client", peerCreate, true},
	{"create repository, 8 clients", peerCreateMany, true},
	{"commit 3 of 2,000 files, 1 client", peerCommit, true},
	{"read a file, 1 client", peerRead, true},
	{"list 2,000 files, 1 client", peerList, true},
	{"git push of a large repository", peerPush, false},
	{"log of its newest commits, 1 client", peerLog, true},
	{"diff of a commit, 1 client", peerDiff, true},
	{"full clone, the first, pack thrown away", peerClone, false},
	{"full clone, repeated, pack thrown away", peerClone, false},
	{"clone with depth 1, pack thrown away", peerShallow, false},
	{"fetch after 10 new commits", peerFetch, false},
	{"git push of one commit", peerSmallPush, false},
	{"fork a large repository, 1 client", peerFork, true},
}

// peersOf starts the servers.
func (b *bench) peersOf(ctx context.Context, giteaDir string) ([]*peer, error) {
	peers := []*peer{b.cairnPeer()}
	stock, err := b.stockPeer(ctx)
	if err != nil {
		return peers, err
	}
	peers = append(peers, stock)
	if _, err := os.Stat(filepath.Join(giteaDir, "gitea")); err != nil {
		fmt.Fprintf(os.Stderr, "without Gitea: %v\n", err)
		return peers, nil
	}
	gitea, err := b.giteaPeer(ctx, giteaDir)
	if err != nil {
		return peers, err
	}
	return append(peers, gitea), nil
}

// measurePeers runs every row on every peer.
func measurePeers(ctx context.Context, b *bench, giteaDir string) (err error) {
	peers, err := b.peersOf(ctx, giteaDir)
	defer func() {
		for _, p := range peers {
			if p.stop != nil {
				err = errors.Join(err, p.stop())
			}
		}
	}()
	if err != nil {
		return err
	}
	files, err := b.filesRepository(ctx)
	if err != nil {
		return err
	}
	for _, p := range peers {
		if err := p.upload(ctx, files, "files"); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := p.tidy(ctx, "files"); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, row := range peerRows {
		began := time.Now()
		for _, p := range peers {
			if row.api && p.api == nil {
				continue
			}
			f, err := row.measure(ctx, b, p)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", row.name, p.name, err)
			}
			f.anon = 0 // of those that answer with gits it would say nothing
			if p == peers[0] {
				b.table.add(row.name, f)
			} else {
				b.table.beside(p.name, row.name, f)
			}
		}
		fmt.Fprintf(os.Stderr, "%-40s %5.1f s\n", row.name, time.Since(began).Seconds())
	}
	return nil
}

// upload brings a repository on the disk to the peer.
func (p *peer) upload(ctx context.Context, dir, repository string) error {
	if err := p.create(ctx, repository); err != nil {
		return err
	}
	_, err := demo.Git(ctx, dir, "push", "-q", p.address(repository), "HEAD:refs/heads/main")
	return err
}

// one is a load of one client that does the same over and over.
func (p *peer) one(ctx context.Context, b *bench, calls func(turn int) call) (figure, error) {
	result, err := p.load(ctx, b.sizes.measurement, 1, func(_, turn int) (call, bool) { return calls(turn), true })
	if err != nil {
		return figure{}, err
	}
	return result.latency(), nil
}

// repeat is a load of one client whose work takes several calls.
func (p *peer) repeat(ctx context.Context, b *bench, do func(*connection) error) (figure, error) {
	c, err := dial(ctx, p.url)
	if err != nil {
		return figure{}, err
	}
	defer c.conn.Close()
	var walls []time.Duration
	use, err := p.watch(func() error {
		for began := time.Now(); time.Since(began) < b.sizes.measurement; {
			start := time.Now()
			if err := do(c); err != nil {
				return err
			}
			walls = append(walls, time.Since(start))
		}
		return nil
	})
	if err != nil {
		return figure{}, err
	}
	return took(middle(walls), use.each(len(walls)), 0), nil
}

func peerCreate(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.one(ctx, b, func(turn int) call { return p.api.create(fmt.Sprintf("one-%d", turn)) })
}

func peerCreateMany(ctx context.Context, b *bench, p *peer) (figure, error) {
	result, err := p.load(ctx, b.sizes.measurement, 8, func(client, turn int) (call, bool) {
		return p.api.create(fmt.Sprintf("many-%d-%d", client, turn)), true
	})
	if err != nil {
		return figure{}, err
	}
	return result.rate(), nil
}

func peerCommit(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.one(ctx, b, func(turn int) call { return p.api.commit("files", turn) })
}

func peerRead(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.one(ctx, b, func(int) call { return p.api.read("files", treePath(rand.IntN(treeFiles))) })
}

func peerList(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.repeat(ctx, b, p.api.list("files"))
}

func peerLog(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.repeat(ctx, b, p.api.log("large"))
}

// peerPush pushes the large repository and lets the peer tidy up, which is not
// measured.
func peerPush(ctx context.Context, b *bench, p *peer) (figure, error) {
	dir, err := b.largeRepository(ctx, b.sizes.largePack)
	if err != nil {
		return figure{}, err
	}
	if err := p.create(ctx, "large"); err != nil {
		return figure{}, err
	}
	use, err := p.watch(func() error {
		_, err := demo.Git(ctx, dir, "push", "-q", p.address("large"), "HEAD:refs/heads/main")
		return err
	})
	if err != nil {
		return figure{}, err
	}
	return took(use.wall, use.cpu, 0), p.tidy(ctx, "large")
}

func peerDiff(ctx context.Context, b *bench, p *peer) (figure, error) {
	dir, err := b.largeRepository(ctx, b.sizes.largePack)
	if err != nil {
		return figure{}, err
	}
	list, err := demo.Git(ctx, dir, "rev-list", "--no-merges", "-n200", "HEAD")
	if err != nil {
		return figure{}, err
	}
	commits := strings.Fields(list)
	return p.one(ctx, b, func(turn int) call { return p.api.diff("large", commits[turn%len(commits)]) })
}

func peerClone(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.fetchLarge(ctx, b)
}

func peerShallow(ctx context.Context, b *bench, p *peer) (figure, error) {
	return p.fetchLarge(ctx, b, "deepen 1\n")
}

func (p *peer) fetchLarge(ctx context.Context, b *bench, lines ...string) (figure, error) {
	dir, err := b.largeRepository(ctx, b.sizes.largePack)
	if err != nil {
		return figure{}, err
	}
	tip, err := demo.Git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return figure{}, err
	}
	use, err := p.watch(func() error {
		return discardFetch(ctx, p.remote("large"), p.password, fetchRequest(tip, lines...))
	})
	return took(use.wall, use.cpu, 0), err
}

// peerFetch pushes some commits and fetches them, as a client does that has
// what was there before.
func peerFetch(ctx context.Context, b *bench, p *peer) (figure, error) {
	dir, err := b.largeRepository(ctx, b.sizes.largePack)
	if err != nil {
		return figure{}, err
	}
	grown := b.path("peer-grown.git")
	if err := os.RemoveAll(grown); err != nil {
		return figure{}, err
	}
	if err := cloneOnDisk(ctx, dir, grown); err != nil {
		return figure{}, err
	}
	commits, err := chain(ctx, grown, 10)
	if err != nil {
		return figure{}, err
	}
	tip := commits[len(commits)-1]
	if _, err := demo.Git(ctx, grown, "push", "-q", p.address("large"), tip+":refs/heads/main"); err != nil {
		return figure{}, err
	}
	list, err := demo.Git(ctx, dir, "rev-list", "--first-parent", fmt.Sprintf("-n%d", fetchTurns), "HEAD")
	if err != nil {
		return figure{}, err
	}
	var walls []time.Duration
	use, err := p.watch(func() error {
		for have := range strings.FieldsSeq(list) {
			began := time.Now()
			if err := discardFetch(ctx, p.remote("large"), p.password, fetchRequest(tip, "have "+have+"\n")); err != nil {
				return err
			}
			walls = append(walls, time.Since(began))
		}
		return nil
	})
	if err != nil {
		return figure{}, err
	}
	return took(middle(walls), use.each(len(walls)), 0), nil
}

func peerSmallPush(ctx context.Context, b *bench, p *peer) (figure, error) {
	source, err := b.filesRepository(ctx)
	if err != nil {
		return figure{}, err
	}
	work := b.path("peer-small.git")
	if err := os.RemoveAll(work); err != nil {
		return figure{}, err
	}
	if err := cloneOnDisk(ctx, source, work); err != nil {
		return figure{}, err
	}
	commits, err := chain(ctx, work, b.sizes.smallPushes)
	if err != nil {
		return figure{}, err
	}
	if err := p.upload(ctx, source, "small"); err != nil {
		return figure{}, err
	}
	var walls []time.Duration
	use, err := p.watch(func() error {
		walls, err = pushes(ctx, work, p.address("small"), commits)
		return err
	})
	if err != nil {
		return figure{}, err
	}
	return took(middle(walls), use.each(len(walls)), 0), nil
}

// peerForks is how many forks are measured: Gitea wants an organization for
// each, which is made before.
const peerForks = 10

func peerFork(ctx context.Context, b *bench, p *peer) (figure, error) {
	c, err := dial(ctx, p.url)
	if err != nil {
		return figure{}, err
	}
	defer c.conn.Close()
	walls := make([]time.Duration, peerForks)
	use, err := p.watch(func() error {
		for turn := range walls {
			if walls[turn], err = timed(c, p.api.fork("large", turn)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return figure{}, err
	}
	return took(middle(walls), use.each(peerForks), 0), nil
}
