package codearts_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cairn-storage/cairn/internal/service"
)

// newSSHKey makes a key and returns its halves as ssh-keygen writes them.
func newSSHKey(t *testing.T) (public, private string) {
	t.Helper()
	half, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(half)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), string(pem.EncodeToMemory(block))
}

// object writes a body of texts.
func object(t *testing.T, pairs ...string) string {
	t.Helper()
	body := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		body[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUserKeys goes through what becomes of the caller's keys, in both of the
// forms that the API has.
func TestUserKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type key struct{ ID, Key, Title string }
	var list struct {
		Keys  []key `json:"sshkey"`
		Total int
	}
	first, _ := newSSHKey(t)
	second, _ := newSSHKey(t)
	var made key
	w.must(t, "POST", "/v1/users/sshkey", object(t, "key", first+" me@home", "title", "laptop"), &made)
	if made != (key{"1", first + " me@home", "laptop"}) {
		t.Errorf("made %+v", made)
	}
	for what, c := range map[string]struct{ key, title, code string }{
		"no title": {second, " ", "CH.080002"}, "no key": {"", "t", "CH.080002"}, "the key again": {first, "t", "CH.080002"}, "the title again": {second, "laptop", "CH.080002"},
		"a long title": {second, strings.Repeat("é", 256), "CH.080002"}, "no key at all": {"ssh-rsa AAAA", "t", "40"}, "a long key": {first + strings.Repeat(" ", 2048), "t", "40"},
	} {
		for _, place := range []string{"/v1/users/sshkey", "/v4/user/keys"} {
			a := w.call(t, w.token(t, w.key), "POST", place, object(t, "key", c.key, "title", c.title))
			if a.status != http.StatusBadRequest || a.code() != c.code {
				t.Errorf("%s at %s: got %d %s", what, place, a.status, a.text)
			}
		}
	}
	a := w.call(t, w.token(t, w.key), "POST", "/v4/user/keys", object(t, "key", second, "title", "Desktop"))
	if a.status != http.StatusCreated || !strings.Contains(a.text, `"id":2`) {
		t.Errorf("made %d %s", a.status, a.text)
	}
	w.must(t, "GET", "/v1/users/sshkey", "", &list)
	if list.Total != 2 || list.Keys[0] != made || list.Keys[1] != (key{"2", second, "Desktop"}) {
		t.Errorf("listed %+v", list)
	}
	for query, want := range map[string]string{"": "laptop Desktop 2", "?query=DESK": "Desktop 1", "?limit=1&offset=1": "Desktop 2", "?offset=9": "2"} {
		var got struct {
			Keys  []struct{ Title string }
			Total int
		}
		a := w.call(t, w.token(t, w.key), "GET", "/v4/user/keys"+query, "")
		if err := json.Unmarshal([]byte(a.text), &got); err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, k := range got.Keys {
			words = append(words, k.Title)
		}
		if text := strings.Join(append(words, strconv.Itoa(got.Total)), " "); text != want {
			t.Errorf("%q: got %s, want %s", query, text, want)
		}
	}
	other := w.token(t, w.newKey(t, "acme", service.NewAccessKey{Name: "other"}))
	for _, id := range []string{"1", "2", "3", "0", "-1", "x"} {
		for _, place := range []string{"/v1/users/sshkey/", "/v4/user/keys/"} {
			if a := w.call(t, other, "DELETE", place+id, ""); a.status != http.StatusNotFound || a.code() != "CH.000404" {
				t.Errorf("another deletes %s: got %d %s", id, a.status, a.text)
			}
		}
	}
	if a := w.call(t, other, "GET", "/v1/users/sshkey", ""); !strings.Contains(a.text, `"total":0`) {
		t.Errorf("another lists %s", a.text)
	}
	w.must(t, "DELETE", "/v1/users/sshkey/1", "", nil)
	if a := w.call(t, w.token(t, w.key), "DELETE", "/v4/user/keys/2", ""); a.status != http.StatusNoContent || a.text != "" {
		t.Errorf("deleted: %d %s", a.status, a.text)
	}
	w.must(t, "GET", "/v1/users/sshkey", "", &list)
	if list.Total != 0 {
		t.Errorf("left: %+v", list)
	}
}

// TestDeployKeys goes through what becomes of the keys of a repository.
func TestDeployKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid, other := w.create(t, "app"), w.create(t, "other")
	public, _ := newSSHKey(t)
	body := `{"key_title":"ci","key":"` + public + `","can_push":true,"application":"codearts"}`
	var made struct {
		ID      string `json:"key_id"`
		Key     string
		Title   string `json:"key_title"`
		CanPush bool   `json:"can_push"`
	}
	w.must(t, "POST", "/v2/repositories/"+uuid+"/deploy-keys", body, &made)
	if made.ID != "1" || made.Key != public || made.Title != "ci" || !made.CanPush {
		t.Errorf("made %+v", made)
	}
	again := w.call(t, w.token(t, w.key), "POST", "/v2/repositories/"+uuid+"/deploy-keys", strings.Replace(body, "ci", "again", 1))
	if again.status != http.StatusBadRequest || again.code() != "CH.080002" {
		t.Errorf("the same key again: %d %s", again.status, again.text)
	}
	w.must(t, "POST", "/v1/repositories/"+other+"/deploy_keys", strings.Replace(body, "true", "false", 1), &made)
	if made.ID != "2" || made.CanPush {
		t.Errorf("made in another repository: %+v", made)
	}
	for _, place := range []string{"/v2/repositories/" + other + "/deploy-keys/1", "/v1/repositories/" + uuid + "/deploy_keys/2", "/v4/repositories/" + uuid + "/deploy-keys/2"} {
		if a := w.call(t, w.token(t, w.key), "DELETE", place, ""); a.status != http.StatusNotFound {
			t.Errorf("the key of another repository: %d %s", a.status, a.text)
		}
	}
	a := w.call(t, w.token(t, w.key), "GET", "/v4/repositories/"+uuid+"/deploy-keys", "")
	if a.header.Get("X-Total") != "1" || !strings.Contains(a.text, `"fingerprint":"SHA256:`) || !strings.Contains(a.text, `"title":"ci"`) {
		t.Errorf("listed %s", a.text)
	}
	w.must(t, "DELETE", "/v2/repositories/"+uuid+"/deploy-keys/1", "", nil)
	w.must(t, "DELETE", "/v1/repositories/"+other+"/deploy_keys/2", "", nil)
	if a := w.call(t, w.token(t, w.key), "GET", "/v4/repositories/"+uuid+"/deploy-keys", ""); a.text != "[]\n" && a.text != "[]" {
		t.Errorf("left %s", a.text)
	}
}

// TestSecurityPrivateKeyIsNeitherAnsweredNorLogged verifies private keys and
// looks for them in what is answered.
func TestSecurityPrivateKeyIsNeitherAnsweredNorLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid, other := w.create(t, "app"), w.create(t, "other")
	public, private := newSSHKey(t)
	_, stranger := newSSHKey(t)
	w.must(t, "POST", "/v2/repositories/"+uuid+"/deploy-keys", object(t, "key_title", "ci", "key", public), nil)
	w.must(t, "POST", "/v1/users/sshkey/privatekey/verify", object(t, "repository_uuid", uuid, "private_key", private), nil)
	for what, c := range map[string]struct{ repo, key string }{
		"another repository": {other, private}, "another key": {uuid, stranger}, "a public key": {uuid, public}, "a piece": {uuid, private[:100]}, "nothing": {uuid, ""},
	} {
		a := w.call(t, w.token(t, w.key), "POST", "/v1/users/sshkey/privatekey/verify", object(t, "repository_uuid", c.repo, "private_key", c.key))
		if a.status != http.StatusBadRequest || a.code() != "40" || c.key != "" && strings.Contains(a.text, strings.Split(c.key, "\n")[0]) {
			t.Errorf("%s: got %d %s", what, a.status, a.text)
		}
	}
	if log := w.log.String(); strings.Contains(log, strings.Split(private, "\n")[1]) || !strings.Contains(log, "privatekey/verify") {
		t.Errorf("the log is %s", log)
	}
}
