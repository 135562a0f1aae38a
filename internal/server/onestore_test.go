package server

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/client"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// faceClient speaks one of the faces, as raw HTTP, with a credential of that
// face. Repositories go by their full names in the organization acme.
type faceClient interface {
	// create makes a repository and returns its name.
	create(t *testing.T) string
	// write puts one file on the default branch and returns the commit.
	write(t *testing.T, repo, path, content string) string
	// read returns a file of the default branch.
	read(t *testing.T, repo, path string) string
	// branches returns the commits of the branches by their names.
	branches(t *testing.T, repo string) map[string]string
	// list returns the names of the organization's repositories.
	list(t *testing.T) []string
	// find asks for a repository, and returns the status of the answer and the
	// one that the face documents for what is not there.
	find(t *testing.T, repo string) (status, missing int)
	remove(t *testing.T, repo string)
	// remote is the repository's address for Git, with the credential.
	remote(t *testing.T, repo string) string
}

// object is some JSON that is sent.
type object map[string]any

// sender sends requests with a header that says who sends them.
type sender struct{ base, header, credential string }

// send sends a request with a body that is read or encoded, if there is one, and
// returns the answer's status and text.
func (s sender) send(t *testing.T, method, path string, body any) (int, string) {
	t.Helper()
	payload, isText := body.(io.Reader)
	if !isText {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	if body == nil {
		payload = http.NoBody
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.base+path, payload)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(s.header, s.credential)
	r.Header.Set("Content-Type", "application/json")
	return do(t, r)
}

// must sends a request that must go well and reads the answer, JSON or text,
// into a value, unless that is nil.
func (s sender) must(t *testing.T, method, path string, body, into any) {
	t.Helper()
	status, text := s.send(t, method, path, body)
	if status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	switch into := into.(type) {
	case nil:
	case *string:
		*into = text
	default:
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// withUser puts a user and a password into the server's address.
func withUser(base, user, password string) string {
	return strings.Replace(base, "://", "://"+url.UserPassword(user, password).String()+"@", 1)
}

// codeStorageClient signs a token for each repository.
type codeStorageClient struct {
	base string
	key  ed25519.PrivateKey
}

func (c codeStorageClient) token(t *testing.T, repo string) string {
	t.Helper()
	token, err := client.SignToken(c.key, client.Claims{
		Organization: "acme", Repository: repo, Scopes: []string{"git:read", "git:write", "repo:write", "org:read"}, TTL: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (c codeStorageClient) in(t *testing.T, repo string) sender {
	t.Helper()
	return sender{c.base + "/api/v1/", "Authorization", "Bearer " + c.token(t, repo)}
}

func (c codeStorageClient) create(t *testing.T) string {
	t.Helper()
	c.in(t, "team/by-code-storage").must(t, "POST", "repos", object{"default_branch": "main"}, nil)
	return "team/by-code-storage"
}

func (c codeStorageClient) write(t *testing.T, repo, path, content string) string {
	t.Helper()
	var made struct {
		Commit struct {
			ID string `json:"commit_sha"`
		}
	}
	c.in(t, repo).must(t, "POST", "repos/commit-pack", commitBody(t, path, []byte(content)), &made)
	return made.Commit.ID
}

func (c codeStorageClient) read(t *testing.T, repo, path string) (content string) {
	t.Helper()
	c.in(t, repo).must(t, "GET", "repos/file?path="+url.QueryEscape(path), nil, &content)
	return content
}

func (c codeStorageClient) branches(t *testing.T, repo string) map[string]string {
	t.Helper()
	var found struct {
		Branches []struct {
			Name string
			Head string `json:"head_sha"`
		}
	}
	c.in(t, repo).must(t, "GET", "repos/branches", nil, &found)
	heads := make(map[string]string)
	for _, b := range found.Branches {
		heads[b.Name] = b.Head
	}
	return heads
}

func (c codeStorageClient) list(t *testing.T) (names []string) {
	t.Helper()
	var found struct{ Repos []struct{ URL string } }
	c.in(t, "x").must(t, "GET", "repos", nil, &found)
	for _, r := range found.Repos {
		names = append(names, r.URL)
	}
	return names
}

func (c codeStorageClient) find(t *testing.T, repo string) (status, missing int) {
	t.Helper()
	status, _ = c.in(t, repo).send(t, "GET", "repo", nil)
	return status, http.StatusNotFound
}

func (c codeStorageClient) remove(t *testing.T, repo string) {
	t.Helper()
	c.in(t, repo).must(t, "DELETE", "repos/delete", nil, nil)
}

func (c codeStorageClient) remote(t *testing.T, repo string) string {
	t.Helper()
	return withUser(c.base, "t", c.token(t, repo)) + "/" + repo + ".git"
}

// mesaClient has an API key.
type mesaClient struct{ sender }

// at is the address of a repository, whose name is one segment.
func (c mesaClient) at(repo string) string { return "/v1/acme/" + url.PathEscape(repo) }

func (c mesaClient) create(t *testing.T) string {
	t.Helper()
	c.must(t, "POST", "/v1/acme/repos", object{"name": "by-mesa"}, nil)
	return "by-mesa"
}

func (c mesaClient) write(t *testing.T, repo, path, content string) string {
	t.Helper()
	var made struct {
		ID     string
		Commit string `json:"current_commit_oid"`
	}
	c.must(t, "POST", c.at(repo)+"/changes", object{
		"base_change_id": strings.Repeat("z", 32), "message": "m", "author": object{"name": "A", "email": "a@example.com"},
		"files": []object{{"path": path, "content": []byte(content)}},
	}, &made)
	c.must(t, "PATCH", c.at(repo)+"/bookmarks/main", object{"change_id": made.ID}, nil)
	return made.Commit
}

func (c mesaClient) read(t *testing.T, repo, path string) string {
	t.Helper()
	var file struct{ Content []byte }
	c.must(t, "GET", c.at(repo)+"/content?path="+url.QueryEscape(path), nil, &file)
	return string(file.Content)
}

// branches asks for the commit of each bookmark's change.
func (c mesaClient) branches(t *testing.T, repo string) map[string]string {
	t.Helper()
	var found struct {
		Bookmarks []struct {
			Name   string
			Change string `json:"change_id"`
		}
	}
	c.must(t, "GET", c.at(repo)+"/bookmarks", nil, &found)
	heads := make(map[string]string)
	for _, b := range found.Bookmarks {
		var change struct {
			Commit string `json:"current_commit_oid"`
		}
		c.must(t, "GET", c.at(repo)+"/changes/"+b.Change, nil, &change)
		heads[b.Name] = change.Commit
	}
	return heads
}

func (c mesaClient) list(t *testing.T) (names []string) {
	t.Helper()
	var found struct{ Repos []struct{ Name string } }
	c.must(t, "GET", "/v1/acme/repos", nil, &found)
	for _, r := range found.Repos {
		names = append(names, r.Name)
	}
	return names
}

func (c mesaClient) find(t *testing.T, repo string) (status, missing int) {
	t.Helper()
	status, _ = c.send(t, "GET", c.at(repo), nil)
	return status, http.StatusNotFound
}

func (c mesaClient) rename(t *testing.T, repo, name string) {
	t.Helper()
	c.must(t, "PATCH", c.at(repo), object{"name": name}, nil)
}

func (c mesaClient) remove(t *testing.T, repo string) {
	t.Helper()
	c.must(t, "DELETE", c.at(repo), nil, nil)
}

func (c mesaClient) remote(_ *testing.T, repo string) string {
	return withUser(c.base, "t", strings.TrimPrefix(c.credential, "Bearer ")) + "/acme/" + repo + ".git"
}

// gogsClient has a token of the user acme.
type gogsClient struct{ sender }

// at is the address of a repository, whose name is one segment.
func (c gogsClient) at(repo string) string { return "/api/v1/repos/acme/" + url.PathEscape(repo) }

func (c gogsClient) create(t *testing.T) string {
	t.Helper()
	c.must(t, "POST", "/api/v1/user/repos", object{"name": "by-gogs", "private": true}, nil)
	return "by-gogs"
}

func (c gogsClient) write(t *testing.T, repo, path, content string) string {
	t.Helper()
	var made struct{ Commit struct{ SHA string } }
	c.must(t, "PUT", c.at(repo)+"/contents/"+path, object{"message": "m", "content": []byte(content)}, &made)
	return made.Commit.SHA
}

func (c gogsClient) read(t *testing.T, repo, path string) string {
	t.Helper()
	var file struct{ Content []byte }
	c.must(t, "GET", c.at(repo)+"/contents/"+path, nil, &file)
	return string(file.Content)
}

func (c gogsClient) branches(t *testing.T, repo string) map[string]string {
	t.Helper()
	var found []struct {
		Name   string
		Commit struct{ ID string }
	}
	c.must(t, "GET", c.at(repo)+"/branches", nil, &found)
	heads := make(map[string]string)
	for _, b := range found {
		heads[b.Name] = b.Commit.ID
	}
	return heads
}

func (c gogsClient) list(t *testing.T) (names []string) {
	t.Helper()
	var found []struct{ Name string }
	c.must(t, "GET", "/api/v1/user/repos", nil, &found)
	for _, r := range found {
		names = append(names, r.Name)
	}
	return names
}

func (c gogsClient) find(t *testing.T, repo string) (status, missing int) {
	t.Helper()
	status, _ = c.send(t, "GET", c.at(repo), nil)
	return status, http.StatusNotFound
}

func (c gogsClient) remove(t *testing.T, repo string) {
	t.Helper()
	c.must(t, "DELETE", c.at(repo), nil, nil)
}

// remote is the address that the face itself tells.
func (c gogsClient) remote(t *testing.T, repo string) string {
	t.Helper()
	var found struct {
		CloneURL string `json:"clone_url"`
	}
	c.must(t, "GET", c.at(repo), nil, &found)
	return withUser(found.CloneURL, "acme", strings.TrimPrefix(c.credential, "token "))
}

// codeArtsClient has a token that an access key got, and the project web.
type codeArtsClient struct {
	sender
	key     service.AccessKeyWithSecret
	project string
}

// result sends a request that must go well and reads its result.
func (c codeArtsClient) result(t *testing.T, method, path string, body, into any) {
	t.Helper()
	answer := struct{ Result any }{into}
	c.must(t, method, path, body, &answer)
}

// number is what paths call a repository, by its group and its name.
func (c codeArtsClient) number(t *testing.T, repo string) string {
	t.Helper()
	var number json.Number
	c.result(t, "GET", c.numberPath(repo), nil, &number)
	return number.String()
}

func (c codeArtsClient) numberPath(repo string) string {
	full := "acme/" + repo
	at := strings.LastIndexByte(full, '/')
	return "/v1/repositories/repoid?group_name=" + url.QueryEscape(full[:at]) + "&repository_name=" + url.QueryEscape(full[at+1:])
}

func (c codeArtsClient) show(t *testing.T, repo string) (shown struct {
	UUID string `json:"repository_uuid"`
	URL  string `json:"https_url"`
}) {
	t.Helper()
	c.result(t, "GET", "/v2/repositories/"+c.number(t, repo), nil, &shown)
	return shown
}

func (c codeArtsClient) create(t *testing.T) string {
	t.Helper()
	var made struct {
		UUID string `json:"repository_uuid"`
	}
	c.result(t, "POST", "/v1/repositories", object{"name": "by-codearts", "project_uuid": c.project}, &made)
	if shown := c.show(t, "web/by-codearts"); shown.UUID != made.UUID {
		t.Errorf("web/by-codearts has the uuid %s, and was made with %s", shown.UUID, made.UUID)
	}
	return "web/by-codearts"
}

func (c codeArtsClient) write(t *testing.T, repo, path, content string) string {
	t.Helper()
	var made struct{ ID string }
	c.result(t, "POST", "/v2/projects/"+c.number(t, repo)+"/repository/commits", object{
		"branch": "master", "commit_message": "m", "actions": []object{{"action": "create", "file_path": path, "content": content}},
	}, &made)
	return made.ID
}

func (c codeArtsClient) read(t *testing.T, repo, path string) string {
	t.Helper()
	var file struct{ Content []byte }
	c.result(t, "GET", "/v2/projects/"+c.number(t, repo)+"/repository/files?ref=HEAD&file_path="+url.QueryEscape(path), nil, &file)
	return string(file.Content)
}

func (c codeArtsClient) branches(t *testing.T, repo string) map[string]string {
	t.Helper()
	var found struct {
		Branches []struct {
			Name   string
			Commit struct{ ID string }
		}
	}
	c.result(t, "GET", "/v2/repositories/"+c.number(t, repo)+"/branches", nil, &found)
	heads := make(map[string]string)
	for _, b := range found.Branches {
		heads[b.Name] = b.Commit.ID
	}
	return heads
}

// list joins the groups, which begin with the organization, and the names.
func (c codeArtsClient) list(t *testing.T) (names []string) {
	t.Helper()
	var found struct {
		Repositories []struct {
			Group string `json:"group_name"`
			Name  string `json:"repository_name"`
		}
	}
	c.result(t, "GET", "/v2/projects/repositories", nil, &found)
	for _, r := range found.Repositories {
		names = append(names, strings.TrimPrefix(r.Group+"/"+r.Name, "acme/"))
	}
	return names
}

func (c codeArtsClient) find(t *testing.T, repo string) (status, missing int) {
	t.Helper()
	status, _ = c.send(t, "GET", c.numberPath(repo), nil)
	return status, http.StatusUnauthorized
}

func (c codeArtsClient) remove(t *testing.T, repo string) {
	t.Helper()
	c.must(t, "DELETE", "/v1/repositories/"+c.show(t, repo).UUID, nil, nil)
}

// remote is the address that the face itself tells.
func (c codeArtsClient) remote(t *testing.T, repo string) string {
	t.Helper()
	return withUser(c.show(t, repo).URL, string(c.key.ID), c.key.Secret)
}

// newFaceClients makes the user acme, whose organization all faces reach, and a
// credential for each face.
func newFaceClients(t *testing.T, s *Server) (faces map[string]faceClient, mesa mesaClient) {
	t.Helper()
	operator := cairn.Actor{Admin: true, Name: "admin"}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.service.CreateUser(t.Context(), operator, service.NewUser{Name: "acme", Email: "acme@example.com"})
	check(err)
	token, _, err := s.service.CreateUserToken(t.Context(), operator, "acme", "test")
	check(err)

	c, err := client.NewOperator(s.URL(), s.AdminToken(), nil)
	check(err)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	public, err := client.PublicKey(private)
	check(err)
	_, err = c.AddKey(t.Context(), "acme", string(public))
	check(err)

	inAcme, err := s.service.Operator(t.Context(), operator, "acme")
	check(err)
	apiKey, err := s.service.CreateAPIKey(t.Context(), inAcme, service.NewAPIKey{Name: "test", Access: []cairn.Access{cairn.WriteAccess}})
	check(err)
	project, err := s.service.CreateProject(t.Context(), inAcme, "web")
	check(err)
	accessKey, err := s.service.CreateAccessKey(t.Context(), operator, "acme", service.NewAccessKey{Name: "test"})
	check(err)
	accessToken, _, err := s.service.NewAccessToken(t.Context(), accessKey.ID, accessKey.Secret)
	check(err)

	mesa = mesaClient{sender{s.URL(), "Authorization", "Bearer " + apiKey.Text}}
	return map[string]faceClient{
		"Code Storage": codeStorageClient{s.URL(), private},
		"Mesa":         mesa,
		"Gogs":         gogsClient{sender{s.URL(), "Authorization", "token " + token}},
		"CodeArts":     codeArtsClient{sender{s.URL(), "X-Auth-Token", accessToken.Text}, accessKey, string(project.ID)},
	}, mesa
}

// TestOneStoreFourFaces makes a repository through each face and sees it through
// every one and through git: its file, its branches with their commits, what is
// pushed to it, its new name, and that it is gone.
func TestOneStoreFourFaces(t *testing.T) {
	t.Parallel()
	faces, mesa := newFaceClients(t, start(t, testConfig(t)))
	for maker, branch := range map[string]string{"Code Storage": "main", "Mesa": "main", "Gogs": "main", "CodeArts": "master"} {
		t.Run("made through "+maker, func(t *testing.T) {
			t.Parallel()
			const path, content = "docs/read-me.txt", "written through one face\n"
			repo := faces[maker].create(t)
			commit := faces[maker].write(t, repo, path, content)
			for reader, face := range faces {
				if got := face.read(t, repo, path); got != content {
					t.Errorf("%s reads %q", reader, got)
				}
				if got := face.list(t); !slices.Contains(got, repo) {
					t.Errorf("%s lists %q, without %s", reader, got, repo)
				}
				clone := gittest.Clone(t, face.remote(t, repo))
				if got, err := os.ReadFile(filepath.Join(clone.Dir, path)); err != nil || string(got) != content {
					t.Errorf("cloned with the credential of %s: %q, %v", reader, got, err)
				}
				if got := clone.RevParse("HEAD"); got != commit {
					t.Errorf("cloned with the credential of %s: commit %s, want %s", reader, got, commit)
				}
				clone.Git("push", "-q", "origin", "HEAD:refs/heads/by/"+strings.ReplaceAll(reader, " ", ""))
			}
			pushed := map[string]string{branch: commit, "by/CodeStorage": commit, "by/Mesa": commit, "by/Gogs": commit, "by/CodeArts": commit}
			sameBranches(t, faces, repo, pushed)

			renamed := "renamed-" + strings.ReplaceAll(repo, "/", "-")
			mesa.rename(t, repo, renamed)
			gone(t, faces, repo)
			sameBranches(t, faces, renamed, pushed)

			faces[maker].remove(t, renamed)
			gone(t, faces, renamed)
		})
	}
}

// sameBranches holds what every face tells of a repository's branches to what
// they are.
func sameBranches(t *testing.T, faces map[string]faceClient, repo string, want map[string]string) {
	t.Helper()
	for reader, face := range faces {
		if got := face.branches(t, repo); !maps.Equal(got, want) {
			t.Errorf("%s has the branches %v of %s, want %v", reader, got, repo, want)
		}
	}
}

// gone holds every face to knowing no repository of a name.
func gone(t *testing.T, faces map[string]faceClient, repo string) {
	t.Helper()
	for reader, face := range faces {
		if got, want := face.find(t, repo); got != want {
			t.Errorf("%s answers %d for %s, which is gone; want %d", reader, got, repo, want)
		}
		if got := face.list(t); slices.Contains(got, repo) {
			t.Errorf("%s lists %s, which is gone", reader, repo)
		}
	}
}

// TestNamesOfAllFaces makes repositories whose names only some faces can give:
// all of them find them. Those who may not give a name, or gave it to another
// repository, say so.
func TestNamesOfAllFaces(t *testing.T) {
	t.Parallel()
	faces, mesa := newFaceClients(t, start(t, testConfig(t)))
	storage, gogs, arts := faces["Code Storage"].(codeStorageClient), faces["Gogs"].(gogsClient), faces["CodeArts"].(codeArtsClient)
	for _, name := range []string{"web/app", "a/deep/folder", "caf\u00e9", "a+b@c~d", "Mixed"} {
		storage.in(t, name).must(t, "POST", "repos", object{}, nil)
		for reader, face := range faces {
			if status, _ := face.find(t, name); status != http.StatusOK {
				t.Errorf("%s answers %d for %s", reader, status, name)
			}
			if got := face.list(t); !slices.Contains(got, name) {
				t.Errorf("%s lists %q, without %s", reader, got, name)
			}
		}
	}
	// One that is called as a route of Mesa is found there by an escaped letter.
	storage.in(t, "repos").must(t, "POST", "repos", object{}, nil)
	var shown struct{ Name string }
	if mesa.must(t, "GET", "/v1/acme/%72epos", nil, &shown); shown.Name != "repos" {
		t.Errorf("Mesa shows %q", shown.Name)
	}
	for what, c := range map[string]struct {
		of     sender
		path   string
		body   object
		status int
		holds  string
	}{
		"Mesa, slashes":       {mesa.sender, "/v1/acme/repos", object{"name": "web/new"}, 400, "use 1 to 100 letters, digits"},
		"Gogs, slashes":       {gogs.sender, "/api/v1/user/repos", object{"name": "web/new"}, 422, "Name"},
		"CodeArts, slashes":   {arts.sender, "/v1/repositories", object{"name": "web/new", "project_uuid": arts.project}, 400, "use a letter, a digit"},
		"CodeArts, no folder": {arts.sender, "/v1/repositories", object{"name": "new"}, 400, "project_uuid"},
		"Mesa, reserved":      {mesa.sender, "/v1/acme/repos", object{"name": "repos"}, 400, "is reserved"},
		"Mesa, taken":         {mesa.sender, "/v1/acme/repos", object{"name": "Mixed"}, 409, "already exists"},
		"Gogs, taken":         {gogs.sender, "/api/v1/user/repos", object{"name": "mIXED"}, 422, "already exists"},
		"CodeArts, taken":     {arts.sender, "/v1/repositories", object{"name": "app", "project_uuid": arts.project}, 400, "already exists"},
	} {
		if status, text := c.of.send(t, "POST", c.path, c.body); status != c.status || !strings.Contains(text, c.holds) {
			t.Errorf("%s: %d %s; want %d and %q", what, status, text, c.status, c.holds)
		}
	}
}
