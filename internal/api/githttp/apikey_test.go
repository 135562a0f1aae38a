package githttp_test

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// TestGitByAPIKeys asks with keys of every reach, and pushes and clones with
// one.
func TestGitByAPIKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	key := func(access cairn.Access, repos ...cairn.RepositoryID) string {
		made, err := s.service.CreateAPIKey(ctx, s.admin, service.NewAPIKey{Access: []cairn.Access{access}, Repositories: repos})
		check(t, err)
		return made.Text
	}
	site, err := s.service.CreateRepository(ctx, s.admin, service.NewRepository{Name: "team/site"})
	check(t, err)
	_, err = s.service.CreateRepository(ctx, s.admin, service.NewRepository{Name: "lib"})
	check(t, err)
	write, read, bound := key(cairn.WriteAccess), key(cairn.ReadAccess), key(cairn.WriteAccess, site.Repository)

	work := gittest.Init(t)
	work.Commit("main", "first", gittest.Files{"a.txt": "a\n"})
	work.Git("push", "-q", s.as("t", bound, "acme/team/site.git"), "main")
	work.Git("fetch", "-q", s.as("t", read, "acme/team/site.git"), "main")
	for _, c := range []struct {
		key, path, service string
		status             int
	}{
		{write, "acme/lib.git", "git-receive-pack", 200}, {read, "acme/lib.git", "git-upload-pack", 200}, {read, "acme/lib.git", "git-receive-pack", 403},
		{bound, "acme/lib.git", "git-upload-pack", 403}, {bound, "acme/nothing.git", "git-upload-pack", 403}, {write, "acme/nothing.git", "git-upload-pack", 404},
		{write, "evil/lib.git", "git-upload-pack", 404}, {write, "lib.git", "git-upload-pack", 404}, {write + "x", "acme/lib.git", "git-upload-pack", 401},
		{"mesa_", "acme/lib.git", "git-upload-pack", 401},
	} {
		if status, text := s.advertise(s.as("t", c.key, c.path), c.service); status != c.status {
			t.Errorf("%.12s, %s of %s: %d %s, want %d", c.key, c.service, c.path, status, text, c.status)
		}
	}
}
