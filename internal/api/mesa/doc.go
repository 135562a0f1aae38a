// Package mesa is the face that speaks the HTTP API of Mesa, at /v1/{org}/… and
// /mesa/v1/{org}/…, so that its SDKs work when they are given another address.
// Its rule is that it takes requests apart and puts answers together; what may
// be done, and is, the service says. openapi.yaml beside it is its reference,
// held to the routes by a test; docs/api/mesa.md has the prose.
package mesa
