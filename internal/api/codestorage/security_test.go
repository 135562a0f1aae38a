package codestorage_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// unchanged fails the test if a branch is not where it was.
func (r *repo) unchanged(t testing.TB, branch, head string) {
	t.Helper()
	if got := r.get(r.preferred("/branch?name="+url.QueryEscape(branch))).want(t, 200).at(t, "branch.head_sha"); got != head {
		t.Errorf("branch %s is at %v, want %s", branch, got, head)
	}
}

func TestPathTraversalRefused(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	tip := r.commit(nil, put("a", "1"))
	for _, path := range []string{
		"", "/", "..", "../x", "a/../../x", "a/..", ".", "./x", "a/./b", "a//b", "a/", "dir/", "a\\b", "..\\x", "C:\\x", "a\x00b", "\x00",
		strings.Repeat("a", 256), strings.Repeat("a/", 300) + "b", strings.Repeat("a/b/", 1100) + "c",
	} {
		for _, c := range []change{put(path, "x"), {path: path, content: "x", mode: "120000"}} {
			a := r.post("/api/v1/repos/commit-pack", pack(nil, c)).want(t, 400)
			if got := a.at(t, "result.status"); got != "invalid" {
				t.Errorf("%q: result.status = %v, want invalid", path, got)
			}
		}
	}
	for _, path := range []string{"../x", "a/../a", "..", "a\x00", "./a"} {
		r.post("/api/v1/repos/commit-pack", pack(nil, remove(path))).want(t, 400)
	}
	for _, path := range []string{"../a", "a/../a", "./a", "..", "/../../etc/passwd"} {
		r.get("/api/v1/repos/file?path="+url.QueryEscape(path)).want(t, 404)
		r.get("/api/v1/repos/files?path="+url.QueryEscape(path)).want(t, 404)
	}
	r.unchanged(t, "main", tip)
}

func TestDotGitVariantsRefused(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	tip := r.commit(nil, put("a", "1"))
	for _, name := range []string{
		".git", ".GIT", ".Git", ".git ", ".git.", ".git . .", "git~1", "GIT~1", ".g\u200cit", ".\u200dgit", ".git\ufeff", ".git::$INDEX_ALLOCATION", ".git:x",
	} {
		for _, path := range []string{name, name + "/config", "sub/" + name + "/hooks/post-checkout"} {
			r.post("/api/v1/repos/commit-pack", pack(nil, put(path, "x"))).want(t, 400)
		}
	}
	r.commit(nil, put(".gitignore", "x"), put(".github/x", "y"), put("x.git", "z"), put(".gitattributes", "* text"))
	r.post("/api/v1/repos/branches/create", object{"target_branch": "keep", "base_ref": tip}).want(t, 200)
	r.export()
}

func TestHarmfulGitmodulesRefused(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	tip := r.commit(nil, put("a", "1"))
	for _, c := range []change{
		{path: ".gitmodules", content: "a", mode: "120000"},
		{path: "GITMOD~1", content: "a", mode: "120000"},
		put(".gitmodules", "[submodule \"../../x\"]\n\turl = a\n"),
		put("sub/.gitmodules", "[submodule \"x\"]\n\turl = -u./payload\n"),
		put(".GitModules", "[submodule \"x\"]\n\tpath = -x\n"),
		put(".gitmodules", "[submodule \"x\"]\n\tpath = \"x\r\"\n"),
		put(".gitmodules", strings.Repeat("#\n", 1<<20)),
	} {
		r.post("/api/v1/repos/commit-pack", pack(nil, c)).want(t, 400)
	}
	r.unchanged(t, "main", tip)
	r.commit(nil, put(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = https://example.com/x.git\n"), change{path: "x", content: strings.Repeat("1", 40), mode: "160000"})
	r.export()
}

func TestSymlinkWriteThrough(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, change{path: "out", content: "/tmp", mode: "120000"}, change{path: "dir", content: "real", mode: "120000"}, put("real/x", "safe"))
	// Below a link there is nothing: the link gives way to a folder.
	r.commit(nil, put("dir/x", "new"), put("out/evil", "e"))
	if got := r.content("main", "real/x"); got != "safe" {
		t.Errorf("real/x = %q: written through a link", got)
	}
	dir := r.export()
	if got := gittest.Git(t, dir, "ls-tree", "--format=%(objectmode) %(path)", "main"); got != "040000 dir\n040000 out\n040000 real\n" && strings.TrimSpace(got) != "040000 dir\n040000 out\n040000 real" {
		t.Errorf("tree = %q", got)
	}
	r.commit(nil, change{path: "link", content: "real/x", mode: "120000"})
	if got := r.content("main", "link"); got != "real/x" {
		t.Errorf("link reads as %q: followed", got)
	}
	r.get("/api/v1/repos/file?path=link/x").want(t, 404)
}

func TestForeignObjectIDNotServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSample(t, w, "source")
	secret := s.commit(object{"target_branch": "secret", "base_branch": "main"}, put("secret", "s3cret"))
	blob := s.get("/api/v1/repos/file?ref=secret&path=secret").header.Get("X-Blob-Sha")
	w.call(t, w.token(t, "fork", nil), "POST", "/api/v1/repos", object{"base_repo": object{
		"provider": "code", "name": "source", "ref": "work", "auth": object{"token": s.token},
	}}).want(t, 201)
	fork := &repo{world: w, t: t, name: "fork", token: w.token(t, "fork", nil)}
	stranger := w.repo(t, "stranger")
	stranger.commit(nil, put("x", "x"))
	s.delete("/api/v1/repos/branches", object{"name": "secret"}).want(t, 200)
	for _, r := range []*repo{fork, stranger, s.repo} {
		for _, id := range []string{secret, secret[:10], blob} {
			r.get("/api/v1/repos/commit?sha="+id).want(t, 404)
			r.get("/api/v1/repos/commits?branch="+id).want(t, 404)
			r.get("/api/v1/repos/files?ref="+id).want(t, 404)
			r.get("/api/v1/repos/file?path=secret&ref="+id).want(t, 404)
			r.get("/api/v1/repos/diff?sha="+id).want(t, 404)
			r.get("/api/v1/repos/diff?sha=HEAD&baseSha="+id).want(t, 404)
			r.post("/api/v1/repos/branches/create", object{"target_branch": "grab", "base_ref": id}).want(t, 404)
			r.post("/api/v1/repos/tags", object{"name": "grab", "ref": id}).want(t, 404)
		}
		r.post("/api/v1/repos/tags", object{"name": "grab", "target": secret}).want(t, 404)
		r.post("/api/v1/repos/branches/create", object{"target_branch": "grab", "base_branch": secret}).want(t, 404)
		// A submodule may pin any commit, and shows nothing of it.
		r.commit(object{"target_branch": "pin", "base_branch": "main", "expected_head_sha": nil}, change{path: "sub", content: secret, mode: "160000"})
		r.get("/api/v1/repos/commit?sha="+secret).want(t, 404)
	}
}

func TestOtherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSample(t, w, "app")
	key := w.addOrganization(t, "evil")
	token := sign(t, key, "evil", "app", nil)
	for _, path := range []string{"/api/v1/repo", "/api/repos/app", "/api/v1/repos/branches", "/api/v1/repos/commit?sha=" + s.first, "/api/v1/repos/file?path=README.md"} {
		w.call(t, token, "GET", path, nil).want(t, 404)
	}
	w.call(t, token, "POST", "/api/v1/repos/commit-pack", pack(nil, put("x", "x"))).want(t, 404)
	w.call(t, token, "DELETE", "/api/v1/repos/delete", nil).want(t, 404)
	w.call(t, token, "POST", "/api/v1/repos", object{"base_repo": object{"provider": "code", "name": "app", "auth": object{"token": s.token}}}).want(t, 400)
	if got := w.call(t, token, "GET", "/api/v1/repos", nil).want(t, 200); len(got.at(t, "repos").([]any)) != 0 {
		t.Errorf("repositories = %s", got.body)
	}
	w.call(t, sign(t, key, "acme", "app", nil), "GET", "/api/v1/repo", nil).want(t, 401)
}

func TestRightsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSample(t, w, "app")
	w.repo(t, "other")
	token := func(scopes ...string) string { return w.token(t, "app", claims{"scopes": scopes}) }
	reads := []string{"repos/branches", "repos/commits", "repos/commit?sha=main", "repos/diff?sha=main", "repos/files", "repos/file?path=README.md", "repos/tags", "repos/branches/diff?branch=work"}
	writes := []struct {
		method, path string
		body         any
	}{
		{"POST", "repos/branches/create", object{"target_branch": "x", "base_ref": "main"}},
		{"DELETE", "repos/branches", object{"name": "work"}},
		{"POST", "repos/commit-pack", pack(nil, put("x", "x"))},
		{"POST", "repos/tags", object{"name": "t", "ref": "main"}},
		{"DELETE", "repos/tags", object{"name": "t"}},
	}
	for _, path := range reads {
		w.call(t, "", "GET", "/api/v1/"+path, nil).want(t, 401)
		w.call(t, "nonsense", "GET", "/api/v1/"+path, nil).want(t, 401)
		w.call(t, token("repo:write", "org:read"), "GET", "/api/v1/"+path, nil).want(t, 403)
		w.call(t, token("git:read"), "GET", "/api/v1/"+path, nil).want(t, 200)
		w.call(t, token("git:write"), "GET", "/api/v1/"+path, nil).want(t, 200)
		w.call(t, w.token(t, "other", nil), "GET", "/api/repos/app/"+strings.TrimPrefix(path, "repos/"), nil).want(t, 403)
		w.call(t, w.token(t, "", claims{"repo": nil}), "GET", "/api/v1/"+path, nil).want(t, 403)
	}
	for _, c := range writes {
		w.call(t, "", c.method, "/api/v1/"+c.path, c.body).want(t, 401)
		a := w.call(t, token("git:read", "repo:write", "org:read"), c.method, "/api/v1/"+c.path, c.body).want(t, 403)
		if c.path == "repos/commit-pack" && a.at(t, "result.status") != "forbidden" {
			t.Errorf("commit-pack: %s", a.body)
		}
		preferred := "/api/repos/app/" + strings.TrimPrefix(c.path, "repos/")
		if c.method == "DELETE" && c.path == "repos/tags" {
			preferred += "/t"
		}
		w.call(t, w.token(t, "other", nil), c.method, preferred, c.body).want(t, 403)
	}
	w.call(t, token("git:write"), "DELETE", "/api/v1/repos/delete", nil).want(t, 403)
	w.call(t, token("git:write"), "POST", "/api/v1/repos", "").want(t, 403)
	w.call(t, token("repo:write"), "GET", "/api/v1/repos", nil).want(t, 403)
	w.call(t, w.token(t, "", claims{"repo": nil}), "POST", "/api/v1/repos", "").want(t, 403)
	w.call(t, w.token(t, "", claims{"repo": "org", "scopes": []string{"org:read"}}), "GET", "/api/v1/repos", nil).want(t, 200)
	unauthorized := w.call(t, "", "POST", "/api/v1/repos/commit-pack", pack(nil)).want(t, 401)
	if unauthorized.at(t, "result.status") != "unauthorized" || unauthorized.header.Get("WWW-Authenticate") == "" {
		t.Errorf("unauthorized: %v %s", unauthorized.header, unauthorized.body)
	}
	s.unchanged(t, "main", s.second)
	s.unchanged(t, "work", s.third)
}

func TestHeaderInjectionInAuthor(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	tip := r.commit(nil, put("a", "1"))
	for _, who := range []object{
		{"name": "Ann\nparent " + tip, "email": "a@b"},
		{"name": "Ann", "email": "a@b> 0 +0000\ncommitter Evil <e@vil"},
		{"name": "Ann <root@example.com>", "email": "a@b"},
		{"name": "Ann", "email": "a>b"},
		{"name": "Ann\x00", "email": "a@b"},
		{"name": "Ann", "email": "a\x00@b"},
		{"name": "\n", "email": "a@b"},
	} {
		r.post("/api/v1/repos/commit-pack", pack(object{"author": who}, put("a", "2"))).want(t, 400)
		r.post("/api/v1/repos/commit-pack", pack(object{"committer": who}, put("a", "2"))).want(t, 400)
	}
	r.unchanged(t, "main", tip)
	odd := object{"name": " Ann O\u2019Neil \u202e x\ty, ", "email": " a@b "}
	message := "subject\n\ngpgsig -----BEGIN\ntree " + strings.Repeat("0", 40) + "\r\n\u202e\n\n\n"
	r.commit(object{"author": odd, "commit_message": message}, put("a", "3"))
	a := r.get("/api/v1/repos/commit?sha=main").want(t, 200)
	if got := a.at(t, "commit.message"); got != strings.TrimRight(message, "\n") {
		t.Errorf("message = %q", got)
	}
	if a.at(t, "commit.signature") != nil {
		t.Errorf("the message became a signature: %s", a.body)
	}
	r.export()
}

func TestRevisionOptionInjection(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	for _, rev := range []string{
		"--output=/tmp/x", "--upload-pack=touch x", "-oProxyCommand=x", "--exec=x", "-", "--",
		"HEAD^{/first}", ":/first", ":README.md", "HEAD:README.md", "main@{1}", "@{-1}", "main@{yesterday}", "^main", "main..work", "main...work",
		"main^{tree}", "main^{blob}", "main^{/(a+)+$}", "refs/heads/*", "a b", "main\nwork", "main\x00", "main~99999999999999999999", "main^99999999999999999999", "main~1~", "~1", "^", "refs/heads/../heads/main",
	} {
		for _, path := range []string{"commit?sha=", "commits?branch=", "files?ref=", "file?path=README.md&ref=", "diff?sha=", "diff?sha=main&baseSha="} {
			a := s.get("/api/v1/repos/" + path + url.QueryEscape(rev))
			if a.status != 400 && a.status != 404 {
				// main~1~ and ~ alone mean one step each.
				if rev == "main~1~" {
					continue
				}
				t.Errorf("%s%q: status = %d, want 400 or 404", path, rev, a.status)
			}
		}
		for _, body := range []object{{"target_branch": "x", "base_ref": rev}, {"target_branch": rev, "base_ref": "main"}} {
			if a := s.post("/api/v1/repos/branches/create", body); a.status != 400 && a.status != 404 && rev != "main~1~" {
				t.Errorf("create branch %v: status = %d, want 400 or 404", body, a.status)
			}
		}
	}
}

func TestRefNamesOutsideTheRulesRefused(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	for _, name := range []string{
		"", "a..b", "a@{b", "a~", "a^", "a:b", "a?b", "a*", "a[b", "a\\b", "a b", "a\x7fb", "a\nb", "a.lock", "a.lock/b", "a/.b", ".a", "a.", "a//b", "/a", "a/",
		"-a", "HEAD", "refs/heads/a", "refs/tags/a", "refs/namespaces/ephemeral/refs/heads/a", strings.Repeat("a", 1100),
	} {
		s.post("/api/v1/repos/branches/create", object{"target_branch": name, "base_ref": "main"}).want(t, 400)
		s.post("/api/v1/repos/branches/create", object{"target_branch": name, "base_ref": "main", "target_is_ephemeral": true}).want(t, 400)
		s.post("/api/v1/repos/commit-pack", pack(object{"target_branch": name, "base_branch": "main"}, put("x", "x"))).want(t, 400)
		if name != "HEAD" { // git lets a tag have this name
			s.post("/api/v1/repos/tags", object{"name": name, "ref": "main"}).want(t, 400)
		}
	}
	sameList(t, "branches", s.pages("/api/v1/repos/branches?", 50, "branches", "name"), []string{"main", "work"})
}

func TestEphemeralNamespaceCannotBeNamed(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	for _, rev := range []string{"namespaces/ephemeral/refs/heads/main2", "heads/draft", "draft", "refs/heads/draft"} {
		s.get("/api/v1/repos/commit?sha="+url.QueryEscape(rev)).want(t, 404)
	}
	s.get("/api/v1/repos/commit?sha=draft&ephemeral=true").want(t, 200)
	s.get("/api/v1/repos/commits?branch=main&ephemeral=true").want(t, 404)
	s.post("/api/v1/repos/commit-pack", pack(object{"target_branch": "draft"}, put("x", "x"))).want(t, 404)
}

// policyToken is a token for app with ref policies.
func (r *repo) policyToken(t testing.TB, rules ...any) *repo {
	t.Helper()
	return &repo{world: r.world, t: t, name: r.name, token: r.world.token(t, r.name, claims{"refs": rules})}
}

func rule(pattern string, ops ...string) []any {
	all := make([]any, len(ops))
	for i := range ops {
		all[i] = ops[i]
	}
	return []any{pattern, all}
}

func denied(t testing.TB, a answer) {
	t.Helper()
	if a.want(t, 403); !strings.Contains(a.at(t, "error").(string), "denied by policy") {
		t.Errorf("error = %v", a.at(t, "error"))
	}
}

func TestNoPushStopsEveryWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, pattern := range []string{"main", "refs/heads/main", "HEAD"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			s := newSample(t, w, fmt.Sprint("app-", i))
			s.post("/api/v1/repos/branches/create", object{"target_branch": "main", "base_ref": "main", "target_is_ephemeral": true}).want(t, 200)
			p := s.policyToken(t, rule(pattern, "no-push"))
			denied(t, p.post("/api/v1/repos/commit-pack", pack(nil, put("x", "x"))))
			denied(t, p.post("/api/v1/repos/commit-pack", pack(object{"ephemeral": true}, put("x", "x"))))
			denied(t, p.post("/api/v1/repos/branches/create", object{"target_branch": "main", "base_ref": "work"}))
			denied(t, p.post("/api/v1/repos/branches/create", object{"target_branch": "main", "base_ref": "main"}))
			denied(t, p.post("/api/v1/repos/branches/create", object{"target_branch": "main", "base_ref": s.first, "force": true}))
			denied(t, p.delete("/api/v1/repos/branches", object{"name": "main"}))
			denied(t, p.delete("/api/v1/repos/branches", object{"name": "main", "ephemeral": true}))
			s.unchanged(t, "main", s.second)
			p.commit(object{"target_branch": "work"}, put("x", "x"))
		})
	}
}

func TestNoPushCoversTagsAndPatterns(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	s.post("/api/v1/repos/tags", object{"name": "v1", "ref": "main"}).want(t, 201)
	p := s.policyToken(t, rule("agents/*"), rule("refs/tags/*", "no-push"), rule("*", "no-push"))
	denied(t, p.post("/api/v1/repos/tags", object{"name": "v2", "ref": "main"}))
	denied(t, p.delete("/api/v1/repos/tags", object{"name": "v1"}))
	denied(t, p.post("/api/v1/repos/commit-pack", pack(object{"target_branch": "x", "base_branch": "main"}, put("x", "x"))))
	p.commit(object{"target_branch": "agents/a/b", "base_branch": "main"}, put("x", "x"))
	denied(t, p.post("/api/v1/repos/commit-pack", pack(object{"target_branch": "agents", "base_branch": "main"}, put("x", "x"))))
	label := p.post("/api/v1/repos/commit-pack", pack(nil, put("x", "x")))
	if label.at(t, "result.status") != "forbidden" {
		t.Errorf("result.status = %v, want forbidden", label.at(t, "result.status"))
	}
}

func TestRefPolicyNotBypassedByForce(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	p := s.policyToken(t, rule("*", "no-force-push"))
	create := func(target, base string) answer {
		return p.post("/api/v1/repos/branches/create", object{"target_branch": target, "base_ref": base, "force": true})
	}
	create("b", "main").want(t, 200)
	create("b", "work").want(t, 200) // a fast-forward
	denied(t, create("b", s.first))
	denied(t, create("b", s.second))
	p.commit(object{"target_branch": "b"}, put("x", "x"))
	denied(t, create("b", "work"))
}

func TestRefPolicyNotBypassedByDeleteAndCreate(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	s.post("/api/v1/repos/tags", object{"name": "v1", "ref": "main"}).want(t, 201)
	p := s.policyToken(t, rule("*", "no-force-push"))
	denied(t, p.delete("/api/v1/repos/branches", object{"name": "work"}))
	denied(t, p.delete("/api/v1/repos/branches", object{"name": "draft", "ephemeral": true}))
	denied(t, p.delete("/api/v1/repos/tags", object{"name": "v1"}))
	denied(t, p.delete(s.preferred("/tags/v1"), nil))
	s.unchanged(t, "work", s.third)
}

func TestRefPolicyNotBypassedByPromotion(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	p := s.policyToken(t, rule("draft", "no-push"))
	denied(t, p.post("/api/v1/repos/branches/create", object{"target_branch": "draft", "base_branch": "draft", "base_is_ephemeral": true}))
	denied(t, p.post("/api/v1/repos/branches/create", object{"target_branch": "draft", "base_branch": "main", "target_is_ephemeral": true, "force": true}))
	p.post("/api/v1/repos/branches/create", object{"target_branch": "other", "base_branch": "draft", "base_is_ephemeral": true}).want(t, 200)
}

func TestVerifySigFailsClosed(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	s.commit(object{"target_branch": "unsigned", "base_branch": "main"}, put("u", "u"))
	p := s.policyToken(t, rule("main", "verify-sig"))
	denied(t, p.post("/api/v1/repos/commit-pack", pack(nil, put("x", "x"))))
	// What came in through a branch that nobody verifies is as unverified.
	denied(t, p.post("/api/v1/repos/branches/create", object{"target_branch": "main", "base_ref": "unsigned"}))
	s.unchanged(t, "main", s.second)
	// A rule for everything lets be what such refs have already.
	all := s.policyToken(t, rule("*", "verify-sig"))
	all.post("/api/v1/repos/branches/create", object{"target_branch": "more", "base_ref": "main~1"}).want(t, 200)
	denied(t, all.post("/api/v1/repos/commit-pack", pack(object{"target_branch": "more"}, put("x", "x"))))
	all.delete("/api/v1/repos/branches", object{"name": "more"}).want(t, 200)
}

func TestTreeBombIsRefused(t *testing.T) {
	t.Parallel()
	from := gittest.Init(t, gittest.Bare())
	blob := strings.TrimSpace(from.GitInput("x", "hash-object", "-w", "--stdin"))
	kind, id := "100644 blob", blob
	for range 10 { // 10^10 paths in ten trees
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s %s\tf%d\n", kind, id, i)
		}
		kind, id = "040000 tree", strings.TrimSpace(from.GitInput(tree.String(), "mktree"))
	}
	commit := strings.TrimSpace(from.GitInput("bomb", "-c", "user.name=A", "-c", "user.email=a@b", "commit-tree", id))
	from.Git("update-ref", "refs/heads/main", commit)
	w := newWorld(t, func(o *service.Options) { o.Limits = service.Limits{WalkEntries: 100_000} })
	r := w.load(t, "bomb", from)
	r.get("/api/v1/repos/files").want(t, 413)
	r.get("/api/v1/repos/diff?sha=main").want(t, 413)
	r.get("/api/v1/repos/files?limit=10").want(t, 200)
	r.get("/api/v1/repos/files?recursive=false").want(t, 200)
	r.get("/api/v1/repos/file?path=f0/f1/f2/f3/f4/f5/f6/f7/f8/f9").want(t, 200)
	r.commit(nil, put("f0/f0/new", "n"))
}

func TestErrorsDoNotEchoWithoutBound(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	long := strings.Repeat("y", 8000)
	for _, path := range []string{"commit?sha=" + long[:1000], "branches?ephemeral=" + long, "commits?branch=" + long[:900], "file?path=" + long[:4000], "branches?limit=" + long} {
		if a := s.get("/api/v1/repos/" + path); len(a.at(t, "error").(string)) > 300 {
			t.Errorf("error of %d bytes for %.40s", len(a.at(t, "error").(string)), path)
		}
	}
}

// TestManyRanges is item 62 of what attackers try: many overlapping ranges of
// one file. They cost no more than the file.
func TestManyRanges(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	const path = "/api/v1/repos/file?path=README.md&ref=work"
	for _, n := range []int{2, 100, 10_000} {
		got := s.get(path, "Range", "bytes="+strings.Repeat("0-,", n-1)+"0-")
		got.want(t, 200)
		if len(got.body) != 12 || got.header.Get("Content-Range") != "" || got.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%d ranges: %d bytes, %v", n, len(got.body), got.header)
		}
	}
}
