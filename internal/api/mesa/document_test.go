package mesa

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestDocumentHasTheRoutes holds the document and the routes together.
func TestDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, item := range document.Paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, r := range routes {
		served = append(served, r.method+" "+prefix+r.path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("the document has\n%s\nthe face serves\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}

// TestRoutesOfOnePathAreTogether holds the table to what find takes for granted:
// a literal path stands before those that would take its requests too.
func TestRoutesOfOnePathAreTogether(t *testing.T) {
	t.Parallel()
	for _, r := range routes {
		segments := strings.Split(strings.NewReplacer("{", "any-", "}", "").Replace(r.path), "/")
		if found, _ := find(r.method, segments); found == nil || found.path != r.path {
			t.Errorf("%s %s is taken by %+v", r.method, r.path, found)
		}
	}
}

// Routes are the face's routes for the tests outside.
func Routes() (list []string) {
	for _, r := range routes {
		list = append(list, r.method+" "+r.path)
	}
	return list
}

// FuzzTagFilter throws texts at the filter of listings.
func FuzzTagFilter(f *testing.F) {
	for _, seed := range []string{"env:prod,team:a", `{"env":"prod"}`, `{"$or":[{"a":["b"]},{"$not":{"c":{"$exists":true,"$starts_with":"x"}}}]}`, `{"$and":[]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if filter, err := parseTagFilter(text); err == nil && filter != nil {
			filter(map[string]string{"env": "prod", "a": ""})
		}
	})
}

// FuzzAccept throws headers at the choice between JSON and bytes.
func FuzzAccept(f *testing.F) {
	f.Add("application/octet-stream;q=0.5, */*;q=0.1")
	f.Fuzz(func(_ *testing.T, header string) { _, _ = wantsBytes([]string{header}) })
}

// FuzzAcceptPatch throws headers at the choice between JSON and a patch.
func FuzzAcceptPatch(f *testing.F) {
	f.Add("text/plain, */*;q=0.1")
	f.Fuzz(func(_ *testing.T, header string) { _, _ = wantsPatch([]string{header}) })
}
