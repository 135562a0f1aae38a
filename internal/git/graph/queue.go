package graph

// queue gives out the newest item first; of items with the same date, the one
// that was put in first.
type queue[T any] struct {
	heap []entry[T]
	next uint64
}

type entry[T any] struct {
	item  T
	date  int64
	order uint64
}

func (e *entry[T]) before(o *entry[T]) bool {
	if e.date != o.date {
		return e.date > o.date
	}
	return e.order < o.order
}

func (q *queue[T]) len() int { return len(q.heap) }

func (q *queue[T]) push(item T, date int64) {
	q.heap = append(q.heap, entry[T]{item, date, q.next})
	q.next++
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !q.heap[i].before(&q.heap[parent]) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

func (q *queue[T]) pop() T {
	item := q.heap[0].item
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = entry[T]{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		first := 2*i + 1
		if first >= last {
			break
		}
		if second := first + 1; second < last && q.heap[second].before(&q.heap[first]) {
			first = second
		}
		if !q.heap[first].before(&q.heap[i]) {
			break
		}
		q.heap[i], q.heap[first] = q.heap[first], q.heap[i]
		i = first
	}
	return item
}
