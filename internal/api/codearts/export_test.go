package codearts

import "strings"

// documented makes a pattern as the document has it.
var documented = strings.NewReplacer("...}", "}")

// Routes are the routes of the face, as "GET /v1/repositories/{repository}".
func Routes() (list []string) {
	for _, r := range routes {
		list = append(list, r.method+" "+documented.Replace(r.pattern))
	}
	return list
}

// Match finds the route of a path.
func Match(method, path string) { match(method, path) }
