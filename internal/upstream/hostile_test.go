package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// hostile starts a server that answers the first request, and the later ones,
// as told. A nil answer is the usual one.
func hostile(t *testing.T, first, later http.HandlerFunc) Remote {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			later(w, r)
		case first != nil:
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			first(w, r)
		default:
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_ = protocol.AdvertiseV2(protocol.NewWriter(w), protocol.Advertisement{Agent: "evil", Format: git.SHA1})
		}
	}))
	t.Cleanup(server.Close)
	return Remote{URL: server.URL + "/evil.git", Username: "git", Password: "sesame/street"}
}

// client has bounds that a test reaches quickly.
func client() *Client {
	return New(http.DefaultClient, Options{MaxRefs: 1000, MaxList: 1 << 20, MaxPack: 1 << 20, Stall: time.Second})
}

func wantError(t *testing.T, err error, text string, temporary bool) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if !strings.Contains(e.Text, text) || e.Temporary != temporary {
		t.Errorf("got %q, temporary %v; want %q, %v", e.Text, e.Temporary, text, temporary)
	}
	if strings.Contains(fmt.Sprint(err), "sesame") || strings.Contains(fmt.Sprint(err), "Z2l0OnNlc2FtZS9zdHJlZXQ=") {
		t.Errorf("the error holds the credential: %v", err)
	}
}

// endless writes packets until the client leaves.
func endless(packet func(w *protocol.Writer, n int) error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		out := protocol.NewWriter(w)
		for n := 0; packet(out, n) == nil; n++ {
		}
	}
}

const someID = "0123456789012345678901234567890123456789"

func TestHostileRefs(t *testing.T) {
	t.Parallel()
	many := endless(func(w *protocol.Writer, n int) error { return w.Line(fmt.Sprintf("%s refs/heads/b%d", someID, n)) })
	long := endless(func(w *protocol.Writer, n int) error {
		return w.Line(someID + " refs/heads/" + strings.Repeat("x", 60000))
	})
	capabilities := endless(func(w *protocol.Writer, n int) error {
		if n == 0 {
			return w.Line("version 2")
		}
		return w.Line("word" + strings.Repeat("x", 100))
	})
	for name, c := range map[string]struct {
		first, later http.HandlerFunc
		text         string
	}{
		"endless refs, version 0":  {many, nil, "limit of 1000 refs"},
		"endless refs, version 2":  {nil, many, "limit of 1000 refs"},
		"endless names, version 0": {long, nil, "bytes in an answer"},
		"endless names, version 2": {nil, long, "bytes in an answer"},
		"endless capabilities":     {capabilities, nil, "bytes of capabilities"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client().OpenFetch(t.Context(), hostile(t, c.first, c.later))
			wantError(t, err, c.text, false)
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	for name, c := range map[string]struct {
		first     http.HandlerFunc
		text      string
		temporary bool
	}{
		"nothing":              {text(""), "breaks off", true},
		"no packets":           {text("<html>"), "not speak Git's protocol", false},
		"cut off":              {text("003f" + someID), "breaks off", true},
		"another service":      {text("001f# service=git-receive-pack\n0000"), "answers for service", false},
		"unknown hash":         {text("000eversion 2\n0015object-format=md50000"), "object format", false},
		"error":                {text("003bERR no, git:sesame/street, no: Z2l0OnNlc2FtZS9zdHJlZXQ=\n"), "refuses: no, git:***, no: ***", false},
		"page":                 {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") }, "not Git's", false},
		"unauthorized":         {status(401), "authentication failed", false},
		"forbidden":            {status(403), "authentication failed", false},
		"not found":            {status(404), "does not exist", false},
		"busy":                 {status(503), "HTTP status", true},
		"too many":             {status(429), "HTTP status", true},
		"teapot":               {status(418), "HTTP status", false},
		"another host":         {redirect("http://127.0.0.2:1/evil.git/info/refs?service=git-upload-pack"), "another server", false},
		"another scheme":       {redirect("ftp://127.0.0.1/evil.git/info/refs?service=git-upload-pack"), "another server", false},
		"another page":         {redirect("/login"), "no Git repository", false},
		"round and round":      {redirect("/evil.git/info/refs?service=git-upload-pack"), "without end", false},
		"protocol of the past": {text("000eversion 1\n"), "breaks off", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client().OpenFetch(t.Context(), hostile(t, c.first, nil))
			wantError(t, err, c.text, c.temporary)
		})
	}
}

func TestRedirectOnTheSameServerIsFollowed(t *testing.T) {
	t.Parallel()
	s, repo := host(t)
	s.Username, s.Password = "git", "sesame"
	repo.Commit("main", "first", gittestFiles)
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/old/") {
			return false
		}
		to := strings.Replace(r.URL.RequestURI(), "/old/name.git", "/team/app.git", 1)
		http.Redirect(w, r, to, http.StatusMovedPermanently)
		return true
	})
	r := remote(s)
	r.URL = s.URL + "/old/name.git"
	session, err := New(http.DefaultClient, Options{}).OpenFetch(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got := refsOf(session); got["refs/heads/main"] == "" {
		t.Errorf("refs are %v", got)
	}
	for _, request := range s.Requests() {
		if strings.HasPrefix(request, "POST /old/") {
			t.Errorf("the conversation goes on at the old address: %s", request)
		}
	}
}

func TestHostilePacks(t *testing.T) {
	t.Parallel()
	fetch := func(t *testing.T, ctx context.Context, answer http.HandlerFunc) error {
		asked := 0
		r := hostile(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked == 1 {
				_, _ = io.WriteString(w, "0000")
				return
			}
			answer(w, r)
		})
		session, err := client().OpenFetch(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return session.Fetch(ctx, []git.ObjectID{id(t, someID)}, nil, func(r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	}
	start := func(w *protocol.Writer, n int, packet string) error {
		if n == 0 {
			return w.Line("packfile")
		}
		return w.Packet([]byte(packet))
	}
	for name, c := range map[string]struct {
		packet, text string
	}{
		"endless progress": {"\x02" + strings.Repeat("still at it ", 1000), "bytes in an answer"},
		"endless silence":  {"\x01", "bytes in an answer"},
		"endless pack":     {"\x01" + strings.Repeat("PACK", 1000), "bytes in an answer"},
		"unknown band":     {"\x07hello", "side-band 7"},
		"empty packet":     {"", "unexpected data packet"},
		"fatal":            {"\x03no, sesame/street", "refuses: no, ***"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, fetch(t, t.Context(), endless(func(w *protocol.Writer, n int) error { return start(w, n, c.packet) })), c.text, false)
		})
	}
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		err := fetch(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "000dpackfile\n0009\x01PACK") })
		wantError(t, err, "breaks off", true)
	})
	t.Run("no pack", func(t *testing.T) {
		t.Parallel()
		err := fetch(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0000") })
		wantError(t, err, "expected a pack", false)
	})
	t.Run("no time left", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		err := fetch(t, ctx, func(http.ResponseWriter, *http.Request) {})
		wantError(t, err, "too long", true)
	})
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		err := fetch(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "000dpackfile\n0009\x01PACK")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		wantError(t, err, "too long", true)
	})
	t.Run("silence from the beginning", func(t *testing.T) {
		t.Parallel()
		err := fetch(t, t.Context(), func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client leaves
			<-r.Context().Done()
		})
		wantError(t, err, "too long", true)
	})
	t.Run("the caller's own error", func(t *testing.T) {
		t.Parallel()
		s, repo := host(t)
		commit := id(t, repo.Commit("main", "first", gittestFiles))
		session, err := client().OpenFetch(t.Context(), remote(s))
		if err != nil {
			t.Fatal(err)
		}
		mine := errors.New("mine")
		if err := session.Fetch(t.Context(), []git.ObjectID{commit}, nil, func(io.Reader) error { return mine }); err != mine {
			t.Errorf("got %v", err)
		}
	})
}
