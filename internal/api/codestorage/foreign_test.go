package codestorage_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/cairn-storage/cairn/internal/api/codestorage"
)

// idRequest is a way to name an object or a revision: a route and where the id
// goes, written {id}.
type idRequest struct {
	route string // of the document
	query string
	body  object
	line  object // metadata of a commit-pack
	patch string // of a diff-commit
}

var ann = object{"name": "Ann", "email": "ann@example.com"}

// idRequests are all of them.
var idRequests = []idRequest{
	{route: "GET /api/repos/{repo}/files", query: "ref={id}"},
	{route: "GET /api/repos/{repo}/files", query: "ref={id}&limit=1"},
	{route: "GET /api/repos/{repo}/files/metadata", query: "ref={id}"},
	{route: "GET /api/repos/{repo}/file", query: "path=secret&ref={id}"},
	{route: "GET /api/repos/{repo}/file", query: "path={id}&ref=main"},
	{route: "POST /api/repos/{repo}/archive", body: object{"ref": "{id}"}},
	{route: "POST /api/repos/{repo}/grep", body: object{"ref": "{id}", "query": object{"pattern": "s3cret"}}},
	{route: "GET /api/repos/{repo}/blame", query: "path=secret&ref={id}"},
	{route: "GET /api/repos/{repo}/blame", query: "path={id}&ref=main"},
	{route: "GET /api/repos/{repo}/commits", query: "branch={id}"},
	{route: "GET /api/repos/{repo}/commits", query: "branch={id}~1&path=secret"},
	{route: "GET /api/repos/{repo}/commit", query: "sha={id}"},
	{route: "GET /api/repos/{repo}/commit", query: "sha={id}^{commit}"},
	{route: "GET /api/repos/{repo}/diff", query: "sha={id}"},
	{route: "GET /api/repos/{repo}/diff", query: "sha=main&baseSha={id}"},
	{route: "GET /api/repos/{repo}/branch", query: "name={id}"},
	{route: "GET /api/repos/{repo}/branches/diff", query: "branch={id}"},
	{route: "GET /api/repos/{repo}/branches/diff", query: "branch=main&base={id}"},
	{route: "POST /api/repos/{repo}/branches/create", body: object{"target_branch": "grab", "base_ref": "{id}"}},
	{route: "POST /api/repos/{repo}/branches/create", body: object{"target_branch": "grab", "base_branch": "{id}"}},
	{route: "POST /api/repos/{repo}/branches/create", body: object{"target_branch": "main", "base_ref": "{id}", "force": true}},
	{route: "DELETE /api/repos/{repo}/branches", body: object{"name": "{id}"}},
	{route: "GET /api/repos/{repo}/merge/preview", query: "source_ref={id}&target_branch=main"},
	{route: "GET /api/repos/{repo}/merge/preview", query: "source_ref=main&target_branch={id}"},
	{route: "POST /api/repos/{repo}/merge", body: mergeOf(object{"source_branch": "{id}", "squash": true})},
	{route: "POST /api/repos/{repo}/merge", body: mergeOf(object{"source_branch": "main", "target_branch": "{id}"})},
	{route: "POST /api/repos/{repo}/merge", body: mergeOf(object{"source_branch": "main", "expected_target_sha": "{id}"})},
	{route: "POST /api/repos/{repo}/commit-pack", line: object{"expected_head_sha": "{id}"}},
	{route: "POST /api/repos/{repo}/commit-pack", line: object{"target_branch": "grab", "base_branch": "main", "expected_head_sha": "{id}"}},
	{route: "POST /api/repos/{repo}/commit-pack", line: object{"target_branch": "grab", "base_branch": "{id}"}},
	{route: "POST /api/repos/{repo}/diff-commit", body: object{"metadata": object{"target_branch": "{id}", "commit_message": "m", "author": ann}}},
	{route: "POST /api/repos/{repo}/diff-commit", patch: "diff --git a/new b/new\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..{id}\nBinary files /dev/null and b/new differ\n"},
	{route: "POST /api/repos/{repo}/diff-commit", patch: "diff --git a/new b/new\nnew file mode 160000\nindex 0000000000000000000000000000000000000000..{id}\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n"},
	{route: "POST /api/repos/{repo}/restore-commit", body: object{"metadata": object{"target_branch": "main", "author": ann, "base_ref": "{id}"}}},
	{route: "POST /api/repos/{repo}/restore-commit", body: object{"metadata": object{"target_branch": "{id}", "author": ann, "base_ref": "main"}}},
	{route: "POST /api/repos/{repo}/reset-commits", body: object{"metadata": object{"target_branch": "main", "author": ann, "target_commit_sha": "{id}"}}},
	{route: "POST /api/repos/{repo}/branches/restore", body: object{"name": "grab", "head_sha": "{id}"}},
	{route: "POST /api/repos/{repo}/branches/restore", body: object{"name": "{id}"}},
	{route: "POST /api/repos/{repo}/tags", body: object{"name": "grab", "ref": "{id}"}},
	{route: "POST /api/repos/{repo}/tags", body: object{"name": "grab", "target": "{id}"}},
	{route: "GET /api/repos/{repo}/tag", query: "name={id}"},
	{route: "GET /api/repos/{repo}/notes", query: "sha={id}"},
	{route: "GET /api/repos/{repo}/notes", query: "object_ref=main&notes_ref={id}"},
	{route: "POST /api/repos/{repo}/notes", body: object{"sha": "{id}", "note": "grab"}},
	{route: "POST /api/repos/{repo}/notes", body: object{"sha": "main", "note": "grab", "expected_ref_sha": "{id}"}},
	{route: "DELETE /api/repos/{repo}/notes", body: object{"sha": "{id}"}},
	{route: "DELETE /api/repos/{repo}/tags/{tag}", query: ""},
	{route: "POST /api/repos", body: object{"base_repo": object{"provider": "code", "name": "{repo}", "sha": "{id}"}}},
	{route: "POST /api/repos", body: object{"base_repo": object{"provider": "code", "name": "{repo}", "ref": "{id}"}}},
}

// withoutIDs are the routes that name no object.
var withoutIDs = []string{
	"GET /api/repos", "GET /api/repos/{repo}", "DELETE /api/repos/{repo}", "GET /api/repos/{repo}/branches", "GET /api/repos/{repo}/tags",
	"GET /api/repos/{repo}/events", "POST /api/repos/{repo}/restore", "POST /api/repos/{repo}/purge",
	"DELETE /api/repos/{repo}/base", "POST /api/repos/{repo}/pull-upstream",
	"POST /api/repos/{repo}/git-credentials", "PUT /api/repos/{repo}/git-credentials/{id}", "DELETE /api/repos/{repo}/git-credentials/{id}",
	"GET /api/repos/{repo}/notes/refs",
}

// TestEveryRouteIsAskedForForeignObjects fails for a route that is new and in
// neither list.
func TestEveryRouteIsAskedForForeignObjects(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range idRequests {
		known[r.route] = true
	}
	for _, route := range withoutIDs {
		known[route] = true
	}
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(codestorage.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		if strings.HasPrefix(path, "/api/v1/") {
			continue // the same operations
		}
		for method := range item {
			if route := strings.ToUpper(method) + " " + path; method != "parameters" && method != "head" && !known[route] {
				t.Errorf("%s: how does it name objects? It must answer for those of other repositories as for absent ones", route)
			}
		}
	}
}

// replaceIn replaces {id} and {repo} in all texts of a JSON value.
func replaceIn(value any, with *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return with.Replace(v)
	case object:
		out := object{}
		for k := range v {
			out[k] = replaceIn(v[k], with)
		}
		return out
	}
	return value
}

// ask sends the request for one id.
func (in idRequest) ask(t *testing.T, r *repo, id string) answer {
	t.Helper()
	with := strings.NewReplacer("{id}", id, "{repo}", r.name, "{tag}", id)
	method, path, _ := strings.Cut(in.route, " ")
	path = with.Replace(path)
	token := r.token
	var body any
	switch {
	case in.line != nil:
		body = pack(replaceIn(in.line, with).(object), put("new", "x"))
	case in.patch != "":
		body = patchCommit(nil, with.Replace(in.patch))
	case in.body != nil:
		filled := replaceIn(in.body, with).(object)
		if path == "/api/repos" {
			filled["base_repo"].(object)["auth"] = object{"token": r.token}
			token = r.world.token(t, "grab", nil)
		}
		body = filled
	}
	if in.query != "" {
		path += "?" + strings.NewReplacer("{id}", url.QueryEscape(id), "~1", "%7E1", "^{commit}", "%5E%7Bcommit%7D").Replace(in.query)
	}
	return r.world.call(t, token, method, path, body)
}

// TestForeignObjectsAreLikeAbsentOnes asks every route for objects that the
// repository's packs may hold and none of its refs leads to, and for ones that
// nobody has. The answers must be the same.
func TestForeignObjectsAreLikeAbsentOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	source := newSample(t, w, "source").repo
	secret := source.commit(object{"target_branch": "secret", "base_branch": "main"}, put("secret", "s3cret"))
	blob := source.get("/api/v1/repos/file?ref=secret&path=secret").want(t, 200).header.Get("X-Blob-Sha")
	w.call(t, w.token(t, "fork", nil), "POST", "/api/v1/repos", object{"base_repo": object{
		"provider": "code", "name": "source", "ref": "main", "auth": object{"token": source.token},
	}}).want(t, 201)
	fork := &repo{world: w, t: t, name: "fork", token: w.token(t, "fork", nil)}
	own := fork.commit(object{"target_branch": "own", "base_branch": "main"}, put("own", "of the fork"))
	stranger := newSample(t, w, "stranger").repo
	stranger.commit(nil, put("x", "x"))
	source.delete("/api/v1/repos/branches", object{"name": "secret"}).want(t, 200)

	for _, c := range []struct {
		what string
		repo *repo
		id   string
	}{
		{"a commit of the parent, asked of the fork", fork, secret},
		{"the same, shortened", fork, secret[:12]},
		{"a blob of the parent", fork, blob},
		{"a commit of the fork, asked of the parent", source, own},
		{"a commit of a deleted branch", source, secret},
		{"a blob of a deleted branch", source, blob},
		{"a commit of another repository", stranger, secret},
		{"the same, shortened", stranger, secret[:12]},
	} {
		absent := strings.Repeat("12", 20)[:len(c.id)]
		for _, in := range idRequests {
			want, got := in.ask(t, c.repo, absent), in.ask(t, c.repo, c.id)
			if want.status < 400 {
				t.Errorf("%s %s%v%v: an absent id is answered with %d", in.route, in.query, in.body, in.line, want.status)
			}
			wantBody := strings.ReplaceAll(string(want.body), absent, "ID")
			gotBody := strings.ReplaceAll(string(got.body), c.id, "ID")
			if got.status != want.status || gotBody != wantBody {
				t.Errorf("%s: %s %s%v%v: %d %s; of an absent one %d %s", c.what, in.route, in.query, in.body, in.line, got.status, gotBody, want.status, wantBody)
			}
		}
	}
}
