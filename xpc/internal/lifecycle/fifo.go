package lifecycle

// fifo is a queue that a long backlog does not slow down.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) all() []T { return q.items[q.head:] }

func (q *fifo[T]) first() T { return q.items[q.head] }

func (q *fifo[T]) push(v T) {
	if q.head > 32 && q.head > len(q.items)/2 {
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) pop() T {
	v := q.items[q.head]
	q.head++
	if q.head == len(q.items) {
		q.clear()
	}
	return v
}

func (q *fifo[T]) clear() {
	q.items, q.head = q.items[:0], 0
	if cap(q.items) > 1024 {
		q.items = nil
	}
}

// shrink gives up the memory of an empty queue.
func (q *fifo[T]) shrink() {
	if q.len() == 0 {
		*q = fifo[T]{}
	}
}

// removeFunc takes out what f accepts, in order, and leaves the order of the rest.
func (q *fifo[T]) removeFunc(f func(T) bool) (removed []T) {
	kept := q.items[:0]
	for _, v := range q.items[q.head:] {
		if f(v) {
			removed = append(removed, v)
		} else {
			kept = append(kept, v)
		}
	}
	q.items, q.head = kept, 0
	return removed
}
