package gogs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// delivered is what a receiver of webhooks got.
type delivered struct {
	header http.Header
	body   string
}

// TestHooks makes webhooks, writes through the face, and looks at what comes.
func TestHooks(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	got := map[string]chan delivered{"/json": make(chan delivered, 16), "/form": make(chan delivered, 16)}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(t, err)
		got[r.URL.Path] <- delivered{r.Header, string(body)}
	}))
	t.Cleanup(receiver.Close)
	at := "repos/ada/site/hooks"
	create := func(body string) (made hook) {
		t.Helper()
		check(t, json.Unmarshal([]byte(m.must("admin-of-it", "POST", at, body, 201)), &made))
		return made
	}
	signed := create(fmt.Sprintf(`{"type":"gogs","config":{"url":"%s/json","content_type":"json","secret":"sesame"},"events":["push","create","delete","release"],"active":true}`, receiver.URL))
	plain := create(fmt.Sprintf(`{"type":"gogs","config":{"url":"%s/form","content_type":"form"}}`, receiver.URL))
	if fmt.Sprint(signed.Events) != "[create delete push]" || signed.Config["secret"] != "" || !signed.Active || plain.Active || fmt.Sprint(plain.Events) != "[push]" || signed.ID == plain.ID {
		t.Errorf("the webhooks are %+v and %+v", signed, plain)
	}
	m.must("ada", "PATCH", fmt.Sprintf("%s/%d", at, plain.ID), `{"active":true}`, 200)
	m.must("writer", "PUT", "repos/ada/site/contents/a", put("Add a", "one\n", "topic"), 201)

	first, second := <-got["/json"], <-got["/json"]
	var payload struct {
		Ref, Before, After string
		RefType            string `json:"ref_type"`
		Commits            []payloadCommit
		Repository         repository
		Pusher, Sender     user
	}
	check(t, json.Unmarshal([]byte(first.body), &payload))
	if first.header.Get("X-Gogs-Event") != "create" || payload.Ref != "topic" || payload.RefType != "branch" || payload.Repository.FullName != "ada/site" {
		t.Errorf("first comes %v %s", first.header, first.body)
	}
	check(t, json.Unmarshal([]byte(second.body), &payload))
	tip := read[branch](m.world, "ada", "repos/ada/site/branches/topic").Commit.ID
	mac := hmac.New(sha256.New, []byte("sesame"))
	mac.Write([]byte(second.body))
	if second.header.Get("X-Gogs-Event") != "push" || second.header.Get("X-Gogs-Signature") != hex.EncodeToString(mac.Sum(nil)) || len(second.header.Get("X-Gogs-Delivery")) != 36 ||
		payload.Ref != "refs/heads/topic" || payload.After != tip || strings.Trim(payload.Before, "0") != "" || payload.Sender.UserName != "writer" || payload.Pusher.UserName != "writer" ||
		len(payload.Commits) != 2 || payload.Commits[0].ID != tip || payload.Commits[0].Author.UserName != "writer" || !strings.HasPrefix(second.body, "{\n  \"ref\"") {
		t.Errorf("then comes %v %s", second.header, second.body)
	}
	form := <-got["/form"]
	values, err := url.ParseQuery(form.body)
	check(t, err)
	check(t, json.Unmarshal([]byte(values.Get("payload")), &payload))
	if form.header.Get("Content-Type") != "application/x-www-form-urlencoded" || form.header.Get("X-Gogs-Signature") != "" || payload.After != tip {
		t.Errorf("as a form comes %v %s", form.header, form.body)
	}

	list := read[[]hook](m.world, "ada", at)
	if len(list) != 2 || list[0].ID != signed.ID || !list[1].Active {
		t.Errorf("the webhooks are %+v", list)
	}
	for _, status := range []int{204, 204} {
		m.must("ada", "DELETE", fmt.Sprintf("%s/%d", at, signed.ID), "", status)
	}
	m.must("ada", "PATCH", fmt.Sprintf("%s/%d", at, signed.ID), `{}`, 404)
	m.must("ada", "PATCH", fmt.Sprintf("repos/ada/open/hooks/%d", plain.ID), `{}`, 404)
}

// TestHookErrors makes webhooks that cannot be, and those that would call where
// the server must not.
func TestHookErrors(t *testing.T) {
	t.Parallel()
	m := newMigrations(t)
	at := "repos/ada/site/hooks"
	for body, text := range map[string]string{
		`{}`: "RequiredError", `{"type":"other","config":{}}`: "Invalid hook type.", `{"type":"slack","config":{"url":"https://h.example/","content_type":"json"}}`: "slack",
		`{"type":"gogs","config":{"content_type":"json"}}`: "Missing config option: url", `{"type":"gogs","config":{"url":"https://h.example/"}}`: "Missing config option: content_type",
		`{"type":"gogs","config":{"url":"https://h.example/","content_type":"xml"}}`:                     "Invalid content type.",
		`{"type":"gogs","config":{"url":"http://169.254.169.254/","content_type":"json"}}`:               "url",
		`{"type":"gogs","config":{"url":"https://10.0.0.1/","content_type":"json"}}`:                     "url",
		`{"type":"gogs","config":{"url":"file:///etc/passwd","content_type":"json"}}`:                    "url",
		`{"type":"gogs","config":{"url":"https://user:pass@h.example/","content_type":"json"}}`:          "url",
		`{"type":"gogs","config":{"url":"https://2130706433/","content_type":"json","secret":"secret"}}`: "url",
	} {
		if got := m.must("ada", "POST", at, body, 422); !strings.Contains(got, text) {
			t.Errorf("%s: %s", body, got)
		}
	}
	m.must("writer", "GET", at, "", 403)
	if list := read[[]hook](m.world, "ada", at); len(list) != 0 {
		t.Errorf("there are %v", list)
	}
}
