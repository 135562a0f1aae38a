package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// dial opens a connection to the server, which ends with the test.
func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSlowHeader is slowloris, of item 56 of what attackers try.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.HeaderTimeout = 200 * time.Millisecond
	s := start(t, c)
	conn := dial(t, s)
	go func() {
		_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = io.WriteString(conn, "X-Slow: 1\r\n")
		}
	}()
	if answer, err := io.ReadAll(conn); bytes.Contains(answer, []byte("200 OK")) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a header that never ends got %q, %v", answer, err)
	}
}

// TestConnectionsAreBounded: one more is closed, and when one ends there is
// room again.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.MaxConnections = 2
	s := start(t, c)
	alive := func(conn net.Conn) bool {
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return false
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return false
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close()) == nil && response.StatusCode == http.StatusOK
	}
	first, second := dial(t, s), dial(t, s)
	if !alive(first) || !alive(second) {
		t.Fatal("a connection below the limit is not served")
	}
	if alive(dial(t, s)) {
		t.Error("a connection over the limit is served")
	}
	if !alive(first) {
		t.Error("a connection that was there is not served any more")
	}
	first.Close()
	deadline := time.Now().Add(10 * time.Second)
	for !alive(dial(t, s)) {
		if time.Now().After(deadline) {
			t.Fatal("there is no room after a connection has ended")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestRequestSmuggling is item 57 of what attackers try: requests of whose
// length two servers may have two opinions. What follows such a request on the
// connection must not be taken for another one. A body that is chunked and has
// a length too is read as chunked, as RFC 9112 wants it.
func TestRequestSmuggling(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	const second = "GET /second HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		header, body string
		statuses     []int // of the answers until the connection ends
	}{
		"length and chunks: the chunks count": {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + second, []int{404, 404}},
		"length and chunks, the body hidden":  {"Content-Length: 44\r\nTransfer-Encoding: chunked\r\n", "23\r\n" + second + "\r\n0\r\n\r\n", []int{404}},
		"two lengths":                         {"Content-Length: 5\r\nContent-Length: 39\r\n", "12345" + second, []int{400}},
		"a list of lengths":                   {"Content-Length: 5, 39\r\n", "12345" + second, []int{400}},
		"a length with a sign":                {"Content-Length: +5\r\n", "12345" + second, []int{400}},
		"a negative length":                   {"Content-Length: -1\r\n", second, []int{400}},
		"a hexadecimal length":                {"Content-Length: 0x5\r\n", "12345" + second, []int{400}},
		"a blank before the colon":            {"Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + second, []int{400}},
		"a folded header":                     {"X: y\r\n Transfer-Encoding: chunked\r\n", second, []int{404, 404}},
		"another encoding":                    {"Transfer-Encoding: gzip\r\n", second, []int{501}},
		"two encodings":                       {"Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + second, []int{501}},
		"two headers of encoding":             {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + second, []int{501}},
		"an encoding with a tab":              {"Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n" + second, []int{400}},
		"a bare line feed in a chunk":         {"Transfer-Encoding: chunked\r\n", "0;x\ny\r\n\r\n" + second, []int{404}},
		"a chunk of a negative length":        {"Transfer-Encoding: chunked\r\n", "-1\r\n\r\n" + second, []int{404}},
		"a chunk that is too long":            {"Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n" + second, []int{404}},
		"a chunk without its end":             {"Transfer-Encoding: chunked\r\n", "1\r\nxx\r\n0\r\n\r\n" + second, []int{404}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			if _, err := io.WriteString(conn, "POST /first HTTP/1.1\r\nHost: x\r\n"+c.header+"\r\n"+c.body); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var got []int
			for in := bufio.NewReader(conn); ; {
				response, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				got = append(got, response.StatusCode)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.statuses) {
				t.Errorf("got the answers %v, want %v", got, c.statuses)
			}
		})
	}
}

// TestForwardedHeadersAreNotBelieved is a part of item 57 too.
func TestForwardedHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	acme := newTenant(t, s, "acme")
	r := acme.request(t, http.MethodGet, "/api/v1/repo", "", nil)
	for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "Forwarded", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override"} {
		r.Header.Set(h, "evil.example")
	}
	r.Host = "evil.example"
	status, body := do(t, r)
	if status != http.StatusOK || strings.Contains(body, "evil") {
		t.Errorf("got %d %s", status, body)
	}
}

// The frames of HTTP/2 that the tests need.
const (
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

// frame is a frame of HTTP/2 as bytes.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// getHeader is GET / of HTTP/2, by HPACK's static table.
var getHeader = []byte{0x82, 0x86, 0x84, 0x41, 1, 'x'}

// dial2 opens a connection of HTTP/2 and returns its frames until its end.
func dial2(t *testing.T, s *Server) (net.Conn, <-chan frame2) {
	t.Helper()
	conn := dial(t, s)
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+string(frame(frameSettings, 0, 0, nil))); err != nil {
		t.Fatal(err)
	}
	frames := make(chan frame2, 1<<16)
	go func() {
		defer close(frames)
		for in := bufio.NewReader(conn); ; {
			var head [9]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(in, payload); err != nil {
				return
			}
			frames <- frame2{head[3], payload}
		}
	}()
	return conn, frames
}

type frame2 struct {
	kind    byte
	payload []byte
}

// TestStreamsOfAConnectionAreBounded reads the limit that the server announces.
func TestStreamsOfAConnectionAreBounded(t *testing.T) {
	t.Parallel()
	_, frames := dial2(t, start(t, testConfig(t)))
	for f := range frames {
		if f.kind != frameSettings {
			continue
		}
		for p := f.payload; len(p) >= 6; p = p[6:] {
			if binary.BigEndian.Uint16(p) == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
				if got := binary.BigEndian.Uint32(p[2:]); got != maxStreams {
					t.Errorf("the server takes %d streams, want %d", got, maxStreams)
				}
				return
			}
		}
	}
	t.Error("the server announces no limit of streams")
}

// TestRapidReset is of item 56 too (CVE-2023-44487): streams that are opened
// and cancelled as fast as they can be sent. They do not become more work than
// a connection may have at a time: either the server keeps up with them, as the
// answer to the ping behind them shows, or it ends the connection.
func TestRapidReset(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	conn, frames := dial2(t, s)
	var flood bytes.Buffer
	const streams = 20_000
	for i := range uint32(streams) {
		flood.Write(frame(frameHeaders, flagEndHeaders|flagEndStream, 2*i+1, getHeader))
		flood.Write(frame(frameReset, 0, 2*i+1, []byte{0, 0, 0, 8}))
	}
	ping := []byte("all sent")
	flood.Write(frame(framePing, 0, 0, ping))
	go func() { _, _ = conn.Write(flood.Bytes()) }()
	ended, most := false, 0
	for f := range frames {
		most = max(most, s.gate.Stats().Requests)
		if f.kind == frameGoAway && binary.BigEndian.Uint32(f.payload[4:]) == 11 { // ENHANCE_YOUR_CALM
			ended = true
		}
		if f.kind == framePing && bytes.Equal(f.payload, ping) {
			ended = true
			break
		}
	}
	if !ended {
		t.Error("the server neither kept up with the connection nor ended it")
	}
	if most > maxStreams {
		t.Errorf("%d requests were under way", most)
	}
	if status, _ := get(t, s.URL()+"/readyz"); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
	if got := s.gate.Stats().Requests; got > maxStreams {
		t.Errorf("%d requests are under way", got)
	}
}

// TestContinuationFlood is of item 56 too (CVE-2023-45288): a header that goes
// on for ever.
func TestContinuationFlood(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	conn, frames := dial2(t, s)
	ended := make(chan int64, 1)
	go func() {
		n, err := conn.Write(frame(frameHeaders, flagEndStream, 1, getHeader))
		sent := int64(n)
		more := frame(frameContinuation, 0, 1, bytes.Repeat([]byte("\x00\x01x\x01y"), 3000))
		for err == nil {
			n, err = conn.Write(more)
			sent += int64(n)
		}
		ended <- sent
	}()
	for range frames {
	}
	conn.Close()
	if sent := <-ended; sent > 64<<20 {
		t.Errorf("the server took %d bytes of a header", sent)
	}
}
