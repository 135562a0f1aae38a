package codearts

import (
	"net/http"
	"slices"
	"strings"
)

// route is one operation of the face.
type route struct {
	method string
	// pattern is the path. {name} is one segment, {name...} one or more of them:
	// clients put names with slashes into paths as they are.
	pattern string
	handle  func(*Face, http.ResponseWriter, *request) error
	// open marks the routes that ask for no credential of the request's own.
	open bool
	// large marks the routes whose bodies hold files.
	large bool

	segments []string
}

// routes is the whole face. Of those whose patterns fit the same path, the
// first is meant.
var routes = func() []route {
	all := slices.Concat(identityRoutes, repositoryRoutes, refRoutes, commitRoutes, fileRoutes, archiveRoutes, memberRoutes, keyRoutes, hookRoutes)
	for i := range all {
		all[i].segments = split(all[i].pattern)
	}
	return all
}()

func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// match finds the route of a request and what its path names. If there is none
// for the method, it returns the methods for which there is one.
func match(method, path string) (found *route, args map[string]string, allowed []string) {
	segments := split(path)
	for i := range routes {
		args, ok := routes[i].match(segments)
		switch {
		case !ok:
		case routes[i].method == method:
			return &routes[i], args, nil
		case !slices.Contains(allowed, routes[i].method):
			allowed = append(allowed, routes[i].method)
		}
	}
	return nil, nil, allowed
}

// match tells whether the segments of a path fit, and what they name. The one
// pattern that takes several segments takes all that the others leave.
func (r *route) match(segments []string) (map[string]string, bool) {
	extra := len(segments) - len(r.segments)
	if extra < 0 {
		return nil, false
	}
	args := make(map[string]string, 2)
	for _, pattern := range r.segments {
		name, isName := strings.CutPrefix(strings.TrimSuffix(pattern, "}"), "{")
		several := strings.TrimSuffix(name, "...")
		switch {
		case !isName:
			if segments[0] != pattern {
				return nil, false
			}
		case several != name:
			args[several] = unescaped(strings.Join(segments[:1+extra], "/"))
			segments, extra = segments[extra:], 0
		default:
			args[name] = segments[0]
		}
		segments = segments[1:]
	}
	for _, value := range args {
		if value == "" {
			return nil, false
		}
	}
	return args, extra == 0
}

// unescaped is a name of a path whose sender may have escaped its slashes
// before the client escaped it once more.
func unescaped(name string) string { return escapedSlash.Replace(name) }

var escapedSlash = strings.NewReplacer("%2F", "/", "%2f", "/")
