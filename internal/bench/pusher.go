//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// pushedBranch is where pushers push.
const pushedBranch = "refs/heads/pushed"

// pusher pushes commits to a branch of a repository, each on top of the one
// before, without a git process: it speaks the protocol itself and keeps the
// trees that lead to the files that it changes. It is safe for concurrent use;
// one push waits for the other.
type pusher struct {
	mu    sync.Mutex
	tip   git.ObjectID      // of the branch; zero before the first push
	base  git.ObjectID      // the commit that the first one is on
	trees [][]git.TreeEntry // from the root to the folder of the files
	at    []int             // in each tree but the last, the entry that is the next one
	turn  int
}

// newPusher returns a pusher for repositories that have the main branch of the
// bare one on the disk. It changes the files of one folder.
func newPusher(ctx context.Context, dir string) (*pusher, error) {
	tip, err := demo.Git(ctx, dir, "rev-parse", "main")
	if err != nil {
		return nil, err
	}
	p := &pusher{}
	if p.base, err = git.ParseObjectID(tip); err != nil {
		return nil, err
	}
	path := strings.Split(treePath(0), "/")
	for depth, name := range path {
		if depth == len(path)-1 {
			name = "" // any file of the last folder
		}
		if err := p.descend(ctx, dir, "main:"+strings.Join(path[:depth], "/"), name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// descend reads a tree and finds in it the folder of that name; an empty one
// ends the way down.
func (p *pusher) descend(ctx context.Context, dir, revision, name string) error {
	data, err := demo.GitCommand(ctx, dir, "cat-file", "tree", revision).Output()
	if err != nil {
		return fmt.Errorf("git cat-file tree %s: %w", revision, err)
	}
	entries, err := git.ParseTree(git.SHA1, data)
	if err != nil {
		return err
	}
	p.trees = append(p.trees, entries)
	if name == "" {
		return nil
	}
	for i, entry := range entries {
		if entry.Name == name {
			p.at = append(p.at, i)
			return nil
		}
	}
	return fmt.Errorf("no %s in %s", name, revision)
}

// clone returns a pusher in the same state.
func (p *pusher) clone() *pusher {
	c := &pusher{tip: p.tip, base: p.base, at: p.at, turn: p.turn}
	for _, entries := range p.trees {
		c.trees = append(c.trees, append([]git.TreeEntry(nil), entries...))
	}
	return c
}

// push makes a commit that changes one file and pushes it: it asks for the
// refs, as git does, and sends a pack. It tells how long the two requests
// took.
func (p *pusher) push(c *connection, token, repository string) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, tip, err := p.commit()
	if err != nil {
		return 0, err
	}
	var body bytes.Buffer
	w := protocol.NewWriter(&body)
	if err := w.Packetf("%s %s %s\x00report-status object-format=sha1\n", zeroOr(p.tip), tip, pushedBranch); err != nil {
		return 0, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	body.Write(data)
	path := "/" + repository + ".git/"
	began := time.Now()
	if err := c.do(c.render(call{token, http.MethodGet, path + "info/refs?service=git-receive-pack", nil})); err != nil {
		return 0, err
	}
	var report []byte
	err = c.answer(c.render(call{token, http.MethodPost, path + "git-receive-pack", body.Bytes()}), func(r io.Reader) (err error) {
		report, err = io.ReadAll(r)
		return err
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if !bytes.Contains(report, []byte("ok "+pushedBranch)) {
		return 0, fmt.Errorf("push: %s", report)
	}
	p.tip = tip
	return took, nil
}

func zeroOr(id git.ObjectID) string {
	if id.IsZero() {
		return strings.Repeat("0", git.SHA1.HexSize())
	}
	return id.String()
}

// commit makes the next commit and the pack of what is new in it.
func (p *pusher) commit() ([]byte, git.ObjectID, error) {
	p.turn++
	var out bytes.Buffer
	w := pack.NewStreamWriter(git.SHA1, &out, uint32(len(p.trees)+2), -1)
	add := func(t git.ObjectType, data []byte) (git.ObjectID, error) {
		if err := w.WriteObject(t, data); err != nil {
			return git.ObjectID{}, err
		}
		return git.HashObject(git.SHA1, t, data)
	}
	id, err := add(git.BlobObject, fmt.Appendf(nil, "// push %d at %d\n%s", p.turn, time.Now().UnixNano(), filler))
	if err != nil {
		return nil, id, err
	}
	for depth := len(p.trees) - 1; depth >= 0; depth-- {
		entries := p.trees[depth]
		changed := p.turn % len(entries)
		if depth < len(p.at) {
			changed = p.at[depth]
		}
		entries[changed].ID = id
		if id, err = add(git.TreeObject, git.EncodeTree(entries)); err != nil {
			return nil, id, err
		}
	}
	parent := p.tip
	if parent.IsZero() {
		parent = p.base
	}
	text := fmt.Sprintf("tree %s\nparent %s\nauthor Ada <ada@example.com> %[3]d +0000\ncommitter Ada <ada@example.com> %[3]d +0000\n\nPush %d\n", id, parent, time.Now().Unix(), p.turn)
	if id, err = add(git.CommitObject, []byte(text)); err != nil {
		return nil, id, err
	}
	_, err = w.Close()
	return out.Bytes(), id, err
}
