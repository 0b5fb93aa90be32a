package xpc

import "sync"

// Queue runs blocks: event handlers, reply handlers and whatever Async is given
// (dispatch_queue_t). A serial queue runs them one after another in order; a
// concurrent one runs each at once. A queue holds no goroutine while it is idle
// and needs no closing. A nil *Queue stands for DefaultQueue wherever one is
// asked for. Any number of goroutines may use a Queue.
type Queue struct {
	label      string
	concurrent bool

	mu     sync.Mutex // guards the rest; never held while a block runs
	blocks fifo[func()]
	busy   bool // a block runs
}

var defaultQueue = &Queue{label: "default", concurrent: true}

// NewQueue makes a serial queue. The label is for the reader of a dump.
func NewQueue(label string) *Queue { return &Queue{label: label} }

// NewConcurrentQueue makes a queue whose blocks run beside each other.
func NewConcurrentQueue(label string) *Queue { return &Queue{label: label, concurrent: true} }

// DefaultQueue is the concurrent queue of everything that was given no other
// (DISPATCH_TARGET_QUEUE_DEFAULT, R71).
func DefaultQueue() *Queue { return defaultQueue }

// Label is what the queue was made with.
func (q *Queue) Label() string { return q.label }

// Async has f run on the queue and returns at once (dispatch_async).
func (q *Queue) Async(f func()) {
	if q == nil || q.concurrent {
		// Ends with the block; whoever gave it knows when that is.
		go f()
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.blocks.push(f)
	if !q.busy {
		q.busy = true
		// Ends when the queue is empty.
		go q.drain()
	}
}

// enter lets the calling goroutine run a block of its own if the queue is idle.
// It must call exit afterwards.
func (q *Queue) enter() bool {
	if q.concurrent {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy {
		return false
	}
	q.busy = true
	return true
}

// exit ends enter's block; what was queued meanwhile runs on a goroutine of its own.
func (q *Queue) exit() {
	if q.concurrent {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.blocks.len() == 0 {
		q.busy = false
		return
	}
	// Ends when the queue is empty.
	go q.drain()
}

// uncontended says whether the goroutine that runs a block of q may run one more
// without passing others that wait.
func (q *Queue) uncontended() bool {
	if q.concurrent {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.blocks.len() == 0
}

func (q *Queue) drain() {
	for {
		q.mu.Lock()
		if q.blocks.len() == 0 {
			q.busy = false
			q.mu.Unlock()
			return
		}
		f := q.blocks.pop()
		q.mu.Unlock()
		f()
	}
}

func orDefault(q *Queue) *Queue {
	if q == nil {
		return defaultQueue
	}
	return q
}
