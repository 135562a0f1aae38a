// Package codearts is the face for clients of CodeArts Repo: repositories,
// branches, tags, commits and files under /v1 and /v2, with signed requests or
// tokens. Its rule is that it translates and decides nothing: names and numbers
// of its clients into those of package service, answers and errors into their
// envelope. It never redirects: its clients take a redirect for an answer.
package codearts

import (
	_ "embed" // the document
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// OpenAPI describes the face's routes, as OpenAPI 3.1 in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Prefix is where the face is beside its places at the root.
const Prefix = "/codearts"

// Options are what the face needs to know beside the service.
type Options struct {
	// ExternalURL is what addresses of repositories begin with, without a slash
	// at its end.
	ExternalURL string
	// Scratch makes the files, without a name, in which long bodies lie until
	// their signature is verified; nil keeps them in memory.
	Scratch func() (*os.File, error)
}

// Face serves clients of CodeArts Repo. It is an http.Handler.
type Face struct {
	service  *service.Service
	external string
	host     string // of external
	scratch  func() (*os.File, error)
}

// New returns the face.
func New(svc *service.Service, o Options) *Face {
	f := &Face{service: svc, external: strings.TrimRight(o.ExternalURL, "/"), scratch: o.Scratch}
	if u, err := url.Parse(f.external); err == nil {
		f.host = u.Hostname()
	}
	return f
}

// owned are the beginnings of paths at the root that are the face's.
var owned = []string{"/v1/repositories", "/v1/projects", "/v1/users", "/v1/user", "/v2", "/v3", "/v4"}

// Matches tells whether a path is one of the face's.
func Matches(path string) bool {
	if rest, ok := strings.CutPrefix(path, Prefix); ok && (rest == "" || rest[0] == '/') {
		return true
	}
	for _, begin := range owned {
		if rest, ok := strings.CutPrefix(path, begin); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// ServeHTTP answers a request.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, Prefix)
	route, args, allowed := match(r.Method, path)
	if route == nil {
		api.NoteRoute(r, "codearts unknown")
		Fail(w, r, noRoute(r, allowed))
		return
	}
	api.NoteRoute(r, route.pattern)
	in := &request{Request: r, path: args}
	if err := f.serve(w, in, route); err != nil {
		Fail(w, r, err)
	}
}

func (f *Face) serve(w http.ResponseWriter, in *request, route *route) error {
	var err error
	if in.query, err = url.ParseQuery(in.URL.RawQuery); err != nil {
		return cairn.Errorf(cairn.Invalid, "the query of the address is malformed")
	}
	if in.body, err = f.readBody(w, in.Request, route); err != nil {
		return err
	}
	defer in.body.close()
	if !route.open {
		if in.who, err = f.authenticate(in.Request, in.body); err != nil {
			return err
		}
	}
	if place := in.path["repository"]; place != "" {
		if in.who, in.repo, err = f.repository(in, place); err != nil {
			return err
		}
	}
	return route.handle(f, w, in)
}

// request is a request whose sender is known.
type request struct {
	*http.Request
	who   cairn.Actor
	repo  cairn.Repository // that the path names, if it names one
	path  map[string]string
	query url.Values
	body  *body
}

// decode reads the body as JSON.
func decode[T any](r *request) (value T, err error) {
	err = json.NewDecoder(r.body.reader()).Decode(&value)
	var kind *json.UnmarshalTypeError
	var known *cairn.Error
	switch {
	case err == nil, errors.As(err, &known):
		return value, err
	case errors.As(err, &kind):
		return value, cairn.Errorf(cairn.Invalid, "%q cannot be a %s", cairn.Clip(kind.Field), kind.Value)
	}
	return value, cairn.Errorf(cairn.Invalid, "the body is not JSON: %w", err)
}

// envelope is the form of all answers but streams.
type envelope struct {
	Error  *problem `json:"error,omitempty"`
	Result any      `json:"result,omitempty"`
	Status string   `json:"status"`
}

type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// answer writes a result.
func answer(w http.ResponseWriter, result any) error {
	return api.Write(w, http.StatusOK, envelope{Result: result, Status: "success"})
}
