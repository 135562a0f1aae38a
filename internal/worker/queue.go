package worker

import (
	"container/heap"
	"context"
	"sync"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// maxQueued bounds a queue. What finds no room asks again with its next change.
const maxQueued = 1 << 12

// queue holds repositories until their turn comes: the one with the largest
// debt first, each once. It is safe for concurrent use.
type queue struct {
	wake chan struct{} // holds one while somebody may be waiting for nothing

	mu    sync.Mutex
	heap  debts
	total int64 // of all debts
}

// debt is what waits to be done to a repository, in bytes.
type debt struct {
	key   cairn.RepositoryKey
	bytes int64
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), heap: debts{at: make(map[cairn.RepositoryKey]int)}}
}

// push puts a repository in, or raises the debt of one that is. It tells
// whether there was room.
func (q *queue) push(key cairn.RepositoryKey, bytes int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, ok := q.heap.at[key]; ok {
		if more := bytes - q.heap.list[i].bytes; more > 0 {
			q.total += more
			q.heap.list[i].bytes = bytes
			heap.Fix(&q.heap, i)
		}
		return true
	}
	if q.heap.Len() == maxQueued {
		return false
	}
	q.total += bytes
	heap.Push(&q.heap, debt{key, bytes})
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop waits for a repository and takes it out; false when ctx is done.
func (q *queue) pop(ctx context.Context) (cairn.RepositoryKey, bool) {
	for {
		if ctx.Err() != nil {
			return cairn.RepositoryKey{}, false
		}
		if key, ok := q.take(); ok {
			return key, true
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		}
	}
}

func (q *queue) take() (cairn.RepositoryKey, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.heap.Len() == 0 {
		return cairn.RepositoryKey{}, false
	}
	d := heap.Pop(&q.heap).(debt)
	q.total -= d.bytes
	if q.heap.Len() > 0 {
		q.signal() // somebody else may wait
	}
	return d.key, true
}

// size returns how many repositories wait, and their debts in bytes.
func (q *queue) size() (int, int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.heap.Len(), q.total
}

// debts is a heap whose first has the largest debt.
type debts struct {
	list []debt
	at   map[cairn.RepositoryKey]int // in list
}

func (d *debts) Len() int           { return len(d.list) }
func (d *debts) Less(i, j int) bool { return d.list[i].bytes > d.list[j].bytes }

func (d *debts) Swap(i, j int) {
	d.list[i], d.list[j] = d.list[j], d.list[i]
	d.at[d.list[i].key], d.at[d.list[j].key] = i, j
}

func (d *debts) Push(x any) {
	d.at[x.(debt).key] = len(d.list)
	d.list = append(d.list, x.(debt))
}

func (d *debts) Pop() any {
	last := len(d.list) - 1
	x := d.list[last]
	d.list = d.list[:last]
	delete(d.at, x.key)
	return x
}
