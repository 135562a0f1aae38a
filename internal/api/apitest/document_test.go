package apitest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

const example = `
openapi: 3.1.0
paths:
  /api/things/{name}:
    get:
      responses:
        "200":
          description: one
          headers: {ETag: {required: true, schema: {type: string}}}
          content: {application/json: {schema: {allOf: [{$ref: "#/components/schemas/Base"}, {type: object, required: [size], properties: {size: {type: integer}}}]}}}
        "204": {description: nothing}
        default: {$ref: "#/components/responses/Error"}
  /api/things/special:
    get: {responses: {"200": {description: x, content: {text/plain: {}}}}}
components:
  responses:
    Error: {description: no, content: {application/json: {schema: {type: object, required: [error], properties: {error: {type: string}}}}}}
  schemas:
    Base: {type: object, required: [name], properties: {name: {type: string}, at: {type: string, format: date-time}, inner: {type: object, properties: {x: {type: [integer, "null"]}}}}}
`

func TestCheck(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method, path string
		status       int
		header, body string
		want         string // part of the mistake; empty for none
	}{
		"as documented":            {"GET", "/api/things/a%2Fb", 200, "", `{"name":"a","size":1,"at":"2026-01-01T00:00:00Z","inner":{"x":null}}`, ""},
		"a member is missing":      {"GET", "/api/things/a", 200, "", `{"name":"a"}`, "size"},
		"a member too many":        {"GET", "/api/things/a", 200, "", `{"name":"a","size":1,"more":1}`, "more"},
		"a member too many inside": {"GET", "/api/things/a", 200, "", `{"name":"a","size":1,"inner":{"y":1}}`, "y"},
		"another type":             {"GET", "/api/things/a", 200, "", `{"name":"a","size":"1"}`, "integer"},
		"no date":                  {"GET", "/api/things/a", 200, "", `{"name":"a","size":1,"at":"today"}`, "date-time"},
		"no JSON":                  {"GET", "/api/things/a", 200, "", `{`, "EOF"},
		"another content type":     {"GET", "/api/things/a", 200, "text/html", `{}`, "text/html"},
		"no header":                {"GET", "/api/things/a", 200, "-", `{"name":"a","size":1}`, "ETag"},
		"a body where is none":     {"GET", "/api/things/a", 204, "", `x`, "not documented"},
		"an error":                 {"GET", "/api/things/a", 404, "", `{"error":"x"}`, ""},
		"a bad error":              {"GET", "/api/things/a", 404, "", `{"message":"x"}`, "error"},
		"another status":           {"GET", "/api/things/a", 201, "", `{}`, "201"},
		"a literal path":           {"GET", "/api/things/special", 200, "text/plain", `x`, ""},
		"no such path":             {"GET", "/api/nothing", 404, "", `{}`, ""},
		"a secret path":            {"GET", "/api/secret", 200, "", `{}`, "not documented"},
		"a secret method":          {"DELETE", "/api/things/a", 200, "", `{}`, "not documented"},
	} {
		response := &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {"application/json"}, "Etag": {"x"}}}
		if c.header == "-" {
			response.Header.Del("ETag")
		} else if c.header != "" {
			response.Header.Set("Content-Type", c.header)
		}
		err := d.Check(httptest.NewRequest(c.method, c.path, nil), response, []byte(c.body))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if got, want := d.Seen("GET /api/things/{name}"), []int{200, 404}; !slices.Equal(got, want) {
		t.Errorf("seen are %v, want %v", got, want)
	}
	if got, want := d.Operations(), []string{"GET /api/things/special", "GET /api/things/{name}"}; !slices.Equal(got, want) {
		t.Errorf("operations are %v, want %v", got, want)
	}
}
