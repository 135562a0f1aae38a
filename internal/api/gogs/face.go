package gogs

import (
	_ "embed" // the document
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
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
	// ExternalURL is what links and clone addresses begin with, without a slash
	// at its end.
	ExternalURL string
}

// Face serves the API. It is an http.Handler for paths that begin with
// /api/v1/.
type Face struct {
	service  *service.Service
	external string
	mux      *http.ServeMux
}

const prefix = "/api/v1/"

// gate says which credential a route asks for.
type gate uint8

const (
	anybody   gate = iota // and who comes with a credential is known
	byToken               // a user with a token
	byBasic               // a user with name and password
	adminOnly             // an administrator of the server, with either
)

// route is one operation. A route below repos/{owner}/{repo} is found with the
// repository, and asks for a role in it.
type route struct {
	method, path string
	gate         gate
	role         cairn.Role // of routes about a repository
	handle       func(*Face, http.ResponseWriter, *request) error
}

const repositoryPath = "repos/{owner}/{repo}"

var routes = slices.Concat(userRoutes, repositoryRoutes, contentRoutes, organizationRoutes, keyRoutes, hookRoutes, adminRoutes)

// request is a request whose sender is known.
type request struct {
	*http.Request
	login service.Login
	// who and repo are set on routes about a repository.
	who  cairn.Actor
	repo cairn.Repository
}

// New returns the face.
func New(svc *service.Service, o Options) *Face {
	f := &Face{service: svc, external: strings.TrimRight(o.ExternalURL, "/"), mux: http.NewServeMux()}
	for _, route := range routes {
		f.mux.Handle(route.method+" "+prefix+route.path, f.handler(route))
	}
	return f
}

// ServeHTTP answers a request. A path that is not here and a method that a path
// does not have are answered alike.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return
	}
	if !f.Matches(r) {
		Fail(w, r, &problem{status: http.StatusNotFound, message: "there is no such route; issues, wikis and what else is not storage of Git repositories is not served here"})
		return
	}
	f.mux.ServeHTTP(w, r)
}

// operation is a route's handler: what else the router has to say, redirects
// and methods that are not allowed, is no answer of this API.
type operation struct{ http.HandlerFunc }

func isOperation(h http.Handler) bool {
	_, ok := h.(operation)
	return ok
}

// Claims tells whether the credential of a request is one of this face's.
func Claims(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme == "token" || strings.EqualFold(scheme, "Basic") && !api.IsSigned(api.Token(r))
}

// Matches tells whether a request is of one of this face's routes.
func (f *Face) Matches(r *http.Request) bool {
	h, _ := f.mux.Handler(r)
	return isOperation(h)
}

func (f *Face) handler(route route) http.Handler {
	return operation{func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Frame-Options", "deny")
		h.Set("X-Content-Type-Options", "nosniff")
		in := &request{Request: r}
		err := f.letIn(in, route)
		if err == nil {
			err = route.handle(f, w, in)
		}
		if err != nil {
			Fail(w, r, err)
		}
	}}
}

// letIn finds out who asks and whether the route is for them.
func (f *Face) letIn(in *request, route route) error {
	var err error
	if in.login, err = f.login(in.Request); err != nil {
		return err
	}
	if err := admit(in, route.gate); err != nil {
		return err
	}
	if !strings.HasPrefix(route.path, repositoryPath) {
		if !in.login.Nobody() {
			return admission.Claim(in.Context(), string(in.login.User.ID))
		}
		return nil
	}
	if in.who, in.repo, err = f.service.ActorIn(in.Context(), in.login, in.PathValue("owner"), in.PathValue("repo")); err != nil {
		return err
	}
	api.NoteOrganization(in.Request, in.who.Organization.Name)
	if err := admission.Claim(in.Context(), string(in.who.Organization.ID)); err != nil {
		return err
	}
	if !in.who.Has(scopeOf(route.role)) {
		return cairn.Errorf(cairn.Denied, "this needs more than your role in the repository")
	}
	return nil
}

// scopeOf is the right that a role gives and the one below it does not.
func scopeOf(role cairn.Role) cairn.Scope {
	scopes := role.Scopes()
	return scopes[len(scopes)-1]
}

func admit(in *request, g gate) error {
	unknown := cairn.Errorf(cairn.Unauthenticated, "a token is required")
	switch {
	case g == byToken && !in.login.ByToken:
		return unknown
	case g == byBasic && (in.login.Nobody() || in.login.ByToken):
		return cairn.Errorf(cairn.Unauthenticated, "a user name and a password are required")
	case g == adminOnly && in.login.Nobody():
		return unknown
	case g == adminOnly:
		_, err := in.login.Operator()
		return err
	}
	return nil
}

// login finds out who asks. A credential that is not right is as none.
func (f *Face) login(r *http.Request) (service.Login, error) {
	var in service.Login
	var err error
	fields := strings.Fields(r.Header.Get("Authorization"))
	if len(fields) == 2 && fields[0] == "token" {
		in, err = f.service.LoginToken(r.Context(), fields[1])
	} else if name, password, ok := r.BasicAuth(); ok {
		in, err = f.service.LoginPassword(r.Context(), name, password)
	}
	if errors.Is(err, cairn.Unauthenticated) {
		return service.Login{}, nil
	}
	return in, err
}

// operator is the actor of an administrator, on routes that only they pass.
func (in *request) operator() (cairn.Actor, error) { return in.login.Operator() }
