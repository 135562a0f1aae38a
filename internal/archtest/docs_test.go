package archtest

import (
	"go/ast"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/cairn-storage/cairn/internal/api/admin"
	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/api/gogs"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDependenciesHaveReasons holds docs/decisions/0001-dependencies.md to the
// modules that the project imports.
func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	required := regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+) v\S+( // indirect)?$`).FindAllStringSubmatch(readText(t, "go.mod"), -1)
	direct := map[string]bool{}
	for _, r := range required {
		if r[2] == "" {
			direct[r[1]] = true
		}
	}
	eachFile(t, func(path, _ string, file *ast.File) {
		for _, spec := range file.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") || strings.HasPrefix(name, module) {
				continue
			}
			found := ""
			for _, r := range required {
				if within(name, r[1]) && len(r[1]) > len(found) {
					found = r[1]
				}
			}
			if found == "" {
				t.Errorf("%s imports %s, which no module in go.mod has", path, name)
			}
			direct[found] = true
		}
	})
	documented := map[string]bool{}
	for line := range strings.SplitSeq(readText(t, "docs/decisions/0001-dependencies.md"), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			for name := range strings.SplitSeq(cells[1], ",") {
				if name = strings.TrimSpace(name); strings.Contains(name, ".") {
					documented[name] = true
				}
			}
		}
	}
	if got, want := slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(direct)); !slices.Equal(got, want) {
		t.Errorf("docs/decisions/0001-dependencies.md and the imports differ\n documented %q\n imported   %q", got, want)
	}
}

// TestRoutesAreDocumented finds every route of the faces in its page.
func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	for page, document := range map[string][]byte{"docs/api/code-storage.md": codestorage.OpenAPI, "docs/api/admin.md": admin.OpenAPI, "docs/api/gogs.md": gogs.OpenAPI} {
		var api struct {
			Paths map[string]map[string]any `yaml:"paths"`
		}
		if err := yaml.Unmarshal(document, &api); err != nil {
			t.Fatal(err)
		}
		if len(api.Paths) < 5 {
			t.Errorf("the document of %s has only %d paths", page, len(api.Paths))
		}
		text := readText(t, page)
		for path, item := range api.Paths {
			for method := range item {
				if method == "parameters" {
					continue
				}
				if method == "head" {
					method = "get" // whose line tells of both
				}
				if route := "`" + strings.ToUpper(method) + " " + path + "`"; !strings.Contains(text, route) {
					t.Errorf("%s does not name %s", page, route)
				}
			}
		}
	}
}

// TestMetricsAreDocumented compares the names in the code with those in the
// manual.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	got, want := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(cairn_[a-z_]+)`").FindAllStringSubmatch(readText(t, "docs/operations.md"), -1) {
		got[m[1]] = true
	}
	for _, file := range []string{"metrics.go", "jobs.go"} {
		for _, m := range regexp.MustCompile(`"(cairn_[a-z_]+)"`).FindAllStringSubmatch(readText(t, "internal/server/"+file), -1) {
			want[m[1]] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("docs/operations.md and internal/server differ\n documented %q\n registered %q", got, want)
	}
}

// TestDecisionsAreListed finds every record in the list of records.
func TestDecisionsAreListed(t *testing.T) {
	t.Parallel()
	list := readText(t, "docs/decisions/README.md")
	entries, err := os.ReadDir("../../docs/decisions")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !strings.Contains(list, "]("+e.Name()+")") {
			t.Errorf("docs/decisions/README.md does not list %s", e.Name())
		}
	}
}

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinksResolve follows every relative link of the documents, to its heading
// if it names one.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	checked := 0
	for path, text := range documents(t) {
		prose := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
		for _, m := range mdLink.FindAllStringSubmatch(prose, -1) {
			link := m[1]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(link, "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", path, link)
				continue
			}
			if anchor != "" && !slices.Contains(headings(t, target), anchor) {
				t.Errorf("%s: the link %s names no heading", path, link)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d links were checked: the test has lost its way", checked)
	}
}

// documents returns the text of every Markdown file of the project.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch name := ""; {
		case err != nil:
			return err
		case d.IsDir():
			if name = d.Name(); path != "../.." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".md") {
			data, err := os.ReadFile(path)
			found[path] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// headings returns the anchors of a document as GitHub makes them.
func headings(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var anchors []string
	for _, m := range mdHeading.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(data), ""), -1) {
		slug := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(slug, " ", "-"))
	}
	return anchors
}
