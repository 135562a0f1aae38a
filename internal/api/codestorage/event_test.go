package codestorage_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/service"
)

// events lists the log, page by page, as "action ref" each.
func (r *repo) events(query string, limit int) (lines []string, all []object) {
	r.t.Helper()
	cursor := ""
	for range 1000 {
		path := fmt.Sprintf("/api/v1/repos/events?%s&limit=%d", query, limit)
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		page := r.get(path).want(r.t, 200)
		for _, e := range page.at(r.t, "events").([]any) {
			e := e.(object)
			line := e["action"].(string) + " " + e["ref"].(string)
			if e["ephemeral"] == true {
				line += " (ephemeral)"
			}
			lines, all = append(lines, line), append(all, e)
		}
		if page.at(r.t, "has_more") == false {
			return lines, all
		}
		cursor = page.at(r.t, "next_cursor").(string)
	}
	r.t.Fatal("the listing does not end")
	return nil, nil
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventsTellOfEveryChangeOfARef(t *testing.T) {
	t.Parallel()
	r := newWorld(t).repo(t, "team/app")
	first := r.commit(nil, put("a", "1"))
	second := r.commit(nil, put("a", "2"))
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "x", "target_is_ephemeral": true}).want(t, 200)
	middle := time.Now().UTC()
	r.post("/api/v1/repos/tags", object{"name": "v1", "target": first}).want(t, 201)
	r.post("/api/v1/repos/branches/create", object{"base_ref": first, "target_branch": "y"}).want(t, 200)
	r.delete("/api/v1/repos/branches", object{"name": "y"}).want(t, 200)
	all := []string{
		"create refs/heads/main", "update refs/heads/main", "create refs/heads/x (ephemeral)",
		"create refs/tags/v1", "create refs/heads/y", "delete refs/heads/y",
	}
	got, bodies := r.events("", 100)
	wantLines(t, "events", got, all...)
	zeros := strings.Repeat("0", 40)
	for i, want := range []object{
		{"old_sha": zeros, "new_sha": first}, {"old_sha": first, "new_sha": second}, {"old_sha": zeros, "new_sha": second},
		{"old_sha": zeros, "new_sha": first}, {"old_sha": zeros, "new_sha": first}, {"old_sha": first, "new_sha": zeros},
	} {
		want["actor"], want["kind"], want["version"] = "tester", "ref", float64(i+1)
		for k, v := range want {
			if bodies[i][k] != v {
				t.Errorf("event %d: %s = %v, want %v", i, k, bodies[i][k], v)
			}
		}
		if at, err := time.Parse(time.RFC3339, bodies[i]["at"].(string)); err != nil || time.Since(at) > time.Minute {
			t.Errorf("event %d: at = %v, %v", i, bodies[i]["at"], err)
		}
	}
	for limit := 1; limit <= 3; limit++ {
		got, _ = r.events("", limit)
		wantLines(t, fmt.Sprintf("in pages of %d", limit), got, all...)
	}
	reversed := make([]string, len(all))
	for i, line := range all {
		reversed[len(all)-1-i] = line
	}
	got, _ = r.events("order=newest", 2)
	wantLines(t, "newest first", got, reversed...)
	got, _ = r.events("ref_prefix=refs/heads/", 2)
	wantLines(t, "branches", got, all[0], all[1], all[2], all[4], all[5])
	got, _ = r.events("ref_prefix=refs/heads/&ephemeral=false", 1)
	wantLines(t, "normal branches", got, all[0], all[1], all[4], all[5])
	got, _ = r.events("ephemeral=true", 1)
	wantLines(t, "ephemeral", got, all[2])
	since := "since=" + url.QueryEscape(middle.Format(time.RFC3339Nano))
	got, _ = r.events(since, 2)
	wantLines(t, "since", got, all[3:]...)
	got, _ = r.events(since+"&order=newest", 2)
	wantLines(t, "since, newest first", got, reversed[:3]...)
	// The cursor of an event leads to what comes after it, whatever the listing.
	after := "cursor=" + url.QueryEscape(bodies[2]["cursor"].(string))
	got, _ = r.events(after, 100)
	wantLines(t, "after the third", got, all[3:]...)
	got, _ = r.events(after+"&order=newest", 100)
	wantLines(t, "before the third", got, reversed[4:]...)
}

func TestEventsRefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, other := w.repo(t, "a"), w.repo(t, "b")
	r.commit(nil, put("a", "1"))
	other.commit(nil, put("a", "1"))
	_, mine := r.events("", 1)
	cursor := url.QueryEscape(mine[0]["cursor"].(string))
	other.get("/api/v1/repos/events?cursor="+cursor).want(t, 400)
	for _, query := range []string{"order=up", "since=yesterday", "ref_prefix=main", "ephemeral=1", "limit=x", "cursor=x"} {
		r.get("/api/v1/repos/events?"+query).want(t, 400)
		if !strings.HasPrefix(query, "order") && !strings.HasPrefix(query, "limit") {
			r.get("/api/v1/repos/events?"+query, "Accept", "text/event-stream").want(t, 400)
		}
	}
	for _, header := range []string{"", "text/event-stream"} {
		w.call(t, w.token(t, "a", claims{"scopes": []string{"repo:write"}}), "GET", "/api/v1/repos/events", nil, "Accept", header).want(t, 403)
		w.call(t, w.token(t, "none", nil), "GET", "/api/v1/repos/events", nil, "Accept", header).want(t, 404)
		w.call(t, "", "GET", "/api/v1/repos/events", nil, "Accept", header).want(t, 401)
	}
}

// stream is an open stream of server-sent events.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	body   io.Closer
	header http.Header
}

// follow opens a stream and reads its first sign of life.
func (r *repo) follow(t *testing.T, address, query string, headers ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", address+"/api/v1/repos/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("status %d, content type %q", response.StatusCode, got)
	}
	s := &stream{t, bufio.NewScanner(response.Body), response.Body, response.Header}
	if alive := s.block(); alive["id"] == "" || alive["data"] != "" {
		t.Fatalf("the stream began with %q", alive)
	}
	return s
}

// block reads lines up to the next empty one; nil at the end.
func (s *stream) block() map[string]string {
	s.t.Helper()
	block := map[string]string{}
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" {
			return block
		}
		name, value, _ := strings.Cut(line, ": ")
		block[name] = value
	}
	if err := s.lines.Err(); err != nil {
		s.t.Fatal(err)
	}
	return nil
}

// want reads the next events.
func (s *stream) want(lines ...string) (last string) {
	s.t.Helper()
	for _, want := range lines {
		block := s.block()
		for block != nil && block["data"] == "" { // signs of life
			block = s.block()
		}
		var body object
		if err := json.Unmarshal([]byte(block["data"]), &body); err != nil {
			s.t.Fatalf("block %q: %v", block, err)
		}
		if got := fmt.Sprint(body["action"], " ", body["ref"]); got != want || block["id"] != body["cursor"] || block["event"] != "ref" {
			s.t.Fatalf("event %q, want %q", block, want)
		}
		last = block["id"]
	}
	return last
}

func TestEventStreamIsLiveAndResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, other := w.repo(t, "team/app"), w.repo(t, "other")
	r.commit(nil, put("a", "1"))
	live := r.follow(t, w.server.URL, "")
	branches := r.follow(t, w.server.URL, "ref_prefix=refs/heads/b&since=2020-01-01T00:00:00Z")
	other.commit(nil, put("a", "1")) // is not told
	second := r.commit(nil, put("a", "2"))
	last := live.want("update refs/heads/main")
	r.post("/api/v1/repos/branches/create", object{"base_branch": "main", "target_branch": "b"}).want(t, 200)
	live.want("create refs/heads/b")
	branches.want("create refs/heads/b")
	live.body.Close()
	r.post("/api/v1/repos/tags", object{"name": "v1", "target": second}).want(t, 201)
	again := r.follow(t, w.server.URL, "", "Last-Event-ID", last)
	again.want("create refs/heads/b", "create refs/tags/v1")
	r.follow(t, w.server.URL, "cursor="+url.QueryEscape(last)).want("create refs/heads/b", "create refs/tags/v1")
	// The end of the repository is the end of its streams.
	r.delete("/api/v1/repos/delete", nil).want(t, 200)
	w.service.EndEventStreams()
	if block := again.block(); block != nil {
		t.Errorf("after the end came %q", block)
	}
	if a := other.get("/api/v1/repos/events", "Accept", "text/event-stream"); a.status != 503 {
		t.Errorf("a stream of a stopping server: %d", a.status)
	}
}

func TestEventStreamsAreFewForEachOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *service.Options) { o.Limits.EventStreams = 2 })
	r := w.repo(t, "team/app")
	first := r.follow(t, w.server.URL, "")
	r.follow(t, w.server.URL, "")
	a := r.get("/api/v1/repos/events", "Accept", "text/event-stream").want(t, 429)
	if a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "max-event-streams") {
		t.Errorf("refused with %s, Retry-After %q", a.body, a.header.Get("Retry-After"))
	}
	first.body.Close()
	for w.service.EventStreams() > 1 { // the server sees it in its own time
		time.Sleep(time.Millisecond)
	}
	r.follow(t, w.server.URL, "")
}

// TestEventStreamOutlivesTheTimeLimitOfRequests opens a stream on a server
// whose requests may take a moment only.
func TestEventStreamOutlivesTheTimeLimitOfRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.repo(t, "team/app")
	const limit = 300 * time.Millisecond
	server := httptest.NewUnstartedServer(api.Edge(codestorage.New(w.service, codestorage.Options{}), api.EdgeOptions{
		Logger: slog.New(slog.DiscardHandler), Timeout: limit, Gate: admission.New(admission.Options{}), Pace: api.Pace{Stall: limit, Rate: 1 << 20},
	}))
	server.Config.ReadTimeout = limit
	server.EnableHTTP2 = true
	server.Start()
	t.Cleanup(server.Close)
	s := r.follow(t, server.URL, "")
	began := time.Now()
	for i := 0; time.Since(began) < 3*limit; i++ {
		r.commit(nil, put("a", fmt.Sprint(i)))
		if i == 0 {
			s.want("create refs/heads/main")
		} else {
			s.want("update refs/heads/main")
		}
		time.Sleep(limit / 4)
	}
}
