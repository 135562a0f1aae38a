package codestorage_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/api/codestorage"
)

// mistake is a row of the table of wrong inputs: what differs from the good
// request of the route's row in the matrix, and how it is refused.
type mistake struct {
	name string
	// query and body replace members of the good request; nil removes one. raw
	// is the whole body instead.
	query, body object
	raw         string
	// path replaces the names in the path.
	path   map[string]string
	status int
	label  string // result.status, where the route has it; "" follows from status
}

// labels follow from the status unless a mistake says otherwise.
var labels = map[int]string{400: "invalid", 404: "not_found", 413: "invalid"}

var (
	absent    = strings.Repeat("1", 40)
	badFlags  = func(names ...string) (all []mistake) { return each(names, "yes", "1", "TRUE", "") }
	badPages  = append(each([]string{"limit"}, "x", "-1", "1.5"), each([]string{"cursor"}, "nonsense", "🙂")...)
	badNames  = []any{"", "a..b", "a b", "-a", "a.lock", "refs/heads/x", "a\x00b"}
	anybody   = object{"name": "A", "email": "a@b"}
	noIDs     = []any{"x", "1234", strings.Repeat("z", 40), absent + "1"}
	badBodies = []mistake{
		{name: "no JSON", raw: "{", status: 400},
		{name: "an array", raw: "[]", status: 400},
		{name: "a text", raw: `"x"`, status: 400},
		{name: "two values", raw: "{} {}", status: 400},
		{name: "no UTF-8 and no JSON", raw: "\xff\xfe", status: 400},
	}
)

// each makes a mistake of every value for every parameter of the query.
func each(names []string, values ...string) (all []mistake) {
	for _, name := range names {
		for _, v := range values {
			all = append(all, mistake{name: name + "=" + v, query: object{name: v}, status: 400})
		}
	}
	return all
}

// member makes a mistake of every value for a member of the body.
func member(name string, status int, values ...any) (all []mistake) {
	for _, v := range values {
		all = append(all, mistake{name: fmt.Sprintf("%s %.30v", name, v), body: object{name: v}, status: status})
	}
	return all
}

func mistakes(lists ...[]mistake) []mistake { return slices.Concat(lists...) }

var (
	noWebhook  = []mistake{{name: "no such webhook", path: map[string]string{"webhook": "wh_absent"}, status: 404}, {name: "no webhook's id", path: map[string]string{"webhook": "x"}, status: 404}}
	noDelivery = []mistake{{name: "no such delivery", path: map[string]string{"delivery": "absent"}, status: 404}}
)

// commitMistakes are those of all commits over HTTP.
var commitMistakes = mistakes(
	member("target_branch", 400, badNames...), member("target_branch", 404, "absent"), member("target_branch", 400, nil, 7),
	member("author", 400, nil, object{"name": "A"}, object{"email": "a@b"}, object{"name": "A<", "email": "a@b"}, object{"name": "A", "email": "a\nb"}, "A"),
	member("author", 400, object{"name": "A", "email": "a@b", "date": "yesterday"}),
	member("committer", 400, object{"name": ""}, object{"name": "A", "email": "a>b"}),
	member("expected_head_sha", 400, noIDs...),
	[]mistake{{name: "a guard that does not hold", body: object{"expected_head_sha": absent}, status: 409, label: "precondition_failed"}},
	[]mistake{{name: "a base that is not there", body: object{"target_branch": "new", "base_branch": "absent"}, status: 404}},
	[]mistake{{name: "a base by its full name", body: object{"target_branch": "new", "base_branch": "refs/heads/main"}, status: 400}},
	[]mistake{{name: "nothing", raw: "", status: 400}, {name: "no JSON", raw: "{\n", status: 400}, {name: "no metadata", raw: "{}\n", status: 400}},
)

// wrong has what the contract names, and what clients may get wrong beside it,
// for each route.
var wrong = map[string][]mistake{
	"POST repos": mistakes(badBodies, member("default_branch", 400, "a..b", "refs/tags/x", 7),
		member("base_repo", 400, "x", object{}, object{"provider": "code"}, object{"provider": "nonsense", "owner": "a", "name": "b"}),
		member("base_repo", 401, object{"provider": "code", "name": "team/x", "auth": object{"token": "garbage"}}), member("base_repo", 403, object{"provider": "code", "name": "not of the token"})),
	"GET repos":                    badPages,
	"GET repos/{repo}":             nil,
	"DELETE repos/{repo}":          nil,
	"POST repos/{repo}/restore":    mistakes(badBodies, member("repo_id", 400, "x", 7)),
	"POST repos/{repo}/purge":      mistakes(badBodies, member("repo_id", 400, "x", 7)),
	"GET repos/{repo}/events":      mistakes(badPages, badFlags("ephemeral"), each([]string{"order"}, "random"), each([]string{"since"}, "yesterday")),
	"GET repos/{repo}/branches":    mistakes(badPages, badFlags("ephemeral")),
	"GET repos/{repo}/notes/refs":  badPages,
	"GET repos/{repo}/tags":        badPages,
	"DELETE repos/{repo}/base":     nil,
	"GET repos/{repo}/branch":      {{name: "no name", query: object{"name": nil}, status: 400}, {name: "absent", query: object{"name": "absent"}, status: 404}, {name: "a flag", query: object{"ephemeral": "x"}, status: 400}},
	"GET repos/{repo}/tag":         {{name: "no name", query: object{"name": nil}, status: 400}, {name: "absent", query: object{"name": "absent"}, status: 404}},
	"POST repos/{repo}/tags":       mistakes(badBodies, member("name", 400, append(badNames, nil, 7)...), member("target", 400, append(noIDs, nil, "main")...), member("target", 404, absent), member("ref", 404, "absent", absent), member("name", 409, "v1")),
	"DELETE repos/{repo}/branches": mistakes(badBodies, member("name", 400, "", nil, 7, "refs/heads/work"), member("name", 404, "absent"), member("name", 409, "main"), member("ephemeral", 400, "yes")),
	"POST repos/{repo}/branches/create": mistakes(badBodies, member("target_branch", 400, append(badNames, nil, 7)...), member("base_ref", 400, nil), member("base_ref", 404, "absent", absent),
		member("force", 400, "yes"), member("base_is_ephemeral", 400, "yes"),
		[]mistake{{name: "no fast-forward", body: object{"force": false}, status: 409}, {name: "a folder that is a branch", body: object{"target_branch": "main/x"}, status: 409}}),
	"POST repos/{repo}/branches/restore": mistakes(badBodies, member("name", 400, "", nil, 7), member("name", 404, "absent"), member("name", 409, "main"), member("at", 400, "yesterday"), member("head_sha", 400, "x")),
	"GET repos/{repo}/branches/diff": mistakes(badFlags("ephemeral", "ephemeral_base"), []mistake{
		{name: "no branch", query: object{"branch": nil}, status: 400}, {name: "absent", query: object{"branch": "absent"}, status: 404}, {name: "no base", query: object{"base": "absent"}, status: 404}}),
	"POST repos/{repo}/commit-pack": mistakes(commitMistakes, member("commit_message", 400, "", " \n", nil, 7),
		member("files", 400, "x", []any{object{}}, []any{object{"path": "x"}}, []any{object{"path": "../x", "content_id": "a"}}, []any{object{"path": ".git/x", "content_id": "a"}},
			[]any{object{"path": "x", "content_id": "a", "mode": "100600"}}, []any{object{"path": "x", "content_id": "a", "operation": "move"}}, []any{object{"path": "x", "content_id": "never sent"}}),
		[]mistake{
			{name: "deleting what is not there", raw: pack(nil, remove("absent")), status: 404},
			{name: "bad base64", raw: goodMetadata("a") + `{"blob_chunk":{"content_id":"a","data":"%","eof":true}}` + "\n", status: 400},
			{name: "an unknown content", raw: goodMetadata("a") + `{"blob_chunk":{"content_id":"b","data":"","eof":true}}` + "\n", status: 400},
			{name: "more after the end", raw: goodMetadata("a") + strings.Repeat(`{"blob_chunk":{"content_id":"a","data":"","eof":true}}`+"\n", 2), status: 400},
			{name: "no end", raw: goodMetadata("a") + `{"blob_chunk":{"content_id":"a","data":"","eof":false}}` + "\n", status: 400},
			{name: "metadata twice", raw: goodMetadata("a") + goodMetadata("a"), status: 400},
			{name: "a chunk over 4 MiB", raw: goodMetadata("a") + `{"blob_chunk":{"content_id":"a","data":"` + strings.Repeat("AAAA", (4<<20)/3+2) + `","eof":true}}` + "\n", status: 413},
			{name: "a diff chunk", raw: goodMetadata("a") + `{"diff_chunk":{"data":"","eof":true}}` + "\n", status: 400},
		}),
	"POST repos/{repo}/diff-commit": mistakes(commitMistakes, member("commit_message", 400, "", " \n", nil, 7), []mistake{
		{name: "no end", raw: goodMetadata("") + `{"diff_chunk":{"data":"","eof":false}}` + "\n", status: 400},
		{name: "bad base64", raw: goodMetadata("") + `{"diff_chunk":{"data":"%","eof":true}}` + "\n", status: 400},
		{name: "a blob chunk", raw: goodMetadata("") + `{"blob_chunk":{"content_id":"a","data":"","eof":true}}` + "\n", status: 400},
		{name: "an empty patch", raw: patchCommit(nil, ""), status: 400},
		{name: "no patch", raw: patchCommit(nil, "hello\n"), status: 400},
		{name: "a patch that leads out", raw: patchCommit(nil, "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+n\n"), status: 400},
		{name: "a patch that does not apply", raw: patchCommit(nil, "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-other\n+n\n"), status: 409, label: "conflict"},
	}),
	"POST repos/{repo}/restore-commit": restoreMistakes,
	"POST repos/{repo}/reset-commits":  restoreMistakes, // an old name of it
	"GET repos/{repo}/commits":         mistakes(badPages, badFlags("ephemeral"), []mistake{{name: "absent", query: object{"branch": "absent"}, status: 404}}),
	"GET repos/{repo}/commit":          {{name: "no revision", query: object{"sha": nil}, status: 400}, {name: "absent", query: object{"sha": absent}, status: 404}, {name: "blank", query: object{"sha": " "}, status: 400}},
	"GET repos/{repo}/diff": mistakes(badFlags("gitApplyCompatible", "git_apply_compatible", "ref_is_ephemeral", "base_is_ephemeral"), []mistake{
		{name: "no revision", query: object{"sha": nil}, status: 400}, {name: "absent", query: object{"sha": absent}, status: 404}, {name: "no base", query: object{"baseSha": absent}, status: 404}}),
	"GET repos/{repo}/files":          mistakes(badPages, badFlags("ephemeral", "recursive"), []mistake{{name: "absent", query: object{"ref": "absent"}, status: 404}, {name: "no such path", query: object{"path": "absent"}, status: 404}}),
	"GET repos/{repo}/files/metadata": mistakes(badPages, badFlags("ephemeral"), []mistake{{name: "absent", query: object{"ref": "absent"}, status: 404}}),
	"GET repos/{repo}/file":           fileMistakes,
	"HEAD repos/{repo}/file":          fileMistakes,
	"GET repos/{repo}/blame": mistakes(badFlags("ephemeral", "detect_moves"), each([]string{"range"}, "nonsense", "9999,", "0", "/(/,/x/", "-L1"), []mistake{
		{name: "no path", query: object{"path": nil}, status: 400}, {name: "absent", query: object{"path": "absent"}, status: 404}, {name: "no ref", query: object{"ref": "absent"}, status: 404},
		{name: "17 ranges", query: object{"range": slices.Repeat([]string{"1,1"}, 17)}, status: 400}}),
	"POST repos/{repo}/grep": mistakes(badBodies, member("query", 400, nil, "x", object{}, object{"pattern": ""}, object{"pattern": "("}, object{"pattern": 7}),
		member("ref", 404, "absent"), member("limits", 400, object{"max_lines": -1}, object{"max_matches_per_file": "x"}), member("context", 400, object{"before": -1}, "x"),
		member("pagination", 400, object{"cursor": "nonsense"}, object{"limit": -1}), member("file_filters", 400, object{"include_globs": "x"}, object{"include_globs": []any{"["}}, object{"exclude_globs": []any{"["}}, object{"extension_filters": 7}),
		member("paths", 400, "x", []any{"a\x00b"}, slices.Repeat([]any{"a"}, 101)), member("ephemeral", 400, "yes")),
	"POST repos/{repo}/archive": mistakes(badBodies, member("ref", 404, "absent"), member("max_blob_size", 400, -1, "x"), member("include_globs", 400, "x", []any{"["}, []any{7}), member("exclude_globs", 400, "x", []any{"["}), member("ephemeral", 400, "yes"),
		member("archive", 400, object{"prefix": "/x"}, object{"prefix": "../x"}, object{"prefix": "a\\b"}, object{"prefix": "a/./b"}, "x")),
	"POST repos/{repo}/merge": mistakes(badBodies, member("source_branch", 400, nil, ""), member("source_branch", 404, "absent"), member("target_branch", 400, nil, "", "refs/heads/main"), member("target_branch", 404, "absent"),
		member("strategy", 400, nil, "", "octopus"), member("commit_message", 400, nil, " "), member("author", 400, nil, object{"name": "A"}, object{"name": "A<", "email": "a@b"}),
		member("expected_target_sha", 400, noIDs...), member("expected_target_sha", 409, absent), []mistake{{name: "a squash that makes no commit", body: object{"squash": true, "strategy": "ff_only"}, status: 400}}),
	"GET repos/{repo}/merge/preview": mistakes(badFlags("include_content", "source_is_ephemeral", "target_is_ephemeral"), []mistake{
		{name: "no source", query: object{"source_branch": nil}, status: 400}, {name: "no target", query: object{"target_branch": nil}, status: 400},
		{name: "absent source", query: object{"source_branch": "absent"}, status: 404}, {name: "absent target", query: object{"target_branch": "absent"}, status: 404}}),
	"GET repos/{repo}/notes": {{name: "no object", query: object{"sha": nil}, status: 400}, {name: "absent", query: object{"sha": absent}, status: 404}, {name: "no note", query: object{"sha": "main~1"}, status: 404},
		{name: "no notes ref", query: object{"ref": "absent"}, status: 404}, {name: "a bad notes ref", query: object{"ref": "a..b"}, status: 400}},
	"POST repos/{repo}/notes": mistakes(badBodies, member("sha", 400, nil, ""), member("sha", 404, absent), member("note", 400, nil, "", 7), member("action", 400, "replace"), member("ref", 400, "a..b", "refs/heads/x"),
		member("expected_ref_sha", 400, noIDs...), []mistake{{name: "a guard that does not hold", body: object{"expected_ref_sha": absent}, status: 409, label: "precondition_failed"}}),
	"DELETE repos/{repo}/notes":                               mistakes(badBodies, member("sha", 400, nil, ""), member("sha", 404, absent), member("ref", 404, "absent"), []mistake{{name: "a guard that does not hold", body: object{"expected_ref_sha": absent}, status: 409, label: "precondition_failed"}}),
	"POST repos/{repo}/pull-upstream":                         mistakes(badBodies, member("ref", 400, 7)),
	"POST repos/{repo}/git-credentials":                       mistakes(badBodies, member("password", 400, nil, "", 7), member("username", 400, 7, "a:b")),
	"PUT repos/{repo}/git-credentials/{id}":                   mistakes(badBodies, member("password", 400, nil, "", 7)),
	"DELETE repos/{repo}/git-credentials/{id}":                nil,
	"DELETE repos/{repo}/tags/{tag}":                          {{name: "absent", body: object{"name": "absent"}, path: map[string]string{"tag": "absent"}, status: 404}},
	"POST webhooks":                                           mistakes(badBodies, member("url", 400, nil, "", "nonsense", "ftp://example.com/", "/path", 7), member("events", 400, nil, []any{}, []any{"nonsense"}, "push")),
	"PATCH webhooks/{webhook}":                                mistakes(badBodies, member("url", 400, "nonsense"), member("events", 400, []any{}, []any{"nonsense"}), member("active", 400, "yes"), noWebhook),
	"GET webhooks":                                            badPages,
	"GET webhooks/{webhook}":                                  noWebhook,
	"DELETE webhooks/{webhook}":                               noWebhook,
	"POST webhooks/{webhook}/ping":                            noWebhook,
	"POST webhooks/{webhook}/rotate-secret":                   noWebhook,
	"GET webhooks/{webhook}/deliveries":                       mistakes(badPages, noWebhook),
	"GET webhooks/{webhook}/deliveries/{delivery}":            mistakes(noWebhook, noDelivery),
	"POST webhooks/{webhook}/deliveries/{delivery}/redeliver": mistakes(noWebhook, noDelivery),
}

var restoreMistakes = mistakes(commitMistakes[:len(commitMistakes)-5], member("target_commit_sha", 400, nil, ""), member("target_commit_sha", 404, absent, "absent"), []mistake{
	{name: "nothing", raw: "", status: 400}, {name: "no JSON", raw: "{", status: 400}, {name: "no metadata", raw: "{}", status: 400},
	{name: "a guard that does not hold", body: object{"expected_head_sha": absent}, status: 409, label: "precondition_failed"},
})

var fileMistakes = mistakes(badFlags("ephemeral", "ephemeral_base"), []mistake{
	{name: "no path", query: object{"path": nil}, status: 400}, {name: "an empty path", query: object{"path": ""}, status: 400},
	{name: "absent", query: object{"path": "absent"}, status: 404}, {name: "a folder", query: object{"path": "src"}, status: 404}, {name: "no ref", query: object{"ref": "absent"}, status: 404},
})

// goodMetadata is the first line of a commit with one file of that content id.
func goodMetadata(id string) string {
	return ndjson(object{"metadata": object{"target_branch": "main", "commit_message": "m", "author": anybody, "files": []any{object{"path": "x", "content_id": id}}}})
}

// TestWrongInputs makes every mistake of the table in both families. What is
// wrong is refused with its status, in the shape of an error and with its
// label, and changes not one row of the database.
func TestWrongInputs(t *testing.T) {
	t.Parallel()
	w, dump := newDumpedWorld(t)
	probes := newProbes(t, w)
	for _, p := range probes {
		if p.Operation == "POST repos/{repo}/tags" {
			tagged(p.sample)
		}
	}
	before := dump()
	for _, p := range probes {
		rows, ok := wrong[p.Operation]
		if !ok {
			t.Errorf("the route %s has no row in the table", p.Operation)
			continue
		}
		if p.Method != http.MethodHead {
			rows = append(slices.Clip(rows), mistake{name: "a malformed query", raw: "{}", query: object{"%": "%"}, status: 400})
		}
		for _, m := range rows {
			p.wantMistake(t, m)
		}
	}
	after := dump()
	for row := range after {
		if !before[row] {
			t.Errorf("a wrong request wrote %s", row)
		}
	}
	for row := range before {
		if !after[row] {
			t.Errorf("a wrong request removed or changed %s", row)
		}
	}
}

func (p *probe) wantMistake(t *testing.T, m mistake) {
	t.Helper()
	values := url.Values{}
	if p.query != "" {
		values, _ = url.ParseQuery(p.query)
	}
	for name, v := range m.query {
		switch v := v.(type) {
		case nil:
			values.Del(name)
		case []string:
			values[name] = v
		default:
			values.Set(name, fmt.Sprint(v))
		}
	}
	path := strings.ReplaceAll(p.Pattern, "{repo}", url.PathEscape(p.name))
	for name, value := range p.values {
		v := value(p.sample)
		if other, ok := m.path[name]; ok {
			v = other
		}
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(v))
	}
	query := values.Encode()
	if values.Has("%") {
		query = "x=%zz"
	}
	a := p.call(t, p.token, p.Method, path+"?"+query, p.mistakenBody(m))
	at := fmt.Sprintf("%s %s, %s", p.Method, p.Pattern, m.name)
	if a.status != m.status {
		t.Errorf("%s: status = %d, want %d; %.200s", at, a.status, m.status, a.body)
		return
	}
	if p.Method == http.MethodHead {
		return
	}
	if text, _ := a.at(t, "error").(string); text == "" || a.at(t, "status") != float64(m.status) || a.at(t, "title") != http.StatusText(m.status) {
		t.Errorf("%s: not the shape of an error: %s", at, a.body)
	}
	if p.Labelled {
		want := m.label
		if want == "" {
			want = labels[m.status]
		}
		if got := a.at(t, "result.status"); got != want || a.at(t, "result.success") != false {
			t.Errorf("%s: result.status = %v, want %s", at, got, want)
		}
	}
}

// mistakenBody is the good body with a mistake. That of a commit is NDJSON, of
// which the metadata differ.
func (p *probe) mistakenBody(m mistake) any {
	if p.access.body == nil {
		if m.body != nil {
			return m.body
		}
		return m.raw
	}
	if m.body == nil {
		return m.raw
	}
	changed := func(good object) object {
		out := maps.Clone(good)
		for name, v := range m.body {
			if v == nil {
				delete(out, name)
			} else {
				out[name] = v
			}
		}
		return out
	}
	switch good := p.access.body(p.sample).(type) {
	case string:
		first, rest, _ := strings.Cut(good, "\n")
		var line object
		if err := json.Unmarshal([]byte(first), &line); err != nil {
			panic(err)
		}
		return ndjson(object{"metadata": changed(line["metadata"].(object))}) + rest
	case object:
		if metadata, ok := good["metadata"].(object); ok {
			return object{"metadata": changed(metadata)}
		}
		return changed(good)
	default:
		panic(fmt.Sprintf("a body of %T", good))
	}
}

// TestWrongMethods asks for every address with every method that it has not.
func TestWrongMethods(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	methods := map[string][]string{}
	for _, a := range codestorage.Addresses() {
		methods[a.Pattern] = append(methods[a.Pattern], a.Method)
	}
	for pattern, has := range methods {
		path := strings.NewReplacer("{repo}", "app", "{tag}", "x", "{id}", "x", "{webhook}", "x", "{delivery}", "x").Replace(pattern)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if slices.Contains(has, method) {
				continue
			}
			a := s.call(t, s.token, method, path, nil)
			if a.status != 405 || !strings.Contains(a.header.Get("Allow"), has[0]) && has[0] != "HEAD" || a.at(t, "status") != 405.0 {
				// A path may be that of another route with a name in it.
				if !slices.ContainsFunc(codestorage.Addresses(), func(o codestorage.Address) bool {
					return o.Method == method && strings.Contains(o.Pattern, "{") && o.Pattern != pattern && matches(o.Pattern, path)
				}) {
					t.Errorf("%s %s: %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
				}
			}
		}
	}
}

// matches tells whether a pattern with names takes a path.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") })
}
