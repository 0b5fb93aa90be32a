package xpc

// fifo is a queue that a long backlog does not slow down.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) first() T { return q.items[q.head] }

func (q *fifo[T]) push(v T) {
	if q.head > 32 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) pop() T {
	var none T
	v := q.items[q.head]
	q.items[q.head] = none
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 1024 {
			q.items = nil
		}
	}
	return v
}

// shrink gives up the memory of an empty queue.
func (q *fifo[T]) shrink() {
	if q.len() == 0 {
		*q = fifo[T]{}
	}
}

// popLast takes back what was pushed last.
func (q *fifo[T]) popLast() T {
	var none T
	last := len(q.items) - 1
	v := q.items[last]
	q.items[last] = none
	q.items = q.items[:last]
	return v
}

func (q *fifo[T]) last() T { return q.items[len(q.items)-1] }
