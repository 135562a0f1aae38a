package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// TestMesaErrors asks for what no face answers, or what a face refuses before it
// knows who asks: below Mesa's addresses all of it is in Mesa's shape.
func TestMesaErrors(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	for _, prefix := range []string{"/v1", "/mesa/v1"} {
		for _, c := range []struct {
			method, path string
			status       int
			holds        string
		}{
			{"GET", "/whoami", 401, `"code":"UNAUTHENTICATED"`},
			{"GET", "/acme/app", 401, `"code":"UNAUTHENTICATED"`},
			{"GET", "/", 404, "no such route"},
			{"GET", "/acme/app/nothing", 404, "no such route"},
			{"GET", "/acme/webhook-targets/a/b", 404, "no such route"},
			{"GET", "/acme/repos/tags/x", 404, "no such route"},
			{"GET", "/acme/app/webhook-targets", 404, "no such route"},
			{"GET", "/acme/api-keys/a/b", 404, "no such route"},
			{"GET", "/acme/repos/content", 404, "no such route"},
			{"GET", "/acme/repo", 404, "no such route"},
			{"POST", "/acme/app/diff", 405, `"code":"METHOD_NOT_ALLOWED"`},
			{"BREW", "/whoami", 405, `"code":"METHOD_NOT_ALLOWED"`},
		} {
			wantProblem(t, s, c.method, prefix+c.path, c.status, `{"error":{"code":`, c.holds)
		}
	}
	wantProblem(t, s, "GET", "/mesa/nothing", 404, `{"error":{"code":"NOT_FOUND"`, "no such route")

}

// TestErrorsBeforeRouting refuses requests before any face sees them: in the shape
// of the one that they are for.
func TestErrorsBeforeRouting(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.MaxRequests = 1
	full := start(t, c)
	_, only, err := full.gate.Arrive(t.Context()) // the one request that there may be
	if err != nil {
		t.Fatal(err)
	}
	defer only.Leave()
	wantProblem(t, full, "GET", "/v1/whoami", 503, `{"error":{"code":"UNAVAILABLE"`, `"trace_id":"`)
	wantProblem(t, full, "GET", "/mesa/v1/whoami", 503, `{"error":{"code":"UNAVAILABLE"`, `"trace_id":"`)
	wantProblem(t, full, "GET", "/api/v1/repos", 503, `"title"`)
	wantProblem(t, full, "GET", "/gogs/api/v1/user", 503, `{"message":"`, `"url":"`)
	wantProblem(t, full, "GET", "/v2/projects/repositories", 503, `{"error":{"code":"CH.`, `"status":"failed"`)
	wantProblem(t, full, "GET", "/codearts/v1/repositories/repoid", 503, `"status":"failed"`)
	wantProblem(t, full, "GET", "/v4/user/keys", 503, `{"error_code":"CH.`)
}

// wantProblem asks without a credential, and wants an answer with that status
// that holds the texts.
func wantProblem(t *testing.T, s *Server, method, path string, status int, holds ...string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		t.Errorf("%s %s: %d %s, %v; want %d", method, path, response.StatusCode, text, err, status)
	}
	for _, part := range holds {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s %s: %s has no %s", method, path, text, part)
		}
	}
}

// TestFacesByCredential sends one address with different credentials: the
// answer has the shape of the face whose they are.
func TestFacesByCredential(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	operator := cairn.Actor{Admin: true, Name: "admin"}
	if _, err := s.service.CreateUser(t.Context(), operator, service.NewUser{Name: "ada", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	token, _, err := s.service.CreateUserToken(t.Context(), operator, "ada", "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, credential string
		status           int
		holds            string
	}{
		{"/api/v1/user", "token " + token, 200, `"username":"ada"`},
		{"/gogs/api/v1/user", "token " + token, 200, `"username":"ada"`},
		{"/api/v1/user", "token x", 401, `"url"`},
		{"/api/v1/repos", "token " + token, 404, `"url"`},
		{"/api/v1/user", "Bearer x", 404, `"title"`},
		{"/api/v1/repos", "Bearer x", 401, `"title"`},
		{"/api/v1/repos", "", 401, `"title"`},
		{"/api/v1/repos/search", "", 200, `"ok":true`},
		{"/api/v1/repos/ada/nothing", "", 404, ""},
		{"/api/v1/repos/ada/nothing/branches", "", 401, `"url"`},
		{"/api/v1/user", "", 401, `"url"`},
		{"/api/v1/nothing", "", 404, `"title"`},
		{"/api/v1/repos/branches/diff", "", 401, `"title"`},
		{"/api/v1/repos/branches/create", "", 405, `"title"`}, // GET of a repository, but for the other face
		{"/gogs/api/v1/repos/branches/diff", "", 404, ""},
		{"/gogs/api/v1/user", "", 401, `"url"`},
		{"/gogs/api/v1/user", "Bearer x", 401, `"url"`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.credential != "" {
			request.Header.Set("Authorization", c.credential)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || !strings.Contains(string(text), c.holds) || c.holds == "" && len(text) > 0 {
			t.Errorf("%s with %q: %d %s, %v; want %d and %s", c.path, c.credential, response.StatusCode, text, err, c.status, c.holds)
		}
	}
}
