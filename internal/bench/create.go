//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// mostCreates bounds the tokens that are signed beforehand.
const mostCreates = 8000 // per second of a measurement

// measureCreate creates empty repositories. The programs that do so sign a
// token for each; here they have signed them before.
func measureCreate(ctx context.Context, b *bench) error {
	const clients = 32
	tokens := make([][]string, clients)
	each := int(mostCreates*b.duration.Seconds()) / clients
	for client := range tokens {
		tokens[client] = make([]string, each)
		for turn := range each {
			var err error
			if tokens[client][turn], err = b.server.account.Token(fmt.Sprintf("created/%d/%d", client, turn)); err != nil {
				return err
			}
		}
	}
	body := []byte(`{"default_branch":"main"}`)
	result, err := b.load(ctx, clients, func(client, turn int) (call, bool) {
		if turn >= each {
			return call{}, false
		}
		return call{tokens[client][turn], http.MethodPost, "/api/v1/repos", body}, true
	})
	if err != nil {
		return err
	}
	const name = "create repository, 32 clients"
	b.table.add(name, result.rate())
	d, err := openDirect(ctx, b.path("direct-create"))
	if err != nil {
		return err
	}
	defer d.Close()
	limit, err := b.alone(ctx, clients, func(worker, turn int) error {
		_, err := d.createRepository(ctx, fmt.Sprintf("created/%d/%d", worker, turn))
		return err
	})
	if err != nil {
		return err
	}
	b.table.beside("the same transaction, direct, 32 at once", name, limit.rate())
	appends, err := b.syncedAppends(ctx)
	if err != nil {
		return err
	}
	b.table.beside("append 4 KiB and fdatasync, one at a time", name, appends.rate())
	return nil
}

// measureFork forks a large repository.
func measureFork(ctx context.Context, b *bench) error {
	large, err := b.uploadLarge(ctx)
	if err != nil {
		return err
	}
	body, err := b.server.forkBody("large")
	if err != nil {
		return err
	}
	result, err := b.load(ctx, 1, func(_, turn int) (call, bool) {
		token, err := b.server.account.Token(fmt.Sprintf("fork/%d", turn))
		return call{token, http.MethodPost, "/api/v1/repos", body}, err == nil
	})
	if err != nil {
		return err
	}
	const name = "fork a large repository, 1 client"
	b.table.add(name, result.latency())
	git, err := processes(ctx, 10, b.scratch, func(turn int) []string {
		return []string{"clone", "-q", "--bare", "--shared", large, fmt.Sprintf("forked-%d-%d.git", time.Now().UnixNano(), turn)}
	})
	b.table.beside("git clone --bare --shared", name, git)
	return err
}
