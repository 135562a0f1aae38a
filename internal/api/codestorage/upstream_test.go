package codestorage_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	r := m.mirror("team/mirror", "gitea", nil)
	id := r.get("/api/v1/repo").at(t, "repo_id")
	if got := r.status(); got != "never" {
		t.Errorf("status %q", got)
	}
	r.get("/api/v1/repos/branches").want(t, 200) // not closed: no sync is under way
	// Without a credential it fails, says why, and opens again.
	r.pull()
	r.get("/api/v1/repos/branches").want(t, 409)
	m.runJobs()
	got := r.get("/api/v1/repo").want(t, 200)
	if got.at(t, "sync.status") != "failed" || !strings.Contains(fmt.Sprint(got.at(t, "sync.error")), "credential") {
		t.Errorf("got %s", got.body)
	}
	r.get("/api/v1/repos/branches").want(t, 200)

	// One for each repository, by name or by id, with a token for either.
	byID := m.token(t, fmt.Sprint(id), nil)
	org := m.token(t, "org", nil)
	other := m.token(t, "other", nil)
	login := map[string]any{"repo_id": "team/mirror", "password": "wrong"}
	m.call(t, other, "POST", "/api/v1/repos/git-credentials", login).want(t, 403)
	m.call(t, m.token(t, "team/mirror", claims{"scopes": []string{"git:write"}}), "POST", "/api/v1/repos/git-credentials", login).want(t, 403)
	m.call(t, "", "POST", "/api/v1/repos/git-credentials", login).want(t, 401)
	m.call(t, m.token(t, "none", nil), "POST", "/api/v1/repos/git-credentials", map[string]any{"repo_id": "none", "password": "x"}).want(t, 404)
	for _, bad := range []map[string]any{{"repo_id": "team/mirror"}, {"password": "a\nb"}, {"username": "a:b", "password": "x"}, {"password": strings.Repeat("x", 5000)}, {"password": 7}} {
		r.post("/api/v1/repos/git-credentials", bad).want(t, 400)
	}
	made := m.call(t, byID, "POST", "/api/v1/repos/git-credentials", map[string]any{"repo_id": id, "username": "bot", "password": "wrong"}).want(t, 201)
	credential := fmt.Sprint(made.at(t, "id"))
	if !strings.HasPrefix(credential, "ggc_") || made.at(t, "created_at") == nil || len(made.json(t)) != 2 {
		t.Errorf("got %s", made.body)
	}
	r.post("/api/repos/team%2Fmirror/git-credentials", map[string]any{"password": "x"}).want(t, 409)
	r.pull()
	m.runJobs()
	if got := r.get("/api/v1/repo"); got.at(t, "sync.error") != "authentication failed" {
		t.Errorf("got %s", got.body)
	}

	// Changed by its id alone.
	right := map[string]any{"id": credential, "username": "bot", "password": "sesame/street"}
	m.call(t, other, "PUT", "/api/v1/repos/git-credentials", right).want(t, 404)
	m.call(t, org, "PUT", "/api/v1/repos/git-credentials", map[string]any{"id": "ggc_x", "password": "x"}).want(t, 404)
	m.call(t, org, "PUT", "/api/v1/repos/git-credentials", map[string]any{"password": "x"}).want(t, 400)
	stranger := sign(t, m.addOrganization(t, "stranger"), "stranger", "org", nil)
	m.call(t, stranger, "PUT", "/api/v1/repos/git-credentials", right).want(t, 404)
	m.call(t, org, "PUT", "/api/v1/repos/git-credentials", right).want(t, 200)
	r.pull()
	m.synced()
	r.wantRefs(up, nil)

	r.call(t, r.token, "PUT", "/api/repos/team%2Fmirror/git-credentials/"+credential, map[string]any{"username": "bot", "password": "sesame/street"}).want(t, 200)
	r.call(t, r.token, "PUT", "/api/repos/other/git-credentials/"+credential, map[string]any{"password": "x"}).want(t, 403)
	m.call(t, other, "DELETE", "/api/repos/other/git-credentials/"+credential, nil).want(t, 404)
	m.call(t, stranger, "DELETE", "/api/v1/repos/git-credentials", map[string]any{"id": credential}).want(t, 404)
	if got := r.call(t, r.token, "DELETE", "/api/repos/team%2Fmirror/git-credentials/"+credential, nil).want(t, 204); len(got.body) > 0 {
		t.Errorf("body %q", got.body)
	}
	m.call(t, org, "DELETE", "/api/v1/repos/git-credentials", map[string]any{"id": credential}).want(t, 404)
}

// TestCredentialsAreNowhere looks for a password in all that comes out of a
// server, and in its store.
func TestCredentialsAreNowhere(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	m.hosted("team/app").Commit("main", "first", gittest.Files{"a": "1\n"})
	echo := true
	m.upstream.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if echo {
			_, password, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			text := "ERR you said " + password + " in " + r.Header.Get("Authorization")
			fmt.Fprintf(w, "%04x%s", len(text)+4, text)
		}
		return echo
	})
	r := m.mirror("mirror", "github", withAuth)
	failures := m.runJobs()
	if len(failures) == 0 {
		t.Error("the sync did not fail")
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "%v %+v\n", failures, failures)
	all.Write(r.get("/api/v1/repo").body)
	all.Write(r.get("/api/v1/repos").body)
	echo = false
	r.pull()
	m.synced()
	all.Write(r.get("/api/v1/repo").body)
	m.inUpdate(func(tx cairn.Tx) error {
		found, err := tx.Repositories().Find(m.organization().ID, "mirror")
		if err != nil {
			return err
		}
		c, err := tx.Credentials().Of(found.RepositoryKey)
		all.Write(c.Sealed)
		return err
	})
	m.log.mu.Lock()
	all.Write(m.log.text.Bytes())
	m.log.mu.Unlock()
	for _, secret := range []string{"sesame", "Ym90OnNlc2FtZS9zdHJlZXQ"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q is in %s", secret, all.String())
		}
	}
}

func TestCreateWithUpstreamRefusals(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.hosted("team/app")
	token := m.token(t, "mirror", nil)
	create := func(change func(base map[string]any)) answer {
		body := m.base("gitea", "team", "app", nil)
		change(body["base_repo"].(map[string]any))
		return m.call(t, token, "POST", "/api/v1/repos", body)
	}
	for name, c := range map[string]struct {
		status int
		change map[string]any
	}{
		"no provider":              {400, map[string]any{"provider": ""}},
		"unknown provider":         {400, map[string]any{"provider": "gopher"}},
		"no host":                  {400, map[string]any{"upstream_host": ""}},
		"github without an app":    {412, map[string]any{"provider": "github"}},
		"operation":                {400, map[string]any{"operation": "fork"}},
		"auth type":                {400, map[string]any{"auth": map[string]any{"auth_type": "magic"}}},
		"password without type":    {400, map[string]any{"auth": map[string]any{"password": "x"}}},
		"not there":                {400, map[string]any{"name": "absent", "auth": public}},
		"default branch":           {400, map[string]any{"default_branch": "a..b"}},
		"no owner":                 {400, map[string]any{"owner": ""}},
		"no name":                  {400, map[string]any{"name": ""}},
		"owner up":                 {400, map[string]any{"owner": ".."}},
		"owner with empty part":    {400, map[string]any{"owner": "a//b"}},
		"owner too deep":           {400, map[string]any{"owner": strings.Repeat("a/", 30) + "a"}},
		"owner an option":          {400, map[string]any{"owner": "--upload-pack=x"}},
		"name with a folder":       {400, map[string]any{"name": "a/b"}},
		"name with a query":        {400, map[string]any{"name": "a?b"}},
		"name with an escape":      {400, map[string]any{"name": "a%2fb"}},
		"name with a line feed":    {400, map[string]any{"name": "a\nb"}},
		"host with a scheme":       {400, map[string]any{"upstream_host": "https://example.com"}},
		"host with a path":         {400, map[string]any{"upstream_host": "example.com/x"}},
		"host with a user":         {400, map[string]any{"upstream_host": "u:p@example.com"}},
		"host with a port":         {400, map[string]any{"upstream_host": "example.com:8443"}},
		"one word":                 {400, map[string]any{"upstream_host": "localhost"}},
		"private address":          {400, map[string]any{"upstream_host": "10.0.0.1"}},
		"metadata service":         {400, map[string]any{"upstream_host": "169.254.169.254:80"}},
		"decimal address":          {400, map[string]any{"upstream_host": "2130706433"}},
		"octal address":            {400, map[string]any{"upstream_host": "0177.0.0.1"}},
		"address of six":           {400, map[string]any{"upstream_host": "[::1]:80"}},
		"address of six, embedded": {400, map[string]any{"upstream_host": "[::ffff:10.0.0.1]:80"}},
		"host with a line feed":    {400, map[string]any{"upstream_host": "example.com\n"}},
	} {
		got := create(func(base map[string]any) {
			for k, v := range c.change {
				base[k] = v
			}
		})
		if got.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, got.status, c.status, got.body)
		}
	}
	m.call(t, token, "GET", "/api/v1/repo", nil).want(t, 404)
	m.call(t, m.token(t, "mirror", claims{"scopes": []string{"git:write"}}), "POST", "/api/v1/repos", m.base("gitea", "team", "app", nil)).want(t, 403)
	m.call(t, "", "POST", "/api/v1/repos", m.base("gitea", "team", "app", nil)).want(t, 401)
	create(func(map[string]any) {}).want(t, 201)
	create(func(map[string]any) {}).want(t, 409)
}

// TestUpstreamAddresses shows which server each provider leads to.
func TestUpstreamAddresses(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	for i, c := range []struct{ provider, owner, name, host, wantProvider, wantHost, wantOwner string }{
		{"github", "o", "n.git", "", "github", "github.com", "o"},
		{"gitlab", "group/sub", "n", "", "gitlab", "gitlab.com", "group/sub"},
		{"bitbucket", "o", "n", "", "bitbucket", "bitbucket.org", "o"},
		{"codeberg", "o", "n", "", "codeberg", "codeberg.org", "o"},
		{"sourcehut", "o", "n", "", "sr.ht", "git.sr.ht", "~o"},
		{"sr.ht", "~o", "n", "", "sr.ht", "git.sr.ht", "~o"},
		{"forgejo", "o", "n", "Git.Example.com", "forgejo", "git.example.com", "o"},
		{"gitea", "o", "n", "git.example.com", "gitea", "git.example.com", "o"},
	} {
		name := fmt.Sprintf("r%d", i)
		r := &repo{world: m.world, t: t, name: name, token: m.token(t, name, nil)}
		base := map[string]any{"provider": c.provider, "owner": c.owner, "name": c.name, "auth": map[string]any{"auth_type": "credential"}}
		if c.host != "" {
			base["upstream_host"] = c.host
		}
		made := r.post("/api/v1/repos", map[string]any{"base_repo": base}).want(t, 201)
		shown := r.get("/api/v1/repos?q="+name).at(t, "repos.0")
		for _, got := range []any{made.at(t, "base_repo"), r.get("/api/v1/repo").at(t, "base_repo"), shown.(map[string]any)["base_repo"]} {
			b, _ := got.(map[string]any)
			if b["provider"] != c.wantProvider || b["upstream_host"] != c.wantHost || b["owner"] != c.wantOwner || b["name"] != "n" {
				t.Errorf("%s: %v", c.provider, got)
			}
		}
	}
	plain := m.repo(t, "plain")
	if got := plain.get("/api/v1/repo").json(t); got["base_repo"] != nil || got["sync"] != nil {
		t.Errorf("a repository without upstream: %v", got)
	}
}

func TestPullAndDetachRefusals(t *testing.T) {
	t.Parallel()
	m := newMirrors(t)
	m.upstream.Username, m.upstream.Password = "bot", "sesame/street"
	up := m.hosted("team/app")
	up.Commit("main", "first", gittest.Files{"a": "1\n"})
	plain := m.repo(t, "plain")
	plain.post("/api/v1/repos/pull-upstream", nil).want(t, 400)
	plain.call(t, plain.token, "DELETE", "/api/v1/repos/base", nil).want(t, 200)
	r := m.mirror("mirror", "gitea", withAuth)
	reader := m.token(t, "mirror", claims{"scopes": []string{"git:read", "repo:write"}})
	for _, c := range []struct{ method, path string }{{"POST", "pull-upstream"}, {"DELETE", "base"}} {
		m.call(t, "", c.method, "/api/v1/repos/"+c.path, nil).want(t, 401)
		m.call(t, reader, c.method, "/api/v1/repos/"+c.path, nil).want(t, 403)
		m.call(t, m.token(t, "other", nil), c.method, "/api/repos/mirror/"+c.path, nil).want(t, 403)
		m.call(t, m.token(t, "absent", nil), c.method, "/api/repos/absent/"+c.path, nil).want(t, 404)
	}
	r.post("/api/v1/repos/pull-upstream", `{"ref":"a..b"}`).want(t, 400)
	guarded := m.token(t, "mirror", claims{"refs": []any{[]any{"main", []string{"no-push"}}}})
	m.call(t, guarded, "POST", "/api/v1/repos/pull-upstream", `{"ref":"main"}`).want(t, 403)
	m.call(t, guarded, "POST", "/api/v1/repos/pull-upstream", nil).want(t, 403)
	m.call(t, guarded, "POST", "/api/v1/repos/pull-upstream", `{"ref":"topic","after":"x"}`).want(t, 202)
	m.synced()

	// Detached, it is a repository like any other, and the credential is gone.
	for range 2 {
		got := r.call(t, r.token, "DELETE", "/api/repos/mirror/base", nil).want(t, 200)
		if got.at(t, "message") != "repository detached" {
			t.Errorf("got %s", got.body)
		}
	}
	if got := r.get("/api/v1/repo").json(t); got["base_repo"] != nil || got["sync"] != nil {
		t.Errorf("detached: %v", got)
	}
	r.wantRefs(up, nil)
	r.post("/api/v1/repos/pull-upstream", nil).want(t, 400)
	r.post("/api/v1/repos/git-credentials", map[string]any{"password": "x"}).want(t, 201)
}
