package service

import (
	"errors"
	"slices"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func TestCursorComesBack(t *testing.T) {
	t.Parallel()
	q := query{"branches", "org", "repo", "1"}
	want := []string{"12", "refs/heads/a b"}
	got, err := q.position(q.cursor(want...), 2)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("position = %q, %v, want %q", got, err, want)
	}
	if got, err := q.position("", 2); got != nil || err != nil {
		t.Errorf("position of no cursor = %q, %v", got, err)
	}
}

func TestCursorOfAnotherListingIsRefused(t *testing.T) {
	t.Parallel()
	cursor := query{"branches", "org", "repo", "1"}.cursor("12", "x")
	for _, q := range []query{
		{"branches", "org", "repo", "0"}, {"branches", "org", "repo2", "1"}, {"branches", "org2", "repo", "1"}, {"tags", "org", "repo", "1"},
		{"branches", "org", "repo1", ""}, {"branches", "orgrepo", "1"}, {},
	} {
		if got, err := q.position(cursor, 2); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%q: position = %q, %v, want Invalid", q, got, err)
		}
	}
	same := query{"branches", "org", "repo", "1"}
	for _, bad := range []string{cursor[1:], cursor + "A", cursor[:len(cursor)-1], "B" + cursor[1:], cursor + "=", " " + cursor} {
		if got, err := same.position(bad, 2); !errors.Is(err, cairn.Invalid) {
			t.Errorf("position(%q) = %q, %v, want Invalid", bad, got, err)
		}
	}
	if _, err := same.position(cursor, 3); !errors.Is(err, cairn.Invalid) {
		t.Errorf("position with another number of fields: %v, want Invalid", err)
	}
}

func FuzzCursor(f *testing.F) {
	q := query{"branches", "org", "repo", "1"}
	f.Add(q.cursor("12", "refs/heads/main"))
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		position, err := q.position(cursor, 2)
		switch {
		case err != nil && !errors.Is(err, cairn.Invalid):
			t.Fatalf("position(%q): %v", cursor, err)
		case err == nil && cursor != "" && q.cursor(position...) != cursor:
			t.Fatalf("position(%q) = %q, whose cursor is another", cursor, position)
		}
	})
}
