package mesa_test

import (
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/api/mesa"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

func keyFor(ids ...cairn.RepositoryID) service.NewAPIKey {
	return service.NewAPIKey{Access: []cairn.Access{cairn.AdminAccess}, Repositories: ids}
}

// access is a row of the authorization matrix.
type access struct {
	needs  cairn.Access // the least that lets in
	body   any
	status int // of a good request
	// bound is the status for an admin key of another repository; 0 means 403.
	bound int
	// once tells that the request can be carried out once only.
	once bool
}

// matrix has a row for each route. The path's names are filled in as they are
// made in TestAuthorizationMatrix.
var matrix = map[string]access{
	"GET whoami":                 {needs: cairn.ReadAccess, status: 200, bound: 200},
	"GET {org}":                  {needs: cairn.ReadAccess, status: 200, bound: 200},
	"GET {org}/api-keys":         {needs: cairn.AdminAccess, status: 200, bound: 200},
	"POST {org}/api-keys":        {needs: cairn.AdminAccess, status: 201},
	"PATCH {org}/api-keys/{id}":  {needs: cairn.AdminAccess, body: object{"tags": object{"a": "b"}}, status: 200, bound: 404},
	"DELETE {org}/api-keys/{id}": {needs: cairn.AdminAccess, status: 200, bound: 404},
	"GET {org}/webhook-targets":  {needs: cairn.AdminAccess, status: 200, bound: 200},
	"POST {org}/webhook-targets": {needs: cairn.AdminAccess, body: object{"url": "http://127.0.0.1:9"}, status: 201},

	"GET {org}/webhook-targets/{target}":    {needs: cairn.AdminAccess, status: 200, bound: 404},
	"PATCH {org}/webhook-targets/{target}":  {needs: cairn.AdminAccess, body: object{"name": "n"}, status: 200, bound: 404},
	"DELETE {org}/webhook-targets/{target}": {needs: cairn.AdminAccess, status: 200, bound: 404, once: true},

	"GET {org}/repos":          {needs: cairn.ReadAccess, status: 200, bound: 200},
	"POST {org}/repos":         {needs: cairn.WriteAccess, status: 201},
	"PATCH {org}/repos/tags":   {needs: cairn.WriteAccess, body: object{"repo_ids": []string{"{id of app}"}, "action": "set", "key": "k", "value": "v"}, status: 200},
	"GET {org}/{repo}":         {needs: cairn.ReadAccess, status: 200},
	"PATCH {org}/{repo}":       {needs: cairn.WriteAccess, body: object{"tags": object{"a": "b"}}, status: 200},
	"DELETE {org}/{repo}":      {needs: cairn.WriteAccess, status: 200, once: true},
	"GET {org}/{repo}/content": {needs: cairn.ReadAccess, status: 200},

	"GET {org}/{repo}/bookmarks":               {needs: cairn.ReadAccess, status: 200},
	"POST {org}/{repo}/bookmarks":              {needs: cairn.WriteAccess, body: object{"name": "new", "change_id": root}, status: 201, once: true},
	"POST {org}/{repo}/bookmarks/merge":        {needs: cairn.WriteAccess, body: object{"target": "main", "source": "main"}, status: 200},
	"GET {org}/{repo}/bookmarks/{bookmark}":    {needs: cairn.ReadAccess, status: 200},
	"PATCH {org}/{repo}/bookmarks/{bookmark}":  {needs: cairn.WriteAccess, body: object{"change_id": root}, status: 200},
	"DELETE {org}/{repo}/bookmarks/{bookmark}": {needs: cairn.WriteAccess, status: 200, once: true},
	"GET {org}/{repo}/changes":                 {needs: cairn.ReadAccess, status: 200},
	"POST {org}/{repo}/changes":                {needs: cairn.WriteAccess, body: object{"base_change_id": root}, status: 201},
	"GET {org}/{repo}/changes/{change}":        {needs: cairn.ReadAccess, status: 200},
	"PATCH {org}/{repo}/changes/{change}":      {needs: cairn.WriteAccess, body: object{"message": "m"}, status: 200},
	"GET {org}/{repo}/diff":                    {needs: cairn.ReadAccess, status: 200},
	"GET {org}/{repo}/upstream/syncs":          {needs: cairn.ReadAccess, status: 200},
	"POST {org}/{repo}/upstream/syncs":         {needs: cairn.WriteAccess, body: object{"direction": "pull"}, status: 201},
	"GET {org}/{repo}/upstream/syncs/{sync}":   {needs: cairn.ReadAccess, status: 200},
}

// sync asks for a sync of the repository app, whose upstream is nowhere.
func (w *world) sync() (id string) {
	w.t.Helper()
	link := service.RepositoryChange{Upstream: &service.UpstreamChange{URL: "https://git.example.com/a/b.git"}}
	if _, err := w.service.UpdateRepository(w.t.Context(), w.operator("acme"), "app", link); err != nil {
		w.t.Fatal(err)
	}
	run, err := w.service.RequestSync(w.t.Context(), w.operator("acme"), "app", service.SyncRequest{Direction: cairn.Push})
	if err != nil {
		w.t.Fatal(err)
	}
	return service.PublicSyncID(run.ID)
}

// TestAuthorizationMatrix asks for each route with every kind of credential:
// too weak, of another organization, for another repository, none.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	for _, pattern := range mesa.Routes() {
		row, ok := matrix[pattern]
		if !ok {
			t.Errorf("%s has no row in the matrix", pattern)
			continue
		}
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app, other := w.repository("app"), w.repository("other")
			subject, err := w.service.CreateAPIKey(t.Context(), w.operator("acme"), service.NewAPIKey{})
			if err != nil {
				t.Fatal(err)
			}
			method, path, _ := strings.Cut(pattern, " ")
			if strings.Contains(path, "/bookmarks/{") {
				if _, err := w.service.CreateBookmark(t.Context(), w.operator("acme"), "app", "mark", git.ChangeID{}); err != nil {
					t.Fatal(err)
				}
			}
			change, err := w.service.CreateChange(t.Context(), w.operator("acme"), "app", service.NewChange{})
			if err != nil {
				t.Fatal(err)
			}
			target, err := w.service.CreateWebhook(t.Context(), w.operator("acme"), service.NewWebhook{
				Form: cairn.MesaForm, URL: "http://127.0.0.1:9", Events: []cairn.EventType{cairn.PushEvent}, Repositories: []cairn.RepositoryID{app.Repository},
			})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(path, "/diff") {
				path += "?base_change_id=" + root + "&head_change_id=" + change.ID.String()
			}
			if strings.Contains(path, "/upstream/") {
				path = strings.Replace(path, "{sync}", w.sync(), 1)
			}
			path = strings.NewReplacer("{bookmark}", "mark", "{change}", change.ID.String(), "{target}", "wht_"+string(target.ID), "{org}", "acme", "{repo}", "app", "{id}", service.PublicAPIKeyID(subject.Organization, subject.ID)).Replace(path)
			if tags, ok := row.body.(object); ok && tags["repo_ids"] != nil {
				tags["repo_ids"] = []string{app.Repository.Public()}
			}
			w.want(401, "", method, path, row.body)
			w.want(401, "mesa_nonsense", method, path, row.body)
			for _, level := range []cairn.Access{cairn.ReadAccess, cairn.WriteAccess, cairn.AdminAccess} {
				if level == row.needs {
					break
				}
				w.want(403, w.key("acme", level), method, path, row.body)
			}
			if pattern != "GET whoami" {
				w.want(404, w.key("evil", cairn.AdminAccess), method, path, row.body)
			}
			bound := row.bound
			if bound == 0 {
				bound = 403
			}
			w.want(bound, w.key("acme", cairn.AdminAccess, other.Repository), method, path, row.body)
			w.want(row.status, w.key("acme", row.needs), method, path, row.body)
			if !row.once {
				w.want(row.status, w.key("acme", cairn.AdminAccess), method, path, row.body)
			}
		})
	}
	if len(matrix) != len(mesa.Routes()) {
		t.Errorf("the matrix has %d rows for %d routes", len(matrix), len(mesa.Routes()))
	}
}
