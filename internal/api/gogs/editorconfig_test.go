package gogs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const exampleEditorConfig = `root = true

[*]
charset = utf-8
end_of_line = lf
insert_final_newline = true

[{*.go,Makefile}]
indent_style = tab
tab_width = 8

[*.md]
trim_trailing_whitespace = false
indent_size = 2
`

func TestEditorConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := "repos/ada/site/editorconfig/"
	w.must("reader", "GET", at+"main.go", "", 404)
	w.must("writer", "PUT", "repos/ada/site/contents/.editorconfig", put("Add", exampleEditorConfig, ""), 201)
	for name, want := range map[string]string{
		"main.go":       `{"charset":"utf-8","indent_style":"tab","tab_width":8,"end_of_line":"lf","insert_final_newline":true}`,
		"docs%2Fa.md":   `{"charset":"utf-8","indent_size":"2","tab_width":2,"end_of_line":"lf","trim_trailing_whitespace":false,"insert_final_newline":true}`,
		"lib/deep/x.py": `{"charset":"utf-8","end_of_line":"lf","insert_final_newline":true}`,
	} {
		if got := strings.TrimSpace(w.must("reader", "GET", at+name, "", 200)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	w.must("stranger", "GET", at+"main.go", "", 404)
	w.must("ada", "POST", "user/repos", `{"name":"empty"}`, 201)
	w.must("ada", "GET", "repos/ada/empty/editorconfig/a", "", 404)
}

// TestEditorConfigBomb: neither values that name each other, nor a multitude of
// patterns or of numbers in them, make work out of proportion.
func TestEditorConfigBomb(t *testing.T) {
	t.Parallel()
	var values, sections strings.Builder
	values.WriteString("[*]\na0 = x\n")
	for i := range 60 {
		fmt.Fprintf(&values, "a%d = %%(a%d)s%%(a%d)s\n", i+1, i, i)
	}
	values.WriteString("charset = %(a60)s\n")
	for i := range 2 * maxEditorConfigSections {
		fmt.Fprintf(&sections, "[{a,b}*%d]\nindent_size = 2\n", i)
	}
	ranges := "[{1..999999999}]\ncharset = utf-8\n"
	large := "[{1..99999999999999999999}]\ncharset = utf-8\n"
	many := "[" + strings.Repeat("{1..2000}", 6) + "]\ncharset = utf-8\n"
	for _, text := range []string{values.String(), sections.String(), ranges, large, many} {
		if got, err := parseEditorConfig([]byte(text), "a"); err == nil {
			t.Errorf("%+v", got)
		}
	}
}

func FuzzEditorConfig(f *testing.F) {
	f.Add([]byte(exampleEditorConfig), "a/main.go")
	f.Add([]byte("[{1..999999999}]\n[{5..+10..7}]"), "5")
	f.Add([]byte("[{1..9}.{a,b}]\ntab_width=x\n[[!a-z]]\n[\n"), "5.a")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		if len(text) > 4<<10 || len(name) > 1<<10 {
			return
		}
		got, err := parseEditorConfig(text, name)
		if err != nil {
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Error(err)
		}
	})
}
