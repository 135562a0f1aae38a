package codearts_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/cairn-storage/cairn/internal/api/codearts"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// TestDocumentHasTheRoutes holds the document and the router together.
func TestDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(codearts.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, item := range document.Paths {
		for method := range item {
			if method != "parameters" {
				got = append(got, strings.ToUpper(method)+" "+path)
			}
		}
	}
	want := codearts.Routes()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("document and router differ\n document %q\n router   %q", got, want)
	}
}

// right is what a route asks of a key.
type right int

const (
	nothing   right = iota // no credential
	known                  // any key
	inProject              // any key of the organization
	reads                  // to read the repository
	any_                   // any right to the repository
	writes                 // to push to it
	administers
	manages  // to manage its members
	gives    // the same, and to read it: what is given
	listsAll // all of the organization
	makesAll // in all of the organization
)

// matrix says for every route what it asks for, and its body.
var matrix = map[string]struct {
	right right
	body  string
}{
	"POST /v3/auth/tokens":                     {nothing, `{}`},
	"GET /v3/projects":                         {known, ""},
	"POST /v2/user/{user}/validate-https-info": {known, `{"pwd":"x"}`},
	"POST /v1/user/{user}/validateHttpsInfo":   {known, `{"pwd":"x"}`},

	"POST /v1/repositories":                                       {administers, `{"name":"app","project_uuid":"PROJECT"}`},
	"GET /v1/repositories/repoid":                                 {any_, ""},
	"GET /v1/repositories/{repository}":                           {any_, ""},
	"GET /v2/repositories/{repository}":                           {any_, ""},
	"DELETE /v1/repositories/{repository}":                        {administers, ""},
	"GET /v1/repositories/{repository}/status":                    {any_, ""},
	"GET /v1/repositories/{repository}/master":                    {any_, ""},
	"PUT /v1/repositories/{repository}/pipeline":                  {any_, ""},
	"GET /v2/projects/repositories":                               {listsAll, ""},
	"POST /v2/projects/repositories":                              {makesAll, `{"project_name":"newer","repo_name":"r"}`},
	"GET /v2/projects/{project}/repositories":                     {listsAll, ""},
	"GET /v1/projects/{project}/repositories":                     {listsAll, ""},
	"GET /v1/projects/{project}/repositories/validation/{name}":   {inProject, ""},
	"GET /v1/repositories/{repository}/branches":                  {reads, ""},
	"GET /v2/repositories/{repository}/branches":                  {reads, ""},
	"POST /v2/repositories/{repository}/branches":                 {writes, `{"branch_name":"new","ref":"master"}`},
	"GET /v2/repositories/{repository}/tags":                      {reads, ""},
	"POST /v2/repositories/{repository}/tags":                     {writes, `{"tag_name":"new","ref":"master"}`},
	"GET /v1/repositories/{repository}/commits":                   {reads, ""},
	"GET /v1/repositories/{group}/{name}/commits":                 {reads, ""},
	"GET /v2/projects/{repository}/repository/commits":            {reads, ""},
	"POST /v2/projects/{repository}/repository/commits":           {writes, `{"branch":"master","commit_message":"m","actions":[{"action":"create","file_path":"new","content":"x"}]}`},
	"GET /v2/projects/{repository}/repository/commits/{sha}":      {reads, ""},
	"GET /v2/projects/{repository}/repository/commits/{sha}/diff": {reads, ""},
	"GET /v1/repositories/{repository}/branch/{branch}/sub-files": {reads, ""},
	"GET /v1/repositories/{repository}/branch/{branch}/file":      {reads, ""},
	"GET /v1/repositories/{repository}/branch/{branch}/image":     {reads, ""},
	"GET /v2/projects/{repository}/repository/files":              {reads, ""},
	"GET /v2/projects/{repository}/repository/files/{file}":       {reads, ""},
	"GET /v2/repositories/{repository}/archive":                   {reads, ""},
	"GET /v1/repositories/{repository}/members":                   {manages, ""},
	"POST /v1/repositories/{repository}/members":                  {gives, `{"users":[{"id":"bea","name":"bea","role":20}]}`},
	"PUT /v1/repositories/{repository}/members/{member}":          {gives, `{"role":20}`},
	"DELETE /v1/repositories/{repository}/members/{member}":       {manages, ""},
	"POST /v2/repositories/{repository}/deploy-keys":              {manages, `{"key_title":"t","key":"x","can_push":true,"application":"x"}`},
	"DELETE /v2/repositories/{repository}/deploy-keys/{key}":      {manages, ""},
	"POST /v1/repositories/{repository}/deploy_keys":              {manages, `{"key_title":"t","key":"x","can_push":true,"application":"x"}`},
	"DELETE /v1/repositories/{repository}/deploy_keys/{key}":      {manages, ""},
	"GET /v4/repositories/{repository}/deploy-keys":               {manages, ""},
	"DELETE /v4/repositories/{repository}/deploy-keys/{key}":      {manages, ""},
	"POST /v1/users/sshkey":                                       {known, `{"key":"x","title":"t"}`},
	"GET /v1/users/sshkey":                                        {known, ""},
	"DELETE /v1/users/sshkey/{key}":                               {known, ""},
	"POST /v1/users/sshkey/privatekey/verify":                     {reads, `{"repository_uuid":"REPOSITORY","private_key":"x"}`},
	"POST /v4/user/keys":                                          {known, `{"key":"x","title":"t"}`},
	"GET /v4/user/keys":                                           {known, ""},
	"DELETE /v4/user/keys/{key}":                                  {known, ""},
	"POST /v1/repositories/{group}/{name}/hooks":                  {administers, `{"hook_url":"https://example.com/","service":"x","hook_events":["push_events"]}`},
	"GET /v1/repositories/{group}/{name}/hooks":                   {administers, ""},
	"DELETE /v1/repositories/{group}/{name}/hooks/{hook}":         {administers, ""},
}

// queries are what routes need in their query.
var queries = []struct{ end, query string }{
	{"/repoid", "group_name=acme/web&repository_name=app"}, {"/commits", "ref_name=master"}, {"/file", "path=README.md"},
	{"/image", "path=README.md"}, {"/files", "file_path=README.md&ref=master"}, {"/{file}", "ref=master"},
	{"/archive", "sha=master&format=zip"},
}

// TestAuthorizationMatrix calls every route with every kind of credential. Who
// has not the right is refused, alike whether what they name is there or not.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	all := w.newKey(t, "evil", service.NewAccessKey{})
	w.create(t, "other")
	w.newUser(t, "bea")
	keys := map[string]struct {
		key service.AccessKeyWithSecret
		may []right
	}{
		"read":                 {w.newKey(t, "acme", service.NewAccessKey{Scopes: []cairn.Scope{cairn.GitRead}}), []right{known, inProject, reads, any_}},
		"write":                {w.newKey(t, "acme", service.NewAccessKey{Scopes: []cairn.Scope{cairn.GitWrite}}), []right{known, inProject, reads, any_, writes}},
		"repo":                 {w.newKey(t, "acme", service.NewAccessKey{Scopes: []cairn.Scope{cairn.RepoWrite}}), []right{known, inProject, any_, administers, manages, makesAll}},
		"repo and read":        {w.newKey(t, "acme", service.NewAccessKey{Scopes: []cairn.Scope{cairn.RepoWrite, cairn.GitRead}}), []right{known, inProject, reads, any_, administers, manages, gives, makesAll}},
		"list":                 {w.newKey(t, "acme", service.NewAccessKey{Scopes: []cairn.Scope{cairn.OrgRead}}), []right{known, inProject, listsAll}},
		"another repository":   {w.newKey(t, "acme", service.NewAccessKey{Repositories: []cairn.RepositoryName{"web/other"}}), []right{known, inProject, listsAll}},
		"another organization": {all, []right{known, makesAll}},
	}
	who, err := w.service.Operator(t.Context(), operator, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.service.CreateRepository(t.Context(), who, service.NewRepository{Name: "plain"}); err != nil {
		t.Fatal(err)
	}
	const last = "DELETE /v1/repositories/{repository}" // as it leaves nothing to ask about
	routes := append(slices.DeleteFunc(codearts.Routes(), func(r string) bool { return r == last }), last)
	for _, route := range routes {
		row, ok := matrix[route]
		if !ok {
			t.Errorf("%s has no row", route)
			continue
		}
		method, pattern, _ := strings.Cut(route, " ")
		path := strings.NewReplacer("{repository}", uuid, "{project}", w.project, "{name}", "plain", "{group}", "acme", "{branch}", "master",
			"{sha}", "master", "{file}", "README.md", "{hook}", "1", "{key}", "1", "{member}", "bea", "{user}", strings.Repeat("0", 32)).Replace(pattern)
		for _, q := range queries {
			if strings.HasSuffix(pattern, q.end) {
				path += "?" + q.query
			}
		}
		body := strings.NewReplacer("PROJECT", w.project, "REPOSITORY", uuid).Replace(row.body)
		for what, token := range map[string]string{"nothing": "", "garbage": "garbage", "half a token": w.token(t, w.key)[:40]} {
			a := w.call(t, token, method, path, body)
			if let := a.code() != "APIG.0301"; let != (row.right == nothing) {
				t.Errorf("%s with %s: got %d %s", route, what, a.status, a.text)
			}
		}
		for name, k := range keys {
			if row.right == nothing || route == last && name == "repo and read" { // one deletes it
				continue
			}
			a := w.call(t, w.token(t, k.key), method, path, body)
			refused := a.status == http.StatusUnauthorized
			if refused == slices.Contains(k.may, row.right) && !(row.right == listsAll && name == "another organization") && a.code() != "CH.010001" {
				t.Errorf("%s with a key for %s: got %d %s", route, name, a.status, a.text)
			}
			if refused && a.code() != "CH.080401" {
				t.Errorf("%s with a key for %s: refused with %s", route, name, a.text)
			}
		}
	}
}

// TestAbsentIsAsForeign: what is not there and what is another's is answered
// alike, by every name.
func TestAbsentIsAsForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	var id int
	w.must(t, "GET", "/v1/repositories/repoid?group_name=acme/web&repository_name=app", "", &id)
	if id != 1 {
		t.Fatalf("the number is %d", id)
	}
	evil := w.token(t, w.newKey(t, "evil", service.NewAccessKey{}))
	var texts []string
	for _, path := range []string{
		"/v2/repositories/" + uuid, "/v2/repositories/" + strings.Repeat("0", 32), "/v2/repositories/1", "/v2/repositories/2",
		"/v1/repositories/repoid?group_name=acme/web&repository_name=app", "/v1/repositories/repoid?group_name=evil/web&repository_name=app",
		"/v2/projects/" + w.project + "/repositories",
	} {
		a := w.call(t, evil, "GET", path, "")
		if a.status != http.StatusUnauthorized || a.Error.Code != "CH.080401" {
			t.Errorf("%s: got %d %s", path, a.status, a.text)
		}
		texts = append(texts, a.text)
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("the answers differ: %q", texts)
	}
}
