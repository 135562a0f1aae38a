package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// newUpstream serves a bare repository team/app with one commit on main, as
// stock git does it, to who knows the password.
func newUpstream(t *testing.T) (*gittest.HTTPServer, *gittest.Repo) {
	t.Helper()
	served := gittest.ServeHTTP(t, t.TempDir())
	repo := served.Host(t, "team/app")
	repo.Commit("main", "first", gittest.Files{"a": "1\n"})
	served.Username, served.Password = "bot", "sesame"
	return served, repo
}

// follow creates a repository that follows team/app of a server as GitHub's are
// followed.
func (s *server) follow(name string, upstream *gittest.HTTPServer) {
	s.t.Helper()
	body := fmt.Sprintf(`{"base_repo":{"provider":"github","owner":"team","name":"app","upstream_host":%q,
		"auth":{"auth_type":"credential","username":"bot","password":"sesame"}}}`, strings.TrimPrefix(upstream.URL, "http://"))
	if status, err := s.call(s.t.Context(), "POST", "/api/v1/repos", name, strings.NewReader(body), nil); err != nil || status != http.StatusCreated {
		s.t.Fatalf("follow: %d %v", status, err)
	}
}

// synced waits until the last sync of a repository has succeeded.
func (s *server) synced(name string, runs int) {
	s.t.Helper()
	var r struct {
		Sync struct {
			Status, Error string
			Runs          int `json:"run_count"`
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, err := s.call(s.t.Context(), "GET", "/api/v1/repo", name, nil, &r)
		switch {
		case err != nil || r.Sync.Status == "failed" || time.Now().After(deadline):
			s.t.Fatalf("sync of %s: %+v %v\n%s", name, r, err, s.log)
		case r.Sync.Status == "succeeded" && r.Sync.Runs >= runs:
			return
		}
	}
}

// TestKillDuringSync kills the server while an exchange that the Mesa API asked
// for waits for its upstream. It goes on after the restart, in either direction.
func TestKillDuringSync(t *testing.T) {
	t.Parallel()
	upstream, up := newUpstream(t)
	s := newServer(t, "--egress-allow", "127.0.0.0/8")
	var key struct{ Key string }
	if err := json.Unmarshal([]byte(s.cairn("api-key", "create", "--org", "acme", "--scope", "write", "--json")), &key); err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) (answer struct {
		ID, Status, Error string
		Attempt           int
	}) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url("/v1/acme/"+path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key.Key)
		response, err := anyServer.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %v", method, path, response.StatusCode, err)
		}
		return answer
	}
	call("POST", "repos", fmt.Sprintf(`{"name":"app","upstream":{"url":"%s/team/app.git","auth":{"kind":"token","token":"sesame","token_username":"bot"}}}`, upstream.URL))
	for _, direction := range []string{"pull", "push"} {
		asked, proceed := make(chan struct{}, 10), make(chan struct{})
		upstream.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			asked <- struct{}{}
			select {
			case <-proceed:
			case <-r.Context().Done():
			}
			return false
		})
		id := call("POST", "app/upstream/syncs", `{"direction":"`+direction+`"}`).ID
		<-asked
		if now := call("GET", "app/upstream/syncs/"+id, ""); now.Status != "in_progress" || now.Attempt != 1 {
			t.Errorf("%s before the kill: %+v", direction, now)
		}
		_ = s.stop(syscall.SIGKILL)
		close(proceed)
		s.start()
		now := call("GET", "app/upstream/syncs/"+id, "")
		for deadline := time.Now().Add(time.Minute); now.Status == "in_progress" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			now = call("GET", "app/upstream/syncs/"+id, "")
		}
		if now.Status != "completed" || now.Attempt < 2 {
			t.Fatalf("%s after the kill: %+v\n%s", direction, now, s.log)
		}
		if here, err := s.tip(t.Context(), "app", "main"); err != nil || here != up.RevParse("main") {
			t.Errorf("%s: main is at %s here, %v", direction, here, err)
		}
		// What is to be pushed next.
		clone := t.TempDir()
		gittest.Git(t, clone, "clone", "-q", s.remote("app"), ".")
		gittest.Git(t, clone, "commit", "-q", "--allow-empty", "-m", "next")
		gittest.Git(t, clone, "push", "-q", "origin", "main")
	}
	if _, err := s.tryCairn("fsck", "--org", "acme"); err != nil {
		t.Error(err)
	}
	gittest.Fsck(t, up.Dir)
}

// refused runs a git command that must fail with that text.
func refused(t *testing.T, dir, text string, args ...string) {
	t.Helper()
	if _, err := gittest.GitErr(t, dir, args...); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("git %s: got %v, want %q", args[0], err, text)
	}
}

// TestGitClientOfAnUpstream: what a stock git client is told during the first
// sync, and that its pushes go through to GitHub, or end with GitHub's words.
func TestGitClientOfAnUpstream(t *testing.T) {
	t.Parallel()
	upstream, up := newUpstream(t)
	s := newServer(t, "--egress-allow", "127.0.0.0/8")
	proceed := make(chan struct{})
	upstream.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-proceed:
		case <-r.Context().Done():
		}
		return false
	})
	s.follow("mirror", upstream)
	remote := s.remote("mirror")
	for _, args := range [][]string{{"ls-remote", remote}, {"clone", "-q", remote, "early"}, {"push", "-q", remote, "main"}} {
		refused(t, up.Dir, "repository sync in progress. please retry shortly", args...)
	}
	close(proceed)
	s.synced("mirror", 1)

	clone := t.TempDir()
	gittest.Git(t, clone, "clone", "-q", remote, ".")
	commit := func(content string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(clone, "a"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		gittest.Git(t, clone, "commit", "-q", "-a", "-m", content)
		return strings.TrimSpace(gittest.Git(t, clone, "rev-parse", "HEAD"))
	}
	same := func(what, main string) {
		t.Helper()
		here, err := s.tip(t.Context(), "mirror", "main")
		if there := up.RevParse("main"); err != nil || here != main || there != main {
			t.Errorf("%s: main is at %s here and at %s there, want %s (%v)", what, here, there, main, err)
		}
	}
	pushed := commit("2")
	gittest.Git(t, clone, "tag", "v1")
	gittest.Git(t, clone, "push", "-q", "origin", "main", "main:topic", "v1")
	same("after a push", pushed)
	gittest.Git(t, clone, "push", "-q", "origin", ":topic")
	if refs := up.Refs(); refs["refs/tags/v1"] != pushed || refs["refs/heads/topic"] != "" {
		t.Errorf("upstream has %v", refs)
	}
	gittest.Fsck(t, up.Dir)

	hook := filepath.Join(up.Dir, "hooks", "pre-receive")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'GH006: Protected branch' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	own := commit("3")
	refused(t, clone, "GH006: Protected branch", "push", "origin", "main")
	same("after a refusal", pushed)
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}

	theirs := up.Commit("main", "theirs", gittest.Files{"theirs": "1\n"})
	refused(t, clone, "it is being pulled, fetch and try again", "push", "origin", "main")
	s.synced("mirror", 2)
	same("after the upstream was pulled", theirs)
	gittest.Git(t, clone, "pull", "-q", "--rebase")
	gittest.Git(t, clone, "push", "-q", "origin", "main")
	if now := strings.TrimSpace(gittest.Git(t, clone, "rev-parse", "HEAD")); now == own {
		t.Error("nothing was rebased")
	} else {
		same("in the end", now)
	}
}
