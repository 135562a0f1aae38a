package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/admin"
	"github.com/cairn-storage/cairn/internal/api/codearts"
	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/api/githttp"
	"github.com/cairn-storage/cairn/internal/api/gogs"
	"github.com/cairn-storage/cairn/internal/api/mesa"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// routes tells the faces apart. What ends in one of Git's requests below a
// ".git" segment is Git's, whatever comes before; the rest goes by prefix.
func (s *Server) routes() http.Handler {
	auth := api.NewAuth(s.service, s.adminToken)
	git := githttp.New(s.service, auth, githttp.Options{MaxPush: int64(s.config.MaxPackSize) + pushOverhead})
	mux := http.NewServeMux()
	storage := codestorage.New(s.service, codestorage.Options{ExternalURL: s.ExternalURL(), LineSize: int(s.config.MaxLineSize)})
	gogsFace := gogs.New(s.service, gogs.Options{ExternalURL: s.ExternalURL()})
	mux.Handle("/api/", storage)
	mux.Handle("/api/v1/", byCredential(gogsFace, storage))
	mux.Handle("/gogs/api/v1/", http.StripPrefix("/gogs", gogsFace))
	mux.Handle("/codestorage/api/", http.StripPrefix("/codestorage", storage))
	mesaFace := mesa.New(s.service, mesa.Options{ExternalURL: s.ExternalURL(), StrictMoves: s.config.StrictMoves})
	mux.Handle("/v1/", mesaFace)
	mux.Handle(mesa.Prefix+"/", http.StripPrefix(mesa.Prefix, mesaFace))
	arts := codearts.New(s.service, codearts.Options{ExternalURL: s.ExternalURL(), Scratch: s.store.Scratch})
	mux.Handle("/admin/v1/", admin.New(s.service, auth))
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /openapi.json", api.Handler(serveOpenAPI))
	mux.Handle("/", api.Handler(notFound))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isGit(r) {
			git.ServeHTTP(w, r)
			return
		}
		if codearts.Matches(r.URL.Path) {
			arts.ServeHTTP(w, r) // not through mux, which would redirect
			return
		}
		if strings.HasPrefix(r.URL.Path, "//api/") {
			storage.ServeHTTP(w, r) // which knows why; mux would redirect
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// fail answers a request that no face sees, in the shape of the face that it is
// for.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	switch path := r.URL.Path; {
	case codearts.Matches(path):
		codearts.Fail(w, r, err)
	case mesa.Matches(path):
		mesa.Fail(w, r, err)
	case strings.HasPrefix(path, "/gogs/"), strings.HasPrefix(path, "/api/v1/") && gogs.Claims(r):
		gogs.Fail(w, r, err)
	default:
		api.Fail(w, r, err)
	}
}

// byCredential tells apart the two faces that share a prefix: by the credential
// or, without one, because only one of them has such a route.
func byCredential(gogsFace *gogs.Face, storage http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		anonymous := r.Header.Get("Authorization") == ""
		if gogs.Claims(r) || anonymous && gogsFace.Matches(r) && !codestorage.Matches(r) {
			gogsFace.ServeHTTP(w, r)
			return
		}
		storage.ServeHTTP(w, r)
	})
}

// pushOverhead is what a push may hold beside its pack: its list of refs, at
// their most and their longest.
const pushOverhead = 1 << 30

// isGit tells whether a Git client sent the request. A tag in an address of the
// API may end in ".git" too, so below the prefixes of faces only Git's own
// requests count.
func isGit(r *http.Request) bool {
	if !githttp.Matches(r) {
		return false
	}
	path := r.URL.EscapedPath()
	if !slices.ContainsFunc(facePrefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
		return true
	}
	return strings.HasSuffix(path, ".git/info/refs") || strings.HasSuffix(path, ".git/git-upload-pack") || strings.HasSuffix(path, ".git/git-receive-pack")
}

// facePrefixes begin the paths of the faces.
var facePrefixes = []string{"/api/", "/admin/", "/v1/", "/mesa/", "/gogs/", "/v2/", "/v3/", "/v4/", "/codearts/"}

// isHealthCheck tells the questions that must be answered however busy the
// server is.
func isHealthCheck(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
}

func notFound(http.ResponseWriter, *http.Request) error {
	return cairn.Errorf(cairn.NotFound, "there is nothing at this address; /openapi.json lists what there is")
}

// externalHost is the host that clients use, if one is configured.
func externalHost(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
