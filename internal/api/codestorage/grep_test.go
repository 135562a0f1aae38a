package codestorage_test

import (
	"fmt"
	"strings"
	"testing"
)

// found lists what a search finds: "path:line", and with a dash for context.
func (a answer) found(t *testing.T) (lines []string) {
	t.Helper()
	for _, file := range a.at(t, "matches").([]any) {
		file := file.(object)
		for _, l := range file["lines"].([]any) {
			l := l.(object)
			sign := ":"
			if l["type"] == "context" {
				sign = "-"
			}
			lines = append(lines, fmt.Sprint(file["path"], sign, l["line_number"]))
		}
	}
	return lines
}

func TestGrepTakesWhatIsChosen(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("README.md", "one\nWord\nthree\n"), put("src/a.go", "word\nx\nx\nword\n"), put("src/deep/b.go", "a word\n"), put("src/deep/c.txt", "word"),
		put("src.go", "word\n"), put("binary", "word\x00"), change{path: "link", content: "word", mode: "120000"})
	for _, test := range []struct {
		name string
		body object
		want []string
	}{
		{"all", object{}, []string{"src.go:1", "src/a.go:1", "src/a.go:4", "src/deep/b.go:1", "src/deep/c.txt:1"}},
		{"any case", object{"query": object{"pattern": "WORD", "case_sensitive": false}, "paths": []string{"README.md"}}, []string{"README.md:2"}},
		{"a folder", object{"paths": []string{"src"}}, []string{"src/a.go:1", "src/a.go:4", "src/deep/b.go:1", "src/deep/c.txt:1"}},
		{"a folder and a file", object{"paths": []string{"/src/deep/", "src.go"}}, []string{"src.go:1", "src/deep/b.go:1", "src/deep/c.txt:1"}},
		{"no such folder", object{"paths": []string{"sr", "README"}}, nil},
		{"globs", object{"file_filters": object{"include_globs": []string{"src/**"}, "exclude_globs": []string{"**/b.go"}}}, []string{"src/a.go:1", "src/a.go:4", "src/deep/c.txt:1"}},
		{"extensions", object{"file_filters": object{"extension_filters": []string{".txt", "md"}}}, []string{"src/deep/c.txt:1"}},
		{"context", object{"paths": []string{"src/a.go"}, "context": object{"before": 1, "after": 1}}, []string{"src/a.go:1", "src/a.go-2", "src/a.go-3", "src/a.go:4"}},
		{"matches of a file", object{"limits": object{"max_matches_per_file": 1}}, []string{"src.go:1", "src/a.go:1", "src/deep/b.go:1", "src/deep/c.txt:1"}},
		{"nothing", object{"query": object{"pattern": "^$"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.body["query"] == nil {
				test.body["query"] = object{"pattern": "word"}
			}
			sameList(t, "lines", r.post("/api/v1/repos/grep", test.body).want(t, 200).found(t), test.want)
		})
	}
}

// TestGrepCursorIsOfItsSearch refuses one that was changed, or that another
// search gave out.
func TestGrepCursorIsOfItsSearch(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "app")
	r.commit(nil, put("a", "word\n"), put("b", "word\n"), put("c", "word\n"))
	search := func(cursor string, change object) answer {
		body := object{"query": object{"pattern": "word"}, "pagination": object{"limit": 1, "cursor": cursor}}
		for k, v := range change {
			body[k] = v
		}
		return r.post("/api/v1/repos/grep", body)
	}
	first := search("", nil).want(t, 200)
	sameList(t, "first", first.found(t), []string{"a:1"})
	cursor := first.at(t, "next_cursor").(string)
	sameList(t, "second", search(cursor, nil).want(t, 200).found(t), []string{"b:1"})
	for _, bad := range []string{cursor[1:], cursor[:len(cursor)-1], cursor + "A", "B" + cursor[1:], strings.ToUpper(cursor), strings.Repeat("A", 5000)} {
		search(bad, nil).want(t, 400)
	}
	for name, change := range map[string]object{
		"another pattern": {"query": object{"pattern": "wor"}},
		"another case":    {"query": object{"pattern": "word", "case_sensitive": false}},
		"other paths":     {"paths": []string{"a"}},
		"other globs":     {"file_filters": object{"include_globs": []string{"*"}}},
		"other context":   {"context": object{"before": 1}},
	} {
		if a := search(cursor, change); a.status != 400 {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
}

// A path that no tree can hold is a mistake, not a search without matches.
func TestGrepRefusesPathsOfNoTree(t *testing.T) {
	t.Parallel()
	s := newSample(t, newWorld(t), "app")
	for path, status := range map[string]int{"../x": 400, "a/../b": 400, "./a": 400, "a//b": 400, "..": 400, "absent": 200, "/": 200, "a..b": 200, "...": 200} {
		s.post("/api/v1/repos/grep", object{"query": object{"pattern": "x"}, "paths": []string{path}}).want(t, status)
	}
}
