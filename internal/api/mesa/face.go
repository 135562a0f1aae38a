package mesa

import (
	_ "embed" // the document
	"net/http"
	"net/url"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// OpenAPI describes the face's routes, as OpenAPI 3.1 in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Options are what the face needs to know beside the service.
type Options struct {
	// ExternalURL is what clone addresses begin with, without a slash at its
	// end.
	ExternalURL string
	// StrictMoves lets bookmarks move forward only, unless a request says that
	// it allows more.
	StrictMoves bool
}

// New returns the face's handler. Its paths begin with /v1/.
func New(svc *service.Service, o Options) http.Handler {
	return &face{service: svc, auth: api.NewAuth(svc, ""), external: strings.TrimRight(o.ExternalURL, "/"), strictMoves: o.StrictMoves}
}

type face struct {
	service     *service.Service
	auth        *api.Auth
	external    string
	strictMoves bool
}

// prefix begins all paths of the face, and Prefix those that only it has, which
// the same follows.
const (
	prefix = "/v1/"
	Prefix = "/mesa"
)

// request is a request whose sender is known.
type request struct {
	*http.Request
	// who may act on repo, if the route has one, and else on the organization.
	who    cairn.Actor
	repo   cairn.RepositoryName
	query  url.Values
	values map[string]string // of the names in the route's path
}

// value returns what the path has for a name of the route.
func (in *request) value(name string) string { return in.values[name] }

// handler carries out an operation.
type handler = func(*face, http.ResponseWriter, *request) error

// route is one operation.
type route struct {
	method   string
	path     string // below /v1/; {name} stands for one segment
	segments []string
	handle   handler
}

func newRoute(method, path string, handle handler) route {
	return route{method, path, strings.Split(path, "/"), handle}
}

// routes is the whole face. Of two paths that fit, the one that comes first is
// meant, whatever its methods.
var routes = []route{
	newRoute("GET", "whoami", (*face).whoami),
	newRoute("GET", "{org}/api-keys", (*face).listAPIKeys),
	newRoute("POST", "{org}/api-keys", (*face).createAPIKey),
	newRoute("PATCH", "{org}/api-keys/{id}", (*face).updateAPIKey),
	newRoute("DELETE", "{org}/api-keys/{id}", (*face).revokeAPIKey),

	newRoute("GET", "{org}/repos", (*face).listRepositories),
	newRoute("POST", "{org}/repos", (*face).createRepository),
	newRoute("PATCH", "{org}/repos/tags", (*face).tagRepositories),

	newRoute("GET", "{org}/webhook-targets", (*face).listTargets),
	newRoute("POST", "{org}/webhook-targets", (*face).createTarget),
	newRoute("GET", "{org}/webhook-targets/{target}", (*face).targetOf),
	newRoute("PATCH", "{org}/webhook-targets/{target}", (*face).updateTarget),
	newRoute("DELETE", "{org}/webhook-targets/{target}", (*face).deleteTarget),

	newRoute("GET", "{org}", (*face).organization),
	newRoute("GET", "{org}/{repo}", (*face).repository),
	newRoute("PATCH", "{org}/{repo}", (*face).updateRepository),
	newRoute("DELETE", "{org}/{repo}", (*face).deleteRepository),
	newRoute("GET", "{org}/{repo}/content", (*face).content),
	newRoute("GET", "{org}/{repo}/bookmarks", (*face).listBookmarks),
	newRoute("POST", "{org}/{repo}/bookmarks", (*face).createBookmark),
	newRoute("POST", "{org}/{repo}/bookmarks/merge", (*face).mergeBookmark),
	newRoute("GET", "{org}/{repo}/bookmarks/{bookmark}", (*face).bookmark),
	newRoute("PATCH", "{org}/{repo}/bookmarks/{bookmark}", (*face).moveBookmark),
	newRoute("DELETE", "{org}/{repo}/bookmarks/{bookmark}", (*face).deleteBookmark),
	newRoute("GET", "{org}/{repo}/changes", (*face).listChanges),
	newRoute("POST", "{org}/{repo}/changes", (*face).createChange),
	newRoute("GET", "{org}/{repo}/changes/{change}", (*face).change),
	newRoute("PATCH", "{org}/{repo}/changes/{change}", (*face).updateChange),
	newRoute("GET", "{org}/{repo}/diff", (*face).diff),
	newRoute("GET", "{org}/{repo}/upstream/syncs", (*face).listSyncs),
	newRoute("POST", "{org}/{repo}/upstream/syncs", (*face).requestSync),
	newRoute("GET", "{org}/{repo}/upstream/syncs/{sync}", (*face).sync),
}

// ServeHTTP answers a request under /v1/. Paths are told apart segment by
// segment, while they are escaped: one segment may hold any name.
func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _ := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	found, allowed := find(r.Method, strings.Split(path, "/"))
	switch {
	case len(allowed) == 0:
		api.NoteRoute(r, "unknown")
		Fail(w, r, cairn.Errorf(cairn.NotFound, "no such route: %s %q", cairn.Clip(r.Method), cairn.Clip(r.URL.Path)))
		return
	case found == nil:
		api.NoteRoute(r, "unknown")
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		Fail(w, r, &problem{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED",
			err: cairn.Errorf(cairn.Invalid, "method %s is not for this route; use %s", cairn.Clip(r.Method), strings.Join(allowed, " or "))})
		return
	}
	api.NoteRoute(r, prefix+found.path)
	in, err := f.identify(r, found, path)
	if err == nil {
		err = found.handle(f, w, in)
	}
	if err != nil {
		Fail(w, r, err)
	}
}

// find returns the route of a method and a path, and which methods the path has.
func find(method string, segments []string) (found *route, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	meant := ""
	for i := range routes {
		route := &routes[i]
		switch {
		case meant != "" && route.path != meant, meant == "" && !route.fits(segments):
			continue
		}
		meant = route.path
		allowed = append(allowed, route.method)
		if route.method == method {
			found = route
		}
	}
	return found, allowed
}

// fits tells whether segments are of the route's path. A reserved name is none
// of a repository: what is below it is not served, or has a route of its own.
func (r *route) fits(segments []string) bool {
	if len(r.segments) != len(segments) {
		return false
	}
	for i, p := range r.segments {
		switch {
		case segments[i] == "", p[0] != '{' && p != segments[i], p == "{repo}" && reservedNames[segments[i]]:
			return false
		}
	}
	return true
}

// identify finds out who asks, about what, and what the path holds.
func (f *face) identify(r *http.Request, route *route, path string) (*request, error) {
	in := &request{Request: r, values: make(map[string]string)}
	var err error
	if in.who, err = f.auth.KeyActor(r); err != nil {
		return nil, err
	}
	if in.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "the query of the address is malformed")
	}
	segments := strings.Split(path, "/")
	for i, p := range route.segments {
		if p[0] != '{' {
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil {
			return nil, cairn.Errorf(cairn.Invalid, "bad escape in the path")
		}
		in.values[strings.Trim(p, "{}")] = value
	}
	if org, ok := in.values["org"]; ok && org != string(in.who.Organization.Name) {
		return nil, cairn.Errorf(cairn.NotFound, "organization %q not found", cairn.Clip(org))
	}
	if repo, ok := in.values["repo"]; ok {
		in.repo = cairn.RepositoryName(repo)
		in.who, err = f.service.For(r.Context(), in.who, in.repo)
	}
	return in, err
}
