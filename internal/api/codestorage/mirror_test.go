package codestorage_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/upstream"
)

// mirrors is a world whose repositories can follow those of a stock server on
// loopback.
type mirrors struct {
	*world
	t        testing.TB
	upstream *gittest.HTTPServer
	host     string
	metadata *sqlite.Metadata
	log      *logged
}

// logged is what a server wrote into its log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func newMirrors(t *testing.T, change ...func(*service.Options)) *mirrors {
	t.Helper()
	metadata, err := sqlite.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := &mirrors{t: t, metadata: metadata, log: &logged{}}
	m.upstream = gittest.ServeHTTP(t, t.TempDir())
	m.host = strings.TrimPrefix(m.upstream.URL, "http://")
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	out := egress.New(egress.Options{Allow: loopback})
	t.Cleanup(func() { out.Close() })
	m.world = newWorldOver(t, metadata, func(o *service.Options) {
		o.Logger = slog.New(slog.NewTextHandler(m.log, nil))
		o.Upstreams = upstream.New(out.Client(egress.Budget{}), upstream.Options{})
		o.PlainUpstreams = loopback
		for _, c := range change {
			c(o)
		}
	})
	return m
}

// hosted makes a bare repository on the stock server.
func (m *mirrors) hosted(name string) *gittest.Repo {
	m.t.Helper()
	return m.upstream.Host(m.t, name)
}

// base is a base_repo of the stock server.
func (m *mirrors) base(provider, owner, name string, auth map[string]any) map[string]any {
	base := map[string]any{"provider": provider, "owner": owner, "name": name, "upstream_host": m.host}
	if auth != nil {
		base["auth"] = auth
	}
	return map[string]any{"default_branch": "main", "base_repo": base}
}

var (
	public   = map[string]any{"auth_type": "public"}
	withAuth = map[string]any{"auth_type": "credential", "username": "bot", "password": "sesame/street"}
)

// mirror creates a repository that follows team/app of the stock server.
func (m *mirrors) mirror(name, provider string, auth map[string]any) *repo {
	m.t.Helper()
	r := &repo{world: m.world, t: m.t, name: name, token: m.token(m.t, name, nil)}
	r.post("/api/v1/repos", m.base(provider, "team", "app", auth)).want(m.t, 201)
	return r
}

// runJobs does the syncs that are due; it returns their errors.
func (m *mirrors) runJobs() (failures []error) {
	m.t.Helper()
	return apitest.RunJobs(m.t, m.metadata, service.SyncJob, m.service.RunSync)
}

func (m *mirrors) inUpdate(f func(cairn.Tx) error) {
	m.t.Helper()
	if err := m.metadata.Update(m.t.Context(), f); err != nil {
		m.t.Fatal(err)
	}
}

// synced runs the jobs, which must succeed.
func (m *mirrors) synced() {
	m.t.Helper()
	if failures := m.runJobs(); len(failures) > 0 {
		m.t.Fatalf("sync: %v", failures)
	}
}

func (r *repo) pull() {
	r.t.Helper()
	got := r.post("/api/v1/repos/pull-upstream", map[string]any{}).want(r.t, 202)
	if text := got.at(r.t, "message"); text != "Repository sync initiated successfully" {
		r.t.Errorf("message %q", text)
	}
}

// refs are the branches and tags of the repository as its store has them.
func (r *repo) refs() map[string]string {
	r.t.Helper()
	found, err := r.service.Repository(r.t.Context(), cairn.Actor{Organization: r.organization(), Admin: true}, cairn.RepositoryName(r.name))
	if err != nil {
		r.t.Fatal(err)
	}
	sn, err := r.store.SnapshotOf(r.t.Context(), found.RepositoryKey)
	if err != nil {
		r.t.Fatal(err)
	}
	defer sn.Close()
	refs := map[string]string{}
	for _, ref := range sn.Refs() {
		refs[string(ref.Name)] = ref.Target.String()
	}
	return refs
}

func (w *world) organization() cairn.Organization {
	who, err := w.service.Operator(context.Background(), cairn.Actor{Admin: true}, cairn.OrganizationName(w.org))
	if err != nil {
		panic(err)
	}
	return who.Organization
}

// wantRefs compares the refs with those of the upstream, with some more.
func (r *repo) wantRefs(upstream *gittest.Repo, more map[string]string) {
	r.t.Helper()
	want := map[string]string{}
	for name, id := range upstream.Refs() {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			want[name] = id
		}
	}
	for name, id := range more {
		want[name] = id
	}
	got := r.refs()
	for name, id := range want {
		if got[name] != id {
			r.t.Errorf("%s is at %q, want %q", name, got[name], id)
		}
	}
	for name := range got {
		if want[name] == "" {
			r.t.Errorf("%s is there", name)
		}
	}
}

// check runs the store's own fsck.
func (r *repo) check() {
	r.t.Helper()
	found, err := r.service.Repository(r.t.Context(), cairn.Actor{Organization: r.organization(), Admin: true}, cairn.RepositoryName(r.name))
	if err != nil {
		r.t.Fatal(err)
	}
	result, err := r.store.Check(r.t.Context(), found.RepositoryKey, nil)
	if err != nil || len(result.Problems) > 0 {
		r.t.Errorf("fsck: %v, %v", err, result.Problems)
	}
}

func (r *repo) status() string {
	r.t.Helper()
	status, _ := r.get("/api/v1/repo").want(r.t, 200).at(r.t, "sync.status").(string)
	return status
}
