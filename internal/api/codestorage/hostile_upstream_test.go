package codestorage_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/gittest/hostile"
	"github.com/cairn-storage/cairn/internal/service"
)

// evil serves those refs at every address, in version 0 of Git's protocol
// without one capability, and answers whoever fetches as told. Mirrors that are
// made from then on follow it.
func (m *mirrors) evil(t *testing.T, refs [][2]string, fetched func(w http.ResponseWriter, r *http.Request)) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			io.WriteString(w, packet("NAK\n"))
			fetched(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		io.WriteString(w, packet("# service=git-upload-pack\n")+"0000")
		end := "\x00agent=evil\n"
		for _, ref := range refs {
			io.WriteString(w, packet(ref[0]+" "+ref[1]+end))
			end = "\n"
		}
		io.WriteString(w, "0000")
	}))
	t.Cleanup(server.Close)
	m.host = strings.TrimPrefix(server.URL, "http://")
}

func packet(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// TestHostilePacksOfUpstreams: what an upstream sends is held to what a push is
// held to, and nothing of it is kept.
func TestHostilePacksOfUpstreams(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	for _, name := range []string{
		"zlib-bomb", "zlib-bomb-tree", "delta-bomb", "missing-tip", "missing-tree", "missing-parent", "tree-as-parent", "tree-dotdot",
		"tree-null-id", "wrong-trailer", "trailing-pack", "count-4294967295",
	} {
		c := hostile.Named(name)
		push := c.Make()
		m.evil(t, [][2]string{{push.Tip.String(), "refs/heads/main"}}, func(w http.ResponseWriter, _ *http.Request) { w.Write(push.Pack) })
		r := m.mirror(name, "gitea", public)
		if failures := m.runJobs(); len(failures) == 0 {
			t.Errorf("%s: it was taken over", name)
		}
		got := r.get("/api/v1/repo").want(t, 200)
		if text := fmt.Sprint(got.at(t, "sync.error")); got.at(t, "sync.status") != "failed" || !strings.Contains(text, c.Reason) {
			t.Errorf("%s: got %s, want the reason %q", name, got.body, c.Reason)
		}
		if refs := r.refs(); len(refs) > 0 {
			t.Errorf("%s: refs %v", name, refs)
		}
		r.check()
	}
}

// TestDangerousRefsOfUpstreams: names that are none are passed over, and so is
// what is neither branch nor tag.
func TestDangerousRefsOfUpstreams(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	tip := up.Commit("main", "first", gittest.Files{"a": "1\n"})
	pack := up.GitInput(tip+"\n", "pack-objects", "--revs", "--stdout", "-q")
	refs := [][2]string{{tip, "HEAD"}, {tip, "refs/heads/main"}}
	for _, name := range []string{
		"refs/heads/../../HEAD", "refs/heads/a..b", "refs/heads/.hidden", "refs/heads/a.lock", "refs/heads/a.lock/b", "refs/heads/", "refs/heads//a",
		"refs/heads/a b", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a[b", "refs/heads/a\\b", "refs/heads/@{x",
		"refs/heads/a\x7f", "refs/heads/a\x01", "refs/heads/a.", "../refs/heads/a", "/etc/passwd", "objects/aa", "refs/tags/..", "refs",
		"refs/namespaces/ephemeral/refs/heads/agent", "refs/notes/commits", "refs/pull/1/head", "refs/heads/" + strings.Repeat("n", 5000),
	} {
		refs = append(refs, [2]string{tip, name})
	}
	m.evil(t, refs, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, pack) })
	r := m.mirror("mirror", "gitea", public)
	m.synced()
	r.wantRefs(up, nil)
	r.check()
}

// TestDrippingUpstream: an upstream that sends a byte now and then does not
// hold a sync beyond its time.
func TestDrippingUpstream(t *testing.T) {
	t.Parallel()
	m := newMirrors(t, func(o *service.Options) { o.Limits.SyncTime = 100 * time.Millisecond })
	left := make(chan struct{}, 100)
	m.evil(t, [][2]string{{strings.Repeat("1", 40), "refs/heads/main"}}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "PACK\x00\x00\x00\x02\x00\x00\x00\x01")
		drip := time.NewTicker(5 * time.Millisecond)
		defer drip.Stop()
		for {
			select {
			case <-r.Context().Done():
				left <- struct{}{}
				return
			case <-drip.C:
				io.WriteString(w, "\xff") // a size without end
				http.NewResponseController(w).Flush()
			}
		}
	})
	r := m.mirror("mirror", "gitea", public)
	if failures := m.runJobs(); len(failures) == 0 {
		t.Error("it was taken over")
	}
	<-left
	if got := r.get("/api/v1/repo").want(t, 200); got.at(t, "sync.status") != "failed" || got.at(t, "sync.error") == nil {
		t.Errorf("got %s", got.body)
	}
}

// TestSyncOfManyRefs moves more refs than one transaction does.
func TestSyncOfManyRefs(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	up := m.hosted("team/app")
	tips := []string{up.Commit("main", "first", gittest.Files{"a": "1\n"}), up.Commit("main", "second", gittest.Files{"a": "2\n"})}
	store := func(tip string, first, last int) {
		var text strings.Builder
		fmt.Fprintf(&text, "# pack-refs with: peeled fully-peeled sorted \n")
		for i := first; i < last; i++ {
			fmt.Fprintf(&text, "%s refs/tags/t%05d\n", tip, i)
		}
		if err := os.WriteFile(filepath.Join(up.Dir, "packed-refs"), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store(tips[0], 0, 6000)
	r := m.mirror("mirror", "gitea", public)
	m.synced()
	r.wantRefs(up, nil)
	store(tips[1], 500, 6500)
	r.pull()
	m.synced()
	r.wantRefs(up, nil)
	if n := len(r.refs()); n != 6001 {
		t.Errorf("%d refs", n)
	}
	r.check()
}
