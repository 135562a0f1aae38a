package githttp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/githttp"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
	"github.com/cairn-storage/cairn/internal/secret"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/dir"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

const adminToken = "test-admin-token"

// server is the face over real stores, with one organization, acme.
type server struct {
	t       testing.TB
	url     string
	service *service.Service
	store   *odb.Store
	bucket  *dir.Bucket
	root    string
	admin   cairn.Actor
	key     *ecdsa.PrivateKey
	gate    *admission.Gate
}

type config struct {
	odb     odb.Options
	limits  service.Limits
	options githttp.Options
	tls     bool
	// metadata, if not nil, is given the store to wrap it.
	metadata func(cairn.Metadata) cairn.Metadata
	gate     admission.Options
}

func start(t testing.TB, change ...func(*config)) *server {
	t.Helper()
	var c config
	for _, f := range change {
		f(&c)
	}
	s := &server{t: t, root: t.TempDir()}
	ctx := context.Background()
	metadata, err := sqlite.OpenMemory(ctx)
	check(t, err)
	t.Cleanup(func() { metadata.Close() })
	s.bucket, err = dir.Open(filepath.Join(s.root, "bucket"))
	check(t, err)
	c.odb.Metadata, c.odb.Bucket, c.odb.ScratchDir = metadata, s.bucket, filepath.Join(s.root, "scratch")
	if _, measured := t.(*testing.B); !measured && c.metadata == nil {
		c.odb.Metadata = storagetest.Rerunning{Metadata: metadata}
	}
	if c.metadata != nil {
		c.odb.Metadata = c.metadata(metadata)
	}
	s.store, err = odb.Open(c.odb)
	check(t, err)
	t.Cleanup(func() { s.store.Close() })
	secrets, err := secret.Parse(secret.NewKey())
	check(t, err)
	s.service = service.New(service.Options{Store: s.store, Limits: c.limits, Secrets: secrets})
	operator := cairn.Actor{Admin: true, Name: "admin"}
	_, err = s.service.CreateOrganization(ctx, operator, "acme")
	check(t, err)
	s.admin, err = s.service.Operator(ctx, operator, "acme")
	check(t, err)
	s.key = s.newKey("acme")
	face := githttp.New(s.service, api.NewAuth(s.service, adminToken), c.options)
	s.gate = admission.New(c.gate)
	handler := api.Edge(face, api.EdgeOptions{Logger: slog.New(slog.DiscardHandler), Timeout: time.Hour, Gate: s.gate})
	web := httptest.NewUnstartedServer(handler)
	if c.tls {
		web.EnableHTTP2 = true
		web.StartTLS()
	} else {
		web.Start()
	}
	t.Cleanup(web.Close)
	s.url = web.URL
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newKey registers a key for an organization.
func (s *server) newKey(org cairn.OrganizationName) *ecdsa.PrivateKey {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(s.t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(s.t, err)
	_, err = s.service.AddKey(context.Background(), s.admin, org, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	check(s.t, err)
	return key
}

// create makes an empty repository.
func (s *server) create(name string) cairn.RepositoryKey {
	s.t.Helper()
	r, err := s.service.CreateRepository(context.Background(), s.admin, service.NewRepository{Name: cairn.RepositoryName(name)})
	check(s.t, err)
	return r.RepositoryKey
}

// token signs claims over those of a token that may do everything to a
// repository of acme.
func (s *server) token(repo string, more ...jwt.MapClaims) string {
	s.t.Helper()
	claims := jwt.MapClaims{
		"iss": "acme", "sub": "test", "repo": repo, "scopes": []string{"git:read", "git:write"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for _, m := range more {
		for k, v := range m {
			claims[k] = v
		}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(s.key)
	check(s.t, err)
	return signed
}

// remote is the address of a repository with a token in it; suffix is "",
// "+ephemeral" or "+import".
func (s *server) remote(repo, suffix string, more ...jwt.MapClaims) string {
	s.t.Helper()
	return s.remoteFor(repo+suffix+".git", s.token(repo, more...))
}

func (s *server) remoteFor(path, token string) string {
	u, err := url.Parse(s.url)
	check(s.t, err)
	u.User = url.UserPassword("t", token)
	return u.String() + "/" + path
}

// snapshot opens the present state of a repository until the test ends.
func (s *server) snapshot(key cairn.RepositoryKey) *odb.Snapshot {
	s.t.Helper()
	sn, err := s.store.SnapshotOf(context.Background(), key)
	check(s.t, err)
	s.t.Cleanup(sn.Close)
	return sn
}

// setRef moves a ref behind the back of the Git protocol; an empty id deletes.
func (s *server) setRef(key cairn.RepositoryKey, name, id string) {
	s.t.Helper()
	u := cairn.RefUpdate{Name: git.RefName(name)}
	if r, ok := s.snapshot(key).Ref(u.Name); ok {
		u.Old = r.Target
	}
	if id != "" {
		u.New = git.MustParseObjectID(id)
	}
	_, err := s.store.Apply(context.Background(), key, odb.Update{Refs: []cairn.RefUpdate{u}})
	check(s.t, err)
}

// leftovers lists the files in the bucket and the scratch directory.
func (s *server) leftovers() []string {
	s.t.Helper()
	var names []string
	for _, d := range []string{"bucket", "scratch"} {
		check(s.t, filepath.WalkDir(filepath.Join(s.root, d), func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				names = append(names, path)
			}
			return err
		}))
	}
	return names
}

// fsck checks a repository on the server as a whole.
func (s *server) fsck(key cairn.RepositoryKey) {
	s.t.Helper()
	result, err := s.store.Check(context.Background(), key, nil)
	check(s.t, err)
	if len(result.Problems) > 0 {
		s.t.Errorf("the repository on the server is damaged:\n%s", strings.Join(result.Problems, "\n"))
	}
}

// run runs git and returns all that it printed.
func run(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := gittest.Command(t, dir, args...)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is run for what may not fail.
func must(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refused is run for what must fail, with these words in what git prints.
func refused(t testing.TB, dir string, words []string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, args...)
	if err == nil {
		t.Errorf("git %s: succeeded\n%s", strings.Join(args, " "), out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("git %s: want %q in\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

// clone clones and checks the clone.
func clone(t testing.TB, url string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, dir, slices.Concat([]string{"clone", "-q"}, args, []string{"--", url, dir})...)
	return dir
}

// protocols runs a test over both versions of the protocol.
func protocols(t *testing.T, f func(t *testing.T, version string)) {
	for _, v := range []int{0, 2} {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
			t.Parallel()
			f(t, fmt.Sprintf("protocol.version=%d", v))
		})
	}
}
