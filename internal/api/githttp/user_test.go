package githttp_test

import (
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// as is the address of a repository with a user's credential in it.
func (s *server) as(name, password, path string) string {
	u, err := url.Parse(s.url)
	check(s.t, err)
	u.User = url.UserPassword(name, password)
	return u.String() + "/" + path
}

// advertise asks for the refs of a repository, as git's first request does.
func (s *server) advertise(address, pack string) (int, string) {
	s.t.Helper()
	response, err := http.Get(address + "/info/refs?service=" + pack)
	check(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(s.t, err)
	return response.StatusCode, string(text)
}

func TestGitByUsers(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	operator := cairn.Actor{Admin: true, Name: "admin"}
	for _, name := range []string{"ada", "reader", "writer", "stranger"} {
		_, err := s.service.CreateUser(ctx, operator, service.NewUser{Name: name, Password: "pass of " + name})
		check(t, err)
	}
	token, _, err := s.service.CreateUserToken(ctx, operator, "ada", "git")
	check(t, err)
	in, err := s.service.LoginToken(ctx, token)
	check(t, err)
	for _, repo := range []service.NewRepository{{Name: "site"}, {Name: "open", Public: true}} {
		who, err := s.service.OwnerIn(ctx, in, "ada", repo.Name)
		check(t, err)
		_, err = s.service.CreateRepository(ctx, who, repo)
		check(t, err)
		check(t, s.service.Grant(ctx, who, repo.Name, "reader", cairn.ReaderRole))
		check(t, s.service.Grant(ctx, who, repo.Name, "writer", cairn.WriterRole))
	}
	work := gittest.Init(t)
	work.Commit("main", "first", gittest.Files{"a.txt": "a\n"})
	for i, remote := range []string{
		s.as("ada", "pass of ada", "ada/site.git"), s.as(token, "x", "ada/site.git"), s.as("x", token, "Ada/SITE.git"), s.as("writer", "pass of writer", "ada/site.git"),
	} {
		work.Commit("main", "more", gittest.Files{"a.txt": strings.Repeat("x", i)})
		work.Git("push", "-q", remote, "main")
		dir := filepath.Join(t.TempDir(), "clone")
		work.Git("clone", "-q", "-b", "main", remote, dir)
	}
	work.Git("push", "-q", s.as("ada", token, "ada/open.git"), "main")
	for _, c := range []struct {
		who, path, service string
		status             int
	}{
		{"", "ada/site.git", "git-upload-pack", 401}, {"", "ada/nothing.git", "git-upload-pack", 401}, {"", "nobody/nothing.git", "git-upload-pack", 401},
		{"", "ada/open.git", "git-upload-pack", 200}, {"", "ada/open.git", "git-receive-pack", 401},
		{"reader:pass of reader", "ada/site.git", "git-upload-pack", 200}, {"reader:pass of reader", "ada/site.git", "git-receive-pack", 403},
		{"reader:pass of ada", "ada/site.git", "git-upload-pack", 401}, {"reader:", "ada/open.git", "git-upload-pack", 401},
		{"stranger:pass of stranger", "ada/site.git", "git-upload-pack", 404}, {"stranger:pass of stranger", "ada/nothing.git", "git-upload-pack", 404},
		{"stranger:pass of stranger", "ada/open.git", "git-upload-pack", 200}, {"stranger:pass of stranger", "ada/open.git", "git-receive-pack", 403},
		{"stranger:pass of stranger", "ada/site.git", "git-receive-pack", 404}, {"ada:pass of ada", "acme/site.git", "git-upload-pack", 404},
	} {
		name, password, given := strings.Cut(c.who, ":")
		address := s.url + "/" + c.path
		if given {
			address = s.as(name, password, c.path)
		}
		if status, text := s.advertise(address, c.service); status != c.status {
			t.Errorf("%q, %s of %s: %d %s, want %d", c.who, c.service, c.path, status, text, c.status)
		}
	}
}

// TestReadIsNotTakenForWrite asks for a push under the name of a fetch: what
// counts is the request that carries it out.
func TestReadIsNotTakenForWrite(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	operator := cairn.Actor{Admin: true, Name: "admin"}
	made, err := s.service.CreateUser(ctx, operator, service.NewUser{Name: "ada", Password: "x"})
	check(t, err)
	who, err := s.service.OwnerIn(ctx, service.Login{User: made}, "ada", "open")
	check(t, err)
	_, err = s.service.CreateRepository(ctx, who, service.NewRepository{Name: "open", Public: true})
	check(t, err)
	response, err := http.Post(s.url+"/ada/open.git/git-receive-pack?service=git-upload-pack", "application/x-git-receive-pack-request", strings.NewReader("0000"))
	check(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a push without a credential is answered %d", response.StatusCode)
	}
}
