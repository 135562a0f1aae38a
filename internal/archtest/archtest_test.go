// Package archtest holds the layering of the project as a test: which package
// may import which. It parses the imports itself, in this process: the result
// of a test that asked the go command would be cached although the imports
// changed.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/cairn-storage/cairn/"

// layers is the rule: a package may import packages of the project that are
// in a lower layer, or those that its own line names. The longest prefix
// decides.
var layers = []struct {
	prefix string
	layer  int
	also   []string // of the same layer
}{
	{prefix: "internal/git", layer: 0, also: []string{"internal/git"}},
	{prefix: "internal/cairn", layer: 1},
	{prefix: "internal/admission", layer: 1, also: []string{"internal/cairn"}},
	{prefix: "internal/starter", layer: 0},
	{prefix: "internal/secret", layer: 2},
	{prefix: "internal/storage", layer: 2, also: []string{"internal/storage"}},
	{prefix: "internal/odb", layer: 2, also: []string{"internal/gitexec"}},
	{prefix: "internal/gitexec", layer: 2},
	{prefix: "internal/egress", layer: 2},
	{prefix: "internal/upstream", layer: 2, also: []string{"internal/egress"}},
	{prefix: "internal/service", layer: 3},
	{prefix: "internal/worker", layer: 4},
	{prefix: "internal/api", layer: 4, also: []string{"internal/api"}},
	{prefix: "internal/web", layer: 4},
	{prefix: "internal/config", layer: 5},
	{prefix: "internal/server", layer: 5, also: []string{"internal/config"}},
	{prefix: "client", layer: 0},
	{prefix: "internal/bench", layer: 6, also: []string{"internal/demo"}},
	{prefix: "internal/demo", layer: 6},
	{prefix: "cmd/", layer: 7},
	// Packages for tests alone may import anything; nothing but tests may
	// import them.
	{prefix: "internal/gittest", layer: testsOnly},
	{prefix: "internal/storage/storagetest", layer: testsOnly},
	{prefix: "internal/archtest", layer: testsOnly},
	{prefix: "internal/chaintest", layer: testsOnly},
	{prefix: "internal/api/apitest", layer: testsOnly},
	{prefix: "internal/e2e", layer: testsOnly},
}

const testsOnly = 100

// noDrivers lists the packages that must not know any database or transport.
var noDrivers = map[string][]string{
	"internal/git":     {"net/http", "database/sql", "os/exec"},
	"internal/cairn":   {"net/http", "database/sql", "os/exec"},
	"internal/odb":     {"net/http", "database/sql", "os/exec"},
	"internal/service": {"net/http", "database/sql", "os/exec"},
	"internal/api":     {"database/sql", "os/exec"},
}

func TestLayers(t *testing.T) {
	t.Parallel()
	checked := 0
	eachFile(t, func(path, pkg string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		from := lookup(pkg)
		if from < 0 {
			t.Errorf("%s: package %s has no line in layers", path, pkg)
			return
		}
		for _, spec := range file.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			for prefix, forbidden := range noDrivers {
				if within(pkg, prefix) {
					for _, f := range forbidden {
						if name == f {
							t.Errorf("%s imports %s, which %s leaves to others", path, name, prefix)
						}
					}
				}
			}
			imported, ok := strings.CutPrefix(name, module)
			if !ok {
				continue
			}
			checked++
			to := lookup(imported)
			switch {
			case to < 0:
				t.Errorf("%s imports %s, which has no line in layers", path, imported)
			case layers[from].layer == testsOnly:
			case layers[to].layer == testsOnly:
				t.Errorf("%s imports %s, which is for tests alone", path, imported)
			case layers[to].layer >= layers[from].layer && !allowed(from, imported):
				t.Errorf("%s imports %s: arrows point down only", path, imported)
			}
		}
	})
	if checked < 10 {
		t.Errorf("only %d imports were checked: the test has lost its way", checked)
	}
}

// TestPackageComments holds every package to saying what it is.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	eachFile(t, func(path, pkg string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") || pkg == "internal/archtest" {
			documented[pkg] = documented[pkg] || file.Doc != nil && len(file.Doc.Text()) > 60
		}
	})
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s does not open with a comment that says what it is", pkg)
		}
	}
}

// eachFile parses every Go file of the project.
func eachFile(t *testing.T, f func(path, pkg string, file *ast.File)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root {
				if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
					return filepath.SkipDir // another module
				}
			}
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f(relative, filepath.ToSlash(filepath.Dir(relative)), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func lookup(pkg string) int {
	best := -1
	for i := range layers {
		if within(pkg, layers[i].prefix) && (best < 0 || len(layers[i].prefix) > len(layers[best].prefix)) {
			best = i
		}
	}
	return best
}

func within(pkg, prefix string) bool {
	return pkg == strings.TrimSuffix(prefix, "/") || strings.HasPrefix(pkg, strings.TrimSuffix(prefix, "/")+"/")
}

func allowed(from int, imported string) bool {
	for _, prefix := range layers[from].also {
		if within(imported, prefix) {
			return true
		}
	}
	return false
}
