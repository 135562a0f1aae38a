//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/demo"
)

// measureClone fetches a large repository: whole by a client that throws the
// pack away, which leaves the server's part, and by stock git.
func measureClone(ctx context.Context, b *bench) error {
	dir, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	tip, err := demo.Git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name    string
		request []byte
	}{
		{"fetch everything, pack thrown away", fetchRequest(tip)},
		{"fetch with depth 1, pack thrown away", fetchRequest(tip, "deepen 1\n")},
	} {
		use, err := b.server.watch(func() error { return b.fetch(ctx, c.request) })
		if err != nil {
			return err
		}
		b.table.add(c.name, took(use.wall, use.cpu, use.anon))
		cmd := demo.GitCommand(ctx, dir, "upload-pack", "--stateless-rpc", ".")
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL=version=2")
		cmd.Stdin = bytes.NewReader(c.request)
		wall, cpu, err := runProcess(cmd)
		if err != nil {
			return err
		}
		b.table.beside("git upload-pack, with a bitmap", c.name, took(wall, cpu, 0))
	}
	for _, c := range []struct {
		name    string
		options []string
	}{
		{"git clone --bare", nil},
		{"git clone --bare --depth 1", []string{"--depth", "1"}},
	} {
		if err := b.gitClone(ctx, dir, c.name, c.options); err != nil {
			return err
		}
	}
	return nil
}

// fetch sends a request of protocol version 2 and discards the answer.
func (b *bench) fetch(ctx context.Context, request []byte) error {
	token, err := b.server.account.Token("large")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.url+"/large.git/git-upload-pack", bytes.NewReader(request))
	if err != nil {
		return err
	}
	req.SetBasicAuth("t", token)
	req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	req.Header.Set("Git-Protocol", "version=2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch: %s", resp.Status)
	}
	return endsInFlush(resp.Body)
}

// endsInFlush reads an answer to its end, which must be a whole one.
func endsInFlush(r io.Reader) error {
	last := make([]byte, 0, 64)
	buf := make([]byte, 128<<10)
	for {
		n, err := r.Read(buf)
		last = append(last, buf[max(0, n-4):n]...)
		last = last[max(0, len(last)-4):]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if string(last) != "0000" {
		return fmt.Errorf("fetch: the answer ends in %q", last)
	}
	return nil
}

// fetchRequest asks for everything that a commit reaches.
func fetchRequest(tip string, more ...string) []byte {
	var b bytes.Buffer
	b.WriteString(packet("command=fetch\n") + packet("object-format=sha1\n") + "0001")
	b.WriteString(packet("no-progress\n") + packet("ofs-delta\n") + packet("want "+tip+"\n"))
	for _, line := range more {
		b.WriteString(packet(line))
	}
	b.WriteString(packet("done\n") + "0000")
	return b.Bytes()
}

// packet frames a line as Git's protocol does.
func packet(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// gitClone clones with stock git, from the server and from the disk.
func (b *bench) gitClone(ctx context.Context, dir, name string, options []string) error {
	remote, err := b.server.account.Remote("large")
	if err != nil {
		return err
	}
	clone := func(from, to string) []string {
		args := append([]string{"clone", "-q", "--bare"}, options...)
		return append(args, from, b.path(to+strings.Join(options, "")))
	}
	use, err := b.server.watch(func() error {
		_, err := demo.Git(ctx, b.scratch, clone(remote, "cloned.git")...)
		return err
	})
	if err != nil {
		return err
	}
	b.table.add(name, took(use.wall, use.cpu, use.anon))
	wall, _, err := runProcess(demo.GitCommand(ctx, b.scratch, clone("file://"+dir, "from-disk.git")...))
	b.table.beside("from file://, all of it stock git", name, took(wall, 0, 0))
	return err
}
