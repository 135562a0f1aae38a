package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

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
