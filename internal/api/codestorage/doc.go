// Package codestorage is the Code Storage face: the HTTP API that the SDKs of
// code.storage speak, in both of its route families (/api/v1/… takes the
// repository from the token, /api/repos/{repo}/… from the path as well) and
// with both of its vocabularies on each. It decodes, calls the service and
// encodes; what may be done and what it means is decided there. The routes and
// shapes are described in openapi.yaml beside it.
package codestorage
