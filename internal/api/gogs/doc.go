// Package gogs is the face that speaks the HTTP API of Gogs, at /api/v1/… for
// requests with its credentials and at /gogs/api/v1/… for all, so that its Go
// client works when it is given another address. Its rule is that it takes
// requests apart and puts answers together; what may be done, and is, the
// service says. openapi.yaml beside it is its reference, held to the routes by
// a test; docs/api/gogs.md has the prose.
package gogs
