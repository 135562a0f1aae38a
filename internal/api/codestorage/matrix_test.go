package codestorage_test

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// access is a row of the authorization matrix: a request to a route that is
// carried out if the token allows it, and what a token must allow for it.
type access struct {
	// scopes are those of which one is enough.
	scopes []string
	// query and body are the request; values fills the names in the path.
	query  string
	body   func(s *sample) any
	values map[string]func(s *sample) string
	status int
	// changes is the ref that the request changes, by its full name; forces says
	// that the change is no fast-forward, commits that it brings unsigned commits.
	changes         string
	forces, commits bool
	// foreign is the status for a token of another organization that names a
	// repository of the same name; 0 means 404, -1 that there is nothing to
	// refuse.
	foreign int
	// unbound tells that the v1 address takes tokens for no repository.
	unbound bool
	// prepare makes what the request is about.
	prepare func(s *sample)
}

var (
	reading  = []string{"git:read", "git:write"}
	writing  = []string{"git:write"}
	creating = []string{"repo:write"}
	listing  = []string{"org:read"}
	all      = []string{"git:read", "git:write", "repo:write", "org:read"}
)

// body is one that does not depend on the repository.
func body(v any) func(*sample) any { return func(*sample) any { return v } }

// matrix has a row for each route.
var matrix = map[string]access{
	"POST repos":          {scopes: creating, body: body(object{}), status: 409, foreign: -1},
	"GET repos":           {scopes: listing, status: 200, foreign: 200},
	"GET repos/{repo}":    {scopes: []string{"git:read", "git:write", "repo:write"}, status: 200},
	"DELETE repos/{repo}": {scopes: creating, status: 200},

	"POST repos/{repo}/branches/create": {
		scopes: writing, status: 200, changes: "refs/heads/work", forces: true, commits: true,
		body:    func(s *sample) any { return object{"target_branch": "work", "base_ref": "side", "force": true} },
		prepare: func(s *sample) { s.commit(object{"target_branch": "side", "base_branch": "main"}, put("side", "s")) },
	},
	"GET repos/{repo}/branches": {scopes: reading, status: 200},
	"GET repos/{repo}/branch":   {scopes: reading, query: "name=main", status: 200},
	"DELETE repos/{repo}/branches": {
		scopes: writing, status: 200, changes: "refs/heads/work", forces: true,
		body: body(object{"name": "work"}),
	},
	"GET repos/{repo}/branches/diff": {scopes: reading, query: "branch=work", status: 200},

	"POST repos/{repo}/commit-pack": {
		scopes: writing, status: 201, changes: "refs/heads/main", commits: true,
		body: body(pack(nil, put("new", "n"))),
	},
	"GET repos/{repo}/commits": {scopes: reading, status: 200},
	"GET repos/{repo}/commit":  {scopes: reading, query: "sha=main", status: 200},
	"GET repos/{repo}/diff":    {scopes: reading, query: "sha=main", status: 200},

	"GET repos/{repo}/files": {scopes: reading, status: 200},
	"GET repos/{repo}/file":  {scopes: reading, query: "path=README.md", status: 200},
	"HEAD repos/{repo}/file": {scopes: reading, query: "path=README.md", status: 200},

	"POST repos/{repo}/tags": {
		scopes: writing, status: 201, changes: "refs/tags/v2", commits: true,
		body: func(s *sample) any { return object{"name": "v2", "target": s.first} },
	},
	"GET repos/{repo}/tags": {scopes: reading, status: 200},
	"GET repos/{repo}/tag":  {scopes: reading, query: "name=v1", status: 200, prepare: tagged},
	"DELETE repos/{repo}/tags/{tag}": {
		scopes: writing, status: 200, changes: "refs/tags/v1", forces: true, prepare: tagged,
		body: body(object{"name": "v1"}), values: map[string]func(*sample) string{"tag": func(*sample) string { return "v1" }},
	},

	"POST repos/{repo}/merge": {
		scopes: writing, status: 200, changes: "refs/heads/main", commits: true,
		body: body(object{"source_branch": "work", "target_branch": "main", "strategy": "merge", "commit_message": "m", "author": object{"name": "A", "email": "a@b"}}),
	},
	"GET repos/{repo}/merge/preview": {scopes: reading, query: "source_branch=work&target_branch=main", status: 200},
	"POST repos/{repo}/diff-commit": {
		scopes: writing, status: 201, changes: "refs/heads/main", commits: true,
		body: body(patchCommit(nil, "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n")),
	},
	"POST repos/{repo}/restore-commit": {
		scopes: writing, status: 201, changes: "refs/heads/main", commits: true, body: restoring,
	},
	"POST repos/{repo}/reset-commits": {
		scopes: writing, status: 201, changes: "refs/heads/main", commits: true, body: restoring,
	},
	"GET repos/{repo}/files/metadata": {scopes: reading, status: 200},
	"GET repos/{repo}/blame":          {scopes: reading, query: "path=README.md", status: 200},
	"POST repos/{repo}/grep":          {scopes: reading, status: 200, body: body(object{"query": object{"pattern": "hello"}})},
	"POST repos/{repo}/archive":       {scopes: reading, status: 200},
	"GET repos/{repo}/notes":          {scopes: reading, status: 200, prepare: noted, query: "sha=main"},
	"POST repos/{repo}/notes": {
		scopes: writing, status: 200, changes: "refs/notes/commits", commits: true,
		body: func(s *sample) any { return object{"sha": s.first, "action": "add", "note": "n"} },
	},
	"DELETE repos/{repo}/notes": {
		scopes: writing, status: 200, changes: "refs/notes/commits", commits: true, prepare: noted,
		body: func(s *sample) any { return object{"sha": s.second} },
	},
	"GET repos/{repo}/notes/refs": {scopes: reading, status: 200},
	"DELETE repos/{repo}/base":    {scopes: writing, status: 200},
	// There is no upstream to pull from.
	"POST repos/{repo}/pull-upstream": {scopes: writing, status: 400, body: body(object{})},
	"GET repos/{repo}/events":         {scopes: reading, status: 200},

	"POST repos/{repo}/restore": {scopes: creating, status: 409},
	"POST repos/{repo}/purge":   {scopes: creating, status: 200},
	"POST repos/{repo}/branches/restore": {
		scopes: writing, status: 200, changes: "refs/heads/gone", commits: true, body: body(object{"name": "gone"}),
		prepare: func(s *sample) {
			s.post("/api/v1/repos/branches/create", object{"base_ref": "main", "target_branch": "gone"}).want(s.t, 200)
			s.delete("/api/v1/repos/branches", object{"name": "gone"}).want(s.t, 200)
		},
	},
	"POST repos/{repo}/git-credentials": {scopes: creating, status: 201, body: body(object{"password": "p"})},
	"PUT repos/{repo}/git-credentials/{id}": {
		scopes: creating, status: 200, unbound: true, prepare: credentialed, values: credentialInPath,
		body: func(s *sample) any { return object{"id": s.credential, "password": "q"} },
	},
	"DELETE repos/{repo}/git-credentials/{id}": {
		scopes: creating, status: 204, unbound: true, prepare: credentialed, values: credentialInPath,
		body: func(s *sample) any { return object{"id": s.credential} },
	},

	"POST webhooks":          {scopes: creating, status: 201, body: body(object{"url": "http://127.0.0.1:1/", "events": []string{"push"}})},
	"GET webhooks":           {scopes: creating, status: 200, prepare: hooked},
	"GET webhooks/{webhook}": {scopes: creating, status: 200, prepare: hooked, values: hookValues},
	"PATCH webhooks/{webhook}": {
		scopes: creating, status: 200, prepare: hooked, values: hookValues, body: body(object{"active": false}),
	},
	"DELETE webhooks/{webhook}":             {scopes: creating, status: 200, prepare: hooked, values: hookValues},
	"POST webhooks/{webhook}/ping":          {scopes: creating, status: 202, prepare: hooked, values: hookValues},
	"POST webhooks/{webhook}/rotate-secret": {scopes: creating, status: 200, prepare: hooked, values: hookValues},
	"GET webhooks/{webhook}/deliveries":     {scopes: creating, status: 200, prepare: hooked, values: hookValues},
	"GET webhooks/{webhook}/deliveries/{delivery}": {
		scopes: creating, status: 200, prepare: hooked, values: hookValues,
	},
	"POST webhooks/{webhook}/deliveries/{delivery}/redeliver": {
		scopes: creating, status: 202, prepare: hooked, values: hookValues,
	},
}

// hooked makes a webhook with a delivery.
func hooked(s *sample) {
	s.t.Helper()
	made := s.post("/api/v1/webhooks", object{"url": "http://127.0.0.1:1/", "events": []string{"push"}}).want(s.t, 201)
	s.hook = made.at(s.t, "id").(string)
	s.delivery = s.post("/api/v1/webhooks/"+s.hook+"/ping", nil).want(s.t, 202).at(s.t, "id").(string)
}

var hookValues = map[string]func(*sample) string{
	"webhook":  func(s *sample) string { return s.hook },
	"delivery": func(s *sample) string { return s.delivery },
}

var credentialInPath = map[string]func(*sample) string{"id": func(s *sample) string { return s.credential }}

func credentialed(s *sample) {
	s.t.Helper()
	s.credential = fmt.Sprint(s.post("/api/v1/repos/git-credentials", object{"password": "p"}).want(s.t, 201).at(s.t, "id"))
}

func tagged(s *sample) {
	s.t.Helper()
	s.post("/api/v1/repos/tags", object{"name": "v1", "ref": "main"}).want(s.t, 201)
}

func noted(s *sample) {
	s.t.Helper()
	s.post("/api/v1/repos/notes", object{"sha": s.second, "action": "add", "note": "n"}).want(s.t, 200)
}

func restoring(s *sample) any {
	return object{"metadata": object{"target_branch": "main", "target_commit_sha": s.first, "author": object{"name": "A", "email": "a@b"}}}
}

// patchCommit is the body of a diff-commit.
func patchCommit(metadata object, patch string) string {
	full := object{"target_branch": "main", "commit_message": "a patch", "author": object{"name": "Ann", "email": "ann@example.com"}}
	for k, v := range metadata {
		if v == nil {
			delete(full, k)
		} else {
			full[k] = v
		}
	}
	return ndjson(object{"metadata": full}, object{"diff_chunk": object{"data": base64.StdEncoding.EncodeToString([]byte(patch)), "eof": true}})
}

// probe is one address of the matrix and the repository that it is tried on.
type probe struct {
	codestorage.Address
	access
	*sample
}

// send makes the row's request with that token to the repository of that name.
func (p *probe) send(t testing.TB, token, repo string, header ...string) answer {
	t.Helper()
	path := strings.ReplaceAll(p.Pattern, "{repo}", url.PathEscape(repo))
	for name, value := range p.values {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value(p.sample)))
	}
	if p.query != "" {
		path += "?" + p.query
	}
	var content any
	if p.access.body != nil {
		content = p.access.body(p.sample)
	}
	return p.call(t, token, p.Method, path, content, header...)
}

// refusal is a token that does not suffice, and the status that says so.
type refusal struct {
	name, token, repo string
	status            int
	policy            bool
}

// refusals are all tokens with which a probe must be refused.
func (p *probe) refusals(t testing.TB, other *sample, evil func(claims) string) []refusal {
	var found []refusal
	add := func(name string, status int, token string) {
		found = append(found, refusal{name: name, token: token, repo: p.name, status: status})
	}
	own := func(c claims) string { return p.world.token(t, p.name, c) }
	good := claims{"scopes": p.scopes}
	past := time.Now().Add(-2 * time.Hour)

	add("no token", 401, "")
	add("garbage", 401, "garbage")
	add("garbage in three parts", 401, "e30.e30.AAAA")
	add("expired", 401, own(claims{"scopes": p.scopes, "iat": past.Unix(), "exp": past.Add(time.Hour).Unix()}))
	add("without an end", 401, own(claims{"scopes": p.scopes, "exp": nil}))
	add("not valid yet", 401, own(claims{"scopes": p.scopes, "nbf": time.Now().Add(time.Hour).Unix()}))
	add("unknown issuer", 401, own(claims{"scopes": p.scopes, "iss": "nobody"}))
	add("signed by another organization", 401, evil(claims{"iss": p.org, "repo": p.name, "scopes": all}))
	add("an unknown policy", 401, own(claims{"scopes": p.scopes, "refs": [][]any{rule("*", "no-fun")}}))
	if p.foreign == 0 {
		add("of another organization", 404, evil(claims{"repo": p.name, "scopes": all}))
	}

	add("no scopes", 403, own(claims{"scopes": []string{}}))
	var others []string
	for _, scope := range all {
		if !slices.Contains(p.scopes, scope) {
			others = append(others, scope)
			add("only "+scope, 403, own(claims{"scopes": []string{scope}}))
		}
	}
	add("all scopes but the right ones", 403, own(claims{"scopes": others}))
	add("an unknown scope", 403, own(claims{"scopes": []string{"admin", "*", "GIT:WRITE"}}))

	if !p.Organization {
		if !p.unbound || strings.Contains(p.Pattern, "{repo}") {
			add("without a repository", 403, own(claims{"scopes": p.scopes, "repo": nil}))
		}
		if p.Operation != "POST repos" {
			found = append(found, refusal{name: "a repository that is not there", token: p.world.token(t, "absent", good), repo: "absent", status: 404})
		}
	}
	if strings.Contains(p.Pattern, "{repo}") {
		add("for another repository", 403, other.world.token(t, other.name, good))
	}
	return append(found, p.policyRefusals(own)...)
}

// policyRefusals are the tokens whose ref policy forbids the request.
func (p *probe) policyRefusals(own func(claims) string) []refusal {
	if p.changes == "" {
		return nil
	}
	var found []refusal
	add := func(name string, change claims) {
		change["scopes"] = p.scopes
		found = append(found, refusal{name: name, token: own(change), repo: p.name, status: 403, policy: true})
	}
	folder := p.changes[:strings.LastIndexByte(p.changes, '/')+1]
	add("no-push on the ref", claims{"refs": [][]any{rule(p.changes, "no-push")}})
	add("no-push on its folder", claims{"refs": [][]any{rule("refs/heads/elsewhere"), rule(folder+"*", "no-push")}})
	add("no-push on everything", claims{"refs": [][]any{rule("*", "no-push")}})
	add("no-push on everything as before", claims{"ops": []string{"no-push"}})
	if p.forces {
		add("no-force-push", claims{"refs": [][]any{rule(p.changes, "no-force-push")}})
	}
	if p.commits {
		add("verify-sig", claims{"refs": [][]any{rule(p.changes, "verify-sig")}})
	}
	return found
}

// TestAuthorizationMatrix tries every route with every token that must not do,
// then with the least that must. The refusals change not one row of the
// database. All answers, of every route a good one, are held to the OpenAPI
// document.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	w, dump := newDumpedWorld(t)
	evilKey := w.addOrganization(t, "evil")
	evil := func(c claims) string { return sign(t, evilKey, "evil", "", c) }
	other := newSample(t, w, "other")

	probes := newProbes(t, w)
	before := dump()
	for _, p := range probes {
		for _, r := range p.refusals(t, other, evil) {
			p.wantRefusal(t, r)
		}
	}
	after := dump()
	for row := range after {
		if !before[row] {
			t.Errorf("a refused request wrote %s", row)
		}
	}
	for row := range before {
		if !after[row] {
			t.Errorf("a refused request removed or changed %s", row)
		}
	}
	if t.Failed() {
		return
	}
	for _, p := range probes {
		for i, scope := range p.scopes {
			if i > 0 && p.changes != "" {
				break // it is done already
			}
			token := w.token(t, p.name, claims{"scopes": []string{scope}, "refs": [][]any{rule("refs/heads/elsewhere", "no-push"), rule("refs/tags/elsewhere", "no-push")}})
			if a := p.send(t, token, p.name); a.status != p.status {
				t.Errorf("%s %s with %s: status = %d, want %d; %s", p.Method, p.Pattern, scope, a.status, p.status, a.body)
			}
		}
		if seen := document().Seen(p.Method + " " + p.Pattern); !slices.Contains(seen, p.status) {
			t.Errorf("%s %s: the answer %d was not held to the document; seen are %v", p.Method, p.Pattern, p.status, seen)
		}
		if p.foreign > 0 {
			a := p.send(t, evil(claims{"repo": p.name}), p.name)
			if a.status != p.foreign || strings.Contains(string(a.body), p.name) {
				t.Errorf("%s %s of another organization: %d %s", p.Method, p.Pattern, a.status, a.body)
			}
		}
	}
}

// newProbes makes a repository for each address.
func newProbes(t *testing.T, w *world) []*probe {
	t.Helper()
	var probes []*probe
	missing := map[string]bool{}
	for operation := range matrix {
		missing[operation] = true
	}
	for i, address := range codestorage.Addresses() {
		row, ok := matrix[address.Operation]
		if !ok {
			t.Errorf("the route %s has no row in the matrix", address.Operation)
			continue
		}
		delete(missing, address.Operation)
		p := &probe{address, row, newSample(t, w, fmt.Sprintf("team/probe-%d", i))}
		if p.prepare != nil {
			p.prepare(p.sample)
		}
		probes = append(probes, p)
	}
	for operation := range missing {
		t.Errorf("the matrix has a row for %s, which is no route", operation)
	}
	return probes
}

func (p *probe) wantRefusal(t *testing.T, r refusal) {
	t.Helper()
	a := p.send(t, r.token, r.repo)
	at := fmt.Sprintf("%s %s, token %s", p.Method, p.Pattern, r.name)
	if a.status != r.status {
		t.Errorf("%s: status = %d, want %d; %s", at, a.status, r.status, a.body)
		return
	}
	if challenge := a.header.Get("WWW-Authenticate"); (r.status == 401) != (challenge != "") {
		t.Errorf("%s: WWW-Authenticate = %q", at, challenge)
	}
	if p.Method == "HEAD" {
		return
	}
	text, _ := a.at(t, "error").(string)
	if text == "" || a.at(t, "status") != float64(r.status) || a.at(t, "title") == nil {
		t.Errorf("%s: not the shape of an error: %s", at, a.body)
	}
	if r.policy && !strings.Contains(text, "denied by policy") {
		t.Errorf("%s: error = %q", at, text)
	}
	if label := map[int]string{401: "unauthorized", 403: "forbidden", 404: "not_found"}[r.status]; p.Labelled && a.at(t, "result.status") != label {
		t.Errorf("%s: result.status = %v, want %s", at, a.at(t, "result.status"), label)
	}
}

// newDumpedWorld returns a world and a function that reads every row of its
// database.
func newDumpedWorld(t *testing.T) (*world, func() map[string]bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metadata.db")
	metadata, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOver(t, metadata)
	return w, func() map[string]bool {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		found := map[string]bool{}
		for _, table := range readRows(t, db, "SELECT name FROM sqlite_master WHERE type = 'table'") {
			for _, row := range readRows(t, db, `SELECT * FROM "`+table+`"`) {
				found[table+": "+row] = true
			}
		}
		if len(found) < 100 {
			t.Errorf("only %d rows were read: the test has lost its way", len(found))
		}
		return found
	}
}

func readRows(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for rows.Next() {
		values := make([]sql.RawBytes, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		parts := make([]string, len(columns))
		for i, v := range values {
			parts[i] = fmt.Sprintf("%q", v)
		}
		if len(parts) == 1 {
			parts[0] = string(values[0])
		}
		found = append(found, strings.Join(parts, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
