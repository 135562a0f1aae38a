// Package githttp is the face for Git clients: smart HTTP (gitprotocol-http(5))
// below /{repository}.git and its two siblings, +ephemeral.git and
// +import.git. With a token that an organization signed, the organization is
// the token's and the repository may hold slashes; with any other credential,
// and with none, the first segment names the organization. Its rule is that it
// only takes HTTP apart: what the protocol says is up to package service. The
// dumb protocol is refused.
package githttp

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/service"
)

// Options bound the bodies of requests. A zero field means its default.
type Options struct {
	// MaxRequest bounds the body of a fetch in bytes, inflated; default 32 MiB.
	MaxRequest int64
	// MaxPush bounds the body of a push in bytes, inflated; default 17 GiB. A
	// push has limits of its own, which say more when they are reached.
	MaxPush int64
}

// Face serves Git clients. It is an http.Handler.
type Face struct {
	service *service.Service
	auth    *api.Auth
	options Options
}

// New returns the face over the service.
func New(svc *service.Service, auth *api.Auth, o Options) *Face {
	if o.MaxRequest == 0 {
		o.MaxRequest = 32 << 20
	}
	if o.MaxPush == 0 {
		o.MaxPush = 17 << 30
	}
	return &Face{svc, auth, o}
}

// The paths below a repository's address.
const (
	infoRefs    = "info/refs"
	uploadPack  = protocol.UploadPack
	receivePack = protocol.ReceivePack
)

// Matches tells whether a request is one of a Git client: its path goes through
// a segment that ends in ".git". It has no other meaning in any face.
func Matches(r *http.Request) bool {
	_, _, ok := splitPath(r.URL.EscapedPath())
	return ok
}

// splitPath parts a path after its first segment that ends in ".git". The two
// parts are still escaped.
func splitPath(path string) (repository, rest string, ok bool) {
	path = strings.TrimPrefix(path, "/")
	at := 0
	for {
		i := strings.Index(path[at:], ".git")
		if i < 0 {
			return "", "", false
		}
		at += i + len(".git")
		switch {
		case at == len(path):
			return path[:at-len(".git")], "", true
		case path[at] == '/':
			return path[:at-len(".git")], path[at+1:], true
		}
	}
}

// ServeHTTP answers a Git client.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f.serve(w, r); err != nil {
		fail(w, r, err)
	}
}

// request is a request of a Git client taken apart.
type request struct {
	repository cairn.RepositoryName
	remote     service.Remote
	service    string
	advertise  bool
	version    int
}

var errNoCredential = cairn.Errorf(cairn.Unauthenticated, "a token is required as the password")

// errNotGit stands for paths and methods that smart HTTP does not have.
var errNotGit = cairn.Errorf(cairn.NotFound, "not found; this server speaks Git's smart HTTP only")

func (f *Face) serve(w http.ResponseWriter, r *http.Request) error {
	path, rest, ok := splitPath(r.URL.EscapedPath())
	if !ok {
		return errNotGit
	}
	q := request{version: protocol.Version(r.Header.Get("Git-Protocol"))}
	if err := q.parseRest(r, rest); err != nil {
		return err
	}
	api.NoteRoute(r, "git "+strings.TrimPrefix(q.service, "git-"))
	path, err := q.parseRemote(path)
	if err != nil {
		return err
	}
	who, path, err := f.actor(r, path)
	if err != nil {
		return err
	}
	if q.repository, err = cairn.ParseRepositoryName(path); err != nil {
		return cairn.Errorf(cairn.NotFound, "repository %q not found", cairn.Clip(path))
	}
	if who, err = f.service.For(r.Context(), who, q.repository); err != nil {
		return err
	}
	session, err := f.service.OpenGit(r.Context(), who, q.repository, q.remote, q.service == receivePack)
	if cairn.KindOf(err) == cairn.Denied && r.Header.Get("Authorization") == "" {
		return errNoCredential // so that Git asks its user for one
	}
	if err != nil {
		return err
	}
	defer session.Close()
	if q.advertise {
		// Of what is refused here Git shows the text; later it has to be told
		// in the protocol.
		if err := admission.Full(r.Context()); err != nil {
			return err
		}
		answer(w, "application/x-"+q.service+"-advertisement")
		api.NoteError(r, session.Advertise(r.Context(), w, q.version))
		return nil
	}
	return f.exchange(w, r, q, session)
}

// parseRest reads which request it is from the path below the repository.
func (q *request) parseRest(r *http.Request, rest string) error {
	switch {
	case rest == infoRefs && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		names := r.URL.Query()["service"]
		if len(names) == 0 {
			return cairn.Errorf(cairn.Denied, "the dumb protocol is not supported; use Git 1.6.6 or later")
		}
		if len(names) > 1 || names[0] != uploadPack && names[0] != receivePack {
			return cairn.Errorf(cairn.Denied, "unsupported service %q", cairn.Clip(names[0]))
		}
		q.service, q.advertise = names[0], true
	case rest == uploadPack && r.Method == http.MethodPost, rest == receivePack && r.Method == http.MethodPost:
		q.service = rest
	case rest == infoRefs, rest == uploadPack, rest == receivePack:
		return errMethod
	default:
		return errNotGit
	}
	return nil
}

var errMethod = errors.New("method not allowed")

// actor finds out who asks, and which part of the path names the repository.
// The credential says how the address is meant: a token that an organization
// signed is of that organization, with any other the path begins with one.
func (f *Face) actor(r *http.Request, path string) (cairn.Actor, string, error) {
	if _, err := f.auth.Operator(r); err == nil {
		org, repository, ok := strings.Cut(path, "/")
		if !ok {
			return cairn.Actor{}, "", cairn.Errorf(cairn.NotFound, "with the admin token the address is /{organization}/{repository}.git")
		}
		who, err := f.auth.OperatorOf(r, org)
		return who, repository, err
	}
	token := api.Token(r)
	user, _, _ := r.BasicAuth()
	org, repository, named := strings.Cut(path, "/")
	keyActor := f.auth.KeyActor
	if service.IsAccessKeyID(user) {
		keyActor = f.auth.AccessKeyActor
	}
	switch {
	case service.IsKeyCredential(token), service.IsAccessKeyID(user):
		who, err := keyActor(r)
		if err == nil && (!named || org != string(who.Organization.Name)) {
			err = cairn.Errorf(cairn.NotFound, "not found; with a key the address is /{organization}/{repository}.git")
		}
		return who, repository, err
	case named && !api.IsSigned(token):
		who, found, err := f.auth.GitActor(r, org, repository)
		return who, string(found.Name), err
	case token == "":
		return cairn.Actor{}, "", errNoCredential
	}
	who, err := f.auth.Actor(r)
	return who, path, err
}

// parseRemote reads the remote from the part of the path that names a
// repository, and returns the rest, which is unescaped segment by segment.
func (q *request) parseRemote(path string) (string, error) {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return "", cairn.Errorf(cairn.Invalid, "bad escape in the path")
		}
		segments[i] = decoded
	}
	name := strings.Join(segments, "/")
	if s, ok := strings.CutSuffix(name, "+ephemeral"); ok {
		name, q.remote = s, service.EphemeralRemote
	} else if s, ok := strings.CutSuffix(name, "+import"); ok {
		name, q.remote = s, service.ImportRemote
	}
	return name, nil
}

// exchange carries out a POST.
func (f *Face) exchange(w http.ResponseWriter, r *http.Request, q request, session *service.GitSession) error {
	if t := r.Header.Get("Content-Type"); t != "application/x-"+q.service+"-request" {
		return fmt.Errorf("%w: content type %q", errMediaType, cairn.Clip(t))
	}
	limit := f.options.MaxRequest
	if q.service == receivePack {
		limit = f.options.MaxPush
	}
	body, err := decode(w, r, limit)
	if err != nil {
		return err
	}
	answer(w, "application/x-"+q.service+"-result")
	if q.service == uploadPack {
		api.NoteError(r, session.UploadPack(r.Context(), body, w, q.version))
		return nil
	}
	api.NoteError(r, session.ReceivePack(r.Context(), body, w))
	return nil
}

var errMediaType = errors.New("unsupported media type")

// decode returns the body without its content encoding, which is gzip or none,
// bounded before and after.
func decode(w http.ResponseWriter, r *http.Request, limit int64) (io.Reader, error) {
	body := http.MaxBytesReader(w, r.Body, limit)
	encodings := r.Header.Values("Content-Encoding")
	if len(encodings) == 0 {
		return tooLarge{body}, nil
	}
	if len(encodings) > 1 || encodings[0] != "gzip" && encodings[0] != "x-gzip" {
		return nil, fmt.Errorf("%w: content encoding %q", errMediaType, cairn.Clip(strings.Join(encodings, ",")))
	}
	z, err := gzip.NewReader(body)
	if err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "the body is not gzip")
	}
	z.Multistream(false)
	return tooLarge{http.MaxBytesReader(w, io.NopCloser(z), limit)}, nil
}

// tooLarge makes the end of a bounded body an error for the client.
type tooLarge struct{ r io.Reader }

func (t tooLarge) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		err = cairn.Errorf(cairn.TooLarge, "the request has more than %d bytes", over.Limit)
	} else if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		err = cairn.Errorf(cairn.Invalid, "the body is not gzip: %w", err)
	}
	return n, err
}

// answer sets the headers of a good answer. What a repository holds changes, so
// nothing between may keep it.
func answer(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	h.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// fail answers with plain text, which is what Git shows to its user.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	api.NoteError(r, err)
	status, text := api.Status(err), api.Text(err)
	switch {
	case errors.Is(err, errMethod):
		status, text = http.StatusMethodNotAllowed, "method not allowed"
	case errors.Is(err, errMediaType):
		status, text = http.StatusUnsupportedMediaType, err.Error()
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="Git Repository"`)
	}
	api.SetRetryAfter(w.Header(), status, err)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
