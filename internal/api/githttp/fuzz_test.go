package githttp_test

import (
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/service"
)

// FuzzSession sends any bytes to both services. Whatever they are, the session
// ends, and what a token may not see does not appear.
func FuzzSession(f *testing.F) {
	s := start(f)
	s.create("r")
	local := gittest.Init(f)
	id := local.Commit("main", "first", gittest.Files{"a": "1"})
	hidden := local.Commit("hidden", "hidden", gittest.Files{"b": "2"})
	must(f, local.Dir, "push", s.remote("r", ""), "main")
	must(f, local.Dir, "push", s.remote("r", "+ephemeral"), "hidden")
	pack := string(packOf(f, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...))
	for _, seed := range []string{
		"", "0000", lines("command=ls-refs", "0001", "peel", "symrefs", "unborn", "ref-prefix refs/", "0000"),
		lines("command=fetch", "0001", "want "+id, "done", "0000"),
		lines("command=fetch", "0001", "want "+id, "have "+id, "shallow "+id, "deepen 1", "filter tree:1", "include-tag", "thin-pack", "0000"),
		lines("command=fetch", "0001", "want-ref refs/heads/main", "deepen-since 1", "deepen-not refs/heads/main", "done", "0000"),
		lines("command=object-info", "0001", "size", "oid "+id, "0000"),
		lines("want "+id+" multi_ack_detailed side-band-64k no-done filter", "filter blob:none", "deepen 1", "0000", "have "+id, "done"),
		lines(zero+" "+id+" refs/heads/x\x00 report-status-v2 side-band-64k atomic push-options", "0000", "option", "0000") + pack,
		lines(id+" "+zero+" refs/heads/main\x00 report-status delete-refs", "0000"),
	} {
		for kind := range uint8(3) {
			f.Add(kind, seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, body string) {
		push := kind%3 == 2
		session, err := s.service.OpenGit(t.Context(), s.admin, "r", service.NormalRemote, push)
		check(t, err)
		defer session.Close()
		var answer strings.Builder
		if push {
			_ = session.ReceivePack(t.Context(), strings.NewReader(body), &answer)
		} else {
			_ = session.UploadPack(t.Context(), strings.NewReader(body), &answer, int(kind%3)*2)
		}
		if text := answer.String(); strings.Contains(text, "internal error") {
			t.Errorf("%q", text)
		} else if strings.Contains(text, hidden) && !strings.Contains(body, hidden) {
			t.Errorf("a hidden commit is told: %q", text)
		}
	})
}
