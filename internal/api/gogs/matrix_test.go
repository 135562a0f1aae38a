package gogs

import (
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// TestAuthorizationMatrix calls every route as everybody: nobody, a stranger,
// who has each role, the owner of another organization and an administrator,
// with a token each. Who may not is refused as the gate says, who may is not.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rank := map[string]cairn.Role{"": 0, "stranger": 0, "owner": 0, "reader": 1, "writer": 2, "admin-of-it": 3, "ada": 4, "root": 4}
	for _, r := range routes {
		for _, repo := range []string{"site", "open", "nothing"} {
			inRepository := strings.HasPrefix(r.path, repositoryPath)
			if !inRepository && repo != "site" {
				continue
			}
			path := strings.NewReplacer("{owner}", "ada", "{repo}", repo, "{user}", "nobody", "{org}", "nobody", "{team}", "99", "{hook}", "99", "{key}", "99",
				"{branch...}", "nothing", "{commit...}", "nothing", "{path...}", "nothing", "{tree}", "nothing", "{blob}", "nothing", "{name...}", "nothing").Replace(r.path)
			for user, role := range rank {
				if r.method == "DELETE" && r.path == repositoryPath && role == cairn.OwnerRole {
					continue // it would be gone
				}
				if repo == "open" {
					role = max(role, cairn.ReaderRole)
				}
				status, text := w.call(user, r.method, path, "")
				at := user + ": " + r.method + " " + path
				switch {
				case user == "" && (r.gate == byToken || r.gate == adminOnly), r.gate == byBasic:
					if status != 401 {
						t.Errorf("%s: %d %s, want 401", at, status, text)
					}
				case r.gate == adminOnly && user != "root":
					if status != 403 {
						t.Errorf("%s: %d %s, want 403", at, status, text)
					}
				case inRepository && (repo == "nothing" || role == cairn.NoRole):
					if status != 404 || text != "" {
						t.Errorf("%s: %d %s, want an empty 404", at, status, text)
					}
				case inRepository && role < r.role:
					if status != 403 {
						t.Errorf("%s: %d %s, want 403", at, status, text)
					}
				case status == 401 || status == 403 || status >= 500:
					t.Errorf("%s: %d %s, though it may", at, status, text)
				}
			}
		}
	}
	for _, repo := range []string{"site", "open"} {
		if list := read[[]collaborator](w, "ada", "repos/ada/"+repo+"/collaborators"); len(list) != 3 {
			t.Errorf("collaborators of %s are now %v", repo, list)
		}
	}
}

// TestWrongCredentialsAreNone sends what is no token of anybody.
func TestWrongCredentialsAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.tokens["ada"]
	for _, token := range []string{"", "x", good[:39], good + "0", strings.ToUpper(good), strings.Repeat("0", 40), good + " x", "' OR 1=1 --"} {
		w.tokens["evil"] = token
		w.must("evil", "GET", "user", "", 401)
		w.must("evil", "GET", "repos/ada/site", "", 404)
		w.must("evil", "GET", "repos/ada/open", "", 200)
	}
	w.must("", "GET", "user?token="+good, "", 401)
	w.must("", "GET", "user?access_token="+good, "", 401)
	if status, _ := w.call("root", "GET", "user?sudo=ada", ""); status != 200 || read[user](w, "root", "user?sudo=ada").UserName != "root" {
		t.Error("sudo makes another of an administrator")
	}
}

// TestEveryPathIsOfOneMethodOrNot calls each path with methods that it does not
// have: all are as if the path were not there.
func TestEveryPathIsOfOneMethodOrNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	methods := map[string][]string{}
	for _, r := range routes {
		methods[r.path] = append(methods[r.path], r.method)
	}
	for path, has := range methods {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			if slices.Contains(has, method) || strings.Contains(path, "search") {
				continue
			}
			if status, _ := w.call("root", method, strings.NewReplacer("{", "", "...}", "", "}", "").Replace(path), ""); status != 404 {
				t.Errorf("%s %s answers %d", method, path, status)
			}
		}
	}
}
