package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestKillBeforeAndDuringDelivery kills the server with SIGKILL when commits and
// changes were acknowledged whose webhooks have not been told, and while they are
// being told of one. Each is told of at least once after it, and commits in order.
func TestKillBeforeAndDuringDelivery(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--egress-allow", "127.0.0.0/8")
	r := newReceiver(t)
	tips := map[string]string{"hooked0": "", "hooked1": ""}
	for repo := range tips {
		s.createRepository(repo)
		status, err := s.call(t.Context(), "POST", "/api/v1/webhooks", repo, strings.NewReader(fmt.Sprintf(`{"url":%q,"events":["push"]}`, r.URL)), nil)
		if err != nil || status != http.StatusCreated {
			t.Fatalf("subscribe: %d %v", status, err)
		}
	}
	m := newMesaClient(s)
	s.createRepository("changed")
	var found struct{ ID string }
	m.call("GET", "acme/changed", "", &found)
	m.call("POST", "acme/webhook-targets", fmt.Sprintf(`{"url":%q,"events":["change.created"],"repo_ids":[%q]}`, r.URL, found.ID), nil)
	var changes []string // that were acknowledged
	for cycle := range 6 {
		during := cycle%2 == 1
		r.hold(during)
		for i := range 4 {
			for repo := range tips {
				answer, status, err := s.commit(t.Context(), repo, "main", tips[repo], fmt.Sprint("f", i), fmt.Appendf(nil, "%d %d", cycle, i))
				if err != nil || !answer.Result.Success {
					t.Fatalf("commit to %s: %d %+v %v", repo, status, answer, err)
				}
				tips[repo] = answer.Result.NewSHA
			}
			var made struct{ ID string }
			m.call("POST", "acme/changed/changes", `{"base_change_id":"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}`, &made)
			changes = append(changes, made.ID)
		}
		if during {
			r.wait("a delivery under way for each", func() bool { return len(r.holding) == len(tips)+1 })
		}
		s.stop(syscall.SIGKILL)
		r.hold(false)
		s.start()
		r.wait("the changes", func() bool {
			return !slices.ContainsFunc(changes, func(id string) bool { return !r.changes[id] })
		})
		r.wait("the tips", func() bool {
			for repo, tip := range tips {
				if r.last[repo].After != tip {
					return false
				}
			}
			return true
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for repo := range tips {
		if r.again[repo] == 0 {
			t.Errorf("no delivery to %s was made again: none was interrupted", repo)
		}
	}
}

// receiver takes deliveries. It holds that each repository's come in order, and
// that none is left out.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	changed chan struct{}     // closed and made anew when something changes
	last    map[string]pushed // of each repository
	changes map[string]bool   // that were told of
	again   map[string]int    // how many came again
	held    chan struct{}     // while it is open nobody is answered; nil: all are
	holding map[string]bool   // the repositories that wait for an answer
}

// pushed is what a delivery tells.
type pushed struct {
	Delivery   string
	Repository struct{ URL string }
	Before     string
	After      string
	Data       struct{ Change struct{ ID string } } // of the Mesa API
}

// mesaClient calls the Mesa API with a key for everything.
type mesaClient struct {
	*server
	key string
}

func newMesaClient(s *server) mesaClient {
	s.t.Helper()
	lines := strings.Fields(s.cairn("api-key", "create", "--org", "acme", "--scope", "admin"))
	return mesaClient{s, lines[len(lines)-1]}
}

// call asks for a path below /v1/, which must go well.
func (m mesaClient) call(method, path, body string, into any) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), method, m.url("/v1/"+path), strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+m.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		m.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = errors.New(response.Status)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		m.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, changed: make(chan struct{}), last: map[string]pushed{}, changes: map[string]bool{}, again: map[string]int{}, holding: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	t.Cleanup(func() { r.hold(false) })
	return r
}

// ServeHTTP takes a delivery, and answers it unless answers are held.
func (r *receiver) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	p := pushed{Delivery: request.Header.Get("X-Cairn-Delivery")}
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		return // the server was killed while it sent
	}
	repo := p.Repository.URL
	r.mu.Lock()
	switch last, ok := r.last[repo]; {
	case p.Data.Change.ID != "":
		r.changes[p.Data.Change.ID] = true
	case ok && p == last:
		r.again[repo]++
	case ok && p.Before != last.After, !ok && strings.Trim(p.Before, "0") != "":
		r.t.Errorf("%s: told of %s on %s after %s", repo, p.After, p.Before, last.After)
	}
	if p.Data.Change.ID == "" {
		r.last[repo] = p
	}
	held := r.held
	if held != nil {
		r.holding[repo] = true
	}
	r.tell()
	r.mu.Unlock()
	if held != nil {
		<-held
	}
}

// tell wakes who waits; with mu held.
func (r *receiver) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// hold begins or ends to let deliveries wait for their answers.
func (r *receiver) hold(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil {
		close(r.held)
		r.held = nil
	}
	clear(r.holding)
	if on {
		r.held = make(chan struct{})
	}
}

// wait waits until a condition, which is looked at with mu held, is true.
func (r *receiver) wait(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		r.mu.Lock()
		met, changed := condition(), r.changed
		r.mu.Unlock()
		if met {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}
