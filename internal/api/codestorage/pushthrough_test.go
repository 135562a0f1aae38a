package codestorage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestWritesToGitHubGoThrough shows that what the API writes is upstream first,
// and only here if the upstream takes it.
func TestWritesToGitHubGoThrough(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n", "dir/b": strings.Repeat("line\n", 500)})
	r := m.mirror("mirror", "github", withAuth)
	m.synced()
	s := &sample{repo: r}
	s.commit(object{"commit_message": "through the API"}, put("a", "2\n"))
	r.wantRefs(up, nil)
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "feature"}).want(t, 200)
	r.post("/api/v1/repos/tags", object{"name": "v1", "target": up.RevParse("main")}).want(t, 201)
	s.commit(object{"target_branch": "feature"}, put("large", strings.Repeat("0123456789abcdef", 100_000)))
	r.wantRefs(up, nil)
	r.call(t, r.token, "DELETE", "/api/v1/repos/branches", object{"name": "feature"}).want(t, 200)
	r.wantRefs(up, nil)
	if up.Refs()["refs/heads/feature"] != "" || up.Refs()["refs/tags/v1"] == "" {
		t.Errorf("upstream: %v", up.Refs())
	}
	gittest.Fsck(t, up.Dir)

	// What is ephemeral stays here.
	requests := len(m.upstream.Requests())
	draft := s.commit(object{"target_branch": "draft", "target_is_ephemeral": true, "base_branch": "main"}, put("draft", "d"))
	if got := len(m.upstream.Requests()); got != requests {
		t.Errorf("an ephemeral commit sends %d requests", got-requests)
	}
	local := map[string]string{"refs/namespaces/ephemeral/refs/heads/draft": draft}
	r.wantRefs(up, local)

	// The upstream refuses.
	hook := filepath.Join(up.Dir, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'GH006: Protected branch' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	metadata := object{"target_branch": "main", "commit_message": "no", "author": object{"name": "A", "email": "a@b"}, "files": []any{}}
	refused := r.post("/api/v1/repos/commit-pack", ndjson(object{"metadata": metadata})).want(t, 403)
	if text := fmt.Sprint(refused.at(t, "error")); !strings.Contains(text, "GH006: Protected branch") || refused.at(t, "result.status") != "forbidden" {
		t.Errorf("got %s", refused.body)
	}
	r.wantRefs(up, local)
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}

	// The upstream is elsewhere: 409, and it is pulled.
	up.Commit("main", "upstream's own", gittest.Files{"theirs": "1\n"})
	r.post("/api/v1/repos/commit-pack", ndjson(object{"metadata": metadata})).want(t, 409)
	m.synced()
	r.wantRefs(up, local)
	s.commit(object{"commit_message": "now it goes"}, put("a", "3\n"))
	r.wantRefs(up, local)

	// With a wrong credential nothing is written.
	m.upstream.Password = "changed"
	r.post("/api/v1/repos/commit-pack", ndjson(object{"metadata": metadata})).want(t, 403)
	m.upstream.Password = "sesame/street"
	r.wantRefs(up, local)
	r.check()
}
