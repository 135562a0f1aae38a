package codestorage

import (
	_ "embed" // the document
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

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
	// LineSize is the longest NDJSON line in bytes; 0 means 6 MiB.
	LineSize int
}

// New returns the face's handler. Its paths begin with /api/.
func New(svc *service.Service, o Options) http.Handler {
	f := &face{service: svc, auth: api.NewAuth(svc, ""), external: strings.TrimRight(o.ExternalURL, "/"), lineSize: o.LineSize}
	if f.lineSize == 0 {
		f.lineSize = 6 << 20
	}
	f.mux = http.NewServeMux()
	for _, route := range routes {
		if route.v1 != "" {
			f.mux.Handle(route.method+" "+v1Prefix+route.v1, f.handler(route))
		}
		if route.preferred != "" {
			f.mux.Handle(route.method+" "+preferredPrefix+route.preferred, f.handler(route))
		}
	}
	f.mux.HandleFunc("/", f.unknown)
	return f
}

// Matches tells whether a request's path is one of this API's, by whichever
// method.
func Matches(r *http.Request) bool {
	_, pattern := paths().Handler(r)
	return pattern != ""
}

// paths has the paths of all routes, without their methods.
var paths = sync.OnceValue(func() *http.ServeMux {
	mux, known := http.NewServeMux(), map[string]bool{}
	for _, route := range routes {
		for _, path := range []string{v1Prefix + route.v1, preferredPrefix + route.preferred} {
			if !strings.HasSuffix(path, "/") && !known[path] { // it has one in that family
				known[path] = true
				mux.Handle(path, http.NotFoundHandler())
			}
		}
	}
	return mux
})

const (
	v1Prefix        = "/api/v1/"
	preferredPrefix = "/api/"
)

type face struct {
	service  *service.Service
	auth     *api.Auth
	external string
	lineSize int
	mux      *http.ServeMux
}

// request is a request whose sender is known.
type request struct {
	*http.Request
	who   cairn.Actor
	repo  cairn.RepositoryName
	query url.Values
	at    time.Time // as of when to read; zero is now
}

// route is one operation under the paths of its two families, which differ
// only in where the repository's name comes from.
type route struct {
	method        string
	v1, preferred string
	handle        func(*face, http.ResponseWriter, *request) error
	// past marks the routes that can read a repository as it was at a time.
	past bool
	// reading marks the routes that change nothing although their method is not
	// GET: an idempotency key means nothing to them.
	reading bool
	// secret marks the routes whose answers must not be stored.
	secret bool
	// organization marks the routes that are about no repository.
	organization bool
	// anyRepository marks the routes whose request may name a repository that
	// the token does not: the service compares the two.
	anyRepository bool
	// fail answers with an error; nil means api.Fail.
	fail func(http.ResponseWriter, *http.Request, error)
}

// writes tells whether the route changes something.
func (r route) writes() bool { return r.method != http.MethodGet && !r.reading }

var routes = []route{
	{method: "POST", v1: "repos", preferred: "repos", handle: (*face).createRepository},
	{method: "GET", v1: "repos", preferred: "repos", handle: (*face).listRepositories, organization: true},
	{method: "GET", v1: "repo", preferred: "repos/{repo}", handle: (*face).repository},
	{method: "DELETE", v1: "repos/delete", preferred: "repos/{repo}", handle: (*face).deleteRepository},

	{method: "POST", v1: "repos/restore", preferred: "repos/{repo}/restore", handle: (*face).restoreRepository},
	{method: "POST", v1: "repos/purge", preferred: "repos/{repo}/purge", handle: (*face).purgeRepository},
	{method: "DELETE", v1: "repos/base", preferred: "repos/{repo}/base", handle: (*face).detach},
	{method: "POST", v1: "repos/pull-upstream", preferred: "repos/{repo}/pull-upstream", handle: (*face).pullUpstream},
	{method: "POST", v1: "repos/git-credentials", preferred: "repos/{repo}/git-credentials", handle: (*face).createCredential, anyRepository: true},
	{method: "PUT", v1: "repos/git-credentials", preferred: "repos/{repo}/git-credentials/{id}", handle: (*face).updateCredential, anyRepository: true},
	{method: "DELETE", v1: "repos/git-credentials", preferred: "repos/{repo}/git-credentials/{id}", handle: (*face).deleteCredential, anyRepository: true},

	{method: "GET", v1: "repos/events", preferred: "repos/{repo}/events", handle: (*face).events},

	{method: "POST", v1: "repos/branches/create", preferred: "repos/{repo}/branches/create", handle: (*face).createBranch},
	{method: "POST", v1: "repos/branches/restore", preferred: "repos/{repo}/branches/restore", handle: (*face).restoreBranch},
	{method: "GET", v1: "repos/branches", preferred: "repos/{repo}/branches", handle: (*face).listBranches, past: true},
	{method: "GET", preferred: "repos/{repo}/branch", handle: (*face).branch, past: true},
	{method: "DELETE", v1: "repos/branches", preferred: "repos/{repo}/branches", handle: (*face).deleteBranch},
	{method: "GET", v1: "repos/branches/diff", preferred: "repos/{repo}/branches/diff", handle: (*face).branchDiff, past: true},
	{method: "GET", v1: "repos/merge/preview", preferred: "repos/{repo}/merge/preview", handle: (*face).previewMerge},
	{method: "POST", v1: "repos/merge", preferred: "repos/{repo}/merge", handle: (*face).merge, fail: failMerge},

	{method: "POST", v1: "repos/commit-pack", preferred: "repos/{repo}/commit-pack", handle: (*face).commitPack, fail: failCommit},
	{method: "POST", v1: "repos/diff-commit", preferred: "repos/{repo}/diff-commit", handle: (*face).diffCommit, fail: failCommit},
	{method: "POST", v1: "repos/restore-commit", preferred: "repos/{repo}/restore-commit", handle: (*face).restoreCommit, fail: failCommit},
	{method: "POST", v1: "repos/reset-commits", preferred: "repos/{repo}/reset-commits", handle: (*face).restoreCommit, fail: failCommit},
	{method: "GET", v1: "repos/commits", preferred: "repos/{repo}/commits", handle: (*face).listCommits, past: true},
	{method: "GET", v1: "repos/commit", preferred: "repos/{repo}/commit", handle: (*face).commit, past: true},
	{method: "GET", v1: "repos/diff", preferred: "repos/{repo}/diff", handle: (*face).commitDiff, past: true},

	{method: "GET", v1: "repos/files", preferred: "repos/{repo}/files", handle: (*face).listFiles, past: true},
	{method: "GET", v1: "repos/files/metadata", preferred: "repos/{repo}/files/metadata", handle: (*face).filesMetadata, past: true},
	{method: "GET", v1: "repos/file", preferred: "repos/{repo}/file", handle: (*face).file, past: true}, // HEAD too
	{method: "GET", v1: "repos/blame", preferred: "repos/{repo}/blame", handle: (*face).blame, past: true},
	{method: "POST", v1: "repos/grep", preferred: "repos/{repo}/grep", handle: (*face).grep, past: true, reading: true},
	{method: "POST", v1: "repos/archive", preferred: "repos/{repo}/archive", handle: (*face).archive, past: true, reading: true},

	{method: "POST", v1: "repos/tags", preferred: "repos/{repo}/tags", handle: (*face).createTag},
	{method: "GET", v1: "repos/tags", preferred: "repos/{repo}/tags", handle: (*face).listTags, past: true},
	{method: "GET", preferred: "repos/{repo}/tag", handle: (*face).tag, past: true},
	{method: "DELETE", v1: "repos/tags", preferred: "repos/{repo}/tags/{tag}", handle: (*face).deleteTag},

	{method: "GET", v1: "repos/notes", preferred: "repos/{repo}/notes", handle: (*face).note},
	{method: "POST", v1: "repos/notes", preferred: "repos/{repo}/notes", handle: (*face).writeNote, fail: failNote},
	{method: "DELETE", v1: "repos/notes", preferred: "repos/{repo}/notes", handle: (*face).deleteNote, fail: failNote},
	{method: "GET", v1: "repos/notes/refs", preferred: "repos/{repo}/notes/refs", handle: (*face).listNotes},
	// Webhooks are those of the repository that the token names or, if it names
	// none, of the organization.
	{method: "POST", v1: "webhooks", handle: (*face).createWebhook, organization: true, secret: true},
	{method: "GET", v1: "webhooks", handle: (*face).listWebhooks, organization: true},
	{method: "GET", v1: "webhooks/{webhook}", handle: (*face).webhook, organization: true},
	{method: "PATCH", v1: "webhooks/{webhook}", handle: (*face).updateWebhook, organization: true},
	{method: "DELETE", v1: "webhooks/{webhook}", handle: (*face).deleteWebhook, organization: true},
	{method: "POST", v1: "webhooks/{webhook}/ping", handle: (*face).pingWebhook, organization: true},
	{method: "POST", v1: "webhooks/{webhook}/rotate-secret", handle: (*face).rotateWebhookSecret, organization: true, secret: true},
	{method: "GET", v1: "webhooks/{webhook}/deliveries", handle: (*face).listDeliveries, organization: true},
	{method: "GET", v1: "webhooks/{webhook}/deliveries/{delivery}", handle: (*face).delivery, organization: true},
	{method: "POST", v1: "webhooks/{webhook}/deliveries/{delivery}/redeliver", handle: (*face).redeliver, organization: true},
}

// ServeHTTP answers a request under /api/.
func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Scripts of any site may use the API: all it takes is a token that the
	// script must have, and nothing that a browser adds by itself.
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", "7200")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// An SDK that is given a base address with a slash at its end asks for
	// //api/v1/….
	if escaped := r.URL.EscapedPath(); strings.HasPrefix(escaped, "//") {
		clean := *r.URL
		clean.Path = "/" + strings.TrimLeft(r.URL.Path, "/")
		clean.RawPath = "/" + strings.TrimLeft(escaped, "/")
		copied := *r
		copied.URL = &clean
		r = &copied
	}
	f.mux.ServeHTTP(w, r)
}

// What a browser lets scripts send, and see of an answer.
const (
	allowedHeaders = "Authorization, Content-Type, Accept, Code-Storage-Agent, Range, " +
		"If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, Last-Event-ID, Idempotency-Key"
	exposedHeaders = "ETag, X-Blob-Sha, X-Last-Commit-Sha, Content-Range, Accept-Ranges, Last-Modified, X-Request-Id, Idempotent-Replayed"
)

// handler finds out who asks about which repository, then calls the route.
func (f *face) handler(route route) http.Handler {
	fail := route.fail
	if fail == nil {
		fail = api.Fail
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.Pattern, " ") // the method has a place of its own in the log
		api.NoteRoute(r, path)
		in, err := f.identify(r, route)
		switch {
		case err != nil:
		case route.writes() && r.Header.Get(idempotencyKey) != "":
			err = f.once(w, in, route)
		default:
			err = route.handle(f, w, in)
		}
		if err != nil {
			fail(w, r, err)
		}
	})
}

func (f *face) identify(r *http.Request, route route) (*request, error) {
	who, err := f.auth.Actor(r)
	if err != nil {
		return nil, err
	}
	in := &request{Request: r, who: who}
	if in.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "the query of the address is malformed")
	}
	if in.at, err = in.time("at"); err != nil {
		return nil, err
	}
	if !in.at.IsZero() && !route.past {
		return nil, cairn.Errorf(cairn.Invalid, "at is not for this route")
	}
	if route.organization {
		return in, nil
	}
	in.repo = who.Repository
	if named := r.PathValue("repo"); named != "" {
		in.repo = cairn.RepositoryName(named) // the service compares it with the token's
	}
	if in.repo == "" && !route.anyRepository {
		return nil, cairn.Errorf(cairn.Denied, "the token names no repository: its repo claim is missing")
	}
	return in, nil
}

// unknown answers where no route is: with the methods of the path, if it has
// others.
func (f *face) unknown(w http.ResponseWriter, r *http.Request) {
	api.NoteRoute(r, "unknown")
	var methods []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		other := *r
		other.Method = method
		if _, pattern := f.mux.Handler(&other); pattern != "/" && pattern != "" {
			methods = append(methods, method)
		}
	}
	path := cairn.Clip(r.URL.Path)
	if len(methods) == 0 {
		api.Fail(w, r, cairn.Errorf(cairn.NotFound, "no such route: %s %q", r.Method, path))
		return
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	const status = http.StatusMethodNotAllowed
	_ = api.Write(w, status, api.Problem{
		Error:  "method " + cairn.Clip(r.Method) + " is not for this route; use " + strings.Join(methods, " or "),
		Status: status,
		Title:  http.StatusText(status),
	})
}
