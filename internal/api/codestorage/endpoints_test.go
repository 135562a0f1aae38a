package codestorage_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// sample is a repository whose ids are the same in every run:
//
//	main:  first (README.md, src/a.go) - second (src/a.go, lib/b)
//	work:  second - third (README.md)
//	ephemeral draft: second - fourth
type sample struct {
	*repo
	first, second, third, fourth string
	credential                   string // its id, where there is one

	hook, delivery string // made by hooked
}

func newSample(t testing.TB, w *world, name string) *sample {
	t.Helper()
	s := &sample{repo: w.repo(t, name)}
	at := func(day int) object {
		return object{"name": "Ann", "email": "ann@example.com", "date": fmt.Sprintf("2026-01-%02dT10:00:00Z", day)}
	}
	s.first = s.commit(object{"author": at(1), "commit_message": "first"}, put("README.md", "hello\n"), put("src/a.go", "package a\n"))
	s.second = s.commit(object{"author": at(2), "commit_message": "second\n\nwith a body\n"}, put("src/a.go", "package  a\n\nvar x = 1\n"), change{path: "lib/b", content: "b", mode: "100755"})
	s.third = s.commit(object{"author": at(3), "commit_message": "third", "target_branch": "work", "base_branch": "main"}, put("README.md", "hello\nworld\n"))
	s.fourth = s.commit(object{"author": at(4), "commit_message": "fourth", "target_branch": "draft", "target_is_ephemeral": true, "base_branch": "main"}, put("draft", "d"))
	return s
}

// families returns the paths of an operation in the families that have it; a
// dot is the repository itself.
func (r *repo) families(v1, preferred string) []string {
	var all []string
	if v1 != "" {
		all = append(all, "/api/v1/"+v1)
	}
	if preferred != "" {
		all = append(all, r.preferred(strings.TrimPrefix(preferred, ".")))
	}
	return all
}

func TestAnswersAreExact(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "team/app")
	body := func(a answer) string { return strings.TrimSuffix(string(a.body), "\n") }
	commits := map[string]string{
		"first":  `{"sha":"` + s.first + `","parent_shas":[],"message":"first","author_name":"Ann","author_email":"ann@example.com","committer_name":"Ann","committer_email":"ann@example.com","date":"2026-01-01T10:00:00Z"}`,
		"second": `{"sha":"` + s.second + `","parent_shas":["` + s.first + `"],"message":"second\n\nwith a body","author_name":"Ann","author_email":"ann@example.com","committer_name":"Ann","committer_email":"ann@example.com","date":"2026-01-02T10:00:00Z"}`,
		"third":  `{"sha":"` + s.third + `","parent_shas":["` + s.second + `"],"message":"third","author_name":"Ann","author_email":"ann@example.com","committer_name":"Ann","committer_email":"ann@example.com","date":"2026-01-03T10:00:00Z"}`,
	}
	metadata := map[string]string{
		"README.md": `{"path":"README.md","mode":"100644","size":6,"type":"blob","last_commit_sha":"` + s.first + `"}`,
		"lib/b":     `{"path":"lib/b","mode":"100755","size":1,"type":"blob","last_commit_sha":"` + s.second + `"}`,
		"src/a.go":  `{"path":"src/a.go","mode":"100644","size":22,"type":"blob","last_commit_sha":"` + s.second + `"}`,
	}
	first, second := `{"author":"Ann","date":"2026-01-01T10:00:00Z","message":"first"}`, `{"author":"Ann","date":"2026-01-02T10:00:00Z","message":"second\n\nwith a body"}`
	blame := func(line int, previous string) string {
		if previous != "" {
			previous = `"previous_commit_sha":"` + previous + `",`
		}
		return fmt.Sprintf(`{"line_number":%d,"commit_sha":"%s","original_line_number":%d,"original_path":"src/a.go",%s`, line, s.second, line, previous) +
			`"author_name":"Ann","author_email":"ann@example.com","author_time":"2026-01-02T10:00:00Z",` +
			`"committer_name":"Ann","committer_email":"ann@example.com","committer_time":"2026-01-02T10:00:00Z","summary":"second"}`
	}
	both := []string{`"` + s.first + `":` + first, `"` + s.second + `":` + second}
	slices.Sort(both)
	changes := strings.Join(both, ",")
	diff := `"stats":{"files":1,"additions":1,"deletions":0,"changes":1},"files":[{"path":"README.md","state":"M","old_path":"","bytes":12,"is_eof":true,"additions":1,"deletions":0,` +
		`"raw":"diff --git a/README.md b/README.md\nindex ce01362..94954ab 100644\n--- a/README.md\n+++ b/README.md\n@@ -1 +1,2 @@\n hello\n+world\n"}],"filtered_files":[]}`
	for _, test := range []struct{ v1, preferred, want string }{
		{"repos/commits?branch=work", "/commits?ref=work", `{"commits":[` + commits["third"] + "," + commits["second"] + "," + commits["first"] + `],"has_more":false}`},
		{"repos/commits?path=README.md", "/commits?path=/README.md&branch=main", `{"commits":[` + commits["first"] + `],"has_more":false}`},
		{"repos/commits?ref=work&branch=main&path=README.md", "/commits?branch=main&ref=work&path=README.md", `{"commits":[` + commits["third"] + "," + commits["first"] + `],"has_more":false}`},
		{"repos/commit?sha=work", "/commit?ref=work", `{"commit":` + commits["third"] + `}`},
		{"repos/commit?sha=" + s.second[:8], "/commit?ref=main~0", `{"commit":` + commits["second"] + `}`},
		{"repos/files", "/files?ref=main", `{"paths":["README.md","lib/b","src/a.go"],"entries":[{"path":"README.md","type":"blob","mode":"100644"},{"path":"lib/b","type":"blob","mode":"100755"},{"path":"src/a.go","type":"blob","mode":"100644"}],"ref":"main","has_more":false}`},
		{"repos/files?recursive=false&path=/src/", "/files?path=src&recursive=false", `{"paths":["src/a.go"],"entries":[{"path":"src/a.go","type":"blob","mode":"100644"}],"ref":"main","has_more":false}`},
		{"repos/files?path=lib/b", "/files?path=lib/b", `{"paths":["lib/b"],"entries":[{"path":"lib/b","type":"blob","mode":"100755"}],"ref":"main","has_more":false}`},
		{"repos/files/metadata?ref=main", "/files/metadata", `{"files":[` + metadata["README.md"] + "," + metadata["lib/b"] + "," + metadata["src/a.go"] + `],` +
			`"commits":{` + changes + `},"ref":"main","has_more":false}`},
		{"repos/files/metadata?path=lib&limit=0", "/files/metadata?path=lib/b", `{"files":[` + metadata["lib/b"] + `],"commits":{"` + s.second + `":` + second + `},"ref":"main","has_more":false}`},
		{"repos/blame?path=src/a.go&range=1,2", "/blame?path=/src/a.go&ref=main&range=1,1&range=/^$/,%2B1", `{"ref":"main","path":"src/a.go","commit_sha":"` + s.second + `","lines":[` +
			blame(1, s.first) + "," + blame(2, s.first) + `]}`},
		{"repos/diff?sha=work", "/diff?ref=work", `{"sha":"` + s.third + `","base_sha":"","merge_base_sha":"",` + diff},
		{"repos/diff?sha=work&baseSha=main", "/diff?ref=work&base_ref=main", `{"sha":"` + s.third + `","base_sha":"` + s.second + `","merge_base_sha":"` + s.second + `",` + diff},
		{"repos/branches/diff?branch=work", "/branches/diff?branch=work&base=main", `{"branch":"work","base":"main","merge_base_sha":"` + s.second + `",` + diff},
		{"", "/tag?name=v1", ""},
		{"", "/branch?name=gone", ""},
	} {
		for _, path := range s.families(test.v1, test.preferred) {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				if a := s.get(path); test.want == "" {
					a.want(t, 404)
				} else if got := body(a.want(t, 200)); got != test.want {
					t.Errorf("answer\n got %s\nwant %s", got, test.want)
				}
			})
		}
	}
}

func TestWritesInBothFamilies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for family := range 2 {
		t.Run(fmt.Sprint("family ", family), func(t *testing.T) {
			t.Parallel()
			s := newSample(t, w, fmt.Sprint("team/app-", family))
			at := func(v1, preferred string) string { return s.families(v1, preferred)[family] }
			want := func(a answer, status int, body string) {
				t.Helper()
				a.want(t, status)
				if got := strings.TrimSuffix(string(a.body), "\n"); got != body {
					t.Errorf("answer\n got %s\nwant %s", got, body)
				}
			}
			want(s.post(at("repos/branches/create", "/branches/create"), object{"target_branch": "b1", "base_branch": "main"}), 200,
				`{"message":"branch created","target_branch":"b1","target_is_ephemeral":false,"commit_sha":"`+s.second+`"}`)
			want(s.post(at("repos/branches/create", "/branches/create"), object{"target_branch": "b2", "base_ref": "work~1", "base_branch": "gone", "target_is_ephemeral": true}), 200,
				`{"message":"branch created","target_branch":"b2","target_is_ephemeral":true,"commit_sha":"`+s.second+`"}`)
			want(s.post(at("repos/branches/create", "/branches/create"), object{"target_branch": "draft", "base_branch": "draft", "base_is_ephemeral": true}), 200,
				`{"message":"branch created","target_branch":"draft","target_is_ephemeral":false,"commit_sha":"`+s.fourth+`"}`)
			want(s.delete(at("repos/branches", "/branches"), object{"name": "b1"}), 200,
				`{"name":"b1","target_branch":"b1","message":"branch deleted","ephemeral":false}`)
			want(s.delete(at("repos/branches", "/branches"), object{"name": "b1", "target_branch": "b2", "ephemeral": true}), 200,
				`{"name":"b2","target_branch":"b2","message":"branch deleted","ephemeral":true}`)
			s.delete(at("repos/branches", "/branches"), object{"name": "b1"}).want(t, 404)
			want(s.post(at("repos/tags", "/tags"), object{"name": "v1", "target": s.first}), 201, `{"name":"v1","sha":"`+s.first+`","message":"tag created"}`)
			want(s.post(at("repos/tags", "/tags"), object{"name": "x/v2", "ref": "main", "target": "nonsense"}), 201, `{"name":"x/v2","sha":"`+s.second+`","message":"tag created"}`)
			s.post(at("repos/tags", "/tags"), object{"name": "v1", "ref": "main"}).want(t, 409)
			a := s.get(at("repos/tags", "/tags")).want(t, 200)
			if got := fmt.Sprint(a.at(t, "tags.0.name"), a.at(t, "tags.0.sha"), a.at(t, "tags.1.name"), a.at(t, "has_more")); got != "v1"+s.first+"x/v2false" {
				t.Errorf("tags = %s", got)
			}
			want(s.get(s.preferred("/tag?name=x/v2")), 200, `{"tag":{"name":"x/v2","sha":"`+s.second+`"}}`)
			if family == 0 {
				want(s.delete("/api/v1/repos/tags", object{"name": "x/v2"}), 200, `{"name":"x/v2","message":"tag deleted"}`)
			} else {
				want(s.delete(s.preferred("/tags/x%2Fv2"), nil), 200, `{"name":"x/v2","message":"tag deleted"}`)
			}
			s.get(s.preferred("/tag?name=x/v2")).want(t, 404)
			gone := s.delete(at("repos/delete", "."), nil).want(t, 200)
			id := gone.at(t, "repo_id").(string)
			if got := gone.at(t, "message"); !strings.HasPrefix(id, "repo_") || got != "Repository "+id+" deletion initiated. Physical storage cleanup will complete asynchronously." {
				t.Errorf("deletion = %s", gone.body)
			}
			s.get(at("repo", ".")).want(t, 404)
			s.get(at("repos/branches", "/branches")).want(t, 404)
			s.delete(at("repos/delete", "."), nil).want(t, 404)
			s.post(at("repos/commit-pack", "/commit-pack"), pack(nil)).want(t, 404)
		})
	}
}

func TestBranchesAreListedInTheOrderOfTheirCreation(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	for _, name := range []string{"z", "a", "m/n"} {
		s.post("/api/v1/repos/branches/create", object{"target_branch": name, "base_ref": "main"}).want(t, 200)
	}
	want := []string{"main", "work", "z", "a", "m/n"}
	for _, limit := range []int{1, 2, 3, 5, 100} {
		sameList(t, fmt.Sprint("pages of ", limit), s.pages("/api/v1/repos/branches?", limit, "branches", "name"), want)
	}
	sameList(t, "ephemeral", s.pages(s.preferred("/branches?ephemeral=true"), 2, "branches", "name"), []string{"draft"})
	first := s.get("/api/v1/repos/branches?limit=2").want(t, 200)
	if first.at(t, "next_cursor") != first.at(t, "branches.1.cursor") {
		t.Errorf("next_cursor is not the last item's")
	}
	rest := s.get("/api/v1/repos/branches?cursor="+first.at(t, "branches.0.cursor").(string)).want(t, 200)
	if got := rest.at(t, "branches.0.name"); got != "work" {
		t.Errorf("after the first item's cursor comes %v, want work", got)
	}
	one := s.get(s.preferred("/branch?name=m/n")).want(t, 200)
	if one.at(t, "branch.name") != "m/n" || one.at(t, "branch.head_sha") != s.second || one.at(t, "branch.created_at") == "" || one.at(t, "branch.cursor") != nil {
		t.Errorf("branch = %s", one.body)
	}
}

func TestCreateBranchOnExisting(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	create := func(target, base string, force bool) answer {
		return s.post("/api/v1/repos/branches/create", object{"target_branch": target, "base_ref": base, "force": force})
	}
	create("b", "main", false).want(t, 200)
	create("b", "main", false).want(t, 200)
	create("b", "work", false).want(t, 200)
	create("b", s.first, false).want(t, 409)
	create("b", s.first, true).want(t, 200)
	if got := s.get(s.preferred("/branch?name=b")).at(t, "branch.head_sha"); got != s.first {
		t.Errorf("head = %v, want %s", got, s.first)
	}
	create("b/c", "main", false).want(t, 409)
	create("work/deep/er", "main", false).want(t, 409)
	create("x/y/z", "main", false).want(t, 200)
	create("x/y", "main", false).want(t, 409)
	create("x", "main", false).want(t, 409)
	s.post("/api/v1/repos/branches/create", object{"target_branch": "x", "base_ref": "main", "target_is_ephemeral": true}).want(t, 200)
}

func TestDefaultBranchIsProtected(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	s.delete("/api/v1/repos/branches", object{"name": "main"}).want(t, 409)
	s.post("/api/v1/repos/branches/create", object{"target_branch": "main", "base_ref": "main", "target_is_ephemeral": true}).want(t, 200)
	s.delete("/api/v1/repos/branches", object{"name": "main", "ephemeral": true}).want(t, 200)
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := &repo{world: w, t: t, name: "team/app", token: w.token(t, "team/app", nil)}
	a := r.post("/api/v1/repos", "").want(t, 201)
	for member, want := range map[string]any{
		"repo_name": "team/app", "url": "team/app", "http_url": "https://git.example.com/team/app.git", "default_branch": "main", "message": "repository created",
	} {
		if got := a.at(t, member); got != want {
			t.Errorf("%s = %v, want %v", member, got, want)
		}
	}
	r.post("/api/repos", object{}).want(t, 409)
	got, want := r.get("/api/v1/repo").want(t, 200), r.get("/api/repos/team%2Fapp").want(t, 200)
	if string(got.body) != string(want.body) || got.at(t, "repo_id") != a.at(t, "repo_id") {
		t.Errorf("the families differ: %s, %s", got.body, want.body)
	}
	r.get("/api/repos/team/app").want(t, 404)

	for i, test := range []struct {
		query string
		body  any
		want  string
	}{
		{"", object{"default_branch": "trunk"}, "trunk"},
		{"?default_branch=stable", object{}, "stable"},
		{"?default_branch=stable", object{"default_branch": "trunk"}, "trunk"},
	} {
		name := fmt.Sprint("branch-", i)
		b := w.call(t, w.token(t, name, nil), "POST", "/api/v1/repos"+test.query, test.body).want(t, 201)
		if got := b.at(t, "default_branch"); got != test.want {
			t.Errorf("default branch = %v, want %s", got, test.want)
		}
	}
	names := r.pages("/api/repos?", 2, "repos", "repo_name")
	sameList(t, "repositories", names, []string{"branch-0", "branch-1", "branch-2", "team/app"})
	sameList(t, "found", r.pages("/api/v1/repos?q=%20CH-1%20", 2, "repos", "url"), []string{"branch-1"})
}

func TestFork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSample(t, w, "source")
	s.post("/api/v1/repos/tags", object{"name": "v1", "ref": "main~1"}).want(t, 201)
	fork := func(name string, base object) answer {
		base["provider"], base["name"] = "code", "source"
		if base["auth"] == nil {
			base["auth"] = object{"token": w.token(t, "source", claims{"scopes": []string{"git:read"}})}
		}
		return w.call(t, w.token(t, name, nil), "POST", "/api/v1/repos", object{"base_repo": base})
	}
	fork("whole", object{"owner": "acme", "operation": "fork"}).want(t, 201)
	f := &repo{world: w, t: t, name: "whole", token: w.token(t, "whole", nil)}
	sameList(t, "branches", f.pages("/api/v1/repos/branches?", 10, "branches", "name"), []string{"main", "work"})
	if got := f.content("work", "README.md"); got != "hello\nworld\n" {
		t.Errorf("content = %q", got)
	}
	f.get("/api/v1/repos/commit?sha="+s.fourth).want(t, 404) // ephemeral: stayed behind
	fork("at-tag", object{"ref": "v1", "default_branch": "start"}).want(t, 201)
	at := &repo{world: w, t: t, name: "at-tag", token: w.token(t, "at-tag", nil)}
	if got := at.get("/api/v1/repos/branches").at(t, "branches.0.head_sha"); got != s.first {
		t.Errorf("fork starts at %v, want %s", got, s.first)
	}
	at.get("/api/v1/repos/commit?sha="+s.second).want(t, 404)
	fork("missing", object{"ref": "gone"}).want(t, 404)
	fork("no-token", object{"auth": object{}}).want(t, 403)
	fork("bad-token", object{"auth": object{"token": "x.y.z"}}).want(t, 401)
	for name, body := range map[string]object{
		"snapshots": {"base_repo": object{"provider": "github", "owner": "o", "name": "n", "operation": "snapshot"}},
		"nothing":   {"base_repo": object{}},
		"nameless":  {"base_repo": object{"provider": "code"}},
		"snapshot":  {"base_repo": object{"provider": "code.storage", "name": "source", "operation": "snapshot", "ref": "main"}},
		"initial":   {"initial_commit": object{"message": "m"}},
		"of-string": {"base_repo": object{"provider": 5}},
	} {
		a := w.call(t, w.token(t, name, nil), "POST", "/api/v1/repos", body).want(t, 400)
		if a.at(t, "title") != "Bad Request" || a.at(t, "error") == "" {
			t.Errorf("%s: %s", name, a.body)
		}
		w.call(t, w.token(t, name, nil), "GET", "/api/v1/repo", nil).want(t, 404)
	}
}

func TestFileConditionsAndRanges(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	const path = "/api/v1/repos/file?path=README.md&ref=work"
	plain := s.get(path).want(t, 200)
	etag, modified := plain.header.Get("ETag"), plain.header.Get("Last-Modified")
	if modified != "Sat, 03 Jan 2026 10:00:00 GMT" || etag != `"`+plain.header.Get("X-Blob-Sha")+`"` || plain.header.Get("X-Last-Commit-Sha") != s.third {
		t.Errorf("headers = %v", plain.header)
	}
	const earlier, later = "Fri, 02 Jan 2026 10:00:00 GMT", "Sun, 04 Jan 2026 10:00:00 GMT"
	for _, test := range []struct {
		name    string
		headers []string
		status  int
		body    string
		ranged  string
	}{
		{"range", []string{"Range", "bytes=0-4"}, 206, "hello", "bytes 0-4/12"},
		{"one byte", []string{"Range", "bytes=11-11"}, 206, "\n", "bytes 11-11/12"},
		{"open range", []string{"Range", "bytes=6-"}, 206, "world\n", "bytes 6-11/12"},
		{"end beyond", []string{"Range", "bytes=6-99999999999999999999999"}, 206, "world\n", "bytes 6-11/12"},
		{"suffix", []string{"Range", "bytes=-6"}, 206, "world\n", "bytes 6-11/12"},
		{"long suffix", []string{"Range", "bytes=-600"}, 206, "hello\nworld\n", "bytes 0-11/12"},
		{"beyond", []string{"Range", "bytes=12-"}, 416, "", "bytes */12"},
		{"empty suffix", []string{"Range", "bytes=-0"}, 416, "", "bytes */12"},
		{"several", []string{"Range", "bytes=0-1,3-4"}, 200, "hello\nworld\n", ""},
		{"backwards", []string{"Range", "bytes=4-1"}, 200, "hello\nworld\n", ""},
		{"no numbers", []string{"Range", "bytes=-"}, 200, "hello\nworld\n", ""},
		{"other unit", []string{"Range", "lines=0-1"}, 200, "hello\nworld\n", ""},
		{"signed", []string{"Range", "bytes=+1-2"}, 200, "hello\nworld\n", ""},
		{"If-Range holds", []string{"Range", "bytes=0-4", "If-Range", etag}, 206, "hello", "bytes 0-4/12"},
		{"If-Range by date", []string{"Range", "bytes=0-4", "If-Range", modified}, 206, "hello", "bytes 0-4/12"},
		{"If-Range fails", []string{"Range", "bytes=0-4", "If-Range", `"x"`}, 200, "hello\nworld\n", ""},
		{"If-Range weak", []string{"Range", "bytes=0-4", "If-Range", "W/" + etag}, 200, "hello\nworld\n", ""},
		{"If-Range by another date", []string{"Range", "bytes=0-4", "If-Range", later}, 200, "hello\nworld\n", ""},
		{"If-None-Match", []string{"If-None-Match", `"x", W/` + etag}, 304, "", ""},
		{"If-None-Match any", []string{"If-None-Match", "*"}, 304, "", ""},
		{"If-None-Match other", []string{"If-None-Match", `"x"`, "If-Modified-Since", later}, 200, "hello\nworld\n", ""},
		{"If-Match", []string{"If-Match", etag}, 200, "hello\nworld\n", ""},
		{"If-Match any", []string{"If-Match", "*"}, 200, "hello\nworld\n", ""},
		{"If-Match weak", []string{"If-Match", "W/" + etag}, 412, "", ""},
		{"If-Match other", []string{"If-Match", `"x"`}, 412, "", ""},
		{"If-Modified-Since", []string{"If-Modified-Since", modified}, 304, "", ""},
		{"If-Modified-Since earlier", []string{"If-Modified-Since", earlier}, 200, "hello\nworld\n", ""},
		{"If-Modified-Since nonsense", []string{"If-Modified-Since", "soon"}, 200, "hello\nworld\n", ""},
		{"If-Unmodified-Since", []string{"If-Unmodified-Since", modified}, 200, "hello\nworld\n", ""},
		{"If-Unmodified-Since earlier", []string{"If-Unmodified-Since", earlier}, 412, "", ""},
		{"If-Match before If-Unmodified-Since", []string{"If-Match", etag, "If-Unmodified-Since", earlier}, 200, "hello\nworld\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := s.get(path, test.headers...).want(t, test.status)
			if test.status < 300 && string(a.body) != test.body {
				t.Errorf("body = %q, want %q", a.body, test.body)
			}
			if got := a.header.Get("Content-Range"); got != test.ranged {
				t.Errorf("Content-Range = %q, want %q", got, test.ranged)
			}
			if a.header.Get("ETag") != etag {
				t.Errorf("ETag = %q, want %q", a.header.Get("ETag"), etag)
			}
			head := s.call(t, s.token, "HEAD", path, nil, test.headers...).want(t, test.status)
			if len(head.body) != 0 {
				t.Errorf("HEAD has a body")
			}
			if test.status < 300 && head.header.Get("Content-Length") != fmt.Sprint(len(test.body)) {
				t.Errorf("HEAD: Content-Length = %s, want %d", head.header.Get("Content-Length"), len(test.body))
			}
		})
	}
}

func TestWhatIsNoFile(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("dir/x", "x"), change{path: "link", content: "../../etc/passwd", mode: "120000"},
		change{path: "sub", content: strings.Repeat("1", 40), mode: "160000"}, put("empty", ""))
	file := "/api/v1/repos/file?path="
	r.get(file+"dir").want(t, 404)
	r.get(file+"sub").want(t, 404)
	r.get(file+"sub/x").want(t, 404)
	r.get(file+"dir/x/y").want(t, 404)
	r.get(file+"dir/x/").want(t, 404)
	r.get(file).want(t, 400)
	r.get(file+"%2F").want(t, 400)
	r.get(file+"a%00b").want(t, 400)
	r.get(file+strings.Repeat("a", 5000)).want(t, 400)
	if got := r.content("main", "link"); got != "../../etc/passwd" {
		t.Errorf("link reads as %q, want its target's text", got)
	}
	if a := r.get(file+"empty").want(t, 200); len(a.body) != 0 || a.header.Get("Content-Length") != "0" {
		t.Errorf("empty file: %q, %v", a.body, a.header)
	}
	r.get(file+"empty", "Range", "bytes=0-").want(t, 416)
	types := map[string]string{}
	for _, e := range r.get("/api/v1/repos/files?recursive=false").at(t, "entries").([]any) {
		types[e.(object)["path"].(string)] = e.(object)["type"].(string)
	}
	if got := fmt.Sprint(types); got != "map[dir:tree empty:blob link:symlink sub:submodule]" {
		t.Errorf("types = %s", got)
	}
}

func TestDiffFilters(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	lines := func(n int, text string) string { return strings.Repeat(text+"\n", n) }
	r.commit(nil, put("package-lock.json", "{}\n"), put("blanks", "a b\n"), put("text", "a\n"), put("old name", lines(50, "same line")))
	tip := r.commit(nil, put("package-lock.json", "{ }\n"), put("blanks", "a  b\n"), put("text", "a\nb"), put("many", lines(2001, "x")),
		put("large", lines(100_000, "xxxxxx")), put("binary", "a\x00b"), remove("old name"), put("new name", lines(50, "same line")+"more\n"), put("sub/go.sum", "x\n"))
	names := func(a answer, list string) string {
		var all []string
		for _, f := range a.at(t, list).([]any) {
			f := f.(object)
			all = append(all, fmt.Sprint(f["state"], " ", f["path"]))
			if _, raw := f["raw"]; raw != (list == "files") {
				t.Errorf("%s: raw is there: %v", f["path"], raw)
			}
		}
		return strings.Join(all, "|")
	}
	a := r.get("/api/v1/repos/diff?sha="+tip).want(t, 200)
	if got, want := names(a, "files"), "R099 new name|M text"; got != want {
		t.Errorf("files = %s, want %s", got, want)
	}
	if got, want := names(a, "filtered_files"), "A binary|A large|A many|M package-lock.json|A sub/go.sum"; got != want {
		t.Errorf("filtered_files = %s, want %s", got, want)
	}
	if got := a.at(t, "files.1.is_eof"); got != false {
		t.Errorf("is_eof = %v, want false", got)
	}
	if a.at(t, "stats.files") != 7.0 || a.at(t, "files.0.old_path") != "old name" {
		t.Errorf("stats = %v, old_path = %v", a.at(t, "stats"), a.at(t, "files.0.old_path"))
	}
	named := r.get("/api/v1/repos/diff?path=many&path=package-lock.json&path=blanks&sha="+tip).want(t, 200)
	if got, want := names(named, "files"), "A many|M package-lock.json"; got != want {
		t.Errorf("files by path = %s, want %s", got, want)
	}
	exact := r.get(r.preferred("/diff?git_apply_compatible=true&path=binary&path=blanks&path=text&path=package-lock.json&ref="+tip)).want(t, 200)
	var patch strings.Builder
	for _, f := range exact.at(t, "files").([]any) {
		patch.WriteString(f.(object)["raw"].(string))
	}
	clone := gittest.Clone(t, r.export())
	clone.Git("checkout", "-q", tip+"^")
	clone.GitInput(patch.String(), "apply", "--index", "-")
	clone.Git("diff", "--cached", "--exit-code", tip, "--", "binary", "blanks", "text", "package-lock.json")
}

func TestWrongInputIsRefusedInShape(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "team/app")
	long := strings.Repeat("x", 2000)
	for _, test := range []struct {
		method, v1, preferred string
		body                  any
		status                int
	}{
		{"GET", "repos/branches?ephemeral=1", "/branches?ephemeral=TRUE", nil, 400},
		{"GET", "repos/branches?ephemeral=", "/branches?limit=-1", nil, 400},
		{"GET", "repos/branches?limit=many", "/branches?limit=1.5", nil, 400},
		{"GET", "repos/branches?cursor=nonsense", "/branches?cursor=%00", nil, 400},
		{"GET", "repos/branches?cursor=" + long, "/branches?cursor=" + strings.Repeat("A", 10000), nil, 400},
		{"GET", "repos/branches?limit=99999999999999999999", "/branches?limit=101", nil, 200},
		{"GET", "repos/branches?limit=0", "/branches?limit=", nil, 200},
		{"GET", "repos/branches?x=%zz", "/branches?%", nil, 400},
		{"GET", "", "/branch", nil, 400},
		{"GET", "", "/branch?name=a..b", nil, 400},
		{"GET", "", "/branch?name=gone", nil, 404},
		{"GET", "", "/branch?name=draft", nil, 404},
		{"GET", "", "/branch?name=draft&ephemeral=true", nil, 200},
		{"GET", "", "/branch?name=main&ephemeral=maybe", nil, 400},
		{"POST", "repos/branches/create", "/branches/create", "", 400},
		{"POST", "repos/branches/create", "/branches/create", "{", 400},
		{"POST", "repos/branches/create", "/branches/create", "[]", 400},
		{"POST", "repos/branches/create", "/branches/create", "{} {}", 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "x"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"base_ref": "main"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "refs/heads/x", "base_ref": "main"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "-x", "base_ref": "main"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "HEAD", "base_ref": "main"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": long, "base_ref": "main"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "x", "base_ref": "gone"}, 404},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "x", "base_branch": "gone"}, 404},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "x", "base_branch": "main~1"}, 400},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "x", "base_branch": "work", "base_is_ephemeral": true}, 404},
		{"POST", "repos/branches/create", "/branches/create", object{"target_branch": "x", "base_ref": "main", "force": "yes"}, 400},
		{"DELETE", "repos/branches", "/branches", nil, 400},
		{"DELETE", "repos/branches", "/branches", object{"name": "refs/heads/work"}, 400},
		{"DELETE", "repos/branches", "/branches", object{"name": "gone"}, 404},
		{"DELETE", "repos/branches", "/branches", object{"name": "work", "ephemeral": true}, 404},
		{"DELETE", "repos/branches", "/branches", object{"name": "main"}, 409},
		{"DELETE", "repos/branches", "/branches", object{"name": "work", "ephemeral": "true"}, 400},
		{"GET", "repos/branches/diff", "/branches/diff", nil, 400},
		{"GET", "repos/branches/diff?branch=gone", "/branches/diff?branch=work&base=gone", nil, 404},
		{"GET", "repos/branches/diff?branch=work&ephemeral=x", "/branches/diff?branch=work&ephemeral_base=1", nil, 400},
		{"GET", "repos/commits?branch=gone", "/commits?ref=gone", nil, 404},
		{"GET", "repos/commits?branch=main&ephemeral=true", "/commits?ref=draft", nil, 404},
		{"GET", "repos/commits?cursor=x", "/commits?limit=x", nil, 400},
		{"GET", "repos/commits?path=gone", "/commits?path=..", nil, 200},
		{"GET", "repos/commit", "/commit?ref=%20", nil, 400},
		{"GET", "repos/commit?sha=gone", "/commit?ref=" + strings.Repeat("0", 40), nil, 404},
		{"GET", "repos/commit?sha=main~99", "/commit?ref=main^2", nil, 404},
		{"GET", "repos/commit?sha=draft", "/commit?ref=abcd", nil, 404},
		{"GET", "repos/diff", "/diff?base_ref=main", nil, 400},
		{"GET", "repos/diff?sha=gone", "/diff?ref=main&base_ref=gone", nil, 404},
		{"GET", "repos/diff?sha=main&gitApplyCompatible=1", "/diff?ref=main&git_apply_compatible=yes", nil, 400},
		{"GET", "repos/diff?sha=main&ref_is_ephemeral=1", "/diff?ref=main&base_is_ephemeral=2", nil, 400},
		{"GET", "repos/files?ref=gone", "/files?path=gone", nil, 404},
		{"GET", "repos/files?recursive=1", "/files?ephemeral=no", nil, 400},
		{"GET", "repos/files?cursor=x", "/files?limit=-5", nil, 400},
		{"GET", "repos/files/metadata?ref=gone", "/files/metadata?path=gone", nil, 404},
		{"GET", "repos/files/metadata?limit=x", "/files/metadata?ephemeral=no", nil, 400},
		{"GET", "repos/files/metadata?cursor=x", "/files/metadata?limit=-1", nil, 400},
		{"GET", "repos/blame", "/blame?ref=main", nil, 400},
		{"GET", "repos/blame?path=gone", "/blame?path=README.md&ref=gone", nil, 404},
		{"GET", "repos/blame?path=src", "/blame?path=draft&ref=draft", nil, 404},
		{"GET", "repos/blame?path=README.md&detect_moves=1", "/blame?path=README.md&ephemeral=1", nil, 400},
		{"GET", "repos/blame?path=README.md&range=2,3", "/blame?path=README.md&range=/gone/", nil, 400},
		{"GET", "repos/blame?path=README.md&range=:gone", "/blame?path=README.md&range=", nil, 400},
		{"GET", "repos/blame?path=README.md&range=/[/", "/blame?path=README.md&range=1,x", nil, 400},
		{"GET", "repos/blame?path=README.md" + strings.Repeat("&range=1", 17), "/blame?path=README.md&range=" + long, nil, 400},
		{"GET", "repos/file", "/file?path=", nil, 400},
		{"GET", "repos/file?path=gone", "/file?path=README.md&ref=gone", nil, 404},
		{"GET", "repos/file?path=draft&ephemeral=true", "/file?path=draft&ref=draft", nil, 404},
		{"GET", "repos/file?path=README.md&ephemeral_base=1", "/file?path=README.md&ephemeral=0", nil, 400},
		{"POST", "repos/tags", "/tags", "", 400},
		{"POST", "repos/tags", "/tags", object{"name": "v", "target": "main"}, 400},
		{"POST", "repos/tags", "/tags", object{"name": "v", "target": strings.ToUpper(s.first)}, 400},
		{"POST", "repos/tags", "/tags", object{"name": "v"}, 400},
		{"POST", "repos/tags", "/tags", object{"name": "refs/tags/v", "ref": "main"}, 400},
		{"POST", "repos/tags", "/tags", object{"name": "a b", "ref": "main"}, 400},
		{"POST", "repos/tags", "/tags", object{"name": "v", "ref": "gone"}, 404},
		{"POST", "repos/tags", "/tags", object{"name": "v", "target": strings.Repeat("1", 40)}, 404},
		{"DELETE", "repos/tags", "", nil, 400},
		{"DELETE", "repos/tags", "", object{"name": "gone"}, 404},
		{"DELETE", "", "/tags/gone", nil, 404},
		{"DELETE", "", "/tags/a..b", nil, 400},
		{"GET", "repos/tags?cursor=AAAA", "/tags?cursor=AAAA", nil, 400},
		{"GET", "", "/tag", nil, 400},
		{"GET", "", "/tag?name=gone", nil, 404},
		{"GET", "repos/merge/preview", "/merge/preview", nil, 400},
		{"GET", "repos/merge/preview?source_branch=main", "/merge/preview?target_branch=main", nil, 400},
		{"GET", "repos/merge/preview?source_branch=gone&target_branch=main", "/merge/preview?source_ref=main&target_branch=gone", nil, 404},
		{"GET", "repos/merge/preview?source_branch=main&target_branch=main&include_content=1", "/merge/preview?source_ref=main&target_branch=main&source_is_ephemeral=x", nil, 400},
		{"POST", "repos/nothing", "/nothing", "{}", 404},
		{"POST", "repo", ".", nil, 405},
		{"PUT", "repos/branches", "/branches", nil, 405},
		{"GET", "repos/commit-pack", "/commit-pack", nil, 405},
		{"PATCH", "repos/tags", "/tags", nil, 405},
	} {
		for _, path := range s.families(test.v1, test.preferred) {
			t.Run(cut(fmt.Sprint(test.method, " ", path, " ", test.body)), func(t *testing.T) {
				t.Parallel()
				a := s.call(t, s.token, test.method, path, test.body).want(t, test.status)
				if test.status == 200 {
					return
				}
				if a.at(t, "status") != float64(test.status) || a.at(t, "title") != http.StatusText(test.status) || a.at(t, "error") == "" {
					t.Errorf("body = %s", a.body)
				}
				if got := a.header.Get("Content-Type"); got != "application/json" {
					t.Errorf("Content-Type = %q", got)
				}
			})
		}
	}
}

func cut(s string) string { return s[:min(len(s), 100)] }

func TestEmptyRepository(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	for path, status := range map[string]int{
		"branches": 200, "tags": 200, "commits": 404, "files": 404, "files/metadata": 404, "file?path=x": 404, "commit?sha=main": 404, "diff?sha=main": 404, "branches/diff?branch=main": 404,
	} {
		r.get("/api/v1/repos/"+path).want(t, status)
	}
	if a := r.get("/api/v1/repos/branches"); string(a.body) != `{"branches":[],"has_more":false}`+"\n" {
		t.Errorf("branches = %s", a.body)
	}
}

func TestCursorsBelongToTheirListing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, other := newSample(t, w, "one"), newSample(t, w, "two")
	next := func(path string) string {
		return url.QueryEscape(s.get(path).want(t, 200).at(t, "next_cursor").(string))
	}
	branches := next("/api/v1/repos/branches?limit=1")
	commits := next("/api/v1/repos/commits?limit=1")
	files := next("/api/v1/repos/files?limit=1")
	s.get("/api/v1/repos/branches?cursor="+branches).want(t, 200)
	other.get("/api/v1/repos/branches?cursor="+branches).want(t, 400)
	s.get("/api/v1/repos/branches?ephemeral=true&cursor="+branches).want(t, 400)
	s.get("/api/v1/repos/tags?cursor="+branches).want(t, 400)
	s.get("/api/v1/repos/commits?cursor="+commits).want(t, 200)
	s.get("/api/v1/repos/commits?branch=work&cursor="+commits).want(t, 400)
	s.get("/api/v1/repos/commits?path=src&cursor="+commits).want(t, 400)
	s.get("/api/v1/repos/files?cursor="+files).want(t, 200)
	s.get("/api/v1/repos/files?recursive=false&cursor="+files).want(t, 400)
	// A history goes on where it began, wherever the branch is by now.
	s.commit(nil, put("new", "n"))
	if got := s.get("/api/v1/repos/commits?cursor="+commits).want(t, 200).at(t, "commits.0.sha"); got != s.first {
		t.Errorf("page 2 begins at %v, want %s", got, s.first)
	}
}

func TestBrowsersMayAsk(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	preflight := s.call(t, "", "OPTIONS", "/api/v1/repos/file", nil, "Origin", "https://x.example", "Access-Control-Request-Method", "GET").want(t, 204)
	for header, part := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "DELETE", "Access-Control-Allow-Headers": "Code-Storage-Agent",
	} {
		if !strings.Contains(preflight.header.Get(header), part) {
			t.Errorf("%s = %q lacks %q", header, preflight.header.Get(header), part)
		}
	}
	a := s.get("/api/v1/repos/file?path=README.md", "Origin", "https://x.example").want(t, 200)
	if !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "X-Last-Commit-Sha") || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers = %v", a.header)
	}
}

func TestBaseAddressWithASlash(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "team/app")
	s.post("//api/v1/repos/tags", object{"name": "v", "ref": "main"}).want(t, 201)
	s.get("//api/repos/team%2Fapp/tags").want(t, 200)
}
