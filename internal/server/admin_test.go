package server

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/client"
)

// TestOperatorAPI goes through /admin/v1 with the public client.
func TestOperatorAPI(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	c, err := client.NewOperator(s.URL()+"/", s.AdminToken(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	made, err := c.CreateOrganization(ctx, "acme")
	if err != nil || made.Name != "acme" || made.ID == "" || time.Since(made.CreatedAt) > time.Minute {
		t.Fatalf("got %+v, %v", made, err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := client.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.AddKey(ctx, "acme", string(public))
	if err != nil || key.Algorithm != "EdDSA" {
		t.Fatalf("got %+v, %v", key, err)
	}
	for _, name := range []string{"plain", "team/app", "café"} {
		if repo, err := c.CreateRepository(ctx, "acme", client.NewRepository{Name: name}); err != nil || repo.Name != name || repo.DefaultBranch != "main" {
			t.Fatalf("got %+v, %v", repo, err)
		}
	}
	if repo, err := c.Repository(ctx, "acme", "team/app"); err != nil || repo.Name != "team/app" {
		t.Errorf("got %+v, %v", repo, err)
	}
	if _, err := c.CreateRepository(ctx, "acme", client.NewRepository{Name: "fork", ForkOf: &client.ForkOf{Name: "plain"}}); err != nil {
		t.Error(err)
	}
	var names []string
	for repo, err := range c.Repositories(ctx, "acme", "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, repo.Name)
	}
	if want := []string{"café", "fork", "plain", "team/app"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if result, err := c.CheckRepository(ctx, "acme", "team/app", nil); err != nil || len(result.Problems) > 0 {
		t.Errorf("got %+v, %v", result, err)
	}
	if result, err := c.RepackRepository(ctx, "acme", "team/app", nil); err != nil || result != (client.RepackResult{}) {
		t.Errorf("got %+v, %v", result, err)
	}
	if result, err := c.CollectGarbage(ctx, nil); err != nil || result.Repositories != 4 {
		t.Errorf("got %+v, %v", result, err)
	}
	for name, call := range map[string]struct {
		err  error
		want int
	}{
		"check what is not there":     {second(c.CheckRepository(ctx, "acme", "nothing", nil)), http.StatusNotFound},
		"repack what is not there":    {second(c.RepackRepository(ctx, "acme", "nothing", nil)), http.StatusNotFound},
		"show what is not there":      {second(c.Repository(ctx, "acme", "../acme")), http.StatusNotFound},
		"show of no organization":     {second(c.Repository(ctx, "nobody", "app")), http.StatusNotFound},
		"take a taken name":           {second(c.CreateRepository(ctx, "acme", client.NewRepository{Name: "plain"})), http.StatusConflict},
		"add a key twice":             {second(c.AddKey(ctx, "acme", string(public))), http.StatusConflict},
		"add nonsense as a key":       {second(c.AddKey(ctx, "acme", "nonsense")), http.StatusBadRequest},
		"delete a busy organization":  {c.DeleteOrganization(ctx, "acme"), http.StatusConflict},
		"revoke an unknown key":       {c.RevokeKey(ctx, "acme", "a/b"), http.StatusNotFound},
		"create with a reserved name": {second(c.CreateOrganization(ctx, "admin")), http.StatusBadRequest},
	} {
		var refused *client.Error
		if !errors.As(call.err, &refused) || refused.Status != call.want || refused.Message == "" || refused.RequestID == "" {
			t.Errorf("%s: got %v, want the status %d", name, call.err, call.want)
		}
	}
	if err := c.RevokeKey(ctx, "acme", key.ID); err != nil {
		t.Error(err)
	}
	if keys, err := c.Keys(ctx, "acme"); err != nil || len(keys) != 1 || keys[0].RevokedAt == nil {
		t.Errorf("got %+v, %v", keys, err)
	}
	for _, name := range names {
		if err := c.DeleteRepository(ctx, "acme", name); err != nil {
			t.Error(err)
		}
	}
	if err := c.DeleteOrganization(ctx, "acme"); err != nil {
		t.Error(err)
	}
	for org, err := range c.Organizations(ctx) {
		t.Errorf("left: %+v, %v", org, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestAdminNeedsTheAdminToken asks every route without the token, with a wrong
// one, and with a tenant's own.
func TestAdminNeedsTheAdminToken(t *testing.T) {
	t.Parallel()
	s := start(t, testConfig(t))
	c, err := client.NewOperator(s.URL(), s.AdminToken(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateOrganization(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	privatePEM, public, err := client.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddKey(t.Context(), "acme", string(public)); err != nil {
		t.Fatal(err)
	}
	private, err := client.ParsePrivateKey(privatePEM)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := client.SignToken(private, client.Claims{Organization: "acme", Repository: "app", TTL: time.Hour,
		Scopes: []string{"git:read", "git:write", "repo:write", "org:read"}})
	if err != nil {
		t.Fatal(err)
	}
	document, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for path, operations := range document["paths"].(map[string]any) {
		if !strings.HasPrefix(path, "/admin/") {
			continue
		}
		path = strings.NewReplacer("{organization}", "acme", "{name}", "app", "{key}", "x").Replace(path)
		for method := range operations.(map[string]any) {
			if method == "parameters" {
				continue
			}
			for _, token := range []string{"", "wrong", tenant, s.AdminToken() + "x"} {
				r, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(method), s.URL()+path, bytes.NewReader([]byte(`{"name":"x"}`)))
				if err != nil {
					t.Fatal(err)
				}
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(response.Body)
				response.Body.Close()
				var problem struct{ Error string }
				if response.StatusCode != http.StatusUnauthorized || json.Unmarshal(body, &problem) != nil || problem.Error == "" {
					t.Errorf("%s %s: got %s %s", method, path, response.Status, body)
				}
				asked++
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d requests were made", asked)
	}
}
