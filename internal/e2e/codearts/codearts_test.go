// Package codearts runs the official SDK of CodeArts Repo, unmodified, against a
// server. The SDK is in a module of its own, in sdk.
package codearts

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/client"
	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/server"
)

func TestOfficialSDK(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.Listen, c.OpsListen = "127.0.0.1:0", ""
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s, err := server.Start(t.Context(), c, slog.New(slog.NewTextHandler(io.Discard, nil)), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	operator, err := client.NewOperator(s.URL(), s.AdminToken(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := operator.CreateOrganization(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	key, err := operator.CreateAccessKey(ctx, "acme", client.NewAccessKey{Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := operator.CreateProject(ctx, "acme", "web")
	if err != nil {
		t.Fatal(err)
	}
	const password = "correct horse"
	user, err := operator.CreateUser(ctx, client.NewUser{Name: "bea", Email: "bea@example.com", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	upstreams := t.TempDir()
	gittest.Git(t, upstreams, "init", "-q", "--bare", "-b", "trunk", "owner/source.git")
	source := filepath.Join(upstreams, "owner", "source.git")
	tree := strings.TrimSpace(gittest.Git(t, source, "hash-object", "-w", "-t", "tree", "/dev/null"))
	commit := strings.TrimSpace(gittest.Git(t, source, "commit-tree", "-m", "Theirs", tree))
	gittest.Git(t, source, "update-ref", "refs/heads/trunk", commit)
	upstream := gittest.ServeHTTP(t, upstreams)

	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "./...")
	cmd.Dir = "sdk"
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod",
		"CAIRN_TEST_SERVER="+s.URL(), "CAIRN_TEST_ACCESS_KEY="+key.ID, "CAIRN_TEST_SECRET_KEY="+key.Secret,
		"CAIRN_TEST_USER="+user.Name, "CAIRN_TEST_USER_ID="+user.ID, "CAIRN_TEST_PASSWORD="+password,
		"CAIRN_TEST_PROJECT="+project.ID, "CAIRN_TEST_UPSTREAM="+upstream.URL+"/owner/source.git", "CAIRN_TEST_UPSTREAM_TIP="+commit,
	)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSDK") {
		t.Errorf("%v\n%s", err, out)
	}
}
