package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// logged runs one request through Edge and returns the answer and the log.
func logged(t *testing.T, h http.Handler, r *http.Request) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	var log bytes.Buffer
	edge := Edge(h, EdgeOptions{Logger: slog.New(slog.NewJSONHandler(&log, nil)), Timeout: time.Minute, Gate: admission.New(admission.Options{})})
	w := httptest.NewRecorder()
	edge.ServeHTTP(w, r)
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Fatalf("got %d log lines, want one per request:\n%s", n, log.String())
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	return w, line
}

func request(t *testing.T, method, target string, body io.Reader) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, target, body)
}

// TestLogHoldsNoSecrets is items 12 and 68 of what attackers try: credentials
// that end up in a log, and log lines that are none.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("GET /thing/{name}", Handler(func(http.ResponseWriter, *http.Request) error {
		return cairn.Errorf(cairn.NotFound, "nothing")
	}))
	r := request(t, http.MethodGet, "http://t:SECRET-USERINFO@host/thing/SECRET-PATH?token=SECRET-QUERY", nil)
	r.Header.Set("Authorization", "Bearer SECRET-HEADER")
	r.Header.Set("X-Request-Id", "evil\nlevel=ERROR SECRET")
	r.Header.Set("User-Agent", "SECRET-AGENT")
	w, line := logged(t, mux, r)
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "SECRET") {
		t.Errorf("the log has what the caller sent: %s", text)
	}
	if line["route"] != "/thing/{name}" || line["status"] != 404.0 || line["method"] != "GET" || line["request_id"] == "" {
		t.Errorf("got %v", line)
	}
	if got := w.Header().Get("X-Request-Id"); got != line["request_id"] || len(got) != 16 {
		t.Errorf("the answer has the request id %q, the log %v", got, line["request_id"])
	}
}

func TestRequestIDOfTheCaller(t *testing.T) {
	t.Parallel()
	r := request(t, "BREW", "/", nil)
	r.Header.Set("X-Request-Id", "trace-1.2_3")
	_, line := logged(t, http.NotFoundHandler(), r)
	if line["request_id"] != "trace-1.2_3" || line["method"] != "other" || line["route"] != "other" {
		t.Errorf("got %v", line)
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	w, line := logged(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("SECRET cause") }), request(t, http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "SECRET") || !strings.Contains(w.Body.String(), `"error":"internal error`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if cause, _ := line["error"].(string); line["level"] != "ERROR" || !strings.Contains(cause, "SECRET cause") || !strings.Contains(cause, "edge_test.go") {
		t.Errorf("the log has %v", line)
	}
}

func TestPanicInTheMiddleBreaksTheConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(Edge(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100_000))
		panic("half way")
	}), EdgeOptions{Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute, Gate: admission.New(admission.Options{})}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks like a whole one")
	}
}

func TestRefusalOfAStreamIsSeen(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(Edge(Handler(func(http.ResponseWriter, *http.Request) error {
		return cairn.Errorf(cairn.Denied, "no")
	}), EdgeOptions{Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute, Gate: admission.New(admission.Options{})}))
	defer server.Close()
	body := io.LimitReader(zeros{}, 16<<20) // of unknown length, much more than net/http reads on by itself
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, struct{ io.Reader }{body})
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("got %s", response.Status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	edge := Edge(Handler(func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("walk: %w", r.Context().Err())
	}), EdgeOptions{Logger: slog.New(slog.DiscardHandler), Timeout: time.Millisecond, Gate: admission.New(admission.Options{})})
	w := httptest.NewRecorder()
	edge.ServeHTTP(w, request(t, http.MethodGet, "/", nil))
	if w.Code != http.StatusGatewayTimeout {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestStatusAndTextOfErrors(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial tcp 10.0.0.1: secret")
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{cairn.Errorf(cairn.Invalid, "bad name"), 400, "bad name"},
		{fmt.Errorf("create: %w", cairn.Errorf(cairn.NotFound, "gone")), 404, "gone"},
		{cairn.Errorf(cairn.Unauthenticated, "who"), 401, "who"},
		{cairn.Errorf(cairn.Denied, "no"), 403, "no"},
		{cairn.Errorf(cairn.Conflict, "taken"), 409, "taken"},
		{cairn.Errorf(cairn.Stale, "moved"), 412, "moved"},
		{cairn.Errorf(cairn.TooLarge, "big"), 413, "big"},
		{cairn.Errorf(cairn.RateLimited, "slow"), 429, "slow"},
		{cairn.Errorf(cairn.Unavailable, "busy"), 503, "busy"},
		{cairn.Errorf(cairn.Internal, "%w", secret), 500, "internal error"},
		{secret, 500, "internal error"},
		{fmt.Errorf("%w: %w", cairn.Unavailable, secret), 503, "try again"},
		{&cairn.RefConflict{Update: cairn.RefUpdate{Name: "refs/heads/main"}}, 409, "refs/heads/main already exists"},
		{&http.MaxBytesError{Limit: 1}, 413, "too large"},
		{context.Canceled, 499, "cancelled"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), 504, "longer than"},
	} {
		if got := Status(c.err); got != c.status {
			t.Errorf("%v: got the status %d, want %d", c.err, got, c.status)
		}
		if got := Text(c.err); !strings.Contains(got, c.text) || strings.Contains(got, "secret") {
			t.Errorf("%v: got the text %q, want %q in it", c.err, got, c.text)
		}
	}
}

func TestTokenOfARequest(t *testing.T) {
	t.Parallel()
	basic := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for header, want := range map[string]string{
		"":                                  "",
		"Bearer abc":                        "abc",
		"bearer  abc ":                      "abc",
		"Basic " + basic("t:abc"):           "abc",
		"basic " + basic("anyone:a:b"):      "a:b",
		"BASIC " + basic("t"):               "",
		"Basic " + basic(":"):               "",
		"Basic !!!":                         "",
		"Digest username=a":                 "",
		"Bearer":                            "",
		"Basic " + basic("t:\x00\r\n") + "": "\x00\r\n",
	} {
		r := request(t, http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if got := Token(r); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		configured, given string
		ok                bool
	}{
		{"right", "right", true}, {"right", "wrong", false}, {"right", "", false}, {"right", "righ", false}, {"right", "right1", false},
		{"", "", false}, {"", "x", false},
	} {
		r := request(t, http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+c.given)
		who, err := NewAuth(nil, c.configured).Operator(r)
		if who.Admin != c.ok || !c.ok && cairn.KindOf(err) != cairn.Unauthenticated {
			t.Errorf("configured %q, given %q: got %+v, %v", c.configured, c.given, who, err)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	type body struct {
		Name string `json:"name"`
	}
	for text, want := range map[string]cairn.Kind{
		``: "", `{}`: "", `{"name":"a","more":[1]}`: "", " {\"name\":\"a\"}\n ": "",
		`{`: cairn.Invalid, `[]`: cairn.Invalid, `{"name":1}`: cairn.Invalid, `{}{}`: cairn.Invalid, `{} x`: cairn.Invalid,
		`{"name":"` + strings.Repeat("a", MaxJSON) + `"}`: cairn.TooLarge,
	} {
		_, err := Decode[body](httptest.NewRecorder(), request(t, http.MethodPost, "/", strings.NewReader(text)))
		if want == "" && err != nil || want != "" && (err == nil || cairn.KindOf(err) != want) {
			t.Errorf("%.40s: got the error %v, want %q", text, err, want)
		}
	}
}
