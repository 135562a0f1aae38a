package graph

import (
	"context"
	"sync"

	"github.com/cairn-storage/cairn/internal/git"
)

// Reachable is the set of the commits that are reachable from some tips. It is
// lazy: a question walks on, newest commit first, from where the last one
// stopped, and only until the answer is known. It is safe for concurrent use.
type Reachable struct {
	src Commits

	mu     sync.Mutex
	set    map[git.ObjectID]struct{}
	unread []git.ObjectID        // in the set, not yet in the queue
	queue  queue[[]git.ObjectID] // the parents of commits in the set
}

// NewReachable returns the commits reachable from the tips, which are not read
// before they are needed.
func NewReachable(src Commits, tips ...git.ObjectID) *Reachable {
	r := &Reachable{src: src, set: make(map[git.ObjectID]struct{}, 2*len(tips))}
	r.AddTips(tips...)
	return r
}

// AddTips adds the commits reachable from more tips.
func (r *Reachable) AddTips(tips ...git.ObjectID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(tips)
}

// steps is how far one caller walks before it lets another have its turn.
const steps = 128

// Contains tells whether a commit is in the set. The answer is exact whatever
// the dates: false is returned only when the whole set was walked, so a caller
// that can tell that there is no such commit at all does so before. An error
// of the source or of ctx leaves the set as it is; a later call goes on.
func (r *Reachable) Contains(ctx context.Context, id git.ObjectID) (bool, error) {
	for {
		found, done, err := r.advance(ctx, id)
		if found || done || err != nil {
			return found, err
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
}

func (r *Reachable) advance(ctx context.Context, id git.ObjectID) (found, done bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range steps {
		if _, ok := r.set[id]; ok {
			return true, false, nil
		}
		if len(r.unread) == 0 && r.queue.len() == 0 {
			return false, true, nil
		}
		if err := r.step(ctx); err != nil {
			return false, false, err
		}
	}
	_, found = r.set[id]
	return found, false, nil
}

// step reads one commit, or takes up the parents of the newest one read.
func (r *Reachable) step(ctx context.Context) error {
	last := len(r.unread) - 1
	if last < 0 {
		r.add(r.queue.pop())
		return nil
	}
	links, err := r.src.Commit(ctx, r.unread[last])
	if err != nil {
		return err
	}
	r.unread = r.unread[:last]
	r.queue.push(links.Parents, links.Date)
	return nil
}

// add puts commits in the set that are known to belong to it.
func (r *Reachable) add(ids []git.ObjectID) {
	for _, id := range ids {
		if _, ok := r.set[id]; !ok {
			r.set[id] = struct{}{}
			r.unread = append(r.unread, id)
		}
	}
}
