// Package client is the Go client of a cairn server's operator API, /admin/v1,
// and signs the tokens with which an organization's programs use the other
// APIs and Git. It has no dependency on the server's packages: what it knows is
// what /openapi.json says. A Client is safe for concurrent use.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks to one server.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client for the server at that address, such as
// http://127.0.0.1:8080, with the admin token. A nil client means
// http.DefaultClient.
func New(address, adminToken string, h *http.Client) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("server address %q is not like http://127.0.0.1:8080", address)
	}
	if h == nil {
		h = http.DefaultClient
	}
	return &Client{strings.TrimRight(address, "/"), adminToken, h}, nil
}

// Error is a refusal by the server.
type Error struct {
	Status    int // of HTTP
	Message   string
	RequestID string // under which the server's log has the request
}

// Error returns the server's text.
func (e *Error) Error() string {
	if e.Status >= 500 && e.RequestID != "" {
		return e.Message + " (request " + e.RequestID + ")"
	}
	return e.Message
}

// Organization is a tenant.
type Organization struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// Key is a public key of an organization.
type Key struct {
	ID        string     `json:"id"`        // the RFC 7638 thumbprint
	Algorithm string     `json:"algorithm"` // ES256, RS256 or EdDSA
	PublicKey string     `json:"public_key"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// Repository is a repository of an organization.
type Repository struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	DefaultBranch string    `json:"default_branch"`
	CreatedAt     time.Time `json:"created_at"`
	Version       int64     `json:"version"` // grows with every write
}

// NewRepository says what to create.
type NewRepository struct {
	Name          string  `json:"name"`
	DefaultBranch string  `json:"default_branch,omitempty"`
	ForkOf        *ForkOf `json:"fork_of,omitempty"` // nil for an empty repository
}

// ForkOf says what to fork: all branches and tags of a repository, or one
// commit of it.
type ForkOf struct {
	Name string `json:"name"`
	Ref  string `json:"ref,omitempty"` // a branch or tag
	SHA  string `json:"sha,omitempty"` // a commit; wins over Ref
}

// CreateOrganization makes a tenant.
func (c *Client) CreateOrganization(ctx context.Context, name string) (Organization, error) {
	var made Organization
	err := c.call(ctx, http.MethodPost, "/organizations", map[string]string{"name": name}, &made)
	return made, err
}

// Organizations goes through all tenants by name. It ends after an error.
func (c *Client) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return pages(func(cursor string) ([]Organization, string, error) {
		var page struct {
			Organizations []Organization `json:"organizations"`
			NextCursor    string         `json:"next_cursor"`
		}
		err := c.call(ctx, http.MethodGet, "/organizations?"+pageQuery(cursor).Encode(), nil, &page)
		return page.Organizations, page.NextCursor, err
	})
}

// DeleteOrganization removes a tenant that has no repositories.
func (c *Client) DeleteOrganization(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, organizationPath(name), nil, nil)
}

// AddKey registers a public key, PKIX in PEM.
func (c *Client) AddKey(ctx context.Context, organization, publicKey string) (Key, error) {
	var made Key
	err := c.call(ctx, http.MethodPost, organizationPath(organization)+"/keys", map[string]string{"public_key": publicKey}, &made)
	return made, err
}

// Keys returns an organization's keys, the oldest first, the revoked too.
func (c *Client) Keys(ctx context.Context, organization string) ([]Key, error) {
	var list struct {
		Keys []Key `json:"keys"`
	}
	err := c.call(ctx, http.MethodGet, organizationPath(organization)+"/keys", nil, &list)
	return list.Keys, err
}

// RevokeKey ends a key and with it all tokens that it signed.
func (c *Client) RevokeKey(ctx context.Context, organization, id string) error {
	return c.call(ctx, http.MethodDelete, organizationPath(organization)+"/keys/"+url.PathEscape(id), nil, nil)
}

// CreateRepository makes an empty repository or a fork.
func (c *Client) CreateRepository(ctx context.Context, organization string, in NewRepository) (Repository, error) {
	var made Repository
	err := c.call(ctx, http.MethodPost, organizationPath(organization)+"/repositories", in, &made)
	return made, err
}

// Repositories goes through an organization's repositories by name: those whose
// name contains the text, all if it is empty. It ends after an error.
func (c *Client) Repositories(ctx context.Context, organization, text string) iter.Seq2[Repository, error] {
	return pages(func(cursor string) ([]Repository, string, error) {
		var page struct {
			Repositories []Repository `json:"repositories"`
			NextCursor   string       `json:"next_cursor"`
		}
		query := pageQuery(cursor)
		if text != "" {
			query.Set("q", text)
		}
		err := c.call(ctx, http.MethodGet, organizationPath(organization)+"/repositories?"+query.Encode(), nil, &page)
		return page.Repositories, page.NextCursor, err
	})
}

// Repository returns one repository.
func (c *Client) Repository(ctx context.Context, organization, name string) (Repository, error) {
	var found Repository
	err := c.call(ctx, http.MethodGet, repositoryPath(organization, name), nil, &found)
	return found, err
}

// DeleteRepository takes a repository away and frees its name.
func (c *Client) DeleteRepository(ctx context.Context, organization, name string) error {
	return c.call(ctx, http.MethodDelete, repositoryPath(organization, name), nil, nil)
}

// CheckResult says what a check of a repository found.
type CheckResult struct {
	Packs    int      `json:"packs"`
	Objects  int      `json:"objects"`
	Problems []string `json:"problems"`
}

// CheckRepository verifies everything that a repository holds. progress may be
// nil.
func (c *Client) CheckRepository(ctx context.Context, organization, name string, progress func(done, all int)) (CheckResult, error) {
	var result CheckResult
	err := c.stream(ctx, repositoryPath(organization, name)+"/fsck", &result, func(l line) {
		if progress != nil {
			progress(l.ObjectsDone, l.Objects)
		}
	})
	return result, err
}

// GarbageResult says what a collection did.
type GarbageResult struct {
	Repositories int   `json:"repositories"` // looked at
	Compacted    int   `json:"compacted"`
	Purged       int   `json:"repositories_purged"`
	Packs        int   `json:"packs_removed"`
	Orphans      int   `json:"orphans_removed"`
	OrphanBytes  int64 `json:"orphan_bytes"`
}

// CollectGarbage compacts every repository and removes what is old enough to
// go. progress, which may be nil, is told how many repositories are done.
func (c *Client) CollectGarbage(ctx context.Context, progress func(repositories int)) (GarbageResult, error) {
	var result GarbageResult
	err := c.stream(ctx, "/gc", &result, func(l line) {
		if progress != nil {
			progress(l.Repositories)
		}
	})
	return result, err
}

func organizationPath(name string) string { return "/organizations/" + url.PathEscape(name) }

func repositoryPath(organization, name string) string {
	return organizationPath(organization) + "/repositories/" + url.PathEscape(name)
}

const pageSize = 1000

func pageQuery(cursor string) url.Values {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query
}

// pages goes through the items of all pages.
func pages[T any](page func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		cursor := ""
		for {
			items, next, err := page(cursor)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}

// maxAnswer bounds what is read of an answer, so that a wrong address cannot
// fill the memory.
const maxAnswer = 64 << 20

// call sends one request and decodes the answer into out, unless it is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	response, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("%s does not answer like a cairn server: %w", c.base, err)
	}
	return nil
}

// send sends a request; the caller closes the body of the answer, which is a
// good one.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/admin/v1"+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, refusal(response)
	}
	return response, nil
}

func refusal(response *http.Response) error {
	e := &Error{Status: response.StatusCode, RequestID: response.Header.Get("X-Request-Id")}
	var problem struct {
		Error string `json:"error"`
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if json.Unmarshal(body, &problem) != nil || problem.Error == "" {
		problem.Error = "the server answers " + response.Status
	}
	e.Message = problem.Error
	return e
}

// line is one line of the answer of a long operation.
type line struct {
	ObjectsDone  int             `json:"objects_done"`
	Objects      int             `json:"objects"`
	Repositories int             `json:"repositories_done"`
	Result       json.RawMessage `json:"result"`
	Error        string          `json:"error"`
	Status       int             `json:"status"`
}

// stream carries out a long operation, whose answer is NDJSON.
func (c *Client) stream(ctx context.Context, path string, result any, progress func(line)) error {
	response, err := c.send(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, maxAnswer)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return fmt.Errorf("%s does not answer like a cairn server: %w", c.base, err)
		}
		switch {
		case l.Error != "":
			return &Error{Status: l.Status, Message: l.Error, RequestID: response.Header.Get("X-Request-Id")}
		case l.Result != nil:
			return json.Unmarshal(l.Result, result)
		default:
			progress(l)
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	return errors.New("the connection ended before the operation did; the server's log may say why")
}
