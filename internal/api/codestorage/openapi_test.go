package codestorage

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestDocumentHasTheRoutes holds the document and the router together.
func TestDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	var document struct {
		Version string                    `yaml:"openapi"`
		Paths   map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	if document.Version != "3.1.0" {
		t.Errorf("openapi = %q, want 3.1.0", document.Version)
	}
	var got, want []string
	for path, item := range document.Paths {
		for method := range item {
			if method != "parameters" {
				got = append(got, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, r := range routes {
		for _, path := range []struct{ prefix, rest string }{{v1Prefix, r.v1}, {preferredPrefix, r.preferred}} {
			if path.rest == "" {
				continue
			}
			want = append(want, r.method+" "+path.prefix+path.rest)
			if strings.HasSuffix(path.rest, "/file") {
				want = append(want, "HEAD "+path.prefix+path.rest)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("document and router differ\n document %q\n router   %q", got, want)
	}
}

// TestDocumentRefersToWhatItHas follows every $ref.
func TestDocumentRefersToWhatItHas(t *testing.T) {
	t.Parallel()
	var document map[string]any
	if err := yaml.Unmarshal(OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				if ref, ok := child.(string); ok && key == "$ref" {
					if !resolves(document, ref) {
						t.Errorf("$ref %q names nothing", ref)
					}
				}
				visit(child)
			}
		case []any:
			for _, child := range v {
				visit(child)
			}
		}
	}
	visit(document)
}

func resolves(document map[string]any, ref string) bool {
	var at any = document
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := at.(map[string]any)
		if !ok || m[part] == nil {
			return false
		}
		at = m[part]
	}
	return true
}
