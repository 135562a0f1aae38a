package mesa_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

const receiver = "http://127.0.0.1:9/hook"

func TestWebhookTargets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.key("acme", cairn.AdminAccess)
	app := w.repository("app").Repository.Public()
	made := w.want(201, admin, "POST", "acme/webhook-targets", object{"url": receiver})
	secret := made.json["secret"].(string)
	if !strings.HasPrefix(secret, "whsec_") || fmt.Sprint(made.json["events"]) != "[push]" || made.json["repo_ids"] != nil || made.json["name"] != nil {
		t.Errorf("got %s", made.body)
	}
	path := "acme/webhook-targets/" + made.json["id"].(string)
	for name, a := range map[string]answer{
		"shown":   w.want(200, admin, "GET", path, nil),
		"listed":  w.want(200, admin, "GET", "acme/webhook-targets", nil),
		"changed": w.want(200, admin, "PATCH", path, object{"name": "ci", "repo_ids": []string{app, app}, "events": []string{"sync.failed", "push"}, "secret": "mine"}),
	} {
		if strings.Contains(a.body, secret) || strings.Contains(a.body, `"secret"`) {
			t.Errorf("%s, the secret is there: %s", name, a.body)
		}
	}
	changed := w.want(200, admin, "PATCH", path, object{})
	if changed.json["name"] != "ci" || fmt.Sprint(changed.json["repo_ids"]) != "["+app+"]" || fmt.Sprint(changed.json["events"]) != "[push sync.failed]" || changed.json["url"] != receiver {
		t.Errorf("got %s", changed.body)
	}
	changed = w.want(200, admin, "PATCH", path, object{"name": nil, "repo_ids": nil})
	if changed.json["name"] != nil || changed.json["repo_ids"] != nil {
		t.Errorf("got %s", changed.body)
	}
	off := false
	id := cairn.WebhookID(strings.TrimPrefix(made.json["id"].(string), "wht_"))
	if paused, err := w.service.UpdateWebhook(t.Context(), w.operator("acme"), cairn.MesaForm, id, service.WebhookChange{Active: &off}); err != nil || paused.Paused == "" {
		t.Fatalf("%+v, %v", paused, err)
	}
	w.want(200, admin, "PATCH", path, object{})
	if going, err := w.service.Webhook(t.Context(), w.operator("acme"), cairn.MesaForm, id); err != nil || going.Paused != "" {
		t.Errorf("a paused target is %+v after a change, %v", going, err)
	}
	for name, body := range map[string]object{
		"no address": {}, "no events": {"url": receiver, "events": []string{}}, "an unknown event": {"url": receiver, "events": []string{"repo.sync.started"}},
		"no repository": {"url": receiver, "repo_ids": []string{}}, "a long name": {"url": receiver, "name": strings.Repeat("n", 256)},
		"a control character": {"url": receiver, "name": "a\nb"}, "a word": {"url": "x"}, "another type": {"url": receiver, "events": "push"},
	} {
		if a := w.call(admin, "POST", "acme/webhook-targets", body); a.status != 400 || a.errorCode() != "BAD_REQUEST" {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
		if _, is := body["url"]; !is {
			continue
		}
		if a := w.call(admin, "PATCH", path, body); a.status != 400 {
			t.Errorf("changed, %s: got %d %s", name, a.status, a.body)
		}
	}
	w.want(404, admin, "POST", "acme/webhook-targets", object{"url": receiver, "repo_ids": []string{"repo_x"}})
	w.want(404, admin, "PATCH", path, object{"repo_ids": []string{"repo_0000000000000000"}})
	for _, id := range []string{"wht_x", "wh_" + strings.TrimPrefix(made.json["id"].(string), "wht_"), "x"} {
		w.want(404, admin, "GET", "acme/webhook-targets/"+id, nil)
	}
	for range 19 {
		w.want(201, admin, "POST", "acme/webhook-targets", object{"url": receiver})
	}
	w.want(409, admin, "POST", "acme/webhook-targets", object{"url": receiver})
	w.want(200, admin, "PATCH", path, object{"repo_ids": nil}) // it has its place
	w.want(201, admin, "POST", "acme/webhook-targets", object{"url": receiver, "repo_ids": []string{app}})
	listed := 0
	for cursor := ""; ; {
		a := w.want(200, admin, "GET", "acme/webhook-targets?limit=9&cursor="+cursor, nil)
		listed += len(a.json["webhook_targets"].([]any))
		if a.json["has_more"] != true {
			break
		}
		cursor = a.json["next_cursor"].(string)
	}
	if listed != 21 {
		t.Errorf("%d targets are listed, want 21", listed)
	}
	w.want(200, admin, "DELETE", path, nil)
	w.want(404, admin, "DELETE", path, nil)
}

// TestSecurityWebhookTargetAddresses: what is sent to an address of a user reaches
// nothing inside.
func TestSecurityWebhookTargetAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // which allows 127.0.0.0/8
	admin := w.key("acme", cairn.AdminAccess)
	path := "acme/webhook-targets/" + w.want(201, admin, "POST", "acme/webhook-targets", object{"url": receiver}).json["id"].(string)
	for _, url := range []string{
		"https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "file:///etc/passwd",
		"https://user:password@example.com/", "gopher://example.com/", "https:///x",
	} {
		if a := w.call(admin, "POST", "acme/webhook-targets", object{"url": url}); a.status != 400 {
			t.Errorf("%s: got %d %s", url, a.status, a.body)
		}
		if a := w.call(admin, "PATCH", path, object{"url": url}); a.status != 400 {
			t.Errorf("changed to %s: got %d %s", url, a.status, a.body)
		}
	}
}

// TestSecurityWebhookTargetsOfOthers: a credential for some repositories manages
// the targets for no others, those of another organization are not there, and
// neither are the webhooks of other APIs.
func TestSecurityWebhookTargetsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, other := w.repository("app"), w.repository("other")
	admin := w.key("acme", cairn.AdminAccess)
	bound := w.key("acme", cairn.AdminAccess, app.Repository)
	create := func(status int, key string, repos any) string {
		t.Helper()
		a := w.want(status, key, "POST", "acme/webhook-targets", object{"url": receiver, "repo_ids": repos})
		id, _ := a.json["id"].(string)
		return "acme/webhook-targets/" + id
	}
	ids := func(repos ...cairn.Repository) (list []string) {
		for _, r := range repos {
			list = append(list, r.Repository.Public())
		}
		return list
	}
	all, others, both := create(201, admin, nil), create(201, admin, ids(other)), create(201, admin, ids(app, other))
	create(403, bound, nil)
	create(403, bound, ids(other))
	create(403, bound, ids(app, other))
	create(403, w.key("acme", cairn.WriteAccess), ids(app))
	own := create(201, bound, ids(app))
	for _, path := range []string{all, others, both} {
		w.want(404, bound, "GET", path, nil)
		w.want(404, bound, "PATCH", path, object{"url": receiver, "repo_ids": ids(app)})
		w.want(404, bound, "DELETE", path, nil)
	}
	w.want(403, bound, "PATCH", own, object{"repo_ids": nil})
	w.want(403, bound, "PATCH", own, object{"repo_ids": ids(app, other)})
	w.want(200, bound, "PATCH", own, object{"name": "mine", "repo_ids": ids(app)})
	if a := w.want(200, bound, "GET", "acme/webhook-targets", nil); len(a.json["webhook_targets"].([]any)) != 1 || a.json["webhook_targets"].([]any)[0].(object)["name"] != "mine" {
		t.Errorf("a bound key lists %s", a.body)
	}

	evil := w.key("evil", cairn.AdminAccess)
	for _, path := range []string{own, strings.Replace(own, "acme", "evil", 1)} {
		w.want(404, evil, "GET", path, nil)
		w.want(404, evil, "PATCH", path, object{"url": receiver})
		w.want(404, evil, "DELETE", path, nil)
	}
	w.want(404, evil, "POST", "evil/webhook-targets", object{"url": receiver, "repo_ids": ids(app)})

	operator := w.operator("acme")
	foreign, err := w.service.CreateWebhook(t.Context(), operator, service.NewWebhook{URL: receiver, Events: []cairn.EventType{cairn.PushEvent}})
	if err != nil {
		t.Fatal(err)
	}
	w.want(404, admin, "GET", "acme/webhook-targets/wht_"+string(foreign.ID), nil)
	page, err := w.service.ListWebhooks(t.Context(), operator, cairn.CodeStorageForm, "", 0)
	if err != nil || len(page.Webhooks) != 1 || page.Webhooks[0].ID != foreign.ID {
		t.Errorf("webhooks of the Code Storage API are %+v, %v", page.Webhooks, err)
	}
	target := cairn.WebhookID(strings.TrimPrefix(own, "acme/webhook-targets/wht_"))
	if _, err := w.service.Webhook(t.Context(), operator, cairn.CodeStorageForm, target); cairn.KindOf(err) != cairn.NotFound {
		t.Errorf("a target is a webhook of the Code Storage API: %v", err)
	}
	if a := w.want(200, admin, "GET", "acme/webhook-targets", nil); len(a.json["webhook_targets"].([]any)) != 4 {
		t.Errorf("listed are %s", a.body)
	}
}
