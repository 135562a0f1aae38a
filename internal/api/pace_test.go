package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
)

func TestDeadlinesOfAnAccount(t *testing.T) {
	t.Parallel()
	now := time.Now()
	pace := Pace{Stall: 10 * time.Second, Rate: 100}
	for name, c := range map[string]struct {
		account account
		want    time.Duration
	}{
		"at the start":                  {account{Pace: pace}, 10 * time.Second},
		"nothing for a while":           {account{Pace: pace, waited: 4 * time.Second}, 6 * time.Second},
		"at the floor":                  {account{Pace: pace, moved: 10_000, waited: 100 * time.Second}, 10 * time.Second},
		"below it":                      {account{Pace: pace, moved: 9_500, waited: 100 * time.Second}, 5 * time.Second},
		"far below it":                  {account{Pace: pace, moved: 100, waited: 100 * time.Second}, -89 * time.Second},
		"quick for long":                {account{Pace: pace, moved: 1 << 40, waited: time.Second}, 10 * time.Second},
		"no floor":                      {account{Pace: Pace{Stall: time.Second}, waited: time.Hour}, time.Second},
		"no bounds":                     {account{}, time.Hour},
		"at the end of request-timeout": {account{Pace: pace, end: now.Add(time.Second)}, time.Second},
	} {
		if c.account.end.IsZero() {
			c.account.end = now.Add(time.Hour)
		}
		if got := c.account.deadline(now).Sub(now); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// edge serves a handler behind Edge and returns its address and what it logs.
func edge(t *testing.T, o EdgeOptions, h http.Handler) (string, <-chan map[string]any) {
	t.Helper()
	lines := make(chan map[string]any, 8)
	o.Logger = slog.New(slog.NewJSONHandler(writerFunc(func(p []byte) (int, error) {
		var line map[string]any
		err := json.Unmarshal(p, &line)
		lines <- line
		return len(p), err
	}), nil))
	o.Gate = admission.New(admission.Options{})
	server := httptest.NewServer(Edge(h, o))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), lines
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// dial opens a connection and sends text.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readAll is a handler that needs the whole body.
var readAll = Handler(func(w http.ResponseWriter, r *http.Request) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return Write(w, http.StatusOK, len(data))
})

// TestBodyThatStops is a part of item 56 of what attackers try: a client that
// sends a body so slowly that it never ends. It is told so, and the log does
// not call it a fault of the server.
func TestBodyThatStops(t *testing.T) {
	t.Parallel()
	const header = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
	for name, c := range map[string]struct {
		o    EdgeOptions
		drip bool
		want string
	}{
		"stall-timeout":   {EdgeOptions{Timeout: time.Minute, Pace: Pace{Stall: 100 * time.Millisecond}}, false, "stall-timeout"},
		"min-rate":        {EdgeOptions{Timeout: time.Minute, Pace: Pace{Stall: 300 * time.Millisecond, Rate: 1 << 20}}, true, "min-rate"},
		"request-timeout": {EdgeOptions{Timeout: 100 * time.Millisecond}, false, "request-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, lines := edge(t, c.o, readAll)
			conn := dial(t, address, header+"0123456789")
			if c.drip {
				go func() {
					for _, err := io.WriteString(conn, "x"); err == nil; _, err = io.WriteString(conn, "x") {
						time.Sleep(20 * time.Millisecond)
					}
				}()
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(text), c.want) || !response.Close {
				t.Errorf("got %s %s, want 408 for %s, and the end of the connection", response.Status, text, c.want)
			}
			if line := <-lines; line["level"] != "INFO" || line["status"] != 408.0 {
				t.Errorf("the log has %v", line)
			}
		})
	}
}

// TestBodyOfASlowClientThatMoves takes several times as long as nothing at all
// may move.
func TestBodyOfASlowClientThatMoves(t *testing.T) {
	t.Parallel()
	address, _ := edge(t, EdgeOptions{Timeout: time.Minute, Pace: Pace{Stall: time.Second, Rate: 1}}, readAll)
	conn := dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n")
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %s", response.Status)
	}
}

// TestAnswerThatNobodyTakes is slow read, of item 56 too: the handler's write
// ends, and the log does not call it a fault of the server.
func TestAnswerThatNobodyTakes(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	address, lines := edge(t, EdgeOptions{Timeout: time.Minute, Pace: Pace{Stall: 100 * time.Millisecond}}, Handler(func(w http.ResponseWriter, r *http.Request) error {
		var err error
		for piece := make([]byte, 1<<20); err == nil; _, err = w.Write(piece) {
		}
		NoteError(r, err)
		ended <- err
		return nil
	}))
	dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-ended; !errors.Is(err, context.Canceled) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if line := <-lines; line["level"] != "INFO" {
		t.Errorf("the log has %v", line)
	}
}

// TestClientThatLeavesIsNoFaultOfTheServer: in the middle of its body, or of
// the answer.
func TestClientThatLeavesIsNoFaultOfTheServer(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	address, lines := edge(t, EdgeOptions{Timeout: time.Minute}, Handler(func(w http.ResponseWriter, r *http.Request) error {
		begun <- struct{}{}
		if r.Method == http.MethodPost {
			_, err := io.ReadAll(r.Body)
			return fmt.Errorf("read: %w", err)
		}
		var err error
		for piece := make([]byte, 1<<20); err == nil; _, err = w.Write(piece) {
		}
		NoteError(r, fmt.Errorf("send: %w", err))
		return nil
	}))
	for _, request := range []string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		conn := dial(t, address, request)
		<-begun
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a reset, not an end
			t.Fatal(err)
		}
		conn.Close()
		if line := <-lines; line["level"] != "INFO" {
			t.Errorf("%.4s: the log has %v", request, line)
		}
	}
}

// TestLongAnswerWaitsInAFile: what a slow client has not taken is not held in
// memory.
func TestLongAnswerWaitsInAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := 0
	scratch := func() (*os.File, error) {
		files++
		f, err := os.CreateTemp(dir, "")
		if err == nil {
			err = os.Remove(f.Name())
		}
		return f, err
	}
	long := strings.Repeat("x", maxWaiting)
	o := EdgeOptions{Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute, Gate: admission.New(admission.Options{}), Scratch: scratch}
	for _, value := range []string{long, "short"} {
		w := httptest.NewRecorder()
		Edge(Handler(func(w http.ResponseWriter, _ *http.Request) error {
			return Write(w, http.StatusOK, value)
		}), o).ServeHTTP(w, request(t, http.MethodGet, "/", nil))
		var got string
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got != value {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(value))
		}
	}
	if files != 1 {
		t.Errorf("%d files for one long answer and a short one", files)
	}
	o.Scratch = func() (*os.File, error) { return nil, errors.New("disk full") }
	w := httptest.NewRecorder()
	Edge(Handler(func(w http.ResponseWriter, _ *http.Request) error {
		return Write(w, http.StatusOK, long)
	}), o).ServeHTTP(w, request(t, http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || bytes.Contains(w.Body.Bytes(), []byte("disk full")) {
		t.Errorf("without a file: got %d %.100s", w.Code, w.Body)
	}
}

func TestRetryAfterInSeconds(t *testing.T) {
	t.Parallel()
	g := admission.New(admission.Options{Requests: 1})
	if _, _, err := g.Arrive(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, refused := g.Arrive(t.Context())
	for _, c := range []struct {
		err  error
		want string
	}{{refused, "1"}, {errors.New("a store is down"), "1"}} {
		h := http.Header{}
		SetRetryAfter(h, http.StatusServiceUnavailable, c.err)
		if got := h.Get("Retry-After"); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
		h = http.Header{}
		if SetRetryAfter(h, http.StatusNotFound, c.err); len(h) > 0 {
			t.Errorf("a 404 has %v", h)
		}
	}
}
