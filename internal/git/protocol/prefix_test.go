package protocol_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// TestMatchesLooksForAPrefix compares with what Matches is to mean.
func TestMatchesLooksForAPrefix(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(longest int) string {
		b := make([]byte, 1+rng.IntN(longest))
		for i := range b {
			b[i] = "ab/"[rng.IntN(3)]
		}
		return string(b)
	}
	for range 2000 {
		lines := []string{"command=ls-refs", "0001"}
		var prefixes []string
		for range 1 + rng.IntN(6) {
			prefixes = append(prefixes, text(4))
			lines = append(lines, "ref-prefix "+prefixes[len(prefixes)-1])
		}
		q, err := readLsRefs(packets(append(lines, "0000")...), protocol.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			name, want := text(6), false
			for _, p := range prefixes {
				want = want || strings.HasPrefix(name, p)
			}
			if got := q.Matches(git.RefName(name)); got != want {
				t.Fatalf("prefixes %q: Matches(%q) = %v, want %v", prefixes, name, got, want)
			}
		}
	}
}

// TestManyPrefixes asks for as many refs as there may be, by as many prefixes:
// each with each would take a minute.
func TestManyPrefixes(t *testing.T) {
	t.Parallel()
	limits := protocol.DefaultLimits()
	lines := []string{"command=ls-refs", "0001"}
	for i := range limits.Prefixes {
		lines = append(lines, fmt.Sprintf("ref-prefix refs/heads/a-long-common-start/%06d", i))
	}
	q, err := readLsRefs(packets(append(lines, "0000")...), limits)
	if err != nil || len(q.Prefixes) != limits.Prefixes {
		t.Fatalf("%d prefixes, %v", len(q.Prefixes), err)
	}
	began := time.Now()
	for i := range 100_000 {
		if name := fmt.Sprintf("refs/heads/a-long-common-start/%06d.", i); q.Matches(git.RefName(name)) != (i < limits.Prefixes) {
			t.Fatalf("Matches(%s) is wrong", name)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
