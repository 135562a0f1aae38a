package cairn

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want Kind
	}{
		{"for the caller", Errorf(Invalid, "bad"), Invalid},
		{"wrapped", fmt.Errorf("open: %w", Errorf(NotFound, "none")), NotFound},
		{"outermost", Errorf(Denied, "no: %w", Errorf(NotFound, "none")), Denied},
		{"kind alone", fmt.Errorf("metadata store: %w", Unavailable), Unavailable},
		{"disk full", fmt.Errorf("write: %w", syscall.ENOSPC), Unavailable},
		{"anything else", errors.New("boom"), Internal},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if !errors.Is(fmt.Errorf("x: %w", Errorf(Conflict, "moved")), Conflict) {
		t.Error("an Error is not its Kind")
	}
}

func TestParseRepositoryName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "team/app", "A.b_c-d", "x/y/z", "größe", "a+b", "org"} {
		if got, err := ParseRepositoryName(good); err != nil || string(got) != good {
			t.Errorf("%q: %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", "..", "a/../b", ".git", "a.git", "a/.hidden", "-x", "a b", "a\\b", "a%2fb",
		"a\x00", "a\n", "a\u200bb", "a\u202eb", "x+ephemeral", "x+import", "a.lock", "a.", "\xff"} {
		if got, err := ParseRepositoryName(bad); KindOf(err) != Invalid {
			t.Errorf("%q: %q, %v, want Invalid", bad, got, err)
		}
	}
}

func TestPolicyFirstMatchDecides(t *testing.T) {
	t.Parallel()
	p := RefPolicy{{"refs/heads/main", []RefOp{NoPush}}, {"refs/heads/agents/*", nil}, {"*", []RefOp{NoForcePush}}}
	for _, c := range []struct {
		op   RefOp
		ref  string
		want bool
	}{
		{NoPush, "refs/heads/main", true}, {NoForcePush, "refs/heads/main", false}, {NoForcePush, "refs/heads/agents/a/b", false},
		{NoForcePush, "refs/heads/agents", true}, {NoForcePush, "refs/tags/v1", true}, {NoPush, "refs/tags/v1", false},
		{NoPush, "refs/heads/mainline", false},
	} {
		if got := p.Forbids(c.op, git.RefName(c.ref)); got != c.want {
			t.Errorf("%s on %s: %v, want %v", c.op, c.ref, got, c.want)
		}
	}
}
