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
}

// New returns the face's handler. Its paths begin with /v1/.
func New(svc *service.Service, o Options) http.Handler {
	return &face{service: svc, auth: api.NewAuth(svc, ""), external: strings.TrimRight(o.ExternalURL, "/")}
}

type face struct {
	service  *service.Service
	auth     *api.Auth
	external string
}

// prefix begins all paths of the face.
const prefix = "/v1/"

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

// route is one operation. Its path is below /v1/; {name} stands for one
// segment.
type route struct {
	method string
	path   string
	handle func(*face, http.ResponseWriter, *request) error
}

// routes is the whole face. Of two paths that fit, the one that comes first is
// meant, whatever its methods.
var routes = []route{
	{"GET", "whoami", (*face).whoami},
	{"GET", "{org}/api-keys", (*face).listAPIKeys},
	{"POST", "{org}/api-keys", (*face).createAPIKey},
	{"PATCH", "{org}/api-keys/{id}", (*face).updateAPIKey},
	{"DELETE", "{org}/api-keys/{id}", (*face).revokeAPIKey},

	{"GET", "{org}/repos", (*face).listRepositories},
	{"POST", "{org}/repos", (*face).createRepository},
	{"PATCH", "{org}/repos/tags", (*face).tagRepositories},

	{"GET", "{org}/webhook-targets", (*face).listTargets},
	{"POST", "{org}/webhook-targets", (*face).createTarget},
	{"GET", "{org}/webhook-targets/{target}", (*face).targetOf},
	{"PATCH", "{org}/webhook-targets/{target}", (*face).updateTarget},
	{"DELETE", "{org}/webhook-targets/{target}", (*face).deleteTarget},

	{"GET", "{org}", (*face).organization},
	{"GET", "{org}/{repo}", (*face).repository},
	{"PATCH", "{org}/{repo}", (*face).updateRepository},
	{"DELETE", "{org}/{repo}", (*face).deleteRepository},
	{"GET", "{org}/{repo}/content", (*face).content},
	{"GET", "{org}/{repo}/bookmarks", (*face).listBookmarks},
	{"POST", "{org}/{repo}/bookmarks", (*face).createBookmark},
	{"POST", "{org}/{repo}/bookmarks/merge", (*face).mergeBookmark},
	{"GET", "{org}/{repo}/bookmarks/{bookmark}", (*face).bookmark},
	{"PATCH", "{org}/{repo}/bookmarks/{bookmark}", (*face).moveBookmark},
	{"DELETE", "{org}/{repo}/bookmarks/{bookmark}", (*face).deleteBookmark},
	{"GET", "{org}/{repo}/changes", (*face).listChanges},
	{"POST", "{org}/{repo}/changes", (*face).createChange},
	{"GET", "{org}/{repo}/changes/{change}", (*face).change},
	{"PATCH", "{org}/{repo}/changes/{change}", (*face).updateChange},
	{"GET", "{org}/{repo}/diff", (*face).diff},
}

// ServeHTTP answers a request under /v1/. Paths are told apart segment by
// segment, while they are escaped: one segment may hold any name.
func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _ := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	found, allowed := find(r.Method, strings.Split(path, "/"))
	switch {
	case len(allowed) == 0:
		api.NoteRoute(r, "unknown")
		fail(w, r, cairn.Errorf(cairn.NotFound, "no such route: %s %q", cairn.Clip(r.Method), cairn.Clip(r.URL.Path)))
		return
	case found == nil:
		api.NoteRoute(r, "unknown")
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		fail(w, r, &problem{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED",
			err: cairn.Errorf(cairn.Invalid, "method %s is not for this route; use %s", cairn.Clip(r.Method), strings.Join(allowed, " or "))})
		return
	}
	api.NoteRoute(r, prefix+found.path)
	in, err := f.identify(r, found, path)
	if err == nil {
		err = found.handle(f, w, in)
	}
	if err != nil {
		fail(w, r, err)
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
		case meant != "" && route.path != meant, meant == "" && !fits(route.path, segments):
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

// fits tells whether segments are of a route's path.
func fits(path string, segments []string) bool {
	pattern := strings.Split(path, "/")
	if len(pattern) != len(segments) {
		return false
	}
	for i, p := range pattern {
		if p[0] != '{' && p != segments[i] || segments[i] == "" {
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
	for i, p := range strings.Split(route.path, "/") {
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
