package mesa_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/api/mesa"
	"github.com/cairn-storage/cairn/internal/cairn"
)

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func upsert(path, text string) object { return object{"path": path, "content": b64(text)} }

// TestChangesOverHTTP goes the way of the SDK's users: changes, bookmarks, a
// diff, a merge, and what stands in the way.
func TestChangesOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repository("app")
	key := w.key("acme", cairn.WriteAccess)
	ann := object{"name": "Ann", "email": "ann@example.com", "date": "2026-06-01T00:00:00Z"}
	one := w.want(201, key, "POST", "acme/app/changes", object{"base_change_id": root, "message": "one", "author": ann,
		"files": []object{upsert("a.txt", "1\n2\n3\n"), upsert("d/b", "b")}}).json
	if p := one["parents"].([]any); one["message"] != "one" || one["is_conflicted"] != false || p[0] != root {
		t.Errorf("%v", one)
	}
	if author := one["author"].(object); author["date"] != "2026-06-01T00:00:00Z" {
		t.Errorf("%v", author)
	}
	if a := w.want(200, key, "GET", "acme/app/bookmarks", nil); !strings.Contains(a.body, `[{"name":"main","change_id":"`+root+`","is_default":true}]`) {
		t.Errorf("%s", a.body)
	}
	id := one["id"].(string)
	if a := w.want(200, key, "PATCH", "acme/app/bookmarks/main", object{"change_id": id}); a.json["from_change_id"] != root || a.json["change_id"] != id {
		t.Errorf("%s", a.body)
	}
	if a := w.want(200, key, "GET", "acme/app/content?path=a.txt", nil); a.json["content"] != b64("1\n2\n3\n") {
		t.Errorf("%s", a.body)
	}
	w.want(201, key, "POST", "acme/app/bookmarks", object{"name": "feature/x", "change_id": id})
	w.want(409, key, "POST", "acme/app/bookmarks", object{"name": "feature/x", "change_id": id})
	two := w.want(201, key, "POST", "acme/app/changes", object{"base_change_id": id, "files": []object{upsert("a.txt", "1\nx\n3\n"), {"path": "d", "action": "delete"}}}).json["id"].(string)
	three := w.want(201, key, "POST", "acme/app/changes", object{"base_change_id": id, "files": []object{upsert("a.txt", "1\ny\n3\n")}}).json["id"].(string)
	w.want(200, key, "PATCH", "acme/app/bookmarks/feature%2Fx", object{"change_id": two, "allow_backwards": false})
	w.want(409, key, "PATCH", "acme/app/bookmarks/feature%2Fx", object{"change_id": three, "allow_backwards": false})
	if a := w.want(200, key, "GET", "acme/app/bookmarks?glob=feature/*", nil); len(a.json["bookmarks"].([]any)) != 1 {
		t.Errorf("%s", a.body)
	}
	d := w.want(200, key, "GET", "acme/app/diff?base_change_id="+id+"&head_change_id="+two, nil)
	if !strings.Contains(d.body, `"stats":{"entries":2,"additions":1,"deletions":2,"changes":3,"conflicted_entries":0,"conflicted_hunks":0}`) ||
		!strings.Contains(d.body, `{"kind":"context","text":"1"},{"kind":"deleted","text":"2"},{"kind":"added","text":"x"}`) ||
		!strings.Contains(d.body, `{"kind":"annotation","text":" No newline at end of file"}`) {
		t.Errorf("%s", d.body)
	}
	p := w.want(200, key, "GET", "acme/app/diff?base_change_id="+id+"&head_change_id="+two, nil, "Accept: text/plain")
	if !strings.HasPrefix(p.body, "diff --git a/a.txt b/a.txt\n") {
		t.Errorf("%s", p.body)
	}
	w.want(200, key, "PATCH", "acme/app/bookmarks/main", object{"change_id": three})
	w.conflict(key, three, two)
	w.want(200, key, "DELETE", "acme/app/bookmarks/feature%2Fx", nil)
	w.want(404, key, "GET", "acme/app/bookmarks/feature%2Fx", nil)
	w.want(200, key, "GET", "acme/app/changes/"+two, nil)
	w.want(409, key, "DELETE", "acme/app/bookmarks/main", nil)
	list := w.want(200, key, "GET", "acme/app/changes?limit=2", nil)
	if len(list.json["changes"].([]any)) != 2 || list.json["has_more"] != true {
		t.Errorf("%s", list.body)
	}
	next := w.want(200, key, "GET", "acme/app/changes?limit=2&cursor="+list.json["next_cursor"].(string), nil)
	if len(next.json["changes"].([]any)) != 2 || next.json["has_more"] != false {
		t.Errorf("%s", next.body)
	}
}

// conflict merges feature/x into main, which are at these changes and in
// conflict about a.txt.
func (w *world) conflict(key, target, source string) {
	w.t.Helper()
	merge := object{"target": "main", "source": "feature/x"}
	refused := w.want(409, key, "POST", "acme/app/bookmarks/merge", merge)
	details, _ := refused.json["error"].(object)["details"].(object)
	if refused.errorCode() != "MERGE_CONFLICT" || details == nil {
		w.t.Fatalf("%s", refused.body)
	}
	entry := details["conflicted_entries"].([]any)[0].(object)
	hunk := entry["hunks"].([]any)[0].(object)
	for side, want := range map[string]string{"target": "y\n", "base": "2\n", "source": "x\n"} {
		if got := hunk[side].(object)["content"]; got != b64(want) {
			w.t.Errorf("%s is %v", side, got)
		}
	}
	merge["allow_conflicted"] = true
	stored := w.want(200, key, "POST", "acme/app/bookmarks/merge", merge).json
	if stored["is_conflicted"] != true || stored["merge_type"] != "merge_commit" || stored["source_deleted"] != false {
		w.t.Errorf("%v", stored)
	}
	path := "acme/app/changes/" + stored["change_id"].(string)
	if a := w.want(200, key, "GET", path, nil); !strings.Contains(a.body, `"conflicts":["a.txt"]`) || !strings.Contains(a.body, `"parents":["`+target+`","`+source+`"]`) {
		w.t.Errorf("%s", a.body)
	}
	only := w.want(200, key, "GET", "acme/app/diff?base_change_id="+target+"&head_change_id="+stored["change_id"].(string)+"&conflicts=only", nil)
	if len(only.json["entries"].([]any)) != 0 || len(only.json["conflicted_entries"].([]any)) != 1 {
		w.t.Errorf("%s", only.body)
	}
	if a := w.want(409, key, "PATCH", path, object{"message": "m"}); a.errorCode() != "MERGE_CONFLICT" || !strings.Contains(a.body, `"conflict_paths":["a.txt"]`) {
		w.t.Errorf("%s", a.body)
	}
	w.want(409, key, "PATCH", path, object{"base_commit_oid": strings.Repeat("1", 40), "message": "m"})
	w.want(409, key, "PATCH", path, object{"resolutions": []object{{"path": "a.txt", "hunks": []object{{"hunk_id": "h1", "take": "source"}}}}})
	resolved := w.want(200, key, "PATCH", path, object{"resolutions": []object{{"path": "a.txt", "hunks": []object{{"hunk_id": hunk["hunk_id"], "content": b64("xy\n")}}}}})
	if resolved.json["is_conflicted"] != false || resolved.json["id"] != stored["change_id"] {
		w.t.Errorf("%s", resolved.body)
	}
	if a := w.want(200, key, "GET", "acme/app/content?path=a.txt", nil); a.json["content"] != b64("1\nxy\n3\n") {
		w.t.Errorf("%s", a.body)
	}
	if a := w.want(200, key, "POST", "acme/app/bookmarks/merge", merge); a.json["merge_type"] != "no_op" {
		w.t.Errorf("%s", a.body)
	}
}

// TestWrongChanges asks for what cannot be.
func TestWrongChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repository("app")
	key := w.key("acme", cairn.WriteAccess)
	unknown := strings.Repeat("k", 32)
	made := w.want(201, key, "POST", "acme/app/changes", object{"base_change_id": root, "files": []object{upsert("a", "1")}}).json["id"].(string)
	for _, c := range []struct {
		status       int
		method, path string
		body         any
	}{
		{400, "POST", "changes", object{}},
		{400, "POST", "changes", object{"base_change_id": "main"}},
		{400, "POST", "changes", object{"base_change_id": strings.ToUpper(root)}},
		{404, "POST", "changes", object{"base_change_id": unknown}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{{"path": "a"}}}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{upsert("../a", "1")}}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{upsert(".git/config", "1")}}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{upsert(".jjconflict-side-0/a", "1")}}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{{"path": "a", "content": "", "mode": "120000"}}}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{{"path": "a", "content": "%"}}}},
		{400, "POST", "changes", object{"base_change_id": root, "files": []object{{"path": "a", "content": "", "encoding": "utf-8"}}}},
		{400, "POST", "changes", object{"base_change_id": root, "author": object{"name": "A", "email": "a@x", "date": "today"}}},
		{404, "POST", "changes", object{"base_change_id": root, "files": []object{{"path": "none", "action": "delete"}}}},
		{400, "GET", "changes/main", nil},
		{404, "GET", "changes/" + unknown, nil},
		{400, "GET", "changes/" + root, nil},
		{404, "GET", "changes?bookmark=none", nil},
		{400, "PATCH", "changes/" + made, object{"files": []object{}}},
		{400, "PATCH", "changes/" + made, object{"files": []object{upsert("a", "2")}, "resolutions": []object{{"path": "a", "take": "target"}}}},
		{409, "PATCH", "changes/" + made, object{"resolutions": []object{{"path": "a", "take": "target"}}}},
		{400, "PATCH", "changes/" + made, object{"resolutions": []object{{"path": "a", "take": "base"}}}},
		{400, "PATCH", "changes/" + made, object{"base_commit_oid": "x"}},
		{404, "POST", "bookmarks", object{"name": "b", "change_id": unknown}},
		{400, "POST", "bookmarks", object{"name": "a..b", "change_id": made}},
		{400, "POST", "bookmarks", object{"change_id": made}},
		{409, "POST", "bookmarks", object{"name": "main", "change_id": root}},
		{404, "PATCH", "bookmarks/none", object{"change_id": made}},
		{404, "DELETE", "bookmarks/none", nil},
		{400, "POST", "bookmarks/merge", object{"target": "main"}},
		{404, "POST", "bookmarks/merge", object{"target": "main", "source": "none"}},
		{400, "GET", "diff", nil},
		{400, "GET", "diff?base_change_id=" + root + "&head_change_id=" + made + "&conflicts=maybe", nil},
		{404, "GET", "diff?base_change_id=" + root + "&head_change_id=" + unknown, nil},
		{405, "DELETE", "changes/" + made, nil},
	} {
		w.want(c.status, key, c.method, "acme/app/"+c.path, c.body)
	}
	w.want(406, key, "GET", "acme/app/diff?base_change_id="+root+"&head_change_id="+made, nil, "Accept: image/png")
}

// TestStrictMoves has bookmarks move forward only where a request does not allow
// more, as the setting says.
func TestStrictMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *mesa.Options) { o.StrictMoves = true })
	w.repository("app")
	key := w.key("acme", cairn.WriteAccess)
	change := func(base string) string {
		return w.want(201, key, "POST", "acme/app/changes", object{"base_change_id": base}).json["id"].(string)
	}
	one := change(root)
	two, beside := change(one), change(one)
	move := func(status int, body object) {
		t.Helper()
		w.want(status, key, "PATCH", "acme/app/bookmarks/main", body)
	}
	move(200, object{"change_id": one})
	move(200, object{"change_id": two})
	move(200, object{"change_id": two})
	move(409, object{"change_id": one})
	move(409, object{"change_id": beside})
	move(409, object{"change_id": beside, "allow_backwards": false})
	move(200, object{"change_id": beside, "allow_backwards": true})
}
