package mesa_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func TestWhoami(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.want(200, w.key("acme", cairn.WriteAccess), "GET", "whoami", nil)
	if org := a.json["org"].(object); org["slug"] != "acme" || a.json["key_name"] != "test" || fmt.Sprint(a.json["scopes"]) != "[read write]" {
		t.Errorf("got %s", a.body)
	}
	for name, key := range map[string]string{"none": "", "garbage": "garbage", "an unknown key": "mesa_" + strings.Repeat("0", 70)} {
		a := w.want(401, key, "GET", "whoami", nil)
		if a.errorCode() != "UNAUTHENTICATED" || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: got %s", name, a.body)
		}
	}
}

// TestAddresses asks for what there is not, and how there is not.
func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key("acme", cairn.AdminAccess)
	for path, status := range map[string]int{
		"": 404, "acme/": 404, "acme//content": 404, "acme/a/b/c/d/e": 404, "acme/app/nothing": 404, "evil": 404, "evil/repos": 404, "acme/app": 404,
	} {
		if a := w.want(status, key, "GET", path, nil); a.errorCode() != "NOT_FOUND" {
			t.Errorf("%s: got %s", path, a.body)
		}
	}
	if a := w.want(405, key, "DELETE", "acme/repos", nil); a.header.Get("Allow") != "GET, POST" {
		t.Errorf("got %v", a.header)
	}
	w.want(400, key, "GET", "acme/repos?limit=101", nil)
	w.want(400, key, "GET", "acme/repos?limit=x", nil)
	w.want(400, key, "GET", "acme/repos?cursor=x", nil)
	w.want(400, key, "POST", "acme/repos", "text")
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.key("acme", cairn.AdminAccess)
	app := w.repository("app")
	made := w.want(201, admin, "POST", "acme/api-keys", object{
		"name": "ci", "scopes": []string{"read"}, "repo_ids": []string{app.Repository.Public()}, "expires_in_seconds": 3600, "tags": object{"Env": "prod"},
	})
	id, text := made.json["id"].(string), made.json["key"].(string)
	if fmt.Sprint(made.json["tags"]) != "map[env:prod]" || !strings.HasPrefix(text, "mesa_") {
		t.Errorf("got %s", made.body)
	}
	w.want(200, text, "GET", "acme/app", nil)
	changed := w.want(200, admin, "PATCH", "acme/api-keys/"+id, object{"tags": object{"env": nil, "team": "a"}})
	if fmt.Sprint(changed.json["tags"]) != "map[team:a]" {
		t.Errorf("got %s", changed.body)
	}
	for query, n := range map[string]int{
		"": 2, "?query=CI": 1, "?scope=admin": 1, "?status=active": 2, "?status=revoked": 0, "?status=expired": 0, "?repo_id=" + app.Repository.Public(): 2, "?limit=1": 1,
	} {
		a := w.want(200, admin, "GET", "acme/api-keys"+query, nil)
		if got := len(a.json["api_keys"].([]any)); got != n {
			t.Errorf("%q lists %d keys, want %d", query, got, n)
		}
		if more := a.json["has_more"]; more != (query == "?limit=1") || (a.json["next_cursor"] != nil) != (query == "?limit=1") {
			t.Errorf("%q: has_more is %v", query, more)
		}
		if strings.Contains(a.body, text) {
			t.Errorf("%q shows a key again", query)
		}
	}
	w.want(200, admin, "DELETE", "acme/api-keys/"+id, nil)
	w.want(401, text, "GET", "acme/app", nil)
	w.want(404, admin, "DELETE", "acme/api-keys/key_x", nil)
	for name, body := range map[string]object{
		"a short life": {"expires_in_seconds": 99}, "a negative one": {"expires_in_seconds": -1}, "a long one": {"expires_in_seconds": 31536001}, "an unknown scope": {"scopes": []string{"root"}},
		"no scope": {"scopes": []string{}}, "a long name": {"name": strings.Repeat("n", 256)}, "a control character": {"name": "a\x00b"}, "a long tag": {"tags": object{"k": strings.Repeat("v", 257)}},
		"a tag without a name": {"tags": object{"": "v"}},
	} {
		if a := w.call(admin, "POST", "acme/api-keys", body); a.status != 400 {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	w.want(404, admin, "POST", "acme/api-keys", object{"repo_ids": []string{"repo_x"}})
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key("acme", cairn.WriteAccess)
	made := w.want(201, key, "POST", "acme/repos", object{"name": "app", "tags": object{"env": "prod"}})
	if made.json["head_change_id"] != root || made.json["default_bookmark"] != "main" || made.json["upstream"] != nil || made.json["org"] != "acme" {
		t.Errorf("got %s", made.body)
	}
	if again := w.want(409, key, "POST", "acme/repos", object{"name": "app"}); again.errorCode() != "CONFLICT" {
		t.Errorf("got %s", again.body)
	}
	invented := w.want(201, key, "POST", "acme/repos", nil)
	w.want(200, key, "DELETE", "acme/"+invented.json["name"].(string), nil)
	w.want(404, key, "DELETE", "acme/"+invented.json["name"].(string), nil)
	for _, name := range []string{"", "a/b", ".", "..", "x.git", "REPOS", "repo", "api-keys", "Webhook-Targets", "a b", strings.Repeat("a", 101), "-x"} {
		w.want(400, key, "POST", "acme/repos", object{"name": name})
	}
	w.want(201, key, "POST", "acme/repos", object{"name": "lib", "default_bookmark": "trunk"})
	if a := w.want(200, key, "GET", "acme", nil); a.json["num_repos"] != 2.0 {
		t.Errorf("got %s", a.body)
	}
	w.commit("app", file{path: "README.md", content: "hi\n"})
	found := w.want(200, key, "GET", "acme/app", nil)
	if found.json["head_change_id"] == root {
		t.Errorf("the head is %s", found.body)
	}
	changed := w.want(200, key, "PATCH", "acme/app", object{"name": "site", "default_bookmark": "next", "tags": object{"env": nil, "team": "a"}})
	if changed.json["name"] != "site" || changed.json["default_bookmark"] != "next" || fmt.Sprint(changed.json["tags"]) != "map[team:a]" ||
		changed.json["id"] != made.json["id"] || changed.json["head_change_id"] != root {
		t.Errorf("got %s", changed.body)
	}
	w.want(404, key, "GET", "acme/app", nil)
	w.want(409, key, "PATCH", "acme/site", object{"name": "lib"})
	w.want(400, key, "PATCH", "acme/site", object{"name": "a/b"})
	w.want(400, key, "PATCH", "acme/site", object{"default_bookmark": "a..b"})
	if a := w.want(200, key, "PATCH", "acme/site", object{"default_bookmark": "main"}); a.json["head_change_id"] != found.json["head_change_id"] {
		t.Errorf("got %s", a.body)
	}
}

// TestRepositoriesOfOtherFaces shows a repository whose name is more than one
// segment.
func TestRepositoriesOfOtherFaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repository("team/app")
	if a := w.want(200, w.key("acme", cairn.ReadAccess), "GET", "acme/"+url.PathEscape("team/app"), nil); a.json["name"] != "team/app" {
		t.Errorf("got %s", a.body)
	}
}

func TestListingByTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key("acme", cairn.WriteAccess)
	ids := map[string]string{}
	for name, tags := range map[string]object{"a": {"env": "prod", "team": "Agents"}, "b": {"env": "stage"}, "c": {}, "d": {"env": "prod"}} {
		ids[name] = w.want(201, key, "POST", "acme/repos", object{"name": name, "tags": tags}).json["id"].(string)
	}
	list := func(key, query string) (names string) {
		t.Helper()
		for cursor := ""; ; {
			a := w.want(200, key, "GET", "acme/repos?limit=2&cursor="+cursor+"&tags="+url.QueryEscape(query), nil)
			if a.status != 200 {
				return "?"
			}
			for _, r := range a.json["repos"].([]any) {
				names += r.(object)["name"].(string)
			}
			if a.json["has_more"] != true {
				return names
			}
			cursor = a.json["next_cursor"].(string)
		}
	}
	for query, want := range map[string]string{
		"": "abcd", "env:prod": "ad", "env:prod,team:Agents": "a", "env:none": "", `{"env":"PROD"}`: "ad", `{"env":["stage","x"]}`: "b",
		`{"$or":[{"env":"stage"},{"team":{"$contains":"gen"}}]}`: "ab", `{"$not":{"env":{"$exists":true}}}`: "c", `{"ENV":{"$starts_with":"P","$ENDS_WITH":"d"}}`: "ad",
		`{"env":{"$in":["stage"]}}`: "b", `{"$AND":[{"env":{"$eq":"prod"}},{"team":{"$exists":false}}]}`: "d", `{}`: "abcd",
	} {
		if got := list(key, query); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	for _, bad := range []string{"env", ":x", "[]", "{", `{"$nor":[]}`, `{"$and":[]}`, `{"a":1}`, `{"a":{"$gt":"1"}}`, strings.Repeat(`{"$not":`, 20) + "{}" + strings.Repeat("}", 20)} {
		w.want(400, key, "GET", "acme/repos?tags="+url.QueryEscape(bad), nil)
	}
	if a := w.want(200, key, "PATCH", "acme/repos/tags", object{"repo_ids": []string{ids["b"], ids["c"], ids["c"]}, "action": "set", "key": "env", "value": "prod"}); a.json["updated"] != 2.0 {
		t.Errorf("got %s", a.body)
	}
	w.want(200, key, "PATCH", "acme/repos/tags", object{"repo_ids": []string{ids["a"]}, "action": "remove", "key": "env"})
	if got := list(key, "env:prod"); got != "bcd" {
		t.Errorf("after the change: %q", got)
	}
	for name, body := range map[string]object{"no action": {"repo_ids": []string{ids["a"]}, "key": "k"}, "no value": {"repo_ids": []string{ids["a"]}, "action": "set", "key": "k"}, "no repository": {"action": "remove", "key": "k"}} {
		if a := w.call(key, "PATCH", "acme/repos/tags", body); a.status != 400 {
			t.Errorf("%s: got %d", name, a.status)
		}
	}
	w.want(404, key, "PATCH", "acme/repos/tags", object{"repo_ids": []string{ids["a"], "repo_x"}, "action": "remove", "key": "team"})

	one, err := w.service.CreateAPIKey(t.Context(), w.operator("acme"), keyFor(cairn.RepositoryID(strings.TrimPrefix(ids["d"], "repo_"))))
	if err != nil {
		t.Fatal(err)
	}
	if got := list(one.Text, ""); got != "d" {
		t.Errorf("a key for one repository lists %q", got)
	}
	w.want(403, one.Text, "PATCH", "acme/repos/tags", object{"repo_ids": []string{ids["a"]}, "action": "remove", "key": "team"})
}

func TestContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key("acme", cairn.ReadAccess)
	w.repository("app")
	empty := w.want(200, key, "GET", "acme/app/content", nil)
	if empty.json["type"] != "dir" || empty.json["child_count"] != 0.0 || empty.json["sha"] != "4b825dc642cb6eb9a060e54bf8d69288fbee4904" {
		t.Errorf("an empty repository is %s", empty.body)
	}
	w.want(404, key, "GET", "acme/app/content?path=a", nil)
	large := strings.Repeat("0123456789", 300_000)
	w.commit("app", file{path: "a.txt", content: "hi\n"}, file{path: "d/b.sh", content: "#!", mode: 0o100755}, file{path: "d/e/c", content: ""},
		file{path: "link", content: "a.txt", mode: 0o120000}, file{path: "large", content: large})
	a := w.want(200, key, "GET", "acme/app/content?path=a.txt", nil)
	if a.json["type"] != "file" || a.json["content"] != "aGkK" || a.json["encoding"] != "base64" || a.json["mode"] != "100644" || a.json["size"] != 3.0 || a.json["name"] != "a.txt" {
		t.Errorf("got %s", a.body)
	}
	if a := w.want(200, key, "GET", "acme/app/content?path=d%2Fe%2Fc", nil); a.json["content"] != "" || a.json["path"] != "d/e/c" {
		t.Errorf("an empty file is %s", a.body)
	}
	if a := w.want(200, key, "GET", "acme/app/content?path=link", nil); a.json["type"] != "symlink" || a.json["mode"] != "120000" || a.json["content"] != "YS50eHQ=" {
		t.Errorf("a link is %s", a.body)
	}
	text, err := base64.StdEncoding.DecodeString(w.want(200, key, "GET", "acme/app/content?path=large", nil).json["content"].(string))
	if err != nil || string(text) != large {
		t.Errorf("a large file is %d bytes, %v", len(text), err)
	}
	head := w.want(200, key, "GET", "acme/app", nil).json["head_change_id"].(string)
	w.commit("app", file{path: "a.txt", content: "later\n"})
	if a := w.want(200, key, "GET", "acme/app/content?path=a.txt&change_id="+head, nil); a.json["content"] != "aGkK" || a.json["is_conflicted"] != false {
		t.Errorf("at an earlier change: %s", a.body)
	}
	const octets = "Accept: application/octet-stream"
	if a := w.want(200, key, "GET", "acme/app/content?path=d/b.sh", nil, octets); a.body != "#!" || a.header.Get("Content-Type") != "application/octet-stream" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the bytes are %q, %v", a.body, a.header)
	}
	if a := w.want(406, key, "GET", "acme/app/content?path=d", nil, octets); a.errorCode() != "NOT_ACCEPTABLE" {
		t.Errorf("got %s", a.body)
	}
	w.want(406, key, "GET", "acme/app/content?path=d", nil, "Accept: text/html")
	for query, want := range map[string]string{
		"": "a.txt d large link", "depth=0": "", "depth=1&path=d": "d/b.sh d/e", "depth=2": "a.txt d d/b.sh d/e large link", "depth=10": "a.txt d d/b.sh d/e d/e/c large link",
		"metadata[k]=v": "", "tag=x": "", "change_id=" + root: "",
	} {
		a := w.want(200, key, "GET", "acme/app/content?"+query, nil)
		var paths []string
		for _, e := range a.json["entries"].([]any) {
			paths = append(paths, e.(object)["path"].(string))
		}
		if got := strings.Join(paths, " "); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
		if n := a.json["child_count"]; strings.HasPrefix(query, "depth") && !strings.Contains(query, "path") && n != 4.0 {
			t.Errorf("%s has %v children", query, n)
		}
	}
	for _, query := range []string{"depth=11", "depth=-1", "depth=x", "change_id=x", "path=%00"} {
		w.want(400, key, "GET", "acme/app/content?"+query, nil)
	}
	for _, query := range []string{"path=nothing", "path=a.txt/b", "path=..", "change_id=" + strings.Repeat("k", 32)} {
		w.want(404, key, "GET", "acme/app/content?"+query, nil)
	}
}
