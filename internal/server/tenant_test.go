package server

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/client"
)

// tenant is an organization with one repository, "app".
type tenant struct {
	server *Server
	name   string
	key    crypto.Signer
	token  string
}

func newTenant(t *testing.T, s *Server, name string) *tenant {
	t.Helper()
	c, err := client.NewOperator(s.URL(), s.AdminToken(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := client.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateOrganization(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddKey(t.Context(), name, string(public)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRepository(t.Context(), name, client.NewRepository{Name: "app"}); err != nil {
		t.Fatal(err)
	}
	token, err := client.SignToken(key, client.Claims{Organization: name, Repository: "app", Scopes: []string{"git:read", "git:write", "repo:write"}, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return &tenant{s, name, key, token}
}

// remote is the repository's address for Git.
func (n *tenant) remote() string {
	return strings.Replace(n.server.URL(), "http://", "http://t:"+n.token+"@", 1) + "/app.git"
}

// request makes a request of the organization.
func (n *tenant) request(t *testing.T, method, path, contentType string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.server.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(body)
}

// commitBody is a commit-pack of one file.
func commitBody(t *testing.T, path string, content []byte) io.Reader {
	t.Helper()
	var body strings.Builder
	out := json.NewEncoder(&body)
	lines := []map[string]any{{"metadata": map[string]any{
		"target_branch": "main", "commit_message": "m", "author": map[string]string{"name": "A", "email": "a@example.com"},
		"files": []map[string]string{{"path": path, "content_id": "c"}},
	}}}
	for rest := content; len(lines) == 1 || len(rest) > 0; {
		chunk := rest[:min(len(rest), 4<<20)]
		rest = rest[len(chunk):]
		lines = append(lines, map[string]any{"blob_chunk": map[string]any{"content_id": "c", "data": base64.StdEncoding.EncodeToString(chunk), "eof": len(rest) == 0}})
	}
	for _, line := range lines {
		if err := out.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReader(body.String())
}

// commit writes one file.
func (n *tenant) commit(t *testing.T, path string, content []byte) {
	t.Helper()
	if status, text := do(t, n.request(t, http.MethodPost, "/api/v1/repos/commit-pack", "", commitBody(t, path, content))); status != http.StatusCreated {
		t.Errorf("commit of %s by %s: %d %s", path, n.name, status, text)
	}
}
