// Package client is the Go client of a cairn server.
//
// A [Client] uses the repositories of one organization: commits, files,
// history, merges, webhooks, events. Give it the organization's private key, and
// it signs a token for each repository and kind of call itself, or a token that
// somebody else signed. A [Repo] is one repository seen through it:
//
//	c, err := client.New("http://127.0.0.1:8080", client.WithKey("acme", key))
//	app := c.Repo("team/app")
//	made, err := app.Commit(ctx, client.NewCommit{ … })
//	for commit, err := range app.Log(ctx, client.LogQuery{Ref: "main"}) { … }
//
// An [Operator] speaks the operator's API, with the admin token of the server:
// organizations, their keys, the upkeep.
//
// What is refused is an [*Error]; errors.Is tells its kind: [ErrNotFound],
// [ErrConflict] and the others. Reads are tried again when the server or the
// way to it fails for a moment, and so are writes whose body can be sent twice:
// each write has an Idempotency-Key, by which the server knows it again.
//
// All types are safe for concurrent use. The package needs nothing of the
// server's own: what it knows is what /openapi.json says.
package client

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Client uses the repositories of one organization on one server.
type Client struct {
	base    string
	http    *http.Client
	agent   string
	tokens  TokenSource
	retries int
}

// Option changes how a Client works.
type Option func(*Client)

// New returns a client of the server at that address, such as
// http://127.0.0.1:8080. It needs one of [WithKey], [WithToken] and
// [WithTokenSource].
func New(address string, options ...Option) (*Client, error) {
	base, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, http: http.DefaultClient, agent: "cairn-go", retries: 3}
	for _, o := range options {
		o(c)
	}
	if c.tokens == nil {
		return nil, fmt.Errorf("there is no credential: use WithKey, WithToken or WithTokenSource")
	}
	return c, nil
}

// WithHTTPClient sends requests through h; by default http.DefaultClient does.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithUserAgent says who calls, for the server's side of things.
func WithUserAgent(agent string) Option { return func(c *Client) { c.agent = agent } }

// WithRetries is how often a request that may be sent again is, 3 times unless
// said otherwise; 0 is never.
func WithRetries(n int) Option { return func(c *Client) { c.retries = n } }

// WithToken sends this token with every request. What it does not allow is
// refused.
func WithToken(token string) Option {
	return WithTokenSource(func(context.Context, Need) (string, error) { return token, nil })
}

// WithTokenSource asks for a token for every request.
func WithTokenSource(source TokenSource) Option { return func(c *Client) { c.tokens = source } }

// WithKey signs tokens with an organization's private key, see
// [ParsePrivateKey]: for each repository and scope one that is good for an
// hour, with these rules about refs.
func WithKey(organization string, key crypto.Signer, policy ...RefRule) Option {
	m := &minter{organization: organization, key: key, policy: policy, made: map[Need]minted{}}
	return WithTokenSource(m.token)
}

// Need is what a request asks of its token.
type Need struct {
	Repository string // empty for calls about the whole organization
	Scope      string // git:read, git:write, repo:write or org:read; several with blanks between
}

// TokenSource returns a token that is good for a need. It is called for every
// request, from many goroutines.
type TokenSource func(context.Context, Need) (string, error)

// minter signs tokens and keeps them for most of their time: the server
// verifies a token that it knows at no cost.
type minter struct {
	organization string
	key          crypto.Signer
	policy       []RefRule

	mu   sync.Mutex
	made map[Need]minted
}

type minted struct {
	token string
	until time.Time
}

const (
	mintedTTL = time.Hour
	maxMinted = 10_000
)

func (m *minter) token(_ context.Context, n Need) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.made[n]; ok && time.Now().Before(known.until) {
		return known.token, nil
	}
	token, err := SignToken(m.key, Claims{
		Organization: m.organization, Repository: n.Repository, Subject: "cairn-go",
		Scopes: strings.Fields(n.Scope), TTL: mintedTTL, Policy: m.policy,
	})
	if err != nil {
		return "", err
	}
	if len(m.made) >= maxMinted {
		clear(m.made)
	}
	m.made[n] = minted{token, time.Now().Add(mintedTTL * 3 / 4)}
	return token, nil
}

// The scopes of tokens.
const (
	ScopeGitRead   = "git:read"
	ScopeGitWrite  = "git:write" // and git:read
	ScopeRepoWrite = "repo:write"
	ScopeOrgRead   = "org:read"
)

// Repo is a repository of the client's organization. To make one costs nothing
// and asks nobody whether it is there.
type Repo struct {
	client *Client
	name   string
}

// Repo returns the repository of that name.
func (c *Client) Repo(name string) *Repo { return &Repo{c, name} }

// Name returns the repository's name.
func (r *Repo) Name() string { return r.name }

// RemoteURL returns an address of the repository for Git, with a token in it
// that is good for a scope. Whoever has the address has the token.
func (r *Repo) RemoteURL(ctx context.Context, scope string) (string, error) {
	token, err := r.client.tokens(ctx, Need{r.name, scope})
	if err != nil {
		return "", err
	}
	u, err := url.Parse(r.client.base)
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword("t", token)
	return u.JoinPath(strings.Split(r.name, "/")...).String() + ".git", nil
}

// parseAddress checks the address of a server.
func parseAddress(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("server address %q is not like http://127.0.0.1:8080", address)
	}
	return strings.TrimRight(address, "/"), nil
}
