package codestorage

import "strings"

// Address is one address of a route.
type Address struct {
	Method  string
	Pattern string // the path, with {names} in braces
	// Operation names the route in both of its families: the method and the
	// preferred path, or the other if there is no preferred one.
	Operation string
	// Organization marks routes that are about no repository.
	Organization bool
	// Writes marks routes that change something.
	Writes bool
	// Secret marks routes whose answers must not be stored.
	Secret bool
	// Labelled marks routes whose refusals have a result.status.
	Labelled bool
}

// Addresses returns all of the face: two for most routes.
func Addresses() []Address {
	var all []Address
	for _, r := range routes {
		operation := r.method + " " + r.preferred
		if r.preferred == "" {
			operation = r.method + " " + r.v1
		}
		for _, path := range []struct{ prefix, rest string }{{v1Prefix, r.v1}, {preferredPrefix, r.preferred}} {
			if path.rest == "" {
				continue
			}
			a := Address{r.method, path.prefix + path.rest, operation, r.organization, r.writes(), r.secret, r.fail != nil && operation != "POST repos/{repo}/merge"}
			all = append(all, a)
			if r.method == "GET" && strings.HasSuffix(path.rest, "/file") {
				a.Method, a.Operation = "HEAD", strings.Replace(operation, "GET", "HEAD", 1)
				all = append(all, a)
			}
		}
	}
	return all
}
