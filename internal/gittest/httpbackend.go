package gittest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// HTTPServer is stock git http-backend(1) behind an HTTP server on loopback. It
// serves the repositories below a directory, for fetches and pushes.
type HTTPServer struct {
	URL string

	// Username and Password, if set before the first request, are required
	// from every client.
	Username, Password string
	// OldProtocol makes the server know versions 0 and 1 only.
	OldProtocol bool

	root   string
	mu     sync.Mutex
	log    []string
	before func(w http.ResponseWriter, r *http.Request) bool
}

// ServeHTTP starts a server of the repositories below root. It ends with the
// test.
func ServeHTTP(t testing.TB, root string) *HTTPServer {
	t.Helper()
	s := &HTTPServer{root: root}
	backend := filepath.Join(Git(t, root, "--exec-path"), "git-http-backend")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, &cgi.Handler{
			Path:   backend,
			Root:   "/",
			Stderr: io.Discard,
			Env:    Env("GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester"),
		})
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Host makes an empty bare repository that the server has at /name.git.
func (s *HTTPServer) Host(t testing.TB, name string) *Repo {
	t.Helper()
	dir := filepath.Join(s.root, filepath.FromSlash(name)+".git")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	Git(t, dir, "init", "-q", "--bare", ".")
	return Open(t, dir)
}

// Intercept sets what sees each request before git does, and may answer it: it
// then returns true.
func (s *HTTPServer) Intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Requests returns method and address of the requests so far.
func (s *HTTPServer) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

func (s *HTTPServer) serve(w http.ResponseWriter, r *http.Request, git *cgi.Handler) {
	s.mu.Lock()
	s.log = append(s.log, r.Method+" "+r.URL.RequestURI())
	before := s.before
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	user, password, _ := r.BasicAuth()
	if s.Password != "" && (user != s.Username || password != s.Password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if s.OldProtocol {
		r.Header.Del("Git-Protocol")
	}
	r.Header.Del("Authorization")
	if r.ContentLength < 0 { // which CGI does not know
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}
	git.Env = append(git.Env, "GIT_PROTOCOL="+strings.TrimSpace(r.Header.Get("Git-Protocol")))
	git.ServeHTTP(w, r)
}
