package githttp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// occupy begins a request of the server's organization that holds a slot until
// the function that it returns is called.
func (s *server) occupy() (leave func()) {
	s.t.Helper()
	ctx, r, err := s.gate.Arrive(context.Background())
	check(s.t, err)
	check(s.t, admission.Claim(ctx, string(s.admin.Organization.ID)))
	check(s.t, admission.Enter(ctx, admission.Fetch))
	return r.Leave
}

// wait begins a request of the organization that waits for a slot.
func (s *server) wait() (leave func()) {
	s.t.Helper()
	ctx, r, err := s.gate.Arrive(context.Background())
	check(s.t, err)
	check(s.t, admission.Claim(ctx, string(s.admin.Organization.ID)))
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = admission.Enter(ctx, admission.Fetch)
	}()
	for admission.Full(ctx) == nil {
		time.Sleep(time.Millisecond)
	}
	return func() { cancel(); <-ended; r.Leave() }
}

// TestGitShowsWhyTheQueueIsFull: git is refused at its first request, with a
// status and a text that it shows.
func TestGitShowsWhyTheQueueIsFull(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.gate = admission.Options{Slots: 2, TenantSlots: 1, Queue: 1, Wait: time.Hour} })
	local := work(t, s, "r", "protocol.version=2")
	leave := s.occupy()
	stop := s.wait()
	local.Commit("main", "more", gittest.Files{"more": "1"})
	const full = "remote: the organization has 1 heavy operations at work and 1 waiting"
	refused(t, t.TempDir(), []string{full, "429"}, "clone", s.remote("r", ""), "x")
	refused(t, local.Dir, []string{full, "429"}, "push", s.remote("r", ""), "main")
	stop()
	leave()
	must(t, local.Dir, "push", s.remote("r", ""), "main")
	if got := s.gate.Stats(); got.Slots != 0 {
		t.Errorf("%d slots are in use afterwards", got.Slots)
	}
}

// TestGitShowsThatNoSlotBecameFree: git is told in the protocol. Of an answer
// to a later request with an unhappy status it would show the number only.
func TestGitShowsThatNoSlotBecameFree(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.gate = admission.Options{Slots: 2, TenantSlots: 1, Wait: 50 * time.Millisecond} })
	local := work(t, s, "r", "protocol.version=2")
	t.Cleanup(s.occupy())
	local.Commit("main", "more", gittest.Files{"more": "1"})
	const reason = "the organization has 1 heavy operations at work and " // how many wait depends on the test beside this one
	protocols(t, func(t *testing.T, version string) {
		refused(t, t.TempDir(), []string{"remote error: " + reason, "try again in"}, "-c", version, "clone", s.remote("r", ""), "x")
		refused(t, local.Dir, []string{"[remote rejected]", reason}, "-c", version, "push", s.remote("r", ""), "main")
	})
}

// TestListingRefsNeedsNoSlot: what is cheap goes on while heavy operations
// queue.
func TestListingRefsNeedsNoSlot(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.gate = admission.Options{Slots: 1, TenantSlots: 1} })
	work(t, s, "r", "protocol.version=2")
	defer s.occupy()()
	status, text := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader(lines("command=ls-refs", "0000")), "Git-Protocol", "version=2")
	if status != http.StatusOK || !strings.Contains(text, "refs/heads/main") {
		t.Errorf("status %d: %s", status, text)
	}
}
