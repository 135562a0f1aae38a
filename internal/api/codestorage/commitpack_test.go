package codestorage_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

const zeros = "0000000000000000000000000000000000000000"

// dated makes a commit whose id is the same in every run.
var dated = object{"name": "Ann", "email": "ann@example.com", "date": "2026-01-02T03:04:05+02:00"}

func TestCommitPackAnswersWithTheCommitThatGitWouldMake(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	a := r.post("/api/v1/repos/commit-pack", pack(object{"author": dated}, put("README.md", "hello\n"))).want(t, 201)

	git := gittest.Init(t)
	git.GitInput("hello\n", "hash-object", "-w", "--stdin")
	blob := strings.TrimSpace(git.GitInput("hello\n", "hash-object", "--stdin"))
	tree := strings.TrimSpace(git.GitInput("100644 blob "+blob+"\tREADME.md\n", "mktree"))
	commit := strings.TrimSpace(git.GitInput(
		"tree "+tree+"\nauthor Ann <ann@example.com> 1767315845 +0200\ncommitter Ann <ann@example.com> 1767315845 +0200\n\na commit\n",
		"hash-object", "-t", "commit", "--stdin"))

	size := int64(a.at(t, "commit.pack_bytes").(float64))
	want := fmt.Sprintf(`{"commit":{"commit_sha":%q,"tree_sha":%q,"target_branch":"main","pack_bytes":%d,"blob_count":1},`+
		`"result":{"branch":"main","target_branch":"main","old_sha":%q,"new_sha":%q,"success":true,"status":"ok","message":""}}`+"\n",
		commit, tree, size, zeros, commit)
	if got := string(a.body); got != want || size == 0 {
		t.Errorf("answer\n got %s\nwant %s", got, want)
	}
}

func TestCommitPackTargetRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	setup := func(t *testing.T) (*repo, string) {
		r := w.repo(t, "rules-"+strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()[len("TestCommitPackTargetRules/"):])))
		return r, r.commit(nil, put("a", "1"))
	}
	wrong := strings.Repeat("a", 40)
	for _, test := range []struct {
		name     string
		metadata func(tip string) object
		status   int
		label    string
		old      func(tip string) string
	}{
		{"existing", func(string) object { return nil }, 201, "ok", func(tip string) string { return tip }},
		{"guard-holds", func(tip string) object { return object{"expected_head_sha": tip} }, 201, "ok", func(tip string) string { return tip }},
		{"guard-in-capitals", func(tip string) object { return object{"expected_head_sha": strings.ToUpper(tip)} }, 201, "ok", func(tip string) string { return tip }},
		{"guard-fails", func(string) object { return object{"expected_head_sha": wrong} }, 409, "precondition_failed", func(tip string) string { return tip }},
		{"preferred-guard-wins", func(tip string) object {
			return object{"expected_head_sha": wrong, "expected_target_sha": tip}
		}, 201, "ok", func(tip string) string { return tip }},
		{"guard-says-nothing-is-there", func(string) object { return object{"expected_target_sha": zeros} }, 409, "precondition_failed", func(tip string) string { return tip }},
		{"guard-malformed", func(string) object { return object{"expected_head_sha": "abc"} }, 400, "invalid", nil},
		{"missing-without-base", func(string) object { return object{"target_branch": "new"} }, 404, "not_found", nil},
		{"missing-with-base", func(string) object { return object{"target_branch": "new", "base_branch": "main"} }, 201, "ok", func(string) string { return zeros }},
		{"missing-with-base-and-guard", func(tip string) object {
			return object{"target_branch": "new", "base_branch": "main", "expected_head_sha": tip}
		}, 201, "ok", func(string) string { return zeros }},
		{"missing-with-base-and-wrong-guard", func(string) object {
			return object{"target_branch": "new", "base_branch": "main", "expected_head_sha": wrong}
		}, 409, "precondition_failed", func(tip string) string { return tip }},
		{"missing-base", func(string) object { return object{"target_branch": "new", "base_branch": "gone"} }, 404, "not_found", nil},
		{"base-is-ignored-if-the-target-exists", func(string) object { return object{"base_branch": "gone"} }, 201, "ok", func(tip string) string { return tip }},
		{"ephemeral-target", func(string) object {
			return object{"ephemeral": true, "base_branch": "main"}
		}, 201, "ok", func(string) string { return zeros }},
		{"preferred-flag-wins", func(string) object {
			return object{"ephemeral": true, "target_is_ephemeral": false}
		}, 201, "ok", func(tip string) string { return tip }},
		{"ephemeral-base-missing", func(string) object {
			return object{"target_branch": "new", "base_branch": "main", "base_is_ephemeral": true}
		}, 404, "not_found", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, tip := setup(t)
			a := r.post(r.preferred("/commit-pack"), pack(test.metadata(tip), put("b", "2"))).want(t, test.status)
			if got := a.at(t, "result.status"); got != test.label {
				t.Errorf("result.status = %v, want %q", got, test.label)
			}
			if test.old != nil {
				if got, want := a.at(t, "result.old_sha"), test.old(tip); got != want {
					t.Errorf("result.old_sha = %v, want %s", got, want)
				}
			}
			if test.status == 201 {
				return
			}
			if got, ok := a.json(t)["commit"]; got != nil || !ok {
				t.Errorf("commit = %v, want null", got)
			}
			if got := a.at(t, "result.success"); got != false {
				t.Errorf("result.success = %v, want false", got)
			}
			if a.at(t, "error") == "" || a.at(t, "result.message") != a.at(t, "error") || a.at(t, "status") != float64(test.status) {
				t.Errorf("body %s lacks the error", a.body)
			}
		})
	}
}

func TestFirstCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.repo(t, "guarded")
	a := r.post("/api/v1/repos/commit-pack", pack(object{"expected_head_sha": strings.Repeat("a", 40)}, put("a", "1"))).want(t, 409)
	if got := a.at(t, "result.status"); got != "precondition_failed" {
		t.Errorf("result.status = %v, want precondition_failed", got)
	}
	r.post("/api/v1/repos/commit-pack", pack(object{"base_branch": "main"}, put("a", "1"))).want(t, 404)
	r.commit(nil, put("a", "1"))
	other := w.repo(t, "other")
	other.post("/api/v1/repos/commit-pack", pack(object{"base_branch": "dev"}, put("a", "1"))).want(t, 404)
	other.commit(object{"target_branch": "dev", "expected_head_sha": zeros}, put("a", "1"))
	other.post("/api/v1/repos/commit-pack", pack(nil, put("a", "1"))).want(t, 404)
}

func TestCommitPackRefuses(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("a", "1"), put("dir/b", "2"))
	good := object{"target_branch": "main", "commit_message": "m", "author": object{"name": "A", "email": "a@b"}}
	with := func(extra object) object {
		m := object{}
		for k, v := range good {
			m[k] = v
		}
		for k, v := range extra {
			if v == nil {
				delete(m, k)
			} else {
				m[k] = v
			}
		}
		return object{"metadata": m}
	}
	one := func(file object) string { return ndjson(with(object{"files": []object{file}}), chunk("c", "x", true)) }
	files := with(object{"files": []object{{"path": "x", "content_id": "c"}}})
	tests := []struct {
		name, body, label string
		status            int
	}{
		{"empty body", "", "invalid", 400},
		{"blank lines only", "\n\n", "invalid", 400},
		{"no JSON", "hello", "invalid", 400},
		{"other JSON", `[1]`, "invalid", 400},
		{"no metadata", `{"blob_chunk":{}}`, "invalid", 400},
		{"metadata of another type", `{"metadata":"x"}`, "invalid", 400},
		{"nested without end", `{"metadata":` + strings.Repeat(`{"a":`, 20000), "invalid", 400},
		{"no branch", ndjson(with(object{"target_branch": nil})), "invalid", 400},
		{"branch with refs/", ndjson(with(object{"target_branch": "refs/heads/main"})), "invalid", 400},
		{"branch that is none", ndjson(with(object{"target_branch": "a..b"})), "invalid", 400},
		{"branch of another type", ndjson(with(object{"target_branch": 5})), "invalid", 400},
		{"no message", ndjson(with(object{"commit_message": nil})), "invalid", 400},
		{"blank message", ndjson(with(object{"commit_message": " \n\t"})), "invalid", 400},
		{"message with NUL", ndjson(with(object{"commit_message": "a\x00b"})), "invalid", 400},
		{"message too long", ndjson(with(object{"commit_message": strings.Repeat("m", 1<<20+1)})), "invalid", 413},
		{"no author", ndjson(with(object{"author": nil})), "invalid", 400},
		{"author without a name", ndjson(with(object{"author": object{"name": " ", "email": "a@b"}})), "invalid", 400},
		{"author with a bad date", ndjson(with(object{"author": object{"name": "A", "email": "a@b", "date": "yesterday"}})), "invalid", 400},
		{"author before 1970", ndjson(with(object{"author": object{"name": "A", "email": "a@b", "date": "1900-01-01"}})), "invalid", 400},
		{"author with a long name", ndjson(with(object{"author": object{"name": strings.Repeat("A", 2000), "email": "a@b"}})), "invalid", 400},
		{"committer without a name", ndjson(with(object{"committer": object{"name": "", "email": "a@b"}})), "invalid", 400},
		{"no path", one(object{"content_id": "c"}), "invalid", 400},
		{"no content_id", one(object{"path": "x"}), "invalid", 400},
		{"unknown operation", one(object{"path": "x", "content_id": "c", "operation": "rename"}), "invalid", 400},
		{"unknown mode", one(object{"path": "x", "content_id": "c", "mode": "100600"}), "invalid", 400},
		{"mode of a tree", one(object{"path": "x", "content_id": "c", "mode": "040000"}), "invalid", 400},
		{"mode in words", one(object{"path": "x", "content_id": "c", "mode": "rw"}), "invalid", 400},
		{"submodule that is no id", one(object{"path": "x", "content_id": "c", "mode": "160000"}), "invalid", 400},
		{"delete of what is not there", ndjson(with(object{"files": []object{{"path": "nope", "operation": "delete"}}})), "not_found", 404},
		{"file and folder", ndjson(with(object{"files": []object{{"path": "x", "content_id": "c"}, {"path": "x/y", "content_id": "c"}}}), chunk("c", "x", true)), "invalid", 400},
		{"no content", ndjson(files), "invalid", 400},
		{"content without an end", ndjson(files, chunk("c", "x", false)), "invalid", 400},
		{"content after its end", ndjson(files, chunk("c", "x", true), chunk("c", "y", true)), "invalid", 400},
		{"unknown content", ndjson(files, chunk("d", "x", true)), "invalid", 400},
		{"metadata twice", ndjson(files, files), "invalid", 400},
		{"chunk of another kind", ndjson(files, object{"diff_chunk": object{"data": "", "eof": true}}), "invalid", 400},
		{"chunk without data", ndjson(files, object{"blob_chunk": object{"content_id": "c", "eof": true}}), "invalid", 400},
		{"chunk without content_id", ndjson(files, object{"blob_chunk": object{"data": "", "eof": true}}), "invalid", 400},
		{"chunk that is broken off", ndjson(files) + `{"blob_chunk":{"content_id":"c","data":"eA==`, "invalid", 400},
		{"base64 without padding", ndjson(files, object{"blob_chunk": object{"content_id": "c", "data": "eA", "eof": true}}), "invalid", 400},
		{"base64 with a line feed", ndjson(files, object{"blob_chunk": object{"content_id": "c", "data": "eA=\n=", "eof": true}}), "invalid", 400},
		{"base64 with stray bits", ndjson(files, object{"blob_chunk": object{"content_id": "c", "data": "eB==", "eof": true}}), "invalid", 400},
		{"base64 of the URL alphabet", ndjson(files, object{"blob_chunk": object{"content_id": "c", "data": "_-8=", "eof": true}}), "invalid", 400},
		{"chunk larger than 4 MiB", ndjson(files, chunk("c", strings.Repeat("x", 4<<20+1), true)), "invalid", 413},
		{"line longer than 6 MiB", ndjson(files) + strings.Repeat(" ", 6<<20) + "x\n", "invalid", 413},
	}
	t.Run("each", func(t *testing.T) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				a := r.post("/api/v1/repos/commit-pack", test.body).want(t, test.status)
				if got := a.at(t, "result.status"); got != test.label {
					t.Errorf("result.status = %v, want %q; body %s", got, test.label, a.body)
				}
				if got := a.at(t, "result.message"); got == "" || got != a.at(t, "error") {
					t.Errorf("result.message = %v, error %v", got, a.at(t, "error"))
				}
			})
		}
	})
	if n := len(r.get("/api/v1/repos/commits").at(t, "commits").([]any)); n != 1 {
		t.Errorf("%d commits after refusals only, want 1", n)
	}
}

func TestCommitPackChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := []change{put("a", "a"), {path: "run", content: "#!", mode: "100755"}, {path: "link", content: "a", mode: "120000"}, put("dir/x", "x"), put("dir/sub/y", "y"), put("z", "z")}
	for i, test := range []struct {
		name    string
		changes []change
		want    string // of git ls-tree -r, without ids
	}{
		{"nothing", nil, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100755 run|100644 z"},
		{"upsert", []change{put("a", "b"), put("n/e/w", "n")}, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100644 n/e/w|100755 run|100644 z"},
		{"mode is kept", []change{put("run", "new")}, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100755 run|100644 z"},
		{"mode is set", []change{{path: "run", content: "#!", mode: "100644"}}, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100644 run|100644 z"},
		{"content for a link makes a file", []change{put("link", "new")}, "100644 a|100644 dir/sub/y|100644 dir/x|100644 link|100755 run|100644 z"},
		{"delete a file", []change{remove("a")}, "100644 dir/sub/y|100644 dir/x|120000 link|100755 run|100644 z"},
		{"delete a folder", []change{remove("dir")}, "100644 a|120000 link|100755 run|100644 z"},
		{"delete a folder with a slash", []change{remove("dir/")}, "100644 a|120000 link|100755 run|100644 z"},
		{"delete the last file of a folder", []change{remove("dir/sub/y")}, "100644 a|100644 dir/x|120000 link|100755 run|100644 z"},
		{"replace a folder", []change{remove("dir"), put("dir/new", "n")}, "100644 a|100644 dir/new|120000 link|100755 run|100644 z"},
		{"folder by a file", []change{put("dir", "f")}, "100644 a|100644 dir|120000 link|100755 run|100644 z"},
		{"file by a folder", []change{put("a/b", "f")}, "100644 a/b|100644 dir/sub/y|100644 dir/x|120000 link|100755 run|100644 z"},
		{"later wins", []change{put("a", "1"), remove("a"), put("a", "3")}, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100755 run|100644 z"},
		{"later delete wins", []change{put("a", "1"), remove("a")}, "100644 dir/sub/y|100644 dir/x|120000 link|100755 run|100644 z"},
		{"delete undoes what is below", []change{put("dir/n", "1"), remove("dir")}, "100644 a|120000 link|100755 run|100644 z"},
		{"leading slashes", []change{put("///a", "b"), put("/q", "b")}, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100644 q|100755 run|100644 z"},
		{"submodule", []change{{path: "sub", content: strings.Repeat("1", 40) + "\n", mode: "160000"}}, "100644 a|100644 dir/sub/y|100644 dir/x|120000 link|100755 run|160000 sub|100644 z"},
		{"everything", []change{remove("a"), remove("run"), remove("link"), remove("dir"), remove("z")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := w.repo(t, fmt.Sprint("changes-", i))
			r.commit(nil, base...)
			r.commit(nil, test.changes...)
			dir := r.export()
			out := strings.TrimSpace(gittest.Git(t, dir, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main"))
			if got := strings.ReplaceAll(out, "\n", "|"); got != test.want {
				t.Errorf("tree\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestContentMayBeSharedInterleavedAndLarge(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	random := rand.New(rand.NewPCG(1, 2))
	large := make([]byte, 9<<20)
	for i := range large {
		large[i] = byte(random.Uint32())
	}
	text := string(large)
	files := []object{
		{"path": "large", "content_id": "L"}, {"path": "again", "content_id": "L", "mode": "100755"},
		{"path": "small", "content_id": "s"}, {"path": "empty", "content_id": "e"}, {"path": "middle", "content_id": "m"},
		{"path": "gone", "content_id": "unused"}, {"path": "gone", "content_id": "g", "operation": "delete"},
	}
	first := r.commit(nil, put("gone", "x"))
	body := pack(object{"files": files}) + ndjson(
		chunk("L", text[:4<<20], false), chunk("s", "sm", false), chunk("L", text[4<<20:8<<20], false), chunk("g", "dropped", true),
		chunk("m", text[:1<<20], false), chunk("s", "all", true), chunk("L", text[8<<20:], true), chunk("e", "", true), chunk("m", text[1<<20:3<<20], true),
	)
	a := r.post("/api/v1/repos/commit-pack", body).want(t, 201)
	if got := a.at(t, "commit.blob_count"); got != 4.0 {
		t.Errorf("blob_count = %v, want 4", got)
	}
	if got := a.at(t, "result.old_sha"); got != first {
		t.Errorf("old_sha = %v, want %s", got, first)
	}
	for path, want := range map[string]string{"large": text, "again": text, "small": "small"[:2] + "all", "empty": "", "middle": text[:3<<20]} {
		if got := r.content("main", path); got != want {
			t.Errorf("%s has %d bytes that differ from the %d sent", path, len(got), len(want))
		}
	}
	r.export()
}

func TestUnfinishedContentsAreBounded(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	var files, chunks []object
	for i := range 100 {
		files = append(files, object{"path": fmt.Sprint("f", i), "content_id": fmt.Sprint(i)})
		chunks = append(chunks, chunk(fmt.Sprint(i), "x", false))
	}
	a := r.post("/api/v1/repos/commit-pack", pack(object{"files": files})+ndjson(chunks...)).want(t, 413)
	if got := a.at(t, "error").(string); !strings.Contains(got, "32") {
		t.Errorf("error = %q, want the limit in it", got)
	}
}

func TestLimitsOfACommit(t *testing.T) {
	t.Parallel()
	r := newWorld(t, func(o *service.Options) {
		o.Limits = service.Limits{CommitFiles: 3, FileSize: 100, RequestSize: 150}
	}).repo(t, "app")
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct {
		name    string
		changes []change
		status  int
	}{
		{"max-commit-files", []change{put("a", ""), put("b", ""), put("c", ""), put("d", "")}, 413},
		{"max-file-size", []change{put("a", x(101))}, 413},
		{"max-request-size", []change{put("a", x(90)), put("b", x(90))}, 413},
		{"within", []change{put("a", x(75)), put("b", x(75)), put("c", "")}, 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := r.post("/api/v1/repos/commit-pack", pack(nil, test.changes...)).want(t, test.status)
			if test.status == 413 && !strings.Contains(a.at(t, "error").(string), "("+test.name+")") {
				t.Errorf("error = %v, want the setting in it", a.at(t, "error"))
			}
		})
	}
}

// TestHostileLines sends bodies that are made to cost more than they are.
func TestHostileLines(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("a", "1"))
	first := pack(object{"files": []object{{"path": "x", "content_id": "c"}}})
	deep := strings.Repeat(`[`, 1_000_000)
	for _, test := range []struct {
		name, reason string
		body         io.Reader
		status       int
	}{
		{"no line feed", "(max-line-size)", &repeated{line: strings.Repeat("x", 1<<10), times: 7 << 10}, 413},
		{"no line feed after the first line", "(max-line-size)", &repeated{first: first, line: strings.Repeat("x", 1<<10), times: 7 << 10}, 413},
		{"ten million line feeds", "more than 1000000 lines", &repeated{first: first, line: strings.Repeat("\n", 1000), times: 10_000}, 413},
		{"deep nesting", "is not JSON", strings.NewReader(first + `{"blob_chunk":{"content_id":` + deep), 400},
		{"deep nesting in the first line", "is not JSON", strings.NewReader(`{"metadata":` + deep), 400},
		{"deep nesting beside data", "is not JSON", strings.NewReader(first + `{"blob_chunk":{"content_id":"c","data":"eA==","x":` + deep), 400},
		{"large base64", "is larger than", strings.NewReader(first + ndjson(chunk("c", strings.Repeat("x", 4<<20+1), true))), 413},
		{"a file and a folder", "would be a file and a folder", strings.NewReader(pack(nil, put("x", "1"), put("x/y", "2"))), 400},
		{"a file and a folder far below", "would be a file and a folder", strings.NewReader(pack(nil, put("x/y/z/w", "1"), put("x/y", "2"))), 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := r.post("/api/v1/repos/commit-pack", test.body)
			if got, _ := a.at(t, "error").(string); a.status != test.status || !strings.Contains(got, test.reason) || len(got) > 500 {
				t.Errorf("%d %.600s, want %d and %q", a.status, a.body, test.status, test.reason)
			}
		})
	}
	// Of a path that comes twice the last counts.
	r.commit(nil, put("twice", "1"), put("twice", "2"))
	if got := r.content("main", "twice"); got != "2" {
		t.Errorf("twice = %q", got)
	}
}

func TestRefusalIsSeenByAClientThatStreams(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	line := ndjson(chunk("c", strings.Repeat("x", 1<<20), false))
	first := pack(object{"target_branch": "a..b", "files": []object{{"path": "x", "content_id": "c"}}})
	body := &repeated{first: first, line: line, times: 40}
	a := r.post("/api/v1/repos/commit-pack", body).want(t, 400)
	if got := a.at(t, "result.status"); got != "invalid" {
		t.Errorf("result.status = %v, want invalid", got)
	}
}

func TestAcceptedUnguardedCommitsFormOneChain(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("base", ""))
	const writers = 32
	var wg sync.WaitGroup
	made := make([]string, writers)
	for i := range writers {
		wg.Go(func() {
			a := r.post("/api/v1/repos/commit-pack", pack(nil, put(fmt.Sprintf("f%d", i), "x")))
			if a.status == 201 {
				made[i], _ = a.at(t, "commit.commit_sha").(string)
			} else {
				t.Errorf("writer %d: %d %s", i, a.status, a.body)
			}
		})
	}
	wg.Wait()
	dir := r.export()
	chain := strings.Fields(gittest.Git(t, dir, "rev-list", "--first-parent", "main"))
	if len(chain) != writers+1 || strings.TrimSpace(gittest.Git(t, dir, "rev-list", "--count", "main")) != fmt.Sprint(writers+1) {
		t.Errorf("chain of %d commits, want %d", len(chain), writers+1)
	}
	for i, id := range made {
		if !strings.Contains(strings.Join(chain, " "), id) {
			t.Errorf("commit %s of writer %d was accepted and is lost", id, i)
		}
	}
	if files := strings.Fields(gittest.Git(t, dir, "ls-tree", "--name-only", "main")); len(files) != writers+1 {
		t.Errorf("%d files, want %d", len(files), writers+1)
	}
}

func TestOneGuardedCommitWins(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	tip := r.commit(nil, put("base", ""))
	const writers = 32
	var wg sync.WaitGroup
	answers := make([]answer, writers)
	for i := range writers {
		wg.Go(func() {
			answers[i] = r.post("/api/v1/repos/commit-pack", pack(object{"expected_head_sha": tip}, put(fmt.Sprintf("f%d", i), "x")))
		})
	}
	wg.Wait()
	won := ""
	for _, a := range answers {
		switch {
		case a.status == 201 && won == "":
			won = a.at(t, "commit.commit_sha").(string)
		case a.status == 201:
			t.Errorf("a second guarded commit was accepted")
		case a.status != 409 || a.at(t, "result.status") != "precondition_failed":
			t.Errorf("answer %d %s, want 409 precondition_failed", a.status, a.body)
		}
	}
	if got := r.get("/api/v1/repos/branches").at(t, "branches.0.head_sha"); got != won {
		t.Errorf("head = %v, want %s", got, won)
	}
}

func TestFirstCommitsRace(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	const writers = 8
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if a := r.post("/api/v1/repos/commit-pack", pack(nil, put(fmt.Sprint(i), "x"))); a.status != 201 {
				t.Errorf("writer %d: %d %s", i, a.status, a.body)
			}
		})
	}
	wg.Wait()
	if got := strings.TrimSpace(gittest.Git(t, r.export(), "rev-list", "--count", "main")); got != fmt.Sprint(writers) {
		t.Errorf("%s commits, want %d", got, writers)
	}
}

// repeated is a body of one line and many copies of another.
type repeated struct {
	first, line string
	times       int
}

func (b *repeated) Read(p []byte) (int, error) {
	for b.first == "" {
		if b.times == 0 {
			return 0, io.EOF
		}
		b.times--
		b.first = b.line
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	return n, nil
}
