//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// call is a request of a load. Its token goes as Bearer, unless it is whole lines
// of a header, "Name: value".
type call struct {
	token, method, path string
	body                []byte
}

// connection is an HTTP client that costs next to nothing: client and server
// share the machine, and what the one takes the other lacks.
type connection struct {
	host string
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

func dial(ctx context.Context, url string) (*connection, error) {
	host := strings.TrimPrefix(url, "http://")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	return &connection{host: host, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// render writes the request's bytes, which the next call of it overwrites.
func (c *connection) render(q call) []byte {
	credential := q.token
	if !strings.Contains(credential, ": ") {
		credential = "Authorization: Bearer " + credential
	}
	c.buf = fmt.Appendf(c.buf[:0], "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n", q.method, q.path, c.host, credential, len(q.body))
	if service := q.path[strings.LastIndexByte(q.path, '/')+1:]; strings.HasPrefix(service, "git-") {
		c.buf = append(c.buf, "Content-Type: application/x-"+service+"-request\r\n\r\n"...)
	} else {
		c.buf = append(c.buf, "Content-Type: application/json\r\n\r\n"...)
	}
	c.buf = append(c.buf, q.body...)
	return c.buf
}

// do makes a request and reads its answer to the end. What is not 2xx is an
// error.
func (c *connection) do(request []byte) error {
	return c.answer(request, func(body io.Reader) error {
		_, err := io.Copy(io.Discard, body)
		return err
	})
}

// doAll makes calls one after the other.
func (c *connection) doAll(calls []call) error {
	for _, q := range calls {
		if err := c.do(c.render(q)); err != nil {
			return err
		}
	}
	return nil
}

// decode makes a call whose answer is JSON.
func (c *connection) decode(q call, into any) error {
	return c.answer(c.render(q), func(body io.Reader) error {
		data, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, into)
	})
}

func (c *connection) answer(request []byte, read func(io.Reader) error) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return read(resp.Body)
}

// loadResult is what came of a load.
type loadResult struct {
	count int
	p50   time.Duration
	usage
}

// rate is the figure for a number of clients.
func (r loadResult) rate() figure {
	return rate(float64(r.count)/r.wall.Seconds(), r.each(r.count), r.anon)
}

// latency is the figure for one client.
func (r loadResult) latency() figure {
	return took(r.p50, r.each(r.count), r.anon)
}

// load lets clients make one request after the other for the time of a
// measurement, or until next has no more. The time to make a request up is not
// counted as its latency.
func (b *bench) load(ctx context.Context, clients int, next func(client, turn int) (call, bool)) (loadResult, error) {
	return b.server.load(ctx, b.sizes.measurement, clients, next)
}

// noDeadline lets a load go on until there are no more requests.
const noDeadline = time.Hour

// load is the same to any server, for any time.
func (t target) load(ctx context.Context, limit time.Duration, clients int, next func(client, turn int) (call, bool)) (loadResult, error) {
	connections := make([]*connection, clients)
	for i := range connections {
		c, err := dial(ctx, t.url)
		if err != nil {
			return loadResult{}, err
		}
		defer c.conn.Close()
		connections[i] = c
	}
	latencies := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var result loadResult
	var err error
	result.usage, err = t.watch(func() error {
		deadline := time.Now().Add(limit)
		var wg sync.WaitGroup
		for i, c := range connections {
			wg.Go(func() {
				for turn := 0; time.Now().Before(deadline) && ctx.Err() == nil; turn++ {
					q, more := next(i, turn)
					if !more {
						return
					}
					request := c.render(q)
					began := time.Now()
					if err := c.do(request); err != nil {
						errs[i] = fmt.Errorf("%s %s: %w", q.method, q.path, err)
						return
					}
					latencies[i] = append(latencies[i], time.Since(began))
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return loadResult{}, err
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return loadResult{}, fmt.Errorf("no request was answered")
	}
	slices.Sort(all)
	result.count, result.p50 = len(all), all[len(all)/2]
	return result, nil
}

// alone repeats f, which makes no requests, from some goroutines for the time
// of a measurement: the neighbour of a load. The CPU time is that of this
// program.
func (b *bench) alone(ctx context.Context, workers int, f func(worker, turn int) error) (loadResult, error) {
	latencies := make([][]time.Duration, workers)
	errs := make([]error, workers)
	before, err := ownCPU()
	if err != nil {
		return loadResult{}, err
	}
	began := time.Now()
	deadline := began.Add(b.sizes.measurement)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for turn := 0; time.Now().Before(deadline) && ctx.Err() == nil; turn++ {
				began := time.Now()
				if err := f(i, turn); err != nil {
					errs[i] = err
					return
				}
				latencies[i] = append(latencies[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return loadResult{}, err
		}
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return loadResult{}, fmt.Errorf("nothing was done in the time")
	}
	slices.Sort(all)
	result := loadResult{count: len(all), p50: all[len(all)/2], usage: usage{wall: time.Since(began)}}
	after, err := ownCPU()
	if err != nil {
		return loadResult{}, err
	}
	result.cpu = after - before
	return result, ctx.Err()
}
