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

// TestDocumentTellsOfKeysAndTimes: each route that writes takes an idempotency
// key and may answer 409 and 422, each that reads the past takes a time, and no
// other does.
func TestDocumentTellsOfKeysAndTimes(t *testing.T) {
	t.Parallel()
	type reference struct {
		Ref string `yaml:"$ref"`
	}
	type operation struct {
		Parameters []reference
		Responses  map[string]any
	}
	var document struct {
		Paths map[string]struct{ Get, Post, Put, Patch, Delete operation }
	}
	if err := yaml.Unmarshal(OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		for _, path := range []struct{ prefix, rest string }{{v1Prefix, r.v1}, {preferredPrefix, r.preferred}} {
			if path.rest == "" {
				continue
			}
			item := document.Paths[path.prefix+path.rest]
			operation := map[string]operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete}[r.method]
			has := func(name string) bool {
				return slices.Contains(operation.Parameters, reference{"#/components/parameters/" + name})
			}
			at := r.method + " " + path.prefix + path.rest
			if has("IdempotencyKey") != r.writes() {
				t.Errorf("%s: writes is %t, the document has an idempotency key: %t", at, r.writes(), has("IdempotencyKey"))
			}
			if r.writes() && (operation.Responses["409"] == nil || operation.Responses["422"] == nil) {
				t.Errorf("%s: the document lacks 409 or 422", at)
			}
			if has("At") != r.past {
				t.Errorf("%s: past is %t, the document has a time: %t", at, r.past, has("At"))
			}
		}
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
