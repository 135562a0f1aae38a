// Package apitest holds what a face answers in its tests to what its OpenAPI
// document says: Check validates a response against the schema of its route
// and status. It is for tests alone.
package apitest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is an OpenAPI 3.1 document whose schemas are those of JSON Schema
// 2020-12. It is safe for concurrent use.
type Document struct {
	root  map[string]any
	paths []path

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
	seen     map[string]map[int]bool // statuses by operation
}

// path is a documented path, cut at its slashes.
type path struct {
	pattern  string
	segments []string
}

const location = "https://openapi.test/openapi.json"

// Parse reads a document in YAML. Its schemas are made strict: a member that
// an object's schema does not name is a mistake, so that nothing that is
// answered stays undocumented.
func Parse(text []byte) (*Document, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, err
	}
	root, ok := parsed.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the document is no object")
	}
	d := &Document{
		root:     root,
		compiler: jsonschema.NewCompiler(),
		schemas:  map[string]*jsonschema.Schema{},
		seen:     map[string]map[int]bool{},
	}
	d.compiler.AssertFormat()
	parts := map[string]bool{}
	findParts(root, parts)
	closeObjects(root, "#", parts)
	if err := d.compiler.AddResource(location, root); err != nil {
		return nil, err
	}
	for pattern := range member(root, "paths") {
		d.paths = append(d.paths, path{pattern, strings.Split(pattern, "/")})
	}
	// What is literal comes before what is a name.
	slices.SortFunc(d.paths, func(a, b path) int {
		return strings.Compare(strings.ReplaceAll(a.pattern, "{", "\x7f"), strings.ReplaceAll(b.pattern, "{", "\x7f"))
	})
	return d, nil
}

// findParts notes the schemas that others are put together of: by themselves
// they do not name all members.
func findParts(value any, parts map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for _, kind := range []string{"allOf", "oneOf", "anyOf"} {
			list, _ := v[kind].([]any)
			for _, part := range list {
				if m, ok := part.(map[string]any); ok {
					if ref, ok := m["$ref"].(string); ok {
						parts[ref] = true
					}
				}
			}
		}
		for _, child := range v {
			findParts(child, parts)
		}
	case []any:
		for _, child := range v {
			findParts(child, parts)
		}
	}
}

// closeObjects forbids unnamed members in every schema of an object that is
// not a part of another.
func closeObjects(value any, at string, parts map[string]bool) {
	m, ok := value.(map[string]any)
	if !ok {
		if list, ok := value.([]any); ok {
			for i, child := range list {
				closeObjects(child, at+"/"+strconv.Itoa(i), parts)
			}
		}
		return
	}
	_, isObject := m["properties"].(map[string]any)
	_, composed := m["allOf"].([]any)
	_, open := m["additionalProperties"]
	inComposition := slices.ContainsFunc([]string{"/allOf/", "/oneOf/", "/anyOf/"}, func(s string) bool {
		i := strings.LastIndex(at, s)
		return i >= 0 && !strings.Contains(at[i+len(s):], "/")
	})
	if (isObject || composed) && !open && !inComposition && !parts[at] && !strings.HasSuffix(at, "/properties") {
		m["unevaluatedProperties"] = false
	}
	for key, child := range m {
		closeObjects(child, at+"/"+key, parts)
	}
}

// Operations returns what the document has, as "GET /api/repos".
func (d *Document) Operations() []string {
	var found []string
	for pattern, item := range member(d.root, "paths") {
		if m, ok := item.(map[string]any); ok {
			for method := range m {
				if method != "parameters" {
					found = append(found, strings.ToUpper(method)+" "+pattern)
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// Seen returns the statuses that Check has found good for an operation.
func (d *Document) Seen(operation string) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.seen[operation]))
}

// Check says what of a response is not as documented. An address that is no
// documented path may only be refused as such.
func (d *Document) Check(request *http.Request, response *http.Response, body []byte) error {
	pattern, ok := d.find(request.URL)
	operation := request.Method + " " + pattern
	item, _ := member(d.root, "paths")[pattern].(map[string]any)
	described, _ := item[strings.ToLower(request.Method)].(map[string]any)
	if !ok || described == nil {
		if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMethodNotAllowed || request.Method == http.MethodOptions {
			return nil
		}
		return fmt.Errorf("%s %s is not documented and answers %d", request.Method, request.URL.Path, response.StatusCode)
	}
	where, entry, err := d.entry(pattern, request.Method, described, response.StatusCode)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if err := d.checkEntry(where, entry, request, response, body); err != nil {
		return fmt.Errorf("%s, %d: %w", operation, response.StatusCode, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[operation] == nil {
		d.seen[operation] = map[int]bool{}
	}
	d.seen[operation][response.StatusCode] = true
	return nil
}

// find returns the documented path of an address. A first segment that is only
// another way to the same face is dropped by the caller.
func (d *Document) find(u *url.URL) (string, bool) {
	escaped := "/" + strings.TrimLeft(u.EscapedPath(), "/")
	segments := strings.Split(escaped, "/")
	for _, p := range d.paths {
		if slices.EqualFunc(p.segments, segments, func(want, got string) bool {
			return want == got || strings.HasPrefix(want, "{") && got != ""
		}) {
			return p.pattern, true
		}
	}
	return "", false
}

// entry returns what is documented for a status, and where.
func (d *Document) entry(pattern, method string, described map[string]any, status int) (string, map[string]any, error) {
	responses := member(described, "responses")
	key := strconv.Itoa(status)
	entry, ok := responses[key].(map[string]any)
	if !ok {
		key = "default"
		if entry, ok = responses[key].(map[string]any); !ok || status < 400 {
			return "", nil, fmt.Errorf("the status %d is not documented", status)
		}
	}
	where := "/paths/" + escapePointer(pattern) + "/" + strings.ToLower(method) + "/responses/" + key
	if ref, ok := entry["$ref"].(string); ok {
		where = strings.TrimPrefix(ref, "#")
		if entry = deref(d.root, entry); entry == nil {
			return "", nil, fmt.Errorf("$ref %q names nothing", ref)
		}
	}
	return where, entry, nil
}

func (d *Document) checkEntry(where string, entry map[string]any, request *http.Request, response *http.Response, body []byte) error {
	for name, header := range member(entry, "headers") {
		if required, _ := deref(d.root, header)["required"].(bool); required && response.Header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	content := member(entry, "content")
	if request.Method == http.MethodHead || response.StatusCode == http.StatusNotModified {
		return nil
	}
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("a body that is not documented: %.200s", body)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	media, ok := content[kind].(map[string]any)
	if !ok {
		return fmt.Errorf("the content type %s is not documented", kind)
	}
	if media["schema"] == nil || kind != "application/json" {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %.200s", err, body)
	}
	schema, err := d.schema(where + "/content/" + escapePointer(kind) + "/schema")
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%w\n%.500s", err, body)
	}
	return nil
}

func (d *Document) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.schemas[pointer]; known != nil {
		return known, nil
	}
	made, err := d.compiler.Compile(location + "#" + (&url.URL{Path: pointer}).EscapedPath())
	if err == nil {
		d.schemas[pointer] = made
	}
	return made, err
}

// Transport records what goes over another transport and checks it.
type Transport struct {
	Next     http.RoundTripper
	Document *Document
	// Mistake is told of every response that is not as documented.
	Mistake func(error)
	// Streams tells the requests whose answers do not end; they are not read.
	Streams func(*http.Request) bool
}

// RoundTrip sends the request and reads the answer whole.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.Next.RoundTrip(request)
	if err != nil || t.Streams != nil && t.Streams(request) {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		return response, nil
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err := t.Document.Check(request, response, body); err != nil {
		t.Mistake(err)
	}
	return response, nil
}

// failing is a reader that ends with an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func member(m map[string]any, name string) map[string]any {
	found, _ := m[name].(map[string]any)
	return found
}

// deref follows a $ref, if there is one.
func deref(root map[string]any, value any) map[string]any {
	m, _ := value.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = root
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	m, _ = at.(map[string]any)
	return m
}

func escapePointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
