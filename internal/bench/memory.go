//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"

	"github.com/cairn-storage/cairn/internal/demo"
)

// The memory bound and what must fit under it.
const (
	memoryBound = 300 << 20
	chunkSize   = 4 << 20
)

// proveMemory brings a large file through the server and back, then a large
// repository, and compares the peak of the server's own memory with the bound.
func proveMemory(ctx context.Context, b *bench) error {
	if _, err := b.largeRepository(ctx, b.sizes.memoryPack); err != nil { // before anything is watched
		return err
	}
	fmt.Printf("%s\n\n", machine())
	var over []error
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"commit a file of " + formatBytes(float64(b.sizes.largeFile)), b.commitLarge},
		{"read it back", b.readLarge},
		{"push a repository of " + formatBytes(float64(b.sizes.memoryPack)), b.pushLarge},
		{"clone it", b.cloneLarge},
		{fmt.Sprintf("clone it %d times at once", b.sizes.clonesAtOnce), b.cloneLargeAtOnce},
		{"repack it", b.server.settle},
		{"clone it", b.cloneLarge},
		{fmt.Sprintf("clone it %d times at once", b.sizes.clonesAtOnce), b.cloneLargeAtOnce},
	} {
		use, err := b.server.watch(func() error { return step.do(ctx) })
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%-30s %8s, server CPU %8s, peak RssAnon %s\n", step.name,
			format(use.wall.Seconds(), duration), format(use.cpu.Seconds(), duration), format(float64(use.anon), bytesUnit))
		if use.anon > memoryBound {
			over = append(over, fmt.Errorf("%s: the server's own memory is over %s", step.name, format(memoryBound, bytesUnit)))
		}
	}
	return errors.Join(over...)
}

// largeContent is the file: the same bytes each time, which do not compress.
func (b *bench) largeContent() io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(b.sizes.largeFile))
}

func (b *bench) largeSum() (sum hash.Hash, err error) {
	sum = sha256.New()
	_, err = io.Copy(sum, b.largeContent())
	return sum, err
}

func (b *bench) commitLarge(ctx context.Context) error {
	token, err := b.server.create(ctx, "large-file")
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(b.writeLargeCommit(w)) }()
	body, err := b.server.account.Get(ctx, token, http.MethodPost, "/api/v1/repos/commit-pack", r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}

// writeLargeCommit writes the body of the commit, chunk by chunk.
func (b *bench) writeLargeCommit(w io.Writer) error {
	_, err := fmt.Fprintln(w, `{"metadata":{"target_branch":"main","commit_message":"Large","author":{"name":"Ada","email":"ada@example.com"},"files":[{"path":"large.bin","content_id":"1"}]}}`)
	content := b.largeContent()
	chunk := make([]byte, chunkSize)
	for done := 0; done < b.sizes.largeFile && err == nil; done += chunkSize {
		if _, err := io.ReadFull(content, chunk); err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, `{"blob_chunk":{"content_id":"1","data":"%s","eof":%t}}`+"\n", base64.StdEncoding.EncodeToString(chunk), done+chunkSize >= b.sizes.largeFile)
	}
	return err
}

func (b *bench) readLarge(ctx context.Context) error {
	token, err := b.server.account.Token("large-file")
	if err != nil {
		return err
	}
	want, err := b.largeSum()
	if err != nil {
		return err
	}
	body, err := b.server.account.Get(ctx, token, http.MethodGet, "/api/v1/repos/file?path=large.bin", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	got := sha256.New()
	if _, err := io.Copy(got, body); err != nil {
		return err
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return errors.New("the file came back different")
	}
	return nil
}

func (b *bench) pushLarge(ctx context.Context) error {
	dir, err := b.largeRepository(ctx, b.sizes.memoryPack)
	if err != nil {
		return err
	}
	_, err = b.server.upload(ctx, dir, "large")
	return err
}

func (b *bench) cloneLarge(ctx context.Context) error {
	remote, err := b.server.account.Remote("large")
	if err != nil {
		return err
	}
	dir := b.path("clone.git")
	if _, err := demo.Git(ctx, b.scratch, "clone", "-q", "--bare", remote, dir); err != nil {
		return err
	}
	source, err := b.largeRepository(ctx, b.sizes.memoryPack)
	if err != nil {
		return err
	}
	var tips [2]string
	for i, where := range []string{source, dir} {
		if tips[i], err = demo.Git(ctx, where, "rev-parse", "HEAD"); err != nil {
			return err
		}
	}
	if tips[0] != tips[1] {
		return fmt.Errorf("the clone is at %s, not at %s", tips[1], tips[0])
	}
	return os.RemoveAll(dir)
}

// cloneLargeAtOnce is a number of clients that throw the pack away.
func (b *bench) cloneLargeAtOnce(ctx context.Context) error {
	dir, err := b.largeRepository(ctx, b.sizes.memoryPack)
	if err != nil {
		return err
	}
	tip, err := demo.Git(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	return b.fetchAtOnce(ctx, b.sizes.clonesAtOnce, fetchRequest(tip))
}
