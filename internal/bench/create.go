//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
)

// mostCreates bounds the tokens that are signed beforehand.
const mostCreates = 16_000 // per second of a measurement

// manyClients is how many make requests at once where it is more than one.
const manyClients = 32

// emptyRepository is the body that makes one.
var emptyRepository = []byte(`{"default_branch":"main"}`)

// measureCreate creates empty repositories: as the programs of an organization
// do, with a token signed for each, here beforehand; and as an operator does,
// with one token for all.
func measureCreate(ctx context.Context, b *bench) error {
	const name = "create repository, 32 clients"
	result, err := b.createWithTokens(ctx, "created", int(mostCreates*b.sizes.measurement.Seconds()))
	if err != nil {
		return err
	}
	b.table.add(name, result.rate(), ratePerSecond(3000))
	d, err := openDirect(ctx, b.path("direct-create"))
	if err != nil {
		return err
	}
	defer d.Close()
	limit, err := b.alone(ctx, manyClients, func(worker, turn int) error {
		_, err := d.createRepository(ctx, fmt.Sprintf("created/%d/%d", worker, turn))
		return err
	})
	if err != nil {
		return err
	}
	b.table.beside("the same transaction, direct, 32 at once", name, limit.rate(), ratioAtLeast(0.4))
	appends, err := b.syncedAppends(ctx)
	if err != nil {
		return err
	}
	b.table.beside("append 4 KiB and fdatasync, one at a time", name, appends.rate())
	verified, err := b.verifications(ctx)
	if err != nil {
		return err
	}
	b.table.beside("verify an ES256 signature and nothing else", name, verified.rate())
	reused, err := b.load(ctx, manyClients, func(client, turn int) (call, bool) {
		return b.operatorCreates(fmt.Sprintf("reused/%d/%d", client, turn)), true
	})
	if err != nil {
		return err
	}
	b.table.add("create repository, 32 clients, the operator's token", reused.rate())
	return nil
}

// verifications verifies signatures as those of tokens are: the limit where
// each request has a token that the server has not seen.
func (b *bench) verifications(ctx context.Context) (loadResult, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return loadResult{}, err
	}
	digest := sha256.Sum256([]byte("a token"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return loadResult{}, err
	}
	return b.alone(ctx, manyClients, func(int, int) error {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			return errors.New("a good signature is refused")
		}
		return nil
	})
}

// createWithTokens creates up to that many repositories, with a token each.
func (b *bench) createWithTokens(ctx context.Context, prefix string, most int) (loadResult, error) {
	tokens := make([]string, most)
	for i := range tokens {
		var err error
		if tokens[i], err = b.server.account.Token(fmt.Sprintf("%s/%d", prefix, i)); err != nil {
			return loadResult{}, err
		}
	}
	return b.load(ctx, manyClients, func(client, turn int) (call, bool) {
		i := turn*manyClients + client
		if i >= most {
			return call{}, false
		}
		return call{tokens[i], http.MethodPost, "/api/v1/repos", emptyRepository}, true
	})
}

// operatorCreates is the request of an operator for a repository.
func (b *bench) operatorCreates(name string) call {
	body := fmt.Appendf(nil, `{"name":%q,"default_branch":"main"}`, name)
	return call{b.server.adminToken, http.MethodPost, "/admin/v1/organizations/" + organization + "/repositories", body}
}
