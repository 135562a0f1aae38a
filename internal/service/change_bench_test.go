package service

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// BenchmarkChangesOfALongHistory finds changes in a plain history of 100,000
// commits: the first question, which looks at all commits, and later ones.
func BenchmarkChangesOfALongHistory(b *testing.B) {
	c := newChangeTest(b)
	ids := c.line(b, c.row, 100_000)
	find := func(b *testing.B, s *Service, i int) {
		if _, err := s.FindChange(b.Context(), c.who, c.name, git.SyntheticChangeID(ids[i])); err != nil {
			b.Fatal(err)
		}
	}
	find(b, c.Service, 0)
	b.Run("first of a process", func(b *testing.B) {
		for b.Loop() {
			find(b, New(Options{Store: c.store, Now: c.clock}), 50_000)
		}
	})
	b.Run("later", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			find(b, c.Service, i*7919%len(ids))
		}
	})
	b.Run("first of all", func(b *testing.B) {
		for b.Loop() {
			s := &changeState{c.snapshot(), c.Service}
			if err := s.noteSince(b.Context(), 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("amend the newest", func(b *testing.B) {
		message := "m"
		for b.Loop() {
			if _, err := c.UpdateChange(b.Context(), c.who, c.name, git.SyntheticChangeID(ids[len(ids)-1]), ChangeUpdate{Message: &message}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("create", func(b *testing.B) {
		for b.Loop() {
			c.change(git.SyntheticChangeID(ids[len(ids)-1]), "m", file("a", "1\n"))
		}
	})
}
