package githttp_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// noisy makes a repository of one commit with a file of that many bytes which
// do not compress.
func noisy(t *testing.T, size int) *gittest.Repo {
	t.Helper()
	content := make([]byte, size)
	_, err := rand.NewChaCha8([32]byte{}).Read(content)
	check(t, err)
	local := gittest.Init(t)
	local.Commit("main", "first", gittest.Files{"noise": string(content)})
	return local
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after half a minute it is not so that %s", what)
		}
	}
}

// TestClientThatLeavesAPushLeavesNothing has a client send half of a large pack
// and go away.
func TestClientThatLeavesAPushLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := noisy(t, 4<<20)
	tip := local.RevParse("main")
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	body := lines(zero+" "+tip+" refs/heads/main\x00 report-status", "0000") + string(pack)
	host := strings.TrimPrefix(s.url, "http://")
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
	check(t, err)
	_, err = fmt.Fprintf(conn, "POST /r.git/git-receive-pack HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: %d\r\n\r\n%s",
		host, s.token("r"), len(body), body[:len(body)/2])
	check(t, err)
	eventually(t, "the pack is spooled to a file", func() bool { return len(s.leftovers()) > 0 })
	check(t, conn.Close())
	eventually(t, "the file is gone", func() bool { return len(s.leftovers()) == 0 })
	eventually(t, "the request has ended", func() bool { return s.gate.Stats().Requests == 0 })
	must(t, local.Dir, "push", s.remote("r", ""), "main")
}

// TestClientThatLeavesAfterItsPackLeavesNothing has a client send all and go
// away while the server checks it.
func TestClientThatLeavesAfterItsPackLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := s.create("r")
	local := noisy(t, 2<<20)
	tip := local.RevParse("main")
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	session, err := s.service.OpenGit(t.Context(), s.admin, "r", 0, true)
	check(t, err)
	ctx, leave := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader(lines(zero+" "+tip+" refs/heads/main\x00 report-status", "0000")+string(pack)), atEnd(leave))
	if err := session.ReceivePack(ctx, body, io.Discard); err == nil {
		t.Error("the push of a client that has left succeeded")
	}
	session.Close()
	if list := s.leftovers(); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
	if refs := s.snapshot(key).Refs(); len(refs) > 0 {
		t.Errorf("refs are %v", refs)
	}
}

// atEnd is an empty reader that calls a function when it is read.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// TestRefusedPushIsReadToItsEnd pushes what is refused long before all of it is
// sent: stock git, which reads only when it has sent all, shows why.
func TestRefusedPushIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.odb.Push = odb.PushLimits{PackSize: 1 << 20} })
	s.create("r")
	local := noisy(t, 6<<20)
	for _, post := range []string{"65536", "100000000"} {
		refused(t, local.Dir, []string{"unpack failed", "pack size", "[remote rejected]"}, "-c", "http.postBuffer="+post, "push", s.remote("r", ""), "main")
	}
	if list := s.leftovers(); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}
