//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cairn-storage/cairn/internal/demo"
)

// fetch sends a request of protocol version 2 for a repository and discards
// the answer.
func (b *bench) fetch(ctx context.Context, repository string, request []byte) error {
	token, err := b.server.account.Token(repository)
	if err != nil {
		return err
	}
	return discardFetch(ctx, b.server.url+"/"+repository+".git", token, request)
}

// fetchAtOnce is a number of clients that send the same request at the same
// time.
func (b *bench) fetchAtOnce(ctx context.Context, clients int, request []byte) (err error) {
	errs := make(chan error)
	for range clients {
		go func() { errs <- b.fetch(ctx, "large", request) }()
	}
	for range clients {
		err = errors.Join(err, <-errs)
	}
	return err
}

// discardFetch sends a request of protocol version 2 to a remote and discards
// the answer. An empty password is not sent.
func discardFetch(ctx context.Context, remote, password string, request []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, remote+"/git-upload-pack", bytes.NewReader(request))
	if err != nil {
		return err
	}
	if password != "" {
		req.SetBasicAuth(organization, password)
	}
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

// endsInFlush reads an answer to its end, which must be a whole one with a
// pack in it.
func endsInFlush(r io.Reader) error {
	var first, last []byte
	buf := make([]byte, 128<<10)
	for {
		n, err := r.Read(buf)
		first = append(first, buf[:min(n, max(0, 4096-len(first)))]...)
		last = append(last, buf[max(0, n-4):n]...)
		last = last[max(0, len(last)-4):]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if string(last) != "0000" || !bytes.Contains(first, []byte("\x01PACK")) {
		return fmt.Errorf("fetch: the answer begins with %q and ends in %q", first[:min(len(first), 200)], last)
	}
	return nil
}

// uploadPack gives a request to a git upload-pack and tells what it took.
func uploadPack(ctx context.Context, dir string, request []byte) (wall, cpu time.Duration, err error) {
	cmd := demo.GitCommand(ctx, dir, "-c", "uploadpack.allowFilter=true", "upload-pack", "--stateless-rpc", ".")
	cmd.Env = append(cmd.Env, "GIT_PROTOCOL=version=2")
	cmd.Stdin = bytes.NewReader(request)
	return runProcess(cmd)
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
