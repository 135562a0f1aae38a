package gogs

import (
	"slices"
	"strings"
	"testing"
)

// TestDocumentHasTheRoutes holds the document and the router together.
func TestDocumentHasTheRoutes(t *testing.T) {
	t.Parallel()
	d, err := document()
	check(t, err)
	var want []string
	for _, r := range routes {
		want = append(want, r.method+" "+prefix+strings.ReplaceAll(r.path, "...}", "}"))
	}
	got := d.Operations()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("document and router differ\n document %q\n router   %q", got, want)
	}
}
