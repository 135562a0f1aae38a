package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLimitsNameTheirSettings requires that going over a limit that can be set
// is told with the name of the setting, and that no error names one that does
// not exist.
func TestLimitsNameTheirSettings(t *testing.T) {
	t.Parallel()
	// What is not told with an error: more of a diff than these is left out of
	// it, and connections over theirs wait.
	silent := map[string]bool{"max-diff-file-size": true, "max-diff-file-lines": true, "max-connections": true}
	settings := map[string]bool{}
	for _, m := range regexp.MustCompile(`name:"(max-[a-z-]+)"`).FindAllStringSubmatch(readText(t, "internal/config/config.go"), -1) {
		settings[m[1]] = false
	}
	// In the text of an error a setting is in parentheses; in a table of them it
	// is a string of its own.
	named := regexp.MustCompile(`(?:\(|: *")(max-[a-z-]+)["),]`)
	eachFile(t, func(path, pkg string, _ *ast.File) {
		if strings.HasSuffix(path, "_test.go") || pkg == "internal/config" || layers[lookup(pkg)].layer == testsOnly {
			return
		}
		data, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(data), -1) {
			if _, ok := settings[m[1]]; !ok {
				t.Errorf("%s names the setting %s, which does not exist", path, m[1])
			}
			settings[m[1]] = true
		}
	})
	for name, told := range settings {
		if !told && !silent[name] {
			t.Errorf("no error names the setting %s", name)
		}
	}
	if len(settings) < 10 {
		t.Errorf("only %d settings were found: the test has lost its way", len(settings))
	}
}
