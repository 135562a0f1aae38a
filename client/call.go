package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// call is one request of a Client.
type call struct {
	method string
	path   string // below /api/repos, or below the repository
	repo   string // the repository that the path is below
	// token is the repository that the token is for, where the path names none;
	// v1 says that the path is below /api/v1.
	token  string
	v1     bool
	scope  string
	query  url.Values
	header http.Header
	// in is sent as JSON. stream is called for the body instead, once for every
	// time that the request is sent; once says that it works only once.
	in     any
	stream func() (io.ReadCloser, error)
	once   bool
	// write marks requests that change something; key makes the server know
	// one again.
	write bool
	key   string
}

// get is a read of a repository.
func (r *Repo) get(path string, query url.Values) call {
	return call{method: http.MethodGet, path: path, repo: r.name, scope: ScopeGitRead, query: query}
}

// write is a write of a repository's refs.
func (r *Repo) write(method, path string, in any) call {
	return call{method: method, path: path, repo: r.name, scope: ScopeGitWrite, in: in, write: true}
}

// json carries out a call and decodes the answer into out, unless it is nil.
func (c *Client) json(ctx context.Context, q call, out any) error {
	response, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	return decode(c.base, response.Body, out)
}

// maxAnswer bounds what is read of an answer in JSON, so that a wrong address
// cannot fill the memory.
const maxAnswer = 256 << 20

func decode(from string, body io.Reader, out any) error {
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("%s does not answer like a cairn server: %w", from, err)
	}
	return nil
}

// do sends a call, again if that may help and does no harm. The caller closes
// the body of the answer, which is a good one.
func (c *Client) do(ctx context.Context, q call) (*http.Response, error) {
	if q.write && q.key == "" {
		q.key = rand.Text()
	}
	for try := 0; ; try++ {
		response, err := c.send(ctx, q)
		if err == nil {
			return response, nil
		}
		if try >= c.retries || q.once || !temporary(ctx, err) {
			return nil, err
		}
		select {
		case <-time.After(pause(try, err)):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// temporary tells whether the same request may do better a little later.
func temporary(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	var refused *Error
	if errors.As(err, &refused) {
		return errors.Is(refused, ErrUnavailable)
	}
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Bounds of the pause before a request is sent again.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 30 * time.Second
)

// pause grows with each try, and is never the same for two clients.
func pause(try int, err error) time.Duration {
	longest := min(firstPause<<min(try, 16), maxPause)
	wait := longest/2 + mathrand.N(longest/2)
	var refused *Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		wait = min(refused.RetryAfter, maxPause) + mathrand.N(firstPause)
	}
	return wait
}

// send sends a call once.
func (c *Client) send(ctx context.Context, q call) (*http.Response, error) {
	body, err := q.body()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, q.method, c.address(q), body)
	if err != nil {
		return nil, err
	}
	for name, values := range q.header {
		request.Header[name] = values
	}
	token, err := c.tokens(ctx, Need{q.repo + q.token, q.scope})
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", c.agent)
	switch {
	case q.in != nil:
		request.Header.Set("Content-Type", "application/json")
	case q.stream != nil:
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	if q.key != "" {
		request.Header.Set("Idempotency-Key", q.key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 && response.StatusCode != http.StatusNotModified {
		defer response.Body.Close()
		return nil, refusal(response)
	}
	return response, nil
}

func (q call) body() (io.Reader, error) {
	switch {
	case q.stream != nil:
		return q.stream()
	case q.in != nil:
		text, err := json.Marshal(q.in)
		return bytes.NewReader(text), err
	}
	return nil, nil
}

func (c *Client) address(q call) string {
	address := c.base + "/api/repos"
	if q.v1 {
		address = c.base + "/api/v1"
	}
	if q.repo != "" {
		address += "/" + url.PathEscape(q.repo)
	}
	address += q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	return address
}

// query makes a query of what is not empty.
func query(pairs ...any) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case string:
			if v != "" {
				values.Set(name, v)
			}
		case bool:
			if v {
				values.Set(name, "true")
			}
		case int:
			if v != 0 {
				values.Set(name, strconv.Itoa(v))
			}
		case []string:
			if len(v) > 0 {
				values[name] = v
			}
		case time.Time:
			if !v.IsZero() {
				values.Set(name, v.UTC().Format(time.RFC3339Nano))
			}
		default:
			panic(fmt.Sprintf("query of a %T", v))
		}
	}
	return values
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

// pageOf is a page of a listing: its items are the member of that name.
func pageOf[T any](ctx context.Context, c *Client, q call, member, cursor string) ([]T, string, error) {
	q.query = cloneQuery(q.query)
	if cursor != "" {
		q.query.Set("cursor", cursor)
	}
	var page map[string]json.RawMessage
	if err := c.json(ctx, q, &page); err != nil {
		return nil, "", err
	}
	var items []T
	var next string
	if err := json.Unmarshal(page[member], &items); err != nil {
		return nil, "", fmt.Errorf("%s does not answer like a cairn server: %w", c.base, err)
	}
	if raw := page["next_cursor"]; raw != nil {
		if err := json.Unmarshal(raw, &next); err != nil {
			return nil, "", fmt.Errorf("%s does not answer like a cairn server: %w", c.base, err)
		}
	}
	return items, next, nil
}

func cloneQuery(from url.Values) url.Values {
	to := make(url.Values, len(from)+1)
	for k, v := range from {
		to[k] = v
	}
	return to
}

// list goes through all pages of a listing.
func list[T any](ctx context.Context, c *Client, q call, member string) iter.Seq2[T, error] {
	return pages(func(cursor string) ([]T, string, error) { return pageOf[T](ctx, c, q, member, cursor) })
}
