package client_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"os"
	"path/filepath"

	"github.com/cairn-storage/cairn/client"
)

// flaky is a server that fails some times before it answers.
type flaky struct {
	mu     sync.Mutex
	fail   func(w http.ResponseWriter) // nil: it does not
	times  int
	keys   []string
	bodies []string
	reply  string
}

// ServeHTTP answers every request alike.
func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = append(f.keys, r.Header.Get("Idempotency-Key"))
	f.bodies = append(f.bodies, string(body))
	if f.times > 0 {
		f.times--
		f.fail(w)
		return
	}
	fmt.Fprint(w, f.reply)
}

func (f *flaky) client(t *testing.T) *client.Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/", client.WithToken("x"), client.WithRetries(2))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unavailable(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(w, `{"error":"busy"}`)
}

func broken(w http.ResponseWriter) { panic(http.ErrAbortHandler) }

func refused(w http.ResponseWriter) {
	w.WriteHeader(http.StatusConflict)
	fmt.Fprint(w, `{"error":"taken"}`)
}

func TestRequestsAreSentAgain(t *testing.T) {
	t.Parallel()
	commit := func(c *client.Client, change client.Change) error {
		_, err := c.Repo("r").Commit(t.Context(), client.NewCommit{Branch: "main", Message: "m", Author: ada, Changes: []client.Change{change}})
		return err
	}
	read := func(c *client.Client) error { _, err := c.Repo("r").Describe(t.Context()); return err }
	write := func(c *client.Client) error { return c.Repo("r").DeleteTag(t.Context(), "v1") }
	for name, test := range map[string]struct {
		fail    func(http.ResponseWriter)
		times   int
		do      func(*client.Client) error
		sent    int
		succeed bool
	}{
		"a read of a busy server":         {unavailable, 2, read, 3, true},
		"a read that breaks off":          {broken, 1, read, 2, true},
		"a read that never works":         {unavailable, 9, read, 3, false},
		"a refused read":                  {refused, 9, read, 1, false},
		"a write to a busy server":        {unavailable, 2, write, 3, true},
		"a write that breaks off":         {broken, 1, write, 2, true},
		"a refused write":                 {refused, 9, write, 1, false},
		"a commit of bytes":               {unavailable, 2, func(c *client.Client) error { return commit(c, client.PutString("a", "a")) }, 3, true},
		"a commit of what can be rewound": {unavailable, 1, func(c *client.Client) error { return commit(c, client.PutReader("a", strings.NewReader("a"))) }, 2, true},
		"a commit of a stream": {unavailable, 1, func(c *client.Client) error {
			return commit(c, client.PutReader("a", io.MultiReader(strings.NewReader("a"))))
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &flaky{fail: test.fail, times: test.times, reply: "{}"}
			err := test.do(f.client(t))
			f.mu.Lock()
			defer f.mu.Unlock()
			if (err == nil) != test.succeed || len(f.keys) != test.sent {
				t.Errorf("%v after %d requests", err, len(f.keys))
			}
			isRead := strings.Contains(name, "read")
			if len(slices.Compact(slices.Clone(f.keys))) != 1 || (f.keys[0] == "") != isRead {
				t.Errorf("the keys are %q", f.keys)
			}
			if len(slices.Compact(slices.Clone(f.bodies))) != 1 {
				t.Errorf("the bodies differ: %q", f.bodies)
			}
		})
	}
}

func TestCancelledRequestIsNotSentAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flaky{fail: func(w http.ResponseWriter) { cancel(); unavailable(w) }, times: 9}
	if _, err := f.client(t).Repo("r").Describe(ctx); err == nil || len(f.keys) != 1 {
		t.Errorf("%v after %d requests", err, len(f.keys))
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	t.Parallel()
	all := []error{
		client.ErrInvalid, client.ErrUnauthenticated, client.ErrDenied, client.ErrNotFound, client.ErrConflict, client.ErrGuard, client.ErrTooLarge, client.ErrUnavailable,
	}
	for _, test := range []struct {
		status int
		body   string
		want   []error
	}{
		{400, `{"error":"x"}`, []error{client.ErrInvalid}},
		{401, `{"error":"x"}`, []error{client.ErrUnauthenticated}},
		{403, `{"error":"x"}`, []error{client.ErrDenied}},
		{404, `{"error":"x"}`, []error{client.ErrNotFound}},
		{409, `{"error":"x"}`, []error{client.ErrConflict}},
		{409, `{"error":"x","result":{"status":"precondition_failed"}}`, []error{client.ErrConflict, client.ErrGuard}},
		{409, `{"error":"x","conflict_type":"target_moved"}`, []error{client.ErrConflict, client.ErrGuard}},
		{412, `{"error":"x"}`, []error{client.ErrConflict, client.ErrGuard}},
		{413, `{"error":"x"}`, []error{client.ErrTooLarge}},
		{500, `<html>`, nil},
	} {
		f := &flaky{times: 9, fail: func(w http.ResponseWriter) { w.WriteHeader(test.status); fmt.Fprint(w, test.body) }}
		_, err := f.client(t).Repo("r").Describe(t.Context())
		for _, kind := range all {
			if errors.Is(err, kind) != slices.Contains(test.want, kind) {
				t.Errorf("%d %s: errors.Is(%v) = %v", test.status, test.body, kind, errors.Is(err, kind))
			}
		}
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != test.status || refused.Message == "" {
			t.Errorf("%d: %v", test.status, err)
		}
	}
}

func TestFollowGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		switch len(asked) {
		case 1:
			fmt.Fprint(w, ": alive\nid: c0\n\nid: c1\nevent: ref\ndata: {\"ref\":\"a\"}\n\nid: c2\ndata: {\"ref\":\"b\"}")
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			fmt.Fprint(w, "id:c2\ndata:{\"ref\":\ndata:\"b\"}\n\n")
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	c, err := client.New(server.URL, client.WithToken("x"))
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for e, err := range c.Repo("r").Follow(t.Context(), client.EventsQuery{After: "begin"}) {
		if err != nil {
			if !errors.Is(err, client.ErrDenied) {
				t.Error(err)
			}
			break
		}
		refs = append(refs, e.Ref)
	}
	// The event that was cut off in the middle comes again, whole.
	if !slices.Equal(refs, []string{"a", "b"}) || !slices.Equal(asked, []string{"begin", "c1", "c1", "c2"}) {
		t.Errorf("refs %q after questions %q", refs, asked)
	}
}

func TestDeliveriesAreVerified(t *testing.T) {
	t.Parallel()
	const secret, body = "s3cret", `{"ref":"refs/heads/main","repository":{"url":"team/app"}}`
	sign := func(at time.Time, secret, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
		return fmt.Sprintf("t=%d,sha256=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
	}
	now := time.Now()
	for name, test := range map[string]struct {
		signature string
		good      bool
	}{
		"good":            {sign(now, secret, body), true},
		"a minute old":    {sign(now.Add(-time.Minute), secret, body), true},
		"too old":         {sign(now.Add(-6*time.Minute), secret, body), false},
		"of the future":   {sign(now.Add(2*time.Minute), secret, body), false},
		"another secret":  {sign(now, "other", body), false},
		"another body":    {sign(now, secret, body+" "), false},
		"another time":    {strings.Replace(sign(now, secret, body), "t=", "t=1", 1), false},
		"nothing":         {"", false},
		"no time":         {"sha256=00", false},
		"no hexadecimals": {fmt.Sprintf("t=%d,sha256=zz", now.Unix()), false},
		"an empty sum":    {fmt.Sprintf("t=%d,sha256=", now.Unix()), false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Pierre-Signature", test.signature)
		r.Header.Set("X-Pierre-Event", "push")
		d, err := client.ReadDelivery(r, secret)
		if (err == nil) != test.good || err != nil && !errors.Is(err, client.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		if test.good {
			if push, err := d.Push(); err != nil || push.Repository.URL != "team/app" || !bytes.Equal(d.Body, []byte(body)) {
				t.Errorf("%s: %+v, %v", name, push, err)
			}
		}
	}
}

func TestKeySignsOneTokenForEachNeed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tokens := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tokens[r.Header.Get("Authorization")]++
		fmt.Fprint(w, "{}")
	}))
	defer server.Close()
	signer, err := client.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(server.URL, client.WithKey("acme", signer))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, name := range []string{"a", "b"} {
			if _, err := c.Repo(name).Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.Repo(name).DeleteTag(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, "tokens", len(tokens), 4)
	remote := must[string](t)(c.Repo("team/a").RemoteURL(t.Context(), client.ScopeGitRead))
	if !strings.HasPrefix(remote, "http://t:ey") || !strings.HasSuffix(remote, "/team/a.git") {
		t.Errorf("remote %s", remote)
	}
	if _, err := client.New(server.URL); err == nil {
		t.Error("a client without a credential is made")
	}
}

// TestEveryMethodIsTested finds each method of the client in its tests.
func TestEveryMethodIsTested(t *testing.T) {
	t.Parallel()
	text := ""
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, "../internal/server/admin_test.go", "../internal/server/tenant_test.go") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	for _, of := range []any{&client.Client{}, &client.Repo{}, &client.Operator{}} {
		for i := range reflect.TypeOf(of).NumMethod() {
			name := reflect.TypeOf(of).Method(i).Name
			if !regexp.MustCompile(`\.` + name + `\(`).MatchString(text) {
				t.Errorf("no test calls %T.%s", of, name)
			}
		}
	}
}
