package codestorage_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/worker"
)

// hookWorld is a world whose jobs run, with a receiver of webhooks.
type hookWorld struct {
	*world
	receiver *httptest.Server
	got      chan received
	status   atomic.Int64 // with which the receiver answers
	clock    atomic.Int64 // nanoseconds that the service's clock is ahead
	jobs     *worker.JobRunner
	metadata cairn.Metadata
	retry    chan struct{}
}

// received is a request that came to the receiver.
type received struct {
	header http.Header
	body   string
}

func newHookWorld(t *testing.T) *hookWorld {
	t.Helper()
	h := &hookWorld{got: make(chan received, 100)}
	h.status.Store(200)
	var wake atomic.Pointer[worker.JobRunner]
	h.world = newWorld(t, func(o *service.Options) {
		h.metadata = o.Store.Metadata()
		o.Now = h.now
		o.Enqueued = func(kind cairn.JobKind) {
			if r := wake.Load(); r != nil {
				r.Wake(kind)
			}
		}
	})
	h.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Inside", "hush")
		w.WriteHeader(int(h.status.Load()))
		io.WriteString(w, "thanks "+strings.Repeat("x", 3000))
		h.got <- received{r.Header, string(body)}
	}))
	t.Cleanup(h.receiver.Close)
	h.retry = make(chan struct{}, 100)
	h.jobs = worker.StartJobs(worker.JobOptions{
		Metadata: h.metadata, Logger: slog.New(slog.DiscardHandler), Poll: time.Hour, Now: h.now,
		Kinds: []worker.JobKind{{Kind: service.WebhookJob, Run: h.service.DeliverWebhook, AtOnce: 4}},
		Ended: func(cairn.JobKind, worker.JobResult, time.Duration, time.Duration) { h.retry <- struct{}{} },
	})
	t.Cleanup(h.jobs.Close)
	wake.Store(h.jobs)
	return h
}

func (h *hookWorld) now() time.Time { return time.Now().Add(time.Duration(h.clock.Load())) }

// hook subscribes the receiver with a token.
func (h *hookWorld) hook(t *testing.T, token string, events ...string) (id, secret string) {
	t.Helper()
	made := h.call(t, token, "POST", "/api/v1/webhooks", object{"url": h.receiver.URL + "/in?token=x", "events": events}).want(t, 201)
	return made.at(t, "id").(string), made.at(t, "secret").(string)
}

// next is the next request that comes, which must be of that event.
func (h *hookWorld) next(t *testing.T, event string) received {
	t.Helper()
	select {
	case r := <-h.got:
		if got := r.header.Get("X-Pierre-Event"); got != event {
			t.Errorf("got event %q, want %q", got, event)
		}
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was delivered")
		return received{}
	}
}

// ended waits for a run of the job to be noted.
func (h *hookWorld) ended(t *testing.T) {
	t.Helper()
	select {
	case <-h.retry:
	case <-time.After(30 * time.Second):
		t.Fatal("no job ended")
	}
}

// verify checks a delivery as the official SDK does.
func verify(t *testing.T, r received, secret string) {
	t.Helper()
	var stamp, sum string
	for part := range strings.SplitSeq(r.header.Get("X-Pierre-Signature"), ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			stamp = value
		case "sha256":
			sum = value
		}
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + r.body))
	if want := hex.EncodeToString(mac.Sum(nil)); sum != want {
		t.Errorf("signature is %q, want %q", r.header.Get("X-Pierre-Signature"), want)
	}
	if at, err := strconv.ParseInt(stamp, 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		t.Errorf("time of the signature is %q", stamp)
	}
	if ct, ua := r.header.Get("Content-Type"), r.header.Get("User-Agent"); ct != "application/json" || ua != "Pierre-Webhook/1.0" {
		t.Errorf("content type %q, user agent %q", ct, ua)
	}
}

// moved is the payload of a push.
func (r received) moved(t *testing.T) (p struct {
	Repository struct{ ID, URL string }
	Ref        string
	Before     string
	After      string
	Customer   string `json:"customer_id"`
	PushedAt   string `json:"pushed_at"`
	Type       *string
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

const zeroID = "0000000000000000000000000000000000000000"

func TestPushesAreDelivered(t *testing.T) {
	t.Parallel()
	h := newHookWorld(t)
	r := h.repo(t, "team/app")
	_, secret := h.hook(t, r.token, "push", "push", "repo.sync.failed")
	_, orgSecret := h.hook(t, h.token(t, "", claims{"repo": nil}), "push")
	h.repo(t, "elsewhere").commit(object{"target_branch": "main"}, put("a", "x"))
	if p := h.next(t, "push"); p.moved(t).Repository.URL != "elsewhere" {
		t.Errorf("the organization's webhook got %s", p.body)
	} else {
		verify(t, p, orgSecret)
	}

	first := r.commit(object{"target_branch": "main"}, put("a", "x"))
	second := r.commit(object{"target_branch": "main"}, put("a", "y"))
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "work"}).want(t, 200)
	h.call(t, r.token, "DELETE", "/api/v1/repos/branches", object{"name": "work"}).want(t, 200)
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "e", "target_is_ephemeral": true}).want(t, 200)
	want := [][3]string{
		{"refs/heads/main", zeroID, first}, {"refs/heads/main", first, second}, {"refs/heads/work", zeroID, second},
		{"refs/heads/work", second, zeroID}, {"refs/namespaces/ephemeral/refs/heads/e", zeroID, second},
	}
	id := r.get("/api/v1/repo").want(t, 200).at(t, "repo_id").(string)
	at := map[string]int{} // by secret: each webhook has its own order
	for range 2 * len(want) {
		got := h.next(t, "push")
		by := secret
		mac := hmac.New(sha256.New, []byte(secret))
		stamp, sum, _ := strings.Cut(strings.TrimPrefix(got.header.Get("X-Pierre-Signature"), "t="), ",sha256=")
		mac.Write([]byte(stamp + "." + got.body))
		if hex.EncodeToString(mac.Sum(nil)) != sum {
			by = orgSecret
		}
		verify(t, got, by)
		p, w := got.moved(t), want[at[by]]
		at[by]++
		if p.Ref != w[0] || p.Before != w[1] || p.After != w[2] || p.Repository.ID != id || p.Repository.URL != "team/app" ||
			p.Customer != "acme" || p.Type != nil {
			t.Errorf("got %s, want %v", got.body, w)
		}
		if _, err := time.Parse("2006-01-02T15:04:05Z", p.PushedAt); err != nil {
			t.Errorf("pushed_at is %q", p.PushedAt)
		}
	}
}

func TestWebhookIsManaged(t *testing.T) {
	t.Parallel()
	h := newHookWorld(t)
	r, other := h.repo(t, "app"), h.repo(t, "other")
	org := h.token(t, "", claims{"repo": nil})
	id, secret := h.hook(t, r.token, "repo.sync.failed", "push")
	otherID, _ := h.hook(t, other.token, "push")
	orgID, _ := h.hook(t, org, "push")
	path := "/api/v1/webhooks/" + id

	got := h.call(t, r.token, "GET", path, nil).want(t, 200)
	if strings.Contains(string(got.body), secret) || got.at(t, "repository.url") != "app" || got.at(t, "active") != true ||
		fmt.Sprint(got.at(t, "events")) != "[push repo.sync.failed]" {
		t.Errorf("got %s", got.body)
	}
	list := func(token string) (ids []string) {
		for _, w := range h.call(t, token, "GET", "/api/v1/webhooks?limit=100", nil).want(t, 200).at(t, "webhooks").([]any) {
			ids = append(ids, w.(map[string]any)["id"].(string))
		}
		return ids
	}
	if got := list(r.token); len(got) != 1 || got[0] != id {
		t.Errorf("a repository's token lists %v", got)
	}
	if got := list(org); len(got) != 3 {
		t.Errorf("the organization's token lists %v", got)
	}
	page := h.call(t, org, "GET", "/api/v1/webhooks?limit=2", nil).want(t, 200)
	rest := h.call(t, org, "GET", "/api/v1/webhooks?limit=2&cursor="+page.at(t, "next_cursor").(string), nil).want(t, 200)
	if len(page.at(t, "webhooks").([]any)) != 2 || len(rest.at(t, "webhooks").([]any)) != 1 || rest.at(t, "has_more") != false {
		t.Errorf("pages: %s %s", page.body, rest.body)
	}
	// Those of others are not there.
	for _, foreign := range []string{otherID, orgID, "wh_absent", "nonsense"} {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			h.call(t, r.token, method, "/api/v1/webhooks/"+foreign, object{"active": false}).want(t, 404)
		}
	}
	// Without a repository in the token two scopes are needed.
	for _, scope := range []string{"repo:write", "org:read"} {
		h.call(t, h.token(t, "", claims{"repo": nil, "scopes": []string{scope}}), "GET", "/api/v1/webhooks", nil).want(t, 403)
	}

	changed := h.call(t, r.token, "PATCH", path, object{"url": h.receiver.URL + "/b", "events": []string{"push"}}).want(t, 200)
	if changed.at(t, "url") != h.receiver.URL+"/b" || fmt.Sprint(changed.at(t, "events")) != "[push]" {
		t.Errorf("changed to %s", changed.body)
	}
	rotated := h.call(t, r.token, "POST", path+"/rotate-secret", nil).want(t, 200).at(t, "secret").(string)
	if rotated == secret || !strings.HasPrefix(rotated, "whsec_") {
		t.Errorf("rotated to %q", rotated)
	}
	h.call(t, r.token, "POST", path+"/ping", nil).want(t, 202)
	ping := h.next(t, "ping")
	verify(t, ping, rotated)
	if !strings.Contains(ping.body, `"type":"ping"`) || !strings.Contains(ping.body, id) {
		t.Errorf("ping is %s", ping.body)
	}
	h.call(t, r.token, "DELETE", path, nil).want(t, 200)
	h.call(t, r.token, "GET", path, nil).want(t, 404)
	r.commit(object{"target_branch": "main"}, put("a", "x"))
	h.next(t, "push") // to the organization's
	h.ended(t)
	h.ended(t)
	select {
	case p := <-h.got:
		t.Errorf("the deleted webhook got %s", p.body)
	default:
	}
}

func TestWebhookInputs(t *testing.T) {
	t.Parallel()
	h := newHookWorld(t)
	r := h.repo(t, "app")
	good := object{"url": h.receiver.URL, "events": []string{"push"}}
	for name, change := range map[string]object{
		"no url": {"url": nil}, "no events": {"events": nil}, "empty events": {"events": []string{}}, "unknown event": {"events": []string{"push", "pull"}},
		"ping": {"events": []string{"ping"}}, "private": {"url": "https://10.0.0.1/"}, "metadata": {"url": "http://169.254.169.254/latest/"},
		"decimal": {"url": "http://2130706433/"}, "mapped": {"url": "http://[::ffff:10.0.0.1]/"}, "file": {"url": "file:///etc/passwd"},
		"user": {"url": "https://a:b@example.com/"}, "not a text": {"url": 7}, "long": {"url": "https://example.com/" + strings.Repeat("x", 3000)},
	} {
		body := object{}
		for k, v := range good {
			body[k] = v
		}
		for k, v := range change {
			if body[k] = v; v == nil {
				delete(body, k)
			}
		}
		if a := h.call(t, r.token, "POST", "/api/v1/webhooks", body); a.status != 400 {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	id, _ := h.hook(t, r.token, "push")
	for name, change := range map[string]object{"private": {"url": "https://10.0.0.1/"}, "empty": {"url": ""}, "no event": {"events": []string{}}} {
		if a := h.call(t, r.token, "PATCH", "/api/v1/webhooks/"+id, change); a.status != 400 {
			t.Errorf("change, %s: got %d %s", name, a.status, a.body)
		}
	}
	for range 19 {
		h.hook(t, r.token, "push")
	}
	h.call(t, r.token, "POST", "/api/v1/webhooks", good).want(t, 409)
	h.hook(t, h.token(t, "", claims{"repo": nil}), "push") // the organization's own are counted apart
}

// A receiver that fails gets the same event again, before any later one; what
// it answers is shown in part and without its header.
func TestFailedDeliveryIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHookWorld(t)
	r := h.repo(t, "app")
	id, secret := h.hook(t, r.token, "push")
	path := "/api/v1/webhooks/" + id
	h.status.Store(500)
	first := r.commit(object{"target_branch": "main"}, put("a", "x"))
	failed := h.next(t, "push")
	h.ended(t)
	second := r.commit(object{"target_branch": "main"}, put("a", "y"))
	h.quiet(t)

	list := h.call(t, r.token, "GET", path+"/deliveries", nil).want(t, 200)
	if n := len(list.at(t, "deliveries").([]any)); n != 2 {
		t.Fatalf("%d deliveries: %s", n, list.body)
	}
	log := h.call(t, r.token, "GET", path+"/deliveries/"+failed.header.Get("X-Cairn-Delivery"), nil).want(t, 200)
	if answer := log.at(t, "answer").(string); !strings.HasPrefix(answer, "thanks x") || len(answer) != 1024 || log.at(t, "status") != 500.0 ||
		log.at(t, "state") != "waiting" || log.at(t, "attempts") != 1.0 || log.at(t, "payload") != failed.body || strings.Contains(string(log.body), "hush") {
		t.Errorf("the log says %s", log.body)
	}
	if hook := h.call(t, r.token, "GET", path, nil).want(t, 200); hook.at(t, "failing_since") == nil || hook.at(t, "active") != true {
		t.Errorf("the webhook is %s", hook.body)
	}

	h.status.Store(204)
	h.call(t, r.token, "PATCH", path, object{"active": true}).want(t, 200) // tries at once
	again, next := h.next(t, "push"), h.next(t, "push")
	verify(t, again, secret)
	if again.body != failed.body || again.header.Get("X-Cairn-Delivery") != failed.header.Get("X-Cairn-Delivery") ||
		again.moved(t).After != first || next.moved(t).After != second {
		t.Errorf("got %s then %s", again.body, next.body)
	}
	h.ended(t)
	h.call(t, r.token, "POST", path+"/deliveries/"+failed.header.Get("X-Cairn-Delivery")+"/redeliver", nil).want(t, 202)
	redelivered := h.next(t, "push")
	verify(t, redelivered, secret)
	if redelivered.body != failed.body || redelivered.header.Get("X-Cairn-Delivery") == failed.header.Get("X-Cairn-Delivery") {
		t.Errorf("redelivered %s", redelivered.body)
	}
	h.call(t, r.token, "POST", path+"/deliveries/absent/redeliver", nil).want(t, 404)
}

// quiet makes sure that nothing came before it was due, nor is on its way: all
// that waits waits for later.
func (h *hookWorld) quiet(t *testing.T) {
	t.Helper()
	var jobs []cairn.Job
	err := h.metadata.View(t.Context(), func(tx cairn.Tx) (err error) {
		jobs, err = tx.Jobs().Due(service.WebhookJob, h.now().Add(time.Hour), nil, 10)
		return err
	})
	if err != nil || slices.ContainsFunc(jobs, func(j cairn.Job) bool { return j.Claim != "" || !j.DueAt.After(h.now()) }) {
		t.Errorf("an event is on its way: %+v, %v", jobs, err)
	}
	select {
	case r := <-h.got:
		t.Errorf("an event came out of turn, or too early: %s", r.body)
	default:
	}
}

func TestDeadReceiverIsPaused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		wait   time.Duration
		reason string
	}{
		"gone":            {410, 0, "gone"},
		"silent for long": {500, 3*24*time.Hour + time.Minute, "every delivery failed since"},
		"redirects":       {302, 3*24*time.Hour + time.Minute, "HTTP status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHookWorld(t)
			r := h.repo(t, "app")
			r.token = h.token(t, "app", claims{"exp": time.Now().Add(10 * 24 * time.Hour).Unix()})
			id, _ := h.hook(t, r.token, "push")
			path := "/api/v1/webhooks/" + id
			h.status.Store(int64(test.status))
			r.commit(object{"target_branch": "main"}, put("a", "1"))
			first := h.next(t, "push")
			h.ended(t)
			if test.wait > 0 {
				h.clock.Store(int64(test.wait))
				h.call(t, r.token, "PATCH", path, object{"events": []string{"push"}}).want(t, 200) // tries at once
				h.next(t, "push")
				h.ended(t)
			}
			hook := h.call(t, r.token, "GET", path, nil).want(t, 200)
			if reason, _ := hook.at(t, "paused_reason").(string); hook.at(t, "active") != false || !strings.Contains(reason, test.reason) {
				t.Fatalf("the webhook is %s", hook.body)
			}
			h.call(t, r.token, "POST", path+"/ping", nil).want(t, 409)
			r.commit(object{"target_branch": "main"}, put("a", "2")) // which it is not told of
			h.status.Store(200)
			h.call(t, r.token, "PATCH", path, object{"active": true}).want(t, 200)
			third := r.commit(object{"target_branch": "main"}, put("a", "3"))
			if got := h.next(t, "push"); got.moved(t).After != third {
				t.Errorf("after it was resumed it got %s", got.body)
			}
			log := h.call(t, r.token, "GET", path+"/deliveries/"+first.header.Get("X-Cairn-Delivery"), nil).want(t, 200)
			if log.at(t, "state") != "failed" || log.at(t, "error") == nil {
				t.Errorf("the delivery that waited is %s", log.body)
			}
		})
	}
}

// A new repository of an old name has nothing to do with the old one's
// webhooks: they go by ids.
func TestReusedNameGetsNoOldWebhooks(t *testing.T) {
	t.Parallel()
	h := newHookWorld(t)
	r := h.repo(t, "app")
	id, _ := h.hook(t, r.token, "push")
	h.call(t, r.token, "DELETE", "/api/v1/repos/delete", nil).want(t, 200)
	again := h.repo(t, "app")
	if got := again.get("/api/v1/webhooks").want(t, 200); len(got.at(t, "webhooks").([]any)) != 0 {
		t.Errorf("the new repository has %s", got.body)
	}
	again.get("/api/v1/webhooks/"+id).want(t, 404)
	again.commit(object{"target_branch": "main"}, put("a", "x"))
	h.quiet(t)
}

// Many writers at once: each write is told of once, in the order of the branch.
func TestConcurrentPushesAreDeliveredInOrder(t *testing.T) {
	t.Parallel()
	h := newHookWorld(t)
	r := h.repo(t, "app")
	h.hook(t, r.token, "push")
	const writers, each = 4, 5
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				r.commit(object{"target_branch": "main"}, put(fmt.Sprintf("%d", i), fmt.Sprint(j)))
			}
		})
	}
	tip := zeroID
	for range writers * each {
		p := h.next(t, "push").moved(t)
		if p.Before != tip {
			t.Errorf("got a push from %s, want one from %s", p.Before, tip)
		}
		tip = p.After
	}
	wg.Wait()
}
