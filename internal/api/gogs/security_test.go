package gogs

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// commit puts files with any mode into a repository, behind the face's back.
func (w *world) commit(owner, repo string, files map[string]git.FileMode) {
	w.t.Helper()
	who := w.actor(owner, repo)
	request := service.CommitRequest{
		CommitTarget: service.CommitTarget{Branch: "main"},
		CommitInfo:   service.CommitInfo{Message: "Links", Author: service.Identity{Name: "A", Email: "a@example.com"}},
	}
	for path, mode := range files {
		request.Files = append(request.Files, service.FileChange{Path: path, ContentID: path, Mode: mode})
	}
	c, err := w.service.BeginCommit(w.t.Context(), who, cairn.RepositoryName(repo), request)
	check(w.t, err)
	defer c.Close()
	for path, mode := range files {
		text := "../../config"
		if mode == git.ModeSubmodule {
			text = strings.Repeat("1", 40)
		}
		check(w.t, c.AddChunk(w.t.Context(), path, []byte(text), true))
	}
	_, err = c.Commit(w.t.Context())
	check(w.t, err)
}

// head is where the default branch is.
func (w *world) head(repo string) string {
	return read[branch](w, "ada", "repos/ada/"+repo+"/branches/main").Commit.ID
}

// TestWriteThroughSymlink writes to where a symbolic link or a submodule leads.
func TestWriteThroughSymlink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("ada", "site", map[string]git.FileMode{"link": git.ModeSymlink, "module": git.ModeSubmodule})
	before := w.head("site")
	for _, path := range []string{"link", "link%2Fx", "module", "module%2Fx"} {
		if status, text := w.call("ada", "PUT", "repos/ada/site/contents/"+path, put("x", "x", "")); status != 422 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if w.head("site") != before {
		t.Error("something was written")
	}
	links := read[[]content](w, "ada", "repos/ada/site/contents")
	if links[1].Type != "symlink" || links[1].Target != "../../config" || links[2].Type != "submodule" {
		t.Errorf("the links are %+v", links[1:])
	}
}

// TestPathTraversal writes to and reads from what leads out of the repository,
// or is Git's own on some file system. A refused write leaves nothing behind:
// the next one is made.
func TestPathTraversal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.head("site")
	for _, path := range []string{
		"..", "%2e%2e%2fx", "a%2f..%2fx", "a%2f.%2fb", ".", "a%2f%2fb", "%00", "a%00b", "a%5cb", "..%5cx", "%0a", "a%2f",
		".git%2fconfig", ".GIT%2fconfig", ".git", "a%2f.git", "git~1%2fx", ".git%20%2fx", ".git.%2fx", ".git::$INDEX_ALLOCATION%2fx", ".g%e2%80%8cit%2fx",
	} {
		if status, text := w.call("ada", "PUT", "repos/ada/site/contents/"+path, put("x", "x", "")); status != 422 && status != 404 {
			t.Errorf("PUT %s: %d %s", path, status, text)
		}
		for _, where := range []string{"contents/", "raw/main/"} {
			if status, text := w.call("ada", "GET", "repos/ada/site/"+where+path, ""); status != 404 && (where != "contents/" || status != 200 || !strings.HasPrefix(text, "[")) {
				t.Errorf("GET %s%s: %d %.100s", where, path, status, text)
			}
		}
	}
	if w.head("site") != before {
		t.Error("something was written")
	}
	w.must("ada", "PUT", "repos/ada/site/contents/good", put("x", "x", ""), 201)
}

// TestOptionsAreNoRefs asks for refs that a command would take for options.
func TestOptionsAreNoRefs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, ref := range []string{"--output=x", "-x", "--all", "--name-only", "--upload-pack=x", "-oProxyCommand=x", "HEAD@%7b1%7d", ":/x", "main%5e%7b/x%7d"} {
		for _, path := range []string{"contents?ref=", "commits/", "git/trees/", "git/blobs/", "branches/", "raw/", "archive/"} {
			suffix := map[string]string{"raw/": "/README.md", "archive/": ".zip"}[path]
			if status, text := w.call("ada", "GET", "repos/ada/site/"+path+ref+suffix, ""); status != 404 {
				t.Errorf("%s%s: %d %.200s", path, ref, status, text)
			}
		}
		if status, text := w.call("ada", "PUT", "repos/ada/site/contents/x", put("x", "x", ref)); status != 422 && !strings.Contains(ref, "%") {
			t.Errorf("branch %s: %d %s", ref, status, text)
		}
	}
}

// TestNamesOfOwners makes users, organizations and repositories with names that
// would mean something on a disk or in an address.
func TestNamesOfOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"", "..", ".", "../x", "a/b", "a\\b", "a b", "a\x00b", "-x", "x.git", "api", "Admin", "new", strings.Repeat("a", 36), "ü", "a%2fb"} {
		text, err := json.Marshal(name)
		check(t, err)
		for path, body := range map[string]string{
			"user/orgs": `{"username":%s}`, "admin/users": `{"username":%s,"email":"x@example.com","password":"x"}`, "admin/users/ada/orgs": `{"username":%s}`,
		} {
			if status, answer := w.call("root", "POST", path, fmt.Sprintf(body, text)); status != 422 {
				t.Errorf("%s %q: %d %s", path, name, status, answer)
			}
		}
	}
	for _, name := range []string{"", "..", ".", "../x", "a/b", "a b", "x.git", "X.GIT", "x.wiki", strings.Repeat("a", 101), "ü", "ada/x"} {
		text, err := json.Marshal(name)
		check(t, err)
		for _, path := range []string{"user/repos", "admin/users/acme/repos"} {
			if status, answer := w.call("root", "POST", path, fmt.Sprintf(`{"name":%s}`, text)); status != 422 {
				t.Errorf("%s %q: %d %s", path, name, status, answer)
			}
		}
	}
}

// TestObjectsOfAnotherRepository asks one repository for what another holds.
func TestObjectsOfAnotherRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("ada", "PUT", "repos/ada/site/contents/secret", put("Secret", "secret", ""), 201)
	secret := read[content](w, "ada", "repos/ada/site/contents/secret")
	commit := w.head("site")
	for _, path := range []string{"git/blobs/" + secret.SHA, "git/trees/" + commit, "commits/" + commit, "contents/secret?ref=" + commit, "raw/" + commit + "/secret", "archive/" + commit + ".zip"} {
		w.must("ada", "GET", "repos/ada/site/"+path, "", 200)
		w.must("ada", "GET", "repos/ada/open/"+path, "", 404)
	}
}

// TestCollaboratorBecomesOwner gives what is more than admin, and what is no
// permission.
func TestCollaboratorBecomesOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, permission := range []string{"owner", "4", "", "ADMIN", "none"} {
		w.must("admin-of-it", "PUT", "repos/ada/site/collaborators/admin-of-it", `{"permission":"`+permission+`"}`, 422)
	}
	w.must("admin-of-it", "DELETE", "repos/ada/site", "", 403)
	w.must("admin-of-it", "PUT", "repos/ada/site/collaborators/ada", `{"permission":"read"}`, 422)
	w.must("ada", "GET", "repos/ada/site/collaborators", "", 200)
	w.must("root", "POST", "admin/orgs/acme/teams", `{"name":"x","permission":"owner"}`, 422)
}

// TestHeadersOfProxies sends what a proxy in front might: nobody is trusted
// with it.
func TestHeadersOfProxies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"X-WEBAUTH-USER", "X-Forwarded-User", "Sudo", "Remote-User"} {
		r := httptest.NewRequest("GET", prefix+"user", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set(name, "ada")
		out := httptest.NewRecorder()
		if w.ServeHTTP(out, r); out.Code != 401 {
			t.Errorf("%s lets in: %d", name, out.Code)
		}
	}
}

// TestHugeNumbers asks for pages that nobody can mean.
func TestHugeNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("ada", "GET", "repos/ada/site/commits?pageSize=-1", "", 400)
	w.must("ada", "GET", "repos/ada/site/commits?pageSize=x", "", 400)
	for _, path := range []string{
		"repos/ada/site/commits?pageSize=1000000000", "users/search?limit=1000000000", "users/search?limit=-1", "repos/search?page=9223372036854775807&limit=9223372036854775807",
		"user/repos?page=99999999999999999999", "repos/search?uid=99999999999999999999", "repos/ada/site/branches?limit=1&page=1000000",
	} {
		w.must("ada", "GET", path, "", 200)
	}
	for _, team := range []string{"0", "-1", "x", "99999999999999999999"} {
		w.must("root", "GET", "admin/teams/"+team+"/members", "", 404)
	}
}

// TestAddressesOfOthers: an email address is shown to users only, and an
// organization to nobody without a credential.
func TestAddressesOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if u := read[user](w, "", "users/ada"); u.Email != "" {
		t.Errorf("nobody sees %+v", u)
	}
	if u := read[user](w, "stranger", "users/ada"); u.Email != "ada@example.com" {
		t.Errorf("a user sees %+v", u)
	}
	w.must("", "GET", "orgs/acme", "", 401)
	w.must("", "GET", "orgs/acme/teams", "", 401)
	if orgs := read[[]organization](w, "", "users/owner/orgs"); len(orgs) != 0 {
		t.Errorf("nobody sees %v", orgs)
	}
}

// TestOneOfManyMakesARepository lets many make one name, in any case.
func TestOneOfManyMakesARepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	statuses := make(chan int, 16)
	for i := range cap(statuses) {
		wg.Go(func() {
			name := []string{"race", "Race", "RACE", "rAcE"}[i%4]
			status, _ := w.call("ada", "POST", "user/repos", `{"name":"`+name+`","auto_init":true}`)
			statuses <- status
		})
	}
	wg.Wait()
	close(statuses)
	made := 0
	for status := range statuses {
		switch status {
		case 201:
			made++
		case 422:
		default:
			t.Errorf("got %d", status)
		}
	}
	if made != 1 {
		t.Errorf("%d were made", made)
	}
}

// TestIssuesAreElsewhere asks for what is no storage of Git.
func TestIssuesAreElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"issues", "user/issues", "repos/ada/site/issues", "repos/ada/site/labels", "repos/ada/site/milestones", "repos/ada/site/wiki", "user/emails"} {
		if status, text := w.call("ada", "GET", path, ""); status != 404 || !strings.Contains(text, "not served here") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// TestLastOwnerStays takes the last owner out of an organization, and deletes
// who alone owns one.
func TestLastOwnerStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	teams := read[[]team](w, "owner", "orgs/acme/teams")
	members := fmt.Sprintf("admin/teams/%d/members/", teams[0].ID)
	if text := w.must("root", "DELETE", members+"owner", "", 422); !strings.Contains(text, "only owner") {
		t.Error(text)
	}
	if text := w.must("root", "DELETE", "admin/users/owner", "", 422); !strings.Contains(text, "only owner") {
		t.Error(text)
	}
	w.must("owner", "GET", "repos/acme/tools", "", 200)
	w.must("root", "PUT", members+"stranger", "", 204)
	w.must("root", "DELETE", members+"owner", "", 204)
	w.must("owner", "GET", "repos/acme/tools", "", 404)
	w.must("stranger", "DELETE", "repos/acme/tools", "", 204)
	w.must("root", "DELETE", members+"stranger", "", 422)
}
