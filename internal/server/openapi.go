package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/admin"
	"github.com/cairn-storage/cairn/internal/api/codearts"
	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/api/gogs"
	"github.com/cairn-storage/cairn/internal/api/mesa"
)

// openAPI is the description of all faces in one document.
var openAPI = sync.OnceValues(func() (map[string]any, error) {
	return mergeOpenAPI(admin.OpenAPI, codestorage.OpenAPI, gogs.OpenAPI, mesa.OpenAPI, codearts.OpenAPI)
})

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	document, err := openAPI()
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, document)
}

// mergeOpenAPI puts documents together: paths, tags and components of all,
// everything else of the first. The same name in two of them is a mistake.
func mergeOpenAPI(documents ...[]byte) (map[string]any, error) {
	var merged map[string]any
	for _, document := range documents {
		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, fmt.Errorf("openapi: %w", err)
		}
		var next map[string]any
		if err := json.Unmarshal(text, &next); err != nil {
			return nil, fmt.Errorf("openapi: %w", err)
		}
		if merged == nil {
			merged = next
			continue
		}
		if err := mergeInto(merged, next, "paths"); err != nil {
			return nil, err
		}
		components, _ := merged["components"].(map[string]any)
		more, _ := next["components"].(map[string]any)
		for kind := range more {
			if err := mergeInto(components, more, kind); err != nil {
				return nil, err
			}
		}
		tags, _ := merged["tags"].([]any)
		moreTags, _ := next["tags"].([]any)
		merged["tags"] = append(tags, moreTags...)
	}
	return merged, nil
}

func mergeInto(into, from map[string]any, member string) error {
	to, ok := into[member].(map[string]any)
	if !ok {
		to = make(map[string]any)
		into[member] = to
	}
	values, _ := from[member].(map[string]any)
	for name, value := range values {
		if _, twice := to[name]; twice {
			return fmt.Errorf("openapi: %s %q is in two documents", member, name)
		}
		to[name] = value
	}
	return nil
}
