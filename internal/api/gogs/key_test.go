package gogs

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// newSSHKey makes a key as ssh-keygen writes it.
func newSSHKey(t *testing.T) string {
	t.Helper()
	half, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	key, err := ssh.NewPublicKey(half)
	check(t, err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func keyBody(title, key string) string { return fmt.Sprintf(`{"title":%q,"key":%q}`, title, key) }

func TestKeysOfUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, other := newSSHKey(t), newSSHKey(t)
	w.must("ada", "POST", "user/keys", keyBody("laptop", key+" ada@home"), 201)
	got := read[publicKey](w, "ada", "user/keys/1")
	if got.ID != 1 || got.Key != key+" ada@home" || got.Title != "laptop" || got.URL != "https://git.example/api/v1/user/keys/1" || got.CreatedAt.IsZero() || got.CreatedAt.Nanosecond() != 0 {
		t.Errorf("got %+v", got)
	}
	for name, c := range map[string]struct{ user, body, want string }{
		"no title": {"ada", keyBody("", other), "RequiredError"}, "no key": {"ada", keyBody("x", ""), "RequiredError"},
		"the key again": {"ada", keyBody("x", key), "Key content has been used"}, "another's key": {"stranger", keyBody("x", key), "Key content has been used"},
		"the title again": {"ada", keyBody("laptop", other), "Key title has been used"}, "no key at all": {"ada", keyBody("x", "x"), "Invalid key content"},
	} {
		if text := w.must(c.user, "POST", "user/keys", c.body, 422); !strings.Contains(text, c.want) {
			t.Errorf("%s: %s", name, text)
		}
	}
	w.must("root", "POST", "admin/users/ada/keys", keyBody("by root", other), 201)
	for _, user := range []string{"ada", "root"} {
		if list := read[[]publicKey](w, user, "users/ADA/keys"); len(list) != 2 || list[1].Title != "by root" {
			t.Errorf("%s lists %+v", user, list)
		}
	}
	if list := read[[]publicKey](w, "ada", "user/keys?limit=1&page=2"); len(list) != 1 || list[0].ID != 2 {
		t.Errorf("a page is %+v", list)
	}
	w.must("ada", "DELETE", "user/keys/1", "", 204)
	w.must("ada", "DELETE", "user/keys/1", "", 404)
	w.must("ada", "GET", "user/keys/1", "", 404)
}

// TestKeysAreTheirUsersOwn asks for and deletes the keys of others.
func TestKeysAreTheirUsersOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("ada", "POST", "user/keys", keyBody("laptop", newSSHKey(t)), 201)
	w.must("ada", "POST", "repos/ada/site/keys", keyBody("ci", newSSHKey(t)), 201)
	for _, user := range []string{"stranger", "admin-of-it", "root"} {
		w.must(user, "GET", "user/keys/1", "", 404)
		if text := w.must(user, "DELETE", "user/keys/1", "", 403); !strings.Contains(text, "You do not have access to this key.") {
			t.Errorf("%s deletes: %s", user, text)
		}
		w.must(user, "DELETE", "user/keys/2", "", 404) // of a repository
		if list := read[[]publicKey](w, user, "user/keys"); len(list) != 0 {
			t.Errorf("%s has %+v", user, list)
		}
		if user != "root" {
			w.must(user, "GET", "users/ada/keys", "", 403)
		}
	}
	w.must("ada", "GET", "repos/ada/open/keys/2", "", 404)
	w.must("ada", "DELETE", "repos/ada/open/keys/2", "", 404)
	w.must("ada", "GET", "repos/ada/site/keys/1", "", 404)
	w.must("ada", "DELETE", "repos/ada/site/keys/1", "", 404)
	if list := read[[]deployKey](w, "ada", "repos/ada/site/keys"); len(list) != 1 {
		t.Errorf("left %+v", list)
	}
}

func TestDeployKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newSSHKey(t)
	w.must("ada", "POST", "repos/ada/site/keys", `{"title":"ci","key":"`+key+`","read_only":false}`, 201)
	got := read[deployKey](w, "admin-of-it", "repos/ada/site/keys/1")
	if got.Key != key || got.Title != "ci" || !got.ReadOnly || got.URL != "https://git.example/api/v1/repos/ada/site/keys/1" {
		t.Errorf("got %+v", got)
	}
	w.must("ada", "POST", "repos/ada/site/keys", keyBody("again", key), 422)
	w.must("ada", "POST", "repos/ada/site/keys", keyBody("ci", newSSHKey(t)), 422)
	w.must("ada", "POST", "repos/ada/open/keys", keyBody("ci", key), 201) // many repositories may have it
	mine := newSSHKey(t)
	w.must("ada", "POST", "user/keys", keyBody("laptop", mine), 201)
	w.must("ada", "POST", "repos/ada/site/keys", keyBody("mine", mine), 422)
	w.must("ada", "GET", "repos/ada/site/keys/x", "", 404)
	w.must("admin-of-it", "DELETE", "repos/ada/site/keys/1", "", 204)
	w.must("ada", "DELETE", "repos/ada/site/keys/1", "", 404)
	if list := read[[]deployKey](w, "ada", "repos/ada/site/keys"); len(list) != 0 {
		t.Errorf("left %+v", list)
	}
}
