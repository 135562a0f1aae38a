package codestorage_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// write sends a write with an idempotency key.
func (r *repo) write(key, method, path string, body any) answer {
	r.t.Helper()
	return r.call(r.t, r.token, method, path, body, "Idempotency-Key", key)
}

func (r *repo) commits() int {
	r.t.Helper()
	return len(r.get("/api/v1/repos/commits?limit=100").want(r.t, 200).at(r.t, "commits").([]any))
}

func wantReplay(t *testing.T, first, again answer) {
	t.Helper()
	if again.status != first.status || string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("asked again: %d %s (replayed: %q)\nfirst: %d %s", again.status, again.body, again.header.Get("Idempotent-Replayed"), first.status, first.body)
	}
	if first.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first answer says that it is not the first")
	}
}

func TestWritesWithAKeyHappenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := &repo{world: w, t: t, name: "team/app", token: w.token(t, "team/app", nil)}
	made := r.write("k", "POST", "/api/v1/repos", object{}).want(t, 201)
	wantReplay(t, made, r.write("k", "POST", "/api/v1/repos", object{}))
	r.write("other", "POST", "/api/v1/repos", object{}).want(t, 409)

	// The same key is another one for another route.
	body := pack(nil, put("a", "1"))
	first := r.write("k", "POST", "/api/v1/repos/commit-pack", body).want(t, 201)
	wantReplay(t, first, r.write("k", "POST", "/api/v1/repos/commit-pack", body))
	if n := r.commits(); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	r.write("k", "POST", "/api/v1/repos/commit-pack", pack(nil, put("a", "2"))).want(t, 422)
	r.write("k2", "POST", "/api/v1/repos/commit-pack", body).want(t, 201)
	r.post("/api/v1/repos/commit-pack", body).want(t, 201)
	if n := r.commits(); n != 3 {
		t.Errorf("%d commits, want 3", n)
	}

	// A body that is longer than what is read at once.
	long := make([]byte, 3<<20)
	if _, err := rand.Read(long); err != nil {
		t.Fatal(err)
	}
	body = pack(nil, put("long", string(long)))
	first = r.write("long", "POST", "/api/v1/repos/commit-pack", body).want(t, 201)
	wantReplay(t, first, r.write("long", "POST", "/api/v1/repos/commit-pack", body))
	r.write("long", "POST", "/api/v1/repos/commit-pack", body+"\n").want(t, 422)

	create := object{"base_branch": "main", "target_branch": "x"}
	first = r.write("b", "POST", "/api/v1/repos/branches/create", create).want(t, 200)
	dropped := r.write("b", "DELETE", "/api/v1/repos/branches", object{"name": "x"}).want(t, 200)
	wantReplay(t, first, r.write("b", "POST", "/api/v1/repos/branches/create", create))
	wantReplay(t, dropped, r.write("b", "DELETE", "/api/v1/repos/branches", object{"name": "x"}))
	r.get(r.preferred("/branch?name=x")).want(t, 404)

	r.post("/api/v1/repos/tags", object{"name": "v1", "ref": "main"}).want(t, 201)
	r.post("/api/v1/repos/tags", object{"name": "v2", "ref": "main"}).want(t, 201)
	first = r.write("t", "DELETE", r.preferred("/tags/v1"), nil).want(t, 200)
	wantReplay(t, first, r.write("t", "DELETE", r.preferred("/tags/v1"), nil))
	r.write("t", "DELETE", r.preferred("/tags/v2"), nil).want(t, 422)
	r.get(r.preferred("/tag?name=v2")).want(t, 200)
	r.write(strings.Repeat("k", 256), "DELETE", r.preferred("/tags/v2"), nil).want(t, 400)

	first = r.write("d", "DELETE", "/api/v1/repos/delete", nil).want(t, 200)
	wantReplay(t, first, r.write("d", "DELETE", "/api/v1/repos/delete", nil))
}

// TestEveryWriteTakesAKey sends each write that succeeds twice, with one key.
func TestEveryWriteTakesAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, p := range newProbes(t, w) {
		if !p.Writes || p.status >= 400 || p.Operation == "DELETE repos/{repo}/base" { // that changes nothing without an upstream
			continue
		}
		token := w.token(t, p.name, nil)
		first := p.send(t, token, p.name, "Idempotency-Key", "k").want(t, p.status)
		again := p.send(t, token, p.name, "Idempotency-Key", "k")
		if secret := strings.Contains(string(first.body), `"secret":`); secret || p.Secret {
			if !secret || !p.Secret || again.status != 200 || !strings.Contains(string(again.body), "is not kept") {
				t.Errorf("%s %s: a secret that is %t: asked again %d %s", p.Method, p.Pattern, secret, again.status, again.body)
			}
			continue
		}
		if again.status != first.status || string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s %s: first %d %s\nagain %d %s", p.Method, p.Pattern, first.status, first.body, again.status, again.body)
		}
	}
}

// TestReadsIgnoreKeys sends them the key of a request that is under way.
func TestReadsIgnoreKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, p := range newProbes(t, w) {
		token := w.token(t, p.name, nil)
		who, err := w.service.Authenticate(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		attempt, err := w.service.BeginAttempt(who, cairn.RepositoryName(p.name), p.Operation, "k")
		if err != nil {
			t.Fatal(err)
		}
		want := p.status
		if p.Writes {
			want = 409
		}
		if a := p.send(t, token, p.name, "Idempotency-Key", "k"); a.status != want {
			t.Errorf("%s %s: %d %s, want %d", p.Method, p.Pattern, a.status, a.body, want)
		}
		attempt.Close()
	}
}

// TestWhatFailedIsNotRemembered asks again after the reason is gone.
func TestWhatFailedIsNotRemembered(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "team/app")
	first := r.commit(nil, put("a", "1"))
	create := object{"base_branch": "later", "target_branch": "x"}
	r.write("k", "POST", "/api/v1/repos/branches/create", create).want(t, 404)
	r.write("k", "POST", "/api/v1/repos/commit-pack", "{").want(t, 400)
	r.post("/api/v1/repos/branches/create", object{"base_ref": first, "target_branch": "later"}).want(t, 200)
	r.write("k", "POST", "/api/v1/repos/branches/create", create).want(t, 200)
	r.write("k", "POST", "/api/v1/repos/commit-pack", pack(nil, put("a", "2"))).want(t, 201)
}

// TestIdempotencyKeysAreNotShared: nobody gets the answer to another one's
// request by its key.
func TestIdempotencyKeysAreNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, other := w.repo(t, "team/app"), w.repo(t, "other")
	body := pack(nil, put("a", "1"))
	first := r.write("k", "POST", "/api/v1/repos/commit-pack", body).want(t, 201)
	evil := w.addOrganization(t, "evil")
	foreign := sign(t, evil, "evil", "team/app", nil)
	if a := w.call(t, foreign, "POST", "/api/v1/repos/commit-pack", body, "Idempotency-Key", "k"); a.status != 404 {
		t.Errorf("another organization: %d %s", a.status, a.body)
	}
	if a := other.write("k", "POST", "/api/v1/repos/commit-pack", body).want(t, 201); a.header.Get("Idempotent-Replayed") != "" {
		t.Error("another repository got the answer")
	}
	somebody := w.token(t, "team/app", claims{"sub": "somebody"})
	if a := w.call(t, somebody, "POST", "/api/v1/repos/commit-pack", body, "Idempotency-Key", "k").want(t, 201); a.header.Get("Idempotent-Replayed") != "" {
		t.Error("another subject got the answer")
	}
	reader := w.token(t, "team/app", claims{"scopes": []string{"git:read"}})
	w.call(t, reader, "POST", "/api/v1/repos/commit-pack", body, "Idempotency-Key", "k").want(t, 422)
	w.call(t, "", "POST", "/api/v1/repos/commit-pack", body, "Idempotency-Key", "k").want(t, 401)
	wantReplay(t, first, r.write("k", "POST", "/api/v1/repos/commit-pack", body))
}

func TestOneRequestOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "team/app")
	body := pack(nil, put("a", "1"))
	in, out := io.Pipe()
	done := make(chan answer)
	go func() { done <- r.write("k", "POST", "/api/v1/repos/commit-pack", in) }()
	// When this much is sent, more than lies in any buffer, the server is at it.
	blanks := strings.Repeat(" ", 4<<20) + "\n"
	for range 8 {
		if _, err := io.WriteString(out, blanks); err != nil {
			t.Fatal(err)
		}
	}
	body = strings.Repeat(blanks, 8) + body
	second := r.write("k", "POST", "/api/v1/repos/commit-pack", "{").want(t, 409)
	if second.header.Get("Retry-After") == "" {
		t.Errorf("a second request at the same time: %s without Retry-After", second.body)
	}
	if _, err := io.WriteString(out, body[8*len(blanks):]); err != nil {
		t.Fatal(err)
	}
	out.Close()
	first := (<-done).want(t, 201)
	wantReplay(t, first, r.write("k", "POST", "/api/v1/repos/commit-pack", body))
}

// TestCommitsOfOneBatchHaveTheirOwnKeys writes to one branch from many sides,
// each request twice.
func TestCommitsOfOneBatchHaveTheirOwnKeys(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "team/app")
	r.commit(nil, put("a", "1"))
	const writers = 32
	var all sync.WaitGroup
	answers := make([]answer, writers)
	send := func(i int) answer {
		key := fmt.Sprint("k", i)
		if i%4 == 3 {
			return r.post("/api/v1/repos/commit-pack", pack(nil, put(fmt.Sprint(i), "x"))) // without one
		}
		return r.write(key, "POST", "/api/v1/repos/commit-pack", pack(nil, put(fmt.Sprint(i), "x")))
	}
	for i := range writers {
		all.Go(func() { answers[i] = send(i) })
	}
	all.Wait()
	for i := range writers {
		answers[i].want(t, 201)
		if i%4 != 3 {
			wantReplay(t, answers[i], send(i))
		}
	}
	if n := r.commits(); n != writers+1 {
		t.Errorf("%d commits, want %d", n, writers+1)
	}
}

func TestIdempotencyKeysAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(o *service.Options) { o.Now = func() time.Time { return now } })
	r := w.repo(t, "team/app")
	body := pack(nil, put("a", "1"))
	r.write("k", "POST", "/api/v1/repos/commit-pack", body).want(t, 201)
	now = now.Add(25 * time.Hour)
	r.token = w.token(t, "team/app", claims{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	if a := r.write("k", "POST", "/api/v1/repos/commit-pack", body).want(t, 201); a.header.Get("Idempotent-Replayed") != "" {
		t.Error("the key is still known after a day")
	}
	if n := r.commits(); n != 2 {
		t.Errorf("%d commits, want 2", n)
	}
}
