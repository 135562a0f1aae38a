// Package jj runs Jujutsu, whose model of changes the Mesa API has, against a
// server: what it clones, pushes and rebases is what the server has and makes.
package jj

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
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

// world is a server with an organization, and a jj.
type world struct {
	*testing.T
	jj  string
	url string
	key string // of the Mesa API
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, jj: installJJ(t)}
	c := config.Default()
	c.Data, c.Listen, c.OpsListen = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", ""
	s, err := server.Start(context.Background(), c, slog.New(slog.DiscardHandler), "test")
	w.check(err)
	t.Cleanup(func() { w.check(s.Stop()) })
	w.url = s.URL()
	operator, err := client.NewOperator(s.URL(), s.AdminToken(), nil)
	w.check(err)
	_, err = operator.CreateOrganization(t.Context(), "acme")
	w.check(err)
	key, err := operator.CreateAPIKey(t.Context(), "acme", client.NewAPIKey{Name: "test", Scopes: []string{"admin"}})
	w.check(err)
	w.key = key.Key
	return w
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// change is a change as the API shows it.
type change struct {
	ID         string `json:"id"`
	Commit     string `json:"current_commit_oid"`
	Message    string `json:"message"`
	Conflicted bool   `json:"is_conflicted"`
}

// root is the id of the change that all others come from.
const root = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"

// repository is a repository of the server.
type repository struct {
	*world
	name string
}

func (w *world) create(name string) *repository {
	w.Helper()
	r := &repository{w, name}
	w.call("POST", "repos", map[string]any{"name": name}, nil)
	return r
}

// call sends a request to the Mesa API. The answer has to be a success.
func (w *world) call(method, path string, body, answer any) {
	w.Helper()
	data, err := json.Marshal(body)
	w.check(err)
	request, err := http.NewRequestWithContext(w.Context(), method, w.url+"/v1/acme/"+path, bytes.NewReader(data))
	w.check(err)
	request.Header.Set("Authorization", "Bearer "+w.key)
	response, err := http.DefaultClient.Do(request)
	w.check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.check(err)
	if response.StatusCode >= 300 {
		w.Fatalf("%s %s %s: %d %s", method, path, data, response.StatusCode, text)
	}
	if answer != nil {
		w.check(json.Unmarshal(text, answer))
	}
}

// write makes a change on top of another.
func (r *repository) write(base, message string, files gittest.Files) (c change) {
	r.Helper()
	r.call("POST", r.name+"/changes", map[string]any{
		"base_change_id": base, "message": message, "files": fileOps(files), "author": map[string]string{"name": "Ada", "email": "ada@example.com"},
	}, &c)
	return c
}

// amend changes files of a change.
func (r *repository) amend(id string, files gittest.Files) (c change) {
	r.Helper()
	r.call("PATCH", r.name+"/changes/"+id, map[string]any{"files": fileOps(files)}, &c)
	return c
}

// deleted as its content is a file that is to go.
const deleted = "\x00"

func fileOps(files gittest.Files) (list []map[string]any) {
	for path, content := range files {
		if content == deleted {
			list = append(list, map[string]any{"path": path, "action": "delete"})
			continue
		}
		list = append(list, map[string]any{"path": path, "content": base64.StdEncoding.EncodeToString([]byte(content))})
	}
	return list
}

// bookmark makes a bookmark, or moves main.
func (r *repository) bookmark(name, id string) {
	r.Helper()
	if name == "main" {
		r.call("PATCH", r.name+"/bookmarks/main", map[string]any{"change_id": id}, nil)
		return
	}
	r.call("POST", r.name+"/bookmarks", map[string]any{"name": name, "change_id": id}, nil)
}

// changes are those that a bookmark leads to, by id.
func (r *repository) changes(bookmark string) map[string]change {
	r.Helper()
	found := map[string]change{}
	for cursor := ""; ; {
		var page struct {
			Changes []change `json:"changes"`
			More    bool     `json:"has_more"`
			Next    string   `json:"next_cursor"`
		}
		r.call("GET", r.name+"/changes?bookmark="+url.QueryEscape(bookmark)+"&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, c := range page.Changes {
			found[c.ID] = c
		}
		if cursor = page.Next; !page.More {
			return found
		}
	}
}

// address is where git has the repository.
func (r *repository) address() string {
	return strings.Replace(r.url, "://", "://t:"+r.key+"@", 1) + "/acme/" + r.name + ".git"
}

// clone is a clone by jj, with bookmarks that follow all of the server's.
type clone struct {
	*repository
	dir, home string
}

func (r *repository) clone() *clone {
	r.Helper()
	c := &clone{r, filepath.Join(r.TempDir(), "clone"), r.TempDir()}
	config := "user.name = \"Bob\"\nuser.email = \"bob@example.com\"\ngit.auto-local-bookmark = true\ngit.colocate = false\nui.paginate = \"never\"\nui.color = \"never\"\n"
	c.check(os.WriteFile(filepath.Join(c.home, "config.toml"), []byte(config), 0o600))
	c.in(c.home, "git", "clone", r.address(), c.dir)
	return c
}

// run runs jj in the clone and returns what it prints.
func (c *clone) run(args ...string) string {
	c.Helper()
	return c.in(c.dir, append([]string{"--ignore-immutable"}, args...)...)
}

func (c *clone) in(dir string, args ...string) string {
	c.Helper()
	cmd := exec.CommandContext(c.Context(), c.jj, args...)
	cmd.Dir = dir
	cmd.Env = gittest.Env("HOME="+c.home, "JJ_CONFIG="+filepath.Join(c.home, "config.toml"))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		c.Fatalf("jj %s: %v\n%s%s", strings.Join(args, " "), err, out.Bytes(), complaint.Bytes())
	}
	return out.String()
}

// changes are those that the clone's bookmarks lead to, by id.
func (c *clone) changes(revisions string) map[string]change {
	c.Helper()
	const template = `"{\"id\":" ++ json(change_id) ++ ",\"current_commit_oid\":" ++ json(commit_id) ++ ",\"message\":" ++ json(description.trim_end()) ++ ",\"is_conflicted\":" ++ if(conflict, "true", "false") ++ "}\n"`
	found := map[string]change{}
	decoder := json.NewDecoder(strings.NewReader(c.run("log", "--no-graph", "-r", "("+revisions+") ~ root()", "-T", template)))
	for decoder.More() {
		var one change
		c.check(decoder.Decode(&one))
		if _, divergent := found[one.ID]; divergent {
			c.Fatalf("change %s has several commits", one.ID)
		}
		found[one.ID] = one
	}
	return found
}

// write brings files into the working copy.
func (c *clone) write(files gittest.Files) {
	c.Helper()
	for path, content := range files {
		if content == deleted {
			c.check(os.Remove(filepath.Join(c.dir, path)))
			continue
		}
		c.check(os.WriteFile(filepath.Join(c.dir, path), []byte(content), 0o600))
	}
}

// git runs git on the store of the clone.
func (c *clone) git(args ...string) string {
	c.Helper()
	return gittest.Git(c.T, filepath.Join(c.dir, ".jj/repo/store/git"), args...)
}

func equalChanges(t *testing.T, what string, ours, jjs map[string]change) {
	t.Helper()
	var wrong []string
	for id, a := range ours {
		if b, ok := jjs[id]; a != b {
			wrong = append(wrong, fmt.Sprintf("%s: %+v, by jj (%t) %+v", id, a, ok, b))
		}
	}
	for id, b := range jjs {
		if _, ok := ours[id]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s: only by jj: %+v", id, b))
		}
	}
	if wrong != nil {
		t.Fatalf("%s:\n%s", what, strings.Join(wrong, "\n"))
	}
}
