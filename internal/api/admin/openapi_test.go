package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestRoutesAreTheSpecification compares the routes with openapi.yaml, both
// ways, and makes sure that each asks for the admin token.
func TestRoutesAreTheSpecification(t *testing.T) {
	t.Parallel()
	var document struct {
		OpenAPI string                    `yaml:"openapi"`
		Paths   map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1.") {
		t.Errorf("got OpenAPI %q", document.OpenAPI)
	}
	var described []string
	for path, operations := range document.Paths {
		for method, operation := range operations {
			if method == "parameters" {
				continue
			}
			described = append(described, strings.ToUpper(method)+" "+path)
			if o, _ := operation.(map[string]any); o["security"] == nil || o["operationId"] == nil || o["summary"] == nil {
				t.Errorf("%s %s lacks its security, id or summary", method, path)
			}
		}
	}
	var served []string
	for pattern := range (&face{}).routes() {
		served = append(served, pattern)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("openapi.yaml has\n%s\nthe face serves\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}
