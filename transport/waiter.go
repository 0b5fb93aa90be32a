package transport

import (
	"context"
	"sync/atomic"
)

// Waiter is a caller that waits for one completion. It may be used again after
// Reset. The zero value is not usable: NewWaiter.
type Waiter struct {
	done atomic.Bool
	wake chan struct{}

	// Guarded by Conn.mu.
	leads         bool // the reading role was handed to this waiter
	waits         bool // it stands in line
	term          uint32
	ahead, behind *Waiter
}

// line is a queue that anybody in it may leave at once, however long it is.
type line struct{ first, last *Waiter }

func (l *line) add(w *Waiter) {
	w.waits, w.ahead = true, l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.behind = w
	}
	l.last = w
}

// remove reports whether w stood in line.
func (l *line) remove(w *Waiter) bool {
	if !w.waits {
		return false
	}
	if w.ahead == nil {
		l.first = w.behind
	} else {
		w.ahead.behind = w.behind
	}
	if w.behind == nil {
		l.last = w.ahead
	} else {
		w.behind.ahead = w.ahead
	}
	w.waits, w.ahead, w.behind = false, nil, nil
	return true
}

// NewWaiter returns a Waiter that is not complete.
func NewWaiter() *Waiter { return &Waiter{wake: make(chan struct{}, 1)} }

// Complete ends the wait; it may be called from any goroutine, once.
func (w *Waiter) Complete() {
	w.done.Store(true)
	w.signal()
}

// Completed says whether Complete was called.
func (w *Waiter) Completed() bool { return w.done.Load() }

// Woken is signalled by Complete, and now and then for no reason: ask Completed.
func (w *Waiter) Woken() <-chan struct{} { return w.wake }

// Reset makes a completed Waiter usable again.
func (w *Waiter) Reset() {
	w.done.Store(false)
	select {
	case <-w.wake:
	default:
	}
}

func (w *Waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// sleep returns true when w was signalled, and false when ctx ended.
func (w *Waiter) sleep(ctx context.Context) bool {
	over := ctx.Done()
	if over == nil { // cheaper than a select
		<-w.wake
		return true
	}
	select {
	case <-w.wake:
		return true
	case <-over:
		return false
	}
}
