//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// measureMillion fills a server with empty repositories: what each takes of
// the disk, and how fast they are made when there are few and when there are
// many.
func measureMillion(ctx context.Context, b *bench) error {
	empty, err := onDisk(b.server.data)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, "first", b.sizes.thousand); err != nil {
		return err
	}
	young, err := b.createWithTokens(ctx, "young", b.sizes.window)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, "more", b.sizes.million-b.sizes.thousand-young.count-b.sizes.window); err != nil {
		return err
	}
	old, err := b.createWithTokens(ctx, "old", b.sizes.window)
	if err != nil {
		return err
	}
	all := b.sizes.million - b.sizes.window + old.count
	if err := b.server.restart(ctx); err != nil { // the write-ahead log is part of the database now
		return err
	}
	full, err := onDisk(b.server.data)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("create repository at the %sth, 32 clients", thousands(int64(b.sizes.million)))
	b.table.add(name, old.rate())
	b.table.beside(fmt.Sprintf("at the %sth", thousands(int64(b.sizes.thousand))), name, young.rate(), ratioAtLeast(0.8))
	b.table.beside("disk for each", name, size((full.bytes-empty.bytes)/int64(all)), atMost(1<<10))
	b.table.beside("files for all of them", name, count(full.inodes-empty.inodes), atMost(100))
	return nil
}

// fill creates that many repositories as the operator.
func (b *bench) fill(ctx context.Context, prefix string, repositories int) error {
	var next atomic.Int64
	errs := make([]error, manyClients)
	var wg sync.WaitGroup
	for client := range errs {
		wg.Go(func() {
			c, err := dial(ctx, b.server.url)
			if err != nil {
				errs[client] = err
				return
			}
			defer c.conn.Close()
			for i := next.Add(1); i <= int64(repositories) && err == nil && ctx.Err() == nil; i = next.Add(1) {
				err = c.do(c.render(b.operatorCreates(fmt.Sprintf("%s/%d", prefix, i))))
				if i%100_000 == 0 {
					fmt.Fprintf(os.Stderr, "%s repositories\n", thousands(i))
				}
			}
			errs[client] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
