// Package api is what the faces share: the table from kinds of error to HTTP
// statuses, reading and writing JSON, the credential of a request, and the
// handler around everything that gives each request an id, a time limit and
// one line in the log. Its rule is that it knows no face's routes or shapes;
// those lie in one folder each below it.
package api
