//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// cairnPeer is the server of this run, with the operator's token for Git and
// one of the organization for each repository of the API.
func (b *bench) cairnPeer() *peer {
	s := b.server
	token := func(repository string) string {
		signed, err := s.account.Token(repository)
		if err != nil {
			panic(fmt.Sprintf("bench: sign a token: %v", err)) // the key is ours
		}
		return signed
	}
	get := func(repository, path string) call { return call{token(repository), http.MethodGet, path, nil} }
	return &peer{
		target:   s.target,
		name:     "cairn",
		remote:   func(repository string) string { return s.url + "/" + organization + "/" + repository + ".git" },
		password: s.adminToken,
		create: func(ctx context.Context, repository string) error {
			_, err := s.create(ctx, repository)
			return err
		},
		tidy: func(ctx context.Context, _ string) error {
			if err := s.settle(ctx); err != nil {
				return err
			}
			_, err := s.operator.CollectGarbage(ctx, nil)
			return err
		},
		api: &peerAPI{
			create: func(name string) call { return call{token(name), http.MethodPost, "/api/v1/repos", emptyRepository} },
			commit: func(repository string, turn int) call { return commitCall(token(repository), 0, turn) },
			read: func(repository, path string) call {
				return get(repository, "/api/v1/repos/file?path="+url.QueryEscape(path))
			},
			diff: func(repository, commit string) call {
				return get(repository, "/api/v1/repos/diff?gitApplyCompatible=true&sha="+commit)
			},
			fork: func(repository string, turn int) call {
				body, err := s.forkBody(repository)
				if err != nil {
					panic(fmt.Sprintf("bench: sign a token: %v", err))
				}
				return call{token(fmt.Sprintf("fork-%d", turn)), http.MethodPost, "/api/v1/repos", body}
			},
			list: func(repository string) func(*connection) error {
				files := get(repository, "/api/v1/repos/files")
				return func(c *connection) error { return c.do(c.render(files)) }
			},
			log: func(repository string) func(*connection) error {
				signed := token(repository)
				var pages []call
				return func(c *connection) (err error) {
					if pages == nil {
						if pages, err = b.logPages(c, signed); err != nil {
							return err
						}
					}
					return c.doAll(pages)
				}
			},
		},
	}
}
