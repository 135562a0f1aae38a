package graph

import (
	"context"

	"github.com/cairn-storage/cairn/internal/git"
)

// AheadBehind counts the commits that a has and b has not, and those that b
// has and a has not (git rev-list --left-right --count a...b).
func AheadBehind(ctx context.Context, src Commits, a, b git.ObjectID) (ahead, behind int, err error) {
	if a == b {
		_, err := src.Commit(ctx, a)
		return 0, 0, err
	}
	bases, err := MergeBases(ctx, src, a, b)
	if err != nil {
		return 0, 0, err
	}
	w := NewWalk(src, []git.ObjectID{a, b}, bases)
	w.left = a
	for {
		n, err := w.next(ctx)
		switch {
		case err != nil:
			return 0, 0, err
		case n == nil:
			return ahead, behind, nil
		case n.flags&fromLeft != 0:
			ahead++
		default:
			behind++
		}
	}
}
