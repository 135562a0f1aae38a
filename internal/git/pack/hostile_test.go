package pack

import (
	"errors"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest/hostile"
)

// hostileLimits are the limits that the corpus of hostile packs is made for.
var hostileLimits = Limits{
	PackSize: hostile.PackSize, ObjectSize: hostile.ObjectSize, Objects: hostile.Objects, Inflated: hostile.Inflated,
	CommitSize: 8 << 20, TreeSize: 32 << 20, Ratio: 4096,
}

// TestHostilePacks receives every pack of the corpus: those that the pack or
// one of its objects speaks against are refused with the reason, the others are
// accepted as git index-pack does, and can be read back. The large ones are left
// to internal/e2e, where the server is not slowed down by the race detector.
func TestHostilePacks(t *testing.T) {
	t.Parallel()
	for _, c := range hostile.Cases() {
		if c.Large {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			push := c.Make()
			got, err := receive(t, push.Pack, ReceiveOptions{Limits: hostileLimits, Check: checkAll, Memory: 32 << 20})
			if c.Verdict == hostile.ByParser || c.Verdict == hostile.ByCheck {
				wantReason(t, c, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			x := got.Pack.Index()
			for pos := range min(x.Len(), 1000) {
				if _, _, err := got.Pack.Header(x.Offset(pos)); err != nil {
					t.Fatal(err)
				}
			}
			if err := got.Pack.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func wantReason(t *testing.T, c hostile.Case, err error) {
	t.Helper()
	var object *ObjectError
	var limit *LimitError
	switch {
	case err == nil:
		t.Fatal("accepted")
	case !strings.Contains(err.Error(), c.Reason):
		t.Errorf("refused with %q, want %q in it", err, c.Reason)
	case c.Verdict == hostile.ByCheck && !errors.As(err, &object):
		t.Errorf("refused with %v, want an *ObjectError", err)
	case c.Setting != "" && !errors.As(err, &limit):
		t.Errorf("refused with %v, want a *LimitError", err)
	case c.Verdict == hostile.ByParser && !errors.As(err, &limit) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrMissingBase) && !errors.Is(err, ErrDuplicate):
		t.Errorf("refused with %v, which is none of the causes that callers tell apart", err)
	}
}
